# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Volumes as slices, channels last, and relevance at hidden layers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import plots
from dtdcore.volumes import chosen_slices, mosaic

RNG = np.random.default_rng(12)


def heatmap_axes(figure) -> list:
    return [axes for axes in figure.axes if axes.images]


class TestSlices:
    def test_all_or_some_at_equal_distances(self):
        assert chosen_slices(4, 12) == [0, 1, 2, 3]
        assert chosen_slices(13, 4) == [0, 4, 8, 12]
        assert chosen_slices(9, 1) == [4]

    @pytest.mark.parametrize("gap", [0, 2])
    def test_a_mosaic_holds_each_slice_where_it_says(self, gap):
        volumes = RNG.normal(size=(2, 3, 7, 4, 6))
        picture, tiles = mosaic(volumes, 5, fill=-9.0, gap=gap)
        assert [index for index, *_ in tiles] == chosen_slices(7, 5)
        covered = np.zeros(picture.shape[-2:], bool)
        for index, height, width, top, left in tiles:
            part = np.s_[..., top : top + height, left : left + width]
            np.testing.assert_array_equal(picture[part], volumes[..., index, :, :])
            covered[part] = True
        assert (picture[..., ~covered] == -9.0).all()
        assert covered.sum() == 5 * 4 * 6


class TestVolumes:
    x = RNG.random((2, 2, 5, 4, 6))
    r = RNG.normal(size=(2, 2, 5, 4, 6))

    def test_are_drawn_by_slices_with_their_numbers(self):
        f = self.r.sum((1, 2, 3, 4))
        shown = heatmap_axes(plots.plot_explanation(self.x, self.r, f))
        assert len(shown) == 4
        expected, tiles = mosaic(self.r.sum(1))
        np.testing.assert_allclose(shown[3].images[0].get_array(), expected[1])
        assert [text.get_text() for text in shown[3].texts] == list("01234")
        assert [index for index, *_ in tiles] == list(range(5))
        assert shown[3].get_xlabel() == f"f = {f[1]:.4g}, ΣR = {f[1]:.4g}".replace("-", "−")

    def test_targets_are_columns_and_left_out_slices_are_said(self):
        r = np.stack([self.r, -self.r, 2 * self.r], axis=1)
        figure = plots.plot_explanation(self.x, r, slices=3)
        assert len(heatmap_axes(figure)) == 8
        assert figure.get_suptitle() == "3 of 5 slices"
        assert [text.get_text() for text in heatmap_axes(figure)[2].texts] == ["0", "2", "4"]

    def test_three_axes_are_a_volume_where_that_is_said(self):
        x, r = self.x[:, 0], self.r[:, 0]
        shown = heatmap_axes(plots.plot_explanation(x, r, volume=True))
        np.testing.assert_array_equal(shown[1].images[0].get_array(), mosaic(r)[0][0])
        summed = heatmap_axes(plots.plot_explanation(x, r))[1].images[0].get_array()
        np.testing.assert_allclose(summed, r[0].sum(0))
        flat = plots.plot_explanation(
            x.reshape(2, -1), r.reshape(2, -1), image_shape=(5, 4, 6), volume=True
        )
        assert len(heatmap_axes(flat)[1].texts) == 5

    def test_errors(self):
        with pytest.raises(ValueError, match=r"volume is for inputs \(n, d, h, w\)"):
            plots.plot_explanation(np.ones((2, 3, 3)), np.ones((2, 3, 3)), volume=True)
        with pytest.raises(ValueError, match="slices must be at least 1"):
            plots.plot_explanation(self.x, self.r, slices=0)
        with pytest.raises(ValueError, match="no slices"):
            plots.plot_explanation(np.ones((2, 3)), np.ones((2, 3)), volume=True)


def test_channels_may_stand_last():
    x, r = RNG.random((2, 6, 8, 3)), RNG.normal(size=(2, 6, 8, 3))
    last = heatmap_axes(plots.plot_explanation(x, r))
    first = heatmap_axes(plots.plot_explanation(np.moveaxis(x, -1, 1), np.moveaxis(r, -1, 1)))
    for one, other in zip(last, first, strict=True):
        np.testing.assert_array_equal(one.images[0].get_array(), other.images[0].get_array())
    np.testing.assert_allclose(last[1].images[0].get_array(), r[0].sum(-1))
    targets = np.stack([r, -r], axis=1)
    drawn = heatmap_axes(plots.plot_explanation(x, targets))[2].images[0].get_array()
    np.testing.assert_allclose(drawn, -r[0].sum(-1))


def explanation(k: int | None = None, **at) -> SimpleNamespace:
    """What `plot_layers` reads of an explanation of two pictures."""
    lead = (2,) if k is None else (2, k)
    f = np.arange(1.0, 1 + np.prod(lead)).reshape(lead)
    return SimpleNamespace(
        inputs=RNG.random((2, 3, 8, 8)),
        output=np.zeros((2, 2)),
        explained=f,
        score=f,
        target=np.zeros(lead, int),
        class_names=(),
        at={name: RNG.normal(size=(*lead, *shape)) for name, shape in at.items()},
    )


class TestLayers:
    def test_a_row_per_sample_and_a_column_per_layer(self):
        e = explanation(pool3=(4, 5, 5), dense=(20,), signal=(2, 9))
        figure = plots.plot_layers(e)
        axes = figure.axes
        assert len(axes) == 8
        assert axes[0].get_title() == "input"
        np.testing.assert_allclose(axes[5].images[0].get_array(), e.at["pool3"][1].sum(0))
        limit = np.abs(e.at["pool3"].sum(1)).max()
        assert axes[1].get_title() == f"pool3\n±{limit:.4g}"
        assert axes[5].images[0].get_clim() == (-limit, limit)
        np.testing.assert_array_equal(axes[7].images[0].get_array(), e.at["signal"][1])
        assert axes[4].get_ylabel() == "f = 2"

    def test_the_strongest_units_of_a_dense_layer(self):
        e = explanation(dense=(20,))
        e.at["dense"][0] = 0.0
        e.at["dense"][0, [3, 17, 5]] = [1.0, -4.0, 2.0]
        axes = plots.plot_layers(e, "dense", most=3).axes[1]
        assert [label.get_text() for label in axes.get_yticklabels()] == [
            "unit 3", "unit 5", "unit 17",
        ]  # fmt: skip
        assert [bar.get_width() for bar in axes.patches] == [1.0, 2.0, -4.0]
        assert len(plots.plot_layers(e, ["dense"], most=5).axes[1].patches) == 3  # no bars of 0
        e.at["dense"][:] = 0.0
        assert not plots.plot_layers(e, "all").axes[1].patches

    def test_targets_are_rows_and_classes_their_names(self):
        e = explanation(k=2, pool3=(4, 5, 5))
        e.class_names, e.target = ("cat", "dog"), np.array([[0, 1], [1, 0]])
        axes = plots.plot_layers(e, "pool3").axes
        assert [axes[row].get_ylabel() for row in (0, 2, 4, 6)] == [
            "cat: 1", "dog: 2", "dog: 3", "cat: 4",
        ]  # fmt: skip
        np.testing.assert_allclose(axes[5].images[0].get_array(), e.at["pool3"][1, 0].sum(0))
        np.testing.assert_array_equal(axes[2].images[0].get_array(), axes[0].images[0].get_array())
        few = plots.plot_layers(e, limit=3)
        assert few.get_suptitle() == "3 of 4 heatmaps"

    def test_volumes_and_inputs_that_are_no_pictures(self):
        e = explanation(conv=(2, 3, 4, 4))
        e.inputs = np.ones((2, 7))
        axes = plots.plot_layers(e).axes
        assert len(axes) == 2
        np.testing.assert_allclose(axes[0].images[0].get_array(), mosaic(e.at["conv"][0].sum(0))[0])
        assert [text.get_text() for text in axes[0].texts] == ["0", "1", "2"]

    def test_a_layer_that_is_not_there_is_an_error(self):
        with pytest.raises(ValueError, match=r"'conv9' is kept: give layers=.*kept are pool3"):
            plots.plot_layers(explanation(pool3=(4, 5, 5)), "conv9")
        with pytest.raises(ValueError, match="explain\\(x, layers='all'\\)"):
            plots.plot_layers(explanation())


def test_what_an_explainer_keeps_is_drawn():
    net = dtd.Network(
        [
            ("conv", dtd.Conv(RNG.normal(size=(4, 1, 3, 3)))),
            dtd.ReLU(),
            ("flat", dtd.Flatten()),
            ("dense", dtd.Dense(RNG.normal(size=(64, 3)))),
        ],
        input_shape=(1, 6, 6),
    )
    e = dtd.LRP(net, "epsilon")(RNG.random((2, 1, 6, 6)), layers=["conv", "dense"])
    axes = e.plot(layer=["dense", "conv"]).axes
    np.testing.assert_allclose(axes[2].images[0].get_array(), e.at["conv"][0].sum(0))
    assert len(e.plot(layer="all").axes) == 6
    assert len(e.plot(layer="conv").axes) == 4
