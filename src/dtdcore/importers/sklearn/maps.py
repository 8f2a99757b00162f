# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Linear maps that stand in front of a model: x' = x A + c, in the forms that scalers have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


class Map:
    """A linear map of the columns of x (n, inputs)."""

    def apply(self, x: np.ndarray) -> np.ndarray:
        """x A + c."""
        raise NotImplementedError  # every map answers this

    def fold(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(w, b) of a layer behind the map as (A w, c w + b), which take x itself."""
        raise NotImplementedError  # every map answers this

    def split(self) -> tuple[Scale | None, Map | None]:
        """The scale and shift of each column by itself with which the map begins, and the rest."""
        return None, self


@dataclass(frozen=True, eq=False)
class Scale(Map):
    """x'_i = scale_i x_i + shift_i."""

    scale: np.ndarray
    shift: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """See `Map.apply`."""
        return x * self.scale + self.shift

    def fold(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Map.fold`."""
        return self.scale[:, None] * weight, bias + self.shift @ weight

    def split(self) -> tuple[Scale | None, Map | None]:
        """The map itself, and nothing: see `Map.split`."""
        return self, None


@dataclass(frozen=True, eq=False)
class Matrix(Map):
    """x' = x A + c."""

    matrix: np.ndarray
    offset: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """See `Map.apply`."""
        return x @ self.matrix + self.offset

    def fold(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Map.fold`."""
        return self.matrix @ weight, bias + self.offset @ weight


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

    def split(self) -> tuple[Scale | None, Map | None]:
        """Scales of columns that one branch alone takes, once."""
        uses = np.zeros(self.inputs, int)
        for columns, _, _ in self.branches:
            np.add.at(uses, columns, 1)
        scale, shift = np.ones(self.inputs), np.zeros(self.inputs)
        branches = []
        for columns, maps, outputs in self.branches:
            rest = maps
            if maps and np.all(uses[columns] == 1):
                first, behind = maps[0].split()
                if first is not None:
                    scale[columns], shift[columns] = first.scale, first.shift
                    rest = [*([] if behind is None else [behind]), *maps[1:]]
            branches.append((columns, rest, outputs))
        plain = np.all(scale == 1) and np.all(shift == 0)
        return None if plain else Scale(scale, shift), Parallel(self.inputs, branches)


def leading_scales(
    steps: Sequence[tuple[str, Map]],
) -> tuple[list[tuple[str, Scale]], list[tuple[str, Map]]]:
    """The scales with which a row of named maps begins, and the maps behind them."""
    scales: list[tuple[str, Scale]] = []
    rest = list(steps)
    while rest:
        name, first = rest[0]
        scale, behind = first.split()
        if scale is not None:
            scales.append((name, scale))
        rest = rest[1:]
        if behind is not None:
            later = _through_selection(behind, rest[0][1]) if rest else None
            if later is None:
                return scales, [(name, behind), *rest]
            rest = [(rest[0][0], later), (name, behind), *rest[1:]]
    return scales, rest


def _through_selection(selection: Map, scale: Map) -> Scale | None:
    """The scale that can stand before a selection of columns instead of behind it, if one can."""
    if not isinstance(selection, Parallel) or not isinstance(scale, Scale):
        return None
    if any(maps for _, maps, _ in selection.branches):
        return None
    columns = np.concatenate([chosen for chosen, _, _ in selection.branches])
    if len(set(columns.tolist())) < len(columns):
        return None
    whole = Scale(np.ones(selection.inputs), np.zeros(selection.inputs))
    whole.scale[columns], whole.shift[columns] = scale.scale, scale.shift
    return whole


def dense(values: Any) -> np.ndarray:
    """What a transformer gives, as an array: it may be a sparse matrix, or a table."""
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values)
