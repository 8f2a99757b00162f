# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch operators that are activations, and those that do nothing."""

from __future__ import annotations

from dtdcore.arrays import require
from dtdcore.importers.building import (
    SELU_ALPHA,
    SELU_SCALE,
    above,
    between,
    celu,
    chosen,
    leaky,
    scaled_elu,
    softmax_axis,
)
from dtdcore.importers.logarithms import Log, LogSoftmax
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Signal
from dtdcore.importers.torch.call import Call
from dtdcore.layers import (
    Gate,
    HardSigmoid,
    HardSwish,
    PReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)

OPERATORS = Operators()


@OPERATORS.add("relu", becomes="`ReLU`")
def relu(call: Call) -> Signal:
    """max(0, x)."""
    return call.emit(ReLU(), call.x)


@OPERATORS.add("threshold", becomes="`Threshold`, or `ReLU` where it is one")
def threshold(call: Call) -> Signal:
    """x where x > threshold, else value."""
    return above(call, call.x, call.number("threshold"), call.number("value"))


@OPERATORS.add("leaky_relu", becomes="`LeakyReLU`")
def leaky_relu(call: Call) -> Signal:
    """x or slope x."""
    return leaky(call, call.x, call.number("negative_slope", 0.01), call.dtype)


@OPERATORS.add("rrelu", becomes="`LeakyReLU`")
def rrelu(call: Call) -> Signal:
    """x or slope x, with the mean of the slopes that training draws."""
    if call.flag("training"):
        raise ValueError("it draws random slopes in eval mode, too")
    slope = (call.number("lower") + call.number("upper")) / 2
    return leaky(call, call.x, slope, call.dtype)


@OPERATORS.add("prelu", becomes="`PReLU`")
def prelu(call: Call) -> Signal:
    """x or slope x, one slope for all, or for each channel."""
    return call.emit(PReLU(call.weights("weight").reshape(-1)), call.x)


@OPERATORS.add("elu", "selu", becomes="`ELU`, and `ChannelAffine` for its scale")
def elu(call: Call) -> Signal:
    """scale x, or scale alpha (exp(x) - 1)."""
    alpha, scale = call.number("alpha", 1.0), call.number("scale", 1.0)
    if call.operator == "selu":
        alpha, scale = SELU_ALPHA, SELU_SCALE
    if call.number("input_scale", 1.0) != 1:
        raise ValueError("input_scale must be 1")
    return scaled_elu(call, call.x, alpha, scale, call.dtype)


@OPERATORS.add("celu", becomes="`ELU`, and `ChannelAffine` for its scales")
def celu_(call: Call) -> Signal:
    """x or alpha (exp(x / alpha) - 1)."""
    return celu(call, call.x, call.number("alpha", 1.0), call.dtype)


@OPERATORS.add("clamp", "clamp_min", "clamp_max", "hardtanh", "relu6", becomes="`Clip` or `ReLU`")
def clip(call: Call) -> Signal:
    """min(max(x, low), high)."""
    low, high = {"hardtanh": (-1.0, 1.0), "relu6": (0.0, 6.0)}.get(call.operator, (None, None))
    low = call.number("min", call.number("min_val", low))
    high = call.number("max", call.number("max_val", high))
    return between(call, call.x, low, high)


@OPERATORS.add("maximum", "minimum", becomes="`Clip` or `ReLU`: with a constant number")
def bounded(call: Call) -> Signal:
    """max(x, c) or min(x, c)."""
    given = [call.is_signal(name) for name in ("self", "other")]
    if all(given):
        most = "maximum" if call.operator in ("maximum", "max") else "minimum"
        raise ValueError(f"the elementwise {most} of two values is not supported")
    x, bound = call.signal("self" if given[0] else "other"), "other" if given[0] else "self"
    number, most = call.number(bound), call.operator in ("maximum", "max")
    return between(call, x, *((number, None) if most else (None, number)))


@OPERATORS.add("where", becomes="`Multiply`, `Add`: with a constant mask")
def where(call: Call) -> Signal:
    """One value where a mask is true, another elsewhere."""
    x = call.signal("self" if call.is_signal("self") else "other")
    values = [
        call.signal(name) if call.is_signal(name) else call.weights(name, x)
        for name in ("self", "other")
    ]
    return chosen(call, call.weights("condition", x), *values)


@OPERATORS.add("sigmoid", becomes="`Sigmoid`")
def sigmoid(call: Call) -> Signal:
    """1 / (1 + exp(-x))."""
    return call.emit(Sigmoid(), call.x)


@OPERATORS.add("hardsigmoid", becomes="`HardSigmoid`")
def hardsigmoid(call: Call) -> Signal:
    """x / 6 + 1/2, between 0 and 1."""
    return call.emit(HardSigmoid(), call.x)


@OPERATORS.add("hardswish", becomes="`HardSwish`")
def hardswish(call: Call) -> Signal:
    """x times its hard sigmoid."""
    return call.emit(HardSwish(), call.x)


@OPERATORS.add("silu", becomes="`Gate` with `Sigmoid`")
def silu(call: Call) -> Signal:
    """x times its sigmoid."""
    x = call.x
    return call.emit(Gate(), x, call.emit(Sigmoid(), x))


@OPERATORS.add("tanh", becomes="`Tanh`")
def tanh(call: Call) -> Signal:
    """tanh(x)."""
    return call.emit(Tanh(), call.x)


@OPERATORS.add("softmax", "_softmax", becomes="`Softmax`; left out at the end of a network")
def softmax(call: Call) -> Signal:
    """Along an axis."""
    return call.emit(Softmax(softmax_axis(call.whole("dim"), call.x.shape)), call.x)


@OPERATORS.add(
    "log_softmax",
    "_log_softmax",
    "log",
    becomes="left out at the end of a network; an error elsewhere",
)
def log_softmax(call: Call) -> Signal:
    """There is no rule for them."""
    if call.operator == "log":
        return call.emit(Log(), call.x)
    return call.emit(LogSoftmax(softmax_axis(call.whole("dim"), call.x.shape)), call.x)


@OPERATORS.add("clone", "contiguous", "detach", "alias", "lift_fresh_copy", becomes="nothing")
def identity(call: Call) -> Signal:
    """x."""
    return call.x


@OPERATORS.add(
    "dropout", "native_dropout", "feature_dropout", "alpha_dropout", becomes="nothing, in eval mode"
)
def dropout(call: Call) -> Signal:
    """Only trains."""
    if call.flag("train", True) and call.number("p", 0) != 0:
        raise ValueError("it drops numbers in eval mode, too: pass training=self.training to it")
    return call.x


@OPERATORS.add("_to_copy", "to", becomes="nothing: to float32 and float64")
def cast(call: Call) -> Signal:
    """Numbers are of the dtype of x everywhere."""
    torch = require("torch", "torch")
    if call.value("dtype", torch.float32) not in (torch.float32, torch.float64):
        raise ValueError(f"numbers of {call.value('dtype')} are not supported")
    return call.x
