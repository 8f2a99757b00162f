# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Volumes (d, h, w) as slices: which ones, side by side in one picture, one below the other."""

from __future__ import annotations

import math

import numpy as np

from dtdcore.colours import Floats

#: Slice, height and width of it, and the row and column of a picture where it begins.
Tiles = list[tuple[int, int, int, int, int]]
#: Slices that a picture of a volume shows, where nothing else is said.
SLICES = 12


def chosen_slices(depth: int, most: int = SLICES) -> list[int]:
    """Return all slices, or `most` of them at equal distances, the first and the last included."""
    if depth <= most:
        return list(range(depth))
    return (
        np.rint(np.linspace(0, depth - 1, most)).astype(int).tolist() if most > 1 else [depth // 2]
    )


def mosaic(
    volumes: Floats, most: int = SLICES, fill: float = 0.0, gap: int = 0
) -> tuple[Floats, Tiles]:
    """Lay slices of volumes side by side, in rows, in a picture about as wide as high.

    Parameters
    ----------
    volumes : array (..., d, h, w)
    most : int
        Slices that are shown; see `chosen_slices`.
    fill : float
        What stands between slices, and where the last row has none left.
    gap : int
        Pixels between slices.

    Returns
    -------
    pictures : array (..., rows · (h + gap) - gap, columns · (w + gap) - gap)
    tiles : list of (slice, h, w, top, left)
        Which slice begins in which row and column of the picture.
    """
    depth, height, width = volumes.shape[-3:]
    chosen = chosen_slices(depth, most)
    across = min(len(chosen), max(1, math.ceil(math.sqrt(len(chosen) * height / width))))
    down = -(-len(chosen) // across)
    size = down * (height + gap) - gap, across * (width + gap) - gap
    pictures = np.full((*volumes.shape[:-3], *size), fill)
    tiles: Tiles = []
    for place, index in enumerate(chosen):
        top, left = place // across * (height + gap), place % across * (width + gap)
        pictures[..., top : top + height, left : left + width] = volumes[..., index, :, :]
        tiles.append((index, height, width, top, left))
    return pictures, tiles
