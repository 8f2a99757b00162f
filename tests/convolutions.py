# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Geometries of convolutions, blocked images in NumPy, and calls into the core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import reference_conv as ref
from kernels import core

from dtdcore import _core

WIDTHS = (1, 6, 7, 13, 14, 15, 27, 28, 29, 113)
CHANNELS = (1, 3, 15, 16, 17, 24, 48, 23)


@dataclass(frozen=True)
class Geometry:
    """A convolution of inputs to outputs channels; `sizes` are the pixels of its image."""

    inputs: int
    outputs: int
    sizes: tuple
    kernel: tuple
    stride: tuple = ()
    padding: tuple = ()
    dilation: tuple = ()
    groups: int = 1

    def __post_init__(self):
        axes = len(self.sizes)
        for name, default in (("stride", 1), ("padding", (0, 0)), ("dilation", 1)):
            if not getattr(self, name):
                object.__setattr__(self, name, (default,) * axes)

    def __str__(self):
        parts = [f"{self.inputs}-{self.outputs}", f"g{self.groups}"]
        for letter, numbers in zip(
            "xksd", (self.sizes, self.kernel, self.stride, self.dilation), strict=True
        ):
            parts.append(letter + "x".join(map(str, numbers)))
        return "_".join([*parts, "p" + "x".join(f"{b}.{a}" for b, a in self.padding)])

    @property
    def before(self):
        return tuple(b for b, _ in self.padding)

    @property
    def results(self):
        return ref.convolution_sizes(
            self.sizes, self.kernel, self.stride, self.padding, self.dilation
        )

    @property
    def weight_shape(self):
        return (self.outputs, self.inputs // self.groups, *self.kernel)

    def image(self, transposed):
        """Channels and pixels of what one direction reads."""
        return (self.outputs, *self.results) if transposed else (self.inputs, *self.sizes)

    def terms(self, transposed):
        """How many products a sum of one direction has at most."""
        channels = self.outputs if transposed else self.inputs
        return channels // self.groups * int(np.prod(self.kernel))

    def sum(self, x, weight, transposed):
        """The oracle's sum in one direction, for x with any leading axes."""
        pixels = self.sizes if transposed else self.results
        function = ref.transposed_convolution if transposed else ref.convolution
        lead = x.shape[: -1 - len(self.sizes)]
        images = x.reshape(-1, *x.shape[len(lead) :])
        rest = self.stride, self.before, self.dilation, self.groups
        result = function(images, weight, pixels, *rest)
        return result.reshape(*lead, *result.shape[1:])

    @property
    def core(self):
        def three(numbers, missing):
            return (*[missing] * (3 - len(numbers)), *numbers)

        return _core.ConvShape(
            self.inputs,
            self.outputs,
            self.groups,
            three(self.sizes, 1),
            three(self.results, 1),
            three(self.kernel, 1),
            three(self.stride, 1),
            three(self.dilation, 1),
            three(self.before, 0),
        )


def block(x, lead=1):
    """(*lead, channels, *pixels) -> (*lead, blocks, *pixels, B); lanes of no channel are 0."""
    lanes = 64 // x.itemsize
    channels = x.shape[lead]
    room = np.zeros((*x.shape[:lead], -(-channels // lanes) * lanes, *x.shape[lead + 1 :]), x.dtype)
    room[(*[slice(None)] * lead, slice(channels))] = x
    parts = room.reshape(*x.shape[:lead], room.shape[lead] // lanes, lanes, *x.shape[lead + 1 :])
    return np.ascontiguousarray(np.moveaxis(parts, lead + 1, -1))


def unblock(x, channels, lead=1):
    """The inverse of `block`; lanes of no channel must be 0."""
    parts = np.moveaxis(x, -1, lead + 1)
    lanes = x.shape[lead] * x.shape[-1]
    whole = parts.reshape(*x.shape[:lead], lanes, *x.shape[lead + 1 : -1])
    keep = (*[slice(None)] * lead, slice(channels))
    rest = whole[(*[slice(None)] * lead, slice(channels, None))]
    assert (rest == 0).all(), "lanes beyond the last channel are not 0"
    return whole[keep]


class Packed:
    """The core's functions for one geometry, direction and array of weights; plain arrays."""

    def __init__(self, geometry, transposed, weight):
        self.geometry, self.transposed, self.dtype = geometry, transposed, weight.dtype
        self.shape = geometry.core
        size = self.shape.packed_size(transposed, weight.itemsize)
        self.packed = np.full(size, np.nan, weight.dtype)
        core("conv_pack", weight.dtype)(
            self.shape, transposed, np.ascontiguousarray(weight).reshape(-1), self.packed
        )
        assert np.isfinite(self.packed).all()

    def _room(self, *lead):
        channels, *pixels = self.geometry.image(not self.transposed)
        lanes = 64 // self.dtype.itemsize
        return np.full((*lead, -(-channels // lanes), *pixels, lanes), np.nan, self.dtype)

    def _plain(self, room, lead=1):
        return unblock(room, self.geometry.image(not self.transposed)[0], lead)

    def forward(self, x, bias=None, ceiling=-1.0):
        a = self._room(len(x))
        core("conv_forward", self.dtype)(
            self.shape, self.transposed, len(x), block(x).reshape(-1), self.packed, bias, ceiling,
            a.reshape(-1),
        )  # fmt: skip
        return self._plain(a)

    def square(self, x):
        a = self._room(len(x))
        core("conv_square", self.dtype)(
            self.shape, self.transposed, len(x), block(x).reshape(-1), self.packed, a.reshape(-1)
        )
        return self._plain(a)

    def forward_z(self, x, bias, ceiling, term, bounds, nonnegative=False, want_a=True):
        a, z = self._room(len(x)) if want_a else None, self._room(len(x))
        low, high = (None if b is None else block(b[None]).reshape(-1) for b in bounds)
        core("conv_forward_z", self.dtype)(
            self.shape, self.transposed, len(x), block(x).reshape(-1), self.packed, bias, ceiling,
            term, low, high, nonnegative, None if a is None else a.reshape(-1), z.reshape(-1),
        )  # fmt: skip
        return None if a is None else self._plain(a), self._plain(z)

    def redistribute(self, x, term, bounds, s, nonnegative=False, start=None):
        """x and the result: what this direction leads to; s (n, k, ...): what it reads."""
        n, k = s.shape[:2]
        r = self._room(n, k) if start is None else block(start, 2)
        low, high = (None if b is None else block(b[None]).reshape(-1) for b in bounds)
        core("conv_redistribute", self.dtype)(
            self.shape, self.transposed, n, k, block(x).reshape(-1), self.packed, term, low, high,
            nonnegative, block(s, 2).reshape(-1), start is not None, r.reshape(-1),
        )  # fmt: skip
        return self._plain(r, 2)
