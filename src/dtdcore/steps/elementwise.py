# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Rules for linear layers in which an output is made of a few inputs in the same place.

    z = Σ_i q_i + q_bias        s = R / z        R_i = q_i s

for each number alone: sums of values, and scales and shifts.
"""

from __future__ import annotations

import math

import numpy as np

from dtdcore.arena import empty
from dtdcore.arrays import kernels
from dtdcore.own_rules import shares_of
from dtdcore.rules import Rule
from dtdcore.steps.base import book_unshared
from dtdcore.terms import Term

#: The shares of one term: q_i of each input (n, *shape), and that of the bias (*shape) or None.
Shares = tuple[list[np.ndarray], np.ndarray | None]


def check_rule(rule: Rule, dtype: np.dtype) -> None:
    """Raise a ValueError if the dtype cannot hold the rule's ε."""
    limits = np.finfo(dtype)
    if rule.epsilon and not limits.smallest_subnormal <= rule.epsilon <= limits.max:
        raise ValueError(f"epsilon={rule.epsilon:g} is no number above 0 in {dtype}")


def weighted(x: np.ndarray, positive: float, negative: float) -> np.ndarray:
    """positive · x⁺ + negative · x⁻."""
    dtype = x.dtype.type
    if positive == negative:
        return x if positive == 1 else np.multiply(x, dtype(positive), out=_room(x))
    above = np.maximum(x, 0, out=_room(x)) if positive else None
    below = np.minimum(x, 0, out=_room(x)) if negative else None
    if above is not None and positive != 1:
        above *= dtype(positive)
    if below is not None and negative != 1:
        below *= dtype(negative)
    if above is None:
        return below
    return above if below is None else np.add(above, below, out=above)


def _room(x: np.ndarray) -> np.ndarray:
    return empty(x.shape, x.dtype)


def _sum(arrays: list[np.ndarray]) -> np.ndarray:
    first, *others = arrays
    total = first if not others else np.add(first, others[0], out=_room(first))
    for other in others[1:]:
        total += other
    return total


def p_of(term: Term, x: np.ndarray, nonnegative: bool = False) -> np.ndarray:
    """p = p⁺ x⁺ + p⁻ x⁻ - low: the shares of inputs whose weight is 1."""
    p = weighted(x, term.p_positive, term.p_positive if nonnegative else term.p_negative)
    low, _ = term.bounds(x.shape[1:], x.dtype)
    return p if low is None else p - low.reshape(x.shape[1:])


def parts_of(term: Term, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p and n of a term, for inputs x (n, *shape)."""
    p = weighted(x, term.p_positive, term.p_negative)
    n = weighted(x, term.n_positive, term.n_negative)
    low, high = term.bounds(x.shape[1:], x.dtype)
    if low is None:
        return p, n
    return p - low.reshape(x.shape[1:]), n - high.reshape(x.shape[1:])


def redistribute(
    rule: Rule,
    a: np.ndarray | None,
    terms: list[Shares],
    relevance: np.ndarray,
    account: np.ndarray,
) -> list[np.ndarray]:
    """R_i (n, k, *shape) for each input from R (n, k, *shape); books in `account`.

    `a` (n, *shape) are the outputs, for rules that share R_j among their terms by it.
    """
    core, dtype = kernels(relevance.dtype), relevance.dtype
    n, k = relevance.shape[:2]
    columns = math.prod(relevance.shape[2:])
    z = [_sum(shares) for shares, _ in terms]
    parts = [relevance]
    if len(terms) > 1:
        whole = [zt if bias is None else zt + bias for zt, (_, bias) in zip(z, terms, strict=True)]
        parts = shares_of(rule, relevance, a, whole)
        del whole
        book_unshared(relevance, parts, account)
    limit = float(np.finfo(dtype).max) / 4
    results: list[np.ndarray] = []
    for part, zt, (shares, bias) in zip(parts, z, terms, strict=True):
        s = empty(relevance.shape, dtype)
        core.quotient(
            np.ascontiguousarray(part).reshape(n, k, columns),
            np.ascontiguousarray(zt).reshape(n, columns),
            None if bias is None else np.ascontiguousarray(bias).reshape(columns),
            rule.epsilon,
            limit,
            s.reshape(n, k, columns),
            account,
        )
        flows = [np.multiply(q[:, None], s, out=empty(s.shape, dtype)) for q in shares]
        if not results:
            results = flows
        else:
            results = [np.add(*pair, out=pair[0]) for pair in zip(results, flows, strict=True)]
    return results
