# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Pools, pads and cuts as layers, whatever the model came from."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from dtdcore.importers.building import Builder, transposed
from dtdcore.importers.record import Signal
from dtdcore.layers import (
    AvgPool,
    AxisMap,
    Concat,
    GlobalPool,
    MaxPool,
    Pad,
    Reshape,
    Slice,
    Take,
    Upsample,
)


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


def joined(call: Builder, parts: Sequence[Signal | np.ndarray], axis: int) -> Signal:
    """Values and constants one after the other along an axis of a sample.

    Constants, without the batch axis, become frames beside the values: the relevance that they get
    is lost, and booked so.
    """
    places = [place for place, part in enumerate(parts) if isinstance(part, Signal)]
    shape = parts[places[0]].shape
    rest = [size for place, size in enumerate(shape) if place != axis]
    for part in parts:
        if [size for place, size in enumerate(part.shape) if place != axis] != rest:
            raise ValueError(f"it joins values of the shapes {shape} and {part.shape}")
    starts = [0, *(place + 1 for place in places[:-1])]
    signals = []
    for start, place in zip(starts, places, strict=True):
        end = len(parts) if place == places[-1] else place + 1
        signals.append(
            _beside(call, parts[start:place], parts[place], parts[place + 1 : end], axis)
        )
    return signals[0] if len(signals) == 1 else call.emit(Concat(axis), *signals)


def _beside(
    call: Builder,
    before: Sequence[np.ndarray],
    x: Signal,
    after: Sequence[np.ndarray],
    axis: int,
) -> Signal:
    """A value with constants before and behind it along an axis."""
    constants = [*before, *after]
    if not constants:
        return x
    for constant in constants:
        if not np.all(np.isfinite(constant)):
            raise ValueError("a constant holds a value that is not finite")
    widths = [sum(part.shape[axis] for part in side) for side in (before, after)]
    first, last = ([w if i == axis else 0 for i in range(len(x.shape))] for w in widths)
    numbers = np.unique([number for part in constants for number in (part.min(), part.max())])
    if len(numbers) == 1:
        return framed(call, x, first, last, float(numbers[0]))
    inside = np.zeros(x.shape, np.result_type(*constants))
    values = np.concatenate([*before, inside, *after], axis=axis)
    return call.emit(Pad(first, last, values), x)


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
    """The chosen places of an axis, in that order; those below 0 count from the end."""
    size = x.shape[axis]
    places = np.array(places, np.int64).reshape(-1)
    if not len(places) or places.min() < -size or places.max() >= size:
        raise ValueError(
            f"there are no such places in an axis of the size {size}: {places.tolist()}"
        )
    places %= size
    steps = np.diff(places)
    if len(steps) == 0 or (steps[0] >= 1 and np.all(steps == steps[0])):
        step = int(steps[0]) if len(steps) else 1
        return cut(call, x, axis, slice(int(places[0]), int(places[-1]) + 1, step))
    return call.emit(Take(axis, places.tolist()), x)


def adaptive(call: Builder, x: Signal, sizes: Sequence[int], average: bool) -> Signal:
    """Pools whose windows follow from the sizes of the output.

    Window j of an axis has the pixels floor(j · size / new) to ceil((j + 1) · size / new) - 1.
    Windows of one length are laid side by side and pooled by one layer.
    """
    if set(sizes) == {1}:
        return call.emit(GlobalPool("average" if average else "max"), x)
    times = [
        new // size if new % size == 0 else 1 for new, size in zip(sizes, x.shape[1:], strict=True)
    ]
    groups = [
        _windows_by_length(size, new // count)
        for size, new, count in zip(x.shape[1:], sizes, times, strict=True)
    ]
    y = _pooled(call, x, AvgPool if average else MaxPool, groups, ())
    return enlarged(call, y, [1, *times])


def _windows_by_length(size: int, new: int) -> dict[int, list[int]]:
    """The windows of an adaptive pool along an axis, by their length."""
    groups: dict[int, list[int]] = {}
    for window in range(new):
        first, last = window * size // new, -(-(window + 1) * size // new)
        groups.setdefault(last - first, []).append(window)
    return groups


def _pooled(
    call: Builder,
    x: Signal,
    pool: type[AvgPool | MaxPool],
    groups: Sequence[dict[int, list[int]]],
    lengths: tuple[int, ...],
) -> Signal:
    """Pools over all axes from number `len(lengths)` on, and then over all at once."""
    number = len(lengths)
    if number == len(groups):
        return x if set(lengths) == {1} else call.emit(pool(lengths), x)
    axis, size = 1 + number, x.shape[1 + number]
    new = sum(map(len, groups[number].values()))
    parts = []
    for length, windows in groups[number].items():
        places = [w * size // new + i for w in windows for i in range(length)]
        side_by_side = picked(call, x, axis, places)
        parts.append(_pooled(call, side_by_side, pool, groups, (*lengths, length)))
    if len(parts) == 1:
        return parts[0]
    order = [window for windows in groups[number].values() for window in windows]
    return picked(call, call.emit(Concat(axis), *parts), axis, np.argsort(order))


def mapped(call: Builder, x: Signal, axis: int, weight: np.ndarray) -> Signal:
    """The matrix (inputs, outputs) along an axis; places are picked where it only does that."""
    places = weight.argmax(axis=0)
    if np.array_equal(weight, np.eye(len(weight), dtype=weight.dtype)[:, places]):
        return picked(call, x, axis, places)
    return call.emit(AxisMap(weight, axis), x)


def same(
    size: int, kernel: int, stride: int, dilation: int, lower: bool = False
) -> tuple[int, int]:
    """Pads for ceil(size / stride) windows; the odd pixel at the end, or (lower) at the start."""
    results = -(-size // stride)
    total = max(0, (results - 1) * stride + dilation * (kernel - 1) + 1 - size)
    half = total // 2
    return (total - half, half) if lower else (half, total - half)
