# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance made visible: heatmaps, comparisons of methods, bar charts.

Everything here takes plain arrays, batch axis first, and writes into the figure what its end
colours stand for. `colorize`, `overlay`, `encode_png` and `sum_groups` need NumPy alone. The other
functions need matplotlib and return a `Figure` that pyplot does not know: no display is needed,
nothing has to be closed, and `figure.savefig("heatmaps.png")` writes it. In a notebook it appears
as the last expression of a cell, or by `figure.show()`, which opens a window elsewhere. Give
`figure=plt.figure()` to draw into a figure of your own, or one of `Figure.subfigures()` to draw a
part of one. Texts are drawn letter by letter: a `$` in them is no mathematics.
"""

from dtdcore.colours import colorize, encode_png, overlay, relevance_scale
from dtdcore.plot_bars import draw_bars
from dtdcore.plot_explanation import plot_explanation
from dtdcore.plot_heatmaps import draw_comparison, draw_heatmap, draw_heatmaps
from dtdcore.plot_layers import plot_layers
from dtdcore.tabular import sum_groups

__all__ = [
    "colorize",
    "draw_bars",
    "draw_comparison",
    "draw_heatmap",
    "draw_heatmaps",
    "encode_png",
    "overlay",
    "plot_explanation",
    "plot_layers",
    "relevance_scale",
    "sum_groups",
]
