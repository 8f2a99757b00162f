# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Keras layers that are activations, and those that do nothing at inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dtdcore.importers.building import SELU_ALPHA, SELU_SCALE, affine, softmax_axis
from dtdcore.importers.keras.call import Call, Value
from dtdcore.importers.keras.graph import import_keras
from dtdcore.importers.logarithms import LogSoftmax
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Signal
from dtdcore.layers import (
    ELU,
    Clip,
    Gate,
    HardSigmoid,
    HardSwish,
    Layer,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)

OPERATORS = Operators()

LARGEST = float(np.finfo(np.float32).max)

#: Functions of keras.activations that are one layer.
FUNCTIONS: dict[str, Callable[[], Layer]] = {
    "relu": ReLU,
    "relu6": lambda: Clip(0, 6),
    "leaky_relu": lambda: LeakyReLU(0.2),
    "elu": ELU,
    "celu": ELU,
    "sigmoid": Sigmoid,
    "hard_sigmoid": HardSigmoid,
    "hard_silu": HardSwish,
    "tanh": Tanh,
    "hard_tanh": lambda: Clip(-1, 1),
}

#: ... and those that are none, or more.
OTHERS = ("linear", "log_softmax", "selu", "silu", "softmax")

#: Layers that only do something in training.
ONLY_TRAIN = (
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "RandomBrightness",
    "RandomContrast",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
)


def activated(call: Call, value: Value) -> Value:
    """A value after the activation that the layer has as an argument."""
    call.activating = True
    return _apply(call, call.option("activation"), value)


def function_name(function: Any) -> str | None:
    """The name of an activation of Keras's own; None if it is something else."""
    activations = import_keras().activations
    names = (*FUNCTIONS, *OTHERS)
    return next((name for name in names if function is getattr(activations, name)), None)


def _apply(call: Call, function: Any, value: Value) -> Value:
    if function is None:
        return value
    layer = type(function).__name__
    if layer in ACTIVATIONS and isinstance(function, getattr(import_keras().layers, layer)):
        return ACTIVATIONS[layer](call.inside(function, value))
    name = function_name(function)
    if name is None:
        title = getattr(function, "__name__", type(function).__name__)
        raise ValueError(
            f"the activation {title} is not supported. Supported are "
            f"{', '.join(sorted((*FUNCTIONS, *OTHERS)))}, and the layers "
            f"{', '.join(sorted(ACTIVATIONS))}"
        )
    if name == "linear":
        return value
    if name in ("softmax", "log_softmax"):
        call.suffix = name
        return _softmax(call, Softmax if name == "softmax" else LogSoftmax, value, -1)
    call.suffix = name
    if name == "selu":
        y = call.emit(ELU(SELU_ALPHA), value.signal)
        return Value(affine(call, y, call.constant(SELU_SCALE), None), value.order)
    if name == "silu":
        call.suffix = "sigmoid"
        gate = call.emit(Sigmoid(), value.signal)
        call.suffix = name
        return Value(call.emit(Gate(), value.signal, gate), value.order)
    return Value(call.emit(FUNCTIONS[name](), value.signal), value.order)


def _softmax(call: Call, layer: type[Softmax | LogSoftmax], value: Value, axis: int) -> Value:
    own = value.order.index(softmax_axis(axis, value.shape))
    return Value(call.emit(layer(own), value.signal), value.order)


@OPERATORS.add("Activation", becomes="the layer of its activation")
def activation(call: Call) -> Value:
    """A function, or a layer, as a layer."""
    return activated(call, call.value())


@OPERATORS.add("ReLU", becomes="`ReLU`, `Clip` or `LeakyReLU`")
def relu(call: Call) -> Value:
    """x, or slope · x below 0, at most max_value."""
    value = call.value()
    slope, most = call.option("negative_slope"), call.option("max_value")
    if call.option("threshold"):
        raise ValueError(f"threshold={call.option('threshold')} is not supported, only 0")
    x: Signal = value.signal
    if not slope:
        y = call.emit(ReLU() if most is None else Clip(0, float(most)), x)
    else:
        y = call.emit(LeakyReLU(float(slope)), x)
        y = y if most is None else call.emit(Clip(-LARGEST, float(most)), y)
    return Value(y, value.order)


@OPERATORS.add("LeakyReLU", becomes="`LeakyReLU`")
def leaky_relu(call: Call) -> Value:
    """x or slope · x."""
    value = call.value()
    layer = LeakyReLU(float(call.option("negative_slope")))
    return Value(call.emit(layer, value.signal), value.order)


@OPERATORS.add("ELU", becomes="`ELU`")
def elu(call: Call) -> Value:
    """x or alpha (exp(x) - 1)."""
    value = call.value()
    return Value(call.emit(ELU(float(call.option("alpha"))), value.signal), value.order)


@OPERATORS.add("PReLU", becomes="`PReLU`, with slopes along one axis")
def prelu(call: Call) -> Value:
    """x or slope x, one slope for all, or for each number along one axis (shared_axes)."""
    value, slope = call.value(), call.array("alpha")
    own = [axis for axis, size in enumerate(slope.shape) if size > 1]
    if len(own) > 1:
        raise ValueError(
            f"slopes of shape {slope.shape} are not supported: only one axis may have more than "
            "one; the others go into shared_axes"
        )
    signal, order = call.led(value, own[0] if own else call.home_axis(len(value.shape)))
    return Value(call.emit(PReLU(slope.reshape(-1)), signal), order)


@OPERATORS.add("Softmax", becomes="`Softmax`; left out at the end of a network")
def softmax(call: Call) -> Value:
    """Along an axis."""
    value, axis = call.value(), call.option("axis")
    if not isinstance(axis, int):
        raise ValueError(f"axis={axis} is not supported, only one axis is")
    return _softmax(call, Softmax, value, axis)


#: Layers that may be an activation of another.
ACTIVATIONS = {"ReLU": relu, "LeakyReLU": leaky_relu, "ELU": elu, "PReLU": prelu}


@OPERATORS.add(*ONLY_TRAIN, becomes="nothing")
def nothing(call: Call) -> Value:
    """Only trains."""
    return call.value()
