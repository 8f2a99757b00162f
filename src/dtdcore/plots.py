# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance made visible: heatmaps, comparisons of methods, bar charts.

Everything here takes plain arrays, batch axis first, and writes into the figure what its end
colours stand for. `colorize`, `overlay`, `encode_png` and `sum_groups` need NumPy alone. The other
functions need matplotlib and return a `Figure` that pyplot does not know: no display is needed,
nothing has to be closed, and `figure.savefig("heatmaps.png")` writes it. Give
`figure=plt.figure()` for a window, or one of `Figure.subfigures()` to draw a part of a figure.
"""

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
    colorize,
    colour_table,
    encode_png,
    finite,
    largest,
    overlay,
    relevance_scale,
)
from dtdcore.plot_bars import draw_bars
from dtdcore.plot_parts import bare, cell_size, check_list, grid_of, number, plus_minus
from dtdcore.tabular import Groups, sum_groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage

    Canvas = Figure | SubFigure

__all__ = [
    "colorize",
    "draw_bars",
    "draw_comparison",
    "draw_heatmap",
    "draw_heatmaps",
    "encode_png",
    "overlay",
    "plot_explanation",
    "relevance_scale",
    "sum_groups",
]


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
    return _show(axes, values, limit)


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
    cell = cell_size(height, width, lines=(titles is not None) + (scale == "image"))
    canvas, grid = grid_of(figure, -(-count // across), across, cell)
    for index, axes in enumerate(grid.flat):
        if index >= count:
            axes.set_axis_off()
            continue
        if pictures is None:
            _show(axes, maps[index], limits[index])
        else:
            bare(axes).imshow(pictures[index])
        if titles is not None:
            axes.set_title(titles[index], fontsize=9)
        if scale == "image":
            axes.set_xlabel(plus_minus(limits[index]), fontsize=8)
    _colour_bar(canvas, list(grid.flat), maps, limits, scale)
    return canvas


def draw_comparison(
    inputs: ArrayLike,
    relevance: Mapping[str, ArrayLike],
    *,
    scale: str | float = "method",
    titles: Sequence[str] | None = None,
    notes: Sequence[Sequence[str]] | None = None,
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
    notes : sequence of rows of str, one per heatmap, optional
        Written under the heatmaps.
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
    check_list(notes, "notes", count)
    for row in notes or ():
        check_list(row, "notes: each row", len(maps))
    limits = _comparison_scale(maps, scale)
    cell = cell_size(height, width, lines=(notes is not None) + (scale == "image"))
    canvas, grid = grid_of(figure, count, len(maps) + 1, cell)
    for row in range(count):
        bare(grid[row, 0]).imshow(pictures[row], cmap="gray", vmin=0.0, vmax=1.0)
        grid[row, 0].set_ylabel("" if titles is None else titles[row], fontsize=9)
        for column, values in enumerate(maps):
            axes, limit = grid[row, column + 1], limits[column, row]
            _show(axes, values[row], limit)
            lines = [notes[row][column]] if notes is not None else []
            lines += [plus_minus(limit)] if scale == "image" else []
            axes.set_xlabel("\n".join(lines), fontsize=8)
    grid[0, 0].set_title("input", fontsize=9)
    for column, name in enumerate(relevance):
        note = f"\n{plus_minus(limits[column, 0])}" if scale == "method" else ""
        grid[0, column + 1].set_title(name + note, fontsize=9)
    _colour_bar(canvas, list(grid.flat), np.stack(maps), limits, scale)
    return canvas


def plot_explanation(
    inputs: ArrayLike,
    relevance: ArrayLike,
    explained: ArrayLike | None = None,
    *,
    titles: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    groups: Groups | None = None,
    image_shape: tuple[int, ...] | None = None,
    scale: str | float | None = None,
    limit: int = 8,
    figure: Canvas | None = None,
) -> Canvas:
    """Draw an explanation: images beside their heatmaps, or bars for tabular inputs.

    Parameters
    ----------
    inputs : array (n, features), (n, h, w) or (n, c, h, w)
    relevance : array of the shape of `inputs`, or with an axis of k targets after the first
    explained : array (n,) or (n, k), optional
        f(x). It is written beside Σ_p R_p; where it is not above 0 and R is 0, that there is
        nothing to explain.
    titles : sequence of str, one per sample, optional
    targets : sequence of str, one per target, optional
        Default: "target 0", ... where there are several.
    names, groups
        For inputs (n, features): see `draw_bars`.
    image_shape : (h, w) or (c, h, w), optional
        Draw inputs (n, features) as images of this shape.
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
    x, r = finite(inputs, "inputs"), finite(relevance, "relevance")
    r = r[:, None] if r.shape == x.shape and x.ndim > 1 else r
    if x.ndim not in (2, 3, 4) or r.shape[:1] + r.shape[2:] != x.shape or r.size == 0:
        raise ValueError(
            "inputs must have shape (n, features), (n, h, w) or (n, c, h, w), and relevance the "
            f"same or (n, k, ...), not empty, got {x.shape} and {np.shape(relevance)}"
        )
    if image_shape is not None:
        if x.ndim != 2 or len(image_shape) not in (2, 3) or np.prod(image_shape) != x.shape[1]:
            raise ValueError(f"image_shape {image_shape} does not fit inputs {x.shape}")
        x, r = x.reshape(len(x), *image_shape), r.reshape(*r.shape[:2], *image_shape)
    count, k = r.shape[:2]
    check_list(titles, "titles", count)
    check_list(targets, "targets", k)
    if targets is None:
        targets = [f"target {j}" for j in range(k)] if k > 1 else ["relevance"]
    drawn = min(count, check_count(limit, "limit"))
    notes = _notes(r, explained)[:drawn]
    x, r = x[:drawn], r[:drawn]
    rows = None if titles is None else titles[:drawn]
    if x.ndim > 2:
        if names is not None or groups is not None:
            raise ValueError(f"names and groups are for inputs (n, features), got {x.shape}")
        if len(set(targets)) != k:
            raise ValueError(f"targets must differ from each other, got {targets}")
        maps = {name: r[:, j] for j, name in enumerate(targets)}
        scale = "all" if scale is None else scale
        canvas = draw_comparison(x, maps, scale=scale, titles=rows, notes=notes, figure=figure)
    else:
        if scale is not None:
            raise ValueError("scale is for images; bars have an axis with numbers")
        heads = [[name] if k > 1 or name != "relevance" else [] for name in targets]
        panels = [
            "\n".join([*([titles[i]] if titles is not None else []), *heads[j], notes[i][j]])
            for i in range(drawn)
            for j in range(k)
        ]
        bars = r.reshape(drawn * k, -1)
        shown = x if len(bars) == 1 else None
        canvas = draw_bars(bars, names, inputs=shown, groups=groups, titles=panels, figure=figure)
    if drawn < count:
        canvas.suptitle(f"{drawn} of {count} samples", fontsize=9)
    return canvas


def _notes(relevance: Floats, explained: ArrayLike | None) -> list[list[str]]:
    """Return "f = ..., ΣR = ..." for each sample and target."""
    count, k = relevance.shape[:2]
    sums = relevance.reshape(count, k, -1).sum(axis=-1)
    if explained is None:
        return [[f"ΣR = {number(value)}" for value in row] for row in sums]
    f = finite(explained, "explained")
    if f.shape != (count, k) and (f.shape != (count,) or k != 1):
        raise ValueError(f"explained must have shape ({count}, {k}), got {f.shape}")
    f = f.reshape(count, k)
    nothing = (f <= 0) & ~relevance.reshape(count, k, -1).any(axis=-1)
    return [
        [
            f"f = {number(f[i, j])}: nothing to explain"
            if nothing[i, j]
            else f"f = {number(f[i, j])}, ΣR = {number(sums[i, j])}"
            for j in range(k)
        ]
        for i in range(count)
    ]


def _comparison_scale(maps: list[Floats], scale: str | float) -> Floats:
    """Return the scale of each heatmap, (methods, n)."""
    if scale == "all":
        return np.full((len(maps), len(maps[0])), max(largest(values) for values in maps))
    if isinstance(scale, str) and scale not in ("method", "image"):
        raise ValueError(
            f"scale must be 'method', 'image', 'all' or a positive number, got {scale!r}"
        )
    return np.stack([relevance_scale(m, "shared" if scale == "method" else scale) for m in maps])


def _show(axes: Axes, values: Floats, limit: float) -> AxesImage:
    return bare(axes).imshow(values, cmap=_colour_map(), **_range(limit))


def _range(limit: float) -> dict[str, float]:
    """Return the ends of a symmetric scale; where all is zero any will do."""
    limit = limit if limit > 0 else 1.0
    return {"vmin": -limit, "vmax": limit}


def _colour_map() -> Any:
    colours = require("matplotlib.colors", "plot")
    return colours.ListedColormap(colour_table() / 255.0, "relevance")


def _colour_bar(
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
