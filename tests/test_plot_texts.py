# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Texts in figures: any script, no mathematics, nothing cut; names of features and classes."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

import dtdcore as dtd
from dtdcore import fonts, plots
from dtdcore.plot_parts import fit, shortened, width

LONG = "a_column_whose_name_is_much_longer_than_the_place_that_a_figure_has_for_it_0123456789"


def tabular(n: int = 1, k: int | None = None) -> dtd.Explanation:
    rng = np.random.default_rng(3)
    net = dtd.Network([dtd.Dense(rng.normal(size=(3, 5))), dtd.ReLU(), dtd.Dense(np.ones((5, 4)))])
    return dtd.LRP(net, "epsilon")(rng.random((n, 3)), None if k is None else [list(range(k))] * n)


def saved(figure) -> bytes:
    """The file of a figure; a glyph that is missing would be a warning, and that an error."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def names_of_bars(axes) -> list:
    """The texts beside the bars; none for pictures and colour bars."""
    return axes.get_yticklabels() if axes.containers else []


def texts(figure) -> list:
    """All texts that are drawn."""
    found = [*figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return [text for text in found if text.get_text() and text.get_visible()]


class TestLetters:
    def test_common_letters_stay_as_they_are(self):
        for text in ("age", "größe ΣR z⁺ −3\nnaïve", "Возраст", "ηλικία"):
            assert fonts.drawable(text) == (text, None)

    def test_a_letter_of_another_font_is_drawn_by_that_font(self):
        own = font_manager.findfont(font_manager.FontProperties())
        stix = font_manager.get_font(font_manager.findfont("STIXGeneral"))
        signs = filter(str.isprintable, map(chr, stix.get_charmap()))
        letter = min(sign for sign in signs if not fonts.has_letter(own, sign))
        shown, families = fonts.drawable(f"a{letter}b")
        assert shown == f"a{letter}b"
        assert families[-1] == fonts.font_with(letter).name
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert saved(plots.draw_bars([1.0], [f"a{letter}b"]))

    def test_what_no_font_has_is_escaped(self, monkeypatch):
        monkeypatch.setattr(fonts, "font_with", lambda letter: None)
        assert fonts.drawable("猫 1") == (r"\u732b 1", None)
        assert fonts.drawable("\U0002000b") == (r"\U0002000b", None)
        figure = plots.draw_bars([1.0, 2.0], ["猫", "ภาษา"], titles=["猫.png"])
        assert saved(figure)
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert labels == [r"\u732b", r"\u0e20\u0e32\u0e29\u0e32"]
        assert figure.axes[0].get_title() == r"\u732b.png"

    def test_what_cannot_be_seen_is_escaped(self):
        assert fonts.drawable("a\tb\x07\u202e\udc80")[0] == r"a\x09b\x07\u202e\udc80"

    def test_no_font_of_boxes_is_chosen(self):
        assert fonts.font_with("\U000e0fff") is None

    @pytest.mark.parametrize("name", ["$", "$x$", r"a\$b$c$", "x^2_1", r"$\frac{", "{}%&#~"])
    def test_signs_of_mathematics_are_text(self, name):
        figure = plots.draw_bars([[1.0], [2.0]], [name], titles=[name, f"{name}!"])
        assert saved(figure)
        assert figure.axes[0].get_title() == name
        assert figure.axes[0].get_yticklabels()[0].get_text() == name
        assert not any(t.get_parse_math() for t in texts(figure) if t.get_text() == name)
        r = np.ones((1, 3, 3))
        for drawn in (
            plots.draw_comparison(r, {name: r}, titles=[name], notes=[[name]]),
            plots.draw_heatmaps(r, titles=[name]),
        ):
            assert saved(drawn)
            own = [text for text in texts(drawn) if text.get_text() == name]
            assert own and not any(text.get_parse_math() for text in own)

    def test_no_settings_are_changed(self):
        import matplotlib

        before = dict(matplotlib.rcParams)
        plots.draw_bars([1.0], ["猫 $x$"])
        assert dict(matplotlib.rcParams) == before


class TestRoom:
    def test_lines_break_between_words_and_behind_signs(self):
        assert fit("one two three", 10.0, 9) == "one two three"
        lines = fit("one two three", width("one two", 9) + 0.01, 9).split("\n")
        assert lines == ["one two", "three"]
        parts = fit("path/to/a_file.png", width("path/to/a_", 9) + 0.01, 9).split("\n")
        assert parts == ["path/to/a_", "file.png"]
        assert fit("a\nb", 10.0, 9) == "a\nb"
        assert all(width(line, 9) <= 1.0 for line in fit(LONG * 3, 1.0, 9).split("\n"))
        assert fit(LONG, 1.0, 9).replace("\n", "") == LONG

    def test_long_names_lose_their_middle(self):
        short = shortened(f"{LONG} = 0.25", 2.0, 8)
        assert width(short, 8) <= 2.0
        start, end = short.split("…")
        assert LONG.startswith(start) and f"{LONG} = 0.25".endswith(end) and len(end) > 7
        assert shortened("age", 2.0, 8) == "age"

    @pytest.mark.parametrize("n", [1, 3, 6])
    def test_no_text_of_bars_is_cut_or_overlaps_the_next(self, n):
        names, titles = [LONG, "b", "c"], [f"{row}/{LONG}\n{LONG}" for row in range(n)]
        figure = plots.draw_bars(np.random.default_rng(0).normal(size=(n, 3)), names, titles=titles)
        self.check(figure)

    @pytest.mark.parametrize("labels", [None, [LONG, "dog"]])
    def test_no_text_of_images_is_cut_or_overlaps_the_next(self, labels):
        r = np.random.default_rng(0).normal(size=(2, 8, 8))
        f = r.sum((1, 2))
        self.check(plots.plot_explanation(r, r, f, titles=["a", LONG], labels=labels))
        self.check(plots.draw_heatmaps(r, titles=[LONG, LONG]))
        methods = {LONG: r, "second": r, LONG[:-1]: r}
        self.check(plots.draw_comparison(r, methods, notes=[[LONG] * 3] * 2))

    def test_a_given_figure_is_not_left(self):
        figure = Figure(figsize=(5, 4), dpi=100, layout="constrained")
        plots.draw_bars([[1.0, 2.0]], ["a", "b"], titles=[LONG * 2], figure=figure)
        self.check(figure)

    @staticmethod
    def check(figure):
        """Every text lies within the figure, and no two of them on each other."""
        figure.draw_without_rendering()
        boxes = [
            (text.get_text(), text.get_window_extent())
            for axes in figure.axes
            for text in [axes.title, axes.xaxis.label, axes.yaxis.label, *names_of_bars(axes)]
            if text.get_visible() and text.get_text() and axes.axison
        ]
        assert boxes
        inside = figure.bbox.padded(1)
        for number, (text, box) in enumerate(boxes):
            assert inside.x0 <= box.x0 and box.x1 <= inside.x1, text
            assert inside.y0 <= box.y0 and box.y1 <= inside.y1, text
            for other, another in boxes[:number]:
                overlap = box.padded(-1).overlaps(another)
                assert not overlap or text == other, (text, other)


class TestNames:
    def test_of_features_are_drawn_and_can_be_replaced(self):
        e = replace(tabular(), feature_names=("age", "sex", "fare"))
        labels = [t.get_text() for t in e.plot().axes[0].get_yticklabels()]
        assert [label.split(" = ")[0] for label in labels] == ["age", "sex", "fare"]
        other = e.plot(names=["a", "b", "c"]).axes[0].get_yticklabels()
        assert [label.get_text()[0] for label in other] == ["a", "b", "c"]
        assert len(e.plot(image_shape=(1, 3)).axes) == 3

    def test_of_classes_head_the_heatmaps(self):
        e = replace(tabular(2), class_names=("cat", "dog", "zebra", "newt"))
        for row, axes in enumerate(e.plot().axes[:2]):
            name = e.class_names[e.target[row]]
            f = f"{e.explained[row]:.4g}".replace("-", "−")
            assert axes.get_title() == f"{name}: {f}\nΣR = {f}"
        pictures = [axes for axes in e.plot(image_shape=(1, 3)).axes if axes.images]
        f = f"{e.explained[1]:.4g}"
        assert pictures[3].get_title() == f"{e.class_names[e.target[1]]}: {f}"
        assert pictures[3].get_xlabel() == f"ΣR = {f}"

    def test_of_classes_with_several_targets(self):
        e = replace(tabular(2, k=2), class_names=("cat", "dog", "zebra", "newt"))
        titles = [axes.get_title().split(":")[0] for axes in e.plot().axes[:4]]
        assert titles == ["cat", "dog", "cat", "dog"]

    def test_without_a_name_for_the_target_there_is_none(self):
        e = replace(tabular(), class_names=("cat",), target=np.array([3]))
        assert e.plot().axes[0].get_title().startswith("f = ")
        assert replace(e, target=None).plot().axes[0].get_title().startswith("f = ")

    def test_labels_of_another_shape_are_an_error(self):
        with pytest.raises(ValueError, match=r"labels must have shape \(2, 1\), got \(3,\)"):
            plots.plot_explanation(np.ones((2, 3)), np.ones((2, 3)), labels=["a", "b", "c"])
