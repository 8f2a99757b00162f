# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The files that names, folders and globs stand for."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dtdcore.pictures import SUFFIXES

ARRAYS = (".npy", ".npz")
TABLES = (".csv", ".tsv")
KINDS = (*SUFFIXES, *ARRAYS, *TABLES)

#: What the results of a file may be called, and a longer name where that is taken.
Title = tuple[str, str]


def find_files(
    patterns: Sequence[str | os.PathLike],
    out: str | os.PathLike | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> dict[Path, Title]:
    """The files of inputs, each once, and for each what its results may be called.

    Of folders the pictures are taken, also those in folders inside, without hidden ones; their
    titles keep the names of the inner folders: zebra-001 for zebra/001.png. What globs and folders
    find in the folder of results, `out`, is left out.

    Raises
    ------
    ValueError
        If there is nothing, or a file is of no known kind.
    FileNotFoundError
        If a pattern names nothing.
    """
    if not patterns:
        raise ValueError("no inputs are given")
    found: dict[Path, tuple[Path, Title]] = {}
    for pattern in patterns:
        if not os.fspath(pattern):
            raise ValueError("an input is an empty name")
        for path, title in _files(Path(pattern), None if out is None else Path(out), note):
            found.setdefault(path.resolve(), (path, title))
    return dict(found.values())


def _files(
    pattern: Path, out: Path | None, note: Callable[[str], None]
) -> list[tuple[Path, Title]]:
    """The files that one pattern names."""
    if pattern.is_dir():
        return _in_folder(pattern, out, note)
    if pattern.exists():
        if not _known(pattern):
            raise ValueError(f"{pattern} is of no kind that can be explained: {' '.join(KINDS)}")
        return [(pattern, _title(pattern))]
    if not glob.has_magic(str(pattern)):
        raise FileNotFoundError(f"there is no file or folder {pattern}")
    matches = [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]
    matches = [path for path in matches if path.is_file()]
    matches = _without_results(matches, Path(*_before_magic(pattern)), out, note)
    found = [path for path in matches if _known(path)]
    if not found:
        raise FileNotFoundError(
            f"the pattern {str(pattern)!r} fits no file that can be explained ({' '.join(KINDS)})"
        )
    if len(found) < len(matches):
        note(f"{pattern}: {len(matches) - len(found)} files of other kinds are left out")
    return [(path, _title(path)) for path in found]


def _in_folder(
    folder: Path, out: Path | None, note: Callable[[str], None]
) -> list[tuple[Path, Title]]:
    """The pictures in a folder and in those inside."""
    files = _without_results(list(_walk(folder, set())), folder, out, note)
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not found:
        others = [path for path in files if _known(path)]
        hint = f"; arrays and tables are named by themselves: {others[0]}" if others else ""
        raise ValueError(f"the folder {folder} holds no pictures ({' '.join(SUFFIXES)}){hint}")
    folders = len({path.parent for path in found})
    note(
        f"{folder}: {len(found)} picture{'s' * (len(found) != 1)}"
        + f" in {folders} folders" * (folders > 1)
    )
    if len(found) < len(files):
        note(f"{folder}: {len(files) - len(found)} files of other kinds are left out")
    titles = ["-".join(path.relative_to(folder).with_suffix("").parts) for path in found]
    where = folder.resolve().name
    return [(path, (title, f"{where}-{title}")) for path, title in zip(found, titles, strict=True)]


def _title(path: Path) -> Title:
    stem = path.stem.lstrip(".")
    return stem, f"{path.resolve().parent.name}-{stem}"


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """All files below a folder, in the order of their names, without hidden ones."""
    if folder.resolve() in seen:  # a link that leads back
        return
    seen.add(folder.resolve())
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    yield from (path for path in entries if path.is_file())
    for path in entries:
        if path.is_dir():
            yield from _walk(path, seen)


def _without_results(
    files: list[Path], base: Path, out: Path | None, note: Callable[[str], None]
) -> list[Path]:
    """The files, without those in the folder of results where it lies inside of `base`."""
    if out is None or base.resolve() not in out.resolve().parents:
        return files
    place = out.resolve()
    kept = [path for path in files if place not in path.resolve().parents]
    if len(kept) < len(files):
        note(f"{out}: {len(files) - len(kept)} files in the folder of results are left out")
    return kept


def _before_magic(pattern: Path) -> Iterator[str]:
    """The parts of a path before its first wildcard."""
    for part in pattern.parts:
        if glob.has_magic(part):
            return
        yield part


def _known(path: Path) -> bool:
    return path.suffix.lower() in KINDS
