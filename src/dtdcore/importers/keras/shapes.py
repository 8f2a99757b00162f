# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Keras layers that join values or rearrange numbers."""

from __future__ import annotations

import math

import numpy as np

from dtdcore.importers.building import added, affine, gated, negated, repeated, reshaped
from dtdcore.importers.keras.call import Call, Value
from dtdcore.importers.operators import Operators
from dtdcore.importers.windows import joined
from dtdcore.layers import ChannelAffine

OPERATORS = Operators()


@OPERATORS.add("Add", "Average", becomes="`Add`; for the average then `ChannelAffine`")
def add(call: Call) -> Value:
    """x_1 + x_2 + …, perhaps divided by their number."""
    constants = [part for part in call.inputs if isinstance(part, np.ndarray)]
    call.inputs = [part for part in call.inputs if isinstance(part, Value)]
    signals, order = call.together()
    y = added(call, signals) if len(signals) > 1 else signals[0]
    for constant in constants:
        wide = constant.reshape((1,) * (len(order) - constant.ndim) + constant.shape)
        y = affine(call, y, None, wide.transpose(order))
    if type(call.layer).__name__ == "Average":
        y = call.emit(ChannelAffine(call.constant([1 / len(signals)])), y)
    return Value(y, order)


@OPERATORS.add("Subtract", becomes="`ChannelAffine` and `Add`")
def subtract(call: Call) -> Value:
    """x_1 - x_2."""
    (first, second), order = call.together()
    return Value(added(call, [first, negated(call, second)]), order)


@OPERATORS.add("Multiply", becomes="`Gate`, where one of two inputs is a gate")
def multiply(call: Call) -> Value:
    """A value times a gate."""
    signals, order = call.together()
    if len(signals) != 2:
        raise ValueError(f"it multiplies {len(signals)} inputs, only 2 are supported")
    return Value(gated(call, *signals), order)


@OPERATORS.add("Concatenate", becomes="`Concat`, or `Pad` with constants")
def concatenate(call: Call) -> Value:
    """One after the other."""
    parts = call.inputs
    call.inputs = [part for part in parts if isinstance(part, Value)]
    signals, order = call.together()
    axis = call.axis(call.option("axis"), call.inputs[0])
    if len(parts) == 1:
        return call.inputs[0]
    left = iter(signals)
    parts = [next(left) if isinstance(p, Value) else p.transpose(order) for p in parts]
    return Value(joined(call, parts, order.index(axis)), order)


@OPERATORS.add("Flatten", becomes="`Flatten`")
def flatten(call: Call) -> Value:
    """To (n, features), the channels last, whatever the data format."""
    value = call.value()
    rank = len(value.shape)
    order = (*range(1, rank), 0) if call.option("data_format") == "channels_first" else range(rank)
    return Value(reshaped(call, call.counted(value, order), (math.prod(value.shape),)))


@OPERATORS.add("Reshape", becomes="`Reshape` or `Flatten`")
def reshape(call: Call) -> Value:
    """To another shape of each sample."""
    value = call.value()
    shape = [int(size) for size in call.option("target_shape")]
    if -1 in shape:
        shape[shape.index(-1)] = math.prod(value.shape) // -math.prod(shape)
    signal = call.counted(value, range(len(value.shape)))
    return Value(reshaped(call, signal, tuple(shape)))


@OPERATORS.add("Permute", becomes="nothing, or `Transpose` where the order of axes matters")
def permute(call: Call) -> Value:
    """Axes in another order."""
    return call.value().permuted([axis - 1 for axis in call.option("dims")])


@OPERATORS.add("RepeatVector", becomes="`Reshape` and `Upsample`")
def repeat_vector(call: Call) -> Value:
    """(n, features) -> (n, times, features)."""
    signal = call.plain(call.value())
    y = reshaped(call, signal, (1, *signal.shape))
    return Value(repeated(call, y, (int(call.option("n")), *signal.shape)))


@OPERATORS.add("TimeDistributed", becomes="its layer: `Dense` as it is, others at each step")
def time_distributed(call: Call) -> Value:
    """A layer or a model at each step of a sequence."""
    return call.steps()
