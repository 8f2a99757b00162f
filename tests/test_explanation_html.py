# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a notebook shows of an explanation: a table that stays aligned, pictures, slices."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest

import dtdcore as dtd
from dtdcore.colours import colorize
from dtdcore.explanation_html import SIDE, SLICES

RNG = np.random.default_rng(21)
VOID = {"img", "br", "input"}


class Page(HTMLParser):
    """Tags that close, the cells of the table, the images and sliders."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows, self.images, self.sliders, self.captions = [], [], [], []
        self._open = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append([tag, attributes["style"], ""])
        elif tag == "img":
            self.images.append(attributes)
        elif tag == "input":
            self.sliders.append(attributes)
        elif tag == "figcaption":
            self.captions.append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, text):
        if self._open[-1] in ("th", "td"):
            self.rows[-1][-1][2] += text
        elif self._open[-1] == "figcaption":
            self.captions[-1] += text


def page_of(x, targets=None, names=()):
    shape = x.shape[1:]
    flat = [dtd.Reshape((int(np.prod(shape)),))]
    net = dtd.Network(
        [*flat, dtd.Dense(RNG.normal(size=(int(np.prod(shape)), 3)))], input_shape=shape
    )
    net.class_names = tuple(names)
    explanation = dtd.LRP(net, "epsilon")(x, targets)
    return explanation, Page(explanation._repr_html_())


def pixels(image) -> np.ndarray:
    data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    picture = matplotlib.image.imread(io.BytesIO(data), format="png")
    return np.rint(255 * picture[..., :3]).astype(np.uint8)


def test_the_audit_is_a_table_whose_numbers_are_flush_right():
    explanation, page = page_of(RNG.random((2, 4)))
    assert [[text for *_, text in row] for row in page.rows] == [
        list(line) for line in explanation.audit.table()
    ]
    for row in page.rows:
        sides = [re.search("text-align:(left|right)", style).group(1) for _, style, _ in row]
        assert sides == ["left", "left", *["right"] * (len(row) - 2)]
    assert {tag for tag, *_ in page.rows[0]} == {"th"}
    assert {tag for row in page.rows[1:] for tag, *_ in row} == {"td"}
    assert "<pre" not in explanation._repr_html_()
    assert Page(explanation.audit._repr_html_()).rows == page.rows


def test_methods_without_an_audit_have_no_table():
    net = dtd.Network([dtd.Dense(np.ones((3, 1)))])
    assert not Page(dtd.Sensitivity(net)(np.ones((1, 3)))._repr_html_()).rows


def test_heatmaps_are_named_by_what_they_explain():
    explanation, page = page_of(RNG.random((2, 4, 5)), [[0, 2], [1, 0]], ("cat", "<dog>", "newt"))
    names = ["cat", "newt", "<dog>", "cat"]
    f = explanation.score.reshape(-1)
    assert page.captions == [f"{name}: {value:.4g}" for name, value in zip(names, f, strict=True)]
    np.testing.assert_array_equal(pixels(page.images[3]), colorize(explanation.relevance[1, 1]))
    assert not page.sliders


def test_channels_may_stand_last():
    explanation, page = page_of(RNG.random((1, 6, 7, 3)))
    np.testing.assert_array_equal(
        pixels(page.images[0]), colorize(explanation.relevance[0].sum(axis=-1))
    )
    assert page.captions == [f"f(x) = {explanation.score[0]:.4g}"]


@pytest.mark.parametrize("shape", [(2, 5, 4, 6), (5, 4, 6)])
def test_slices_of_volumes_lie_below_each_other_behind_a_slider(shape):
    explanation, page = page_of(RNG.random((2, *shape)))
    volume = explanation.relevance[1].reshape(-1, 5, 4, 6).sum(axis=0)
    slider = page.sliders[-1]
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "4", "2")
    grey, heatmap = map(pixels, page.images[-2:])
    np.testing.assert_array_equal(heatmap, colorize(volume, np.abs(volume).max()).reshape(20, 6, 3))
    x = explanation.inputs[1].reshape(-1, 5, 4, 6).mean(axis=0)
    expected = np.rint(255 * (x - x.min()) / (x.max() - x.min())).reshape(20, 6)
    np.testing.assert_array_equal(grey[..., 0], expected)
    height = float(re.search(r"margin-top:-([\d.]+)em", page.images[-1]["style"]).group(1)) / 2
    assert f"(-v*{height:.3f})" in slider["oninput"]
    # Where the first axis may as well be channels, their sum is shown, too.
    assert len(page.images) - 2 * len(page.sliders) == (2 if len(shape) == 3 else 0)


def test_large_volumes_become_small():
    x = np.zeros((1, 1, 3 * SLICES, 10, 2 * SIDE + 1))
    x[..., :4] = 1.0
    _, page = page_of(x)
    heatmap = pixels(page.images[-1])
    assert heatmap.shape[0] % SLICES == 0
    assert heatmap.shape[1] <= SIDE
    assert page.sliders[0]["max"] == str(SLICES - 1)
    assert f"{3 * SLICES - 1}]" in page.sliders[0]["oninput"]


def test_volumes_without_contrast_and_of_one_slice():
    explanation, page = page_of(np.zeros((1, 1, 1, 3, 3)))
    assert page.sliders[0]["max"] == "0"
    assert (pixels(page.images[1]) == 229).all()
    assert not explanation.relevance.any()
