# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What all drawings by matplotlib share: a grid of axes, numbers and names as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from dtdcore.arrays import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    Canvas = Figure | SubFigure


def check_list(texts: Sequence[Any] | None, name: str, count: int) -> None:
    """Raise a ValueError unless there is one text for each of `count` things, or none at all."""
    if texts is not None and (isinstance(texts, str) or len(texts) != count):
        raise ValueError(f"{name} must be a list of {count}, got {texts!r}")


def number(value: float, sign: str = "") -> str:
    """Return a number as matplotlib writes it on an axis, with a true minus."""
    return f"{value:{sign if value else ''}.4g}".replace("-", "−")


def plus_minus(limit: float) -> str:
    """Both ends of a scale."""
    return f"±{number(limit)}"


def literal(text: str) -> str:
    """Text that matplotlib does not take for mathematics, whatever is in it."""
    return text.replace("$", r"\$")


def cell_size(height: int, width: int, lines: int) -> tuple[float, float]:
    """Return width and height in inches for an image and some lines of text."""
    inch = min(1.5 / min(height, width), 2.4 / max(height, width))
    return max(inch * width, 0.8) + 0.1, max(inch * height, 0.5) + 0.1 + 0.16 * lines


def grid_of(
    figure: Canvas | None, down: int, across: int, cell: tuple[float, float], **options: Any
) -> tuple[Canvas, NDArray[Any]]:
    """Return a figure and its grid of axes; the size of a new figure follows from its cells."""
    module = require("matplotlib.figure", "plot")
    if figure is None:
        size = (max(3.6, cell[0] * across + 1.0), max(2.4, cell[1] * down + 0.5))
        figure = module.Figure(figsize=size, dpi=120, layout="constrained")
    return figure, figure.subplots(down, across, squeeze=False, **options)


def bare(axes: Axes) -> Axes:
    """Take ticks and frame away."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes
