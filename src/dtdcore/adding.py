# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Sums of what flows between steps, plain arrays or blocked images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dtdcore.arena import empty
from dtdcore.arrays import kernels
from dtdcore.blocked import Blocked, to_blocked


def alike(values: Sequence[np.ndarray | Blocked], lead: int) -> Sequence[np.ndarray | Blocked]:
    """All values blocked if one of them is."""
    if any(type(value) is Blocked for value in values):
        return [to_blocked(value, lead) for value in values]
    return values


def array_of(value: np.ndarray | Blocked) -> np.ndarray:
    """The array of a value, in its own layout."""
    return value.array if type(value) is Blocked else value


def added(
    values: Sequence[np.ndarray | Blocked], lead: int, relu: bool = False
) -> np.ndarray | Blocked:
    """Σ values, or max(0, Σ values) with `relu`; blocked if one of them is."""
    values = alike(values, lead)
    first, *others = [np.ascontiguousarray(array_of(value)) for value in values]
    total = empty(first.shape, first.dtype)
    flat = total.reshape(-1)
    add = kernels(first.dtype).add
    sum_so_far = first.reshape(-1)
    for number, other in enumerate(others, 1):
        add(sum_so_far, other.reshape(-1), relu and number == len(others), flat)
        sum_so_far = flat
    if not others:
        np.maximum(first, 0, out=total) if relu else np.copyto(total, first)
    if type(values[0]) is Blocked:
        nonnegative = relu or all(value.nonnegative for value in values)
        return Blocked(total, values[0].channels, nonnegative, lead)
    return total
