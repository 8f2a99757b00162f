# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Inputs beside their heatmaps, composed with NumPy and Pillow: many times faster than matplotlib.

A panel is a uint8 array (h, w, 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.colours import colorize, finite, overlay
from dtdcore.jobs.panel_text import text_panel
from dtdcore.volumes import mosaic

Panel = np.ndarray
_GAP = 8
#: Pixels of the longer side of what is drawn: at least so many for one input, at most on a sheet.
_LARGE, _SMALL = 224, 160
#: Pixels of a side of an input that are drawn at most; larger ones are averaged.
_MOST = 2048
#: The end colours stand for this quantile of |R|: one outlier must not turn all others grey.
QUANTILE = 0.998


def plane(values: np.ndarray, channels: str, reduce: Any = np.sum) -> np.ndarray | None:
    """What can be drawn of one input or heatmap: (h, w), channels summed (or as `reduce` says).

    Of a volume (c, d, h, w) slices side by side, of a signal all channels, as rows; None for
    vectors.
    `channels` is "first", "last" or "none".
    """
    values = finite(values, "values")
    if values.ndim < 2:
        return None
    if values.ndim > 2:
        values = reduce(values, axis=-1 if channels == "last" else 0)
    elif channels == "last":
        values = values.T
    while values.ndim > 3:
        values = values[len(values) // 2]
    return mosaic(values, gap=1)[0] if values.ndim == 3 else values


def scale_of(heatmap: np.ndarray) -> float:
    """The |R| of the end colours: the 0.998-quantile, or the largest where that is 0."""
    size = np.abs(heatmap)
    return float(np.quantile(size, QUANTILE)) or float(size.max()) or 1.0


def grey(values: np.ndarray) -> np.ndarray:
    """A plane of numbers as grey pixels (h, w, 3), its range from black to white."""
    low, high = float(values.min()), float(values.max())
    part = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.repeat(np.rint(255 * part).astype(np.uint8)[..., None], 3, axis=2)


def rgb(picture: np.ndarray) -> np.ndarray:
    """Pixels (h, w, 3) of a picture of one channel or three."""
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


def input_panel(
    picture: Panel, heatmaps: Sequence[tuple[np.ndarray, float, Sequence[str]]], title: str
) -> Panel:
    """Picture, heatmap and overlay, one row for each of `heatmaps` (plane, scale, lines of text).

    Small pictures are enlarged, without interpolation.
    """
    picture = _shrink_pixels(picture, _MOST)
    rows = [text_panel([title], 3 * _wide(picture, _LARGE) + 2 * _GAP, 15)]
    grown = enlarge(picture, _LARGE)
    for heatmap, scale, lines in heatmaps:
        small = _shrink_plane(heatmap, _MOST)
        colours = enlarge(colorize(small, scale), _LARGE)
        laid = enlarge(_overlay(picture, small, scale), _LARGE)
        row = beside([grown, colours, laid])
        rows += [text_panel(lines, row.shape[1], 13), row]
    return framed(above(rows))


def sheet_tile(
    picture: Panel, heatmaps: Sequence[tuple[np.ndarray, str]], lines: Sequence[str]
) -> Panel:
    """Picture beside heatmaps (plane, heading), text below: one input of a contact sheet."""
    parts = [_headed(enlarge(_shrink_pixels(picture, _SMALL), _SMALL), "input")]
    for heatmap, heading in heatmaps:
        small = _shrink_plane(heatmap, _SMALL)
        parts.append(_headed(enlarge(colorize(small, scale_of(small)), _SMALL), heading))
    row = beside(parts, gap=4)
    return above([row, text_panel(lines, row.shape[1], 12)], gap=2)


def sheet(tiles: Sequence[Panel], note: str) -> Panel:
    """Tiles in a grid, about as wide as high, with a line of text on top."""
    height, width = max(t.shape[0] for t in tiles), max(t.shape[1] for t in tiles)
    across = min(len(tiles), max(1, round(math.sqrt(len(tiles) * 1.3 * height / width))))
    rows = []
    for start in range(0, len(tiles), across):
        part = [fill(tile, height, width) for tile in tiles[start : start + across]]
        rows.append(beside(part, gap=16))
    width = max(row.shape[1] for row in rows)
    return framed(above([text_panel([note], width, 13), *rows], gap=12))


def enlarge(pixels: Panel, side: int) -> Panel:
    """Each pixel repeated until the longer side has at least `side`; long strips get broader."""
    height, width = pixels.shape[:2]
    times = max(1, math.ceil(side / max(height, width)))
    down = max(times, math.ceil(side / 8 / height))
    across = max(times, math.ceil(side / 8 / width))
    return pixels.repeat(down, axis=0).repeat(across, axis=1)


def beside(panels: Sequence[Panel], gap: int = _GAP) -> Panel:
    """Panels from left to right on white, aligned at the top."""
    height = max(panel.shape[0] for panel in panels)
    parts: list[Panel] = []
    for panel in panels:
        parts += [np.full((height, gap, 3), 255, np.uint8)] if parts else []
        parts.append(fill(panel, height, panel.shape[1]))
    return np.concatenate(parts, axis=1)


def above(panels: Sequence[Panel], gap: int = _GAP) -> Panel:
    """Panels from top to bottom on white, aligned at the left."""
    width = max(panel.shape[1] for panel in panels)
    parts: list[Panel] = []
    for panel in panels:
        parts += [np.full((gap, width, 3), 255, np.uint8)] if parts else []
        parts.append(fill(panel, panel.shape[0], width))
    return np.concatenate(parts, axis=0)


def fill(panel: Panel, height: int, width: int) -> Panel:
    """A panel with white at its right and below."""
    wanted = [(0, height - panel.shape[0]), (0, width - panel.shape[1]), (0, 0)]
    return np.pad(panel, wanted, constant_values=255)


def framed(panel: Panel) -> Panel:
    """A panel with a white margin."""
    return np.pad(panel, [(_GAP, _GAP), (_GAP, _GAP), (0, 0)], constant_values=255)


def _overlay(picture: Panel, heatmap: np.ndarray, scale: float) -> Panel:
    return overlay(np.moveaxis(picture, -1, 0)[None], heatmap[None], scale)[0]


def _wide(pixels: Panel, side: int) -> int:
    return enlarge(pixels[:, :, :1], side).shape[1]


def _headed(panel: Panel, heading: str) -> Panel:
    return above([text_panel([heading], panel.shape[1], 11), panel], gap=0)


def _shrink_pixels(picture: Panel, side: int) -> Panel:
    """Means of pixels, so that no side is longer."""
    from PIL import Image

    height, width = _fitted(*picture.shape[:2], side)
    if (height, width) == picture.shape[:2]:
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _shrink_plane(heatmap: np.ndarray, side: int) -> np.ndarray:
    """Means of a heatmap, so that no side is longer."""
    from PIL import Image

    height, width = _fitted(*heatmap.shape, side)
    if (height, width) == heatmap.shape:
        return heatmap
    image = Image.fromarray(np.ascontiguousarray(heatmap, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _fitted(height: int, width: int, side: int) -> tuple[int, int]:
    factor = min(1.0, side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))
