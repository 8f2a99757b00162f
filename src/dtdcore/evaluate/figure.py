# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The figure of perturbation curves: means with confidence bands, a panel for each order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dtdcore.evaluate.curves import Curve, order_name
from dtdcore.plot_parts import as_text, new_figure, put

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Told apart by people who see fewer colours, too (Okabe, Ito); random is grey.
_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_GREY = "0.5"
_SCORES = {
    "output": "f of the explained target",
    "probability": "probability of the explained class",
    "relative": "f / f(x) of the explained target",
}


def draw_curves(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    confidence: float = 0.95,
    title: str | None = None,
    figure: Any = None,
) -> Figure:
    """Draw mean curves and their bands.

    Parameters
    ----------
    panels : mapping from an order to curves by the name of their method
    confidence : float
        Of the bands.
    title : str, optional
    figure : Figure or SubFigure, optional
        To draw into; a new one by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib (``pip install 'dtdcore[plot]'``).
    """
    if figure is None:
        figure = new_figure((4.6 * len(panels), 3.6))
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (order, curves) in zip(grid, panels.items(), strict=True):
        colours = iter(_COLOURS * (1 + len(curves) // len(_COLOURS)))
        for name, curve in curves.items():
            random = curve.order == "random"
            mean, low, high = curve.band(confidence)
            share = 100 * curve.fraction
            style = {"color": _GREY if random else next(colours), "linewidth": 1.5}
            axes.plot(share, mean, label=name, linestyle="--" if random else "-", **style)
            if not np.isnan(low).any():
                axes.fill_between(share, low, high, color=style["color"], alpha=0.15, linewidth=0)
        axes.set_title(order_name(order), fontsize=10)
        axes.set_xlabel("regions replaced, %")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    first = next(iter(panels.values()))
    score = next(iter(first.values())).perturbation.score
    grid[0].set_ylabel(_SCORES[score])
    if any(first):
        for entry in grid[0].legend(fontsize=8, frameon=False).get_texts():
            (name,), style = as_text([entry.get_text()])
            entry.set(text=name, **style)
    if title is not None:
        put(figure.suptitle, title, fontsize=11)
    return figure
