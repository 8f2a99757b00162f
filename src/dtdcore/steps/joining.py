# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of layers where several values meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.adding import added, alike, array_of
from dtdcore.arena import empty
from dtdcore.arrays import kernels
from dtdcore.blocked import Blocked, to_blocked, to_plain
from dtdcore.own_rules import terms_of
from dtdcore.rules import Rule
from dtdcore.steps.base import RECEIVED, Step, Value
from dtdcore.steps.elementwise import check_rule, p_of, redistribute

#: Summands that the core takes at once.
MOST_SUMMANDS = 8


class AddStep(Step):
    """y = Σ_i x_i; blocked if one of the summands is.

    All weights are 1: q_i = p_i for the terms of a rule. Without terms (w², flat) all q_i are 1.
    """

    plain = False
    joins = True

    def __init__(self, rule: Rule | None, dtype: np.dtype, ceiling: float | None = None) -> None:
        self.rule, self.ceiling = rule, ceiling
        self.redistributes = rule is not None
        self.terms = () if rule is None else terms_of(rule)
        if rule is not None:
            check_rule(rule, dtype)
        # the core has the common case: one term, no bounds
        simple = len(self.terms) == 1 and self.terms[0].low is None
        self.simple = self.terms[0] if simple else None
        self.counts = simple

    def forward(self, *xs: Value) -> Value:
        return added(xs, 1, self.ceiling)

    def trace(self, *xs: Value) -> tuple[Value, Any]:
        if self.rule is None:
            y = self.forward(*xs)
            return y, (len(xs), None if self.ceiling is None else y)
        if not self.terms:
            return self.forward(*xs), len(xs)
        xs = alike(xs, 1)
        if len(self.terms) == 1:
            return added(xs, 1, self.ceiling), (xs, None)
        a = added(xs, 1)  # rules with two terms share R_j out by it
        return a if self.ceiling is None else added([a], 1, self.ceiling), (xs, a)

    def redistribute(self, saved: Any, relevance: Value, account: np.ndarray) -> Any:
        if not self.terms:
            account[:, :, RECEIVED] += _sums(relevance)
            return (_scaled(relevance, 1 / saved),) * saved
        xs, y = saved
        blocked = type(xs[0]) is Blocked
        relevance = to_blocked(relevance, 2) if blocked else to_plain(relevance)
        if self.simple is not None and len(xs) <= MOST_SUMMANDS:
            results = self._shares(xs, array_of(relevance), account)
        else:
            if blocked and any(term.low is not None for term in self.terms):
                xs, relevance, blocked = [to_plain(x) for x in xs], to_plain(relevance), False
                y = None if y is None else to_plain(y)
            terms = [
                ([p_of(term, array_of(x), _nonnegative(x)) for x in xs], None)
                for term in self.terms
            ]
            a = None if y is None else array_of(y)
            results = redistribute(self.rule, a, terms, array_of(relevance), account)
        if blocked:
            return tuple(Blocked(result, relevance.channels, lead=2) for result in results)
        return tuple(results)

    def _shares(
        self, xs: Sequence[Value], relevance: np.ndarray, account: np.ndarray
    ) -> list[np.ndarray]:
        n, k = relevance.shape[:2]
        columns = math.prod(relevance.shape[2:])
        dtype = relevance.dtype
        results = [empty(relevance.shape, dtype) for _ in xs]
        kernels(dtype).share(
            [np.ascontiguousarray(array_of(x)).reshape(n, columns) for x in xs],
            self.simple.p_positive,
            self.simple.p_negative,
            self.rule.epsilon,
            float(np.finfo(dtype).max) / 4,
            np.ascontiguousarray(relevance).reshape(n, k, columns),
            [result.reshape(n, k, columns) for result in results],
            account,
        )
        return results

    def gradient(self, saved: Any, gradient: Value) -> tuple[Value, ...]:
        summands, y = saved
        if y is not None:
            blocked = type(y) is Blocked
            gradient = to_blocked(gradient, 2) if blocked else to_plain(gradient)
            inside = (array_of(y) > 0) & (array_of(y) < self.ceiling)
            masked = array_of(gradient) * inside[:, None]
            gradient = Blocked(masked, y.channels, lead=2) if blocked else masked
        return (gradient,) * summands


class ConcatStep(Step):
    """y = (x_1, x_2, …) along the channels, or another axis.

    Blocked while all parts but the last fill their blocks; else plain.
    """

    plain = False
    joins = True

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def _blocked(self, xs: Sequence[Value]) -> bool:
        return (
            self.axis == 0
            and all(type(x) is Blocked for x in xs)
            and all(x.channels % x.array.shape[-1] == 0 for x in xs[:-1])
        )

    def forward(self, *xs: Value) -> Value:
        if self._blocked(xs):
            first = xs[0].array
            blocks = sum(x.array.shape[1] for x in xs)
            array = empty((len(first), blocks, *first.shape[2:]), first.dtype)
            np.concatenate([x.array for x in xs], axis=1, out=array)
            channels = sum(x.channels for x in xs)
            return Blocked(array, channels, all(x.nonnegative for x in xs))
        return np.concatenate([to_plain(x) for x in xs], axis=_after(self.axis, 1))

    def trace(self, *xs: Value) -> tuple[Value, Any]:
        # What is saved tells how to cut: the numbers of channels, or sizes along the axis.
        return self.forward(*xs), [x.shape[_after(self.axis, 1)] for x in xs]

    def redistribute(self, saved: Any, relevance: Value, account: np.ndarray) -> Any:
        return self._cut(saved, relevance)

    def gradient(self, saved: Any, gradient: Value) -> tuple[Value, ...]:
        return self._cut(saved, gradient)

    def _cut(self, sizes: list[int], signal: Value) -> tuple[Value, ...]:
        if type(signal) is Blocked and self.axis == 0:
            block = signal.array.shape[-1]
            if all(size % block == 0 for size in sizes[:-1]):
                starts = np.cumsum(sizes[:-1]) // block
                parts = np.split(signal.array, starts, axis=2)
                return tuple(
                    Blocked(np.ascontiguousarray(part), size, lead=2)
                    for part, size in zip(parts, sizes, strict=True)
                )
        parts = np.split(to_plain(signal), np.cumsum(sizes[:-1]), axis=_after(self.axis, 2))
        return tuple(np.ascontiguousarray(part) for part in parts)


def _nonnegative(value: Value) -> bool:
    return type(value) is Blocked and value.nonnegative


def _scaled(value: Value, factor: float) -> Value:
    array = array_of(value) * value.dtype.type(factor)
    return Blocked(array, value.channels, lead=2) if type(value) is Blocked else array


def _sums(value: Value) -> np.ndarray:
    """Σ_j R_j of each sample and target, in float64."""
    array = array_of(value)
    return np.sum(array, axis=tuple(range(2, array.ndim)), dtype=np.float64)


def _after(axis: int, lead: int) -> int:
    """An axis of one sample as an axis of an array with `lead` axes before it."""
    return axis if axis < 0 else axis + lead
