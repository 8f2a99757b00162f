# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of layers where several values meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.arena import empty
from dtdcore.blocked import Blocked, to_blocked, to_plain
from dtdcore.rules import Rule
from dtdcore.steps.base import RECEIVED, Step, Value
from dtdcore.steps.elementwise import check_rule, p_of, redistribute


class AddStep(Step):
    """y = Σ_i x_i; blocked if one of the summands is.

    All weights are 1: q_i = p_i for the terms of a rule. Without terms (w², flat) all q_i are 1.
    """

    plain = False
    joins = True

    def __init__(self, rule: Rule | None, dtype: np.dtype) -> None:
        self.rule = rule
        self.redistributes = rule is not None
        self.terms = () if rule is None else rule.terms()
        if rule is not None:
            check_rule(rule, dtype)

    def forward(self, *xs: Value) -> Value:
        return _sum(_alike(xs, 1))

    def trace(self, *xs: Value) -> tuple[Value, Any]:
        xs = _alike(xs, 1)
        y = _sum(xs)
        # Only rules with two terms share R_j out by the output.
        return y, ((xs, y if len(self.terms) > 1 else None) if self.terms else len(xs))

    def redistribute(self, saved: Any, relevance: Value, account: np.ndarray) -> Any:
        if not self.terms:
            account[:, :, RECEIVED] += _sums(relevance)
            return (_scaled(relevance, 1 / saved),) * saved
        xs, y = saved
        blocked = type(xs[0]) is Blocked
        relevance = to_blocked(relevance, 2) if blocked else to_plain(relevance)
        if blocked and any(term.low is not None for term in self.terms):
            xs, relevance, blocked = [to_plain(x) for x in xs], to_plain(relevance), False
            y = None if y is None else to_plain(y)
        terms = [
            ([p_of(term, _array(x), _nonnegative(x)) for x in xs], None) for term in self.terms
        ]
        a = None if y is None else _array(y)
        results = redistribute(self.rule, a, terms, _array(relevance), account)
        if blocked:
            return tuple(Blocked(result, relevance.channels, lead=2) for result in results)
        return tuple(results)

    def gradient(self, saved: Any, gradient: Value) -> tuple[Value, ...]:
        return (gradient,) * saved


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
            array = np.concatenate([x.array for x in xs], axis=1)
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


def _array(value: Value) -> np.ndarray:
    return value.array if type(value) is Blocked else value


def _nonnegative(value: Value) -> bool:
    return type(value) is Blocked and value.nonnegative


def _alike(values: Sequence[Value], lead: int) -> Sequence[Value]:
    """All values blocked if one of them is."""
    if any(type(value) is Blocked for value in values):
        return [to_blocked(value, lead) for value in values]
    return values


def _sum(values: Sequence[Value]) -> Value:
    arrays = [_array(value) for value in values]
    total = empty(arrays[0].shape, arrays[0].dtype)
    np.add(arrays[0], arrays[1] if len(arrays) > 1 else 0, out=total)
    for array in arrays[2:]:
        total += array
    if type(values[0]) is Blocked:
        return Blocked(total, values[0].channels, all(value.nonnegative for value in values))
    return total


def _scaled(value: Value, factor: float) -> Value:
    array = _array(value) * value.dtype.type(factor)
    return Blocked(array, value.channels, lead=2) if type(value) is Blocked else array


def _sums(value: Value) -> np.ndarray:
    """Σ_j R_j of each sample and target, in float64."""
    array = _array(value)
    return np.sum(array, axis=tuple(range(2, array.ndim)), dtype=np.float64)


def _after(axis: int, lead: int) -> int:
    """An axis of one sample as an axis of an array with `lead` axes before it."""
    return axis if axis < 0 else axis + lead
