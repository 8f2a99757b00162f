# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers that work along one axis: `Take` and `AxisMap`, against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref
from rule_cases import RULES, assert_account, normal

import dtdcore as dtd


@pytest.mark.parametrize(
    ("axis", "places"), [(0, [2, 0, 1]), (1, [3, 3, 0]), (2, [4]), (2, [1, 0, 0, 1, 2, 3, 4, 3])]
)
def test_take(rng, dtype, axis, places):
    layer = dtd.Take(axis, places)
    x = normal(rng, dtype, 2, 3, 4, 5)
    y = layer.forward(x)
    np.testing.assert_array_equal(y, ref.take(x, axis, places))
    assert y.dtype == dtype
    assert layer.output_shape((3, 4, 5)) == y.shape[1:]
    assert layer.parameters == 0
    matrix = ref.take(np.eye(60).reshape(60, 3, 4, 5), axis, places).reshape(60, -1)
    back = normal(rng, dtype, 2, 3, *y.shape[1:])
    expected = (back.reshape(2, 3, -1).astype(float) @ matrix.T).reshape(2, 3, 3, 4, 5)
    for result in (layer.redistribute(x, back), layer.redistribute(x, back, dtd.ZPlus())):
        np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(layer.gradient(x, back), expected, rtol=1e-6, atol=1e-6)


def weights(rng, kind):
    """A matrix (4, 6) like those of resizing, and one with a row and a column of zeros."""
    matrix = rng.uniform(0, 1, (4, 6))
    if kind == "signed":
        matrix = rng.standard_normal((4, 6))
    matrix[rng.random((4, 6)) < 0.4] = 0
    if kind == "empty":
        matrix[1], matrix[:, 3] = 0, 0
    return matrix


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["positive", "signed", "empty"])
@pytest.mark.parametrize("name", RULES)
def test_axis_map(name, kind, axis, dtype, rng):
    rule, shares, epsilon = RULES[name]
    weight = weights(rng, kind).astype(dtype)
    shape = [3, 2, 5]
    shape[axis] = 4
    x = normal(rng, dtype, 2, *shape)
    x[0, 0] = 0
    layer = dtd.AxisMap(weight, axis)
    y = layer.forward(x)
    assert y.dtype == dtype
    assert layer.output_shape(tuple(shape)) == y.shape[1:]
    tolerance = 8 * ref.tolerance(dtype, 4)
    np.testing.assert_allclose(y, ref.axis_map(x, weight, axis), atol=8 * tolerance)
    relevance = normal(rng, dtype, 2, 3, *y.shape[1:])
    expected = ref.axis_map_redistribute(x, weight, axis, relevance, shares, epsilon)
    step = layer.step(rule, dtype)
    passed = assert_account(step, step.trace(x)[1], relevance, expected, dtype)
    error = np.abs(passed.reshape(2, 3, -1) - expected.relevance)
    assert (error <= tolerance * expected.scale + 1e-30).all()
    np.testing.assert_array_equal(layer.redistribute(x, relevance, rule), passed)
    np.testing.assert_array_equal(layer.redistribute(x, relevance[:, 1], rule), passed[:, 1])
    gradient = layer.gradient(x, relevance)
    back = ref.axis_map(relevance[:, 0], weight.T, axis)
    np.testing.assert_allclose(gradient[:, 0], back, atol=8 * tolerance)


def test_axis_map_takes_boxes_of_arrays(rng):
    weight, x = weights(rng, "signed"), rng.uniform(-1, 1, (2, 3, 4))
    low, high = -rng.uniform(1, 2, (3, 4)), rng.uniform(1, 2, (3, 4))
    relevance = rng.standard_normal((2, 1, 3, 6))
    expected = ref.axis_map_redistribute(
        x,
        weight,
        1,
        relevance,
        lambda x, w, b: ref.shares_z_box(x, w, low=low.reshape(-1), high=high.reshape(-1)),
    )
    got = dtd.AxisMap(weight, 1).redistribute(x, relevance, dtd.ZB(low, high))
    np.testing.assert_allclose(got.reshape(2, 1, -1), expected.relevance, rtol=1e-10, atol=1e-12)


def test_bits_do_not_depend_on_the_batch(rng):
    layer, x = dtd.AxisMap(rng.standard_normal((7, 9)), 1), rng.standard_normal((5, 3, 7))
    relevance = rng.standard_normal((5, 3, 9))
    whole, back = layer.forward(x), layer.redistribute(x, relevance, dtd.ZPlus())
    for i in range(5):
        assert (layer.forward(x[i : i + 1]) == whole[i]).all()
        one = layer.redistribute(x[i : i + 1], relevance[i : i + 1], dtd.ZPlus())
        assert (one == back[i]).all()


def test_in_a_network(rng, tmp_path):
    """Saved and read again; rules by default, presets and domains; the audit closes."""
    network = dtd.Network(
        [
            dtd.Take(2, [3, 2, 1, 0]),
            dtd.AxisMap(np.abs(weights(rng, "positive")), 1),
            dtd.Conv(rng.standard_normal((3, 2, 3, 3))),
            dtd.ReLU(),
            dtd.AxisMap(rng.uniform(0.1, 1, (2, 5)), 2),
            dtd.Flatten(),
            dtd.Dense(rng.standard_normal((60, 2))),
        ],
        (2, 4, 4),
    )
    loaded = dtd.load(network.save(tmp_path / "n.npz"))
    assert network.summary() == loaded.summary()
    x = rng.uniform(0, 1, (3, 2, 4, 4))
    np.testing.assert_array_equal(network.forward(x), loaded.forward(x))
    for explain in (
        dtd.DeepTaylor(loaded, dtd.Box(0, 1)),
        dtd.DeepTaylor(loaded, dtd.Reals()),
        dtd.LRP(loaded, "epsilon"),
        dtd.LRP(loaded, "epsilon-plus"),
        dtd.LRP(loaded, {"AxisMap": dtd.Flat(), "*": dtd.Z()}),
    ):
        explanation = explain(x, 1)
        assert explanation.audit.closes()
        assert explanation.relevance.any()
    rows = dtd.LRP(loaded, "epsilon-plus").summary()
    assert "AxisMap(4 -> 6, axis=1)" in rows
    step = 1e-6 * np.eye(32).reshape(32, 2, 4, 4)
    slope = (network.forward(x[:1] + step) - network.forward(x[:1] - step))[:, 1] / 2e-6
    np.testing.assert_allclose(network.gradient(x[:1], 1).reshape(-1), slope, atol=1e-6)


RESIZED = np.array([[1, 0.75, 0.25, 0], [0, 0.25, 0.75, 1]])


@pytest.mark.parametrize(
    "layer", [dtd.AxisMap(RESIZED, 1), dtd.Take(1, [1, 0, 0, 1])], ids=["AxisMap", "Take"]
)
@pytest.mark.parametrize("domain", [dtd.Box(-1, 1), dtd.Reals(), dtd.NonNegative()], ids=repr)
def test_one_function_one_heatmap(layer, domain, rng):
    """A batch normalisation before or behind resizing, and the same folded by hand."""
    w, v = rng.standard_normal((3, 2, 1)), rng.standard_normal((12, 2))
    mean, variance = rng.standard_normal(3), rng.uniform(0.5, 2, 3)
    norm = dtd.BatchNorm(mean, variance)
    conv, end = dtd.Conv(w), [dtd.ReLU(), dtd.Flatten(), dtd.Dense(v)]
    by_hand = dtd.Conv(w * norm.scale[:, None, None], norm.shift)
    x = np.abs(rng.uniform(0, 1, (4, 2, 2)))
    results = []
    for front in ([conv, norm, layer], [conv, layer, norm], [by_hand, layer]):
        network = dtd.Network([*front, *end], (2, 2))
        results.append(dtd.DeepTaylor(network, domain)(x, 0).relevance)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(results[2], results[0], rtol=1e-10, atol=1e-13)


def test_boxes_pass_through_averages(rng):
    """Weights that sum to 1 leave a box as it is; the first weights behind take it."""
    network = dtd.Network(
        [dtd.AxisMap(RESIZED, 1), dtd.Conv(rng.standard_normal((3, 2, 2)))], (2, 2)
    )
    assert dtd.DeepTaylor(network, dtd.Box(-1, 2)).rules[1] == dtd.ZB(-1, 2)
    cubic = dtd.AxisMap([[1.1], [-0.1]], 1)
    assert not cubic.grows and not cubic.averages and cubic.commutes(np.ones(2), np.ones(2))
    assert not dtd.AxisMap(RESIZED, 0).commutes(np.ones(2), np.zeros(2))
    assert isinstance(dtd.AxisMap(np.eye(3)[:, [2, 0]], 0).simplified(), dtd.Take)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: dtd.Take(-1, [0]), ValueError, "axis"),
        (lambda: dtd.Take(0, []), ValueError, "at least one place"),
        (lambda: dtd.Take(0, "01"), TypeError, "places"),
        (lambda: dtd.Take(0, [0.5]), TypeError, "places"),
        (lambda: dtd.Take(0, [-1]), ValueError, "places"),
        (lambda: dtd.Take(0, [3]).forward(np.ones((2, 3))), ValueError, r"Take.*\(3,\)"),
        (lambda: dtd.Take(1, [0]).forward(np.ones((2, 3))), ValueError, r"Take.*\(3,\)"),
        (lambda: dtd.AxisMap(np.ones(3), 0), ValueError, r"weight must be \(inputs, outputs\)"),
        (lambda: dtd.AxisMap([[np.inf]], 0), ValueError, "weight"),
        (lambda: dtd.AxisMap(np.ones((2, 2)), -1), ValueError, "axis"),
        (lambda: dtd.AxisMap(np.ones((2, 2)), 0).forward(np.ones((1, 3))), ValueError, "AxisMap"),
        (
            lambda: dtd.AxisMap(np.ones((2, 2)), 0).redistribute(
                np.ones((1, 2)), np.ones((1, 2)), dtd.SearchDirection(np.ones(2))
            ),
            TypeError,
            "AxisMap cannot take the rule",
        ),
    ],
)
def test_clear_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
