# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that pool, pad or resize images."""

from __future__ import annotations

import math

import numpy as np

from dtdcore.importers.onnx.call import Call
from dtdcore.importers.onnx.spans import sliding
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Signal
from dtdcore.importers.windows import enlarged, framed, reduced
from dtdcore.layers import AvgPool, GlobalPool, LpPool, MaxPool

OPERATORS = Operators()


@OPERATORS.add("MaxPool", becomes="`MaxPool`")
def max_pool(call: Call) -> Signal:
    """Maxima over windows."""
    call.only_first()
    x = call.signal()
    span = sliding(call, x, None)
    ceil = call.integer("ceil_mode", 0) != 0
    return call.emit(MaxPool(span.kernel, span.stride, span.padding, span.dilation, ceil), x)


@OPERATORS.add("AveragePool", becomes="`AvgPool`")
def average_pool(call: Call) -> Signal:
    """Averages over windows."""
    x = call.signal()
    span = sliding(call, x, None)
    ceil = call.integer("ceil_mode", 0) != 0
    count = call.integer("count_include_pad", 0) != 0
    layer = AvgPool(span.kernel, span.stride, span.padding, span.dilation, ceil, count)
    return call.emit(layer, x)


@OPERATORS.add("LpPool", becomes="`LpPool`")
def lp_pool(call: Call) -> Signal:
    """p-norms over windows."""
    x = call.signal()
    span = sliding(call, x, None)
    ceil = call.integer("ceil_mode", 0) != 0
    p = call.integer("p", 2)
    return call.emit(LpPool(p, span.kernel, span.stride, span.padding, span.dilation, ceil), x)


@OPERATORS.add("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", becomes="`GlobalPool`")
def global_pool(call: Call) -> Signal:
    """Over all pixels."""
    kinds = {"GlobalAveragePool": "average", "GlobalMaxPool": "max", "GlobalLpPool": "lp"}
    return call.emit(GlobalPool(kinds[call.operator], call.integer("p", 2)), call.signal())


@OPERATORS.add("ReduceMean", "ReduceSum", "ReduceMax", becomes="`GlobalPool`")
def reduce(call: Call) -> Signal:
    """Over all pixels, or over other axes that are brought to the place of pixels."""
    kind = {"ReduceMean": "average", "ReduceSum": "sum", "ReduceMax": "max"}[call.operator]
    x = call.signal()
    axes = call.axes(1, 12 if kind == "sum" else 17)
    if not axes:
        if axes == () and call.integer("noop_with_empty_axes", 0):
            return x
        raise ValueError("it reduces the batch axis too")
    over = {call.axis(axis, x) for axis in axes}
    return reduced(call, x, kind, over, call.integer("keepdims", 1) != 0)


@OPERATORS.add("Pad", becomes="`Pad`: with a constant")
def pad(call: Call) -> Signal:
    """A frame of a constant; widths are attributes up to opset 10, inputs later."""
    mode = call.text("mode", "constant")
    if mode != "constant":
        raise ValueError(f"mode={mode!r} is not supported, only 'constant'")
    x = call.signal()
    rank = len(x.shape) + 1
    if call.opset < 11:
        pads, value = call.integers("pads", ()), call.number("value", 0.0)
    else:
        pads, value = call.whole(1), call.scalar(2)
    axes = list(range(rank))
    if call.has(3):
        axes = [axis % rank for axis in call.whole(3) if -rank <= axis < rank]
    if len(pads) != 2 * len(axes) or len(set(axes)) != len(axes):
        raise ValueError(f"pads must be two numbers for each of {len(axes)} axes, got {pads}")
    before, after = [0] * rank, [0] * rank
    for axis, first, last in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        before[axis], after[axis] = first, last
    if before[0] or after[0]:
        raise ValueError("it pads the batch axis")
    if min(*before, *after) < 0:
        raise ValueError(f"pads must be >= 0, got {pads}")
    return framed(call, x, before[1:], after[1:], 0.0 if value is None else value)


@OPERATORS.add("Upsample", "Resize", becomes="`Upsample`: nearest, by whole numbers")
def resize(call: Call) -> Signal:
    """Each number repeated."""
    x = call.signal()
    mode = call.text("mode", "nearest")
    if mode != "nearest":
        raise ValueError(f"mode={mode!r} is not supported, only 'nearest'")
    rank = len(x.shape) + 1
    scales, sizes = _scales(call)
    axes = call.integers("axes", tuple(range(rank))) if call.opset >= 18 else range(rank)
    axes = [axis + rank if axis < 0 else axis for axis in axes]
    given = sizes if scales is None else scales
    if len(given) != len(axes) or not set(axes) <= set(range(rank)):
        raise ValueError(f"it has {len(given)} scales or sizes for {len(axes)} axes")
    if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise ValueError("keep_aspect_ratio_policy is not supported")
    times = [1] * len(x.shape)
    for axis, number in zip(axes, given, strict=True):
        if axis == 0:
            if number not in ((1,) if sizes is None else (1, call.batch)):
                raise ValueError("it resizes the batch axis")
            continue
        size = x.shape[axis - 1]
        scale = number / size if scales is None else number
        if not (math.isfinite(scale) and scale >= 1 and scale == int(scale)):
            raise ValueError(
                f"it scales axis {axis} by {scale:g}: only whole numbers are supported"
            )
        times[axis - 1] = int(scale)
        _check_repeats(call, size, int(scale))
    return enlarged(call, x, times)


def _scales(call: Call) -> tuple[tuple[float, ...] | None, tuple[int, ...]]:
    """(scales, ()) or (None, sizes), for all axes."""
    if call.operator == "Upsample" and call.opset < 9:
        return call.numbers("scales") or (), ()
    index = 1 if call.operator == "Upsample" or call.opset < 11 else 2
    if call.has(index) and call.weights(index).size:
        return tuple(float(scale) for scale in call.weights(index).reshape(-1)), ()
    return None, call.whole(3)


def _check_repeats(call: Call, size: int, scale: int) -> None:
    """Raise a ValueError unless output i takes input i // scale along an axis."""
    if scale == 1 or call.operator == "Upsample" or call.opset < 11:
        return
    if size * scale > 2**20:
        raise ValueError(f"an axis would have the size {size * scale}")
    transform = call.text("coordinate_transformation_mode", "half_pixel")
    nearest = call.text("nearest_mode", "round_prefer_floor")
    i = np.arange(size * scale, dtype=np.float64)
    places = {
        "half_pixel": (i + 0.5) / scale - 0.5,
        "half_pixel_symmetric": (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel": (i + 0.5) / scale - 0.5,
        "asymmetric": i / scale,
        "align_corners": i * (size - 1) / (size * scale - 1),
    }
    rounds = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if transform not in places or nearest not in rounds:
        raise ValueError(f"{transform} with {nearest} is not supported")
    taken = np.clip(rounds[nearest](places[transform]), 0, size - 1)
    if not np.array_equal(taken, np.repeat(np.arange(size), scale)):
        raise ValueError(
            f"{transform} with {nearest} does not repeat each number {scale} times: not supported"
        )
