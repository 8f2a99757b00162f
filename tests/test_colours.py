# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Colours, scales and PNG files, without matplotlib; it decodes here."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest

from dtdcore import colours

GREY = [229, 229, 229]


def decoded(png: bytes) -> np.ndarray:
    return np.rint(matplotlib.image.imread(io.BytesIO(png), format="png") * 255).astype(np.uint8)


def maps(count: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 4, 6))


class TestColorize:
    def test_zero_is_light_grey_positive_red_negative_blue(self):
        negative, zero, positive = colours.colorize([-0.5, 0.0, 0.5], 1.0).astype(int)
        assert zero.tolist() == GREY
        assert positive[0] > positive[1:].max() + 100
        assert negative[2] > negative[:2].max() + 100

    def test_the_number_of_shades_is_odd_and_the_middle_is_grey(self):
        table = colours.colorize(np.linspace(-1, 1, 20001), 1.0)
        shades = np.unique(table, axis=0)
        assert len(shades) == 257
        assert (table[10000] == GREY).all()

    def test_both_sides_darken_all_the_way(self):
        strength = np.linspace(0, 1, 50)
        for side in (strength, -strength):
            lightness = colours.colorize(side, 1.0) @ [0.2126, 0.7152, 0.0722]
            assert (np.diff(lightness) < 0).all()

    def test_scale_is_symmetric_and_defaults_to_the_largest_absolute_value(self):
        values = np.array([[-4.0, 2.0], [0.0, 1.0]])
        np.testing.assert_array_equal(colours.colorize(values), colours.colorize(values, 4.0))
        np.testing.assert_array_equal(colours.colorize([2.0], 4.0), colours.colorize([1.0], 2.0))
        assert colours.colorize(values)[0, 0].tolist() == colours.colorize([-1.0])[0].tolist()

    def test_values_beyond_the_scale_get_the_end_colours(self):
        inside, beyond = colours.colorize([[-1.0, 1.0], [-9.0, 1e300]], 1.0)
        np.testing.assert_array_equal(inside, beyond)

    def test_shape_dtype_and_a_scale_per_image(self):
        r = maps().astype(np.float32)
        limit = np.abs(r).max(axis=(1, 2), keepdims=True)
        rgb = colours.colorize(r, limit)
        assert rgb.shape == (3, 4, 6, 3)
        assert rgb.dtype == np.uint8
        for image, one in zip(r, rgb, strict=True):
            np.testing.assert_array_equal(colours.colorize(image), one)

    def test_zeros_and_nothing(self):
        assert (colours.colorize(np.zeros((2, 3))) == GREY).all()
        assert colours.colorize(np.zeros((0, 3))).shape == (0, 3, 3)
        assert (colours.colorize(5e-324) == colours.colorize(1.0)).all()

    @pytest.mark.parametrize("scale", [0.0, -1.0, [1.0, 0.0]])
    def test_scale_must_be_positive(self, scale):
        with pytest.raises(ValueError, match="scale must be positive"):
            colours.colorize([1.0, 2.0], scale)

    def test_other_errors(self):
        with pytest.raises(ValueError, match=r"relevance\[1\] = nan is not finite"):
            colours.colorize([1.0, np.nan])
        with pytest.raises(ValueError, match="scale"):
            colours.colorize([1.0], np.inf)
        for scale in (np.ones(3), np.ones((5, 2))):
            with pytest.raises(ValueError, match="scale must broadcast to"):
                colours.colorize([1.0, 2.0], scale)


class TestScale:
    def test_shared_image_and_fixed(self):
        r = np.array([[[1.0, -2.0]], [[0.5, 0.0]]])
        assert colours.relevance_scale(r).tolist() == [2.0, 2.0]
        assert colours.relevance_scale(r, "image").tolist() == [2.0, 0.5]
        assert colours.relevance_scale(r, 7).tolist() == [7.0, 7.0]

    def test_channels_are_summed_before(self):
        r = np.array([[[[3.0]], [[-3.0]], [[0.5]]]])
        assert colours.relevance_scale(r).tolist() == [0.5]

    @pytest.mark.parametrize("scale", ["each", 0, -1.0, np.nan])
    def test_unknown_scale(self, scale):
        with pytest.raises(ValueError, match="scale must be"):
            colours.relevance_scale(maps(), scale)

    @pytest.mark.parametrize("shape", [(4, 6), (1, 1, 1, 4, 6), (0, 4, 6), (2, 0, 6)])
    def test_shape(self, shape):
        with pytest.raises(ValueError, match="relevance must have shape"):
            colours.relevance_scale(np.zeros(shape))


class TestOverlay:
    def test_without_relevance_the_input_in_grey(self):
        x = np.array([[[0.0, 0.5, 1.0]]])
        rgb = colours.overlay(x, np.zeros((1, 1, 3)))
        assert (np.ptp(rgb, axis=-1) == 0).all()
        assert (np.diff(rgb[0, 0, :, 0].astype(int)) > 50).all()

    def test_the_strongest_relevance_has_its_full_colour(self):
        r = np.array([[[2.0, -2.0, 0.5]]])
        rgb = colours.overlay(np.ones((1, 1, 3)), r)
        np.testing.assert_array_equal(rgb[0, 0, :2], colours.colorize([2.0, -2.0]))
        half = rgb[0, 0, 2].astype(float)  # opacity sqrt(0.25)
        assert half == pytest.approx(0.5 * 40 + 0.5 * colours.colorize([0.5], 2.0)[0], abs=1)

    def test_scale_per_image(self):
        r = np.array([[[4.0]], [[1.0]]])
        shared = colours.overlay(np.zeros((2, 1, 1)), r)
        each = colours.overlay(np.zeros((2, 1, 1)), r, "image")
        assert (each[0] == each[1]).all()
        assert (shared[0] == each[0]).all()
        assert (shared[1] != each[1]).any()

    def test_channels(self):
        x, r = np.random.default_rng(1).random((2, 3, 4, 6)), np.zeros((2, 3, 4, 6))
        np.testing.assert_array_equal(
            colours.overlay(x, r), colours.overlay(x, r.sum(axis=1, keepdims=True))
        )

    @pytest.mark.parametrize("shape", [(4, 6), (2, 4, 6), (3, 6, 4), (3, 3, 6, 4)])
    def test_inputs_of_another_shape(self, shape):
        with pytest.raises(ValueError, match=r"inputs must have shape \(3, 4, 6\)"):
            colours.overlay(np.zeros(shape), maps())


class TestPng:
    @pytest.mark.parametrize("shape", [(1, 1), (3, 7), (64, 33)])
    def test_matplotlib_reads_what_was_written(self, shape):
        rgb = np.random.default_rng(2).integers(0, 256, (*shape, 3), dtype=np.uint8)
        np.testing.assert_array_equal(decoded(colours.encode_png(rgb)), rgb)
        mirrored = rgb[::-1, ::-1]
        np.testing.assert_array_equal(decoded(colours.encode_png(mirrored)), mirrored)

    @pytest.mark.parametrize(
        "rgb",
        [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((2, 2, 3)),
         np.zeros((0, 2, 3), np.uint8)],
    )  # fmt: skip
    def test_errors(self, rgb):
        with pytest.raises(ValueError, match="rgb must be uint8"):
            colours.encode_png(rgb)
