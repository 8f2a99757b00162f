# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Chains in one pass: the quotient that the layer above makes, and the clamps that layers apply."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import _core

RULES = {
    "z+": dtd.ZPlus(),
    "z+, bias": dtd.ZPlus(bias=True),
    "epsilon": dtd.Epsilon(0.05),
    "epsilon, no bias": dtd.Epsilon(0.05, bias=False),
    "gamma": dtd.Gamma(0.25),
    "alpha beta": dtd.AlphaBeta(2, 1),
    "w2": dtd.WSquare(),
}


def network(rng, dtype, relu=True, clamp=None):
    """Convolutions of many kinds, one above the other, with a skip."""

    def conv(outputs, inputs, kernel, **options):
        weight = rng.standard_normal((outputs, inputs // options.get("groups", 1), kernel, kernel))
        bias = 0.1 * rng.standard_normal(outputs)
        return dtd.Conv(weight.astype(dtype), bias.astype(dtype), **options)

    layers = [
        ("a", conv(20, 3, 3, padding=1)),
        ("b", conv(33, 20, 3, padding=1, stride=2)),
        ("c", conv(33, 33, 3, padding=1, groups=33)),
        ("d", conv(3, 33, 1)),
        ("e", conv(17, 3, 5, padding=[(2, 1), (0, 2)])),
        ("f", conv(17, 17, 3, padding=1)),
        ("g", conv(17, 17, 1)),
    ]
    items = []
    for name, layer in layers:
        items += [(name, layer)]
        if relu:
            items += [(f"relu {name}", clamp or dtd.ReLU())]
    last = "relu " * relu
    items += [("sum", dtd.Add(), [f"{last}e", f"{last}g"]), ("flat", dtd.Flatten())]
    return dtd.Network(items, input_shape=(3, 15, 13))


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("relu", [True, False])
def test_a_quotient_made_by_the_layer_above_changes_no_bit(rule, dtype, relu):
    rng = np.random.default_rng(0)
    net = network(rng, dtype, relu)
    x = rng.standard_normal((3, 3, 15, 13)).astype(dtype)
    one, other = dtd.LRP(net, rule), dtd.LRP(net, rule)
    chained = next(iter(one._plans.values())).ahead
    if len(rule.terms()) == 1:
        assert len(chained) == 5  # not past the sum, and not where e's output goes two ways
    else:
        assert not chained
    next(iter(other._plans.values())).ahead = {}
    a, b = one(x, [[0, 5]] * 3), other(x, [[0, 5]] * 3)
    assert a.relevance.tobytes() == b.relevance.tobytes()
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    if relu or dtype == np.float64:  # else sums of far larger numbers that cancel
        assert a.audit.closes(tolerance)
    for mine, plain in zip(a.audit, b.audit, strict=True):
        for name in ("received", "passed", "bias", "stabiliser", "lost"):
            left, right = getattr(mine, name), getattr(plain, name)
            scale = np.abs(plain.received) + np.abs(plain.passed) + np.abs(a.relevance).sum()
            assert np.all(np.abs(left - right) <= 10 * tolerance * scale), (mine.name, name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
def test_accounts_of_chains_do_not_depend_on_threads_or_pieces(dtype):
    rng = np.random.default_rng(1)
    net = network(rng, dtype)
    x = rng.standard_normal((5, 3, 15, 13)).astype(dtype)
    explain = dtd.LRP(net, dtd.ZPlus(bias=True))
    before = dtd.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        _core.set_num_threads(threads)
        results.append(explain(x, 3))
    _core.set_num_threads(before)
    pieces = [explain(x[i : i + 1], 3) for i in range(5)]
    for entry, *others in zip(*(result.audit for result in results), strict=True):
        for other in others:
            assert entry.received.tobytes() == other.received.tobytes()
            assert entry.bias.tobytes() == other.bias.tobytes()
    for place, entry in enumerate(results[0].audit):
        received = np.concatenate([piece.audit[place].received for piece in pieces])
        assert entry.received.tobytes() == received.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
def test_relevance_that_cannot_go_on_is_booked_by_the_layer_above(dtype):
    # the lower layer's z is 0 where all its weights are negative
    rng = np.random.default_rng(2)
    lower = -np.abs(rng.standard_normal((20, 3, 3, 3)))
    lower[:10] *= -1
    upper = np.abs(rng.standard_normal((18, 20, 3, 3)))
    net = dtd.Network(
        [dtd.Conv(lower.astype(dtype)), dtd.Conv(upper.astype(dtype)), dtd.Flatten()],
        input_shape=(3, 9, 9),
    )
    x = rng.uniform(0, 1, (2, 3, 9, 9)).astype(dtype)
    rules = {"first": dtd.ZPlus(), "last": dtd.Flat()}
    start = rng.uniform(0, 1, (2, 18 * 25)).astype(dtype)
    chained = dtd.LRP(net, {"first": dtd.ZPlus(), "last": dtd.Gamma(0)})
    assert next(iter(chained._plans.values())).ahead
    explanation = chained(x, relevance=start)
    entry = explanation.audit["conv_1"]
    assert np.all(np.abs(entry.lost) > 0)
    np.testing.assert_allclose(
        entry.passed + entry.lost, entry.received, rtol=1e-5 if dtype == np.float32 else 1e-12
    )
    half = dtd.LRP(net, rules)(x, relevance=start).audit["conv_1"]
    np.testing.assert_allclose(half.lost, half.received / 2, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
def test_a_relu_in_the_layer_before_changes_no_bit(dtype):
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((20, 3, 3, 3)).astype(dtype)
    bias = rng.standard_normal(20).astype(dtype)
    conv, relu = dtd.Conv(weight, bias, padding=1), dtd.ReLU()
    dense = dtd.Dense(rng.standard_normal((6, 4)).astype(dtype), None)
    x = rng.standard_normal((4, 3, 7, 7)).astype(dtype)
    expected = relu.forward(conv.forward(x))
    assert dtd.Network([conv, relu]).forward(x).tobytes() == expected.tobytes()
    target = np.argmax(expected.reshape(4, -1), axis=1)
    one_hot = np.zeros((4, 20 * 49), dtype)
    one_hot[np.arange(4), target] = 1
    back = conv.gradient(x, relu.gradient(conv.forward(x), one_hot.reshape(expected.shape)))
    assert dtd.Network([conv, relu]).gradient(x, target).tobytes() == back.tobytes()
    y = rng.standard_normal((5, 6)).astype(dtype)
    expected = relu.forward(dense.forward(y))
    assert dtd.Network([dense, relu]).forward(y).tobytes() == expected.tobytes()


def test_a_quotient_for_the_layer_below_takes_no_accumulation():
    shape = _core.ConvShape(1, 1, 1, *[(1, 1, 1)] * 5, (0, 0, 0))
    block = np.zeros(16, np.float32)
    packed = np.zeros(shape.packed_size(True, 4), np.float32)
    account = np.zeros((1, 1, 4))
    arguments = (shape, True, 1, 1, block, packed, (1.0, 0.0, 0.0, 1.0), None, None, False, block)
    with pytest.raises(ValueError, match="argument"):
        _core.conv_redistribute_f32(*arguments, True, block.copy(), block, None, 0.0, 1.0, account)
    with pytest.raises(ValueError, match="next_account"):
        _core.conv_redistribute_f32(*arguments, False, block.copy(), block, None, 0.0, 1.0)


class Apart(dtd.Clip):
    """A clip of another type, which no layer applies itself."""


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("rule", [None, *RULES.values()], ids=["gradient", *RULES])
@pytest.mark.parametrize("high", [0.0, 0.4, 6.0])
def test_a_clip_made_by_the_layer_below_changes_nothing(rule, dtype, high):
    rng = np.random.default_rng(2)
    one = network(rng, dtype, clamp=dtd.Clip(0, high))
    other = network(np.random.default_rng(2), dtype, clamp=Apart(0, high))
    x = rng.standard_normal((3, 3, 15, 13)).astype(dtype)
    assert len(one._plain_plan(np.dtype(dtype)).work) < len(other._plain_plan(np.dtype(dtype)).work)
    assert one.forward(x).tobytes() == other.forward(x).tobytes()
    assert np.abs(one.forward(x)).max() > 0 or high == 0
    targets = [[0, 5]] * 3
    if rule is None:
        a, b = one.gradient(x, targets), other.gradient(x, targets)
    else:
        a, b = (dtd.LRP(net, rule)(x, targets).relevance for net in (one, other))
    assert np.abs(a).max() > 0 or high == 0
    # the quotients of chains are made elsewhere, of the same numbers
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("kind", ["dense", "add"])
def test_clips_behind_dense_layers_and_sums(kind):
    rng = np.random.default_rng(3)

    def make(clip):
        w = np.random.default_rng(4).standard_normal((6, 6))
        items = [("a", dtd.Dense(w, np.ones(6))), ("clip", clip), ("b", dtd.Dense(w.T))]
        if kind == "add":
            items[1:1] = [("c", dtd.Dense(w @ w)), ("sum", dtd.Add(), ["a", "c"])]
        return dtd.Network(items, input_shape=(6,))

    one, other = make(dtd.Clip(0, 1.5)), make(Apart(0, 1.5))
    x = rng.standard_normal((7, 6))
    np.testing.assert_array_equal(one.forward(x), other.forward(x))
    np.testing.assert_array_equal(one.gradient(x), other.gradient(x))
    for rule in (dtd.Epsilon(0.1), dtd.AlphaBeta(2, 1), dtd.GeneralizedGamma(0.5), dtd.WSquare()):
        a, b = dtd.LRP(one, rule)(x), dtd.LRP(other, rule)(x)
        np.testing.assert_array_equal(a.relevance, b.relevance)
