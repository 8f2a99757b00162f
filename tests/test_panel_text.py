# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Texts of `dtdcore explain`'s pictures: letters of any script, no boxes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL")
from matplotlib import font_manager

from dtdcore import fonts
from dtdcore.jobs import panel_text


def inked(text: str) -> np.ndarray:
    """The pixels of a line of text, white cut off."""
    panel = panel_text.text_panel([text], 800, 15)
    columns = np.flatnonzero((panel < 128).any(axis=(0, 2)))
    return panel[:, columns[0] : columns[-1] + 1]


def letter_of_another_font() -> str:
    stix = font_manager.get_font(font_manager.findfont("STIXGeneral"))
    own = font_manager.findfont("DejaVu Sans")
    signs = filter(str.isprintable, map(chr, stix.get_charmap()))
    return min(sign for sign in signs if not fonts.has_letter(own, sign))


def test_a_letter_of_another_font_is_no_box():
    from PIL import ImageFont

    letter = letter_of_another_font()
    ((shown, font),) = panel_text._runs(letter, 15)
    assert shown == letter
    assert font.getname()[0] != "DejaVu Sans"
    box = ImageFont.truetype(panel_text._common_font(), 15).getmask(letter)
    drawn = font.getmask(letter)
    assert bytes(drawn) != bytes(box) or drawn.size != box.size
    parts = panel_text._runs(f"a{letter}b", 15)
    assert [text for text, _ in parts] == ["a", letter, "b"]
    assert parts[0][1] is parts[2][1]


def test_what_no_font_has_is_escaped(monkeypatch):
    monkeypatch.setattr(panel_text, "font_with", lambda letter: None)
    panel_text._font_of.cache_clear()
    np.testing.assert_array_equal(
        inked("猫_1\n.png"), inked(r"\u732b_1\x0a.png".replace(r"\x0a", "\n"))
    )
    np.testing.assert_array_equal(inked("\udc80\x07"), inked(r"\udc80\x07"))
    panel_text._font_of.cache_clear()


def test_without_matplotlib_the_common_font_draws_what_it_has(monkeypatch):
    monkeypatch.setattr(panel_text, "_has_matplotlib", lambda: False)
    panel_text._font_of.cache_clear()
    assert [text for text, _ in panel_text._runs("größe", 15)] == ["größe"]
    assert panel_text._writable("größe\x07") == r"größe\x07"
    monkeypatch.setattr(panel_text, "_common_font", lambda: None)
    assert panel_text._writable("ΣR größe") == "sum of R große".replace("ß", "")
    panel_text._font_of.cache_clear()


def test_lines_fit():
    panel = panel_text.text_panel(
        ["one two three " * 9, "x" * 300, letter_of_another_font() * 90], 120, 12
    )
    assert panel.shape[1] == 120
    assert (panel[:, -1] == 255).all()
