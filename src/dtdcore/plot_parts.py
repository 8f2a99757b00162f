# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What all drawings by matplotlib share: figures, a grid of axes, numbers and names as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from dtdcore.arrays import require
from dtdcore.fonts import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    Canvas = Figure | SubFigure

#: Inches of a line of text under or above an image.
LINE = 0.16


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


def put(write: Callable[..., Any], text: str, **style: Any) -> None:
    """Write a text by one of matplotlib's functions, such as `axes.set_title`; see `as_text`."""
    (letters,), properties = as_text([text])
    write(letters, **properties, **style)


def as_text(texts: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Return texts, and matplotlib's properties that draw them letter by letter.

    Nothing in them is taken for mathematics. What the default font lacks comes from another font,
    or is escaped; see `dtdcore.fonts`.
    """
    families = drawable("".join(texts))[1]
    style: dict[str, Any] = {"parse_math": False, "usetex": False}
    return [drawable(text)[0] for text in texts], style | (
        {} if families is None else {"fontfamily": families}
    )


def fit(text: str, inches: float, size: float) -> str:
    """Break lines, between words where possible, so that none is wider than `inches`."""
    lines = []
    for line in drawable(text)[0].split("\n"):
        lines.append("")
        for word in line.split(" "):
            longer = f"{lines[-1]} {word}" if lines[-1] else word
            if width(longer, size) <= inches:
                lines[-1] = longer
                continue
            pieces = _pieces(word, inches, size)
            lines[-1:] = [lines[-1], *pieces] if lines[-1] else pieces
    return "\n".join(lines)


def shortened(text: str, inches: float, size: float) -> str:
    """Leave out the middle of a name that is wider than `inches`."""
    whole = drawable(text)[0]
    short, kept = whole, len(whole)
    while width(short, size) > inches and kept > 2:
        kept -= 1
        short = f"{whole[: kept - kept // 2]}…{whole[-(kept // 2) :]}"
    return short


def width(text: str, size: float) -> float:
    """Return the width of one line of text in inches."""
    manager = require("matplotlib.font_manager", "plot")
    to_path = require("matplotlib.textpath", "plot").text_to_path
    letters, families = drawable(text)
    font = manager.FontProperties(size=size, family=families)
    return to_path.get_text_width_height_descent(letters, font, ismath=False)[0] / 72


def _pieces(word: str, inches: float, size: float) -> list[str]:
    """Return a word in parts that are not wider, cut behind signs such as / and _ if possible."""
    parts = [""]
    for letter in word:
        if parts[-1] and width(parts[-1] + letter, size) > inches:
            cut = 1 + max(parts[-1].rfind(sign) for sign in "/_-.,:\\") or len(parts[-1])
            parts[-1:] = [parts[-1][:cut], parts[-1][cut:]]
        parts[-1] += letter
    return parts


def cell_size(height: int, width: int, lines: int, factor: float = 1.0) -> tuple[float, float]:
    """Return width and height in inches for an image and some lines of text."""
    inch = factor * min(1.5 / min(height, width), 2.4 / max(height, width))
    return max(inch * width, 0.8) + 0.1, max(inch * height, 0.5) + 0.1 + LINE * lines


def new_figure(size: tuple[float, float]) -> Figure:
    """Return an empty figure of width and height in inches, which shows itself in notebooks."""
    require("matplotlib.figure", "plot")
    from dtdcore.plot_figure import ShownFigure

    return ShownFigure(figsize=size, dpi=120, layout="constrained")


def inches_of(figure: Canvas) -> tuple[float, float]:
    """Return the width and height of a figure or a part of one."""
    return figure.bbox.width / figure.dpi, figure.bbox.height / figure.dpi


def grid_of(
    figure: Canvas | None,
    down: int,
    across: int,
    cell: tuple[float, float],
    margin: tuple[float, float] = (1.0, 0.5),
    **options: Any,
) -> tuple[Canvas, NDArray[Any]]:
    """Return a figure and its grid of axes; a new figure has the size of its cells and a margin."""
    require("matplotlib.figure", "plot")
    if figure is None:
        wide, high = cell[0] * across + margin[0], cell[1] * down + margin[1]
        figure = new_figure((max(3.6, wide), max(2.4, high)))
    return figure, figure.subplots(down, across, squeeze=False, **options)


def bare(axes: Axes) -> Axes:
    """Take ticks and frame away."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes
