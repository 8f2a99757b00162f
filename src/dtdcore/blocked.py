# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Blocked images: the order of channels and pixels in which the core is fast.

A plain image is (*lead, channels, *spatial). Blocked, it is (*lead, blocks, *spatial, B): the
channels in blocks of B = 64 bytes / itemsize, so that one pixel of a block fills a cache line.
"""

from __future__ import annotations

import math

import numpy as np

from dtdcore.arena import empty
from dtdcore.arrays import kernels


def block_size(dtype: np.dtype) -> int:
    """B, the channels in a block: 16 of float32, 8 of float64."""
    return 64 // np.dtype(dtype).itemsize


class Blocked:
    """An image, or a batch of them, in blocks of channels.

    Parameters
    ----------
    array : array (*lead, blocks, *spatial, B)
        C-contiguous. Lanes of the last block beyond the last channel hold 0.
    channels : int
        How many channels there are.
    nonnegative : bool
        True only if it is known that no number is below 0.
    lead : int
        Axes before the channels: 1 (n,) for values, 2 (n, k) for relevance and gradients.
    """

    __slots__ = ("array", "channels", "lead", "nonnegative")

    def __init__(
        self, array: np.ndarray, channels: int, nonnegative: bool = False, lead: int = 1
    ) -> None:
        self.array = array
        self.channels = channels
        self.nonnegative = nonnegative
        self.lead = lead

    @classmethod
    def empty(
        cls, shape: tuple[int, ...], dtype: np.dtype, nonnegative: bool = False, lead: int = 1
    ) -> Blocked:
        """Room for an image of the plain shape (*lead, channels, *spatial); nothing is written."""
        size = block_size(dtype)
        channels = shape[lead]
        blocks = -(-channels // size)
        array = empty((*shape[:lead], blocks, *shape[lead + 1 :], size), dtype)
        return cls(array, channels, nonnegative, lead)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the numbers."""
        return self.array.dtype

    @property
    def spatial(self) -> tuple[int, ...]:
        """The sizes of the spatial axes."""
        return self.array.shape[self.lead + 1 : -1]

    @property
    def shape(self) -> tuple[int, ...]:
        """The plain shape (*lead, channels, *spatial)."""
        return (*self.array.shape[: self.lead], self.channels, *self.spatial)

    @property
    def ndim(self) -> int:
        """The axes of the plain shape."""
        return self.array.ndim - 1

    def __len__(self) -> int:
        return self.array.shape[0]

    def flat(self) -> np.ndarray:
        """The numbers as (images, blocks, pixels, B), all leading axes in one: a view."""
        shape = self.array.shape
        images, pixels = math.prod(shape[: self.lead]), math.prod(self.spatial)
        return self.array.reshape(images, shape[self.lead], pixels, shape[-1])

    def __repr__(self) -> str:
        return f"Blocked({self.shape}, {self.dtype}, nonnegative={self.nonnegative})"


def to_blocked(value: np.ndarray | Blocked, lead: int = 1) -> Blocked:
    """An image (*lead, channels, *spatial) in blocks; a blocked one as it is.

    Parameters
    ----------
    value : array or Blocked
        float32 or float64, at least one spatial axis.
    lead : int
        Axes before the channels.

    Raises
    ------
    ValueError
        If the array has no spatial axis.
    """
    if isinstance(value, Blocked):
        return value
    if value.ndim < lead + 2:
        raise ValueError(f"value must have spatial axes to be blocked, got shape {value.shape}")
    result = Blocked.empty(value.shape, value.dtype, lead=lead)
    flat = result.flat()
    plain = np.ascontiguousarray(value).reshape(flat.shape[0], result.channels, flat.shape[2])
    kernels(value.dtype).image_block(plain, flat)
    return result


def to_plain(value: np.ndarray | Blocked) -> np.ndarray:
    """The image as an array (*lead, channels, *spatial); an array as it is."""
    if not isinstance(value, Blocked):
        return value
    result = empty(value.shape, value.dtype)
    flat = value.flat()
    plain = result.reshape(flat.shape[0], value.channels, flat.shape[2])
    kernels(value.dtype).image_unblock(flat, plain)
    return result
