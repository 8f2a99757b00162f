# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Targets of every form: places on several axes, class names, regions, contrasts."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore.targets import contrast, region

NAMES = ("zebra", "horse", "zebra-fish")

EXPLAINERS = {
    "DeepTaylor": dtd.DeepTaylor,
    "LRP": lambda network: dtd.LRP(network, dtd.Z()),
    "Sensitivity": dtd.Sensitivity,
    "GradientTimesInput": dtd.GradientTimesInput,
    "IntegratedGradients": lambda network: dtd.IntegratedGradients(network, steps=2),
    "SmoothGrad": lambda network: dtd.SmoothGrad(network, samples=2),
    "Taylor": dtd.Taylor,
    "Taylor given": lambda network: dtd.Taylor(network, root=np.zeros(1)),
}


def maps(rng, dtype=np.float64, n=2):
    """A network with outputs (3, 4, 5), and inputs for it."""
    weight = rng.standard_normal((3, 2, 1, 1)).astype(dtype)
    return dtd.Network([dtd.Conv(weight)], (2, 4, 5)), rng.standard_normal((n, 2, 4, 5)).astype(
        dtype
    )


def classes(rng, dtype=np.float64):
    network = dtd.Network([dtd.Dense(rng.random((4, 3)).astype(dtype))])
    network.class_names = NAMES
    return network, rng.random((2, 4)).astype(dtype)


# ------------------------------------------------------------------- a place on each axis


@pytest.mark.parametrize("name", EXPLAINERS)
def test_a_tuple_is_one_output_of_every_sample(name, dtype, rng):
    network, x = maps(rng, dtype)
    explain = EXPLAINERS[name](network)
    one = explain(x, (1, 2, 3))
    flat = 1 * 20 + 2 * 5 + 3
    assert one.target.tolist() == [flat, flat]
    same = explain(x, np.full(2, flat))
    assert one.relevance.tobytes() == same.relevance.tobytes()
    two = explain(x, [(1, 2, 3), (0, 0, 4)])
    assert two.target.tolist() == [[flat, 4]] * 2
    both = explain(x, np.array([[flat, 4]] * 2))
    assert two.relevance.tobytes() == both.relevance.tobytes()
    assert (network.gradient(x, (1, 2, 3)) == network.gradient(x, flat)).all()


def test_the_output_at_the_place_is_explained(rng):
    network, x = maps(rng)
    explanation = dtd.LRP(network, dtd.Z())(x, (1, 2, 3))
    assert (explanation.explained == network.forward(x)[:, 1, 2, 3]).all()
    assert explanation.target_names.tolist() == ["output (1, 2, 3)"] * 2
    assert "output (1, 2, 3)" in repr(explanation)


@pytest.mark.parametrize(
    ("target", "error", "match"),
    [
        ((1, 22), ValueError, r"shape \(3, 4, 5\).*\(class, row, column\)"),
        ((1, 2, 5), ValueError, r"place 5 on axis 2"),
        ((1, -1, 0), ValueError, r"place -1 on axis 1"),
        ((1, True, 0), TypeError, "whole numbers"),
        ([(1, 2), (3, 4)], ValueError, r"\(class, row, column\)"),
        ([1, 2, 3], ValueError, r"read as.*place on each.*array \(n,\).*tuple.*region"),
        ([[1, 2, 3], [0, 0, 0]], ValueError, r"read as.*list of tuples"),
        (np.ones((4, 5), bool), TypeError, r"region\(mask\)"),
        ("1", TypeError, "'1'.*no names"),
        ("1-1", ValueError, "with itself"),
        (region(channel=3), ValueError, "channel 3 is not among the 3"),
        (region(np.ones((4, 5))), ValueError, r"\(3, 4, 5\).*give a channel"),
        (region(np.ones((4, 4)), 1), ValueError, r"\(4, 5\), or \(2, 4, 5\)"),
    ],
    ids=repr,
)
def test_forms_that_are_refused(target, error, match, rng):
    network, x = maps(rng)
    for explain in (dtd.DeepTaylor(network), dtd.Sensitivity(network)):
        with pytest.raises(error, match=match):
            explain(x, target)


def test_lists_of_lists_are_numbers_where_they_cannot_be_places(rng):
    network, x = maps(rng)
    explanation = dtd.LRP(network)(x, [[0, 7]] * 2)
    assert explanation.target.tolist() == [[0, 7]] * 2
    assert dtd.LRP(network)(x, [3, 59]).target.tolist() == [3, 59]


# ------------------------------------------------------------------- regions


def test_a_region_is_the_sum_of_its_outputs(dtype, rng):
    network, x = maps(rng, dtype)
    y = network.forward(x).astype(np.float64)
    mask = rng.random((4, 5)) > 0.5
    masks = rng.random((2, 4, 5)) > 0.5
    anywhere = rng.random((3, 4, 5)) > 0.5
    cases = [
        (region(channel=1), y[:, 1].sum((1, 2))),
        (region(mask, 1), (y[:, 1] * mask).sum((1, 2))),
        (region(masks, channel=2), (y[:, 2] * masks).sum((1, 2))),
        (region(anywhere.astype(int)), (y * anywhere).sum((1, 2, 3))),
    ]
    for target, f in cases:
        explanation = dtd.LRP(network, dtd.Z())(x, target)
        np.testing.assert_allclose(explanation.explained, f, rtol=1e-5, atol=1e-6)
        assert explanation.audit.closes()
        np.testing.assert_allclose(explanation.total, f, rtol=1e-5, atol=1e-5)
        product = dtd.GradientTimesInput(network)(x, target)
        np.testing.assert_allclose(product.relevance, explanation.relevance, rtol=1e-4, atol=1e-5)
        again = dtd.LRP(network, dtd.Z())(x, relevance=target)
        assert again.relevance.tobytes() == explanation.relevance.tobytes()


def test_a_region_starts_from_its_outputs_above_0_in_deep_taylor(rng):
    network, x = maps(rng)
    y = np.maximum(network.forward(x), 0)
    explanation = dtd.DeepTaylor(network)(x, region(channel=1))
    start = np.zeros_like(y)
    start[:, 1] = y[:, 1]
    np.testing.assert_allclose(explanation.explained, start.sum((1, 2, 3)))
    same = dtd.DeepTaylor(network)(x, relevance=start)
    assert same.relevance.tobytes() == explanation.relevance.tobytes()
    assert explanation.is_consistent().all()


def test_masks_of_each_sample_in_pieces(rng):
    network, x = maps(rng, n=7)
    target = region(network.forward(x).argmax(1) == 1, channel=1)
    whole = dtd.DeepTaylor(network)(x, target)
    pieces = dtd.DeepTaylor(network, max_memory=dtd.DeepTaylor(network).memory(2))(x, target)
    assert whole.relevance.tobytes() == pieces.relevance.tobytes()
    assert whole.explained.tobytes() == pieces.explained.tobytes()
    assert (whole.target == pieces.target).all()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), ValueError),
        ((np.zeros((4, 5), bool),), ValueError),
        ((np.full((4, 5), 0.5),), TypeError),
        ((None, 1.0), TypeError),
        ((None, True), TypeError),
    ],
)
def test_what_is_no_region(arguments, error):
    with pytest.raises(error, match=r"mask|channel"):
        region(*arguments)


# ------------------------------------------------------------------- contrasts and names


@pytest.mark.parametrize("name", ["DeepTaylor", "LRP", "GradientTimesInput", "SmoothGrad"])
def test_a_contrast_is_the_difference(name, dtype, rng):
    network, x = classes(rng, dtype)
    explain = EXPLAINERS[name](network)
    a, b = explain(x, 0), explain(x, 2)
    rtol = 2e-5 if dtype == np.float32 else 1e-12
    for target in ("0-2", contrast(0, 2), "zebra-zebra-fish", contrast("zebra", "zebra-fish")):
        both = explain(x, target)
        scale = np.abs(a.relevance).max()
        assert np.abs(both.relevance - (a.relevance - b.relevance)).max() <= rtol * scale
        np.testing.assert_allclose(both.explained, a.explained - b.explained, rtol=rtol)
        if both.audit is not None:
            assert both.audit.closes()
            assert both.is_conservative().all()


def test_contrasts_of_places_and_regions(rng):
    network, x = maps(rng)
    y = network.forward(x)
    explain = dtd.LRP(network, dtd.Z())
    for target in ("1,2,3-0,2,3", contrast((1, 2, 3), (0, 2, 3))):
        np.testing.assert_allclose(explain(x, target).explained, y[:, 1, 2, 3] - y[:, 0, 2, 3])
    target = contrast(region(channel=0), region(channel=1))
    expected = y[:, 0].sum((1, 2)) - y[:, 1].sum((1, 2))
    np.testing.assert_allclose(explain(x, target).explained, expected)
    several = explain(x, [(1, 2, 3), target, 4])
    np.testing.assert_allclose(several.explained[:, 1], expected)
    assert (several.explained[:, 2] == y[:, 0, 0, 4]).all()
    assert several.target[0].tolist() == [
        "(1, 2, 3)", "region(channel=0)-region(channel=1)", "4"
    ]  # fmt: skip


def test_class_names(rng):
    network, x = classes(rng)
    for explain in (dtd.DeepTaylor(network), dtd.Sensitivity(network)):
        assert explain(x, "horse").target.tolist() == [1, 1]
        assert explain(x, ["zebra-fish", "zebra"]).target.tolist() == [2, 0]
        assert explain(x, np.array([["horse", "zebra"]] * 2)).target.tolist() == [[1, 0]] * 2
        assert explain(x, [("horse",), ("zebra",)]).target.tolist() == [[1, 0]] * 2
        assert explain(x, "horse").target_names.tolist() == ["horse"] * 2
        with pytest.raises(ValueError, match=r"'zebr'.*zebra-fish"):
            explain(x, "zebr")
    assert "of horse-zebra" in repr(dtd.LRP(network)(x, "horse-zebra"))
    with pytest.raises(TypeError, match="no names"):
        dtd.DeepTaylor(network)(x, "horse", node="dense_1")


def test_a_class_is_a_channel_of_a_map(rng):
    network, x = maps(rng)
    network.class_names = NAMES
    explain = dtd.LRP(network)
    assert explain(x, ("horse", 1, 2)).target.tolist() == [27, 27]
    assert explain(x, ("horse", 1, 2)).target_names[0] == "horse at (1, 2)"
    same = explain(x, region(channel=1))
    assert explain(x, region(channel="horse")).relevance.tobytes() == same.relevance.tobytes()
    with pytest.raises(ValueError, match="region"):
        explain(x, "horse")


def test_a_name_goes_before_a_contrast_and_numbers_that_are_names_before_places(rng):
    network, x = classes(rng)
    network.class_names = ("5", "3", "5-3")
    explain = dtd.LRP(network)
    assert explain(x, "5-3").target.tolist() == [2, 2]
    assert explain(x, "3").target.tolist() == [1, 1]
    difference = explain(x, "3-5")
    assert (difference.explained == explain(x, contrast(1, 0)).explained).all()
    network.class_names = ("5", "3", "8")
    five, three = explain(x, "5"), explain(x, 3)
    assert (explain(x, "5-3").explained == explain(x, contrast(5, 3)).explained).all()
    np.testing.assert_allclose(explain(x, "5-3").explained, five.explained - three.explained)
    assert explain(x, (8,)).target.tolist() == [2, 2]
    with pytest.raises(ValueError, match="0-1"):
        explain(x, "0-1")
    network.class_names = ("a", "a-a", "b")
    with pytest.raises(ValueError, match="2 ways"):
        explain(x, "a-a-a")


def test_what_is_no_side_of_a_contrast():
    for wrong in (None, 1.0, [1], True):
        with pytest.raises(TypeError, match="b must be"):
            contrast(0, wrong)


def test_targets_in_words_are_saved(rng, tmp_path):
    network, x = classes(rng)
    path = dtd.LRP(network)(x, [contrast(0, 1), 2]).save(tmp_path / "e.npz")
    again = dtd.Explanation.load(path)
    assert again.target.tolist() == [["0-1", "2"]] * 2
    assert again.target_names.tolist() == [["0-1", "2"]] * 2


def test_the_nearest_root_of_a_contrast(rng):
    network, x = classes(rng)
    w = network.layers[0].weight
    found = dtd.nearest_root(network, x, target="zebra-horse")
    f, v = x @ (w[:, 0] - w[:, 1]), w[:, 0] - w[:, 1]
    np.testing.assert_allclose(found.output, f)
    np.testing.assert_allclose(found.distance, np.abs(f) / np.linalg.norm(v), rtol=1e-5)
    assert found.certified.all()
    assert found.target.tolist() == ["zebra-horse"] * 2


def test_plots_say_what_is_explained(rng):
    pytest.importorskip("matplotlib")
    network, x = classes(rng)
    figure = dtd.LRP(network)(x, [contrast("zebra", "horse"), 1]).plot()
    text = " ".join(axes.get_title() for axes in figure.axes)
    assert "zebra-horse" in text


def test_what_takes_one_output_for_each_sample_says_so(rng):
    network = dtd.Network([dtd.Dense(rng.random((4, 3))), dtd.ReLU()])
    with pytest.raises(ValueError, match="one output of each sample"):
        dtd.TrainingFree().report(network, rng.random((2, 4)), target="0-1")


def test_a_tuple_for_outputs_of_one_axis_is_a_number_for_each_sample():
    network = dtd.Network([dtd.Dense(np.eye(3))])
    x = np.arange(6.0).reshape(2, 3)
    assert dtd.LRP(network)(x, (1, 2)).explained.tolist() == [1, 5]
    assert dtd.LRP(network)(x, (1,)).explained.tolist() == [1, 4]
    with pytest.raises(ValueError, match="place on each axis"):
        dtd.LRP(network)(x, (1, 2, 0))
