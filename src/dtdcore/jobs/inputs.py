# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The user's files: found, told apart and checked before any work."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dtdcore.files import DAMAGE
from dtdcore.jobs.tables import read_table
from dtdcore.pictures import SUFFIXES

ARRAYS = (".npy", ".npz")
TABLES = (".csv",)
#: Names of the array that is taken from an .npz file of several.
ARRAY_NAMES = ("x", "inputs", "images")


@dataclass(frozen=True, eq=False)
class Source:
    """A file of inputs. `name` is unique in a run and may be used as a file's name."""

    path: Path
    name: str
    #: "picture": a picture file; "pictures": an array of 8-bit pixels; "array": inputs as they
    #: are; "table".
    kind: str
    #: Samples in the file.
    count: int = 1
    #: The array in an .npz file.
    member: str | None = None
    #: A single sample, without a batch axis.
    single: bool = False
    #: Names of a table's columns, and its numbers.
    columns: tuple[str, ...] | None = None
    values: np.ndarray | None = field(default=None, repr=False)
    #: Why the file cannot be read; it counts as one sample.
    damage: str | None = None

    @property
    def holds_pictures(self) -> bool:
        """Does it go through the preprocessing?"""
        return self.kind in ("picture", "pictures")

    def sample_name(self, index: int) -> str:
        """The unique name of a sample: with its number, where the file may hold several.

        Arrays count from 0, rows of a table from 1.
        """
        if self.kind == "picture" or self.single:
            return self.name
        first = 1 if self.kind == "table" else 0
        return f"{self.name}-{index + first:0{len(str(self.count - 1 + first))}d}"

    def load(self) -> np.ndarray:
        """All numbers of an array or table, batch axis first; of an .npy file as a memory map.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        if self.damage is not None:
            raise ValueError(self.damage)
        if self.values is not None:
            return self.values
        array = _load_array(self.path, self.member)[0]
        return array[None] if self.single else array


def find_inputs(
    patterns: Sequence[str | os.PathLike],
    shape: tuple[int, ...] | None = None,
    *,
    array: str | None = None,
    columns: Sequence[str] | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> list[Source]:
    """The inputs that files, folders and globs name, each file once.

    Parameters
    ----------
    patterns : sequence of paths
        Pictures, .npy, .npz and .csv files; folders, of which the pictures are taken, in the
        order of their names, without hidden ones; globs ("**" too).
    shape : tuple of int, optional
        Shape of one input of the network. Arrays and tables must have it, but for arrays of
        8-bit pixels with channels last (or none, for networks of one channel): they are pictures.
    array : str, optional
        The array to take from .npz files: by default the only one, or that called x, inputs or
        images.
    columns : sequence of str, optional
        The columns to take from tables: see `read_table`.
    note : callable, optional
        Told how many pictures a folder holds, and what a glob left out.

    Returns
    -------
    list of Source
        A damaged file is among them, `damage` says why.

    Raises
    ------
    ValueError
        If there is nothing, or a file is of no known kind or of another shape.
    FileNotFoundError
        If a pattern names nothing.
    """
    if not patterns:
        raise ValueError("no inputs are given")
    files: dict[Path, Path] = {}
    for pattern in patterns:
        if not os.fspath(pattern):
            raise ValueError("an input is an empty name")
        for path in _files(Path(pattern), note):
            files.setdefault(path.resolve(), path)
    for option, given, suffixes in (("array", array, (".npz",)), ("columns", columns, TABLES)):
        if given and not any(path.suffix.lower() in suffixes for path in files.values()):
            raise ValueError(f"--{option} is for {suffixes[0]} files, and there is none")
    sources = []
    for path in files.values():
        try:
            sources.append(_source(path, shape, array, columns, note))
        except DamagedFileError as error:
            sources.append(Source(path, path.stem, "array", single=True, damage=str(error)))
    return _named(sources)


def _files(pattern: Path, note: Callable[[str], None]) -> list[Path]:
    """The files that one pattern names."""
    if pattern.is_dir():
        found = sorted(
            path
            for path in pattern.iterdir()
            if path.suffix.lower() in SUFFIXES and path.is_file() and path.name[0] != "."
        )
        if not found:
            raise ValueError(f"the folder {pattern} holds no pictures ({' '.join(SUFFIXES)})")
        note(f"{pattern}: {len(found)} picture{'s' * (len(found) != 1)}")
        return found
    if pattern.exists():
        _check_suffix(pattern)
        return [pattern]
    if not glob.has_magic(str(pattern)):
        raise FileNotFoundError(f"there is no file or folder {pattern}")
    matches = [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]
    matches = [path for path in matches if path.is_file()]
    found = [path for path in matches if _known(path)]
    if not found:
        raise FileNotFoundError(
            f"the pattern {str(pattern)!r} fits no file that can be explained ({_kinds()})"
        )
    if len(found) < len(matches):
        note(f"{pattern}: {len(matches) - len(found)} files of other kinds are left out")
    return found


def _known(path: Path) -> bool:
    return path.suffix.lower() in (*SUFFIXES, *ARRAYS, *TABLES)


def _kinds() -> str:
    return " ".join((*SUFFIXES, *ARRAYS, *TABLES))


def _check_suffix(path: Path) -> None:
    if not _known(path):
        raise ValueError(f"{path} is of no kind that can be explained: {_kinds()}")


def _source(
    path: Path,
    shape: tuple[int, ...] | None,
    array: str | None,
    columns: Sequence[str] | None,
    note: Callable[[str], None],
) -> Source:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return Source(path, path.stem, "picture")
    if suffix in TABLES:
        return _table(path, shape, columns)
    values, member = _load_array(path, array if suffix == ".npz" else None)
    source = Source(path, path.stem, "array", member=member)
    where = str(path) if member is None else f"{path}[{member!r}]"
    found = values.shape
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{where} must hold real numbers, got {values.dtype}")
    if 0 in found:
        raise ValueError(f"{where} is empty: its shape is {found}")
    if values.dtype == np.uint8 and _are_pictures(found, shape):
        single = (found[-1] in (1, 3, 4) and len(found) == 3) or len(found) == 2
        return replace(source, kind="pictures", single=single, count=1 if single else found[0])
    if shape is not None and found == tuple(shape):
        return replace(source, single=True)
    if found and (shape is None or found[1:] == tuple(shape)):
        if values.dtype == np.uint8 and len(found) == 4:
            note(
                f"{where}: taken as inputs as they are, without preprocessing; pictures are uint8 "
                "(n, height, width, channels)"
            )
        return replace(source, count=found[0])
    expected = ", ".join(["n", *map(str, shape or ())])
    raise ValueError(
        f"{where} has the shape {found}; the network takes ({expected}), or one sample of "
        f"{shape}; pictures are uint8 (n, height, width, channels)"
    )


def _are_pictures(found: tuple[int, ...], shape: tuple[int, ...] | None) -> bool:
    """Are 8-bit numbers of this shape pictures, for a network that takes `shape`?"""
    if shape is None or len(shape) != 3 or not {shape[0], shape[-1]} & {1, 3}:
        return False
    if found[-1] in (1, 3, 4) and len(found) in (3, 4):
        # Channels last; unless that is one channel-first input, or many, as they are.
        return shape[-1] in (1, 3) or (found[1:] != tuple(shape) and found != tuple(shape))
    return 1 in (shape[0], shape[-1]) and len(found) in (2, 3) and found != tuple(shape)


def _table(path: Path, shape: tuple[int, ...] | None, columns: Sequence[str] | None) -> Source:
    values, names = read_table(path, columns)  # what is wrong in it is for people to mend
    if shape is not None and (len(shape) != 1 or shape[0] != len(names)):
        takes = f"{shape[0]} numbers" if len(shape) == 1 else f"inputs of shape {shape}"
        raise ValueError(
            f"{path} gives {len(names)} columns ({', '.join(names)}), the network takes {takes}: "
            "choose the columns with --columns a,b,c"
        )
    return Source(path, path.stem, "table", len(values), columns=tuple(names), values=values)


def _load_array(path: Path, member: str | None) -> tuple[np.ndarray, str | None]:
    """The array in an .npy file (a memory map) or .npz file, and its name there."""
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False, mmap_mode="r"), None
        with open(path, "rb") as raw:  # NumPy leaves a damaged file open
            content = np.load(raw, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                return content, None
            with content:
                chosen = _choose_member(path, content.files, member)
                return content[chosen], chosen
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        if isinstance(error, _ChoiceError):
            raise ValueError(str(error)) from None
        raise DamagedFileError(f"{path} cannot be read: {error}") from None


class DamagedFileError(ValueError):
    """A file cannot be read."""


class _ChoiceError(ValueError):
    """An .npz file has not one array that is meant."""


def _choose_member(path: Path, names: list[str], member: str | None) -> str:
    if member is not None:
        if member in names:
            return member
        raise _ChoiceError(f"{path} has no array {member!r}; it has {', '.join(names)}")
    known = [name for name in ARRAY_NAMES if name in names]
    if len(names) == 1 or len(known) == 1:
        return (known or names)[0]
    raise _ChoiceError(
        f"{path} holds {'no array' if not names else 'the arrays ' + ', '.join(names)}: "
        "choose one with --array NAME"
    )


def _named(sources: list[Source]) -> list[Source]:
    """Sources with names that differ, also as files where upper and lower case are the same.

    What would be the same gets the name of its folder in front, and a number where that is not
    enough.
    """
    bases = [_printable(source.path.stem.lstrip(".")) or "input" for source in sources]
    times = Counter(base.casefold() for base in bases)
    counts: Counter[str] = Counter()  # how many of a base there are so far
    taken: set[str] = set()
    numbered: set[str] = set()  # bases of names with numbers
    result: dict[int, Source] = {}
    # Arrays first: a picture must not be called as a sample of theirs.
    for i in sorted(range(len(sources)), key=lambda i: sources[i].kind == "picture"):
        source = sources[i]
        base = bases[i]
        if times[base.casefold()] > 1:
            base = _printable(f"{source.path.resolve().parent.name}-{base}".lstrip("-"))
        name = base
        while name.casefold() in taken or _is_sample(name, numbered):
            counts[base.casefold()] += 1
            name = f"{base}_{counts[base.casefold()] + 1}"
        taken.add(name.casefold())
        if source.kind != "picture":
            numbered.add(name.casefold())
        result[i] = replace(source, name=name)
    return [result[i] for i in range(len(sources))]


def _printable(text: str) -> str:
    """Text without letters that cannot be printed, in at most 200 bytes: part of a file's name."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text.encode()[:200].decode(errors="ignore")


def _is_sample(name: str, bases: set[str]) -> bool:
    match = re.fullmatch(r"(.*)-\d+", name.casefold())
    return match is not None and match[1] in bases
