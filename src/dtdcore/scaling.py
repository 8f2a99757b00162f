# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Scales and shifts of single numbers, and how they move through layers that only rearrange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dtdcore.arrays import by_channel, cast
from dtdcore.layers import ChannelAffine, Layer, Multiply

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Scaling:
    """y = scale · x + shift, number by number.

    Both arrays have the shape of one value without the batch axis; where that is not known they are
    vectors, one number for each channel or one for all.
    """

    scale: np.ndarray
    shift: np.ndarray

    @property
    def shifts(self) -> bool:
        """Is any number shifted?"""
        return bool(np.any(self.shift))

    @property
    def changes(self) -> np.ndarray:
        """Which numbers are scaled or shifted at all."""
        return (self.scale != 1) | (self.shift != 0)

    def then(self, after: Scaling) -> Scaling:
        """It and `after` behind it: s' (s x + t) + t'."""
        scale, shift = self.scale.astype(np.float64), self.shift.astype(np.float64)
        return Scaling(after.scale * scale, after.scale * shift + after.shift)

    def layer(self, dtype: np.dtype) -> Layer | None:
        """A layer that does it; None where no layer of ours does, or the dtype is too small."""
        scale, shift = by_channel(self.scale), by_channel(self.shift)
        if scale is not None and shift is not None and scale.ndim:
            return ChannelAffine(cast(scale, dtype, "scale"), cast(shift, dtype, "shift"))
        return None if self.shifts else Multiply(cast(np.array(self.scale), dtype, "constant"))


def scaling_of(layer: Layer, shape: Shape | None) -> Scaling | None:
    """What a layer does that scales or shifts single numbers of a value of `shape` (None: unknown).

    None for other layers, and where it cannot be said without the shape.
    """
    if isinstance(layer, ChannelAffine):
        numbers = [layer.scale, layer.shift]
        if shape is not None:
            numbers = [part.reshape(-1, *[1] * (len(shape) - 1)) for part in numbers]
    elif isinstance(layer, Multiply):
        numbers = [layer.constant, np.zeros_like(layer.constant)]
        if shape is None:
            if layer.constant.ndim:
                return None
            numbers = [part.reshape(1) for part in numbers]
    else:
        return None
    if shape is not None:
        numbers = [np.broadcast_to(part, shape) for part in numbers]
    return Scaling(*numbers)


def sources_of(layer: Layer, shapes: Sequence[Shape]) -> np.ndarray:
    """For each output of a layer that only rearranges the number of its input; -1: a constant.

    The numbers of all inputs are counted on, one input after the other.
    """
    sizes = [int(np.prod(shape)) for shape in shapes]
    starts = np.cumsum([1, *sizes[:-1]])
    ids = [
        np.arange(start, start + size, dtype=np.float64).reshape(1, *shape)
        for start, size, shape in zip(starts, sizes, shapes, strict=True)
    ]
    beyond = sum(sizes) + 1.0
    first, second = (
        layer.forward([part + more for part in ids] if layer.joins else ids[0] + more)[0]
        for more in (0.0, beyond)
    )
    return np.where(second != first, first - 1, -1).astype(np.intp)


def pulled(layer: Layer, scaling: Scaling, shapes: Sequence[Shape]) -> list[Scaling | None] | None:
    """A scaling of the outputs as one of each input (None: of that nothing changes).

    None where there is none: it tells copies of one number apart, or changes a constant frame.
    """
    sources = sources_of(layer, shapes)
    sizes = [int(np.prod(shape)) for shape in shapes]
    frame = sources < 0
    if np.any(scaling.changes & frame):
        return None
    parts = []
    for numbers, neutral in ((scaling.scale, 1), (scaling.shift, 0)):
        flat = np.full(sum(sizes), neutral, numbers.dtype)
        flat[sources[~frame]] = numbers[~frame]
        if not np.array_equal(flat[sources[~frame]], numbers[~frame]):
            return None
        parts.append(np.split(flat, np.cumsum(sizes[:-1])))
    scalings = [
        Scaling(scale.reshape(shape), shift.reshape(shape))
        for scale, shift, shape in zip(*parts, shapes, strict=True)
    ]
    return [scaling if np.any(scaling.changes) else None for scaling in scalings]


def pushed(layer: Layer, scaling: Scaling, place: int, shapes: Sequence[Shape]) -> Scaling:
    """A scaling of input number `place` as one of the outputs."""
    sources = sources_of(layer, shapes)
    start = sum(int(np.prod(shape)) for shape in shapes[:place])
    own = (sources >= start) & (sources < start + scaling.scale.size)
    parts = []
    for numbers, neutral in ((scaling.scale, 1), (scaling.shift, 0)):
        result = np.full(sources.shape, neutral, numbers.dtype)
        result[own] = numbers.reshape(-1)[sources[own] - start]
        parts.append(result)
    return Scaling(*parts)
