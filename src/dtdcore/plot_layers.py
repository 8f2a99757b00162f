# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance at hidden layers: maps of convolutional layers, the strongest units of dense ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dtdcore.arrays import check_count
from dtdcore.colours import BLUE, RED, Floats, as_pictures, channels_first, finite, largest
from dtdcore.naming import explained_classes
from dtdcore.plot_heatmaps import mark_slices, show_map
from dtdcore.plot_parts import LINE, bare, fit, grid_of, number, plus_minus, put
from dtdcore.volumes import Tiles, mosaic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from dtdcore.explanation import Explanation

    Canvas = Figure | SubFigure

_CELL = 1.7  # inches


def plot_layers(
    explanation: Explanation,
    layers: str | Sequence[str] = "all",
    *,
    most: int = 8,
    limit: int = 8,
    figure: Canvas | None = None,
) -> Canvas:
    """Draw the relevance at hidden layers, a row for each sample and target, a column per layer.

    Of a layer (c, h, w) the sum over channels is drawn, of a volume (c, d, h, w) its slices, of a
    signal (c, t) all channels as rows. Of a dense layer the units with the largest |R| are drawn as
    bars. Each layer has a scale of its own, which stands in its heading.

    Parameters
    ----------
    explanation : Explanation
        Made with `layers=`, so that `explanation.at` has the relevance.
    layers : str or sequence of str
        Which of them, in which order; "all" for all.
    most : int
        Units of a dense layer that are drawn.
    limit : int
        At most so many rows are drawn; the figure says so where there are more.
    figure : Figure or SubFigure, optional

    Raises
    ------
    ValueError
        If the relevance at a layer is not there.
    ImportError
        If matplotlib is missing.
    """
    at = getattr(explanation, "at", None) or {}
    names = [layers] if isinstance(layers, str) else list(layers)
    names = list(at) if names == ["all"] and "all" not in at else names
    missing = [name for name in names if name not in at]
    if missing or not names:
        raise ValueError(
            f"no relevance at {', '.join(map(repr, missing)) or 'hidden layers'} is kept: give "
            f"layers= when explaining, such as explain(x, layers={missing or 'all'!r}); "
            f"kept are {', '.join(at) or 'none'}"
        )
    if explanation.explained.size == 0:
        raise ValueError("there is no relevance to plot: the batch is empty")
    check_count(most, "most")
    lead = explanation.explained.ndim
    f, rows = explanation.score.reshape(-1), explanation.explained.size
    drawn = min(rows, check_count(limit, "limit"))
    maps, slices = {}, {}
    for name in names:
        values = finite(at[name], f"at[{name!r}]")
        values = values.reshape(rows, *values.shape[lead:])[:drawn]
        maps[name], slices[name] = _drawable(values)
    heads = [f"{fit(name, _CELL, 9)}\n{plus_minus(largest(maps[name]))}" for name in names]
    lines = max(head.count("\n") for head in heads)
    pictures = _pictures(explanation)
    beside = int(pictures is not None)
    canvas, grid = grid_of(
        figure,
        drawn,
        beside + len(names),
        (_CELL, _CELL + 0.1),
        margin=(0.6, 0.5 + LINE * (lines - 1)),
    )
    classes = explained_classes(explanation)
    for row in range(drawn):
        text = "f = " if classes is None else f"{classes.reshape(-1)[row]}: "
        put(grid[row, 0].set_ylabel, fit(text + number(f[row]), _CELL, 9), fontsize=9)
        if pictures is not None:
            shown = pictures[row * len(pictures) // rows]
            bare(grid[row, 0]).imshow(shown, cmap="gray", vmin=0.0, vmax=1.0)
        for column, (name, values) in enumerate(maps.items(), start=beside):
            axes, scale = grid[row, column], largest(values)
            if values.ndim == 2:
                _strongest(axes, values[row], most, (min(0.0, values.min()), scale))
            else:
                show_map(axes, values[row], scale)
                long = max(values.shape[1:]) > 3 * min(values.shape[1:])
                axes.set_aspect("auto" if long else "equal")
                mark_slices(axes, slices[name])
            if row == 0:
                put(axes.set_title, heads[column - beside], fontsize=9)
    if pictures is not None:
        put(grid[0, 0].set_title, "input", fontsize=9)
    if drawn < rows:
        put(canvas.suptitle, f"{drawn} of {rows} heatmaps", fontsize=9)
    return canvas


def _drawable(values: Floats) -> tuple[Floats, Tiles]:
    """Return rows of units (n, units), or maps (n, h, w), and which slices stand where in them."""
    values = channels_first(values, 1)
    while values.ndim > 5:
        values = values.sum(axis=1)
    if values.ndim > 3:
        values = values.sum(axis=1)
    return mosaic(values) if values.ndim == 4 else (values, [])


def _pictures(explanation: Explanation) -> Floats | None:
    """Return the inputs, where they are pictures, a signal or volumes."""
    x = explanation.inputs
    if isinstance(x, dict) or x.ndim < 3:
        return None
    x = channels_first(finite(x, "inputs"), 1)
    if x.ndim > 4:
        x = mosaic(x.mean(axis=1), fill=x.min())[0]
    return as_pictures(x, (len(x), *x.shape[-2:]))


def _strongest(axes: Axes, relevance: Floats, most: int, ends: tuple[float, float]) -> None:
    """Draw the units with the largest |R| as bars, in their order."""
    strongest = np.argsort(-np.abs(relevance), kind="stable")[:most]
    chosen = np.sort(strongest[relevance[strongest] != 0])
    values = relevance[chosen]
    colours = [np.array(RED if value >= 0 else BLUE) / 255.0 for value in values]
    axes.barh(np.arange(len(chosen)), values, color=colours, height=0.75)
    axes.set_yticks(np.arange(len(chosen)), labels=[f"unit {unit}" for unit in chosen])
    axes.set(xlim=ends if ends[0] < ends[1] else (0.0, 1.0), xticks=[])
    axes.axvline(0.0, color="0.4", linewidth=0.8)
    axes.invert_yaxis()
    axes.tick_params(labelsize=7, length=0)
    axes.spines[:].set_visible(False)
