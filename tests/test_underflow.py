# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance that the dtype rounds to 0: passed on where it can be, else booked as lost."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref
from hypothesis import given
from hypothesis import strategies as st

import dtdcore as dtd
from dtdcore import underflow
from dtdcore.steps.dense import DenseOperator

RULES = [
    dtd.ZPlus(),
    dtd.Z(),
    dtd.Epsilon(0.01),
    dtd.Gamma(0.25),
    dtd.GeneralizedGamma(0.25),
    dtd.AlphaBeta(2, 1),
    dtd.WSquare(),
    dtd.Flat(),
    dtd.ZB(-10, 10),
]
#: Powers of ten that are normal numbers.
DECADES = {np.float32: 37, np.float64: 300}


def one_weight(w, dtype=np.float32):
    return dtd.Network([dtd.Dense(np.array([[w]], dtype))])


def test_a_product_that_vanishes_before_it_is_multiplied():
    """R_i = x_i (w_ij s_j): 1e25 · (1e-25 · 1e-22), where the product in brackets is 0."""
    x, r = np.array([[1e25]], np.float32), np.array([[1e-22]], np.float32)
    explanation = dtd.LRP(one_weight(1e-25), dtd.ZPlus())(x, relevance=r, strict=True)
    np.testing.assert_allclose(explanation.relevance, r, rtol=1e-6)
    assert explanation.audit[0].lost == 0
    deep = dtd.Network(
        [
            dtd.Dense(np.array([[1e-25]], np.float32)),
            dtd.ReLU(),
            dtd.Dense(np.array([[1e-22]], np.float32)),
            dtd.ReLU(),
        ]
    )
    explanation = dtd.DeepTaylor(deep, dtd.NonNegative(), strict=True)(x)
    np.testing.assert_allclose(explanation.relevance, explanation.explained[:, None], rtol=1e-6)
    assert explanation.is_consistent().all()


def test_what_cannot_be_saved_is_booked():
    """The bias takes all of R = 1 but for 1e-22, which then vanishes in the layer below."""
    network = dtd.Network(
        [
            ("first", dtd.Dense(np.array([[1e-25]], np.float32))),
            ("second", dtd.Dense(np.array([[1e-22]], np.float32), np.ones(1, np.float32))),
        ]
    )
    x = np.array([[1e25]], np.float32)
    explanation = dtd.LRP(network, dtd.Z())(x, layers="all")
    entry = explanation.audit["first"]
    np.testing.assert_allclose([entry.received, entry.lost], 1e-22, rtol=1e-6)
    assert entry.passed == 0
    assert explanation.audit.closes()
    np.testing.assert_allclose(explanation.at["first"], 1e-22, rtol=1e-6)
    assert not explanation.is_conservative().any()
    with pytest.raises(dtd.ConservationError, match=r"lost at z = 0 1e-22|second"):
        dtd.LRP(network, dtd.Z(), strict=True)(x)
    z_first = dtd.LRP(network, {"first": dtd.Z(), "second": dtd.Z(bias=False)}, strict=True)(x)
    np.testing.assert_allclose(z_first.relevance, 1, rtol=1e-6)


def test_subnormal_sums_pass_nothing_on(dtype):
    """z_j below the smallest normal number may be wrong by any share: R_j is lost, and said so."""
    tiny = float(np.finfo(dtype).tiny)
    x = np.array([[tiny * 2**-5]], dtype)
    explanation = dtd.LRP(one_weight(1.1, dtype), dtd.Z())(x, relevance=np.full((1, 1), tiny * 8))
    assert (explanation.relevance == 0).all()
    assert explanation.audit[0].lost == explanation.explained == tiny * 8
    assert not explanation.is_conservative().any()
    s, _, lost = ref.quotient([[[1.0, 1.0]]], [[tiny / 2, tiny]], [0, 0], smallest=tiny)
    assert s.tolist() == [[[0, 1 / tiny]]]
    assert lost.tolist() == [[[1, 0]]]


@given(
    st.integers(0, 2**32),
    st.sampled_from(RULES),
    st.sampled_from([np.float32, np.float64]),
    st.tuples(*[st.floats(-1, 1)] * 3),
)
def test_accounts_close_at_any_magnitude(seed, rule, dtype, powers):
    """x, w and R of 1e-37 … 1e37 (1e-300 … 1e300): received = passed + … + lost, to rounding."""
    rng = np.random.default_rng(seed)
    x, w, r = (
        (rng.standard_normal(shape) * 10.0 ** (power * DECADES[dtype])).astype(dtype)
        for shape, power in zip([(2, 4), (4, 3), (2, 2, 3)], powers, strict=True)
    )
    try:
        layer = dtd.Dense(w)
        if not np.isfinite(layer.forward(x)).all():
            return
        explanation = dtd.LRP(dtd.Network([layer]), rule)(x, relevance=r)
    except (FloatingPointError, ValueError):  # too large: said so
        return
    (entry,) = explanation.audit
    size = np.abs(explanation.relevance.astype(float)).sum(axis=-1) + np.abs(r.astype(float)).sum(2)
    rtol = 1e-4 if dtype == np.float32 else 1e-11
    assert (np.abs(entry.residual) <= rtol * size).all()
    loss = np.abs(explanation.total - entry.passed)
    assert (loss <= rtol * size).all()


@given(st.integers(0, 2**32), st.integers(0, 90), st.sampled_from(RULES))
def test_less_relevance_of_the_same_is_less_of_the_same_heatmap(seed, exponent, rule):
    """R · 2^-e gives the heatmap of R · 2^-e, to the bit where the dtype can hold it."""
    rng = np.random.default_rng(seed)
    network = dtd.Network(
        [
            dtd.Dense(rng.standard_normal((5, 6)).astype(np.float32)),
            dtd.ReLU(),
            dtd.NeuronPool(2),
            dtd.Dense(rng.standard_normal((3, 2)).astype(np.float32)),
        ]
    )
    x = rng.standard_normal((3, 5)).astype(np.float32)
    r = rng.standard_normal((3, 2)).astype(np.float32)
    whole = dtd.LRP(network, rule)(x, relevance=r).relevance
    less = dtd.LRP(network, rule)(x, relevance=np.ldexp(r, -exponent)).relevance
    expected = np.ldexp(whole, -exponent)
    held = np.abs(expected) >= np.finfo(np.float32).tiny
    assert (less[held] == expected[held]).all()


def layers_of(dtype):
    w = np.array([[1e-25, 2e-25], [3e-25, 1e-25]], dtype)
    return {
        "conv": [dtd.Conv(w.reshape(2, 2, 1, 1))],
        "pool": [dtd.AvgPool(2), dtd.Conv(w.reshape(2, 2, 1, 1))],
        "largest": [dtd.Conv(w.reshape(2, 2, 1, 1)), dtd.MaxPool(2)],
        "sum": [
            ("one", dtd.Conv(w.reshape(2, 2, 1, 1))),
            ("other", dtd.Conv(w.reshape(2, 2, 1, 1)), "input"),
            ("sum", dtd.Add(), ["one", "other"]),
        ],
        "norm": [
            ("conv", dtd.Conv(w.reshape(2, 2, 1, 1))),
            ("relu", dtd.ReLU()),
            ("norm", dtd.ChannelAffine(np.full(2, 3, dtype), np.full(2, 0.1, dtype))),
            ("pool", dtd.MaxPool(2)),
        ],
    }


@pytest.mark.parametrize("name", layers_of(np.float32))
@pytest.mark.parametrize("rule", [dtd.ZPlus(), dtd.Epsilon(1e-6), dtd.AlphaBeta(2, 1)], ids=str)
def test_every_kind_of_layer(name, rule, rng):
    network = dtd.Network(layers_of(np.float32)[name], (2, 2, 2))
    x = (rng.random((2, 2, 2, 2)) * 1e25).astype(np.float32)
    shape = network.output_shape
    r = np.stack([np.full((2, *shape), 1e-22), np.ones((2, *shape))], 1).astype(np.float32)
    explanation = dtd.LRP(network, rule)(x, relevance=r)
    assert explanation.audit.closes()
    # the tiny one is the ordinary one, but for its size
    tiny, ordinary = explanation.relevance[:, 0], explanation.relevance[:, 1]
    np.testing.assert_allclose(tiny.astype(float) * 1e22, ordinary, rtol=1e-5, atol=1e-9)


def test_no_row_depends_on_its_company(dtype, rng):
    network = dtd.Network([dtd.Dense(np.full((3, 2), 1e-25, dtype)), dtd.ReLU()])
    x = (rng.random((6, 3)) * 1e25).astype(dtype)
    r = rng.random((6, 2, 2)).astype(dtype)
    r[2, 1] *= 1e-22
    r[4] *= 1e-30
    given = r.copy()
    whole = dtd.LRP(network, dtd.ZPlus())(x, relevance=r, layers="all")
    assert (r == given).all()
    for row in range(6):
        for k in range(2):
            alone = dtd.LRP(network, dtd.ZPlus())(x[row : row + 1], relevance=r[row : row + 1, k])
            assert alone.relevance.tobytes() == whole.relevance[row, k].tobytes()
            for one, many in zip(alone.audit, whole.audit, strict=True):
                assert (one.passed[0], one.lost[0]) == (many.passed[row, k], many.lost[row, k])


def test_a_wrong_kernel_is_not_excused(monkeypatch):
    """What a layer fails to pass on is booked only as far as underflow can be the reason."""

    def nothing(self, x, term, s, accumulate, result, ahead=None):
        result[:] = 0

    monkeypatch.setattr(DenseOperator, "spread", nothing)
    for relevance in (1e-20, 1.0):
        r = np.array([[relevance]], np.float32)
        explain = dtd.LRP(one_weight(1.0), dtd.ZPlus())
        explanation = explain(np.ones((1, 1), np.float32), relevance=r)
        assert explanation.audit[0].lost == 0
        assert not explanation.audit.closes()


def test_the_bound():
    most = underflow.most_lost(np.dtype(np.float32), 3, 2, 1e25)
    assert most == pytest.approx(ref.most_lost(np.float32, 3, 2, 1e25))
    assert most == pytest.approx(1.4e-45 * 5 * 4 * 1e25, rel=0.01)
