# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that are linear layers, sums, and scales and shifts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dtdcore.importers.onnx_call import Call, Constant
from dtdcore.importers.onnx_spans import sliding
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Signal
from dtdcore.layers import (
    Add,
    BatchNorm,
    ChannelAffine,
    Clip,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Gate,
    HardSigmoid,
    Multiply,
    Reshape,
    Sigmoid,
    Softmax,
    Transpose,
    Upsample,
)

OPERATORS = Operators()


@OPERATORS.add("Conv", becomes="`Conv`")
def conv(call: Call) -> Signal:
    """Convolution of 1, 2 or 3 spatial axes."""
    x, weight = call.signal(), call.weights(1)
    span = sliding(call, x, weight.shape[2:])
    bias = call.weights(2).reshape(-1) if call.has(2) else None
    layer = Conv(weight, bias, span.stride, span.padding, span.dilation, call.integer("group", 1))
    return call.emit(layer, x)


@OPERATORS.add("ConvTranspose", becomes="`ConvTranspose`")
def conv_transpose(call: Call) -> Signal:
    """Transposed convolution; pads may follow from the output's shape."""
    x, weight = call.signal(), call.weights(1)
    kernel = weight.shape[2:]
    axes = len(kernel)
    span = sliding(call, x, kernel, transposed=True)
    grow = call.integers("output_padding", (0,) * axes)
    sizes = call.integers("output_shape")
    auto_pad = call.text("auto_pad", "NOTSET")
    padding = list(span.padding)
    if sizes is not None and len(sizes) == axes + 2:
        sizes = sizes[2:]
    if sizes is None and auto_pad.startswith("SAME"):
        sizes = tuple(size * stride for size, stride in zip(x.shape[1:], span.stride, strict=True))
    if sizes is not None:
        if len(sizes) != axes or len(grow) != axes:
            raise ValueError(f"output_shape and output_padding must have {axes} numbers")
        for i, size in enumerate(sizes):
            reach = (kernel[i] - 1) * span.dilation[i] + 1
            total = span.stride[i] * (x.shape[1 + i] - 1) + grow[i] + reach - size
            if total < 0:
                raise ValueError(f"the output of size {size} is larger than all that is computed")
            half = total // 2
            pair = (half, total - half) if auto_pad == "SAME_UPPER" else (total - half, half)
            padding[i] = pair
    bias = call.weights(2).reshape(-1) if call.has(2) else None
    groups = call.integer("group", 1)
    return call.emit(
        ConvTranspose(weight, bias, span.stride, padding, span.dilation, groups, grow), x
    )


@OPERATORS.add("Gemm", becomes="`Dense`")
def gemm(call: Call) -> Signal:
    """α A B + β C with a constant B."""
    x, weight = call.signal(), call.weights(1)
    if call.integer("transA", 0):
        raise ValueError("transA=1 works along the batch axis")
    if weight.ndim != 2:
        raise ValueError(f"input 1 must be a matrix, got shape {weight.shape}")
    if call.integer("transB", 0):
        weight = weight.T
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    weight = weight if alpha == 1 else weight * weight.dtype.type(alpha)
    bias = None
    if call.has(2) and isinstance(call.value(2), Constant):
        bias = _by_channel(call.weights(2), (weight.shape[1],))
        if bias is None:
            raise ValueError(f"input 2 of shape {call.weights(2).shape} is no bias")
        bias = np.broadcast_to(bias * bias.dtype.type(beta), (weight.shape[1],))
    y = call.emit(Dense(weight, bias), x)
    if call.has(2) and bias is None:
        other = call.signal(2)
        if beta != 1:
            other = call.emit(ChannelAffine([_like(weight, beta)]), other)
        y = call.emit(Add(), y, other)
    return y


@OPERATORS.add("MatMul", becomes="`Dense`, or `Conv` with a kernel of 1 and `Transpose`")
def matmul(call: Call) -> Signal:
    """A product with a constant matrix."""
    left = isinstance(call.value(0), Constant)
    x, weight = call.signal(1 if left else 0), call.weights(0 if left else 1)
    if weight.ndim != 2:
        raise ValueError(f"the constant must be a matrix, got shape {weight.shape}")
    rank = len(x.shape)
    if left:
        if rank != 2:
            raise ValueError(f"a constant times a value with {rank + 1} axes is not supported")
        return call.emit(Conv(weight[:, :, None]), x)
    if rank == 1:
        return call.emit(Dense(weight), x)
    if rank > 4:
        raise ValueError(f"a value with {rank + 1} axes is not supported")
    x = call.emit(Transpose((rank - 1, *range(rank - 1))), x)
    y = call.emit(Conv(weight.T.reshape(*weight.T.shape, *[1] * (rank - 1))), x)
    return call.emit(Transpose((*range(1, rank), 0)), y)


@OPERATORS.add("BatchNormalization", becomes="`BatchNorm`")
def batch_normalization(call: Call) -> Signal:
    """With the means and variances of the file."""
    call.only_first()
    if call.integer("training_mode", 0):
        raise ValueError("training_mode=1: export the model for inference")
    if call.opset < 9 and call.integer("spatial", 1) != 1:
        raise ValueError("spatial=0 is not supported")
    x = call.signal()
    scale, bias, mean, variance = (call.weights(index) for index in (1, 2, 3, 4))
    layer = BatchNorm(mean, variance, scale, bias, call.number("epsilon", 1e-5))
    return call.emit(layer, x)


@OPERATORS.add("Add", "Sub", becomes="`Add`, or `ChannelAffine` with a constant")
def add(call: Call) -> Signal:
    """x + y, x - y; one of them may be a constant."""
    a, b = call.value(0), call.value(1)
    minus = call.operator == "Sub"
    if isinstance(b, Constant):
        shift = call.weights(1)
        return affine(call, call.signal(0), None, -shift if minus else shift)
    if isinstance(a, Constant):
        shift = call.weights(0)
        return affine(call, b, -np.ones((), shift.dtype) if minus else None, shift)
    if minus:
        b = call.emit(ChannelAffine(np.array([-1], np.float32)), b)
    return call.emit(Add(), *_alike(call, [a, b]))


@OPERATORS.add("Sum", becomes="`Add`, and `ChannelAffine` for constants")
def sum_(call: Call) -> Signal:
    """x_1 + x_2 + …; some of them may be constants."""
    values = [call.value(index) for index in range(call.count)]
    signals = [value for value in values if isinstance(value, Signal)]
    y = signals[0] if len(signals) == 1 else call.emit(Add(), *_alike(call, signals))
    for index, value in enumerate(values):
        if isinstance(value, Constant):
            y = affine(call, y, None, call.weights(index))
    return y


@OPERATORS.add(
    "Mul", "Div", becomes="`ChannelAffine` or `Multiply` with a constant; `Gate` with a gate"
)
def mul(call: Call) -> Signal:
    """c x or x / c with a constant c, or x times a gate."""
    a, b = call.value(0), call.value(1)
    if isinstance(a, Signal) and isinstance(b, Signal) and call.operator == "Mul":
        gates = [_is_gate(call, a), _is_gate(call, b)]
        if sum(gates) != 1:
            raise ValueError(
                "one of its inputs must be a constant, or exactly one of them a gate: the output "
                "of a sigmoid, a hard sigmoid, a softmax or a clip to numbers >= 0"
            )
        x, gate = _alike(call, [b, a] if gates[0] else [a, b])
        return call.emit(Gate(), x, gate)
    if call.operator == "Div":
        if isinstance(a, Constant):
            raise ValueError("the divisor must be a constant")
        divisor = call.weights(1)
        if not np.all(divisor):
            raise ValueError("it divides by 0")
        with np.errstate(over="ignore"):
            return affine(call, a, 1 / divisor, None)
    x, index = (b, 0) if isinstance(a, Constant) else (a, 1)
    return affine(call, x, call.weights(index), None)


def affine(call: Call, x: Signal, scale: Any, shift: Any) -> Signal:
    """scale · x + shift with constants that broadcast to x."""
    parts = [part for part in (scale, shift) if part is not None]
    for part in parts:
        if not np.all(np.isfinite(part)):
            raise ValueError("a constant holds a value that is not finite")
    dtype = np.result_type(*parts)
    by_channel = [_by_channel(part, x.shape) for part in parts]
    if all(part is not None for part in by_channel):
        channels = max(len(part) for part in by_channel)
        vectors = iter(np.broadcast_to(part, (channels,)) for part in by_channel)
        ones = np.ones(channels, dtype)
        scale = ones if scale is None else next(vectors)
        return call.emit(ChannelAffine(scale, None if shift is None else next(vectors)), x)
    full = [_sample(part, x.shape) for part in parts]
    if shift is None:
        return call.emit(Multiply(full[0]), x)
    # The axes along which the constants differ become the channels.
    sizes = np.broadcast_shapes(*(part.shape for part in full))
    own = [axis for axis, size in enumerate(sizes) if size > 1]
    order = (*own, *(axis for axis in range(len(sizes)) if axis not in own))
    wide = iter(np.broadcast_to(part, sizes).reshape(-1) for part in full)
    channels = math.prod(sizes)
    scale = np.ones(channels, dtype) if scale is None else next(wide)
    y = x if order == tuple(range(len(order))) else call.emit(Transpose(order), x)
    shape = y.shape
    y = y if len(own) == 1 else call.emit(Reshape((channels, *shape[len(own) :])), y)
    y = call.emit(ChannelAffine(scale, next(wide)), y)
    y = y if len(own) == 1 else call.emit(Reshape(shape), y)
    return _back(call, y, order)


def _back(call: Call, y: Signal, order: tuple[int, ...]) -> Signal:
    """The axes in the order that they had."""
    back = tuple(order.index(axis) for axis in range(len(order)))
    return y if back == tuple(range(len(order))) else call.emit(Transpose(back), y)


def _is_gate(call: Call, signal: Signal) -> bool:
    """Does a signal come from a layer whose outputs say how much of another passes?"""
    while True:
        layer, sources = call.maker(signal)
        if isinstance(layer, (Sigmoid, HardSigmoid, Softmax)):
            return True
        if isinstance(layer, Clip):
            return layer.low >= 0
        if not isinstance(layer, (Reshape, Flatten, Upsample, Transpose, Multiply, ChannelAffine)):
            return False
        (signal,) = sources


def _sample(constant: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A constant without the batch axis, with as many axes as a sample."""
    rank = len(shape)
    if constant.ndim == rank + 1 and constant.shape[0] == 1:
        constant = constant[0]
    if constant.ndim <= rank:
        constant = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
        pairs = zip(constant.shape, shape, strict=True)
        if all(one in (1, size) for one, size in pairs):
            return constant
    raise ValueError(f"a constant of shape {constant.shape} does not broadcast to {('n', *shape)}")


def _by_channel(constant: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """A constant as one number, or one for each channel; None if it is something else."""
    constant = _sample(constant, shape)
    if constant.size == 1 or (constant.shape and constant.size == constant.shape[0]):
        return constant.reshape(-1)
    return None


def _alike(call: Call, signals: list[Signal]) -> list[Signal]:
    """Signals broadcast to one shape, by repeating what has the size 1."""
    if len({len(signal.shape) for signal in signals}) > 1:
        raise ValueError("its inputs must have the same number of axes")
    shape = np.broadcast_shapes(*(signal.shape for signal in signals))
    return [
        signal
        if signal.shape == shape
        else call.emit(
            Upsample([s // own for s, own in zip(shape, signal.shape, strict=True)]), signal
        )
        for signal in signals
    ]


def _like(array: np.ndarray, number: float) -> Any:
    return array.dtype.type(number)
