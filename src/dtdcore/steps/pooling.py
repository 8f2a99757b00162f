# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of pools over windows of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arrays import kernels
from dtdcore.blocked import Blocked, to_blocked
from dtdcore.own_rules import shares_of, terms_of
from dtdcore.rules import Rule
from dtdcore.steps.base import RECEIVED, Step, Value, book_unshared
from dtdcore.steps.elementwise import check_rule, p_of
from dtdcore.terms import Term

Sizes = tuple[int, ...]

#: What a window makes of its pixels: dtd_pool_kind of the core.
MAX, SUM, AVERAGE, AVERAGE_PADDED, NORM = range(5)

#: p_i = 1 for every pixel: w² and flat, as all weights of a window are the same.
EQUAL = Term(0.0, 0.0, 0.0, 0.0, -1.0, -1.0)

#: Added to the rule of maxima over inputs, where relevance can arrive at windows that hold but 0.
EQUAL_AT_0 = ", also at 0"


@dataclass(frozen=True)
class PoolWindow:
    """Where the windows of a pool lie, one number for each spatial axis.

    Window v has the pixels v · stride + t · dilation - before, t = 0 … size - 1; those outside the
    image are skipped. With `ceil` a last window may reach beyond the padding, if it begins inside
    the image or the padding before it.
    """

    size: Sizes
    stride: Sizes
    dilation: Sizes
    before: Sizes
    after: Sizes
    ceil: bool = False

    @property
    def takes_one(self) -> bool:
        """Has every window one pixel, and is none of them padding?"""
        return {*self.size} == {1} and not (any(self.before) or any(self.after))

    def results(self, sizes: Sizes) -> Sizes:
        """Windows along each axis of an image of these sizes; below 1 where none fits."""
        counts = []
        for axis, pixels in enumerate(sizes):
            stride, before = self.stride[axis], self.before[axis]
            reach = self.dilation[axis] * (self.size[axis] - 1) + 1
            room = pixels + before + self.after[axis] - reach
            count = (-(-room // stride) if self.ceil else room // stride) + 1
            if self.ceil and (count - 1) * stride >= pixels + before:
                count -= 1
            counts.append(count)
        return tuple(counts)

    def numbers(self, n: int, k: int, channels: int, sizes: Sizes) -> tuple[int, ...]:
        """The core's dtd_window for n samples and k targets."""
        ones, zeros = (1,) * (3 - len(sizes)), (0,) * (3 - len(sizes))
        return (
            *(n, k, channels),
            *(*ones, *sizes),
            *(*ones, *self.results(sizes)),
            *(*ones, *self.size),
            *(*ones, *self.stride),
            *(*ones, *self.dilation),
            *(*zeros, *self.before),
            *(*zeros, *self.after),
        )


class PoolStep(Step):
    """y = max, sum, average or p-norm of the pixels of a window, and its gradient.

    Parameters
    ----------
    kind : int
        MAX, SUM, AVERAGE, AVERAGE_PADDED or NORM.
    p : float
        Of a norm.
    window : callable
        Spatial sizes -> `PoolWindow`.
    dtype : dtype
    """

    plain = False

    def __init__(
        self, kind: int, p: float, window: Callable[[Sizes], PoolWindow], dtype: np.dtype
    ) -> None:
        self.core = kernels(dtype)
        self.kind, self.p, self.window = kind, p, window

    def _pool(self, x: Blocked) -> Blocked:
        n, channels, *sizes = x.shape
        sizes = tuple(sizes)
        window = self.window(sizes)
        shape = (n, channels, *window.results(sizes))
        y = Blocked.empty(shape, x.dtype, x.nonnegative or self.kind == NORM)
        numbers = window.numbers(n, 1, channels, sizes)
        self.core.window_pool(numbers, self.kind, self.p, x.flat(), y.flat())
        return y

    def forward(self, x: Value) -> Blocked:
        return self._pool(to_blocked(x))

    def trace(self, x: Value) -> tuple[Blocked, Any]:
        x = to_blocked(x)
        return self._pool(x), x if self.kind in (MAX, NORM) else x.shape

    def gradient(self, saved: Any, gradient: Value) -> Blocked:
        x = saved if isinstance(saved, Blocked) else None
        shape = saved if x is None else x.shape
        gradient = to_blocked(gradient, 2)
        result, numbers = self._back(shape, gradient)
        flat = None if x is None else x.flat()
        self.core.window_pool_gradient(
            numbers, self.kind, self.p, flat, gradient.flat(), result.flat()
        )
        return result

    def _back(self, shape: Sizes, signal: Blocked) -> tuple[Blocked, tuple[int, ...]]:
        """Room for the signal of inputs of this shape, and the core's window."""
        n, channels, sizes = shape[0], shape[1], shape[2:]
        k = signal.shape[1]
        result = Blocked.empty((n, k, channels, *sizes), signal.dtype, lead=2)
        return result, self.window(sizes).numbers(n, k, channels, sizes)

    def _shares(
        self,
        x: Blocked,
        term: Term,
        kind: int,
        epsilon: float,
        relevance: Blocked,
        accumulate: bool,
        result: Blocked,
        account: np.ndarray,
    ) -> None:
        """R_i = p_i w s, s_j = R_j / (w Σ_i p_i) over the window of j, w the weight of `kind`."""
        numbers = self.window(x.spatial).numbers(*relevance.shape[:2], x.channels, x.spatial)
        lowest, low = 0.0, None
        if np.ndim(term.low) == 0:
            lowest = term.low or 0.0
        else:
            flat, _ = term.bounds(x.shape[1:], x.dtype)
            low = to_blocked(flat.reshape(1, *x.shape[1:])).flat()
        factor = (term.p_positive, term.p_negative, lowest)
        self.core.window_redistribute(
            numbers,
            kind,
            factor,
            low,
            epsilon,
            x.flat(),
            relevance.flat(),
            accumulate,
            result.flat(),
            account,
        )


class PickStep(PoolStep):
    """Windows of one pixel: each output is one of the inputs, and relevance goes back to it."""

    remembers = True

    def redistribute(self, saved: Any, relevance: Value, account: np.ndarray) -> Blocked:
        return self.gradient(saved, relevance)


class ChoicePoolStep(PoolStep):
    """Maximum and p-norm pools: relevance in proportion to |x_j|, or all to the winner.

    With `equal_at_0` nothing is lost at 0: pixels of a window that holds but 0 have equal shares,
    and a winner takes all that is 0 itself.
    """

    redistributes = True
    #: |x_j| = x⁺_j - x⁻_j.
    MAGNITUDE = Term(1.0, -1.0, 1.0, -1.0)

    def __init__(
        self,
        kind: int,
        p: float,
        window: Callable[[Sizes], PoolWindow],
        winner: bool,
        dtype: np.dtype,
        equal_at_0: bool = False,
    ) -> None:
        super().__init__(kind, p, window, dtype)
        self.winner, self.equal_at_0 = winner, equal_at_0

    def redistribute(self, saved: Blocked, relevance: Value, account: np.ndarray) -> Blocked:
        relevance = to_blocked(relevance, 2)
        at_0 = None
        if self.equal_at_0:
            relevance, at_0 = self._parted(saved, relevance)
        result, numbers = self._back(saved.shape, relevance)
        if self.winner:
            self.core.window_winner(
                numbers, self.kind == NORM, saved.flat(), relevance.flat(), result.flat(), account
            )
        else:
            self._shares(saved, self.MAGNITUDE, SUM, 0.0, relevance, False, result, account)
        if at_0 is not None and self.winner:
            result.array += self.gradient(saved, at_0).array
            axes = tuple(range(2, at_0.array.ndim))
            account[..., RECEIVED] += at_0.array.sum(axis=axes, dtype=np.float64)
        elif at_0 is not None:
            self._shares(saved, EQUAL, SUM, 0.0, at_0, True, result, account)
        return result

    def _parted(self, x: Blocked, relevance: Blocked) -> tuple[Blocked, Blocked | None]:
        """R_j of windows that lose nothing, and of those at 0, if there are such."""
        n, channels, *sizes = x.shape
        window = self.window(tuple(sizes))
        largest = Blocked.empty((n, channels, *window.results(tuple(sizes))), x.dtype)
        numbers = window.numbers(n, 1, channels, tuple(sizes))
        kind = MAX if self.winner else NORM
        self.core.window_pool(numbers, kind, np.inf, x.flat(), largest.flat())
        holds = largest.array[:, None] != 0
        if np.all(holds | (relevance.array == 0)):
            return relevance, None
        parts = []
        for where in (holds, ~holds):
            part = Blocked.empty(relevance.shape, relevance.dtype, lead=2)
            np.multiply(relevance.array, where, out=part.array)
            parts.append(part)
        return parts[0], parts[1]


class LinearPoolStep(PoolStep):
    """Sums and averages, linear layers with one weight a window, under a rule."""

    redistributes = True

    def __init__(
        self,
        kind: int,
        window: Callable[[Sizes], PoolWindow],
        rule: Rule,
        dtype: np.dtype,
    ) -> None:
        super().__init__(kind, 1.0, window, dtype)
        check_rule(rule, dtype)
        self.rule = rule
        self.terms = terms_of(rule) or (EQUAL,)

    def trace(self, x: Value) -> tuple[Blocked, Any]:
        x = to_blocked(x)
        y = self._pool(x)
        # only rules with two terms share R_j out by the output
        return y, (x, y if len(self.terms) > 1 else None)

    def redistribute(self, saved: Any, relevance: Value, account: np.ndarray) -> Blocked:
        x, y = saved
        relevance = to_blocked(relevance, 2)
        result, _ = self._back(x.shape, relevance)
        parts = [relevance]
        if len(self.terms) > 1:
            z = [self._pool(Blocked(p_of(term, x.array), x.channels)).array for term in self.terms]
            arrays = shares_of(self.rule, relevance.array, y.array, z)
            book_unshared(relevance.array, arrays, account)
            parts = [Blocked(array, relevance.channels, lead=2) for array in arrays]
        for number, (term, part) in enumerate(zip(self.terms, parts, strict=True)):
            self._shares(x, term, self.kind, self.rule.epsilon, part, number > 0, result, account)
        return result
