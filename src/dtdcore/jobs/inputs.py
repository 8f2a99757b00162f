# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The user's files: found, told apart and checked before any work."""

from __future__ import annotations

import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np

from dtdcore.files import DAMAGE
from dtdcore.jobs import OptionError
from dtdcore.jobs.columns import choose_columns
from dtdcore.jobs.searching import TABLES, find_files
from dtdcore.jobs.tables import read_table
from dtdcore.pictures import SUFFIXES

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
    #: Names of a table's columns, its numbers, and what is wrong with rows, by their number from 0.
    columns: tuple[str, ...] | None = None
    values: np.ndarray | None = field(default=None, repr=False)
    problems: dict[int, str] = field(default_factory=dict, repr=False)
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

        An array in an .npz file is unpacked here, each time, and nowhere else.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        if self.damage is not None:
            raise ValueError(self.damage)
        if self.values is not None:
            return self.values
        try:
            if self.member is None:
                array = np.load(self.path, allow_pickle=False, mmap_mode="r")
            else:
                with open(self.path, "rb") as raw, np.load(raw, allow_pickle=False) as content:
                    array = content[self.member]
        except DAMAGE as error:
            raise ValueError(f"{self.path} cannot be read: {error}") from None
        return array[None] if self.single else array


def find_inputs(
    patterns: Sequence[str | os.PathLike],
    shape: tuple[int, ...] | None = None,
    *,
    array: str | None = None,
    columns: Sequence[str] | None = None,
    known: Sequence[str] = (),
    out: str | os.PathLike | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> list[Source]:
    """The inputs that files, folders and globs name, each file once.

    Parameters
    ----------
    patterns : sequence of paths
        Pictures, .npy, .npz, .csv and .tsv files; folders, of which the pictures are taken, with
        those in folders inside, in the order of their names, without hidden ones; globs ("**" too).
    shape : tuple of int, optional
        Shape of one input of the network. Arrays and tables must have it, but for arrays of
        8-bit pixels with channels last (or none, for networks of one channel): they are pictures.
    array : str, optional
        The array to take from .npz files: by default the only one, or that called x, inputs or
        images.
    columns, known : sequence of str, optional
        The columns to take from tables, and the names that the network knows for them: see
        `choose_columns`.
    out : path, optional
        The folder of results: what folders and globs find there is left out.
    note : callable, optional
        Told how many pictures a folder holds, what a glob left out, and which columns are used.

    Returns
    -------
    list of Source
        A file that cannot be read, or of another shape, is among them, `damage` says why.

    Raises
    ------
    ValueError
        If there is nothing, a file is of no known kind, or none of the tables (or of the .npz
        files) can be read without an option.
    FileNotFoundError
        If a pattern names nothing.
    """
    files = find_files(patterns, out, note)
    for option, given, suffixes in (("array", array, (".npz",)), ("columns", columns, TABLES)):
        if given and not any(path.suffix.lower() in suffixes for path in files):
            raise ValueError(f"--{option} is for {suffixes[0]} files, and there is none")
    sources, longer = [], []
    refused: dict[str, OptionError] = {}
    taken = set()  # suffixes of files that can be read
    used: dict[str, list[Path]] = {}
    for path, (title, other) in files.items():
        suffix = path.suffix.lower()
        try:
            if suffix in TABLES:
                source, said = _table(path, shape, columns, known)
                used.setdefault(said, []).append(path)
            else:
                source = _source(path, shape, array, note)
            taken.add(suffix)
        except (ValueError, OSError, MemoryError) as error:
            if isinstance(error, OptionError):
                refused.setdefault(suffix, error)
            source = Source(path, path.stem, "array", single=True, damage=str(error))
        sources.append(replace(source, name=title))
        longer.append(other)
    for suffix, error in refused.items():
        if suffix not in taken:  # not one odd file: the option is missing
            raise error
    for said, paths in used.items():
        note(said if len(used) == 1 else f"{', '.join(map(str, paths))}: {said}")
    return _named(sources, longer)


def _source(
    path: Path, shape: tuple[int, ...] | None, array: str | None, note: Callable[[str], None]
) -> Source:
    """A picture, or an array, of which only the header is read."""
    if path.suffix.lower() in SUFFIXES:
        return Source(path, path.stem, "picture")
    found, dtype, member = _header(path, array)
    source = Source(path, path.stem, "array", member=member)
    where = str(path) if member is None else f"{path}[{member!r}]"
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise ValueError(f"{where} must hold real numbers, got {dtype}")
    if 0 in found:
        raise ValueError(f"{where} is empty: its shape is {found}")
    if dtype == np.uint8 and _are_pictures(found, shape):
        single = (found[-1] in (1, 3, 4) and len(found) == 3) or len(found) == 2
        return replace(source, kind="pictures", single=single, count=1 if single else found[0])
    if shape is not None and found == tuple(shape):
        return replace(source, single=True)
    if found and (shape is None or found[1:] == tuple(shape)):
        if dtype == np.uint8 and len(found) == 4:
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


def _table(
    path: Path,
    shape: tuple[int, ...] | None,
    columns: Sequence[str] | None,
    known: Sequence[str],
) -> tuple[Source, str]:
    """A table, and which of its columns are used."""
    if shape is not None and len(shape) != 1:
        raise ValueError(f"{path} is a table, the network takes inputs of shape {shape}")
    table = read_table(path)
    chosen = choose_columns(table, None if shape is None else shape[0], known, columns)
    problems = table.problems(chosen.columns)
    values = chosen.values
    source = Source(
        path,
        path.stem,
        "table",
        len(values),
        columns=chosen.names,
        values=values,
        problems=problems,
    )
    return source, chosen.note


def _header(path: Path, member: str | None) -> tuple[tuple[int, ...], np.dtype, str | None]:
    """Shape and dtype of the array in an .npy or .npz file, and its name there; nothing more."""
    try:
        with open(path, "rb") as raw:
            packed_up = raw.read(2) == b"PK"
            raw.seek(0)
            if not packed_up:
                return (*_read_header(raw), None)
            with zipfile.ZipFile(raw) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist()]
                chosen = _choose_member(path, names, member)
                with archive.open(archive.namelist()[names.index(chosen)]) as packed:
                    return (*_read_header(packed), chosen)
    except (FileNotFoundError, OptionError):
        raise
    except DAMAGE as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:  # as arrays of records with names in other letters have
        raise ValueError(f"its array is of the format {version}")
    shape, _, dtype = read[version](file)
    return shape, dtype


def _choose_member(path: Path, names: list[str], member: str | None) -> str:
    if member is not None:
        if member in names:
            return member
        raise OptionError(f"{path} has no array {member!r}; it has {', '.join(names)}")
    known = [name for name in ARRAY_NAMES if name in names]
    if len(names) == 1 or len(known) == 1:
        return (known or names)[0]
    raise OptionError(
        f"{path} holds {'no array' if not names else 'the arrays ' + ', '.join(names)}: "
        "choose one with --array NAME"
    )


def _named(sources: list[Source], longer: list[str]) -> list[Source]:
    """Sources with names that differ, also as files where upper and lower case are the same.

    What would be the same gets its longer name, and a number where that is not enough.
    """
    bases = [_printable(source.name) or "input" for source in sources]
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
            base = _printable(longer[i].lstrip("-")) or "input"
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
