# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Input domains: where the inputs of a network can lie.

The domain decides where a root point may be searched, and so which rule redistributes relevance
onto the inputs (Montavon et al. 2017, one-layer networks): all of ℝ^d gives the w²-rule, ℝ₊^d the
z⁺-rule, a box the z^B-rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from dtdcore.arrays import (
    ArrayFields,
    all_within,
    as_bound,
    as_float,
    check_finite,
    check_range,
    lacking,
    rows,
)
from dtdcore.frames import by_name, in_order, listed, point_labels

#: A number outside a bound by no more than this many units in the last place is there by rounding,
#: as in columns that were scaled to [0, 1]: it counts as the bound.
ULPS = 64


class Domain:
    """Base of all input domains: a closed, convex set, with 0 in it where no origin is given."""

    def bounds(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound as flat arrays of one number or one per number of an input.

        Parameters
        ----------
        shape : tuple of int
            Shape of one input, without the batch axis.
        dtype : numpy.dtype
            The dtype of the bounds.

        Raises
        ------
        ValueError
            If the domain's arrays do not broadcast to `shape`.
        """
        raise lacking(self, "Domain", "bounds(shape, dtype): the lower and the upper bound")

    def check(self, x: np.ndarray, name: str = "x") -> np.ndarray:
        """`x` (n, *shape) with every number in the domain.

        That is x itself, or a copy where numbers outside by rounding are set to the bound: by up
        to 64 units in the last place of the larger bound (of the largest number in x where a bound
        is infinite).

        Raises
        ------
        ValueError
            If another number is outside, or not finite: the error names the first.
        """
        low, high = self.bounds(x.shape[1:], x.dtype)
        if not all_within(x, low, high):
            flat = rows(x)
            beyond = self.outside(x)
            x = np.where(beyond, flat, np.clip(flat, low, high)).reshape(x.shape)
            check_range(x, name, low, high, self)
        return x

    def outside(self, x: Any, tolerance: float = 0.0) -> np.ndarray:
        """Which numbers of `x` (n, *shape) are outside, or not finite? (n, prod(shape)) bool.

        Rounding (see `check`) does not count, nor an absolute distance of `tolerance`.
        """
        x = as_float(x, "x")
        low, high = self.bounds(x.shape[1:], x.dtype)
        flat = rows(x)
        finite = np.isfinite(flat)
        scale = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
        if not np.all(np.isfinite(scale)):
            largest = np.max(np.abs(flat), where=finite, initial=0.0)
            scale = np.where(np.isfinite(scale), scale, largest)
        room = tolerance + ULPS * float(np.finfo(x.dtype).eps) * scale
        return ~finite | (flat < low - room) | (flat > high + room)

    def contains(self, x: Any, tolerance: float = 0.0) -> np.ndarray:
        """For every sample of `x` (n, *shape): does it lie in the domain? (n,) bool.

        `tolerance` is an absolute distance by which each number may be outside, beside rounding
        (see `check`).
        """
        return ~np.any(self.outside(x, tolerance), axis=1)

    def project(self, x: Any) -> np.ndarray:
        """The point of the domain nearest to each sample of `x` (n, *shape): min(max(x, l), h)."""
        x = as_float(x, "x")
        low, high = self.bounds(x.shape[1:], x.dtype)
        return np.clip(rows(x), low, high).reshape(x.shape)


@dataclass(frozen=True)
class Reals(Domain):
    """All of ℝ^d: nothing is known of the inputs. Gives the w²-rule."""

    def bounds(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """-∞ and ∞: see `Domain.bounds`."""
        return _one_number(-np.inf, dtype), _one_number(np.inf, dtype)

    def check(self, x: np.ndarray, name: str = "x") -> np.ndarray:
        """`x`, or a ValueError that names its first value that is not finite."""
        check_finite(x, name)
        return x


@dataclass(frozen=True)
class NonNegative(Domain):
    """ℝ₊^d: x ≥ 0, as ReLU neurons give it. Gives the z⁺-rule."""

    def bounds(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """0 and ∞: see `Domain.bounds`."""
        return _one_number(0.0, dtype), _one_number(np.inf, dtype)


@dataclass(frozen=True, eq=False, repr=False)
class Box(ArrayFields, Domain):
    """l ≤ x ≤ h, as pixels have it. Gives the z^B-rule.

    Parameters
    ----------
    low, high : float, array, dict, Series or table of one row
        l ≤ 0 ≤ h, finite. Arrays broadcast to one input, without the batch axis: a box that
        differs by colour channel has shape (channels, 1, 1). What goes by the names of columns
        (and then all that is no single number must) is put in the order of
        `network.feature_names`.
    origin : float or array, optional
        For boxes without 0, such as ages from 18 to 80: the input that means nothing, l ≤ origin ≤
        h, such as the mean of the columns. The z^B-rule itself does not change. Its root points lie
        in the box where neurons are silent at the origin: at 0 those are the neurons with b_j ≤ 0.
    names : sequence of str, optional
        The columns that arrays are for, in their order, so that a network can put them in its own.

    Raises
    ------
    ValueError
        Unless l ≤ 0 ≤ h (l ≤ origin ≤ h) everywhere and all numbers are finite.

    Notes
    -----
    A network may begin with scales and shifts of its inputs, x'_i = s_i x_i + t_i: a scaler, or the
    normalisation of an image. The box is that of the inputs x as they come. It is mapped with them,
    to [s l + t, s h + t] (the ends change places where s < 0), and what comes out must hold 0 again
    unless an origin is given. z^B does not depend on such maps: for w'_ij = s_i w_ij it is

        (x'_i - l'_i) w⁺_ij + (x'_i - h'_i) w⁻_ij = (x_i - l_i) w'⁺_ij + (x_i - h_i) w'⁻_ij
    """

    low: Any
    high: Any
    origin: Any = None
    names: Any = None

    def __post_init__(self) -> None:
        given = {"low": self.low, "high": self.high}
        given |= {} if self.origin is None else {"origin": self.origin}
        names = None if self.names is None else [str(name) for name in self.names]
        names = next(filter(None, [names, *map(point_labels, given.values())]), None)
        for name, value in given.items():
            placed = self.names is None and np.ndim(value) > 0 and point_labels(value) is None
            if names is not None and placed:
                raise ValueError(f"{name} must go by the names {listed(names)} as the others do")
            bound = by_name(value, names or (), name)
            object.__setattr__(self, name, as_bound(bound, name))
            if names is not None and np.shape(getattr(self, name)) not in ((), (len(names),)):
                raise ValueError(
                    f"{name} must be one number, or one for each of the {len(names)} names, got "
                    f"shape {np.shape(bound)}"
                )
        object.__setattr__(self, "names", None if names is None else tuple(names))
        check_box(self.low, self.high, self.origin)

    def in_order(self, names: Sequence[str]) -> Box:
        """The box of columns in this order.

        Raises
        ------
        ValueError
            If a name is missing or superfluous, or none are known.
        """
        if not names:
            raise ValueError(
                f"the box is that of the columns {listed(self.names)}, and the network knows no "
                "names of its columns: give arrays in their order, or set network.feature_names"
            )
        labels = list(self.names)
        order = [labels.index(name) for name in in_order(labels, names, "the box")]
        return Box(
            *(
                bound if bound is None or np.ndim(bound) == 0 else bound[order]
                for bound in (self.low, self.high, self.origin)
            )
        )

    def bounds(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """`low` and `high`: see `Domain.bounds`."""
        if self.names is not None:
            self.in_order(())  # an explainer would have put them in the order of its network
        return flat_bound(self.low, "low", shape, dtype), flat_bound(
            self.high, "high", shape, dtype
        )


def check_box(
    low: float | np.ndarray, high: float | np.ndarray, origin: float | np.ndarray | None = None
) -> None:
    """Raise a ValueError unless low ≤ 0 ≤ high, or low ≤ origin ≤ high where one is given."""
    if origin is None:
        if np.any(np.asarray(low) > 0) or np.any(np.asarray(high) < 0):
            raise ValueError(
                f"a box needs low <= 0 <= high (the method's z^B-rule holds for such boxes), "
                f"got low up to {np.max(low):g} and high down to {np.min(high):g}; a box without 0 "
                f"needs an origin, the input that means nothing: Box(low, high, origin=...)"
            )
        return
    try:
        low, high, origin = np.broadcast_arrays(low, high, origin)
    except ValueError:
        shapes = f"{np.shape(low)}, {np.shape(high)} and {np.shape(origin)}"
        raise ValueError(
            f"low, high and origin must fit each other, got arrays of shapes {shapes}"
        ) from None
    outside = (origin < low) | (origin > high)
    if np.any(outside):
        first = np.unravel_index(np.argmax(outside), outside.shape)
        place = f"[{', '.join(map(str, map(int, first)))}]" if first else ""
        raise ValueError(
            f"a box needs low <= origin <= high, got origin{place} = {origin[first]:g} and "
            f"[{low[first]:g}, {high[first]:g}]"
        )


def flat_bound(
    bound: float | np.ndarray, name: str, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """A bound as a flat array of length 1 or prod(shape), rounded to `dtype`."""
    if isinstance(bound, float):
        return _one_number(bound, dtype)
    try:
        return np.broadcast_to(bound, shape).astype(dtype).reshape(-1)
    except ValueError:
        raise ValueError(
            f"{name} has shape {np.shape(bound)}, which does not broadcast to one input's {shape}"
        ) from None


@lru_cache(maxsize=256)
def _one_number(bound: float, dtype: np.dtype) -> np.ndarray:
    array = np.array([bound], dtype)
    array.flags.writeable = False
    return array
