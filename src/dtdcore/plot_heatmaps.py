# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Heatmaps side by side, and methods or targets beside their inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from dtdcore.arrays import check_count, check_number, require
from dtdcore.colours import (
    Floats,
    as_maps,
    as_pictures,
    colour_table,
    finite,
    largest,
    overlay,
    relevance_scale,
)
from dtdcore.plot_parts import (
    LINE,
    bare,
    cell_size,
    check_list,
    fit,
    grid_of,
    inches_of,
    plus_minus,
    put,
)
from dtdcore.volumes import Tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage

    Canvas = Figure | SubFigure

_HEADING, _NOTE = 9, 8  # sizes of letters in points


def draw_heatmap(axes: Axes, relevance: ArrayLike, scale: float | None = None) -> AxesImage:
    """Draw one heatmap on given axes.

    Parameters
    ----------
    axes : matplotlib Axes
    relevance : array (h, w)
    scale : positive number, optional
        The |R| of the end colours. Default: the largest |R|.

    Returns
    -------
    AxesImage
        It records the scale: `get_clim()` is (-scale, scale).

    Raises
    ------
    ValueError
        If the shape is another, a value is not finite, or `scale` is not positive.
    """
    values = finite(relevance, "relevance")
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"relevance must have shape (h, w), not empty, got {values.shape}")
    limit = largest(values) if scale is None else check_number(scale, "scale", 0.0, strict=True)
    return show_map(axes, values, limit)


def draw_heatmaps(
    relevance: ArrayLike,
    *,
    inputs: ArrayLike | None = None,
    scale: str | float = "shared",
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    figure: Canvas | None = None,
) -> Canvas:
    """Draw heatmaps side by side; over their inputs, where these are given.

    Parameters
    ----------
    relevance : array (n, h, w) or (n, c, h, w)
        Channels are summed.
    inputs : array (n, h, w) or (n, c, h, w), optional
        Pictures to lay the heatmaps over, see `overlay`.
    scale : "shared", "image" or a positive number
        See `relevance_scale`. One scale for all is written beside the colour bar, a scale per
        image under each image.
    titles : sequence of str, one per image, optional
    columns : int, optional
        Images per row. Default: about as many as rows, 8 at most.
    figure : Figure or SubFigure, optional

    Raises
    ------
    ValueError
        If a shape, a number of titles or `scale` is wrong, or a value is not finite.
    ImportError
        If matplotlib is missing.
    """
    maps = as_maps(relevance, "relevance")
    limits = relevance_scale(maps, scale)
    pictures = None if inputs is None else overlay(inputs, maps, scale)
    count, height, width = maps.shape
    check_list(titles, "titles", count)
    if columns is None:
        columns = min(8, int(np.ceil(np.sqrt(count))))
    across = min(check_count(columns, "columns"), count)
    wide, _ = _cell(figure, height, width, across)
    heads = None if titles is None else [fit(title, wide, _HEADING) for title in titles]
    cell = cell_size(height, width, lines=_lines(heads) + (scale == "image"))
    canvas, grid = grid_of(figure, -(-count // across), across, cell)
    for index, axes in enumerate(grid.flat):
        if index >= count:
            axes.set_axis_off()
            continue
        if pictures is None:
            show_map(axes, maps[index], limits[index])
        else:
            bare(axes).imshow(pictures[index])
        if heads is not None:
            put(axes.set_title, heads[index], fontsize=_HEADING)
        if scale == "image":
            axes.set_xlabel(plus_minus(limits[index]), fontsize=_NOTE)
    colour_bar(canvas, list(grid.flat), maps, limits, scale)
    return canvas


def draw_comparison(
    inputs: ArrayLike,
    relevance: Mapping[str, ArrayLike],
    *,
    scale: str | float = "method",
    titles: Sequence[str] | None = None,
    headings: Sequence[Sequence[str]] | None = None,
    notes: Sequence[Sequence[str]] | None = None,
    factor: float = 1.0,
    figure: Canvas | None = None,
) -> Canvas:
    """Draw one row per input: the input, then its heatmap by each method.

    Parameters
    ----------
    inputs : array (n, h, w) or (n, c, h, w)
        Three channels are drawn as RGB, otherwise the mean over channels in grey; the range of
        the values over the batch from black to white.
    relevance : mapping from the name of a method to an array (n, h, w) or (n, c, h, w)
    scale : "method", "image", "all" or a positive number
        One scale per method (their units may differ), one per heatmap, one for all methods and
        images, or that number. It is written where it holds: above the column, under the heatmap
        or beside the colour bar.
    titles : sequence of str, one per input, optional
    headings : sequence of rows of str, one per heatmap, optional
        Written above the heatmaps, in place of the names of the methods.
    notes : sequence of rows of str, one per heatmap, optional
        Written under the heatmaps.
    factor : float
        Pictures of a new figure are drawn so many times as wide and high as by default.
    figure : Figure or SubFigure, optional

    Raises
    ------
    ValueError
        If there is no method, a shape, a number of titles or `scale` is wrong, or a value is not
        finite.
    ImportError
        If matplotlib is missing.
    """
    if not relevance:
        raise ValueError("relevance must have at least one method, got an empty mapping")
    maps = [as_maps(values, f"relevance[{name!r}]") for name, values in relevance.items()]
    count, height, width = maps[0].shape
    for name, values in zip(relevance, maps, strict=True):
        if values.shape != maps[0].shape:
            raise ValueError(
                f"relevance[{name!r}] must have shape {maps[0].shape} as the first, "
                f"got {values.shape}"
            )
    pictures = as_pictures(inputs, maps[0].shape)
    check_list(titles, "titles", count)
    for rows, what in ((headings, "headings"), (notes, "notes")):
        check_list(rows, what, count)
        for row in rows or ():
            check_list(row, f"{what}: each row", len(maps))
    limits = _comparison_scale(maps, scale)
    across = len(maps) + 1
    wide, high = _cell(figure, height, width, across, count, factor)
    above = [list(relevance)] if headings is None else headings
    above = [[fit(text, wide, _HEADING) for text in row] for row in above]
    below = [[fit(text, wide, _NOTE) for text in row] for row in notes or ()]
    lines = _lines(*below) + (scale == "image") + (0 if headings is None else _lines(*above))
    cell = cell_size(height, width, lines, factor)
    top = (headings is None) * (_lines(*above) - 1) + (scale == "method")
    canvas, grid = grid_of(figure, count, across, cell, margin=(1.0, 0.5 + LINE * top))
    put(grid[0, 0].set_title, "input", fontsize=_HEADING)
    for row in range(count):
        bare(grid[row, 0]).imshow(pictures[row], cmap="gray", vmin=0.0, vmax=1.0)
        title = "" if titles is None else fit(titles[row], high, _HEADING)
        put(grid[row, 0].set_ylabel, title, fontsize=_HEADING)
        for column, values in enumerate(maps):
            axes, limit = grid[row, column + 1], limits[column, row]
            show_map(axes, values[row], limit)
            text = [above[row][column]] if row < len(above) else []
            text += [plus_minus(limit)] if scale == "method" and row == 0 else []
            put(axes.set_title, "\n".join(text), fontsize=_HEADING)
            text = [below[row][column]] if below else []
            text += [plus_minus(limit)] if scale == "image" else []
            put(axes.set_xlabel, "\n".join(text), fontsize=_NOTE)
    colour_bar(canvas, list(grid.flat), np.stack(maps), limits, scale)
    return canvas


def show_map(axes: Axes, values: Floats, limit: float) -> AxesImage:
    """Draw a heatmap (h, w) on axes, its end colours at ±limit."""
    return bare(axes).imshow(values, cmap=_colour_map(), **_range(limit))


def mark_slices(axes: Axes, tiles: Tiles) -> None:
    """Draw lines between slices, and the number of each; leave white what is none."""
    across = axes.images[0].get_array().shape[1]
    for index, height, width, top, left in tiles:
        if top and not left:
            axes.axhline(top - 0.5, color="white", linewidth=1.5)
        if left and not top:
            axes.axvline(left - 0.5, color="white", linewidth=1.5)
        box = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1}
        axes.text(left - 0.3, top - 0.3, str(index), va="top", fontsize=6, bbox=box)
        end = left + width
        if index == tiles[-1][0] and end < across:
            ends = [end - 0.5, across - 0.5]
            axes.fill_between(ends, top - 0.5, top + height - 0.5, color="white", linewidth=2)


def _cell(
    figure: Canvas | None, height: int, width: int, across: int, down: int = 1, factor: float = 1.0
) -> tuple[float, float]:
    """Return width and height in inches that the texts around one heatmap have."""
    if figure is None:
        return cell_size(height, width, 0, factor)
    wide, high = inches_of(figure)
    return wide / (across + 0.5), high / down


def _lines(*rows: Sequence[str] | None) -> int:
    """Return the number of lines of the longest text."""
    return max((text.count("\n") + 1 for row in rows for text in row or ()), default=0)


def _comparison_scale(maps: list[Floats], scale: str | float) -> Floats:
    """Return the scale of each heatmap, (methods, n)."""
    if scale == "all":
        return np.full((len(maps), len(maps[0])), max(largest(values) for values in maps))
    if isinstance(scale, str) and scale not in ("method", "image"):
        raise ValueError(
            f"scale must be 'method', 'image', 'all' or a positive number, got {scale!r}"
        )
    return np.stack([relevance_scale(m, "shared" if scale == "method" else scale) for m in maps])


def _range(limit: float) -> dict[str, float]:
    """Return the ends of a symmetric scale; where all is zero any will do."""
    limit = limit if limit > 0 else 1.0
    return {"vmin": -limit, "vmax": limit}


def _colour_map() -> Any:
    colours = require("matplotlib.colors", "plot")
    return colours.ListedColormap(colour_table() / 255.0, "relevance")


def colour_bar(
    canvas: Canvas, axes: list[Axes], values: Floats, limits: Floats, scale: str | float
) -> None:
    """Draw the colour bar, which says what the end colours stand for, and where."""
    normalize = require("matplotlib.colors", "plot").Normalize
    single = scale not in ("image", "method")
    limit = float(limits.flat[0]) if single else 1.0
    beyond = [single and (-values > limit).any(), single and (values > limit).any()]
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}
    mappable = require("matplotlib.cm", "plot").ScalarMappable(
        normalize(**_range(limit)), _colour_map()
    )
    bar = canvas.colorbar(
        mappable,
        ax=axes,
        aspect=25,
        pad=0.02,
        shrink=min(1.0, 4.0 * canvas.dpi / canvas.bbox.height),  # 4 inches at most
        extend=extend.get(tuple(map(bool, beyond)), "both"),
    )
    if not single:
        bar.set_ticks([-1, 0, 1], labels=["−scale", "0", "+scale"])
        bar.set_label(f"relevance $R_p$, scale per {scale}", fontsize=8)
    else:
        kind = "shared" if isinstance(scale, str) else "fixed"
        bar.set_label(f"relevance $R_p$, {kind} scale {plus_minus(limit)}", fontsize=8)
    bar.ax.tick_params(labelsize=8)
