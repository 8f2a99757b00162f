# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Linear interpolation, as exporters spell it out, as the one linear layer that it is."""

from __future__ import annotations

import numpy as np

from dtdcore.importers.building import Builder
from dtdcore.importers.record import Signal
from dtdcore.layers import Add, AxisMap, ChannelAffine, Multiply, Slice, Take


def interpolated(call: Builder, first: Signal, rest: Signal) -> Signal | None:
    """first + w · (second - first) with both of one axis of one value; None if it is not that."""
    product, (difference, *_) = _maker(call, rest)
    summed, (second, negative, *_) = _maker(call, difference)
    sign, (again, *_) = _maker(call, negative)
    if not isinstance(product, Multiply) or not isinstance(summed, Add) or again is not first:
        return None
    if not isinstance(sign, ChannelAffine) or set(sign.scale) != {-1} or np.any(sign.shift):
        return None
    (one, (x, *_)), (other, (also, *_)) = _maker(call, first), _maker(call, second)
    if not isinstance(one, Take | Slice) or not isinstance(other, Take | Slice):
        return None
    if x is not also or one.axis != other.axis:
        return None
    size, new = x.shape[one.axis], first.shape[one.axis]
    along = np.broadcast_to(product.constant, first.shape)
    along = np.moveaxis(along, one.axis, -1).reshape(-1, new)
    if np.any(along != along[0]):
        return None
    weight = np.zeros((size, new), along.dtype)
    weight[_places(one), np.arange(new)] += 1 - along[0]
    weight[_places(other), np.arange(new)] += along[0]
    return call.emit(AxisMap(weight, one.axis), x)


def _maker(call: Builder, signal: Signal | None) -> tuple:
    """The layer that gives a signal, and at least two sources, None where there are fewer."""
    layer, sources = call.maker(signal)
    return layer, (*sources, None, None)


def _places(layer: Take | Slice) -> np.ndarray:
    if isinstance(layer, Take):
        return layer.places
    return np.arange(layer.start, layer.stop, layer.slice_step)
