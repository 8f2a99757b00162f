# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The figure of the experiment on pairs of digits: heatmaps, and what Definitions 1-3 say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dtdcore.colours import BLUE, RED
from dtdcore.experiments.detection import PairResult
from dtdcore.experiments.pair_methods import Method
from dtdcore.plot_heatmaps import draw_comparison
from dtdcore.plot_parts import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RED, _BLUE = (tuple(channel / 255.0 for channel in colour) for colour in (RED, BLUE))
_GREY = "0.45"


def draw(result: PairResult, rows: int = 6) -> Figure:
    """Draw heatmaps of several pairs, Σ_p R_p against f(x), and the distribution of R_p.

    Parameters
    ----------
    result
        Of `pairs.run` or `deep_pairs.run`.
    rows
        How many pairs are shown; the last one does not contain the digit, where there is such.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib (``pip install 'dtdcore[plot]'``).
    """
    chosen = _choose(result, rows)
    height = 1.28 * len(chosen) + 0.6
    figure = new_figure((13.0, height + 6.2))
    figure.suptitle(result.title, fontsize=12)
    upper, lower = figure.subfigures(2, 1, height_ratios=[height, 5.6], hspace=0.02)
    f = result.methods[0].f
    draw_comparison(
        result.pairs.images[chosen],
        {method.name: method.heatmaps[chosen] for method in result.methods},
        titles=[f"f(x) = {f[row]:.1f}" for row in chosen],
        notes=[[f"ΣR = {method.total[row]:.4g}" for method in result.methods] for row in chosen],
        figure=upper,
    )
    grid = lower.subplots(2, len(result.methods), squeeze=False)
    for column, method in enumerate(result.methods):
        _scatter(grid[0, column], method, result.pairs.present)
        _histogram(grid[1, column], method)
    grid[0, 0].set_ylabel(r"$\sum_p R_p$")
    grid[1, 0].set_ylabel("pixels")
    grid[0, -1].legend(fontsize=8, loc="lower right", frameon=False, markerscale=1.5)
    return figure


def _choose(result: PairResult, rows: int) -> list[int]:
    """The first pairs that show the digit, and one that does not."""
    present = np.flatnonzero(result.pairs.present)
    absent = np.flatnonzero(~result.pairs.present)[: 1 if rows > 1 else 0]
    return [*present[: rows - len(absent)].tolist(), *absent.tolist()]


def _mathematics(name: str) -> str:
    return name.replace("w²", "$w^2$").replace("z^B", r"$z^{\mathcal{B}}$")


def _scatter(axes: Axes, method: Method, present: np.ndarray) -> None:
    """Σ_p R_p against f(x); conservative heatmaps lie on the diagonal."""
    end = 1.05 * max(float(method.f.max(initial=0.0)), 1.0)
    axes.plot([0.0, end], [0.0, end], color=_GREY, linewidth=0.9, zorder=1)
    for shown, colour, label in ((~present, _BLUE, "digit absent"), (present, _RED, "present")):
        axes.scatter(
            method.f[shown],
            method.total[shown],
            s=7,
            alpha=0.45,
            linewidths=0,
            color=colour,
            label=label,
            zorder=2,
            rasterized=True,
        )
    axes.set(xlabel="$f(x)$", xlim=(-0.03 * end, end))
    note = r"$\langle|f - \sum R|\rangle$ = " + _number(method.error)
    _finish(axes, f"{_mathematics(method.name)}\n{note}")


def _histogram(axes: Axes, method: Method) -> None:
    """How often each value of R_p occurs, over all pixels of all pairs."""
    values = method.heatmaps.reshape(-1)
    low, high = min(float(values.min(initial=0)), 0.0), max(float(values.max(initial=0)), 0.0)
    width = (high - low) / 60 or 1.0
    edges = width * np.arange(np.floor(low / width), np.ceil(high / width) + 1)  # 0 is an edge
    counts, edges = np.histogram(values, edges if len(edges) > 1 else [0.0, 1.0])
    colours = [_BLUE if edge < 0 else _RED for edge in edges[:-1] + width / 2]
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=colours)
    axes.axvline(0.0, color=_GREY, linewidth=0.9)
    axes.set(yscale="log", xlabel="$R_p$")
    note = r"$\langle\sum\,\min(0, R)\rangle$ = " + _number(method.mean_negative)
    _finish(axes, note)


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _number(value: float) -> str:
    """A decimal where that says something, more of them for small numbers, never "-0.0"."""
    if abs(value) < 5e-4:
        return "0.0"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 0.05 else 3
    return f"{value:.{digits}f}".replace("-", "−")
