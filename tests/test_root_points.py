# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Root points: R_j vanishes there, they lie in the domain, and the expansion there is the rule."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd

METHOD = {
    "w2": (dtd.WSquare(), ref.shares_w_square, (-np.inf, np.inf)),
    "z+": (dtd.ZPlus(), ref.shares_z_plus, (0.0, np.inf)),
    "zB": (
        dtd.ZB(-1, 2),
        lambda x, w: ref.shares_z_box(x, w, low=-1, high=2),
        (-1.0, 2.0),
    ),
}
DIRECTIONS = {
    **METHOD,
    "gamma": (dtd.Gamma(0.5), lambda x, w: ref.shares_gamma(x, w, gamma=0.5), None),
    "Z": (dtd.Z(), ref.shares_z, None),
    "flat": (dtd.Flat(), ref.shares_flat, None),
    "v": (
        dtd.SearchDirection(np.arange(1.0, 10.0)),
        lambda x, w: ref.shares_direction(x, w, v=np.arange(1.0, 10.0)),
        None,
    ),
}


def layer_and_inputs(rng, bounds):
    """b <= 0, and inputs in the domain with some on its border."""
    low, high = (-3.0, 3.0) if bounds is None else np.clip(bounds, -3.0, 3.0)
    x = rng.uniform(low, high, (40, 9))
    x[rng.random(x.shape) < 0.1] = low
    x[rng.random(x.shape) < 0.1] = high
    return rng.standard_normal((9, 6)), -np.abs(rng.standard_normal(6)) * 0.3, x


@pytest.mark.parametrize("name", DIRECTIONS)
def test_root_points_are_roots(name, rng):
    """R_j = max(0, a_j) vanishes at x~^(j), and silent neurons have x itself."""
    rule, shares, bounds = DIRECTIONS[name]
    w, b, x = layer_and_inputs(rng, bounds)
    roots = rule.root_points(x, dtd.Dense(w, b))
    assert roots.shape == (40, 9, 6)
    a = ref.dense(x, w, b)
    active = a > 0
    assert active.any()
    assert not active.all()
    at_root = (roots * w).sum(axis=1) + b
    size = (np.abs(roots) * np.abs(w)).sum(axis=1) + np.abs(b)
    assert (np.abs(at_root) <= 1e-13 * size)[active].all()
    silent = np.broadcast_to(~active[:, None, :], roots.shape)
    assert (roots == x[:, :, None])[silent].all()
    expected = ref.root_points(x, w, b, shares(x, w))
    scale = np.abs(expected) + np.abs(x[:, :, None])
    assert (np.abs(roots - expected) <= 1e-11 * scale).all()


@pytest.mark.parametrize("name", METHOD)
def test_root_points_lie_in_the_domain(name, rng):
    """With b <= 0 the segment from x to the root of w2, z+ and zB stays inside (section 4)."""
    rule, _, (low, high) = METHOD[name]
    w, b, x = layer_and_inputs(rng, (low, high))
    roots = rule.root_points(x, dtd.Dense(w, b))
    slack = 1e-14 * 9
    assert (roots >= low - slack).all()
    assert (roots <= high + slack).all()


def test_positive_bias_can_leave_the_domain():
    """The test above can fail: with b > 0 the nearest root of z+ is not in the domain."""
    layer = dtd.Dense(np.array([[1.0], [1.0]]), np.array([1.0]))
    roots = dtd.ZPlus().root_points(np.array([[0.5, 0.5]]), layer)
    np.testing.assert_allclose(roots[0, :, 0], [-0.5, -0.5])


@pytest.mark.parametrize("name", DIRECTIONS)
def test_redistribution_is_the_taylor_expansion_at_the_root(name, rng):
    """sum_j (x_i - x~_i^(j)) w_ij = R_i for R_j = max(0, a_j): equation 2 of the paper."""
    rule, _, bounds = DIRECTIONS[name]
    if rule.bias:
        rule = dataclasses.replace(rule, bias=False)
    w, b, x = layer_and_inputs(rng, bounds)
    layer = dtd.Dense(w, b)
    roots = rule.root_points(x, layer)
    first_order = ((x[:, :, None] - roots) * w).sum(axis=2)
    relevance = np.maximum(layer.forward(x), 0)
    scale = (np.abs(x[:, :, None] - roots) * np.abs(w)).sum(axis=2)
    actual = layer.redistribute(x, relevance, rule)
    assert (np.abs(actual - first_order) <= 1e-11 * scale.max()).all()


def test_root_of_w_square_is_the_nearest_of_all(rng):
    """No other search direction finds a root nearer to x (section 4.1)."""
    w, b, x = layer_and_inputs(rng, None)
    layer = dtd.Dense(w, b)
    active = layer.forward(x) > 0

    def distance(rule):
        return np.linalg.norm(rule.root_points(x, layer) - x[:, :, None], axis=1)[active]

    nearest = distance(dtd.WSquare())
    for other in (dtd.ZB(-3, 3), dtd.SearchDirection(np.ones(9)), dtd.Flat()):
        assert (distance(other) >= nearest * (1 - 1e-12)).all()


def test_root_points_on_float32_weights(rng):
    w, b, x = layer_and_inputs(rng, None)
    layer = dtd.Dense(w.astype(np.float32), b.astype(np.float32))
    roots = dtd.WSquare().root_points(x.astype(np.float32), layer)
    at_root = (roots * layer.weight.astype(float)).sum(axis=1) + layer.bias
    active = layer.forward(x.astype(np.float32)) > 1e-5
    assert np.abs(at_root[active]).max() < 1e-5


def test_inputs_without_a_weight_stay_where_they_are(rng):
    """w_ij = 0: x_i does not matter for R_j, and the rules do not move it."""
    w = np.array([[1.0], [0.0], [-1.0]])
    x = np.array([[0.5, 0.75, 0.25]])
    for name, (rule, _, _) in DIRECTIONS.items():
        if name != "v":
            assert rule.root_points(x, dtd.Dense(w))[0, 1, 0] == 0.75, name


def test_silent_neurons_need_no_root():
    """a_j = 0 and a_j < 0, without any weight along which to search."""
    layer = dtd.Dense(np.array([[0.0, -1.0, 1.0]]), np.array([0.0, 0.0, -2.0]))
    roots = dtd.ZPlus().root_points(np.array([[2.0]]), layer)
    assert roots.tolist() == [[[2.0, 2.0, 2.0]]]


def test_no_root_in_this_direction():
    """An active neuron without positive weight has no root for z+."""
    layer = dtd.Dense(np.array([[-1.0]]), np.array([2.0]))
    with pytest.raises(ValueError, match="neuron 0 has no root"):
        dtd.ZPlus().root_points(np.array([[1.0]]), layer)
    with pytest.raises(TypeError, match="AlphaBeta"):
        dtd.AlphaBeta().root_points(np.array([[1.0]]), layer)
