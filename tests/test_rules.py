# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Rules: numbers by hand, the matrix rule x dtype x bias against the oracle, root points."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd
from dtdcore.rules import Rule

LOW, HIGH = -4.5, 5.25


def without_bias(shares, **options):
    return lambda x, w, b: shares(x, w, **options)


def with_bias(shares, **options):
    return lambda x, w, b: shares(x, w, b, **options)


def generalized(gamma, biased):
    return lambda x, w, b: ref.shares_generalized_gamma(
        x, w, b if biased else None, gamma=gamma, neuron_bias=b
    )


BOX = {"low": LOW, "high": HIGH}
#: name: (rule, (x, w, b) -> parts, epsilon)
RULES = {
    "WSquare": (dtd.WSquare(), without_bias(ref.shares_w_square), 0),
    "WSquare bias": (dtd.WSquare(bias=True), with_bias(ref.shares_w_square), 0),
    "ZPlus": (dtd.ZPlus(), without_bias(ref.shares_z_plus), 0),
    "ZPlus bias": (dtd.ZPlus(bias=True), with_bias(ref.shares_z_plus), 0),
    "ZB": (dtd.ZB(LOW, HIGH), without_bias(ref.shares_z_box, **BOX), 0),
    "ZB bias": (dtd.ZB(LOW, HIGH, bias=True), with_bias(ref.shares_z_box, **BOX), 0),
    "Z": (dtd.Z(), with_bias(ref.shares_z), 0),
    "Z no bias": (dtd.Z(bias=False), without_bias(ref.shares_z), 0),
    "Epsilon": (dtd.Epsilon(0.25), with_bias(ref.shares_z), 0.25),
    "Epsilon no bias": (dtd.Epsilon(0.25, bias=False), without_bias(ref.shares_z), 0.25),
    "Gamma": (dtd.Gamma(0.3), with_bias(ref.shares_gamma, gamma=0.3), 0),
    "Gamma no bias": (dtd.Gamma(0.3, bias=False), without_bias(ref.shares_gamma, gamma=0.3), 0),
    "GeneralizedGamma": (dtd.GeneralizedGamma(0.3), generalized(0.3, True), 0),
    "GeneralizedGamma no bias": (
        dtd.GeneralizedGamma(0.3, bias=False),
        generalized(0.3, False),
        0,
    ),
    "AlphaBeta": (dtd.AlphaBeta(2, 1), with_bias(ref.shares_alpha_beta, alpha=2, beta=1), 0),
    "AlphaBeta no bias": (
        dtd.AlphaBeta(1.5, 0.5, bias=False),
        without_bias(ref.shares_alpha_beta, alpha=1.5, beta=0.5),
        0,
    ),
    "AlphaBeta 1 0": (dtd.AlphaBeta(1, 0), with_bias(ref.shares_alpha_beta, alpha=1, beta=0), 0),
    "AlphaBeta conserve": (
        dtd.AlphaBeta(2, 1, conserve=True),
        with_bias(ref.shares_alpha_beta, alpha=2, beta=1, conserve=True),
        0,
    ),
    "Flat": (dtd.Flat(), without_bias(ref.shares_flat), 0),
}


def direction(inputs):
    return np.linspace(0.5, 1.5, inputs) * np.where(np.arange(inputs) % 3, 1, -1)


def check(rule, shares, epsilon, dtype, x, w, b, relevance):
    """layer.redistribute against the oracle, within the stated bound."""
    parts = shares(x.astype(float), w.astype(float), None if b is None else b.astype(float))
    expected = ref.redistribute(parts, relevance, epsilon)
    actual = dtd.Dense(w, b).redistribute(x, relevance, rule)
    assert actual.shape == (*relevance.shape[:2], x.shape[1])
    assert actual.dtype == dtype
    allowed = ref.tolerance(dtype, w.shape[0] + 1, w.shape[1]) * expected.scale
    assert (np.abs(actual - expected.relevance) <= allowed + np.finfo(dtype).tiny).all()
    return expected


# ------------------------------------------------------------------- by hand

X = np.array([[1.0, -2.0, 3.0]])
W = np.array([[2.0, -1.0], [1.0, 1.0], [-1.0, 2.0]])
B = np.array([4.0, -1.0])
R = np.array([[6.0, 10.0]])
# x w = [[2, -1], [-2, -2], [-3, 6]], a = [1, 2]
BY_HAND = {
    dtd.Z(bias=False): [2 / -3 * 6 - 10 / 3, 2 / 3 * 6 - 20 / 3, 6 + 20.0],
    dtd.Z(): [12 - 5, -12 - 10, -18 + 30],
    dtd.Epsilon(1.0): [6 - 10 / 3, -6 - 20 / 3, -9 + 20.0],
    dtd.WSquare(): [4 + 10 / 6, 1 + 10 / 6, 1 + 40 / 6],
    dtd.WSquare(bias=True): [4 / 22 * 6 + 10 / 7, 6 / 22 + 10 / 7, 6 / 22 + 40 / 7],
    dtd.Flat(): [2 + 10 / 3] * 3,
    dtd.ZPlus(): [6.0, 0.0, 10.0],
    dtd.ZPlus(bias=True): [2.0, 0.0, 10.0],
    # (x - l) w+ + (x - h) w-, l = -2, h = 4: [[6, 3], [0, 0], [1, 10]]
    dtd.ZB(-2, 4): [36 / 7 + 30 / 13, 0.0, 6 / 7 + 100 / 13],
    # doubled where w > 0, z with bias [3, 5]: [[4, -1], [-4, -4], [-3, 12]], b [8, -1]
    dtd.Gamma(1.0): [24 / 5 - 10 / 6, -24 / 5 - 40 / 6, -18 / 5 + 120 / 6],
    # a > 0, so positive contributions double: [[4, -1], [-2, -2], [-3, 12]], b [8, -1]
    dtd.GeneralizedGamma(1.0): [24 / 7 - 10 / 8, -12 / 7 - 20 / 8, -18 / 7 + 120 / 8],
    # z+ = [2 + 4, 6], z- = [-5, -3 - 1]
    dtd.AlphaBeta(2, 1): [4 + 0 - 10 / 4, -12 / 5 - 20 / 4, -18 / 5 + 20.0],
    # v w = [[2, -1], [1, 1], [-2, 4]], sums [1, 4]
    dtd.SearchDirection([1.0, 1.0, 2.0]): [12 - 2.5, 6 + 2.5, -12 + 10.0],
}


@pytest.mark.parametrize("rule", BY_HAND, ids=repr)
def test_numbers_by_hand(rule, dtype):
    layer = dtd.Dense(W.astype(dtype), B.astype(dtype))
    actual = layer.redistribute(X.astype(dtype), R.astype(dtype), rule)
    np.testing.assert_allclose(actual[0], BY_HAND[rule], rtol=8 * np.finfo(dtype).eps)


def test_oracle_agrees_with_the_numbers_by_hand():
    """The second opinion has to be right itself."""
    parts = {
        dtd.ZB(-2, 4): ref.shares_z_box(X, W, low=-2, high=4),
        dtd.Gamma(1.0): ref.shares_gamma(X, W, B, gamma=1),
        dtd.GeneralizedGamma(1.0): ref.shares_generalized_gamma(X, W, B, gamma=1),
        dtd.AlphaBeta(2, 1): ref.shares_alpha_beta(X, W, B, alpha=2, beta=1),
        dtd.ZPlus(bias=True): ref.shares_z_plus(X, W, B),
    }
    for rule, shares in parts.items():
        result = ref.redistribute(shares, R[:, None])
        np.testing.assert_allclose(result.relevance[0, 0], BY_HAND[rule], rtol=1e-13)
        balance = result.passed + result.bias + result.stabiliser + result.lost
        np.testing.assert_allclose(balance, result.received, rtol=1e-13)


# ------------------------------------------------------------------- the matrix


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("biased", [False, True], ids=["no b", "b"])
def test_rule_on_a_dense_layer(name, dtype, biased, rng):
    rule, shares, epsilon = RULES[name]
    for n, k, inputs, outputs in ((1, 1, 1, 1), (3, 1, 7, 5), (2, 3, 33, 17), (5, 2, 61, 130)):
        x = rng.uniform(LOW, HIGH, (n, inputs)).astype(dtype)
        x[rng.random(x.shape) < 0.1] = 0
        w = rng.standard_normal((inputs, outputs)).astype(dtype)
        b = rng.standard_normal(outputs).astype(dtype) if biased else None
        relevance = rng.standard_normal((n, k, outputs)).astype(dtype)
        expected = check(rule, shares, epsilon, dtype, x, w, b, relevance)
        assert np.abs(expected.relevance).max() > 0


def test_search_direction_on_a_dense_layer(dtype, rng):
    inputs, outputs = 23, 9
    w = rng.standard_normal((inputs, outputs)).astype(dtype)
    x = rng.standard_normal((4, inputs)).astype(dtype)
    relevance = rng.standard_normal((4, 2, outputs)).astype(dtype)
    for v in (direction(inputs), rng.standard_normal((inputs, outputs)).astype(dtype)):
        shares = without_bias(ref.shares_direction, v=np.asarray(v, float))
        check(dtd.SearchDirection(v), shares, 0, dtype, x, w, None, relevance)


def test_arrays_as_bounds(dtype, rng):
    inputs, outputs = 19, 6
    low, high = -rng.integers(0, 9, inputs) / 8, rng.integers(1, 9, inputs) / 8
    x = rng.uniform(low, high, (3, inputs)).astype(dtype)
    w = rng.standard_normal((inputs, outputs)).astype(dtype)
    relevance = rng.standard_normal((3, 1, outputs)).astype(dtype)
    for lo, hi in ((low, high), (low, 1.0), (-1.0, high)):
        shares = without_bias(ref.shares_z_box, low=lo, high=hi)
        check(dtd.ZB(lo, hi), shares, 0, dtype, x, w, None, relevance)


@pytest.mark.parametrize(
    ("rule", "same"),
    [
        (dtd.ZPlus(), dtd.AlphaBeta(1, 0, bias=False)),
        (dtd.ZPlus(bias=True), dtd.AlphaBeta(1, 0)),
        (dtd.Z(), dtd.Gamma(0)),
        (dtd.Z(), dtd.GeneralizedGamma(0)),
        (dtd.Z(bias=False), dtd.ZB(0, 0)),
        (dtd.Z(), dtd.Epsilon(1e-14)),
        (dtd.ZPlus(), dtd.Gamma(1e12, bias=False)),
    ],
    ids=repr,
)
def test_rules_that_are_the_same(rule, same, rng):
    """On x >= 0, where all of these are defined alike."""
    layer = dtd.Dense(rng.standard_normal((9, 7)), rng.standard_normal(7))
    x, relevance = rng.random((5, 9)), rng.standard_normal((5, 7))
    one, other = (layer.redistribute(x, relevance, r) for r in (rule, same))
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)


def test_w_square_is_the_direction_of_the_weights(rng):
    w = rng.standard_normal((8, 5))
    x, relevance = rng.standard_normal((3, 8)), rng.standard_normal((3, 5))
    layer = dtd.Dense(w)
    np.testing.assert_allclose(
        layer.redistribute(x, relevance, dtd.WSquare()),
        layer.redistribute(x, relevance, dtd.SearchDirection(w)),
        rtol=1e-12,
    )


def test_bias_defaults_are_the_published_ones():
    off = [dtd.WSquare(), dtd.ZPlus(), dtd.ZB(0, 1), dtd.Flat()]
    on = [dtd.Z(), dtd.Epsilon(1e-3), dtd.Gamma(), dtd.GeneralizedGamma(), dtd.AlphaBeta()]
    assert not any(rule.bias for rule in off)
    assert all(rule.bias for rule in on)
    assert not dtd.AlphaBeta().conserve


# ------------------------------------------------------------------- nothing to divide by


def account(rule, x, w, b, relevance):
    """The audit entry of a network of one dense layer under LRP."""
    net = dtd.Network([dtd.Dense(w, b)])
    explanation = dtd.LRP(net, rule)(x, relevance=relevance)
    return explanation, explanation.audit[0]


@pytest.mark.parametrize("name", [*RULES, "SearchDirection"])
def test_nothing_is_passed_where_z_is_zero(name, dtype):
    """A neuron without any share: R_j is lost, and nothing becomes NaN.

    The neuron beside it is whole, and does not notice.
    """
    rule = RULES[name][0] if name in RULES else dtd.SearchDirection([[0.0, 1.0], [1.0, 1.0]])
    w = np.array([[0.0, 1.0], [0.0, 2.0]], dtype)
    x = np.array([[1.0, 1.0]], dtype)
    relevance = np.array([[5.0, 3.0]], dtype)
    if name == "SearchDirection":
        with pytest.raises(ValueError, match=r"v .*neuron 0"):
            dtd.Dense(w).redistribute(x, relevance, rule)
        return
    explanation, entry = account(rule, x, w, None, relevance)
    assert np.isfinite(explanation.relevance).all()
    if name == "Flat":  # z_j = 2 always
        assert entry.lost[0] == 0
    elif rule.epsilon:
        assert entry.stabiliser[0] == pytest.approx(5 + 3 * 0.25 / 3.25, rel=1e-6)
        assert entry.lost[0] == 0
    elif name in ("ZB", "ZB bias"):
        assert entry.lost[0] == pytest.approx(5)  # w = 0, so z_j = 0 whatever the box
    elif name in ("AlphaBeta", "AlphaBeta no bias"):
        # Neuron 0 has no part at all; neuron 1 no negative part: its -beta R_j found no taker.
        assert entry.lost[0] == pytest.approx(5 - rule.beta * 3, rel=1e-6)
        assert entry.passed[0] == pytest.approx(rule.alpha * 3, rel=1e-6)
    else:
        assert entry.lost[0] == pytest.approx(5)
        assert entry.passed[0] == pytest.approx(3)
    assert entry.received[0] == 8
    assert abs(entry.residual[0]) <= (1e-5 if dtype == np.float32 else 1e-12)


def test_generalized_gamma_loses_what_a_neuron_at_zero_receives(dtype):
    """a_j = 0 exactly: neither sign's formula holds, so nothing is passed on."""
    rule = dtd.GeneralizedGamma(0.5)
    x, w = np.array([[1.0, 2.0]], dtype), np.array([[2.0, 1.0], [-1.0, 1.0]], dtype)
    explanation, entry = account(rule, x, w, None, np.array([[4.0, 6.0]], dtype))
    assert entry.lost[0] == 4
    assert entry.passed[0] == pytest.approx(6, rel=1e-6)
    # a_0 = 0 through the bias, while sum_i x_i w_ij = 3
    b = np.array([-3.0, 0.0], dtype)
    w = np.array([[1.0, 1.0], [1.0, 1.0]], dtype)
    explanation, entry = account(rule, x, w, b, np.array([[4.0, 6.0]], dtype))
    assert entry.lost[0] == 4
    np.testing.assert_allclose(explanation.relevance[0], [2.0, 4.0], rtol=1e-6)


def test_alpha_beta_without_a_negative_part():
    """As published alpha R_j; conserve=True: R_j. Without positive part: -beta R_j; R_j."""
    x, r = np.array([[1.0, 1.0]]), np.array([[8.0]])
    for w, published in (
        (np.array([[1.0], [3.0]]), [4, 12]),
        (np.array([[-1.0], [-3.0]]), [-2, -6]),
    ):
        layer = dtd.Dense(w)
        assert layer.redistribute(x, r, dtd.AlphaBeta(2, 1)).tolist() == [published]
        assert layer.redistribute(x, r, dtd.AlphaBeta(2, 1, conserve=True)).tolist() == [[2, 6]]


@pytest.mark.parametrize("name", RULES)
def test_tiny_and_huge_denominators_stay_finite(name, dtype):
    """Denormal z, s that overflows, huge x: finite, and the account closes, or a clear error."""
    rule = RULES[name][0]
    info = np.finfo(dtype)
    tiny, big = float(info.smallest_subnormal), float(info.max) ** 0.25
    for inputs, weights in (
        ([tiny, tiny], [[1.0], [1.0]]),
        ([tiny, -tiny], [[1.0], [0.5]]),
        ([1.0, 1.0], [[tiny], [tiny]]),
        ([1.0, -1.0], [[1.0], [1.0 - info.eps]]),
        ([big, big], [[big], [big]]),
        ([big, -big], [[big], [big * (1 - info.eps)]]),
    ):
        x, w = np.array([inputs], dtype), np.array(weights, dtype)
        if isinstance(rule, dtd.ZB):
            rule = dtd.ZB(-2 * big, 2 * big, bias=rule.bias)
        for relevance in (1.0, float(info.max) / 16):
            r = np.array([[relevance]], dtype)
            try:
                explanation, entry = account(rule, x, w, None, r)
            except FloatingPointError as error:  # R_i of the size of R_j / eps: not a number
                assert "layer dense_1" in str(error)
                assert relevance > 1
                continue
            assert np.isfinite(explanation.relevance).all()
            sizes = [entry.received, entry.passed, entry.bias, entry.stabiliser, entry.lost]
            assert np.isfinite(sizes).all()
            # Where z cancels, R_i is far larger than R_j, and so is the rounding error.
            size = max(np.abs(sizes).max(), np.abs(explanation.relevance).max())
            assert abs(entry.residual[0]) <= 64 * info.eps * size


INFINITE = {
    "ZB": (dtd.ZB(-3e38, 3e38), 0.0, 2.0, []),
    "Clip": (dtd.ZPlus(), 1e30, 1e30, [dtd.Clip(0, 6)]),
    "Tanh": (dtd.Z(), 1e30, 1e30, [dtd.Tanh()]),
}


@pytest.mark.parametrize("name", INFINITE)
def test_infinite_denominators_are_booked(name):
    """z_j overflows while the network's output is a number: R_j is lost and booked, or an error."""
    rule, x, w, more = INFINITE[name]
    network = dtd.Network([dtd.Dense(np.array([[w]], np.float32)), *more])
    x = np.array([[x]], np.float32)
    try:
        explanation = dtd.LRP(network, rule)(x, relevance=np.ones((1, 1), np.float32))
    except (FloatingPointError, ValueError) as error:
        assert "overflow" in str(error)
    else:
        assert explanation.relevance.tolist() == [[0]]
        assert explanation.audit[0].lost.tolist() == [1]


@pytest.mark.parametrize("rule", [dtd.ZPlus(), dtd.Z(bias=False), dtd.AlphaBeta(1, 0)], ids=repr)
def test_sums_that_would_overflow_are_booked(dtype, rule):
    """Each s_j is a number, but sum_j w_ij s_j is not: R_j counts as lost, nothing is infinite."""
    received = float(np.finfo(dtype).max) * 0.45 / 64
    x, w = np.full((1, 1), 1 / 64, dtype), np.ones((1, 4), dtype)
    explanation, entry = account(rule, x, w, None, np.full((1, 4), received, dtype))
    assert explanation.relevance.tolist() == [[0]]
    assert entry.passed[0] == 0
    np.testing.assert_allclose(entry.lost / received, [4.0], rtol=1e-6)


def test_vanishing_quotients_are_booked(dtype):
    """R_j / z_j too small for a number: R_j is lost and booked."""
    huge, tiny = (1e30, 1e-30) if dtype == np.float32 else (1e300, 1e-300)
    explanation, entry = account(
        dtd.ZPlus(),
        np.ones((1, 1), dtype),
        np.array([[huge]], dtype),
        None,
        np.array([[tiny]], dtype),
    )
    assert explanation.relevance.tolist() == [[0]]
    assert entry.lost[0] == pytest.approx(tiny, rel=1e-6)
    assert explanation.audit.closes()


@pytest.mark.parametrize("width", [3, 5, 67])
def test_overflowing_relevance_raises_or_stays_finite(dtype, width):
    """Shares big, -big and 1/big: the order of the sum decides whether z_j is 0 or 1/big.

    With 1/big, s_j is a number, and so is s_j w_ij, but x_i s_j w_ij is not.
    """
    big = dtype.type(float(np.finfo(dtype).max) ** 0.8)
    relevance = np.ones((1, 1), dtype)
    for places in itertools.permutations(range(0, width, max(width // 5, 1)), 3):
        x, w = np.zeros((1, width), dtype), np.ones((width, 1), dtype)
        x[0, places] = big, big, 1 / big
        w[places[1]] = -1
        try:
            result = dtd.Dense(w).redistribute(x, relevance, dtd.Z())
        except (FloatingPointError, ValueError) as error:
            assert "overflow" in str(error)
        else:
            assert np.isfinite(result).all()


# ------------------------------------------------------------------- arguments

INVALID = [
    (lambda: dtd.Epsilon(0), ValueError, "epsilon"),
    (lambda: dtd.Epsilon(-1e-6), ValueError, "epsilon"),
    (lambda: dtd.Epsilon(np.nan), ValueError, "epsilon"),
    (lambda: dtd.Epsilon("1"), TypeError, "epsilon"),
    (lambda: dtd.Gamma(-0.1), ValueError, "gamma"),
    (lambda: dtd.Gamma(np.inf), ValueError, "gamma"),
    (lambda: dtd.Gamma(None), TypeError, "gamma"),
    (lambda: dtd.GeneralizedGamma(-1), ValueError, "gamma"),
    (lambda: dtd.GeneralizedGamma([0.1]), TypeError, "gamma"),
    (lambda: dtd.AlphaBeta(2, 0.5), ValueError, "alpha"),
    (lambda: dtd.AlphaBeta(0.5, -0.5), ValueError, "alpha"),
    (lambda: dtd.AlphaBeta(np.nan, 1), ValueError, "alpha"),
    (lambda: dtd.AlphaBeta(2, "1"), TypeError, "beta"),
    (lambda: dtd.ZB(0.5, 1), ValueError, "low"),
    (lambda: dtd.ZB(-1, -0.5), ValueError, "high"),
    (lambda: dtd.ZB(-np.inf, 1), ValueError, "low"),
    (lambda: dtd.ZB(0, np.nan), ValueError, "high"),
    (lambda: dtd.ZB("0", 1), TypeError, "low"),
    (lambda: dtd.ZB(0, 1j), TypeError, "high"),
    (lambda: dtd.ZB([-1, 0.5], 1), ValueError, "low"),
    (lambda: dtd.SearchDirection([[[1.0]]]), ValueError, "v"),
    (lambda: dtd.SearchDirection(1.0), ValueError, "v"),
    (lambda: dtd.SearchDirection([1.0, np.nan]), ValueError, "v"),
    (lambda: dtd.SearchDirection("up"), TypeError, "v"),
]


@pytest.mark.parametrize(("make", "error", "name"), INVALID)
def test_invalid_arguments_are_named(make, error, name):
    with pytest.raises(error, match=rf"\b{name}\b"):
        make()


def test_bounds_and_directions_that_do_not_fit_the_layer():
    layer, x, r = dtd.Dense(np.ones((3, 2))), np.ones((1, 3)), np.ones((1, 2))
    for rule in (dtd.ZB([-1, 0], 1), dtd.ZB(0, np.ones(4))):
        with pytest.raises(ValueError, match=r"low|high"):
            layer.redistribute(x, r, rule)
    for v in (np.ones(2), np.ones((2, 3)), np.ones((3, 3))):
        with pytest.raises(ValueError, match=r"\bv\b"):
            layer.redistribute(x, r, dtd.SearchDirection(v))
    orthogonal = dtd.SearchDirection([1.0, -1.0, 0.0])
    with pytest.raises(ValueError, match="neuron 0"):
        layer.redistribute(x, r, orthogonal)
    with pytest.raises(ValueError, match="neuron 0"):
        orthogonal.root_points(x, layer)


ALL = [rule for rule, _, _ in RULES.values()] + [dtd.SearchDirection([1.0, 2.0])]


@pytest.mark.parametrize("rule", ALL, ids=repr)
def test_rules_are_frozen_values(rule):
    assert isinstance(rule, Rule)
    assert type(rule).__name__ in repr(rule)
    for field in dataclasses.fields(rule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(rule, field.name, 1)
    same = dataclasses.replace(rule)
    assert same == rule
    assert hash(same) == hash(rule)
    assert len({*ALL, same}) == len(set(ALL))


def test_different_rules_are_different():
    assert len(set(ALL)) == len(ALL)
    assert dtd.ZB(0, 1) != dtd.ZB(0, 2)
    assert dtd.ZB([0.0, -1.0], 1) != dtd.ZB([-1.0, 0.0], 1)
    assert dtd.SearchDirection([1.0, 2.0]) != dtd.SearchDirection([[1.0], [2.0]])
    assert dtd.Z() != dtd.ZPlus()


def test_rules_keep_copies_of_their_arrays():
    low = np.array([-1.0, -2.0])
    rule = dtd.ZB(low, 1)
    before = hash(rule)
    low[:] = 0
    assert hash(rule) == before
    assert rule == dtd.ZB([-1.0, -2.0], 1)
    with pytest.raises(ValueError, match="read-only"):
        rule.low[0] = 5
