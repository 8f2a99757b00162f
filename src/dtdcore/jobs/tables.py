# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Tables with names in the first line (.csv, .tsv): read, and each column told by its cells."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

#: What may separate cells; the first that fits is taken.
SEPARATORS = (",", ";", "\t", "|")
#: Lines that are looked at to find it.
_LOOKED_AT = 50
#: Cells that hold nothing, in small letters.
_HOLES = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none", "<na>"))
_TRUTHS = {"true": 1.0, "false": 0.0}
#: Numbers with a decimal comma, or commas between thousands.
_COMMA = re.compile(r"[+-]?[\d.,]*\d,\d[\d.,]*(e[+-]?\d+)?", re.IGNORECASE)
#: The names that pandas gives to columns without one: an index, as a rule.
_NAMELESS = re.compile(r"(Unnamed: \d+)?")


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table, as numbers."""

    name: str
    #: Its place in the table, from 0.
    place: int
    #: NaN where a cell holds no number.
    numbers: np.ndarray
    #: "numbers": most cells that hold something hold numbers, or all hold True or False; "text";
    #: "empty".
    kind: str
    #: A cell with a decimal comma, where there is one.
    comma: str | None

    @property
    def nameless(self) -> bool:
        """Has it no name, or one that pandas made up?"""
        return _NAMELESS.fullmatch(self.name) is not None

    @property
    def title(self) -> str:
        """Its name, or its number where it has none."""
        return self.name or f"(column {self.place})"


@dataclass(frozen=True, eq=False)
class Table:
    """A table with a header."""

    path: Path
    columns: list[Column]
    #: The cells of each row, as many as columns.
    rows: list[list[str]] = field(repr=False)
    #: What is wrong with rows of another length than the header's, by their number from 0.
    ragged: dict[int, str] = field(repr=False)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def problems(self, chosen: Sequence[Column]) -> dict[int, str]:
        """What is wrong with the rows that hold no finite number in a chosen column."""
        found = dict(self.ragged)
        for column in chosen:
            for row in np.flatnonzero(~np.isfinite(column.numbers)).tolist():
                if row in found:
                    continue
                cell = self.rows[row][column.place].strip()
                what = "nothing" if not cell else f"{cell!r}, which is no finite number,"
                found[row] = f"row {row + 1} holds {what} in the column {column.title!r}"
        return dict(sorted(found.items()))


def read_table(path: str | os.PathLike) -> Table:
    """Read a table: cells separated by commas, semicolons, tabs or bars, the names in front.

    Rows count from 1 below the header, without empty lines. Cells that all rows have too many at
    their end, and empty columns without a name, are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no text in UTF-8, no table, or has no rows.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        separator = _separator(text)
        header, *rows = [row for row in _parse(text, separator) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no table in UTF-8: {error}") from None
    except ValueError:  # no line to unpack
        raise ValueError(f"{path} is empty: expected a header and rows of numbers") from None
    if not rows:
        raise ValueError(f"{path} has no rows below its header")
    names = [name.strip() for name in header]
    names[0] = names[0].removeprefix("# ")  # as NumPy's savetxt writes headers
    while len(names) > 1 and not names[-1] and not any(_cell(row, len(names) - 1) for row in rows):
        names.pop()
    ragged = {}
    for number, row in enumerate(rows):
        while len(row) > len(names) and not row[-1].strip():
            row.pop()
        if len(row) != len(names):
            ragged[number] = (
                f"row {number + 1} has {len(row)} cells, the header of {Path(path).name} has "
                f"{len(names)} (they are separated by {separator!r})"
            )
            row[:] = [""] * len(names)
    if 2 * len(ragged) > len(rows):
        raise ValueError(f"{path}: {next(iter(ragged.values()))}")
    columns = [_column(name, place, rows) for place, name in enumerate(names)]
    return Table(Path(path), columns, rows, ragged)


def is_number(text: str) -> bool:
    """Is the text a number, and not "nan"?"""
    return not math.isnan(_number(text))


def _parse(text: str, separator: str) -> csv.reader:
    lines = io.StringIO(text, newline="")
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)


def _separator(text: str) -> str:
    """What separates the cells: under it the lines have as many cells as the header."""
    best, most = SEPARATORS[0], 0
    for separator in SEPARATORS:
        sizes = []
        try:
            for row in _parse(text, separator):
                if row:
                    sizes.append(len(row))
                if len(sizes) == _LOOKED_AT:
                    break
        except csv.Error:
            continue
        equal = sum(size == sizes[0] for size in sizes) if sizes and sizes[0] > 1 else 0
        if equal > most:
            best, most = separator, equal
    return best


def _cell(row: Sequence[str], place: int) -> str:
    return row[place].strip() if place < len(row) else ""


def _column(name: str, place: int, rows: Sequence[Sequence[str]]) -> Column:
    numbers = np.array([_number(row[place]) for row in rows])
    cells = [rows[row][place].strip() for row in np.flatnonzero(np.isnan(numbers))]
    others = [cell for cell in cells if cell.lower() not in _HOLES]
    held = len(numbers) - len(cells) + len(others)
    commas = [cell for cell in others if _COMMA.fullmatch(cell)]
    if held == 0:
        kind = "empty"
    elif len(others) == held and all(cell.lower() in _TRUTHS for cell in others):
        kind = "numbers"
        numbers = np.array([_TRUTHS.get(row[place].strip().lower(), math.nan) for row in rows])
    else:
        kind = "text" if 2 * (len(others) - len(commas)) > held else "numbers"
    return Column(name, place, numbers, kind, next(iter(commas), None))


def _number(cell: str) -> float:
    """The number in a cell; NaN for anything else."""
    try:
        return float(cell) if "_" not in cell else math.nan
    except ValueError:
        return math.nan
