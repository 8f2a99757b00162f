# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Images with their channels in blocks of 64 bytes: the layout between steps of image layers."""

from __future__ import annotations

import numpy as np


class Blocked:
    """An image whose channels lie in blocks, (*lead, blocks, *spatial, B), B = 64 bytes.

    Lanes beyond the last channel are zero, always.
    """

    __slots__ = ("array", "channels", "nonnegative")

    def __init__(self, array: np.ndarray, channels: int, nonnegative: bool = False) -> None:
        self.array, self.channels, self.nonnegative = array, channels, nonnegative

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the numbers."""
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The plain shape, (*lead, channels, height, width)."""
        *lead, _, height, width, _ = self.array.shape
        return (*lead, self.channels, height, width)

    def __len__(self) -> int:
        return len(self.array)


def to_blocked(value: np.ndarray | Blocked, lead: int = 1) -> Blocked:
    """A plain array (*lead, channels, *spatial) in blocks; a `Blocked` as it is."""
    if isinstance(value, Blocked):
        return value
    block = 64 // value.dtype.itemsize
    channels, spatial = value.shape[lead], value.shape[lead + 1 :]
    blocks = -(-channels // block)
    array = np.zeros((*value.shape[:lead], blocks * block, *spatial), value.dtype)
    array[(slice(None),) * lead + (slice(0, channels),)] = value
    array = array.reshape(*value.shape[:lead], blocks, block, *spatial)
    return Blocked(np.ascontiguousarray(np.moveaxis(array, lead + 1, -1)), channels)


def to_plain(value: np.ndarray | Blocked) -> np.ndarray:
    """A value as a plain array (*lead, channels, *spatial)."""
    if not isinstance(value, Blocked):
        return value
    moved = np.moveaxis(value.array, -1, -3)
    *lead, blocks, block, height, width = moved.shape
    whole = moved.reshape(*lead, blocks * block, height, width)
    return np.ascontiguousarray(whole[..., : value.channels, :, :])
