# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Lines of text as pixels, in any script that a font on this machine has; with Pillow."""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Sequence
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.arrays import require
from dtdcore.fonts import escaped, font_file, font_with, has_letter


def text_panel(lines: Sequence[str], width: int, size: int) -> np.ndarray:
    """Lines of text, black on white, wrapped at `width` pixels: uint8 (h, width, 3)."""
    require("PIL", "explain")
    from PIL import Image, ImageDraw

    wrapped = [part for line in lines for part in _wrap(_writable(line), width, size)]
    pitch = round(1.35 * size)
    image = Image.new("RGB", (width, pitch * max(1, len(wrapped)) + 2), "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(wrapped):
        place = 0.0
        for letters, font in _runs(line, size):
            draw.text((place, number * pitch + size), letters, "black", font, anchor="ls")
            place += font.getlength(letters)
    return np.asarray(image)


def _wrap(text: str, width: int, size: int) -> list[str]:
    """Lines that fit; a word that is too long is cut."""
    lines = [""]
    for word in text.split(" "):
        short = _cut(word, width, size)
        longer = f"{lines[-1]} {short}".lstrip()
        if _length(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(short)
    return lines


def _cut(word: str, width: int, size: int) -> str:
    """A word that fits into a line, its end cut off where it must be."""
    while _length(word, size) > width and len(word) > 3:
        word = word.rstrip(".")[:-1] + ".."
    return word


def _length(text: str, size: int) -> float:
    return sum(font.getlength(letters) for letters, font in _runs(text, size))


def _runs(text: str, size: int) -> list[tuple[str, Any]]:
    """Parts of a line, each with the font that has its letters."""
    found = groupby(text, partial(_font_of, size=size))
    return [("".join(letters), font) for font, letters in found]


@cache
def _font_of(letter: str, size: int) -> Any:
    """The font that draws a letter: the common one, where it can."""
    common = _common_font()
    if common is None or not _has_matplotlib() or has_letter(common, letter):
        return _font(common, 0, size)
    other = font_with(letter)
    if other is None:
        return _font(common, 0, size)
    file = font_file(other)
    return _font(str(getattr(file, "path", file)), getattr(other, "index", 0), size)


@cache
def _font(file: str | None, index: int, size: int) -> Any:
    from PIL import ImageFont

    if file is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(file, size, index)


@cache
def _common_font() -> str | None:
    """A font of many letters, DejaVu Sans: the system's, or matplotlib's; None: Pillow's own."""
    from PIL import ImageFont

    try:
        return ImageFont.truetype("DejaVuSans.ttf", 12).path
    except OSError:
        found = importlib.util.find_spec("matplotlib")
        folder = Path((found.origin if found else None) or "").parent
        path = folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        return str(path) if found and path.is_file() else None


def _has_matplotlib() -> bool:
    """It finds the fonts of this machine; without it there is the common one alone."""
    return importlib.util.find_spec("matplotlib") is not None


def _writable(text: str) -> str:
    """Text in letters that some font has, all others as escapes."""
    common = _common_font()
    if common is None:
        text = text.replace("ΣR", "sum of R")
        return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    every = not _has_matplotlib()
    shown = escaped(text, lambda sign: every or has_letter(common, sign) or bool(font_with(sign)))
    return shown.replace("\n", r"\x0a")  # a line stays one
