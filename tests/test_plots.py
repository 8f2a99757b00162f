# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Colours, scales and labels of the figures: what a reader of a figure relies on."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib.figure
import matplotlib.image
import numpy as np
import pytest

from dtdcore import colours, plots

GREY = [229, 229, 229]
NAMES = ["class", "sex", "age", "port C", "port Q", "port S"]


def decoded(png: bytes) -> np.ndarray:
    return np.rint(matplotlib.image.imread(io.BytesIO(png), format="png") * 255).astype(np.uint8)


def pixels(figure) -> np.ndarray:
    """The figure as it would be saved, (height, width, 3), first row at the top."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return decoded(buffer.getvalue())[..., :3]


def pixel_of(figure, picture, axes, row, column) -> list[int]:
    """The saved pixel in the middle of an image's element."""
    x, y = axes.transData.transform((column, row)) * 100 / figure.dpi
    return picture[len(picture) - 1 - int(y), int(x)].tolist()


def heatmap_axes(figure) -> list:
    """The axes that hold a picture, in reading order; the colour bar is left out."""
    return [axes for axes in figure.axes if axes.images]


def bar_label(figure) -> str:
    """The text beside the colour bar."""
    return " ".join(axes.get_ylabel() for axes in figure.axes if not axes.images)


def maps(count: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 4, 6))


class TestHeatmaps:
    def test_shared_scale_is_drawn_and_recorded(self):
        r = maps()
        r[1, 2, 3] = -6.25
        figure = plots.draw_heatmaps(r, titles=["a", "b", "c"])
        shown = heatmap_axes(figure)
        assert [axes.get_title() for axes in shown] == ["a", "b", "c"]
        for axes, image in zip(shown, r, strict=True):
            assert axes.images[0].get_clim() == (-6.25, 6.25)
            np.testing.assert_array_equal(axes.images[0].get_array(), image)
        assert "shared scale ±6.25" in bar_label(figure)

    def test_scale_per_image_is_drawn_and_recorded(self):
        r = np.array([[[1.0, -2.0]], [[0.25, 0.0]], [[0.0, 0.0]]])
        figure = plots.draw_heatmaps(r, scale="image")
        shown = heatmap_axes(figure)
        assert [axes.images[0].get_clim()[1] for axes in shown] == [2.0, 0.25, 1.0]
        assert [axes.get_xlabel() for axes in shown] == ["±2", "±0.25", "±0"]
        assert "scale per image" in bar_label(figure)

    def test_fixed_scale_marks_what_lies_beyond(self):
        r = np.array([[[1.0, -0.5]]])
        for sign, scale, ends in ((1, 2, []), (1, 0.75, [1]), (-1, 0.75, [-1]), (1, 0.25, [-1, 1])):
            figure = plots.draw_heatmaps(sign * r, scale=scale)
            figure.draw_without_rendering()
            arrows = [arrow.get_path().vertices[:, 1] for arrow in figure.axes[-1].patches]
            assert sorted(1 if tips.max() > 1 else -1 for tips in arrows) == ends
            assert f"fixed scale ±{scale}" in bar_label(figure)

    @pytest.mark.parametrize("scale", ["shared", "image", 0.7])
    def test_saved_pixels_have_the_colours_of_colorize(self, scale):
        r = maps(2)
        figure = plots.draw_heatmaps(r, scale=scale)
        picture = pixels(figure)
        expected = plots.colorize(r, plots.relevance_scale(r, scale)[:, None, None])
        for axes, image in zip(heatmap_axes(figure), expected, strict=True):
            for row, column in np.ndindex(4, 6):
                drawn = pixel_of(figure, picture, axes, row, column)
                assert drawn == image[row, column].tolist()

    def test_over_inputs(self):
        r, x = maps(2), np.random.default_rng(4).random((2, 3, 4, 6))
        figure = plots.draw_heatmaps(r, inputs=x)
        picture, expected = pixels(figure), plots.overlay(x, r)
        for axes, image in zip(heatmap_axes(figure), expected, strict=True):
            assert pixel_of(figure, picture, axes, 1, 2) == image[1, 2].tolist()
        assert f"shared scale ±{np.abs(r).max():.4g}" in bar_label(figure)

    def test_columns_and_unused_places(self):
        figure = plots.draw_heatmaps(maps(5), columns=3)
        assert len(heatmap_axes(figure)) == 5
        grid = figure.axes[0].get_subplotspec().get_gridspec()
        assert (grid.nrows, grid.ncols) == (2, 3)
        assert not figure.axes[5].axison

    def test_channels_are_summed(self):
        r = np.random.default_rng(5).normal(size=(1, 3, 4, 6))
        drawn = heatmap_axes(plots.draw_heatmaps(r))[0].images[0].get_array()
        np.testing.assert_allclose(drawn, r[0].sum(axis=0), rtol=1e-15)

    def test_zeros_are_grey(self):
        figure = plots.draw_heatmaps(np.zeros((1, 4, 6)))
        assert pixel_of(figure, pixels(figure), figure.axes[0], 2, 2) == GREY

    def test_one_heatmap_on_given_axes(self):
        axes = matplotlib.figure.Figure().subplots()
        assert plots.draw_heatmap(axes, [[1.0, -3.0]]).get_clim() == (-3.0, 3.0)
        assert plots.draw_heatmap(axes, [[1.0, -3.0]], 9).get_clim() == (-9.0, 9.0)
        with pytest.raises(ValueError, match=r"relevance must have shape \(h, w\)"):
            plots.draw_heatmap(axes, [1.0])
        with pytest.raises(ValueError, match="scale must be"):
            plots.draw_heatmap(axes, [[1.0]], 0.0)

    def test_errors(self):
        with pytest.raises(ValueError, match="titles must be a list of 3"):
            plots.draw_heatmaps(maps(), titles=["a"])
        with pytest.raises(ValueError, match="columns must be at least 1"):
            plots.draw_heatmaps(maps(), columns=0)
        with pytest.raises(ValueError, match="is not finite"):
            plots.draw_heatmaps(maps() * np.inf)


class TestComparison:
    x = np.random.default_rng(6).random((2, 4, 6))
    methods = {"first": maps(2, 7), "second": 100 * maps(2, 8)}  # noqa: RUF012

    def test_rows_are_inputs_and_columns_methods(self):
        figure = plots.draw_comparison(self.x, self.methods, titles=["a", "b"])
        shown = heatmap_axes(figure)
        assert len(shown) == 6
        assert shown[0].get_title() == "input"
        assert [shown[0].get_ylabel(), shown[3].get_ylabel()] == ["a", "b"]
        for row in range(2):
            for column, values in enumerate(self.methods.values()):
                drawn = shown[3 * row + column + 1].images[0].get_array()
                np.testing.assert_array_equal(drawn, values[row])

    def test_scale_per_method(self):
        figure = plots.draw_comparison(self.x, self.methods)
        shown = heatmap_axes(figure)
        for column, (name, values) in enumerate(self.methods.items()):
            limit = np.abs(values).max()
            assert shown[column + 1].get_title() == f"{name}\n±{limit:.4g}"
            for row in range(2):
                assert shown[3 * row + column + 1].images[0].get_clim() == (-limit, limit)
        assert "scale per method" in bar_label(figure)

    def test_scale_per_image(self):
        figure = plots.draw_comparison(self.x, self.methods, scale="image")
        axes = heatmap_axes(figure)[5]
        limit = np.abs(self.methods["second"][1]).max()
        assert axes.images[0].get_clim() == (-limit, limit)
        assert axes.get_xlabel() == f"±{limit:.4g}"
        assert "scale per image" in bar_label(figure)

    @pytest.mark.parametrize("scale", ["all", 3.5])
    def test_one_scale_for_all(self, scale):
        figure = plots.draw_comparison(self.x, self.methods, scale=scale)
        limit = np.abs(self.methods["second"]).max() if scale == "all" else scale
        for index in (1, 2, 4, 5):
            assert heatmap_axes(figure)[index].images[0].get_clim() == (-limit, limit)
        assert f"scale ±{limit:.4g}" in bar_label(figure)

    def test_inputs_are_drawn_from_black_to_white_or_in_colour(self):
        x = np.array([[[-1.0, 0.0, 1.0]]])
        figure = plots.draw_comparison(x, {"m": x})
        picture, axes = pixels(figure), figure.axes[0]
        drawn = [pixel_of(figure, picture, axes, 0, column) for column in range(3)]
        assert drawn[0] == [0, 0, 0]
        assert drawn[1] == pytest.approx([128] * 3, abs=1)
        assert drawn[2] == [255, 255, 255]
        rgb = np.array([1.0, 0.0, 0.5]).reshape(1, 3, 1, 1)
        figure = plots.draw_comparison(rgb, {"m": rgb})
        drawn = pixel_of(figure, pixels(figure), figure.axes[0], 0, 0)
        assert drawn == pytest.approx([255, 0, 128], abs=1)

    def test_a_part_of_a_larger_figure(self):
        whole = matplotlib.figure.Figure(layout="constrained")
        left, right = whole.subfigures(1, 2)
        assert plots.draw_comparison(self.x, self.methods, figure=left) is left
        assert plots.draw_bars([1.0, -1.0], figure=right) is right
        assert len(heatmap_axes(left)) == 6
        assert pixels(whole).size > 0

    def test_errors(self):
        with pytest.raises(ValueError, match="at least one method"):
            plots.draw_comparison(self.x, {})
        with pytest.raises(ValueError, match=r"relevance\['b'\] must have shape \(2, 4, 6\)"):
            plots.draw_comparison(self.x, {"a": maps(2), "b": maps(3)})
        with pytest.raises(ValueError, match=r"relevance\['a'\] must have shape"):
            plots.draw_comparison(self.x, {"a": [1.0]})
        with pytest.raises(ValueError, match="scale must be 'method'"):
            plots.draw_comparison(self.x, self.methods, scale="shared")
        with pytest.raises(ValueError, match="notes: each row must be a list of 2"):
            plots.draw_comparison(self.x, self.methods, notes=[["a"], ["b"]])


def panel(figure, index: int = 0) -> dict[str, float]:
    """Name and length of each bar; the names stand at the first panel."""
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    return dict(zip(names, [bar.get_width() for bar in figure.axes[index].patches], strict=True))


class TestBars:
    r = np.array([0.5, 1.25, -2.0, 0.25, 0.25, 0.0])

    def test_lengths_names_colours_and_numbers(self):
        figure = plots.draw_bars(self.r, NAMES)
        axes = figure.axes[0]
        assert panel(figure) == dict(zip(NAMES, self.r, strict=True))
        drawn = [np.rint(255 * np.array(bar.get_facecolor()[:3])) for bar in axes.patches]
        assert drawn[1].tolist() == list(colours.RED)
        assert drawn[2].tolist() == list(colours.BLUE)
        written = [text.get_text() for text in axes.texts]
        assert written == ["+0.5", "+1.25", "−2", "+0.25", "+0.25", "0"]
        assert axes.yaxis_inverted()  # the first feature is at the top

    def test_groups_are_summed_and_values_of_other_features_written(self):
        x = [3.0, 1.0, 0.25, 1.0, 0.0, 0.0]
        figure = plots.draw_bars(self.r, NAMES, inputs=x, groups={"port": NAMES[3:]})
        assert panel(figure) == {
            "class = 3": 0.5, "sex = 1": 1.25, "age = 0.25": -2.0, "port": 0.5,
        }  # fmt: skip

    def test_panels_share_one_axis(self):
        figure = plots.draw_bars(np.stack([self.r, -3 * self.r]), NAMES, titles=["a", "b"])
        assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
        assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
        assert figure.axes[1].get_xlim()[1] > 6.0

    def test_the_least_relevant_features_are_summed_into_one_bar(self):
        figure = plots.draw_bars(self.r, most=2)
        assert panel(figure) == {"x1": 1.25, "x2": -2.0, "4 others": 1.0}
        everything = plots.draw_bars(np.ones(30), most=None)
        assert len(panel(everything)) == 30
        assert len(panel(plots.draw_bars(np.ones(30)))) == 21

    def test_errors(self):
        with pytest.raises(ValueError, match="relevance must have shape"):
            plots.draw_bars(np.zeros((1, 2, 3)))
        with pytest.raises(ValueError, match="names must list 6 features"):
            plots.draw_bars(self.r, NAMES[1:])
        with pytest.raises(ValueError, match="titles must be a list of 1"):
            plots.draw_bars(self.r, titles=["a", "b"])
        with pytest.raises(ValueError, match="inputs must be one sample"):
            plots.draw_bars(np.stack([self.r, self.r]), inputs=np.ones((2, 6)))
        with pytest.raises(ValueError, match="most must be at least 1"):
            plots.draw_bars(self.r, most=0)


class TestExplanation:
    x = np.random.default_rng(9).random((3, 4, 6))
    r = maps()

    def test_images(self):
        f = self.r.sum(axis=(1, 2)) + 1
        figure = plots.plot_explanation(self.x, self.r, f, titles=["a", "b", "c"])
        shown = heatmap_axes(figure)
        assert len(shown) == 6
        np.testing.assert_array_equal(shown[3].images[0].get_array(), self.r[1])
        note = f"f = {f[1]:.4g}, ΣR = {self.r[1].sum():.4g}".replace("-", "−")
        assert shown[3].get_xlabel() == note
        assert shown[2].get_ylabel() == "b"
        assert "shared scale" in bar_label(figure)

    def test_flattened_images(self):
        whole = plots.plot_explanation(self.x, self.r)
        flat = plots.plot_explanation(
            self.x.reshape(3, 24), self.r.reshape(3, 24), image_shape=(4, 6)
        )
        np.testing.assert_array_equal(pixels(whole), pixels(flat))

    def test_targets_become_columns(self):
        r = np.stack([self.r, -self.r], axis=1)
        figure = plots.plot_explanation(self.x, r, r.sum(axis=(2, 3)), targets=["cat", "dog"])
        shown = heatmap_axes(figure)
        assert len(shown) == 9
        assert [axes.get_title() for axes in shown[:3]] == ["input", "cat", "dog"]
        np.testing.assert_array_equal(shown[5].images[0].get_array(), -self.r[1])
        default = heatmap_axes(plots.plot_explanation(self.x, r))
        assert default[2].get_title() == "target 1"

    def test_k_targets_of_tabular_inputs_are_not_taken_for_images(self):
        r = np.random.default_rng(10).normal(size=(2, 4, 6))
        figure = plots.plot_explanation(np.ones((2, 6)), r, names=NAMES, titles=["a", "b"])
        assert not heatmap_axes(figure)
        assert len(figure.axes) == 8
        assert panel(figure, 6) == dict(zip(NAMES, r[1, 2], strict=True))
        assert figure.axes[6].get_title().startswith("b\ntarget 2\nΣR = ")

    def test_one_tabular_sample_shows_its_values(self):
        figure = plots.plot_explanation(
            [[3.0, 1.0, 0.0]], [[1.0, -2.0, 1.0]], [0.25], names=["a", "b", "c"],
            groups={"rest": ["b", "c"]},
        )  # fmt: skip
        assert panel(figure) == {"a = 3": 1.0, "rest": -1.0}
        assert figure.axes[0].get_title() == "f = 0.25, ΣR = 0"

    def test_the_figure_says_what_it_leaves_out(self):
        figure = plots.plot_explanation(self.x, self.r, limit=2)
        assert len(heatmap_axes(figure)) == 4
        assert figure.get_suptitle() == "2 of 3 samples"
        assert plots.plot_explanation(self.x, self.r).get_suptitle() == ""

    @pytest.mark.parametrize(
        ("shapes", "options", "message"),
        [
            (((3, 4, 6), (3, 6, 4)), {}, "inputs must have shape"),
            (((6,), (6,)), {}, "inputs must have shape"),
            (((0, 6), (0, 6)), {}, "not empty"),
            (((3, 6), (3, 6)), {"image_shape": (4, 6)}, "image_shape"),
            (((3, 6), (3, 6)), {"scale": "all"}, "scale is for images"),
            (((3, 4, 6), (3, 4, 6)), {"names": ["a"]}, "names and groups are for"),
            (((3, 4, 6), (3, 2, 4, 6)), {"targets": ["a", "a"]}, "targets must differ"),
            (((3, 4, 6), (3, 4, 6)), {"titles": ["a"]}, "titles must be a list of 3"),
            (((3, 4, 6), (3, 4, 6)), {"explained": [1.0]}, "explained must have shape"),
            (((3, 4, 6), (3, 4, 6)), {"limit": 0}, "limit must be at least 1"),
        ],
    )
    def test_errors(self, shapes, options, message):
        with pytest.raises(ValueError, match=message):
            plots.plot_explanation(np.ones(shapes[0]), np.ones(shapes[1]), **options)


def test_without_matplotlib_arrays_work_and_figures_name_the_extra(monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert plots.encode_png(plots.colorize(maps()[0])).startswith(b"\x89PNG")
    with pytest.raises(ImportError, match=r"matplotlib.*pip install 'dtdcore\[plot\]'"):
        plots.draw_heatmaps(maps())


def test_matplotlib_is_imported_late_and_pyplot_never():
    program = """
import sys
from dtdcore import plots
assert "matplotlib" not in sys.modules
plots.draw_heatmaps([[[1.0]]]).savefig(sys.stdout.buffer)
assert "matplotlib.pyplot" not in sys.modules
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"\x89PNG")
