# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that are linear layers, sums, and scales and shifts."""

from __future__ import annotations

import numpy as np

from dtdcore.importers.building import (
    added,
    affine,
    by_channel_of,
    divided,
    gated,
    negated,
)
from dtdcore.importers.interpolating import interpolated
from dtdcore.importers.onnx.call import Call, Constant
from dtdcore.importers.onnx.spans import sliding
from dtdcore.importers.operators import Operators
from dtdcore.importers.products import einstein, product
from dtdcore.importers.record import Signal
from dtdcore.layers import Add, BatchNorm, ChannelAffine, Conv, ConvTranspose, Dense

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
        bias = by_channel_of(call.weights(2), (weight.shape[1],))
        if bias is None:
            raise ValueError(f"input 2 of shape {call.weights(2).shape} is no bias")
        bias = np.broadcast_to(bias * bias.dtype.type(beta), (weight.shape[1],))
    y = call.emit(Dense(weight, bias), x)
    if call.has(2) and bias is None:
        other = call.signal(2)
        if beta != 1:
            other = call.emit(ChannelAffine([weight.dtype.type(beta)]), other)
        y = call.emit(Add(), y, other)
    return y


@OPERATORS.add("MatMul", becomes="`Dense`, or `Conv` with a kernel of 1 and `Transpose`")
def matmul(call: Call) -> Signal:
    """A product with a constant vector, matrix, or several matrices."""
    left = isinstance(call.value(0), Constant)
    x, weight = call.signal(1 if left else 0), call.weights(0 if left else 1)
    whole = weight.ndim > 2 and weight.ndim == len(x.shape) + 1  # one matrix for each sample
    if whole and np.array_equal(weight, np.broadcast_to(weight[:1], weight.shape)):
        weight = weight[0]
    return product(call, x, weight, left)


@OPERATORS.add("Einsum", becomes="`Dense` or `Conv`: of one value and constants")
def einsum(call: Call) -> Signal:
    """Einstein's sum of a value and constants."""
    values = [call.value(index) for index in range(call.count)]
    operands = [v if isinstance(v, Signal) else call.weights(i) for i, v in enumerate(values)]
    return einstein(call, call.text("equation", ""), operands)


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
    if not minus:
        found = interpolated(call, a, b) or interpolated(call, b, a)
        if found is not None:
            return found
    return added(call, [a, negated(call, b) if minus else b])


@OPERATORS.add("Sum", becomes="`Add`, and `ChannelAffine` for constants")
def sum_(call: Call) -> Signal:
    """x_1 + x_2 + …; some of them may be constants."""
    values = [call.value(index) for index in range(call.count)]
    signals = [value for value in values if isinstance(value, Signal)]
    y = signals[0] if len(signals) == 1 else added(call, signals)
    for index, value in enumerate(values):
        if isinstance(value, Constant):
            y = affine(call, y, None, call.weights(index))
    return y


@OPERATORS.add("Mean", becomes="`Add`, and `ChannelAffine` for 1 / n")
def mean(call: Call) -> Signal:
    """(x_1 + x_2 + …) / n; some of them may be constants."""
    return affine(call, sum_(call), np.array(1 / call.count, call.dtype), None)


@OPERATORS.add("Neg", becomes="`ChannelAffine`")
def neg(call: Call) -> Signal:
    """-x."""
    return negated(call, call.signal())


@OPERATORS.add(
    "Mul", "Div", becomes="`ChannelAffine` or `Multiply` with a constant; `Gate` with a gate"
)
def mul(call: Call) -> Signal:
    """c x or x / c with a constant c, or x times a gate."""
    a, b = call.value(0), call.value(1)
    if isinstance(a, Signal) and isinstance(b, Signal) and call.operator == "Mul":
        return gated(call, a, b)
    if call.operator == "Div":
        if isinstance(a, Constant):
            raise ValueError("the divisor must be a constant")
        return divided(call, a, call.weights(1))
    x, index = (b, 0) if isinstance(a, Constant) else (a, 1)
    return affine(call, x, call.weights(index), None)
