# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Keras layers that are dense, convolutions, or normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.importers.building import affine
from dtdcore.importers.keras.call import Call, Value
from dtdcore.importers.keras.elementwise import activated
from dtdcore.importers.keras.graph import import_keras
from dtdcore.importers.operators import Operators
from dtdcore.importers.windows import same
from dtdcore.layers import BatchNorm, Conv, ConvTranspose, Dense

OPERATORS = Operators()


@OPERATORS.add("Dense", becomes="`Dense`; `Conv` with a kernel of 1 along the last of several axes")
def dense(call: Call) -> Value:
    """x W + b along the last axis."""
    x = call.value()
    weight, bias = call.array("kernel"), call.array("bias")
    if len(x.shape) == 1:
        return activated(call, Value(call.emit(Dense(weight, bias), x.signal)))
    if len(x.shape) > 4:
        raise ValueError(f"samples of shape {x.shape} are not supported")
    signal, order = call.led(x, len(x.shape) - 1)
    kernel = weight.T.reshape(*weight.T.shape, *[1] * (len(order) - 1))
    return activated(call, Value(call.emit(Conv(kernel, bias), signal), order))


def _padding(call: Call, sizes: Any, kernel: Any) -> Any:
    """(before, after) for each axis."""
    spans = zip(sizes, kernel, call.option("strides"), call.option("dilation_rate"), strict=True)
    padding = call.option("padding")
    if padding == "same":
        return [same(*span) for span in spans]
    if padding == "causal":
        return [(dilation * (kernel - 1), 0) for _, kernel, _, dilation in spans]
    return [(0, 0) for _ in spans]


@OPERATORS.add("Conv1D", "Conv2D", "Conv3D", becomes="`Conv`")
def conv(call: Call) -> Value:
    """Kernels are (*kernel, inputs / groups, outputs)."""
    x, order = call.image()
    weight = np.moveaxis(call.array("kernel"), (-1, -2), (0, 1))
    stride, dilation = call.option("strides"), call.option("dilation_rate")
    padding = _padding(call, x.shape[1:], weight.shape[2:])
    layer = Conv(weight, call.array("bias"), stride, padding, dilation, call.option("groups"))
    return activated(call, Value(call.emit(layer, x), order))


def _depthwise(call: Call, x: Any, name: str, bias: Any) -> Conv:
    kernel = call.array(name)  # (*kernel, inputs, multiplier)
    weight = np.moveaxis(kernel, (-2, -1), (0, 1))
    weight = weight.reshape(-1, 1, *kernel.shape[:-2])
    stride, dilation = call.option("strides"), call.option("dilation_rate")
    padding = _padding(call, x.shape[1:], weight.shape[2:])
    return Conv(weight, bias, stride, padding, dilation, x.shape[0])


@OPERATORS.add("DepthwiseConv1D", "DepthwiseConv2D", becomes="`Conv` with a group for each channel")
def depthwise_conv(call: Call) -> Value:
    """Each channel has filters of its own."""
    x, order = call.image()
    layer = _depthwise(call, x, "kernel", call.array("bias"))
    return activated(call, Value(call.emit(layer, x), order))


@OPERATORS.add(
    "SeparableConv1D",
    "SeparableConv2D",
    becomes="`Conv` with a group for each channel, then `Conv` with a kernel of 1",
)
def separable_conv(call: Call) -> Value:
    """Filters for each channel, then sums of channels."""
    x, order = call.image()
    call.suffix = "depthwise"
    x = call.emit(_depthwise(call, x, "depthwise_kernel", None), x)
    call.suffix = "pointwise"
    weight = np.moveaxis(call.array("pointwise_kernel"), (-1, -2), (0, 1))
    return activated(call, Value(call.emit(Conv(weight, call.array("bias")), x), order))


@OPERATORS.add("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", becomes="`ConvTranspose`")
def conv_transpose(call: Call) -> Value:
    """Kernels are (*kernel, outputs, inputs)."""
    x, order = call.image()
    weight = np.moveaxis(call.array("kernel"), (-1, -2), (0, 1))
    stride, dilation = call.option("strides"), call.option("dilation_rate")
    given = call.option("output_padding")
    given = given if isinstance(given, (tuple, list)) else [given] * len(stride)
    spans = zip(weight.shape[2:], stride, dilation, given, strict=True)
    cuts = [_cuts(*span, call.option("padding") == "same") for span in spans]
    padding = [(before, max(after, 0)) for before, after in cuts]
    grow = [max(-after, 0) for _, after in cuts]
    layer = ConvTranspose(weight, call.array("bias"), stride, padding, dilation, 1, grow)
    return activated(call, Value(call.emit(layer, x), order))


def _cuts(kernel: int, stride: int, dilation: int, more: int | None, same: bool) -> tuple[int, int]:
    """How many pixels a transposed convolution loses at both ends; < 0: has more.

    All of them are stride · (size - 1) + reach. "same" leaves stride · size, or, with an
    output_padding, stride · (size - 1) + reach mod 2 + output_padding, and cuts the smaller half at
    the start.
    """
    reach = (kernel - 1) * dilation + 1
    if not same:
        return 0, -(max(stride - reach, 0) if more is None else more)
    total = reach - stride if more is None else reach - reach % 2 - more
    before = max(total // 2, 0)
    return before, total - before


@OPERATORS.add("BatchNormalization", becomes="`BatchNorm`")
def batch_normalization(call: Call) -> Value:
    """With the means and variances that were learned."""
    value = call.value()
    axis = call.axis(call.option("axis"), value)
    signal, order = call.led(value, axis)
    mean, variance = call.array("moving_mean"), call.array("moving_variance")
    scale = call.array("gamma") if call.option("scale") else None
    shift = call.array("beta") if call.option("center") else None
    layer = BatchNorm(mean, variance, scale, shift, call.option("epsilon"))
    return Value(call.emit(layer, signal), order)


@OPERATORS.add("Rescaling", becomes="`ChannelAffine` or `Multiply`")
def rescaling(call: Call) -> Value:
    """scale · x + offset."""
    scale, offset = (call.constant(call.option(name)) for name in ("scale", "offset"))
    if scale.ndim and call.channels_first:
        raise ValueError("a scale for each channel in a channels-first model is not supported")
    return _affine(call, scale, offset if np.any(offset) else None)


@OPERATORS.add("Normalization", becomes="`ChannelAffine` or `Multiply`")
def normalization(call: Call) -> Value:
    """(x - mean) / sqrt(variance)."""
    mean, variance = call.array("mean"), call.array("variance")
    deviation = np.sqrt(variance.astype(np.float64))
    deviation = np.maximum(deviation, import_keras().config.epsilon())
    scale, shift = 1 / deviation, -mean / deviation
    if call.option("invert"):
        scale, shift = deviation, mean
    dtype = mean.dtype
    return _affine(call, scale.astype(dtype), np.asarray(shift, dtype))


def _affine(call: Call, scale: np.ndarray, shift: np.ndarray | None) -> Value:
    """scale · x + shift, with the axis along which they differ at the front."""
    value = call.value()
    rank = len(value.shape)
    parts = [part if part is None else _of_rank(part, rank) for part in (scale, shift)]
    own = [a for a in range(rank) if any(p is not None and p.shape[a] > 1 for p in parts)]
    axis = own[0] if len(own) == 1 else call.home_axis(rank)
    signal, order = call.led(value, axis)
    parts = [part if part is None else part.transpose(order) for part in parts]
    return Value(affine(call, signal, *parts), order)


def _of_rank(constant: np.ndarray, rank: int) -> np.ndarray:
    """A constant without the batch axis, with as many axes as a sample."""
    if constant.ndim > rank:
        (constant,) = constant
    return constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
