# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Weights that are finite, but so large (or small) that sums of them are none of the dtype."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd

#: A layer, the shape of its weights, and that of its inputs.
LAYERS = {
    "Dense": (dtd.Dense, (3, 2), (3,)),
    "Conv": (dtd.Conv, (2, 3, 2), (3, 4)),
    "ConvTranspose": (dtd.ConvTranspose, (3, 2, 2), (3, 4)),
}


def most(dtype):
    """2^(this + 1) is no number of the dtype."""
    return int(np.finfo(dtype).maxexp) - 1


def pair(kind, rng, dtype, exponent, biased=True):
    """A layer with weights of about 1, and with 2^exponent times these; inputs of about 1."""
    layer, size, shape = LAYERS[kind]
    w, b = rng.uniform(0.5, 0.99, size).astype(dtype), rng.uniform(0.5, 0.99, 2).astype(dtype)
    b *= biased
    x = rng.uniform(0.5, 0.99, (4, *shape)).astype(dtype)
    networks = [
        dtd.Network([("big", layer(np.ldexp(w, power), np.ldexp(b, power)))], shape)
        for power in (0, exponent)
    ]
    return (*networks, x)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    "rule",
    [dtd.WSquare(), dtd.WSquare(bias=True), dtd.SearchDirection([0.5, -2e-30, 3]), dtd.Flat()],
    ids=str,
)
def test_rules_that_do_not_depend_on_the_scale_of_weights(kind, rule, dtype, rng):
    """w² overflows (or is 0) long before w does; the shares of R_j do not."""
    if kind != "Dense" and isinstance(rule, dtd.SearchDirection):
        pytest.skip("a rule for dense layers")
    top = most(dtype)
    for exponent in (24 - top, -top // 2, 25, top // 2, top - 4):
        usual, scaled, x = pair(kind, rng, dtype, exponent)
        relevance = rng.random((4, *usual.output_shape)).astype(dtype)
        wanted = dtd.LRP(usual, rule)(x, relevance=relevance)
        found = dtd.LRP(scaled, rule)(x, relevance=relevance)
        np.testing.assert_allclose(found.relevance, wanted.relevance, rtol=1e-6)
        np.testing.assert_allclose(found.audit[0].passed, wanted.audit[0].passed)
        np.testing.assert_allclose(found.audit[0].bias, wanted.audit[0].bias)
        assert np.abs(wanted.relevance).sum() > 0.1


RULES = [
    dtd.ZPlus(),
    dtd.ZB(-1, 1),
    dtd.Z(bias=False),
    dtd.Epsilon(),
    dtd.Gamma(),
    dtd.GeneralizedGamma(),
    dtd.AlphaBeta(),
]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_quotients_that_would_be_lost_to_large_weights_are_errors(kind, rule, dtype, rng):
    """The error names the layer and what to do; doing that helps. Smaller weights are no error."""
    top = most(dtype)
    _, network, x = pair(kind, rng, dtype, top, biased=False)
    x = np.ldexp(x, -top)  # so that f is about 1
    remedy = "give x in float64" if dtype == np.float32 else "scale weights or inputs"
    with pytest.raises(FloatingPointError, match=f"^layer big: .*overflows .*: {remedy}$"):
        dtd.LRP(network, rule)(x, 0)
    if dtype == np.float32:
        assert (dtd.LRP(network, rule)(x.astype(np.float64), 0).audit[0].lost <= 0).all()
    _, network, x = pair(kind, rng, dtype, top - 10, biased=False)
    explanation = dtd.LRP(network, rule)(np.ldexp(x, 10 - top), 0)
    assert np.abs(explanation.relevance).sum() > 0
    assert (explanation.audit[0].lost <= 0).all()  # αβ has more to give where nothing is negative


def test_layers_above_may_make_relevance_small_again(dtype):
    """Weights at the end of the range are no error as such."""
    big = 2.0 ** (most(dtype) - 1)
    layers = [
        dtd.Dense(np.array([[big]], dtype)),
        dtd.ReLU(),
        dtd.Dense(np.array([[1 / big]], dtype)),
    ]
    explanation = dtd.DeepTaylor(dtd.Network(layers), dtd.NonNegative())(np.array([[0.5]], dtype))
    assert explanation.relevance.tolist() == [[0.5]]


def test_bounds_that_overflow_name_the_layer(dtype):
    """z^B with a box so large that (x - l) w is no number, though x w is."""
    big = float(np.finfo(dtype).max) / 2
    network = dtd.Network([("first", dtd.Dense(np.full((2, 1), 8.0, dtype))), dtd.ReLU()])
    explain = dtd.DeepTaylor(network, dtd.Box(-big, big))
    with pytest.raises(FloatingPointError, match=r"^layer first: .* bounds are so large"):
        explain(np.ones((1, 2), dtype))


def test_numbers_too_large_for_a_dtype_name_the_layer():
    layers = [("wide", dtd.Dense(np.full((2, 1), 1e300))), ("end", dtd.Dense(np.ones((1, 1))))]
    network = dtd.Network(layers)
    x = np.ones((1, 2), np.float32)
    methods = dtd.DeepTaylor(network, dtd.NonNegative()), dtd.Sensitivity(network)
    for run in (network.forward, network.gradient, *methods):
        with pytest.raises(
            ValueError, match=r"^layer wide: weight holds 1e\+300, too large for fl"
        ):
            run(x)
    for run in (network.forward, network.gradient, methods[0]):
        run(np.ones((1, 2)))
    explain = dtd.LRP(network, {"wide": dtd.Z(), "end": dtd.Epsilon(1e-200)})
    small = dtd.Network([("end", dtd.Dense(np.ones((2, 1), np.float32)))])
    with pytest.raises(ValueError, match=r"^layer end: epsilon=1e-200 is no number above 0 in flo"):
        dtd.LRP(small, dtd.Epsilon(1e-200))
    assert explain(np.ones((1, 2))).audit.closes()
    big = dtd.Network([("wide", dtd.Dense(np.full((2, 1), 3e38, np.float32)))])
    with pytest.raises(FloatingPointError, match="overflows float32 in layer wide; try float64"):
        big.forward(x)
    assert big.forward(x.astype(np.float64)).tolist() == [[2 * float(np.float32(3e38))]]


@pytest.mark.parametrize("rule", [dtd.WSquare(bias=True), dtd.ZPlus(bias=True), *RULES], ids=str)
def test_overflow_leaks_no_warning(rule, dtype, rng):
    """Whatever overflows in the layers that NumPy computes; also where NumPy was told to raise."""
    big = float(np.finfo(dtype).max)
    tail = [("flat", dtd.Flatten()), ("tanh", dtd.Tanh())]
    scales = np.array([big, -big], dtype)
    many = [
        [("a", dtd.Tanh()), ("affine", dtd.ChannelAffine(scales, np.array([big, 1], dtype)))],
        [("a", dtd.ReLU()), ("gate", dtd.Gate(), ["a", "a"])],
        [("a", dtd.ReLU()), ("sum", dtd.Add(), ["a", "a"])],
        [("a", dtd.ReLU()), ("map", dtd.AxisMap(np.full((4, 3), big, dtype), 1))],
        [("a", dtd.ReLU()), ("conv", dtd.Conv(np.ones((2, 2, 2), dtype), scales))],
    ]
    for layers in many:
        network = dtd.Network([*layers, *tail], (2, 4))
        for size in (1.0, big):
            x = np.full((1, 2, 4), size, dtype)
            for settings in ({}, {"all": "raise"}):
                with np.errstate(**settings):
                    try:
                        assert np.isfinite(network.forward(x)).all()
                        assert np.isfinite(dtd.LRP(network, rule)(x, 0).relevance).all()
                    except FloatingPointError as error:
                        assert "layer" in str(error)
                    except ValueError as error:
                        assert "layer" in str(error)
