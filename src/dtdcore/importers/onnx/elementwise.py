# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that are activations, and those that do nothing."""

from __future__ import annotations

import numpy as np

from dtdcore.importers.building import (
    above,
    between,
    celu,
    chosen,
    joint,
    leaky,
    scaled_elu,
    softmax_axis,
)
from dtdcore.importers.logarithms import Log, LogSoftmax
from dtdcore.importers.onnx.call import Call
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Signal
from dtdcore.layers import (
    ELU,
    LRN,
    HardSigmoid,
    HardSwish,
    PReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)

OPERATORS = Operators()

#: TensorProto.DataType of float32, float16, float64, bfloat16.
FLOATS = (1, 10, 11, 16)


@OPERATORS.add("Relu", becomes="`ReLU`")
def relu(call: Call) -> Signal:
    """max(0, x)."""
    return call.emit(ReLU(), call.signal())


@OPERATORS.add("LeakyRelu", becomes="`LeakyReLU`")
def leaky_relu(call: Call) -> Signal:
    """x or alpha x."""
    return leaky(call, call.signal(), call.number("alpha", 0.01), call.dtype)


@OPERATORS.add("PRelu", becomes="`PReLU`")
def prelu(call: Call) -> Signal:
    """x or slope x, one slope for all, or for each channel."""
    x, slope = call.signal(), call.weights(1)
    rank = len(x.shape)
    full = slope[0] if slope.ndim == rank + 1 and slope.shape[0] == 1 else slope
    full = full.reshape((1,) * (rank - full.ndim) + full.shape) if full.ndim < rank else full
    if full.size != 1 and full.shape != (x.shape[0],) + (1,) * (rank - 1):
        raise ValueError(f"a slope of shape {slope.shape} is not one for each channel")
    return call.emit(PReLU(full.reshape(-1)), x)


@OPERATORS.add("Elu", becomes="`ELU`")
def elu(call: Call) -> Signal:
    """x or alpha (exp(x) - 1)."""
    return call.emit(ELU(call.number("alpha", 1.0)), call.signal())


@OPERATORS.add("Selu", becomes="`ELU`, and `ChannelAffine` for its scale")
def selu(call: Call) -> Signal:
    """gamma x, or gamma alpha (exp(x) - 1)."""
    alpha = call.number("alpha", 1.67326319217681884765625)
    gamma = call.number("gamma", 1.05070102214813232421875)
    return scaled_elu(call, call.signal(), alpha, gamma, call.dtype)


@OPERATORS.add("Celu", becomes="`ELU`, and `ChannelAffine` for its scales")
def celu_(call: Call) -> Signal:
    """x, or alpha (exp(x / alpha) - 1)."""
    return celu(call, call.signal(), call.number("alpha", 1.0), call.dtype)


@OPERATORS.add("ThresholdedRelu", becomes="`Threshold`, or `ReLU` where it is one")
def thresholded_relu(call: Call) -> Signal:
    """x where x > alpha, else 0."""
    return above(call, call.signal(), call.number("alpha", 1.0))


@OPERATORS.add("Clip", becomes="`Clip`, or `ReLU` where it is one")
def clip(call: Call) -> Signal:
    """min(max(x, low), high); attributes up to opset 10, inputs later."""
    if call.opset < 11:
        return between(call, call.signal(), call.number("min"), call.number("max"))
    return between(call, call.signal(), call.scalar(1), call.scalar(2))


@OPERATORS.add("Max", "Min", becomes="`Clip` or `ReLU`: with constant numbers")
def bounded(call: Call) -> Signal:
    """max(x, c) or min(x, c)."""
    values = [call.value(index) for index in range(call.count)]
    signals = [value for value in values if isinstance(value, Signal)]
    if len(signals) > 1:
        raise ValueError("of several values that depend on the input it is not supported")
    numbers = {
        float(n)
        for i, v in enumerate(values)
        if v not in signals
        for n in np.unique(call.weights(i))
    }
    if len(numbers) > 1:
        raise ValueError(f"its constants must hold one number throughout, got {sorted(numbers)}")
    (number,) = numbers or (None,)
    most = call.operator == "Max"
    return between(call, signals[0], *((number, None) if most else (None, number)))


@OPERATORS.add("Where", becomes="`Multiply` and `Add`: with a constant mask")
def where(call: Call) -> Signal:
    """One value where a mask is true, another elsewhere."""
    parts = [
        value if isinstance(value, Signal) else call.weights(index)
        for index, value in ((1, call.value(1)), (2, call.value(2)))
    ]
    return chosen(call, call.constant(0), *parts)


@OPERATORS.add("Sigmoid", becomes="`Sigmoid`")
def sigmoid(call: Call) -> Signal:
    """1 / (1 + exp(-x))."""
    return call.emit(Sigmoid(), call.signal())


@OPERATORS.add("HardSigmoid", becomes="`HardSigmoid`")
def hard_sigmoid(call: Call) -> Signal:
    """alpha x + beta, between 0 and 1."""
    layer = HardSigmoid(call.number("alpha", 0.2), call.number("beta", 0.5))
    return call.emit(layer, call.signal())


@OPERATORS.add("HardSwish", becomes="`HardSwish`")
def hard_swish(call: Call) -> Signal:
    """x times its hard sigmoid."""
    return call.emit(HardSwish(), call.signal())


@OPERATORS.add("Tanh", becomes="`Tanh`")
def tanh(call: Call) -> Signal:
    """tanh(x)."""
    return call.emit(Tanh(), call.signal())


@OPERATORS.add("Softmax", becomes="`Softmax`; left out at the end of a network")
def softmax(call: Call) -> Signal:
    """Along an axis; up to opset 12 over all axes from that one on."""
    return _softmax(call, Softmax)


@OPERATORS.add("LogSoftmax", "Log", becomes="left out at the end of a network; an error elsewhere")
def log_softmax(call: Call) -> Signal:
    """There is no rule for them."""
    return call.emit(Log(), call.signal()) if call.operator == "Log" else _softmax(call, LogSoftmax)


def _softmax(call: Call, layer: type[Softmax | LogSoftmax]) -> Signal:
    x, old = call.signal(), call.opset < 13
    axis = softmax_axis(call.integer("axis", 1 if old else -1), x.shape)
    return joint(call, layer, x, axis) if old else call.emit(layer(axis), x)


@OPERATORS.add("LRN", becomes="`LRN`")
def lrn(call: Call) -> Signal:
    """Local response normalisation."""
    size = call.integer("size")
    if size is None:
        raise ValueError("the attribute size is missing")
    numbers = call.number("alpha", 1e-4), call.number("beta", 0.75), call.number("bias", 1.0)
    return call.emit(LRN(size, *numbers), call.signal())


@OPERATORS.add("Identity", becomes="nothing")
def identity(call: Call) -> Signal:
    """x."""
    return call.signal()


@OPERATORS.add("Dropout", becomes="nothing")
def dropout(call: Call) -> Signal:
    """Only trains."""
    call.only_first()
    if call.has(2) and np.any(call.constant(2)):
        raise ValueError("training_mode is on: export the model for inference")
    return call.signal()


@OPERATORS.add("Cast", becomes="nothing: to floating-point numbers")
def cast(call: Call) -> Signal:
    """Numbers are of the dtype of x everywhere."""
    if call.integer("to") not in FLOATS:
        raise ValueError("only casts to floating-point numbers are supported")
    return call.signal()
