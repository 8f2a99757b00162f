# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Columns of a table as the numbers that a network takes: holes filled, categories encoded.

A network with an `Encoder` takes the original columns, texts and holes among them. It runs on the
encoded columns, and what a column's numbers receive, such as those of a one-hot group, is summed:
R_column = Σ_j R_j over the encoded columns j that it became.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dtdcore.domains import Box, Domain
from dtdcore.foreign import is_missing
from dtdcore.frames import (
    by_name,
    check_holes,
    in_order,
    is_frame,
    is_series,
    labels_of,
    listed,
    numeric,
    point_labels,
)

#: Keys of holes in the table of a column.
HOLES = ("a hole",)


@dataclass(frozen=True, eq=False)
class Column:
    """What becomes of one original column, or one of the things that become of it."""

    #: The number of the original column.
    source: int
    #: What marks a hole, and what it is filled with, one after the other.
    fills: tuple[tuple[Any, Any], ...] = ()
    #: The encoded numbers (w,) of each category; None: the column is a number itself.
    table: Mapping[Any, np.ndarray] | None = None
    #: Those of all other categories; None: these are an error.
    unknown: np.ndarray | None = None
    #: Not the value but whether it is a hole, as 1 or 0.
    indicator: bool = False

    @property
    def width(self) -> int:
        """How many encoded columns it becomes."""
        if self.table is None:
            return 1
        return len(next(iter(self.table.values())))

    @property
    def plain(self) -> bool:
        """Is it taken as it stands?"""
        return not self.fills and self.table is None

    @property
    def takes_holes(self) -> bool:
        """Are holes filled, and by what is encoded?"""
        if not self.fills:
            return False
        known = self.table is None or self.unknown is not None
        return known or key_of(self.fills[0][1]) in self.table

    def filled(self, marker: Any, value: Any) -> Column:
        """The column with holes filled."""
        return replace(self, fills=(*self.fills, (marker, value)))

    def encode(self, values: np.ndarray, name: str, default: np.dtype) -> np.ndarray:
        """Original values (n,) as numbers (n, width).

        Raises
        ------
        ValueError
            If a value is a hole that nothing fills, or a category that is not known.
        TypeError
            If it should be a number and is none.
        """
        if self.indicator:
            return holes(values, self.fills[0][0])[:, None].astype(default)
        if self.table is None:
            column = numeric(values, name, default)
            for marker, value in self.fills:
                column = np.where(holes(column, marker), column.dtype.type(value), column)
            check_holes(column, name)
            return column[:, None]
        values = np.array(values, dtype=object)
        for marker, value in self.fills:
            values[holes(values, marker)] = value
        return self._looked_up(values, name).astype(default)

    def _looked_up(self, values: np.ndarray, name: str) -> np.ndarray:
        result = np.empty((len(values), self.width))
        for row, value in enumerate(values):
            found = self.table.get(key_of(value), self.unknown)
            if found is None:
                known = [repr(_shown(key)) for key in list(self.table)[:20]]
                more = ", ..." if len(self.table) > 20 else ""
                raise ValueError(
                    f"{name} holds {_shown(key_of(value))!r} in row {row}, which is not among the "
                    f"categories {', '.join(known)}{more}"
                )
            result[row] = found
        return result


def key_of(value: Any) -> Any:
    """A category as the key of a table: equal numbers are one, and so are holes of one kind."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return None
    return HOLES if is_missing(value) or value != value else value


def _shown(key: Any) -> Any:
    return "nan" if key is HOLES else key


def holes(values: np.ndarray, marker: Any) -> np.ndarray:
    """Which values are the marker of holes: NaN (and pandas' NA), None, or any other value."""
    wanted = key_of(marker)
    if values.dtype.kind == "f":
        return np.isnan(values) if wanted is HOLES else values == wanted
    return np.array([key_of(value) == wanted for value in values.tolist()], bool)


@dataclass(frozen=True, eq=False)
class Encoder:
    """Original columns as encoded ones.

    Parameters
    ----------
    columns : sequence of Column
        In the order of the encoded columns.
    count : int
        Original columns.
    names : sequence of str
        Their names; empty where they have none.
    """

    columns: Sequence[Column]
    count: int
    names: Sequence[str] = ()

    @property
    def sources(self) -> np.ndarray:
        """The original column of each encoded one."""
        return np.repeat([c.source for c in self.columns], [c.width for c in self.columns])

    def name(self, source: int) -> str:
        """What an original column is called in texts."""
        return self.names[source] if self.names else f"x{source}"

    def raw(self, x: Any) -> list[np.ndarray]:
        """The original columns, (n,) each, as they are given.

        Raises
        ------
        ValueError, TypeError
            If `x` is no table of these columns.
        """
        if is_series(x):
            raise TypeError(f"x is a {type(x).__name__}: give a table, such as x.to_frame().T")
        if is_frame(x):
            labels = labels_of(x, "x")
            labels = in_order(labels, self.names, "x") if self.names else labels
            columns = [np.asarray(x[label]) for label in labels]
            shape = (len(x), len(columns))
        else:
            array = x if isinstance(x, np.ndarray) else np.array(x, dtype=object)
            columns, shape = list(array.T) if array.ndim == 2 else [], array.shape
        if len(shape) != 2 or shape[1] != self.count:
            raise ValueError(
                f"x must have shape (n, {self.count}), the original columns, got {shape}"
            )
        return columns

    def original(self, x: Any) -> np.ndarray:
        """The original values as they are given, (n, columns) of objects."""
        return np.stack([column.astype(object) for column in self.raw(x)], axis=1)

    def encode(self, x: Any, default: np.dtype) -> np.ndarray:
        """The encoded columns, (n, encoded columns) of float32 or float64.

        Numbers keep their dtype, whole numbers and categories become `default`.

        Raises
        ------
        ValueError, TypeError
            If `x` is no table of these columns, naming the column.
        """
        raw = self.raw(x)
        parts = [
            column.encode(raw[column.source], f"x[{self.name(column.source)!r}]", default)
            for column in self.columns
        ]
        floats = [
            part.dtype for c, part in zip(self.columns, parts, strict=True) if c.table is None
        ]
        dtype = np.result_type(*floats) if floats else default
        return np.concatenate(parts, axis=1, dtype=dtype, casting="same_kind")

    def sums(self, relevance: np.ndarray) -> np.ndarray:
        """R_j (..., encoded columns) summed over what each original column became."""
        result = np.zeros((*relevance.shape[:-1], self.count))
        for place, source in enumerate(self.sources):
            result[..., source] += relevance[..., place]
        return result.astype(relevance.dtype)

    def domain(self, domain: Domain) -> Domain:
        """The domain of the encoded columns: of numbers that given, of categories what they become.

        Raises
        ------
        ValueError
            If a box has arrays without names though categories have no bounds, or its names are not
            those of the columns that are numbers.
        """
        if not isinstance(domain, Box):
            return domain
        numbers = sorted({c.source for c in self.columns if c.table is None and not c.indicator})
        known = [self.name(source) for source in numbers]
        box = domain if domain.names is None else domain.in_order(known)
        columns = len(known)
        if domain.names is None and all(column.table is None for column in self.columns):
            numbers, columns = list(range(self.count)), self.count
        elif domain.names is None and any(np.ndim(b) > 0 for b in (box.low, box.high, box.origin)):
            raise ValueError(
                "the bounds of a network that encodes categories go by name: Box({name: low, ...}, "
                f"{{name: high, ...}}) for the columns {listed(known)}"
            )
        bounds = []
        for bound, least in ((box.low, True), (box.high, False), (box.origin, None)):
            if bound is None:
                bounds.append(None)
                continue
            if np.shape(bound) not in ((), (columns,)):
                raise ValueError(
                    f"a bound must be one number, or one for each of the {columns} original "
                    f"columns, got shape {np.shape(bound)}"
                )
            values = dict(zip(numbers, np.broadcast_to(bound, columns), strict=True))
            bounds.append(
                np.concatenate([self._bound(column, values, least) for column in self.columns])
            )
        return Box(*bounds)

    @staticmethod
    def _bound(column: Column, values: Mapping[int, float], least: bool | None) -> np.ndarray:
        if column.table is None and not column.indicator:
            return np.array([values[column.source]])
        rows = [np.zeros(1), np.ones(1)] if column.indicator else [*column.table.values()]
        rows += [] if column.unknown is None else [column.unknown]
        if least is None:
            return np.zeros(column.width)
        ends = np.min(rows, axis=0) if least else np.max(rows, axis=0)
        return np.minimum(ends, 0) if least else np.maximum(ends, 0)

    def point(self, value: Any, name: str) -> Any:
        """A root or baseline: numbers as they are, what has the original columns encoded.

        Raises
        ------
        ValueError, TypeError
            If it is neither.
        """
        if np.ndim(value) == 0 and point_labels(value) is None:
            return value
        if isinstance(value, Mapping) or (point_labels(value) is not None and not is_frame(value)):
            if not self.names:
                return by_name(value, (), name)
            labels = in_order(point_labels(value), self.names, name)
            given = dict(zip(point_labels(value), _values(value), strict=True))
            value = np.array([[given[str(label)] for label in labels]], dtype=object)
        elif not is_frame(value) and np.ndim(value) == 1:
            value = np.asarray(value, dtype=object)[None]
        encoded = self.encode(value, np.dtype(np.float64))
        return encoded[0] if len(encoded) == 1 else encoded

    def notes(self) -> list[str]:
        """What becomes of the columns, in words."""
        texts: dict[int, list[str]] = {}
        for column in self.columns:
            said = texts.setdefault(column.source, [])
            said += [f"holes become {value!r}" for _, value in column.fills if not column.indicator]
            if column.table is not None:
                numbers = "number" + "s" * (column.width != 1)
                said.append(f"{len(column.table)} categories, {column.width} {numbers}")
        return [
            f"column {self.name(source)}: {', '.join(dict.fromkeys(said))}"
            for source, said in sorted(texts.items())
            if said
        ]


def _values(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else list(np.asarray(value))
