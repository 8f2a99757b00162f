# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Which columns of a table a network takes: by the names that it knows, or as the user says."""

from __future__ import annotations

import csv
import difflib
import io
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from dtdcore.jobs import OptionError
from dtdcore.jobs.tables import Column, Table, is_number

#: Names that are written out, in notes and errors.
_WRITTEN = 40
_SPAN = re.compile(r"(-?\d+)?:(-?\d+)?")


@dataclass(frozen=True, eq=False)
class Chosen:
    """The columns of a table that are taken, in their order."""

    columns: list[Column]
    #: Names of the columns that differ from each other, as the network knows them where it does.
    names: tuple[str, ...]
    left_out: list[str]

    @property
    def values(self) -> np.ndarray:
        """The numbers, (n, columns) in float64; NaN where a cell holds none."""
        return np.stack([column.numbers for column in self.columns], axis=1)

    @property
    def note(self) -> str:
        """What is used, in one line."""
        text = f"columns: {_listed(self.names)}"
        return text + f"; left out: {_listed(self.left_out)}" * bool(self.left_out)


def parse_columns(text: str) -> list[str]:
    """The parts of --columns between commas; a name with commas stands in double quotes."""
    return [part.strip() for part in next(csv.reader([text], skipinitialspace=True), [])]


def choose_columns(
    table: Table,
    count: int | None,
    known: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
) -> Chosen:
    """The columns of a table that a network takes.

    Parameters
    ----------
    table : Table
    count : int or None
        How many numbers the network takes; None: any.
    known : sequence of str
        The names that the network knows for them, in order; columns are found by these, wherever
        they stand. Empty: it knows none.
    wanted : sequence of str, optional
        What the user says, in the order of the network's inputs: names, globs, or numbers from 0,
        alone or as Python's slices (1:5 are the second to the fifth column, -1 is the last). A
        name wins over its glob, and over its number. Globs and slices bring what is not named by
        itself.

    Raises
    ------
    OptionError
        If text would have to be left out unseen, there are too many or too few columns, a name is
        missing, or the order contradicts the names that the network knows.
    ValueError
        If the first line holds no names, or a column that is taken has decimal commas.
    """
    _check_header(table, known, wanted)
    if wanted is not None:
        places = _align(table, _wanted(table, wanted), known)
    elif known:
        places = _by_name(table, known)
    else:
        places = _all_numbers(table, count)
    columns = [table.columns[place] for place in places]
    if count is not None and len(columns) != count:
        raise OptionError(
            f"{table.path}: --columns chooses {len(columns)} ({_listed(_titles(columns))}), the "
            f"network takes {count}"
        )
    texts = [column for column in columns if column.kind == "text"]
    if texts:
        raise OptionError(
            f"{table.path}: the network takes numbers, text is in {_listed(_titles(texts))}: turn "
            "it into numbers, as when the network was trained"
        )
    for column in columns:
        if column.comma is not None:
            raise ValueError(
                f"{table.path} holds {column.comma!r} in the column {column.title!r}: write "
                "numbers with a decimal point, and without separators of thousands"
            )
    names = tuple(known) if known and wanted is None else _distinct(_titles(columns))
    taken = set(places)
    left_out = [column.title for column in table.columns if column.place not in taken]
    return Chosen(columns, names, left_out)


def _check_header(table: Table, known: Sequence[str], wanted: Sequence[str] | None) -> None:
    """See that the first line holds names, and no numbers of a first row."""
    names = [column.name for column in table.columns if column.kind != "text"]
    numbers = [name for name in names if name]
    if not numbers or not all(map(is_number, numbers)):
        return
    said = known or wanted
    if said and set(said) <= set(table.names):
        return
    if len(numbers) > 2 and numbers == [str(number) for number in range(len(numbers))]:
        return  # as pandas names the columns of an array
    raise OptionError(
        f"{table.path} begins with numbers ({_listed(numbers[:4])}): the first line must hold the "
        "names of the columns. Where it does, choose them by these names: "
        f"{_advice(numbers)}"
    )


def _by_name(table: Table, known: Sequence[str]) -> list[int]:
    """The places of the names that the network knows."""
    missing = [name for name in known if name not in table.names]
    if missing:
        near = difflib.get_close_matches(missing[0], table.names, 1)
        hint = f" (is {missing[0]!r} called {near[0]!r}?)" if near else ""
        raise OptionError(
            f"{table.path} has no column {_listed(list(map(repr, missing)))}, which the network "
            f"takes; it has {_listed(_titles(table.columns))}{hint}. Rename columns, or choose "
            f"them in the network's order, {_listed(known)}: --columns A,B,..."
        )
    return [_place(table, name) for name in known]


def _all_numbers(table: Table, count: int | None) -> list[int]:
    """All columns, where they are as many numbers as the network takes."""
    columns = [column for column in table.columns if column.name or column.kind != "empty"]
    fits = len(columns) > 1 and count in (None, len(columns) - 1)
    if fits and columns[0].nameless:
        columns = columns[1:]  # the index that pandas writes in front
    texts = [column for column in columns if column.kind != "numbers"]
    numbers = [column for column in columns if column.kind == "numbers"]
    if not texts and len(numbers) == (len(numbers) if count is None else count):
        twice = [name for name, times in Counter(_titles(numbers)).items() if times > 1]
        if twice:
            raise OptionError(
                f"{table.path} has more than one column {_listed(list(map(repr, twice)))}: choose "
                f"columns by their numbers, such as --columns 0:{len(numbers)}"
            )
        return [column.place for column in numbers]
    takes = "numbers" if count is None else f"{count} numbers"
    held = f", text is in {_listed(_titles(texts))}" if texts else ""
    raise OptionError(
        f"{table.path}: the network takes {takes} and knows no names of columns; numbers are in "
        f"{_listed(_titles(numbers)) or 'no column'} ({len(numbers)}){held}. Choose the columns, "
        f"in the order of the network's inputs: {_advice(_handles(numbers or columns))}"
    )


def _wanted(table: Table, wanted: Sequence[str]) -> list[int]:
    """The places that the user says, in that order."""
    named = {place for item in wanted if (place := _single(table, item)) is not None}
    places: list[int] = []
    for item in wanted:
        place = _single(table, item)
        if place is not None:
            if place in places:
                raise OptionError(f"--columns: {item!r} is asked for twice")
            places.append(place)
            continue
        several = _several(table, item)
        if not several:
            near = difflib.get_close_matches(item, table.names, 3)
            hint = f"; near to it are {', '.join(near)}" if near else ""
            raise OptionError(
                f"{table.path} has no column {item!r}{hint}; it has "
                f"{_listed(_titles(table.columns))}"
            )
        places += [place for place in several if place not in named and place not in places]
    return places


def _single(table: Table, item: str) -> int | None:
    """The place of a name, or of a number from 0."""
    if item and item in table.names:
        return _place(table, item)
    if re.fullmatch(r"-?\d+", item):
        size = len(table.columns)
        if -size <= int(item) < size:
            return int(item) % size
        raise OptionError(
            f"--columns: {table.path} has no column {item}; they count from 0 to {size - 1}"
        )
    return None


def _several(table: Table, item: str) -> list[int]:
    """The places of a glob or a slice."""
    span = _SPAN.fullmatch(item)
    if span:
        ends = [None if end is None else int(end) for end in span.groups()]
        return list(range(len(table.columns)))[slice(*ends)]
    if not item:
        return []
    return [column.place for column in table.columns if fnmatchcase(column.name, item)]


def _align(table: Table, places: list[int], known: Sequence[str]) -> list[int]:
    """The user's columns in the network's order, where they have its names."""
    names = [table.names[place] for place in places]
    if known and sorted(names) == sorted(known):
        return [places[names.index(name)] for name in known]
    wrong = [
        (name, other)
        for name, other in zip(names, known, strict=False)
        if name != other and name in known
    ]
    if wrong and len(names) == len(known):
        name, other = wrong[0]
        raise OptionError(
            f"--columns gives {name!r} for the network's {other!r}; the network takes "
            f"{_listed(known)}, in this order"
        )
    return places


def _place(table: Table, name: str) -> int:
    places = [column.place for column in table.columns if column.name == name]
    if len(places) > 1:
        raise OptionError(
            f"{table.path} has more than one column {name!r}, the numbers "
            f"{', '.join(map(str, places))}: choose by number with --columns"
        )
    return places[0]


def _titles(columns: Sequence[Column]) -> list[str]:
    return [column.title for column in columns]


def _handles(columns: Sequence[Column]) -> list[str]:
    """What --columns takes for columns; not for those without a name where others have one."""
    named = [column.name for column in columns if not column.nameless]
    return named or [str(column.place) for column in columns]


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with a number where one comes again, as pandas has it: a, a.1."""
    taken: list[str] = []
    for name in names:
        number, free = 0, name
        while free in taken:
            number, free = number + 1, f"{name}.{number + 1}"
        taken.append(free)
    return tuple(taken)


def _listed(names: Sequence[str]) -> str:
    """The names, or the first and last of many; those with commas in quotes."""
    names = [f'"{name}"' if "," in name else name for name in names]
    if len(names) <= _WRITTEN:
        return ", ".join(names)
    return f"{', '.join(names[:20])}, ... ({len(names)} in all), {', '.join(names[-3:])}"


def _advice(names: Sequence[str]) -> str:
    """The option as it may begin."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*names[:2], "..."])
    return f"--columns {shlex.quote(line.getvalue())}"
