# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch operators that are linear layers, sums, and scales and shifts."""

from __future__ import annotations

import string

import numpy as np

from dtdcore.importers.building import added, affine, divided, gated, times_matrix
from dtdcore.importers.operators import Operators
from dtdcore.importers.products import einstein, product
from dtdcore.importers.record import Signal
from dtdcore.importers.torch.call import Call, to_numpy
from dtdcore.layers import BatchNorm, Conv, ConvTranspose

OPERATORS = Operators()


@OPERATORS.add("conv1d", "conv2d", "conv3d", "convolution", becomes="`Conv`")
def conv(call: Call) -> Signal:
    """Convolution of 1, 2 or 3 spatial axes."""
    if call.flag("transposed"):
        return conv_transpose(call)
    weight = call.weights("weight")
    axes = weight.ndim - 2
    bias = call.weights("bias") if call.has("bias") else None
    padding = call.value("padding", 0)
    if not isinstance(padding, str):
        padding = call.wholes("padding", axes, 0)
    stride, dilation = call.wholes("stride", axes, 1), call.wholes("dilation", axes, 1)
    return call.emit(Conv(weight, bias, stride, padding, dilation, call.whole("groups", 1)), call.x)


@OPERATORS.add(
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", becomes="`ConvTranspose`"
)
def conv_transpose(call: Call) -> Signal:
    """Transposed convolution."""
    weight = call.weights("weight")
    axes = weight.ndim - 2
    bias = call.weights("bias") if call.has("bias") else None
    layer = ConvTranspose(
        weight,
        bias,
        call.wholes("stride", axes, 1),
        call.wholes("padding", axes, 0),
        call.wholes("dilation", axes, 1),
        call.whole("groups", 1),
        call.wholes("output_padding", axes, 0),
    )
    return call.emit(layer, call.x)


@OPERATORS.add("linear", becomes="`Dense`, or `Conv` with a kernel of 1 and `Transpose`")
def linear(call: Call) -> Signal:
    """x Wᵀ + b along the last axis."""
    bias = call.weights("bias") if call.has("bias") else None
    return times_matrix(call, call.x, call.weights("weight").T, bias)


@OPERATORS.add("mm", "matmul", "bmm", "mv", becomes="`Dense` or `Conv`, as linear: with a constant")
def matmul(call: Call) -> Signal:
    """A product with a constant vector, matrix, or several matrices."""
    other = {"mm": "mat2", "bmm": "mat2", "mv": "vec"}.get(call.operator, "other")
    left = not call.is_signal("self")
    x = call.signal(other if left else "self")
    name = "self" if left else other
    weight = call.weights(name)
    if weight.ndim > 2 and weight.ndim == len(x.shape) + 1:  # one matrix for each sample
        (weight,) = call.weights(name, x)
    return product(call, x, weight, left)


@OPERATORS.add("einsum", becomes="`Dense` or `Conv`: of one value and constants")
def einsum(call: Call) -> Signal:
    """Einstein's sum of a value and constants."""
    operands = call.value("tensors")
    constants = [None if isinstance(one, Signal) else to_numpy(one, "tensors") for one in operands]
    pairs = zip(operands, constants, strict=True)
    given = [one if constant is None else constant for one, constant in pairs]
    return einstein(call, call.value("equation"), given)


@OPERATORS.add("tensordot", "inner", becomes="`Dense` or `Conv`: with a constant")
def tensordot(call: Call) -> Signal:
    """Sums over axes of a value and of a constant."""
    pair = [call.value(name) for name in ("self", "other")]
    ranks = [len(one.shape) + isinstance(one, Signal) for one in pair]
    axes = [[-1], [-1]]
    if call.operator == "tensordot":
        axes = [call.value("dims_self"), call.value("dims_other")]
    letters = iter(string.ascii_letters)
    parts = [[next(letters) for _ in range(rank)] for rank in ranks]
    for a, b in zip(*axes, strict=True):
        parts[1][b] = parts[0][a]
    shared = set(parts[0]) & set(parts[1])
    result = [letter for letter in (*parts[0], *parts[1]) if letter not in shared]
    equation = f"{''.join(parts[0])},{''.join(parts[1])}->{''.join(result)}"
    given = [one if isinstance(one, Signal) else to_numpy(one, "other") for one in pair]
    return einstein(call, equation, given)


@OPERATORS.add("addmm", becomes="`Dense`")
def addmm(call: Call) -> Signal:
    """beta bias + alpha A B with constant bias and B."""
    weight, bias = call.weights("mat2"), call.weights("self")
    alpha, beta = (weight.dtype.type(call.number(name, 1.0)) for name in ("alpha", "beta"))
    bias = np.broadcast_to(bias.reshape(-1) * beta, (weight.shape[1],))
    return times_matrix(call, call.signal("mat1"), weight * alpha, bias)


@OPERATORS.add("batch_norm", "_native_batch_norm_legit_no_training", becomes="`BatchNorm`")
def batch_norm(call: Call) -> Signal:
    """With the means and variances that training left."""
    if call.flag("training") or not call.has("running_mean"):
        return batch_statistics(call)
    mean, variance = call.weights("running_mean"), call.weights("running_var")
    scale, bias = (call.weights(n) if call.has(n) else None for n in ("weight", "bias"))
    return call.emit(BatchNorm(mean, variance, scale, bias, call.number("eps")), call.x)


@OPERATORS.add("_native_batch_norm_legit", becomes="an error: it mixes the samples of a batch")
def batch_statistics(call: Call) -> Signal:
    """With the means and variances of the batch itself."""
    raise ValueError("it takes mean and variance from the batch, so that samples are mixed")


@OPERATORS.add("add", "sub", "rsub", becomes="`Add`, or `ChannelAffine` with a constant")
def add(call: Call) -> Signal:
    """a + alpha b, a - alpha b, b - alpha a; one of them may be a constant."""
    alpha = call.number("alpha", 1.0)
    factors = {"add": (1, alpha), "sub": (1, -alpha), "rsub": (-alpha, 1)}[call.operator]
    signals, shifts = [], []
    for name, factor in zip(("self", "other"), factors, strict=True):
        if call.is_signal(name):
            x = call.signal(name)
            scale = np.array(factor, call.dtype)
            signals.append((x, None if factor == 1 else scale))
        else:
            shifts.append((name, factor))
    if shifts:
        ((x, scale),), ((name, factor),) = signals, shifts
        shift = call.weights(name, x)
        return affine(call, x, scale, shift * shift.dtype.type(factor))
    return added(call, [x if s is None else affine(call, x, s, None) for x, s in signals])


@OPERATORS.add("neg", becomes="`ChannelAffine`")
def neg(call: Call) -> Signal:
    """-x."""
    return affine(call, call.x, np.array(-1, call.dtype), None)


@OPERATORS.add(
    "mul", "div", becomes="`ChannelAffine` or `Multiply` with a constant; `Gate` with a gate"
)
def mul(call: Call) -> Signal:
    """c x or x / c with a constant c, or x times a gate."""
    if call.operator == "div":
        if call.has("rounding_mode"):
            raise ValueError("rounding_mode is not supported")
        if call.is_signal("other"):
            raise ValueError("the divisor must be a constant")
        return divided(call, call.x, call.weights("other", call.x))
    if call.is_signal("self") and call.is_signal("other"):
        return gated(call, call.signal("self"), call.signal("other"))
    one, other = ("self", "other") if call.is_signal("self") else ("other", "self")
    x = call.signal(one)
    return affine(call, x, call.weights(other, x), None)
