# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explainers: whole networks against the oracle, targets, starting relevance, strict."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import reference as ref
from nets import DEPTHS, build, inputs_in

import dtdcore as dtd

DOMAINS = {
    "reals": (dtd.Reals(), "reals"),
    "nonnegative": (dtd.NonNegative(), "nonnegative"),
    "box": (dtd.Box(0, 1), (0.0, 1.0)),
    "box around 0": (dtd.Box(-0.5, 1), (-0.5, 1.0)),
}


def assert_explains(explanation, steps, dtype):
    """Relevance and every account of the chain, against the oracle's steps (input up)."""
    relevance = explanation.relevance.reshape(steps[0].relevance.shape)
    rtol = 2e-4 if dtype == np.float32 else 1e-10
    scale = np.abs(steps[0].relevance).max(axis=-1, keepdims=True, initial=0)
    assert (np.abs(relevance - steps[0].relevance) <= rtol * scale).all()
    entries = list(explanation.audit)[::-1]
    assert len(entries) == len(steps)
    for entry, step in zip(entries, steps, strict=True):
        moved = np.abs(step.relevance).sum(axis=-1) + np.abs(step.received)
        for name in ("received", "passed", "bias", "stabiliser", "lost"):
            booked = getattr(entry, name).reshape(step.received.shape)
            assert (np.abs(booked - getattr(step, name)) <= rtol * moved).all(), name


# ------------------------------------------------------------------- deep Taylor decomposition


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("winner", [False, True], ids=["proportional", "winner"])
def test_deep_taylor(dtype, depth, name, winner, rng):
    domain, oracle_domain = DOMAINS[name]
    oracle, network = build(rng, dtype, DEPTHS[depth])
    x = inputs_in(rng, dtype, oracle_domain)
    pooling = "winner" if winner else "proportional"
    explanation = dtd.DeepTaylor(network, domain, pooling=pooling)(x)
    f = ref.network_activations(oracle, x)[-1]
    assert explanation.relevance.dtype == dtype
    np.testing.assert_allclose(explanation.output, f, rtol=1e-4, atol=1e-6)
    target = f.argmax(axis=1)
    assert (explanation.target == target).all()
    start = np.maximum(f, 0) * np.eye(f.shape[1])[target]
    assert (start > 0).any()
    shares = ref.deep_taylor_shares(oracle, oracle_domain)
    steps = ref.network_redistribute(oracle, x, start[:, None], shares, winner)
    assert_explains(explanation, steps, dtype)
    assert explanation.is_consistent().all()
    np.testing.assert_allclose(
        explanation.relevance.astype(float).sum(axis=1), start.sum(axis=1), rtol=1e-4, atol=1e-30
    )


@pytest.mark.parametrize("depth", DEPTHS)
def test_deep_taylor_with_positive_biases(dtype, depth, rng):
    """The audit closes; relevance that only a bias explains is lost and booked."""
    oracle, network = build(rng, dtype, DEPTHS[depth], bias=3.0)
    w = rng.standard_normal((12, DEPTHS[depth][0][1])).astype(dtype)
    w[:, :2] = -np.abs(w[:, :2])  # two neurons that nothing but the bias makes active
    oracle[0] = ("Dense", w, oracle[0][2])
    network = dtd.Network([dtd.Dense(*oracle[0][1:]), *network.layers[1:]])
    x = inputs_in(rng, dtype, (0.0, 1.0)) * dtype.type(0.1)
    explanation = dtd.DeepTaylor(network, dtd.NonNegative())(x)
    f = ref.network_activations(oracle, x)[-1]
    start = (np.maximum(f, 0) * np.eye(f.shape[1])[f.argmax(axis=1)])[:, None]
    shares = ref.deep_taylor_shares(oracle, "nonnegative")
    steps = ref.network_redistribute(oracle, x, start, shares)
    assert_explains(explanation, steps, dtype)
    assert explanation.audit.closes()
    if depth != "1 layer":  # there the largest output need not be one of the two
        assert (steps[0].lost > 0).any()
        assert not explanation.is_conservative().all()
        with pytest.raises(dtd.ConservationError, match="dense_1"):
            dtd.DeepTaylor(network, dtd.NonNegative())(x, strict=True)


def test_the_domain_gives_the_rule_of_the_first_layer(rng):
    _, network = build(rng, np.float64, DEPTHS["2 layers"])
    for domain, rule in (
        (dtd.Reals(), dtd.WSquare()),
        (dtd.NonNegative(), dtd.ZPlus()),
        (dtd.Box(-1, 2), dtd.ZB(-1, 2)),
    ):
        explainer = dtd.DeepTaylor(network, domain)
        by_rules = dtd.LRP(network, [rule, dtd.ZPlus()])
        x = rng.uniform(0, 1, (4, 12))
        one, other = explainer(x), by_rules(x)
        assert one.relevance.tobytes() == other.relevance.tobytes()
        assert explainer.rules[0] == rule
        assert repr(rule).split("(")[0] in explainer.summary()
    assert dtd.DeepTaylor(network).rules[0] == dtd.WSquare()


def test_images_and_boxes_with_arrays(dtype, rng):
    """A box for each channel of an input that is flattened before the first layer."""
    w = rng.standard_normal((24, 5)).astype(dtype)
    b = -np.abs(rng.standard_normal(5)).astype(dtype) * dtype.type(0.1)
    network = dtd.Network(
        [dtd.Flatten(), dtd.Dense(w, b), dtd.ReLU(), dtd.NeuronPool()], input_shape=(2, 3, 4)
    )
    low, high = np.array([-1, -0.5]).reshape(2, 1, 1), np.array([1, 2.0]).reshape(2, 1, 1)
    x = rng.uniform(low, high, (6, 2, 3, 4)).astype(dtype)
    explanation = dtd.DeepTaylor(network, dtd.Box(low, high))(x)
    assert explanation.relevance.shape == x.shape
    oracle = [("Dense", w, b), ("ReLU",), ("NeuronPool", None, 1)]
    flat_low, flat_high = (np.broadcast_to(v, (2, 3, 4)).reshape(24) for v in (low, high))
    start = ref.network_activations(oracle, x.reshape(6, 24))[-1][:, None]
    steps = ref.network_redistribute(
        oracle,
        x.reshape(6, 24),
        start,
        [lambda x, w, b: ref.shares_z_box(x, w, low=flat_low, high=flat_high)],
    )
    assert_explains(explanation, steps, dtype)
    assert explanation.is_consistent().all()


def test_negative_outputs_have_no_relevance_to_share(rng):
    """DeepTaylor explains max(0, f): a net without a ReLU at the end can say f < 0."""
    layer = dtd.Dense(np.array([[1.0], [-2.0]]))
    explanation = dtd.DeepTaylor(dtd.Network([layer]), dtd.NonNegative())(
        np.array([[1.0, 2.0], [3.0, 1.0]])
    )
    assert explanation.output[:, 0].tolist() == [-3, 1]
    assert explanation.explained.tolist() == [0, 1]
    assert explanation.relevance.tolist() == [[0, 0], [1, 0]]
    assert explanation.is_consistent().all()


# ------------------------------------------------------------------- LRP

MIXED = [
    (dtd.ZB(-1, 1), lambda x, w, b: ref.shares_z_box(x, w, low=-1, high=1)),
    (dtd.Gamma(0.5), lambda x, w, b: ref.shares_gamma(x, w, b, gamma=0.5)),
    (dtd.AlphaBeta(2, 1), lambda x, w, b: ref.shares_alpha_beta(x, w, b, alpha=2, beta=1)),
    (dtd.Epsilon(0.1), (ref.shares_z, 0.1)),
]


def test_lrp_with_a_rule_for_each_layer(dtype, rng):
    oracle, network = build(rng, dtype, DEPTHS["4 layers"], bias=0.2)
    x = inputs_in(rng, dtype, (-1, 1))
    explanation = dtd.LRP(network, [rule for rule, _ in MIXED])(x, target=1)
    f = ref.network_activations(oracle, x)[-1]
    start = (f * np.eye(2)[1])[:, None]
    steps = ref.network_redistribute(oracle, x, start, [shares for _, shares in MIXED])
    assert_explains(explanation, steps, dtype)
    assert (explanation.explained == explanation.output[:, 1]).all()
    assert explanation.audit.closes(1e-3)


def test_lrp_starts_from_negative_outputs_too(rng):
    layer = dtd.Dense(np.array([[1.0], [-2.0]]))
    explanation = dtd.LRP(dtd.Network([layer]), dtd.Z())(np.array([[1.0, 2.0]]))
    assert explanation.explained.tolist() == [-3]
    assert explanation.relevance.tolist() == [[1, -4]]


def test_ways_to_name_rules_are_the_same(rng):
    _, network = build(rng, np.float64, DEPTHS["3 layers, pools"])
    x = rng.uniform(0, 1, (4, 12))
    first, rest = dtd.WSquare(), dtd.Gamma(0.1)
    expected = dtd.LRP(network, [first, rest, rest])(x).relevance
    for rules in (
        (first, rest, rest),
        {"dense_1": first, "dense_*": rest},
        {"dense_1": first, "Dense": rest},
        {"dense_1": first, dtd.Dense: rest},
        {"dense_1": first, dtd.Layer: rest},
    ):
        assert (dtd.LRP(network, rules)(x).relevance == expected).all()
    everywhere = dtd.LRP(network, rest)(x).relevance
    assert (everywhere == dtd.LRP(network, {"*": rest})(x).relevance).all()
    assert not (everywhere == expected).all()


def test_rules_that_do_not_fit_are_named(rng):
    _, network = build(rng, np.float64, DEPTHS["2 layers"])
    z = dtd.Z()
    with pytest.raises(ValueError, match="1 rules for 2 layers"):
        dtd.LRP(network, [z])
    with pytest.raises(ValueError, match="dense_2"):
        dtd.LRP(network, {"dense_1": z})
    with pytest.raises(ValueError, match="dense_7"):
        dtd.LRP(network, {"Dense": z, "dense_7": z})
    for wrong in (["Z", "Z"], 3, [z, None], {"Dense": "Z"}, dtd.Z):
        with pytest.raises(TypeError, match="rules"):
            dtd.LRP(network, wrong)
    with pytest.raises(ValueError, match=r"\bv\b"):
        dtd.LRP(network, dtd.SearchDirection([1.0, 2.0]))
    with pytest.raises(ValueError, match="low"):
        dtd.LRP(network, dtd.ZB([-1.0, 0.0], 1))
    with pytest.raises(ValueError, match="pooling"):
        dtd.LRP(network, z, pooling="mean")


# ------------------------------------------------------------------- targets

EXPLAINERS = {
    "DeepTaylor": lambda net: dtd.DeepTaylor(net, dtd.Box(-1, 1)),
    "LRP": lambda net: dtd.LRP(net, dtd.Epsilon(0.01)),
    "LRP alpha-beta": lambda net: dtd.LRP(net, dtd.AlphaBeta(2, 1)),
    "Sensitivity": dtd.Sensitivity,
    "GradientTimesInput": dtd.GradientTimesInput,
    "IntegratedGradients": lambda net: dtd.IntegratedGradients(net, steps=8),
    "SmoothGrad": lambda net: dtd.SmoothGrad(net, samples=4),
    "Taylor": lambda net: dtd.Taylor(net, root=np.full(12, 0.05)),
}


@pytest.mark.parametrize("name", EXPLAINERS)
def test_k_targets_are_k_single_calls(dtype, name, rng):
    """To the bit, with one forward pass for all."""
    _, network = build(rng, dtype, DEPTHS["3 layers, pools"])
    explainer = EXPLAINERS[name](network)
    x = inputs_in(rng, dtype, (-1, 1), n=7)
    targets = rng.integers(0, 5, (7, 3))
    together = explainer(x, targets)
    assert together.relevance.shape == (7, 3, 12)
    assert together.explained.shape == (7, 3)
    assert (together.target == targets).all()
    for k in range(3):
        alone = explainer(x, targets[:, k])
        assert alone.relevance.shape == (7, 12)
        assert alone.relevance.tobytes() == together.relevance[:, k].copy().tobytes()
        assert (alone.explained == together.explained[:, k]).all()
        assert (alone.target == targets[:, k]).all()
        if alone.audit is not None:
            for one, many in zip(alone.audit, together.audit, strict=True):
                for part in ("received", "passed", "bias", "stabiliser", "lost"):
                    assert (getattr(one, part) == getattr(many, part)[:, k]).all()


@pytest.mark.parametrize("name", EXPLAINERS)
def test_ways_to_name_a_target(dtype, name, rng):
    _, network = build(rng, dtype, DEPTHS["2 layers"])
    explainer = EXPLAINERS[name](network)
    x = inputs_in(rng, dtype, (-1, 1), n=5)
    default = explainer(x)
    largest = default.output.argmax(axis=1)
    assert (default.target == largest).all()
    assert (explainer(x, largest).relevance == default.relevance).all()
    assert (explainer(x, target=list(largest)).relevance == default.relevance).all()
    two = explainer(x, 2)
    assert two.target.tolist() == [2] * 5
    for same in (np.int32(2), np.full(5, 2, np.uint8), [2, 2, 2, 2, 2]):
        assert (explainer(x, same).relevance == two.relevance).all()
    none = explainer(x, np.zeros((5, 0), int))
    assert none.relevance.shape == (5, 0, 12)


@pytest.mark.parametrize("name", EXPLAINERS)
def test_empty_batches(name, rng):
    _, network = build(rng, np.float64, DEPTHS["2 layers"])
    explainer = EXPLAINERS[name](network)
    x = np.zeros((0, 12))
    explanation = explainer(x)
    assert explanation.relevance.shape == (0, 12)
    assert explanation.output.shape == (0, 3)
    assert explanation.explained.shape == (0,)
    assert explanation.is_consistent().shape == (0,)
    assert explainer(x, 1).relevance.shape == (0, 12)
    assert explainer(x, np.zeros((0, 4), int)).relevance.shape == (0, 4, 12)


@pytest.mark.parametrize("name", EXPLAINERS)
@pytest.mark.parametrize(
    ("target", "error"),
    [
        (3, ValueError),
        (-1, ValueError),
        ([0, 1], ValueError),
        (np.zeros((2, 3, 1), int), ValueError),
        ([0, 1, 3], ValueError),
        (0.0, TypeError),
        ([0.0, 1.0, 2.0], TypeError),
        ("0", TypeError),
        (True, TypeError),
    ],
    ids=repr,
)
def test_wrong_targets(name, target, error, rng):
    _, network = build(rng, np.float64, DEPTHS["2 layers"])
    explainer = EXPLAINERS[name](network)
    with pytest.raises(error, match="target"):
        explainer(np.zeros((3, 12)), target)


# ------------------------------------------------------------------- starting relevance


def test_starting_relevance(dtype, rng):
    oracle, network = build(rng, dtype, DEPTHS["3 layers, pools"])
    x = inputs_in(rng, dtype, (0, 1), n=4)
    explainer = dtd.DeepTaylor(network, dtd.NonNegative())
    start = rng.standard_normal((4, 3, 5)).astype(dtype)
    explanation = explainer(x, relevance=start)
    assert explanation.target is None
    np.testing.assert_allclose(explanation.explained, start.sum(axis=2), rtol=1e-5, atol=1e-6)
    steps = ref.network_redistribute(
        oracle, x, start, ref.deep_taylor_shares(oracle, "nonnegative")
    )
    assert_explains(explanation, steps, dtype)
    single = explainer(x, relevance=start[:, 1])
    assert single.relevance.tobytes() == explanation.relevance[:, 1].copy().tobytes()
    assert single.explained.shape == (4,)
    # A target is nothing but the starting relevance max(0, f) at one output.
    by_target = explainer(x, 2)
    f = np.maximum(by_target.output, 0) * np.eye(5, dtype=dtype)[2]
    assert (explainer(x, relevance=f).relevance == by_target.relevance).all()


@pytest.mark.parametrize(
    "wrong",
    [np.ones((4, 4)), np.ones((3, 5)), np.ones(5), np.ones((4, 2, 4)), np.full((4, 5), np.nan)],
    ids=lambda a: str(a.shape),
)
def test_wrong_starting_relevance(wrong, rng):
    _, network = build(rng, np.float64, DEPTHS["3 layers, pools"])
    with pytest.raises(ValueError, match="relevance"):
        dtd.DeepTaylor(network)(np.zeros((4, 12)), relevance=wrong)


def test_target_and_relevance_exclude_each_other(rng):
    _, network = build(rng, np.float64, DEPTHS["1 layer"])
    x = np.zeros((2, 12))
    with pytest.raises(ValueError, match="relevance"):
        dtd.DeepTaylor(network)(x, 0, relevance=np.ones((2, 8)))
    with pytest.raises(ValueError, match="relevance"):
        dtd.Sensitivity(network)(x, relevance=np.ones((2, 8)))
    with pytest.raises(TypeError, match="relevance"):
        dtd.LRP(network)(x, relevance="all")


# ------------------------------------------------------------------- strict


def test_strict_names_the_layer(rng):
    """The second layer's bias takes a share; the first layer conserves."""
    _, network = build(rng, np.float64, DEPTHS["2 layers"], bias=1.0)
    x = rng.uniform(0, 1, (4, 12))
    rules = [dtd.WSquare(), dtd.Z()]
    with pytest.raises(dtd.ConservationError, match=r"dense_2 .*bias"):
        dtd.LRP(network, rules, strict=True)(x)
    with pytest.raises(dtd.ConservationError, match="dense_2"):
        dtd.LRP(network, rules)(x, strict=True)
    assert dtd.LRP(network, rules, strict=True)(x, strict=False).relevance.shape == (4, 12)
    assert dtd.LRP(network, rules, strict=True, tolerance=10.0)(x).relevance.shape == (4, 12)
    with pytest.raises(dtd.ConservationError, match="dense_1"):
        dtd.LRP(network, [dtd.Epsilon(0.5, bias=False), dtd.ZPlus()])(x, strict=True)
    assert issubclass(dtd.ConservationError, ArithmeticError)


def test_strict_is_silent_where_relevance_is_conserved(dtype, rng):
    _, network = build(rng, dtype, DEPTHS["4 layers"])
    x = inputs_in(rng, dtype, (0, 1), n=30)
    explanation = dtd.DeepTaylor(network, dtd.Box(0, 1), strict=True)(x)
    assert (explanation.explained > 0).any()


@pytest.mark.parametrize("tolerance", [-1.0, np.nan, "1"])
def test_wrong_tolerance(tolerance, rng):
    _, network = build(rng, np.float64, DEPTHS["1 layer"])
    with pytest.raises((ValueError, TypeError), match="tolerance"):
        dtd.DeepTaylor(network, strict=True, tolerance=tolerance)


# ------------------------------------------------------------------- in short


def test_explain_in_one_call(tmp_path, rng):
    _, network = build(rng, np.float64, DEPTHS["2 layers"])
    x = rng.uniform(0, 1, (3, 12))
    path = network.save(tmp_path / "net.npz")
    expected = dtd.DeepTaylor(network, dtd.Box(0, 1), pooling="winner")(x, 1).relevance
    for source in (network, path, str(path)):
        explanation = dtd.explain(source, x, 1, domain=dtd.Box(0, 1), pooling="winner")
        assert (explanation.relevance == expected).all()
    start = np.array([[1.0, 0.0, 2.0]] * 3)
    explanation = dtd.explain(network, x, relevance=start, domain=dtd.Box(0, 1))
    assert explanation.explained.tolist() == [3.0] * 3
    with pytest.raises(TypeError, match="dommain"):
        dtd.explain(network, x, dommain=dtd.Reals())


def test_input_of_another_dtype_than_the_weights(rng):
    """float32 weights explain float64 inputs in float64, and the other way round."""
    oracle, net32 = build(rng, np.float32, DEPTHS["2 layers"])
    x = rng.uniform(0, 1, (4, 12))
    explanation = dtd.DeepTaylor(net32, dtd.Box(0, 1))(x)
    assert explanation.relevance.dtype == np.float64
    start = np.maximum(ref.network_activations(oracle, x)[-1], 0)
    start = (start * np.eye(3)[start.argmax(axis=1)])[:, None]
    steps = ref.network_redistribute(oracle, x, start, ref.deep_taylor_shares(oracle, (0, 1)))
    assert_explains(explanation, steps, np.float64)
    assert dtd.DeepTaylor(net32)(np.ones((1, 12), int)).relevance.dtype == np.float32


@pytest.mark.parametrize(
    "rule",
    [dtd.Z(), dtd.ZPlus(), dtd.ZB(-1, 1), dtd.WSquare(), dtd.Flat(), dtd.AlphaBeta(2, 1),
     dtd.GeneralizedGamma(0.5), dtd.Epsilon(0.1)],
    ids=lambda rule: type(rule).__name__,
)  # fmt: skip
def test_no_targets_of_any_layer(rule, rng):
    network = dtd.Network(
        [
            ("scale", dtd.ChannelAffine(rng.standard_normal(2), rng.standard_normal(2))),
            ("relu", dtd.ReLU()),
            ("conv", dtd.Conv(rng.standard_normal((2, 2, 3, 3)), padding=1)),
            ("sum", dtd.Add(), ["relu", "conv"]),
            ("pool", dtd.AvgPool(2)),
            ("flat", dtd.Flatten()),
            ("dense", dtd.Dense(rng.standard_normal((8, 3)))),
        ],
        input_shape=(2, 4, 4),
    )
    x = rng.uniform(-1, 1, (5, 2, 4, 4))
    explanation = dtd.LRP(network, rule)(x, np.zeros((5, 0), int))
    assert explanation.relevance.shape == (5, 0, 2, 4, 4)
    assert explanation.explained.shape == (5, 0)


def test_no_result_is_a_view_of_the_inputs(rng):
    identity = dtd.Network([dtd.Identity()], input_shape=(3,))
    both = dtd.Network(
        [("sum", dtd.Add(), ["left", "right"])], input_shape={"left": (3,), "right": (3,)}
    )
    x = rng.random((2, 3))
    for network, inputs, node in ((identity, x, None), (identity, x, "input"),
                                  (both, {"left": x, "right": x}, "left")):  # fmt: skip
        for explain in (dtd.LRP(network), dtd.GradientTimesInput(network)):
            explanation = explain(inputs, 0, node=node)
            results = [explanation.output, explanation.explained]
            for part in (explanation.relevance, explanation.inputs):
                results.extend(part.values() if isinstance(part, dict) else [part])
            assert not any(np.may_share_memory(result, x) for result in results)
        assert not np.may_share_memory(network.forward(inputs, node=node), x)


@pytest.mark.parametrize("copy", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_networks_and_explainers_that_ran_can_be_copied(copy, rng):
    network = dtd.Network(
        [
            dtd.Conv(rng.standard_normal((4, 2, 3, 3)), rng.standard_normal(4)),
            dtd.BatchNorm(np.zeros(4), np.ones(4)),
            dtd.ReLU(),
            dtd.MaxPool(2),
            dtd.Flatten(),
            dtd.Dense(rng.standard_normal((16, 3))),
        ],
        input_shape=(2, 6, 6),
    )
    x = rng.random((2, 2, 6, 6))
    explainers = [dtd.DeepTaylor(network, dtd.Box(0, 1)), dtd.LRP(network, "epsilon-plus"),
                  dtd.Sensitivity(network)]  # fmt: skip
    for explain in explainers:
        before = explain(x, 1, node=None)
        assert copy(explain)(x, 1).relevance.tobytes() == before.relevance.tobytes()
    assert copy(network).forward(x).tobytes() == network.forward(x).tobytes()
    assert copy(network).summary() == network.summary()
