# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Sums of what flows between steps, plain arrays or blocked images, clamped or not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dtdcore.arena import empty
from dtdcore.arrays import kernels
from dtdcore.blocked import Blocked, to_blocked

#: Tells the core not to clamp.
NO_CEILING = -1.0


def alike(values: Sequence[np.ndarray | Blocked], lead: int) -> Sequence[np.ndarray | Blocked]:
    """All values blocked if one of them is."""
    if any(type(value) is Blocked for value in values):
        return [to_blocked(value, lead) for value in values]
    return values


def array_of(value: np.ndarray | Blocked) -> np.ndarray:
    """The array of a value, in its own layout."""
    return value.array if type(value) is Blocked else value


def clamp(a: np.ndarray, ceiling: float, out: np.ndarray) -> np.ndarray:
    """min(max(0, a), ceiling), written to `out`, which may be `a`."""
    np.maximum(a, 0, out=out)
    return out if ceiling == np.inf else np.minimum(out, ceiling, out=out)


def added(
    values: Sequence[np.ndarray | Blocked], lead: int, ceiling: float | None = None
) -> np.ndarray | Blocked:
    """Σ values, with a ceiling min(max(0, Σ values), ceiling); blocked if one of them is."""
    values = alike(values, lead)
    first, *others = [np.ascontiguousarray(array_of(value)) for value in values]
    total = empty(first.shape, first.dtype)
    flat = total.reshape(-1)
    add = kernels(first.dtype).add
    sum_so_far = first.reshape(-1)
    for number, other in enumerate(others, 1):
        last = ceiling is not None and number == len(others)
        add(sum_so_far, other.reshape(-1), ceiling if last else NO_CEILING, flat)
        sum_so_far = flat
    if not others:
        np.copyto(total, first) if ceiling is None else clamp(first, ceiling, total)
    if type(values[0]) is Blocked:
        nonnegative = ceiling is not None or all(value.nonnegative for value in values)
        return Blocked(total, values[0].channels, nonnegative, lead)
    return total
