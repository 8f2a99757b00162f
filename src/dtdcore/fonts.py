# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
r"""Which letters can be drawn, and by which font of those that matplotlib finds on this machine.

Names of files, columns and classes may be in any script. A letter that the font of the text lacks
is taken from an installed font that has it; where none has it, the text shows its escape, such as
\u732b, and no box. matplotlib is imported when it is asked for the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

#: Fonts whose glyphs are boxes or blanks, not letters.
_NO_LETTERS = ("Last Resort", "LastResort", "Adobe Blank")


def escaped(text: str, has: Callable[[str], bool]) -> str:
    r"""Text in which each letter for which `has` is false, or that cannot be seen, is its escape.

    Line breaks and spaces stay. The escapes are those of Python: \x07, \u732b, \U0001f600.
    """
    return "".join(
        letter if letter in " \n" or (letter.isprintable() and has(letter)) else _escape(letter)
        for letter in text
    )


def drawable(text: str) -> tuple[str, list[str] | None]:
    """Text for matplotlib, and the families to draw it with; None: the default ones do.

    Letters that the default font lacks come from other fonts, or are escaped; see `escaped`.
    """
    import matplotlib
    from matplotlib import font_manager

    own = font_manager.findfont(font_manager.FontProperties())
    letters = {letter for letter in text if letter.isprintable()}
    missing = sorted(letter for letter in letters if not has_letter(own, letter))
    if not missing and text.replace("\n", " ").isprintable():
        return text, None
    found = {letter: font_with(letter) for letter in missing}
    families = dict.fromkeys(font.name for font in found.values() if font is not None)
    shown = escaped(text, lambda letter: found.get(letter, letter) is not None)
    return shown, [*matplotlib.rcParams["font.family"], *families] if families else None


def has_letter(path: Any, letter: str) -> bool:
    """Has a font file (a path, or what matplotlib's `findfont` returns) this letter?"""
    codes = _codes(path)
    place = np.searchsorted(codes, ord(letter))
    return bool(place < len(codes) and codes[place] == ord(letter))


@cache
def _codes(path: Any) -> np.ndarray:
    """The numbers of all letters of a font, ascending: a few bytes for each."""
    from matplotlib import font_manager

    return np.array(sorted(font_manager.get_font(path).get_charmap()), np.uint32)


@cache
def font_with(letter: str) -> Any | None:
    """matplotlib's entry (`fname`, `name`) of a font that has a letter; None if none has.

    Upright fonts of common weight and without serifs come first.
    """
    return next((font for font in _fonts() if has_letter(font_file(font), letter)), None)


def font_file(font: Any) -> Any:
    """The file of an entry, and which font in it where it holds several."""
    from matplotlib import font_manager

    index = getattr(font, "index", 0)
    return font_manager.FontPath(font.fname, index) if index else font.fname


def _fonts() -> list[Any]:
    from matplotlib import font_manager

    def rank(font: Any) -> tuple:
        light = font.weight not in (400, "normal")
        return (font.style != "normal", light, "Sans" not in font.name, font.name)

    fonts = font_manager.fontManager.ttflist
    return sorted((f for f in fonts if not f.name.startswith(_NO_LETTERS)), key=rank)


def _escape(letter: str) -> str:
    code = ord(letter)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )
