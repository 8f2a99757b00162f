# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One explanation as a figure: images, volumes or bars, whatever its inputs are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dtdcore.arrays import check_count
from dtdcore.colours import Floats, channels_first, finite
from dtdcore.plot_bars import cells, draw_bars
from dtdcore.plot_heatmaps import draw_comparison, mark_slices
from dtdcore.plot_parts import check_list, number
from dtdcore.tabular import Groups
from dtdcore.volumes import SLICES, Tiles, mosaic

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    Canvas = Figure | SubFigure


def plot_explanation(
    inputs: ArrayLike,
    relevance: ArrayLike,
    explained: ArrayLike | None = None,
    *,
    titles: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    labels: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    groups: Groups | None = None,
    image_shape: tuple[int, ...] | None = None,
    volume: bool | None = None,
    slices: int = SLICES,
    scale: str | float | None = None,
    limit: int = 8,
    figure: Canvas | None = None,
) -> Canvas:
    """Draw an explanation: images beside their heatmaps, volumes by slices, bars for tables.

    Parameters
    ----------
    inputs : array (n, features), (n, h, w), (n, c, h, w) or (n, c, d, h, w)
        Channels may also stand last, where there are 1 or 3 of them.
    relevance : array of the shape of `inputs`, or with an axis of k targets after the first
    explained : array (n,) or (n, k), optional
        f(x). It is written beside Σ_p R_p; where it is not above 0 and R is 0, that there is
        nothing to explain.
    titles : sequence of str, one per sample, optional
    targets : sequence of str, one per target, optional
        Default: "target 0", ... where there are several.
    labels : array of str (n,) or (n, k), optional
        Names of what was explained, such as classes. Each heatmap is headed "zebra: 17.1", by its
        name and f(x).
    names, groups
        For inputs (n, features): see `draw_bars`.
    image_shape : (h, w), (c, h, w) or (c, d, h, w), optional
        Draw inputs (n, features) as images of this shape.
    volume : bool, optional
        True draws three axes as a volume (d, h, w), not as channels (c, h, w). Default: only four
        axes are a volume.
    slices : int
        At most so many slices of a volume are drawn, at equal distances, each with its number.
    scale : "method", "image", "all" or a positive number
        For images: see `draw_comparison`, with targets as methods. Default: "all".
    limit : int
        At most so many samples are drawn; the figure says so where there are more.
    figure : Figure or SubFigure, optional

    Raises
    ------
    ValueError
        If the shapes do not belong together, an option does not go with them, or a value is not
        finite.
    ImportError
        If matplotlib is missing.
    """
    x, r = cells(inputs), finite(relevance, "relevance")
    r = r[:, None] if r.shape == x.shape and x.ndim > 1 else r
    if x.ndim not in (2, 3, 4, 5) or r.shape[:1] + r.shape[2:] != x.shape or r.size == 0:
        raise ValueError(
            "inputs must have shape (n, features), (n, h, w), (n, c, h, w) or (n, c, d, h, w), and "
            f"relevance the same or (n, k, ...), not empty, got {x.shape} and {np.shape(relevance)}"
        )
    if image_shape is not None:
        if x.ndim != 2 or len(image_shape) not in (2, 3, 4) or np.prod(image_shape) != x.shape[1]:
            raise ValueError(f"image_shape {image_shape} does not fit inputs {x.shape}")
        x, r = x.reshape(len(x), *image_shape), r.reshape(*r.shape[:2], *image_shape)
    count, k = r.shape[:2]
    check_list(titles, "titles", count)
    check_list(targets, "targets", k)
    drawn = min(count, check_count(limit, "limit"))
    headings, notes = _texts(r, explained, labels)
    headings, notes = headings and headings[:drawn], notes[:drawn]
    x, r = x[:drawn], r[:drawn]
    rows = None if titles is None else titles[:drawn]
    said = [f"{drawn} of {count} samples"] if drawn < count else []
    if x.ndim > 2:
        if names is not None or groups is not None:
            raise ValueError(f"names and groups are for inputs (n, features), got {x.shape}")
        if targets is None:
            targets = [f"target {j}" for j in range(k)] if k > 1 else ["relevance"]
        if len(set(targets)) != k:
            raise ValueError(f"targets must differ from each other, got {targets}")
        x, r = channels_first(x, 1), channels_first(r, 2)
        tiles: Tiles = []
        if x.ndim == 5 or (volume and x.ndim == 4):
            if x.ndim == 5:
                x, r = x.mean(axis=1), r.sum(axis=2)
            if check_count(slices, "slices") < x.shape[1]:
                said.append(f"{slices} of {x.shape[1]} slices")
            x, _ = mosaic(x, slices, fill=x.min())
            r, tiles = mosaic(r, slices)
        elif volume:
            raise ValueError(f"volume is for inputs (n, d, h, w) or (n, c, d, h, w), got {x.shape}")
        canvas = draw_comparison(
            x,
            {name: r[:, j] for j, name in enumerate(targets)},
            scale="all" if scale is None else scale,
            titles=rows,
            headings=headings,
            notes=notes,
            factor=2.0 if tiles else 1.0,
            figure=figure,
        )
        for axes in canvas.axes:
            if tiles and axes.images:
                mark_slices(axes, tiles)
    else:
        if scale is not None or volume:
            raise ValueError("scale is for images; bars have an axis with numbers, and no slices")
        if targets is None and labels is None and k > 1:
            targets = [f"target {j}" for j in range(k)]
        panels = []
        for i in range(drawn):
            for j in range(k):
                lines = [] if titles is None else [titles[i]]
                lines += [] if targets is None else [targets[j]]
                lines += [] if headings is None else [headings[i][j]]
                panels.append("\n".join([*lines, notes[i][j]]))
        bars = r.reshape(drawn * k, -1)
        shown = x if len(bars) == 1 else None
        canvas = draw_bars(bars, names, inputs=shown, groups=groups, titles=panels, figure=figure)
    if said:
        canvas.suptitle(", ".join(said), fontsize=9)
    return canvas


def _texts(
    relevance: Floats, explained: ArrayLike | None, labels: ArrayLike | None
) -> tuple[list[list[str]] | None, list[list[str]]]:
    """Return headings "zebra: 17.1", where there are labels, and notes "f = ..., ΣR = ..."."""
    count, k = relevance.shape[:2]
    sums = relevance.reshape(count, k, -1).sum(axis=-1)
    notes = [[f"ΣR = {number(value)}" for value in row] for row in sums]
    headings = None if labels is None else _per_heatmap(labels, "labels", count, k).tolist()
    if explained is None:
        return headings, notes
    f = _per_heatmap(finite(explained, "explained"), "explained", count, k)
    nothing = (f <= 0) & ~relevance.reshape(count, k, -1).any(axis=-1)
    for i, j in np.ndindex(count, k):
        value, note = number(f[i, j]), "nothing to explain" if nothing[i, j] else notes[i][j]
        if headings is not None:
            headings[i][j] = f"{headings[i][j]}: {value}"
            notes[i][j] = note
        else:
            notes[i][j] = f"f = {value}{': ' if nothing[i, j] else ', '}{note}"
    return headings, notes


def _per_heatmap(values: ArrayLike, name: str, count: int, k: int) -> np.ndarray:
    array = np.asarray(values)
    if array.shape != (count, k) and (array.shape != (count,) or k != 1):
        raise ValueError(f"{name} must have shape ({count}, {k}), got {array.shape}")
    return array.reshape(count, k)
