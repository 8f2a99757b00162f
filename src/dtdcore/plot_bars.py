# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance of named numbers as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dtdcore.colours import BLUE, RED, Floats, finite
from dtdcore.plot_parts import (
    LINE,
    as_text,
    check_list,
    fit,
    grid_of,
    inches_of,
    number,
    put,
    shortened,
    width,
)
from dtdcore.tabular import Groups, feature_names, most_relevant, sum_groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    Canvas = Figure | SubFigure

#: Inches that the names of features take at most; longer ones lose their middle.
_NAMES = 3.2
_HEADING, _NAME = 9, 8  # sizes of letters in points


def draw_bars(
    relevance: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    inputs: ArrayLike | None = None,
    groups: Groups | None = None,
    titles: Sequence[str] | None = None,
    most: int | None = 20,
    figure: Canvas | None = None,
) -> Canvas:
    """Draw signed relevances of named features as bars, one panel per sample.

    Parameters
    ----------
    relevance : array (features,) or (n, features)
    names : sequence of str, one per feature, optional
        Default: x0, x1, ...
    inputs : array (features,) or (1, features), optional
        For one sample: values to write beside the names of the features that are in no group.
    groups : mapping from a name to columns, optional
        Columns to sum, see `sum_groups`.
    titles : sequence of str, one per panel, optional
    most : int or None
        Where there are more features, those with the largest Σ|R| over the panels are drawn, and
        the sum of all others as one more bar, so that the bars still add up. None: all.
    figure : Figure or SubFigure, optional

    Raises
    ------
    ValueError
        If a shape or the number of names or titles is wrong, a column of a group is unknown, or a
        value is not finite.
    ImportError
        If matplotlib is missing.
    """
    values = np.atleast_2d(finite(relevance, "relevance"))
    if values.ndim != 2 or values.size == 0:
        raise ValueError(
            f"relevance must have shape (features,) or (n, features), not empty, got {values.shape}"
        )
    features = values.shape[1]
    labels = [f"x{index}" for index in range(features)]
    labels = labels if names is None else feature_names(names, features)
    known = {} if inputs is None else _known(inputs, labels, values)
    values, labels = sum_groups(values, labels, groups or {})
    labels = [f"{name} = {known[name]}" if name in known else name for name in labels]
    check_list(titles, "titles", len(values))
    return _draw_panels(*most_relevant(values, labels, most), titles, figure)


def cells(inputs: ArrayLike) -> np.ndarray:
    """Return finite numbers, or the cells of a table that holds texts and holes as they are."""
    array = np.asarray(inputs)
    return array if array.dtype.kind == "O" and array.ndim == 2 else finite(inputs, "inputs")


def _known(inputs: ArrayLike, names: list[str], relevance: Floats) -> dict[str, str]:
    """Return the value of each feature of the one sample."""
    x = np.atleast_2d(cells(inputs))
    if x.shape != relevance.shape or len(x) != 1:
        raise ValueError(
            f"inputs must be one sample (1, {len(names)}) for a relevance of that shape, "
            f"got {x.shape} for {relevance.shape}"
        )
    return {
        name: number(value) if isinstance(value, float | int) else str(value)
        for name, value in zip(names, x[0].tolist(), strict=True)
    }


def _draw_panels(
    values: Floats, names: list[str], titles: Sequence[str] | None, figure: Canvas | None
) -> Canvas:
    """Draw one panel of bars per row of `values`, on one scale."""
    across = min(len(values), 4)
    down = -(-len(values) // across)
    names = [shortened(name, _NAMES, _NAME) for name in names]
    beside = max(width(name, _NAME) for name in names) + 0.2
    panel = 2.6 if across > 1 else 4.2
    if figure is not None:
        panel = max(1.0, (inches_of(figure)[0] - beside) / across)
    headings = None if titles is None else [fit(t, panel - 0.2, _HEADING) for t in titles]
    lines = max((heading.count("\n") + 1 for heading in headings or ()), default=0)
    cell = (panel, 0.22 * len(names) + 0.5 + LINE * lines)
    canvas, grid = grid_of(
        figure, down, across, cell, margin=(beside, 0.5), sharex=True, sharey=True
    )
    places = np.arange(len(names))
    for index, axes in enumerate(grid.flat):
        if index >= len(values):
            axes.set_axis_off()
            continue
        colours = [np.array(RED if value >= 0 else BLUE) / 255.0 for value in values[index]]
        bars = axes.barh(places, values[index], color=colours, height=0.75)
        axes.bar_label(bars, [number(value, "+") for value in values[index]], fontsize=7, padding=2)
        axes.axvline(0.0, color="0.4", linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(labelsize=_NAME)
        axes.tick_params(axis="y", length=0)
        if headings is not None:
            put(axes.set_title, headings[index], fontsize=_HEADING)
        if index + across >= len(values):
            axes.tick_params(axis="x", labelbottom=True)
            axes.set_xlabel("relevance $R_i$", fontsize=8)
    labels, style = as_text(names)
    for axes in grid[:, 0]:
        axes.set_yticks(places, labels=labels, **style)
    grid[0, 0].invert_yaxis()
    grid[0, 0].margins(x=0.3)
    return canvas
