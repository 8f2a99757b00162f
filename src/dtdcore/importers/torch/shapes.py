# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch operators that rearrange numbers."""

from __future__ import annotations

import numpy as np

from dtdcore.importers.building import repeated, reshaped, transposed
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Signal
from dtdcore.importers.torch.call import Call, same_for_all
from dtdcore.importers.windows import cut, enlarged, joined, picked
from dtdcore.layers import Concat

OPERATORS = Operators()

#: What PyTorch calls the end of an axis.
BEHIND_ALL = 2**63 - 1


@OPERATORS.add(
    "view",
    "_unsafe_view",
    "reshape",
    "flatten",
    "unflatten",
    "squeeze",
    "unsqueeze",
    becomes="`Reshape` or `Flatten`",
)
def reshape(call: Call) -> Signal:
    """To the shape that PyTorch found, the batch axis first."""
    return reshaped(call, call.x, call.shape)


@OPERATORS.add("permute", "transpose", "t", becomes="`Transpose`")
def transpose(call: Call) -> Signal:
    """Axes in another order, the batch axis first."""
    x = call.x
    rank = len(x.shape) + 1
    order = list(range(rank))
    if call.operator == "permute":
        order = [axis % rank for axis in call.wholes("dims", rank)]
    else:
        a, b = call.whole("dim0", 0) % rank, call.whole("dim1", 1) % rank
        order[a], order[b] = b, a
    if order[0] != 0:
        raise ValueError("it moves the batch axis")
    return transposed(call, x, [axis - 1 for axis in order[1:]])


@OPERATORS.add("cat", "stack", becomes="`Concat`, or `Pad` with constants")
def cat(call: Call) -> Signal:
    """One after the other."""
    parts = call.parts("tensors")
    first = next(part for part in parts if isinstance(part, Signal))
    stack = call.operator == "stack"
    axis = call.axis(call.whole("dim", 0), first, end=int(stack))
    if stack:
        shape = (*first.shape[:axis], 1, *first.shape[axis:])
        parts = [
            reshaped(call, part, shape) if isinstance(part, Signal) else part.reshape(shape)
            for part in parts
        ]
    return joined(call, parts, axis)


@OPERATORS.add("slice_scatter", "select_scatter", becomes="`Slice` and `Concat`: without steps")
def scatter(call: Call) -> Signal:
    """x, in which another value stands at some places of an axis."""
    x, dim = call.x, call.whole("dim", 0)
    part = slice(call.value("start"), call.value("end"), call.value("step"))
    whole = part.start in (None, 0) and part.stop == BEHIND_ALL and part.step in (None, 1)
    if dim % (len(x.shape) + 1) == 0 and whole:
        return call.signal("src")  # the whole batch
    axis = call.axis(dim, x)
    size = x.shape[axis]
    if call.operator == "select_scatter":
        index = call.whole("index") % size
        part = slice(index, index + 1)
    first, last, step = part.indices(size)
    if step != 1:
        raise ValueError(f"a step of {step} is not supported")
    shape = (*x.shape[:axis], last - first, *x.shape[axis + 1 :])
    source = call.value("src")
    if isinstance(source, Signal):
        source = reshaped(call, source, shape)
    else:
        source = call.weights("src")
        source = same_for_all(source, "src")[0].reshape(shape)
    parts: list = [source]
    if first > 0:
        parts.insert(0, cut(call, x, axis, slice(0, first)))
    if last < size:
        parts.append(cut(call, x, axis, slice(last, size)))
    if len(parts) == 1 and not isinstance(source, Signal):
        raise ValueError("nothing of its input is left")
    return joined(call, parts, axis)


@OPERATORS.add("copy", becomes="`Upsample`, of axes of the size 1")
def copy(call: Call) -> Signal:
    """Another value in the place of x."""
    source = call.signal("src")
    return repeated(call, source, call.shape)


@OPERATORS.add("split", "split_with_sizes", "chunk", "unbind", becomes="`Slice` for each part")
def split(call: Call) -> list[Signal]:
    """Parts along an axis."""
    x = call.x
    axis = call.axis(call.whole("dim", 0), x)
    unbind = call.operator == "unbind"
    parts, end = [], 0
    for shape in call.shapes:
        start, end = end, end + (1 if unbind else shape[axis])
        parts.append(reshaped(call, cut(call, x, axis, slice(start, end)), shape))
    return parts


@OPERATORS.add("slice", "narrow", becomes="`Slice`")
def slice_(call: Call) -> Signal:
    """A range along an axis, with a step ≥ 1."""
    x, dim, step = call.x, call.whole("dim", 0), call.whole("step", 1)
    if dim % (len(x.shape) + 1) == 0 and call.value("start", 0) == 0 and step == 1:
        return x  # the whole batch: the output has it
    axis = call.axis(dim, x)
    if call.operator == "narrow":
        start = call.whole("start")
        return cut(call, x, axis, slice(start, start + call.whole("length")))
    start, end = call.value("start"), call.value("end")
    if not all(number is None or type(number) is int for number in (start, end)):
        raise ValueError("it depends on the batch size")
    return cut(call, x, axis, slice(start, end, step))


@OPERATORS.add("select", becomes="`Slice` and `Reshape`")
def select(call: Call) -> Signal:
    """One place of an axis."""
    x = call.x
    axis, index = call.axis(call.whole("dim"), x), call.whole("index")
    index %= x.shape[axis]
    return reshaped(call, cut(call, x, axis, slice(index, index + 1)), call.shape)


@OPERATORS.add(
    "index", "index_select", "flip", "roll", becomes="`Take`, or `Slice` where it is one"
)
def pick(call: Call) -> Signal:
    """Chosen places of axes, by constants."""
    x = call.x
    if call.operator == "flip":
        axes = [call.axis(dim, x) for dim in call.value("dims")]
        orders = [np.arange(x.shape[axis])[::-1] for axis in axes]
    elif call.operator == "roll":
        axes = [call.axis(dim, x) for dim in call.value("dims", ())]
        if not axes:
            raise ValueError("dims must be given")
        shifts = call.wholes("shifts", len(axes))
        pairs = zip(axes, shifts, strict=True)
        orders = [np.roll(np.arange(x.shape[axis]), shift) for axis, shift in pairs]
    elif call.operator == "index":
        indices = call.value("indices")
        places = [place for place, index in enumerate(indices) if index is not None]
        if len(places) != 1 or isinstance(indices[places[0]], Signal):
            raise ValueError("it must take one axis by a constant")
        axes, orders = [call.axis(places[0], x)], [_indices(indices[places[0]])]
    else:
        axes, orders = [call.axis(call.whole("dim"), x)], [_indices(call.value("index"))]
    for axis, order in zip(axes, orders, strict=True):
        x = picked(call, x, axis, order)
    return x


def _indices(tensor: object) -> np.ndarray:
    """A constant list of places."""
    if isinstance(tensor, Signal) or tensor.is_floating_point() or tensor.ndim != 1:
        raise ValueError("the places must be a constant list of whole numbers")
    array = tensor.cpu().numpy()
    return np.flatnonzero(array) if array.dtype == bool else array


@OPERATORS.add("expand", "expand_as", becomes="`Upsample`, of axes of the size 1")
def expand(call: Call) -> Signal:
    """Axes of the size 1 repeated."""
    if len(call.shape) != len(call.x.shape):
        raise ValueError("it adds axes before the batch axis")
    return repeated(call, call.x, call.shape)


@OPERATORS.add("repeat", "tile", "repeat_interleave", becomes="`Upsample` or `Concat`")
def repeat(call: Call) -> Signal:
    """Several times: all of an axis, or each place of it."""
    x = call.x
    if len(call.shape) != len(x.shape):
        raise ValueError("it adds axes before the batch axis")
    times = [new // size for new, size in zip(call.shape, x.shape, strict=True)]
    if call.operator == "repeat_interleave":
        if not isinstance(call.value("repeats"), int) or not call.has("dim"):
            raise ValueError("repeats must be a whole number, and dim be given")
        return enlarged(call, x, times)
    for axis, count in enumerate(times):
        if count > 1 and x.shape[axis] > 1:
            x = call.emit(Concat(axis), *[x] * count)
    return repeated(call, x, call.shape)
