# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Sums, products, scales and matrices as layers, whatever the model came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from dtdcore.importers.logarithms import LogSoftmax
from dtdcore.importers.record import Shape, Signal
from dtdcore.layers import (
    ELU,
    Add,
    ChannelAffine,
    Clip,
    Conv,
    Dense,
    Flatten,
    Gate,
    HardSigmoid,
    Layer,
    LeakyReLU,
    Multiply,
    PReLU,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Threshold,
    Transpose,
    Upsample,
)

#: SELU is scale · ELU(alpha) (Klambauer et al. 2017, "Self-normalizing neural networks").
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946

#: A bound of `Clip` beyond this is none.
LARGEST = float(np.finfo(np.float32).max)


class Builder(Protocol):
    """What the functions here need of a call that an importer translates."""

    def emit(self, layer: Layer, *sources: Signal) -> Signal:
        """Add a layer; gives its output."""

    def maker(self, signal: Signal) -> tuple[Layer | None, tuple[Signal, ...]]:
        """The layer that gives a signal (None: it is an input), and what comes into it."""


def affine(call: Builder, x: Signal, scale: Any, shift: Any) -> Signal:
    """scale · x + shift with constants that broadcast to x; None: 1, and 0."""
    parts = [part for part in (scale, shift) if part is not None]
    for part in parts:
        if not np.all(np.isfinite(part)):
            raise ValueError("a constant holds a value that is not finite")
    if not x.shape:  # one number: its only channel
        y = affine(call, call.emit(Reshape((1,)), x), scale, shift)
        return call.emit(Reshape(()), y)
    dtype = np.result_type(*parts)
    by_channel = [by_channel_of(part, x.shape) for part in parts]
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
    y = transposed(call, x, order)
    shape = y.shape
    y = y if len(own) == 1 else call.emit(Reshape((channels, *shape[len(own) :])), y)
    y = call.emit(ChannelAffine(scale, next(wide)), y)
    y = y if len(own) == 1 else call.emit(Reshape(shape), y)
    return transposed(call, y, tuple(order.index(axis) for axis in range(len(order))))


def divided(call: Builder, x: Signal, divisor: np.ndarray) -> Signal:
    """x / divisor with a constant."""
    if not np.all(divisor):
        raise ValueError("it divides by 0")
    with np.errstate(over="ignore"):
        return affine(call, x, 1 / divisor, None)


def negated(call: Builder, x: Signal) -> Signal:
    """-x."""
    return call.emit(ChannelAffine(np.array([-1], np.float32)), x)


def added(call: Builder, signals: Sequence[Signal]) -> Signal:
    """The sum of signals, broadcast to one shape."""
    return call.emit(Add(), *alike(call, signals))


def chosen(
    call: Builder, mask: np.ndarray, yes: Signal | np.ndarray, no: Signal | np.ndarray
) -> Signal:
    """`yes` where a constant mask is true, `no` elsewhere; one of them may be a constant."""
    y, shift = None, None
    for value, keeps in ((yes, mask.astype(bool)), (no, ~mask.astype(bool))):
        if not isinstance(value, Signal):
            shift = np.where(keeps, value, np.zeros((), value.dtype))
            continue
        if not np.any(keeps):
            continue
        part = value
        if not np.all(keeps):
            shape = np.broadcast_shapes(value.shape, _sample(mask, _wide(mask, value.shape)).shape)
            part = affine(call, repeated(call, value, shape), keeps.astype(np.float32), None)
        y = part if y is None else added(call, [y, part])
    if y is None:
        raise ValueError("nothing of its input is left")
    return y if shift is None or not np.any(shift) else affine(call, y, None, shift)


def _wide(mask: np.ndarray, shape: Shape) -> Shape:
    """A shape to which a mask, with or without the batch axis, and a sample broadcast."""
    sizes = mask.shape[-len(shape) :] if mask.ndim >= len(shape) else mask.shape
    return np.broadcast_shapes(sizes, shape)


def gated(call: Builder, a: Signal, b: Signal) -> Signal:
    """a · b, where one of them is a gate."""
    gates = [is_gate(call, a), is_gate(call, b)]
    if sum(gates) != 1:
        raise ValueError(
            "one of its inputs must be a constant, or exactly one of them a gate: the output "
            "of a sigmoid, a hard sigmoid, a softmax or a clip to numbers >= 0"
        )
    x, gate = alike(call, [b, a] if gates[0] else [a, b])
    return call.emit(Gate(), x, gate)


def is_gate(call: Builder, signal: Signal) -> bool:
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


def times_matrix(call: Builder, x: Signal, weight: np.ndarray, bias: Any = None) -> Signal:
    """x W + b along the last axis, with constants W (inputs, outputs) and b (outputs,)."""
    rank = len(x.shape)
    if rank == 1:
        return call.emit(Dense(weight, bias), x)
    if not 2 <= rank <= 4:
        raise ValueError(f"a value with {rank + 1} axes is not supported")
    x = call.emit(Transpose((rank - 1, *range(rank - 1))), x)
    y = call.emit(Conv(weight.T.reshape(*weight.T.shape, *[1] * (rank - 1)), bias), x)
    return call.emit(Transpose((*range(1, rank), 0)), y)


def leaky(call: Builder, x: Signal, slope: float, dtype: np.dtype) -> Signal:
    """x or slope · x: `LeakyReLU` takes slopes >= 0, `PReLU` any."""
    prelu = slope < 0
    return call.emit(PReLU(np.array([slope], dtype)) if prelu else LeakyReLU(slope), x)


def softmax_axis(axis: int, shape: Shape) -> int:
    """The axis of a sample that a softmax works along, from one of the whole value.

    Raises
    ------
    ValueError
        If there is no such axis, or it is the batch axis: then what one sample gives depends on
        the others.
    """
    rank = len(shape) + 1
    if not -rank <= axis < rank:
        raise ValueError(f"there is no axis {axis} in a value with {rank} axes")
    if axis % rank == 0:
        raise ValueError(
            f"a softmax along the batch axis (axis {axis} of {('n', *shape)}) mixes the samples of "
            "a batch; take the axis of the classes"
        )
    return axis % rank - 1


def joint(call: Builder, layer: type[Softmax | LogSoftmax], x: Signal, axis: int) -> Signal:
    """A softmax over all axes of a sample from one on, which count as one axis."""
    if axis == len(x.shape) - 1:
        return call.emit(layer(axis), x)
    flat = reshaped(call, x, (*x.shape[:axis], math.prod(x.shape[axis:])))
    return call.emit(Reshape(x.shape), call.emit(layer(axis), flat))


def scaled_elu(call: Builder, x: Signal, alpha: float, scale: float, dtype: np.dtype) -> Signal:
    """scale x, or scale alpha (exp(x) - 1) where x < 0."""
    y = call.emit(ELU(alpha), x)
    return y if scale == 1 else affine(call, y, np.array(scale, dtype), None)


def celu(call: Builder, x: Signal, alpha: float, dtype: np.dtype) -> Signal:
    """x, or alpha (exp(x / alpha) - 1) where x < 0: alpha times `ELU` of x / alpha."""
    if alpha <= 0:
        raise ValueError(f"alpha must be above 0, got {alpha:g}")
    if alpha != 1:
        x = affine(call, x, np.array(1 / alpha, dtype), None)
    return scaled_elu(call, x, 1.0, alpha, dtype)


def above(call: Builder, x: Signal, threshold: float, value: float = 0.0) -> Signal:
    """x where x > threshold, else a value."""
    return call.emit(ReLU() if threshold == value == 0 else Threshold(threshold, value), x)


def between(call: Builder, x: Signal, low: float | None, high: float | None) -> Signal:
    """min(max(x, low), high); None: no bound."""
    low = -LARGEST if low is None else max(low, -LARGEST)
    high = LARGEST if high is None else min(high, LARGEST)
    return call.emit(ReLU() if low == 0 and high >= LARGEST else Clip(low, high), x)


def by_channel_of(constant: np.ndarray, shape: Shape) -> np.ndarray | None:
    """A constant as one number, or one for each channel; None if it is something else."""
    constant = _sample(constant, shape)
    if constant.size == 1 or (constant.shape and constant.size == constant.shape[0]):
        return constant.reshape(-1)
    return None


def _sample(constant: np.ndarray, shape: Shape) -> np.ndarray:
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


def alike(call: Builder, signals: Sequence[Signal]) -> list[Signal]:
    """Signals broadcast to one shape, by repeating what has the size 1."""
    if len({len(signal.shape) for signal in signals}) > 1:
        raise ValueError("its inputs must have the same number of axes")
    shape = np.broadcast_shapes(*(signal.shape for signal in signals))
    return [repeated(call, signal, shape) for signal in signals]


def repeated(call: Builder, x: Signal, shape: Shape) -> Signal:
    """x with its axes of the size 1 repeated to a shape."""
    if x.shape == shape:
        return x
    return call.emit(Upsample([s // own for s, own in zip(shape, x.shape, strict=True)]), x)


def transposed(call: Builder, x: Signal, order: Sequence[int]) -> Signal:
    """The axes of a sample in another order."""
    if tuple(order) == tuple(range(len(order))):
        return x
    return call.emit(Transpose(order), x)


def reshaped(call: Builder, x: Signal, shape: Shape) -> Signal:
    """Samples in another shape."""
    if shape == x.shape:
        return x
    return call.emit(Flatten() if len(shape) == 1 else Reshape(shape), x)
