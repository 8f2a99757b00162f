# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Pools, pads and cuts as layers, whatever the model came from."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from dtdcore.importers.building import Builder, transposed
from dtdcore.importers.record import Signal
from dtdcore.layers import Concat, GlobalPool, Pad, Reshape, Slice, Upsample

#: An axis is put together of at most so many pieces.
MOST_RUNS = 64


def reduced(call: Builder, x: Signal, kind: str, over: Collection[int], keep: bool) -> Signal:
    """A pool over all of some axes of a sample; `keep`: they stay, with the size 1."""
    over = sorted(over)
    rest = [axis for axis in range(len(x.shape)) if axis not in over]
    pixels = list(range(1, len(x.shape)))
    shape = tuple(1 if axis in over else size for axis, size in enumerate(x.shape))
    if over == pixels and len(pixels) <= 3:
        y = call.emit(GlobalPool(kind), x)
    else:
        y = transposed(call, x, (*rest, *over))
        kept = math.prod(x.shape[axis] for axis in rest)
        y = call.emit(Reshape((kept, math.prod(x.shape[axis] for axis in over))), y)
        y = call.emit(GlobalPool(kind), y)
    if not keep:
        shape = tuple(x.shape[axis] for axis in rest)
    return y if y.shape == shape else call.emit(Reshape(shape), y)


def cut(call: Builder, x: Signal, axis: int, part: slice) -> Signal:
    """The part of an axis that Python's slice takes, with a step ≥ 1."""
    size = x.shape[axis]
    first, last, step = part.indices(size)
    return (
        x if (first, last, step) == (0, size, 1) else call.emit(Slice(axis, first, last, step), x)
    )


def framed(
    call: Builder, x: Signal, before: Sequence[int], after: Sequence[int], value: float
) -> Signal:
    """A frame of a constant; widths for each axis of a sample."""
    if not any(before) and not any(after):
        return x
    skip = next(axis for axis in range(len(before)) if before[axis] or after[axis])
    return call.emit(Pad(before[skip:], after[skip:], value), x)


def enlarged(call: Builder, x: Signal, times: Sequence[int]) -> Signal:
    """Each number repeated so many times along each axis of a sample."""
    if set(times) <= {1}:
        return x
    skip = next(axis for axis, number in enumerate(times) if number > 1)
    return call.emit(Upsample(times[skip:]), x)


def reached(
    size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int]
) -> tuple[int, int]:
    """Pads without pixels at the end that no window reaches, as exporters write them."""
    before, after = pads
    reach = dilation * (kernel - 1) + 1
    results = (size + before + after - reach) // stride + 1
    return before, max(0, min(after, (results - 1) * stride + reach - size - before))


def picked(call: Builder, x: Signal, axis: int, places: Sequence[int]) -> Signal:
    """The chosen places of an axis, in that order: ascending runs of them, one after the other."""
    size = x.shape[axis]
    places = [int(place) for place in places]
    if not places or not all(-size <= place < size for place in places):
        raise ValueError(f"there are no such places in an axis of the size {size}: {places}")
    runs: list[list[int]] = []
    for place in (place % size for place in places):
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    if len(runs) > MOST_RUNS:
        raise ValueError(f"it takes {len(runs)} pieces of an axis, more than {MOST_RUNS}")
    parts = [cut(call, x, axis, slice(run[0], run[-1] + 1)) for run in runs]
    return parts[0] if len(parts) == 1 else call.emit(Concat(axis), *parts)


def same(
    size: int, kernel: int, stride: int, dilation: int, lower: bool = False
) -> tuple[int, int]:
    """Pads for ceil(size / stride) windows; the odd pixel at the end, or (lower) at the start."""
    results = -(-size // stride)
    total = max(0, (results - 1) * stride + dilation * (kernel - 1) + 1 - size)
    half = total // 2
    return (total - half, half) if lower else (half, total - half)
