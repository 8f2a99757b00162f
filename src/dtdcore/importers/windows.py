# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Pools, pads and cuts as layers, whatever the model came from."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from dtdcore.importers.building import Builder, negated, reshaped, transposed
from dtdcore.importers.record import Shape, Signal
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

#: A file may ask for more places of an axis than a machine can hold.
MOST_PLACES = 2**22

#: ... nor is a matrix along an axis to have more numbers than this.
LARGEST_MAP = 2**25


def reduced(call: Builder, x: Signal, kind: str, over: Collection[int], keep: bool) -> Signal:
    """A pool over all of some axes of a sample; `keep`: they stay, with the size 1.

    `kind` as `GlobalPool` has it; "min" is a maximum between two signs.
    """
    if kind == "min":
        y = negated(call, reduced(call, negated(call, x), "max", over, True))
        return y if keep else reshaped(call, y, _without(x.shape, over))
    over = sorted(over)
    if kind != "lp" and all(x.shape[axis] == 1 for axis in over):
        return x if keep else reshaped(call, x, _without(x.shape, over))
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


def _without(shape: Shape, over: Collection[int]) -> Shape:
    return tuple(size for axis, size in enumerate(shape) if axis not in over)


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


def padded(
    call: Builder,
    x: Signal,
    before: Sequence[int],
    after: Sequence[int],
    mode: str,
    value: float = 0.0,
) -> Signal:
    """A frame, widths for each axis of a sample; those below 0 cut.

    `mode` as `numpy.pad` calls it: "constant", or "reflect", "edge", "wrap": numbers of x itself.
    """
    sizes = x.shape
    wide = [[max(width, 0) for width in part] for part in (before, after)]
    for axis, (first, last) in enumerate(zip(before, after, strict=True)):
        if mode != "constant" and (first or last):
            frame = wide[0][axis], wide[1][axis]
            check_places(sizes[axis] + sum(frame))
            x = picked(call, x, axis, np.pad(np.arange(sizes[axis]), frame, mode))
        inside = slice(max(-first, 0), x.shape[axis] - max(-last, 0))
        if inside.start >= inside.stop:
            raise ValueError(f"nothing is left of an axis of the size {sizes[axis]}")
        x = cut(call, x, axis, inside)
    return x if mode != "constant" else framed(call, x, *wide, value)


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


def check_places(count: int) -> None:
    """Raise a ValueError if so many places of an axis are more than are listed one by one."""
    if count > MOST_PLACES:
        raise ValueError(f"{count} places of an axis are more than {MOST_PLACES}")


def picked(call: Builder, x: Signal, axis: int, places: Sequence[int]) -> Signal:
    """The chosen places of an axis, in that order; those below 0 count from the end."""
    size = x.shape[axis]
    check_places(len(places))
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


def check_map(size: int, new: int) -> None:
    """Raise a ValueError if a matrix along an axis would be too large."""
    if size * new > LARGEST_MAP:
        raise ValueError(
            f"from {size} to {new} numbers along an axis: its matrix would have more than "
            f"{LARGEST_MAP} numbers"
        )


def mapped(call: Builder, x: Signal, axis: int, weight: np.ndarray) -> Signal:
    """The matrix (inputs, outputs) along an axis; places are picked where it only does that."""
    layer = AxisMap(weight, axis).simplified()
    return picked(call, x, axis, layer.places) if isinstance(layer, Take) else call.emit(layer, x)


def to_space(call: Builder, x: Signal, times: int, channels_first: bool) -> Signal:
    """Channels (c · times²) to pixels: each of a block of pixels is one of them.

    `channels_first`: the number of a channel is (c, row, column) in a block, else (row, column, c).
    """
    channels, height, width = _image(x)
    if channels % times**2:
        raise ValueError(f"{channels} channels are no blocks of {times} x {times}")
    inner = channels // times**2
    split = (inner, times, times) if channels_first else (times, times, inner)
    y = reshaped(call, x, (*split, height, width))
    y = transposed(call, y, (0, 3, 1, 4, 2) if channels_first else (2, 3, 0, 4, 1))
    return reshaped(call, y, (inner, height * times, width * times))


def to_depth(call: Builder, x: Signal, times: int, channels_first: bool) -> Signal:
    """Pixels to channels: the way back of `to_space`."""
    channels, height, width = _image(x)
    if height % times or width % times:
        raise ValueError(f"{height} x {width} pixels are no blocks of {times} x {times}")
    y = reshaped(call, x, (channels, height // times, times, width // times, times))
    y = transposed(call, y, (0, 2, 4, 1, 3) if channels_first else (2, 4, 0, 1, 3))
    return reshaped(call, y, (channels * times**2, height // times, width // times))


def _image(x: Signal) -> Shape:
    if len(x.shape) != 3:
        raise ValueError(f"it takes images (channels, height, width), got the shape {x.shape}")
    return x.shape


def same(
    size: int, kernel: int, stride: int, dilation: int, lower: bool = False
) -> tuple[int, int]:
    """Pads for ceil(size / stride) windows; the odd pixel at the end, or (lower) at the start."""
    results = -(-size // stride)
    total = max(0, (results - 1) * stride + dilation * (kernel - 1) + 1 - size)
    half = total // 2
    return (total - half, half) if lower else (half, total - half)
