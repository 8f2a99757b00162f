# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Tables with names in the first line (.csv) as numbers."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def read_table(
    path: str | os.PathLike, columns: Sequence[str] | None = None
) -> tuple[np.ndarray, list[str]]:
    """The numbers of a table with a header: rows (n, columns) in float64, and the columns' names.

    Parameters
    ----------
    path : path
        Comma-separated, UTF-8.
    columns : sequence of str, optional
        The columns to take, in this order; by default all in which any cell is a number.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a cell that is taken is missing or no finite number, naming row and column, a column is
        unknown, or the file is no table with a header.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header, *table = csv.reader(file, strict=True)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no comma-separated table in UTF-8: {error}") from None
    except ValueError:  # no line to unpack
        raise ValueError(f"{path} is empty: expected a header and rows of numbers") from None
    names = [name.strip() for name in header]
    table = [row for row in table if row]
    _check(path, names, table)
    if columns is None:
        chosen = [j for j in range(len(names)) if any(not math.isnan(_number(r[j])) for r in table)]
        if not chosen:
            raise ValueError(f"{path} has no column of numbers; it has {', '.join(names)}")
    else:
        unknown = [name for name in columns if name not in names]
        if unknown:
            raise ValueError(
                f"{path} has no column {', '.join(map(repr, unknown))}; it has {', '.join(names)}"
            )
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise ValueError(f"the columns {', '.join(map(repr, twice))} are asked for twice")
        chosen = [names.index(name) for name in columns]
    if all(not math.isnan(_number(names[j])) for j in chosen):
        raise ValueError(
            f"{path} begins with numbers ({', '.join(names[j] for j in chosen[:4])}): the first "
            "line must hold the names of the columns"
        )
    values = np.array([[_number(row[j]) for j in chosen] for row in table])
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, place = map(int, wrong[0])
        cell = table[row][chosen[place]]
        what = f"{cell!r}, which is no finite number" if cell.strip() else "nothing"
        hint = "" if columns is not None else "; leave the column out with --columns"
        raise ValueError(
            f"{path}: row {row + 1} holds {what} in the column {names[chosen[place]]!r} "
            f"(rows count from 1 below the header){hint}"
        )
    return values, [names[j] for j in chosen]


def _check(path: str | os.PathLike, names: list[str], table: list[list[str]]) -> None:
    if not table:
        raise ValueError(f"{path} has no rows below its header")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path} has more than one column {', '.join(map(repr, twice))}")
    for number, row in enumerate(table, 1):
        if len(row) != len(names):
            raise ValueError(
                f"{path}: row {number} has {len(row)} cells, the header of {Path(path).name} has "
                f"{len(names)} (they are separated by commas)"
            )


def _number(cell: str) -> float:
    """The number in a cell; NaN for anything else."""
    try:
        return float(cell)
    except ValueError:
        return math.nan
