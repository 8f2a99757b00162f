# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explainers that need only the gradient, against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref
from nets import DEPTHS, build, inputs_in

import dtdcore as dtd


def test_sensitivity_and_gradient_times_input(dtype, rng):
    oracle, network = build(rng, dtype, DEPTHS["3 layers, pools"])
    x = inputs_in(rng, dtype, (-1, 1))
    gradient = ref.network_gradient(oracle, x, np.broadcast_to(np.eye(5)[3], (6, 1, 5)))[:, 0]
    assert np.abs(gradient).max() > 0
    rtol = 1e-3 if dtype == np.float32 else 1e-10
    for explainer, expected in (
        (dtd.Sensitivity(network), gradient**2),
        (dtd.GradientTimesInput(network), gradient * x),
    ):
        explanation = explainer(x, 3)
        size = np.abs(expected).max()
        np.testing.assert_allclose(explanation.relevance, expected, rtol=rtol, atol=rtol * size)
        assert (explanation.explained == explanation.output[:, 3]).all()
        assert explanation.audit is None
        assert explanation.relevance.dtype == dtype
    assert dtd.Sensitivity(network)(x, 3).is_positive().all()


def test_integrated_gradients(rng):
    """The midpoint rule, step by step; complete in the limit."""
    oracle, network = build(rng, np.float64, DEPTHS["2 layers"])
    x, baseline = inputs_in(rng, np.float64, (-1, 1)), rng.standard_normal(12) * 0.1
    explanation = dtd.IntegratedGradients(network, baseline=baseline, steps=5)(x, 1)
    mean = 0
    for step in range(5):
        t = (step + 0.5) / 5
        point = baseline + t * (x - baseline)
        mean += ref.network_gradient(oracle, point, np.broadcast_to(np.eye(3)[1], (6, 1, 3))) / 5
    np.testing.assert_allclose(explanation.relevance, mean[:, 0] * (x - baseline), atol=1e-12)
    fine = dtd.IntegratedGradients(network, baseline=baseline, steps=2000)(x, 1)
    difference = network.forward(x)[:, 1] - network.forward(baseline[None])[:, 1]
    np.testing.assert_allclose(fine.relevance.sum(axis=1), difference, atol=2e-2)
    zero = dtd.IntegratedGradients(network, steps=5)(x, 1).relevance
    assert (zero == dtd.IntegratedGradients(network, 0.0, 5)(x, 1).relevance).all()
    each = dtd.IntegratedGradients(network, np.tile(baseline, (6, 1)), 5)(x, 1).relevance
    assert (each == explanation.relevance).all()


def test_smooth_grad(rng):
    """On an affine net the gradient is the same everywhere, so noise does not matter."""
    w = rng.standard_normal((12, 2))
    network = dtd.Network([dtd.Dense(w, np.ones(2))])
    x = rng.standard_normal((3, 12))
    smooth = dtd.SmoothGrad(network, samples=7)(x, 1).relevance
    np.testing.assert_allclose(smooth, np.tile(w[:, 1], (3, 1)), rtol=1e-12)
    _, network = build(rng, np.float64, DEPTHS["2 layers"])
    one = dtd.SmoothGrad(network, samples=5)(x).relevance
    assert (one == dtd.SmoothGrad(network, samples=5)(x).relevance).all()
    assert (one[1:2] == dtd.SmoothGrad(network, samples=5)(x[1:2]).relevance).all()
    assert not (one == dtd.SmoothGrad(network, samples=5, seed=1)(x).relevance).all()
    without = dtd.SmoothGrad(network, samples=1, noise=0.0)(x).relevance
    np.testing.assert_allclose(without, network.gradient(x), rtol=1e-12)


def test_taylor_at_a_given_root(dtype, rng):
    oracle, network = build(rng, dtype, DEPTHS["2 layers"])
    x = inputs_in(rng, dtype, (0, 1))
    root = rng.uniform(0, 0.2, 12).astype(dtype)
    explanation = dtd.Taylor(network, root=root)(x, 0)
    g = np.broadcast_to(np.eye(3)[0], (6, 1, 3))
    expected = ref.network_gradient(oracle, np.tile(root, (6, 1)), g)[:, 0] * (x - root)
    np.testing.assert_allclose(explanation.relevance, expected, rtol=1e-3, atol=1e-5)
    each = dtd.Taylor(network, root=np.tile(root, (6, 1)))(x, 0)
    assert (each.relevance == explanation.relevance).all()


def test_taylor_at_the_nearest_root(rng):
    """f = max(0, x_0 - 1): the nearest root of (3, 5) is (1, 5)."""
    network = dtd.Network([dtd.Dense(np.array([[1.0], [0.0]]), np.array([-1.0])), dtd.ReLU()])
    explanation = dtd.Taylor(network)(np.array([[3.0, 5.0]]))
    np.testing.assert_allclose(explanation.relevance, [[2.0, 0.0]], rtol=1e-5, atol=1e-9)
    assert explanation.is_conservative(rtol=1e-5).all()


@pytest.mark.parametrize(
    "make",
    [
        dtd.Sensitivity,
        dtd.GradientTimesInput,
        dtd.IntegratedGradients,
        dtd.SmoothGrad,
        lambda net: dtd.Taylor(net, root=np.full(2, 1e-21, np.float32)),
    ],
)
def test_gradients_that_overflow_raise(make):
    big = dtd.Dense(np.full((2, 2), 1e25, np.float32))
    net = dtd.Network([big, dtd.ReLU(), dtd.Dense(np.full((2, 1), 1e25, np.float32))])
    x = np.array([[1e-20, 0.0]], np.float32)
    assert np.isfinite(net.forward(x)).all()
    with pytest.raises(FloatingPointError, match="overflow"):
        make(net)(x)
    with pytest.raises(FloatingPointError, match="overflow"):
        net.gradient(x)


def test_squares_that_overflow_raise():
    net = dtd.Network([dtd.Dense(np.full((2, 1), 1e25, np.float32))])
    with pytest.raises(FloatingPointError, match="Sensitivity"):
        dtd.Sensitivity(net)(np.zeros((1, 2), np.float32))


def test_explainers_copy_their_arrays():
    net = dtd.Network([dtd.Dense(np.ones((3, 1)))])
    x, given = np.full((1, 3), 2.0), np.zeros(3)
    explainers = dtd.Taylor(net, root=given), dtd.IntegratedGradients(net, baseline=given)
    before = [explain(x).relevance for explain in explainers]
    given[:] = 1
    for explain, relevance in zip(explainers, before, strict=True):
        np.testing.assert_array_equal(explain(x).relevance, relevance)
