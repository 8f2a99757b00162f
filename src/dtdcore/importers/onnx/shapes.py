# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that rearrange numbers."""

from __future__ import annotations

import math

import numpy as np

from dtdcore.importers.building import reshaped, transposed
from dtdcore.importers.onnx.call import BATCHES, Call, Constant
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Signal
from dtdcore.importers.windows import joined
from dtdcore.layers import Flatten, Slice

OPERATORS = Operators()


@OPERATORS.add("Flatten", becomes="`Flatten`")
def flatten(call: Call) -> Signal:
    """To (n, features)."""
    x = call.signal()
    axis = call.integer("axis", 1)
    if (axis + len(x.shape) + 1 if axis < 0 else axis) != 1:
        raise ValueError(f"axis={axis} joins the batch axis with others, or keeps some apart")
    return x if len(x.shape) == 1 else call.emit(Flatten(), x)


@OPERATORS.add("Reshape", becomes="`Reshape` or `Flatten`")
def reshape(call: Call) -> Signal:
    """To another shape of each sample; a batch size written in the file is relaxed."""
    x, shapes = call.signal(), call.constants(1)
    for shape in shapes:
        if shape.ndim != 1 or shape.dtype.kind not in "iu" or not 1 <= shape.size <= 32:
            raise ValueError("the shape must be a list of whole numbers")
    first, rest = int(shapes[0][0]), [int(size) for size in shapes[0][1:]]
    if not call.integer("allowzero", 0):
        known = (0, *x.shape)
        for axis, size in enumerate(rest, 1):
            if size == 0 and axis < len(known):
                rest[axis - 1] = known[axis]
        first = -2 if first == 0 else first  # the batch axis as it is
    if len(shapes) > 1:
        sizes = tuple(int(shape[0]) for shape in shapes)
        if sizes != BATCHES or not np.array_equal(shapes[0][1:], shapes[1][1:]):
            raise ValueError("the shape mixes the batch axis with others")
        first = -2
    size, known_size = math.prod(x.shape), math.prod(s for s in rest if s != -1)
    inferred = -1 in rest
    if min(rest, default=1) < -1 or 0 in rest or rest.count(-1) + (first == -1) > 1:
        raise ValueError(f"cannot reshape to {tuple(shapes[0].tolist())}")
    if inferred and first != -2 and first != call.batch:
        raise ValueError(
            f"the shape {tuple(shapes[0].tolist())} fixes the first axis, which is the batch axis"
        )
    if size % max(known_size, 1) if inferred else size != known_size:
        raise ValueError(
            f"the shape {tuple(shapes[0].tolist())} mixes the batch axis with others: samples "
            f"have the shape {x.shape}"
        )
    rest = [size // known_size if part == -1 else part for part in rest]
    return reshaped(call, x, tuple(rest))


@OPERATORS.add("Squeeze", becomes="`Reshape` or `Flatten`")
def squeeze(call: Call) -> Signal:
    """Without axes of the size 1."""
    x, axes = call.signal(), call.axes(1, 12)
    if axes is None and call.batch == 1:
        raise ValueError("without axes it drops the batch axis")
    if axes is None:
        over = [axis for axis, size in enumerate(x.shape) if size == 1]
    else:
        over = [call.axis(axis, x) for axis in axes]
    if any(x.shape[axis] != 1 for axis in over):
        raise ValueError(f"axes {axes} of {('n', *x.shape)} do not all have the size 1")
    shape = tuple(size for axis, size in enumerate(x.shape) if axis not in over)
    return reshaped(call, x, shape)


@OPERATORS.add("Unsqueeze", becomes="`Reshape`")
def unsqueeze(call: Call) -> Signal:
    """With more axes of the size 1."""
    x, axes = call.signal(), call.axes(1, 12)
    if not axes or len(axes) > 8:
        raise ValueError(f"axes must be given, got {axes}")
    places = {call.axis(axis, x, end=len(axes)) for axis in axes}
    if len(places) != len(axes):
        raise ValueError(f"axes holds one twice: {axes}")
    sizes = iter(x.shape)
    rank = len(x.shape) + len(axes)
    return reshaped(call, x, tuple(1 if i in places else next(sizes) for i in range(rank)))


@OPERATORS.add("Transpose", becomes="`Transpose`")
def transpose(call: Call) -> Signal:
    """Axes in another order, the batch axis first."""
    x = call.signal()
    rank = len(x.shape) + 1
    order = call.integers("perm", tuple(reversed(range(rank))))
    if sorted(order) != list(range(rank)):
        raise ValueError(f"perm={order} is no order of {rank} axes")
    if order[0] != 0:
        raise ValueError("it moves the batch axis")
    return transposed(call, x, [axis - 1 for axis in order[1:]])


@OPERATORS.add("Concat", becomes="`Concat`, or `Pad` with constants")
def concat(call: Call) -> Signal:
    """One after the other."""
    parts = [call.part(index) for index in range(call.count)]
    axis = call.integer("axis")
    if axis is None:
        raise ValueError("the attribute axis is missing")
    first = next(part for part in parts if isinstance(part, Signal))
    return joined(call, parts, call.axis(axis, first))


@OPERATORS.add("Split", becomes="`Slice` for each part")
def split(call: Call) -> list[Signal]:
    """Parts along an axis."""
    x = call.signal()
    axis = call.axis(call.integer("axis", 0), x)
    size, count = x.shape[axis], call.outputs
    sizes = call.integers("split") if call.opset < 13 else None
    if call.opset >= 13 and call.has(1):
        sizes = call.whole(1)
    if sizes is None:
        stated = call.integer("num_outputs", count)
        if stated != count:
            raise ValueError(f"num_outputs is {stated}, there are {count} outputs")
        part = -(-size // count)
        sizes = (part,) * (count - 1) + (size - part * (count - 1),)
        if sizes[-1] != part and call.opset < 18:
            raise ValueError(f"it cannot split {size} into {count} equal parts")
    if len(sizes) != count or min(sizes) < 1 or sum(sizes) != size:
        raise ValueError(f"the parts {sizes} do not fit {count} outputs and the size {size}")
    ends = np.cumsum(sizes).tolist()
    return [
        call.emit(Slice(axis, end - part, end), x) for part, end in zip(sizes, ends, strict=True)
    ]


@OPERATORS.add("Shape", becomes="a constant")
def shape(call: Call) -> Constant:
    """The shape, with the batch size left open."""
    x = call.signal()
    start, end = call.integer("start", 0), call.integer("end")
    sizes = [np.array((batch, *x.shape), np.int64)[start:end] for batch in BATCHES]
    return Constant(tuple(sizes[: 1 if np.array_equal(*sizes) else 2]))
