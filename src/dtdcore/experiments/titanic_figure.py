# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The figure of the Titanic experiment: one passenger, and the mean over the hold-out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dtdcore.experiments.titanic import Passenger, Result
from dtdcore.plot_parts import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {
    "z⁺": "#e2302a",
    "z^B": "#7a1f5c",
    "survivors": "#1b7f79",
    "others": "#9aa3ab",
}


def draw(result: Result) -> Figure:
    """Draw the passenger's relevances by both rules, and mean relevances by outcome.

    Parameters
    ----------
    result
        Of `titanic.run`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib (``pip install 'dtdcore[plot]'``).
    """
    figure = new_figure((13.0, 5.2))
    accuracies = [fold.test_accuracy for fold in result.folds]
    figure.suptitle(
        f"Titanic: {result.setting.neurons} neurons with $b \\leq 0$; accuracy on hold-out rows "
        f"{np.mean(accuracies):.3f} ({min(accuracies):.3f} to {max(accuracies):.3f}) over "
        f"{len(accuracies)} splits",
        fontsize=12,
    )
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1.0, 1.0])
    _draw_passenger(left, result.passenger)
    for axes, rule in ((middle, "z⁺"), (right, "z^B")):
        _grouped_bars(axes, result.mean_features, result.means[rule])
        axes.set(
            title=f"{_mathematics(rule)}: mean over hold-out rows", xlabel=r"$\langle R_i\rangle$"
        )
    right.sharex(middle)
    middle.autoscale(axis="x")
    right.tick_params(axis="y", labelleft=False)
    return figure


def _draw_passenger(axes: Axes, passenger: Passenger) -> None:
    names = [
        f"{feature} = {value}"
        for feature, value in zip(passenger.features, passenger.values, strict=True)
    ]
    _grouped_bars(axes, names, passenger.relevance)
    fate = "survived" if passenger.survived else "did not survive"
    axes.set(
        title=f"{passenger.name}\n{fate}, $f(x)$ = {passenger.f:.2f}",
        xlabel="$R_i$",
    )


def _grouped_bars(axes: Axes, names: Sequence[str], series: Mapping[str, np.ndarray]) -> None:
    """One group of horizontal bars for each name, one bar in it for each series."""
    places = np.arange(len(names))
    height = 0.8 / len(series)
    for number, (label, values) in enumerate(series.items()):
        offset = (number - (len(series) - 1) / 2) * height
        colour = _COLOURS[label]
        axes.barh(places + offset, values, height, color=colour, label=_mathematics(label))
    axes.set_yticks(places, labels=names)
    axes.invert_yaxis()
    axes.axvline(0.0, color="0.3", linewidth=0.8)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelsize=9)
    axes.legend(fontsize=9, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.1))


def _mathematics(name: str) -> str:
    return name.replace("z⁺", "$z^+$").replace("z^B", r"$z^{\mathcal{B}}$")
