# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that take places of axes, or repeat them."""

from __future__ import annotations

import numpy as np

from dtdcore.importers.building import repeated, reshaped
from dtdcore.importers.onnx.call import Call, Constant
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Signal
from dtdcore.importers.windows import check_places, cut, padded, picked, to_depth, to_space

OPERATORS = Operators()


@OPERATORS.add("Slice", becomes="`Slice`, or `Take` with steps below 0")
def slice_(call: Call) -> Signal:
    """Ranges along axes."""
    x = call.signal()
    if call.opset < 10:
        starts, ends = call.integers("starts", ()), call.integers("ends", ())
        axes, steps = call.integers("axes"), None
    else:
        starts, ends = call.whole(1), call.whole(2)
        axes = call.whole(3) if call.has(3) else None
        steps = call.whole(4) if call.has(4) else None
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError("starts, ends, axes and steps must be of one length")
    y, rank = x, len(x.shape) + 1
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if axis % rank == 0 and start == 0 and end >= 2**31 - 1 and step == 1:
            continue  # the whole batch
        place = call.axis(axis, x)
        part = slice(start, end, step)
        if len(range(*part.indices(y.shape[place]))) == 0:
            raise ValueError(f"nothing is left of axis {axis}")
        if step > 0:
            y = cut(call, y, place, part)
        else:
            y = picked(call, y, place, range(*part.indices(y.shape[place])))
    return y


@OPERATORS.add("Gather", becomes="`Take` or `Slice`: constant places")
def gather(call: Call) -> Signal:
    """Chosen places of an axis; one number takes the axis away."""
    if isinstance(call.value(0), Constant):
        raise ValueError("a table that the input looks up (an embedding) is not supported")
    x, places = call.signal(), call.constant(1)
    if places.dtype.kind not in "iu":
        raise ValueError(f"the places must be whole numbers, got {places.dtype}")
    axis = call.axis(call.integer("axis", 0), x)
    y = picked(call, x, axis, places.reshape(-1))
    return reshaped(call, y, (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]))


@OPERATORS.add("Expand", becomes="`Upsample`, of axes of the size 1")
def expand(call: Call) -> Signal:
    """Axes of the size 1 repeated."""
    x, sizes = call.signal(), call.sizes(1)
    rank = len(x.shape) + 1
    if len(sizes) > rank:
        raise ValueError("it adds axes before the batch axis")
    if len(sizes) == rank and sizes[0] not in (None, 1, call.batch):
        raise ValueError("it repeats the batch axis")
    shape = tuple(sizes[1:] if len(sizes) == rank else sizes)
    return repeated(call, x, np.broadcast_shapes(x.shape, shape))


@OPERATORS.add("Tile", becomes="`Take`, or `Upsample` of axes of the size 1")
def tile(call: Call) -> Signal:
    """All of an axis several times."""
    x, times = call.signal(), call.whole(1)
    if len(times) != len(x.shape) + 1 or min(times) < 1:
        raise ValueError(f"repeats must be {len(x.shape) + 1} whole numbers >= 1, got {times}")
    if times[0] != 1:
        raise ValueError("it repeats the batch axis")
    pairs = list(zip(times[1:], x.shape, strict=True))
    y = repeated(call, x, tuple(count if size == 1 else size for count, size in pairs))
    for axis, (count, size) in enumerate(pairs):
        if size > 1:
            check_places(count * size)
            y = picked(call, y, axis, np.tile(np.arange(size), count))
    return y


@OPERATORS.add("Pad", becomes="`Pad`; `Take` in other modes than constant")
def pad(call: Call) -> Signal:
    """A frame; widths are attributes up to opset 10, inputs later; those below 0 cut."""
    mode = call.text("mode", "constant")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise ValueError(f"mode={mode!r} is not supported")
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
    return padded(call, x, before[1:], after[1:], mode, 0.0 if value is None else value)


@OPERATORS.add("DepthToSpace", "SpaceToDepth", becomes="`Reshape` and `Transpose`")
def depth_to_space(call: Call) -> Signal:
    """Channels to pixels, or pixels to channels."""
    times, mode = call.integer("blocksize", 0), call.text("mode", "DCR")
    if times < 1 or mode not in ("DCR", "CRD"):
        raise ValueError(f"blocksize={times} with mode={mode!r} is unknown")
    way = to_space if call.operator == "DepthToSpace" else to_depth
    return way(call, call.signal(), times, mode == "CRD")
