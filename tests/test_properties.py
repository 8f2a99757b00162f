# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What holds for all networks and inputs, sought with hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import dtdcore as dtd

DTYPES = st.sampled_from([np.float32, np.float64])
SIZES = st.sampled_from([1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 35, 61])
SMALL = st.integers(1, 6)
SEEDS = st.integers(0, 2**32 - 1)

#: Rules that pass on all that they receive, wherever z_j is not 0.
CONSERVING = [
    dtd.WSquare(),
    dtd.Flat(),
    dtd.ZPlus(),
    dtd.ZB(-1, 1),
    dtd.Z(bias=False),
    dtd.Gamma(0.5, bias=False),
    dtd.GeneralizedGamma(0.5, bias=False),
    dtd.AlphaBeta(2, 1, bias=False, conserve=True),
]
#: Rules whose shares are never negative on inputs in [-1, 1].
POSITIVE = [dtd.WSquare(), dtd.Flat(), dtd.ZPlus(), dtd.ZB(-1, 1), dtd.AlphaBeta(1, 0)]
RULES = [
    *CONSERVING,
    dtd.Z(),
    dtd.Epsilon(0.1),
    dtd.Gamma(0.5),
    dtd.GeneralizedGamma(0.5),
    dtd.AlphaBeta(2, 1),
    dtd.ZPlus(bias=True),
]


@st.composite
def dense_cases(draw):
    """A dense layer with b, inputs in [-1, 1] and relevance; zeros are common everywhere."""
    rng = np.random.default_rng(draw(SEEDS))
    dtype = np.dtype(draw(DTYPES))
    n, k, inputs, outputs = draw(SMALL), draw(st.integers(1, 3)), draw(SIZES), draw(SIZES)
    zeros = draw(st.sampled_from([0.0, 0.3, 0.9]))

    def sparse(array):
        return np.where(rng.random(array.shape) < zeros, 0, array).astype(dtype)

    x = sparse(rng.uniform(-1, 1, (n, inputs)))
    layer = dtd.Dense(
        sparse(rng.standard_normal((inputs, outputs))), sparse(rng.standard_normal(outputs))
    )
    return dtype, layer, x, sparse(rng.standard_normal((n, k, outputs)))


@st.composite
def networks(draw, positive_bias=False):
    """1 to 4 dense layers with ReLU, some with pools, and weights around 0."""
    rng = np.random.default_rng(draw(SEEDS))
    dtype = np.dtype(draw(DTYPES))
    layers, width = [], draw(SIZES)
    inputs = width
    for _ in range(draw(st.integers(1, 4))):
        groups, size = draw(st.integers(1, 9)), draw(st.sampled_from([1, 1, 2, 4]))
        w = rng.standard_normal((width, groups * size)) + 0.2
        b = np.abs(rng.standard_normal(groups * size)) * (0.5 if positive_bias else -0.05)
        layers += [dtd.Dense(w.astype(dtype), b.astype(dtype)), dtd.ReLU()]
        if size > 1:
            layers.append(dtd.NeuronPool(size, draw(st.sampled_from([1, 2, np.inf]))))
        width = groups
    if draw(st.booleans()):
        layers.append(dtd.NeuronPool(None, draw(st.sampled_from([1, 2]))))
    return dtype, dtd.Network(layers), rng.random((draw(SMALL), inputs)).astype(dtype)


def closes(entry, dtype, size):
    """received = passed + bias + stabiliser + lost, to rounding of the largest of them."""
    parts = [entry.received, entry.passed, entry.bias, entry.stabiliser, entry.lost, size]
    largest = np.max(np.abs(np.broadcast_arrays(*parts)), axis=0)
    rtol = 1e-4 if dtype == np.float32 else 1e-11
    return bool(np.all(np.abs(entry.residual) <= rtol * largest + np.finfo(dtype).tiny))


# ------------------------------------------------------------------- one layer


@given(dense_cases(), st.sampled_from(RULES))
def test_the_account_of_any_rule_closes(case, rule):
    dtype, layer, x, relevance = case
    explanation = dtd.LRP(dtd.Network([layer]), rule)(x, relevance=relevance)
    (entry,) = explanation.audit
    assert np.isfinite(explanation.relevance).all()
    sent = np.abs(explanation.relevance.astype(float)).sum(axis=-1)
    assert closes(entry, dtype, np.maximum(sent, np.abs(relevance).sum(axis=-1)))
    received = relevance.astype(float).sum(axis=-1)
    np.testing.assert_allclose(entry.received, received, rtol=1e-6, atol=1e-6)


@given(dense_cases(), st.sampled_from(CONSERVING))
def test_conservation(case, rule):
    """Without bias and stabiliser, all but what is lost at z = 0 arrives at the inputs."""
    dtype, layer, x, relevance = case
    explanation = dtd.LRP(dtd.Network([layer]), rule)(x, relevance=relevance)
    (entry,) = explanation.audit
    assert not entry.bias.any()
    assert not entry.stabiliser.any()
    total = explanation.relevance.astype(float).sum(axis=-1)
    sent = np.abs(explanation.relevance.astype(float)).sum(axis=-1)
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    error = np.abs(total + entry.lost - entry.received)
    assert (error <= 8 * rtol * (sent + np.abs(relevance).sum(axis=-1))).all()


@given(dense_cases(), st.sampled_from(POSITIVE))
def test_positivity(case, rule):
    """Positive relevance stays positive, exactly."""
    _, layer, x, relevance = case
    assert (layer.redistribute(x, np.abs(relevance), rule) >= 0).all()


@given(dense_cases(), st.sampled_from(RULES), st.integers(-8, 8))
def test_linear_in_relevance(case, rule, power):
    """R -> sum of R_i is linear; scaling by a power of two changes no bit of the mantissa."""
    dtype, layer, x, relevance = case
    scaled = layer.redistribute(x, relevance * dtype.type(2.0**power), rule)
    plain = layer.redistribute(x, relevance, rule)
    assert (scaled == plain * dtype.type(2.0**power)).all()
    other = relevance[..., ::-1].copy()
    together = layer.redistribute(x, relevance + other, rule)
    apart = plain + layer.redistribute(x, other, rule)
    size = layer_scale(layer, x, rule, relevance) + layer_scale(layer, x, rule, other)
    assert (np.abs(together - apart) <= 200 * np.finfo(dtype).eps * size).all()


def layer_scale(layer, x, rule, relevance):
    """What rounding is measured against: each R_j sent alone, absolute values added."""
    n, k, outputs = relevance.shape
    alone = np.einsum("nkj,jl->nkjl", relevance, np.eye(outputs, dtype=relevance.dtype))
    sent = layer.redistribute(x, alone.reshape(n, k * outputs, outputs), rule)
    return np.abs(sent).reshape(n, k, outputs, -1).sum(axis=2)


@given(dense_cases(), st.sampled_from(RULES))
def test_samples_and_targets_do_not_know_of_each_other(case, rule):
    """Any split of batch or targets gives the same bits."""
    _, layer, x, relevance = case
    whole = layer.redistribute(x, relevance, rule)
    for n in range(len(x)):
        one = layer.redistribute(x[n : n + 1], relevance[n : n + 1], rule)
        assert one.tobytes() == whole[n : n + 1].tobytes()
    for k in range(relevance.shape[1]):
        one = layer.redistribute(x, relevance[:, k], rule)
        assert one.tobytes() == np.ascontiguousarray(whole[:, k]).tobytes()


# ------------------------------------------------------------------- networks


@given(networks(), st.sampled_from([dtd.Reals(), dtd.NonNegative(), dtd.Box(0, 1)]))
def test_deep_taylor_is_consistent_where_no_bias_is_positive(case, domain):
    """Definitions 1 to 3 on random nets of 1 to 4 layers, for all three domains."""
    dtype, network, x = case
    explanation = dtd.DeepTaylor(network, domain)(x, strict=True)
    assert explanation.is_conservative().all()
    assert explanation.is_positive().all()
    assert explanation.is_consistent().all()
    start = np.maximum(explanation.output.max(axis=1), 0)
    assert (explanation.explained == start).all()
    rtol = 1e-4 if dtype == np.float32 else 1e-10
    total = explanation.relevance.astype(float).sum(axis=1)
    np.testing.assert_allclose(total, start, rtol=rtol, atol=1e-30)
    for entry in explanation.audit:
        assert not entry.lost.any()


@given(networks(positive_bias=True), st.sampled_from([dtd.Reals(), dtd.Box(0, 1)]))
def test_the_audit_closes_where_biases_are_positive(case, domain):
    """Relevance may be lost where only the bias is active: booked, and never NaN."""
    dtype, network, x = case
    explanation = dtd.DeepTaylor(network, domain)(x)
    assert np.isfinite(explanation.relevance).all()
    assert explanation.is_positive().all()
    arriving = explanation.explained
    for entry in explanation.audit:
        assert closes(entry, dtype, 0)
        np.testing.assert_allclose(entry.received, arriving, rtol=1e-4, atol=1e-30)
        arriving = entry.passed
    lost = sum(entry.lost for entry in explanation.audit)
    rtol = 1e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(
        explanation.total + lost, explanation.explained, rtol=rtol, atol=1e-30
    )


@given(networks(positive_bias=True), st.sampled_from([dtd.Epsilon(0.01), dtd.Gamma(), dtd.Z()]))
def test_the_audit_of_rules_with_bias_closes(case, rule):
    dtype, network, x = case
    explanation = dtd.LRP(network, rule)(x)
    for entry in explanation.audit:
        # z can cancel: then more than R moves, and rounding is measured against that.
        assert closes(entry, dtype, 1e3 * np.abs(entry.received))


@given(networks())
def test_lrp_zero_is_gradient_times_input(case):
    """For ReLU networks, LRP-0 with the bias in z is x times the gradient (no pools here)."""
    dtype, network, x = case
    network = dtd.Network([la for la in network.layers if not isinstance(la, dtd.NeuronPool)][:2])
    explanation = dtd.LRP(network, dtd.Z())(x)
    product = dtd.GradientTimesInput(network)(x)
    active = explanation.explained > 0.01  # where f is about 0, R / z is about 0 / 0
    atol = 1e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(
        explanation.relevance[active], product.relevance[active], rtol=1e-3, atol=atol
    )


def test_uniform_heatmap_is_consistent_and_says_nothing():
    """Definition 3 is no measure of quality.

    f(x) = max(0, x_0) looks at one input only. R_p = f(x) / d is conservative and positive, hence
    consistent, exactly as deep Taylor decomposition is; but it names all inputs alike, those that
    f never looks at too.
    """
    w = np.zeros((4, 1))
    w[0] = 1
    network = dtd.Network([dtd.Dense(w), dtd.ReLU()])
    x = np.array([[0.8, 0.9, 0.1, 0.7], [0.2, 0.0, 1.0, 0.4]])
    deep = dtd.DeepTaylor(network, dtd.Box(0, 1))(x)
    uniform = dtd.LRP(network, dtd.Flat())(x)
    np.testing.assert_allclose(uniform.relevance, uniform.explained[:, None] / 4 * np.ones((1, 4)))
    assert uniform.is_consistent().all()
    assert deep.is_consistent().all()
    assert (deep.relevance[:, 0] == deep.explained).all()  # all of it where it belongs
    assert (uniform.relevance[:, 1:] > 0).all()  # and here, where f does not look
