# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Linear maps that stand in front of a model: x' = x A + c, in the forms that scalers have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Further from 0, in units of x', columns are shifted before they are scaled.
FAR = 100.0

#: Numbers behind a scale are of the order of 1: a mean smaller than this is rounding.
NO_CENTRE = 1e-9

#: Means of a column that differ by no more, relative to them, are the same.
SAME = 1e-6


class Map:
    """A linear map of the columns of x (n, inputs)."""

    def apply(self, x: np.ndarray) -> np.ndarray:
        """x A + c."""
        raise NotImplementedError  # every map answers this

    def fold(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(w, b) of a layer behind the map as (A w, c w + b), which take x itself."""
        raise NotImplementedError  # every map answers this

    def home(self, inputs: int) -> np.ndarray:
        """Where columns lie, as far as the map knows: what a scaler makes 0 of."""
        return np.zeros(inputs)

    def split(self) -> tuple[Scale | None, Map | None]:
        """The scale and shift of each column by itself with which the map begins, and the rest."""
        return None, self


@dataclass(frozen=True, eq=False)
class Scale(Map):
    """x'_i = scale_i (x_i - centre_i) + shift_i."""

    scale: np.ndarray
    shift: np.ndarray
    centre: np.ndarray

    @classmethod
    def of(cls, inputs: int, scale: Any = None, shift: Any = None, centre: Any = None) -> Scale:
        """With 1, 0 and 0 for what is not given."""
        given = ((scale, 1.0), (shift, 0.0), (centre, 0.0))
        return cls(
            *(np.full(inputs, none) if one is None else np.array(one, float) for one, none in given)
        )

    def affines(self, dtype: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """(factor, term) of one layer, or two, that compute the map in `dtype`.

        Where x lies far from 0, digits cancel in factor · x + term. There x is shifted first, by a
        number that `dtype` has: that difference is exact.
        """
        term = self.shift - self.centre * self.scale
        if np.any(self.scale != 1) and np.all(np.abs(term) <= FAR):
            return [(self.scale, term)]
        home = self.home(len(self.scale)).astype(dtype).astype(np.float64)
        rest = self.scale, self.shift + (home - self.centre) * self.scale
        shift = np.ones_like(home), -home
        return [shift] if np.all(rest[0] == 1) and not np.any(rest[1]) else [shift, rest]

    def apply(self, x: np.ndarray) -> np.ndarray:
        """See `Map.apply`."""
        for factor, term in self.affines(np.float64):
            x = x * factor + term
        return x

    def fold(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Map.fold`."""
        term = self.shift - self.centre * self.scale
        return self.scale[:, None] * weight, bias + term @ weight

    def home(self, inputs: int) -> np.ndarray:
        """See `Map.home`."""
        return self.centre - self.shift / np.where(self.scale == 0, 1, self.scale)

    def split(self) -> tuple[Scale | None, Map | None]:
        """The map itself, and nothing: see `Map.split`."""
        return self, None

    def on(self, chosen: np.ndarray) -> Scale:
        """The map on some columns (a mask), the others as they are."""
        return Scale(
            np.where(chosen, self.scale, 1),
            np.where(chosen, self.shift, 0),
            np.where(chosen, self.centre, 0),
        )

    def placed(self, columns: np.ndarray, whole: Scale, chosen: Any = slice(None)) -> None:
        """Write the map, or what is chosen of it, into these columns of a wider one."""
        for name in ("scale", "shift", "centre"):
            getattr(whole, name)[columns[chosen]] = getattr(self, name)[chosen]

    def changes(self) -> bool:
        """Is it anything but the identity?"""
        return bool(np.any(self.scale != 1) or np.any(self.shift) or np.any(self.centre))

    def is_nothing(self) -> bool:
        """Is it no more than a shift by rounding, as a mean is behind a scaler?"""
        plain = np.all(self.scale == 1) and not np.any(self.shift)
        return bool(plain and np.all(np.abs(self.centre) <= NO_CENTRE))


@dataclass(frozen=True, eq=False)
class Matrix(Map):
    """x' = (x - centre) A + c."""

    matrix: np.ndarray
    offset: np.ndarray
    centre: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """See `Map.apply`."""
        return (x - self.centre) @ self.matrix + self.offset

    def fold(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Map.fold`."""
        weight, bias = self.matrix @ weight, bias + self.offset @ weight
        return weight, bias - self.centre @ weight

    def home(self, inputs: int) -> np.ndarray:
        """See `Map.home`."""
        return self.centre

    def split(self) -> tuple[Scale | None, Map | None]:
        """The shift by the centre, and the matrix: see `Map.split`."""
        if not np.any(self.centre):
            return None, self
        inputs = len(self.centre)
        shift = Scale.of(inputs, centre=self.centre)
        return shift, Matrix(self.matrix, self.offset, np.zeros(inputs))


@dataclass(frozen=True, eq=False)
class Parallel(Map):
    """Branches that take some columns each, and whose results stand side by side.

    A selection of columns is one branch without maps.
    """

    inputs: int
    #: For each branch its columns, what is done with them, and how many columns result.
    branches: Sequence[tuple[np.ndarray, Sequence[Map], int]]

    def apply(self, x: np.ndarray) -> np.ndarray:
        """See `Map.apply`."""
        parts = []
        for columns, maps, _ in self.branches:
            part = x[:, columns]
            for one in maps:
                part = one.apply(part)
            parts.append(part)
        return np.concatenate(parts, axis=1)

    def fold(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Map.fold`."""
        whole = np.zeros((self.inputs, weight.shape[1]))
        start = 0
        for columns, maps, outputs in self.branches:
            part = weight[start : start + outputs]
            start += outputs
            for one in reversed(maps):
                part, bias = one.fold(part, bias)
            np.add.at(whole, columns, part)
        return whole, bias

    def home(self, inputs: int) -> np.ndarray:
        """See `Map.home`."""
        whole = np.zeros(inputs)
        for columns, maps, _ in self.branches:
            if maps:
                whole[columns] = maps[0].home(len(columns))
        return whole

    def split(self) -> tuple[Scale | None, Map | None]:
        """Scales of the columns that one branch alone takes, and centres that branches share."""
        uses = np.zeros(self.inputs, int)
        for columns, _, _ in self.branches:
            np.add.at(uses, columns, 1)
        whole = Scale.of(self.inputs, centre=np.where(uses > 1, self._shared_centre(), 0))
        branches = []
        for columns, maps, outputs in self.branches:
            own, rest = uses[columns] == 1, list(maps)
            first, behind = maps[0].split() if maps else (None, None)
            if first is not None:
                first.placed(columns, whole, own)
                rest = [] if behind is None else [behind]
                if not own.all():  # the others are scaled in the branch
                    inner = first.on(~own)
                    centre = inner.centre - np.where(own, 0, whole.centre[columns])
                    rest = [Scale(inner.scale, inner.shift, centre), *rest]
                rest += maps[1:]
            branches.append((columns, rest, outputs))
        return (whole, Parallel(self.inputs, branches)) if whole.changes() else (None, self)

    def _shared_centre(self) -> np.ndarray:
        """The centre of each column on which all branches that take it agree; else 0."""
        low, high = np.full(self.inputs, np.inf), np.full(self.inputs, -np.inf)
        for columns, maps, _ in self.branches:
            first = maps[0].split()[0] if maps else None
            home = np.zeros(len(columns)) if first is None else first.home(len(columns))
            np.minimum.at(low, columns, home)
            np.maximum.at(high, columns, home)
        taken = np.isfinite(low)
        low, high = np.where(taken, low, 0), np.where(taken, high, 0)
        return np.where(high - low <= SAME * np.abs(high), low, 0)


def leading_scales(
    steps: Sequence[tuple[str, Map]],
) -> tuple[list[tuple[str, Scale]], list[tuple[str, Map]]]:
    """The scales with which a row of named maps begins, and the maps behind them."""
    scales: list[tuple[str, Scale]] = []
    rest = list(steps)
    while rest:
        (name, first), *later = rest
        scale, behind = first.split()
        if scale is not None and not (scales and scale.is_nothing()):
            scales.append((name, scale))
            rest = later if behind is None else [(name, behind), *later]
            continue
        swapped = _through_selection(first, *later[0]) if later else None
        if swapped is None:
            break
        rest = [swapped[0], (name, first), *swapped[1:], *later[1:]]
    return scales, rest


def _through_selection(selection: Map, name: str, later: Map) -> list[tuple[str, Map]] | None:
    """What comes behind a selection of columns as a scale before it, and the rest; None: cannot."""
    if not isinstance(selection, Parallel) or any(maps for _, maps, _ in selection.branches):
        return None
    scale, behind = later.split()
    columns = np.concatenate([chosen for chosen, _, _ in selection.branches])
    if scale is None or scale.is_nothing() or len(set(columns.tolist())) < len(columns):
        return None
    whole = Scale.of(selection.inputs)
    scale.placed(columns, whole)
    return [(name, whole), *([] if behind is None else [(name, behind)])]


def dense(values: Any) -> np.ndarray:
    """What a transformer gives, as an array: it may be a sparse matrix, or a table."""
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values)
