# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance that a dtype rounds to 0: found by the audit, avoided where possible, else booked.

Rules are linear in relevance, so R · 2^e may be redistributed in place of R: to the bit the same,
but for numbers below the smallest normal one. A row (sample and target) whose account does not
close, by so little that such numbers may be the reason, is run again alone: as it is, and with the
largest |R| between 1/2 and 1. That of more Σ|R_p| is taken. What is still missing is booked
as lost in the layer that missed it, if rounding to subnormal numbers can make that much:

    |missing| ≤ η (2 + inputs) (2 + outputs) (1 + max |p_i|, |n_i|)

with η the smallest number above 0, as sums Σ_j w_ij s_j with an error of η / 2 a product are
multiplied by p_i or n_i. All else stays missing, for all to see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dtdcore.arrays import largest_of
from dtdcore.audit import Audit
from dtdcore.pieces import piece_of
from dtdcore.steps.base import LOST

if TYPE_CHECKING:
    from dtdcore.plan import Plan

#: Relevance of the inputs, audit, relevance of hidden values.
Run = tuple[Any, Audit, dict[int, np.ndarray]]

#: What is missing of a row is looked into if it is more than this share of what a layer received.
SHARE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-10}
#: And if it is less than this, or 2^20 η times the largest input: else nothing so small can be it.
SMALL = {np.dtype(np.float32): 1e-14, np.dtype(np.float64): 1e-110}


def most_lost(dtype: np.dtype, inputs: int, outputs: int, factor: Any) -> Any:
    """What a layer can miss at most of a row because numbers are subnormal or 0."""
    smallest = float(np.finfo(dtype).smallest_subnormal)
    return smallest * (2.0 + inputs) * (2.0 + outputs) * (1.0 + factor)


def settled(plan: Plan, x: Any, start: np.ndarray, keep: Sequence[int], run: Run) -> Run:
    """The run of a batch, but for rows of which underflow took more than a share.

    Parameters
    ----------
    plan : Plan
    x : array, or dict of arrays
        Checked inputs.
    start : array (n, k, *output shape)
        Starting relevance.
    keep : values whose relevance is asked for
    run : tuple
        What `Trace.redistribute` gave.
    """
    result, audit, kept = run
    missing = audit.missing(SHARE[plan.dtype])
    if missing is None:
        return run
    largest = np.max([largest_of(part) for part in _parts(x)], axis=0).astype(np.float64)
    bound = np.maximum(SMALL[plan.dtype], most_lost(plan.dtype, 2**10, 2**10, largest))
    rows = np.any((missing > 0) & (missing <= bound[:, None]), axis=0)
    if not rows.any():
        return run
    # what a step gave back may be what it was given
    result = {n: r.copy() for n, r in result.items()} if isinstance(result, dict) else result.copy()
    for row, k in np.argwhere(rows).tolist():
        one = piece_of(x, slice(row, row + 1))
        best = _best(plan, one, start[row : row + 1, k : k + 1], keep)
        for old, new in zip(_parts(result), _parts(best[0]), strict=True):
            old[row, k] = new[0, 0]
        for value, array in best[2].items():
            kept[value][row, k] = array[0, 0]
        audit.take_over(row, k, best[1])
    return result, audit, kept


def _best(plan: Plan, x: Any, start: np.ndarray, keep: Sequence[int]) -> Run:
    """One row as it is, or scaled where more of it arrives then."""
    plain = plan.trace(x).redistribute(start, keep, careful=True)
    exponent = -math.frexp(float(np.abs(start).max(initial=0.0)))[1]
    if exponent <= 0:
        return plain
    try:
        scaled = plan.trace(x).redistribute(np.ldexp(start, exponent), keep, careful=True)
    except FloatingPointError:  # the larger numbers overflow
        return plain
    scaled = _scaled_back(scaled, exponent)
    return scaled if _size(scaled[0]) > _size(plain[0]) else plain


def _scaled_back(run: Run, exponent: int) -> Run:
    """R · 2^-exponent; what the dtype cannot hold of it is lost in the last layer."""
    result, audit, kept = run
    before = math.ldexp(_total(result), -exponent)
    if isinstance(result, dict):
        result = {name: np.ldexp(part, -exponent) for name, part in result.items()}
    else:
        result = np.ldexp(result, -exponent)
    audit.scale(2.0**-exponent, before - _total(result))
    return result, audit, {value: np.ldexp(part, -exponent) for value, part in kept.items()}


def _total(result: Any) -> float:
    return float(sum(part.sum(dtype=np.float64) for part in _parts(result)))


def _size(result: Any) -> float:
    return float(sum(np.abs(part).sum(dtype=np.float64) for part in _parts(result)))


def _parts(value: Any) -> list[np.ndarray]:
    return list(value.values()) if isinstance(value, dict) else [value]


def book(account: np.ndarray, passed: np.ndarray, most: Any, dtype: np.dtype) -> None:
    """Book as lost what a layer misses, if it is not more than underflow can take.

    Parameters
    ----------
    account : array (n, k, 4)
    passed : array (n, k)
    most : array that broadcasts to (n, k)
        See `most_lost`.
    """
    received, *parts = np.moveaxis(account, -1, 0)
    missing = received - passed - sum(parts)
    counts = np.abs(missing) > np.finfo(dtype).eps * np.maximum(np.abs(received), np.abs(passed))
    account[..., LOST] += np.where(counts & (np.abs(missing) <= most), missing, 0.0)
