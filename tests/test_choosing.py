# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Which layer takes which rule: presets, places, names and types, domains over graphs."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore.choosing import PRESETS, first_layers, last_layers

E, P = dtd.Epsilon(), dtd.ZPlus()
G, GENERAL = dtd.Gamma(0.25), dtd.GeneralizedGamma(0.25)


def names(network, numbers):
    return {network.nodes[number].name for number in numbers}


def rules_of(explain):
    return {
        node.name: rule
        for node, rule in zip(explain._merged.nodes, explain.rules, strict=True)
        if rule is not None
    }


def graph(rng, **options):
    """Two stems on the input, a skip around `c`, and two heads."""
    w = rng.random((4, 4))
    return dtd.Network(
        [
            ("flat", dtd.Flatten()),
            ("a", dtd.Dense(w)),
            ("b", dtd.Dense(w), "flat"),
            ("sum", dtd.Add(), ["a", "b"]),
            ("c", dtd.Dense(w)),
            ("relu", dtd.ReLU()),
            ("skip", dtd.Add(), ["relu", "sum"]),
            ("head_1", dtd.Dense(w)),
            ("head_2", dtd.Dense(w), "skip"),
            ("out", dtd.Concat(), ["head_1", "head_2"]),
        ],
        **options,
    )


def test_first_and_last(rng):
    network = graph(rng)
    assert names(network, first_layers(network)) == {"a", "b"}
    assert names(network, last_layers(network)) == {"head_1", "head_2"}
    one = dtd.Network([dtd.Dense(rng.random((4, 4)))])
    assert first_layers(one) == last_layers(one) == {0}
    assert names(graph(rng, output="skip"), last_layers(graph(rng, output="skip"))) == {"c"}


def test_rules_by_place(rng):
    rules = {"first": dtd.Flat(), "last": dtd.Z(), "c": dtd.Gamma(), "Add": P}
    assert rules_of(dtd.LRP(graph(rng), rules)) == {
        "a": dtd.Flat(),
        "b": dtd.Flat(),
        "sum": P,
        "c": dtd.Gamma(),
        "skip": P,
        "head_1": dtd.Z(),
        "head_2": dtd.Z(),
    }
    rules = rules_of(dtd.LRP(graph(rng), {"head_?": E, dtd.Dense: P}))
    assert rules["head_1"] == rules["head_2"] == E
    assert rules["a"] == rules["b"] == rules["c"] == P
    assert rules["sum"] == dtd.Z(bias=False)  # nothing was said for it
    assert rules_of(dtd.LRP(graph(rng), {"*": E})) == dict.fromkeys(rules, E)


def test_an_exact_name_wins_over_globs(rng):
    w = rng.random((4, 4))
    names = ["block[0].fc", "block[1].fc", "block0.fc", "a*", "ab", "first"]
    network = dtd.Network([(name, dtd.Dense(w)) for name in names])
    one = dtd.Flat()
    for name in names[:-1]:
        for rules in ({name: one, "*": E}, {"*": E, name: one}):
            assert rules_of(dtd.LRP(network, rules)) == dict.fromkeys(names, E) | {name: one}
    # as a glob, brackets hold characters; of two that fit the first is taken
    rules = rules_of(dtd.LRP(network, {"block[0]*": one, "block[[][01]].fc": P, "*": E}))
    assert [rules[name] for name in names[:3]] == [P, P, one]
    with pytest.raises(ValueError, match=r"took the rule for .*x\[0\].*\[\[\] a bracket"):
        dtd.LRP(network, {"*": E, "x[0]": P})
    # a name that is also a place
    assert rules_of(dtd.LRP(dtd.Network([("first", dtd.Dense(w))]), {"first": one})) == {
        "first": one
    }
    with pytest.raises(ValueError, match=r"'first' says a place.*call that layer firs\[t\]"):
        dtd.LRP(network, {"first": one, "*": E})
    rules = rules_of(dtd.LRP(network, {"firs[t]": one, "*": E}))
    assert rules == dict.fromkeys(names, E) | {"first": one}


def test_one_rule_or_a_sequence(rng):
    assert set(rules_of(dtd.LRP(graph(rng), P)).values()) == {P}
    five = [P, E, dtd.Z(), dtd.Flat(), dtd.WSquare()]
    rules = rules_of(dtd.LRP(graph(rng), five))
    assert [rules[n] for n in ("a", "b", "c", "head_1", "head_2")] == five
    assert rules["skip"] == dtd.Z(bias=False)
    with pytest.raises(ValueError, match="7 rules for 5"):
        dtd.LRP(graph(rng), [P] * 7)


def test_the_chosen_rules_can_be_read_before_running(rng):
    text = dtd.LRP(graph(rng), {"first": dtd.Flat(), "*": E}).summary()
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert "Flat()" in lines["b"]
    assert "Epsilon" in lines["c"]
    assert lines["relu"].endswith("-")
    assert "relu, sum" in lines["skip"]


def test_what_does_not_fit_is_an_error(rng):
    network = graph(rng)
    with pytest.raises(ValueError, match=r"no layer took the rule for .*BatchNorm"):
        dtd.LRP(network, {"*": E, dtd.BatchNorm: P})
    with pytest.raises(ValueError, match="no rule fits the layer c"):
        dtd.LRP(network, {"first": E, "last": P})
    with pytest.raises(ValueError, match="no preset 'lrp-z'; there are epsilon, z-plus"):
        dtd.LRP(network, "lrp-z")
    with pytest.raises(ValueError, match="relu"):
        dtd.LRP(network, {"*": E, "relu": P})


PRESET_RULES = {
    "epsilon": (E, E, E, E),
    "z-plus": (P, P, P, P),
    "epsilon-plus": (P, P, E, dtd.Z(bias=False)),
    "epsilon-plus-flat": (dtd.Flat(), P, E, dtd.Z(bias=False)),
    "epsilon-alpha2-beta1": (dtd.AlphaBeta(2, 1), dtd.AlphaBeta(2, 1), E, dtd.Z(bias=False)),
    "gamma-epsilon": (GENERAL, GENERAL, E, dtd.Z(bias=False)),  # no ReLU
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name, rng):
    """First convolution, second, dense layer, sum."""
    w = rng.standard_normal((4, 4, 1))
    network = dtd.Network(
        [
            ("first", dtd.Conv(w)),
            ("second", dtd.Conv(w)),
            ("sum", dtd.Add(), ["second", "first"]),
            dtd.Flatten(),
            ("dense", dtd.Dense(rng.standard_normal((12, 4)))),
        ],
        input_shape=(4, 3),
    )
    explain = dtd.LRP(network, name)
    wanted = dict(zip(("first", "second", "dense", "sum"), PRESET_RULES[name], strict=True))
    assert rules_of(explain) == wanted
    x = rng.random((3, 4, 3))
    assert (explain(x, 1).relevance == dtd.LRP(network, wanted)(x, 1).relevance).all()


def gamma_of(layers, rng, shape=(3, 6)):
    """The rule that "gamma-epsilon" gives the convolution "conv" behind a ReLU and `layers`."""
    w = rng.standard_normal((3, 3, 1))
    rest = [("conv", dtd.Conv(w)), ("last", dtd.ReLU())]
    network = dtd.Network([("in", dtd.Conv(w)), ("relu", dtd.ReLU()), *layers, *rest], shape)
    rules = rules_of(dtd.LRP(network, "gamma-epsilon"))
    assert rules["in"] == GENERAL  # nothing is known of x
    return rules["conv"]


def test_gamma_where_values_cannot_be_negative(rng):
    """And generalised γ elsewhere: whatever can be negative, or goes on without a ReLU."""
    kept = [
        [],
        [dtd.Clip(0, 6)],
        [dtd.Clip(-1, 6)],
        [dtd.Tanh(), dtd.Sigmoid()],
        [dtd.LeakyReLU(), dtd.PReLU([0.1, 0.2, 0.3]), dtd.ELU(), dtd.HardSwish()],
        [dtd.MaxPool(2), dtd.AvgPool(1), dtd.SumPool(1)],
        [dtd.LeakyReLU(), dtd.Sigmoid()],
        [dtd.Conv(rng.standard_normal((3, 3, 1))), dtd.LpPool(2, 1)],
        [("sum", dtd.Add(), ["relu", "relu"])],
        [dtd.Multiply([[2.0], [-1.0], [1.0]])],  # becomes part of the weights
        [dtd.Multiply([[2.0], [0.0], [1.0]]), dtd.Pad((0, 1), (0, 0)), dtd.Slice(1, 0, 7)],
        [dtd.ChannelAffine([1.0, 2.0, 0.0], [0.0, 1.0, 0.0]), ("id", dtd.Identity()), dtd.LRN(3)],
    ]
    signed = [
        [("c", dtd.Conv(rng.standard_normal((3, 3, 1)))), dtd.Tanh()],
        [("c", dtd.Conv(rng.standard_normal((3, 3, 1)))), dtd.LeakyReLU()],
        [("c", dtd.Conv(rng.standard_normal((3, 3, 1)))), dtd.MaxPool(2)],
        [("sum", dtd.Add(), ["relu", "in"])],
        [("gate", dtd.Gate(), ["in", "relu"])],
        [("cat", dtd.Concat(1), ["in", "relu"])],
        [dtd.Clip(-2, -1)],
        [dtd.Pad((0, 1), (0, 0), -1)],
    ]
    for layers in kept:
        assert gamma_of(layers, rng) == G, layers
    for layers in signed:
        assert gamma_of(layers, rng) == GENERAL, layers
    w = rng.standard_normal((3, 3, 1))
    for last in ([], [dtd.LeakyReLU()], [dtd.Clip(-1, 1)], [("s", dtd.Add(), ["conv", "relu"])]):
        network = dtd.Network([dtd.Conv(w), ("relu", dtd.ReLU()), ("conv", dtd.Conv(w)), *last])
        assert rules_of(dtd.LRP(network, "gamma-epsilon"))["conv"] == GENERAL, last


def test_shares_of_gamma_stay_bounded(rng, dtype):
    """Where z of the γ-rule is nearly 0: by hand, x = (-1, -1.2500001), w = (1, -1), γ = 1/4."""
    x = np.array([[[-1.0], [-1.2500001]]], dtype)
    network = dtd.Network([dtd.Conv(np.array([[[1.0], [-1.0]]], dtype))])
    explode = dtd.LRP(network, dtd.Gamma(0.25))(x)
    assert np.abs(explode.relevance).sum() > 1e4 * abs(explode.explained[0])
    bounded = dtd.LRP(network, "gamma-epsilon")(x)
    # a_j > 0, so what speaks for it counts 1 + γ times: z = -1 + 1.25 · 1.2500001
    q = np.array([-1, 1.25 * 1.2500001])
    wanted = q / q.sum() * bounded.explained[0]
    np.testing.assert_allclose(bounded.relevance.ravel(), wanted, rtol=1e-5)
    # behind a ReLU, an output with a_j < 0 that a sum gives relevance: γ's z is 0 to rounding
    layers = [
        ("relu", dtd.ReLU()),
        ("conv", dtd.Conv(np.array([[[1.0], [-1.25]]], dtype))),
        ("ones", dtd.Conv(np.array([[[1.0], [0.0]]], dtype)), "relu"),
        ("sum", dtd.Add(), ["conv", "ones"]),
        ("out", dtd.ReLU()),
    ]
    x = np.array([[[1.0], [1.0000001]]], dtype)
    network = dtd.Network(layers)
    for rule, most in ({"Conv": G}, 1e5), ("gamma-epsilon", 9.0):
        explanation = dtd.LRP(network, rule)(x)
        spread = np.abs(explanation.relevance).sum() / np.abs(explanation.explained[0])
        assert (spread > most) == (most > 9), spread
    for _ in range(20):  # Σ |R_i| ≤ (1 + 2/γ) Σ |R_j|, for one layer
        w, b = rng.standard_normal((2, 3, 2)), rng.standard_normal(2)
        network = dtd.Network([dtd.Conv(w.astype(dtype), b.astype(dtype))], (3, 5))
        explanation = dtd.LRP(network, "gamma-epsilon")(rng.standard_normal((50, 3, 5)), 0)
        assert (
            np.abs(explanation.relevance).sum((1, 2)) <= 9.001 * np.abs(explanation.explained)
        ).all()


def test_presets_take_the_winner_of_maxima(rng):
    """Of maxima alone, unless `pooling` says otherwise; norms share in proportion."""
    w = rng.standard_normal((3, 3, 1))
    layers = [dtd.Conv(w), dtd.ReLU(), dtd.MaxPool(2), dtd.LpPool(2, 2), dtd.LpPool("inf", 2)]
    layers += [dtd.Flatten(), dtd.NeuronPool(2, "inf"), dtd.NeuronPool()]
    network = dtd.Network(layers, (3, 16))
    pools = [layer.pools for layer in network.layers]

    def taken(*arguments):
        explain = dtd.LRP(network, *arguments)
        return [rule for rule, pool in zip(explain.rules, pools, strict=True) if pool], explain

    for name in PRESETS:
        rules, explain = taken(name)
        assert rules == ["winner", "proportional", "winner", "winner", "proportional"]
        assert explain.pooling == "winner"
        assert "pooling='winner'" in repr(explain)
        assert explain(rng.random((2, 3, 16))).method == repr(explain)
        for pooling in ("proportional", "winner"):
            rules, explain = taken(name, pooling)
            assert rules == [pooling] * 5
            assert ("pooling='winner'" in repr(explain)) == (pooling == "winner")
    for rules in (P, [P], {"*": P}, None):
        assert taken(rules)[0] == ["proportional"] * 5
        assert "pooling" not in repr(taken(rules)[1])
    plain = dtd.Network([dtd.Dense(rng.random((3, 2)))])
    assert repr(dtd.LRP(plain, "z-plus")) == "LRP(ZPlus(bias=False))"


# ------------------------------------------------------------------- domains


def first_rule(layers, domain, shape=(2, 3)):
    return next(rule for rule in dtd.DeepTaylor(dtd.Network(layers, shape), domain).rules if rule)


def test_a_domain_goes_through_layers_that_rearrange(rng):
    low, high = -rng.random((2, 3)), rng.random((2, 3))
    box, dense = dtd.Box(low, high), dtd.Dense(rng.random((6, 2)))
    rule = first_rule([dtd.Transpose((1, 0)), dtd.Flatten(), dense], box)
    assert rule == dtd.ZB(low.T.ravel(), high.T.ravel())
    rule = first_rule([dtd.Reshape((3, 2)), dtd.Flatten(), dense], dtd.Box(-1, 2))
    assert rule == dtd.ZB(-1, 2)
    rule = first_rule([dtd.Multiply([-2, 1, 0]), dtd.Flatten(), dense], dtd.Box(-1, 3))
    assert rule == dtd.ZB([-6, -1, 0] * 2, [2, 3, 0] * 2)
    padded = dtd.Dense(rng.random((8, 2)))
    rule = first_rule([dtd.Pad((1,), (0,)), dtd.Flatten(), padded], dtd.Box(-1, 3))
    assert rule == dtd.ZB([0, -1, -1, -1] * 2, [0, 3, 3, 3] * 2)
    rule = first_rule([dtd.Pad((1,), (0,), 0.5), dtd.Flatten(), padded], dtd.Box(-1, 3))
    assert rule == dtd.ZB([0, -1, -1, -1] * 2, [0.5, 3, 3, 3] * 2)
    for layer, wanted in (
        (dtd.Pad((1,), (0,), 0.5), P),
        (dtd.Pad((1,), (0,), -0.5), dtd.WSquare()),
    ):
        assert first_rule([layer, dtd.Flatten(), padded], dtd.NonNegative()) == wanted
    for constant, wanted in ((2, P), ([1, 1, -1], dtd.WSquare())):
        layers = [dtd.Multiply(constant), dtd.Flatten(), dense]
        assert first_rule(layers, dtd.NonNegative()) == wanted
    with pytest.raises(ValueError, match="known input shape"):
        dtd.DeepTaylor(dtd.Network([dtd.Pad((1,), (0,)), dtd.Dense(rng.random((4, 1)))]), box)


def test_a_box_by_colour_channel_meets_a_convolution(dtype, rng):
    """Directly, and behind a frame: the same heatmap as with the padding of the convolution."""
    w = rng.standard_normal((4, 3, 3, 3)).astype(dtype)
    box = dtd.Box(-rng.random((3, 1, 1)), rng.random((3, 1, 1)))
    x = rng.uniform(box.low, box.high, (2, 3, 5, 6)).astype(dtype)
    rest = [dtd.ReLU(), dtd.Flatten(), dtd.Dense(rng.random((120, 2)).astype(dtype))]
    one = dtd.Network([dtd.Conv(w, padding=1), *rest], (3, 5, 6))
    two = dtd.Network([dtd.Pad((1, 1), (1, 1)), dtd.Conv(w), *rest], (3, 5, 6))
    explain = dtd.DeepTaylor(one, box)
    assert explain.rules[0] == dtd.ZB(box.low, box.high)
    maps = [explain(x, 0, strict=True), dtd.DeepTaylor(two, box)(x, 0)]
    scale = np.abs(maps[0].relevance).max()
    np.testing.assert_allclose(maps[1].relevance, maps[0].relevance, atol=1e-4 * scale)
    assert maps[0].is_consistent().all()
    assert maps[1].audit.names == ("dense_1", "conv_1")


@pytest.mark.parametrize(
    ("one", "two", "wanted"),
    [
        (dtd.Reals(), dtd.Box(0, 1), dtd.WSquare()),
        (dtd.NonNegative(), dtd.Box(0, 1), P),
        (dtd.NonNegative(), dtd.Box(-1, 1), dtd.WSquare()),
        (dtd.Box(-1, 1), dtd.Box(-1, 1), dtd.ZB(-1, 1)),
        (dtd.Box(-1, 1), dtd.Box(0, 2), dtd.ZB([-1, -1, 0], [1, 1, 2])),
    ],
)
def test_domains_that_meet(one, two, wanted, rng):
    """Where inputs are put together the rule is that of a domain that holds both."""
    network = dtd.Network(
        [("cat", dtd.Concat(), ["one", "two"]), dtd.Dense(rng.standard_normal((3, 2)))],
        {"one": (2,), "two": (1,)},
    )
    explain = dtd.DeepTaylor(network, {"one": one, "two": two})
    assert explain.rules[1] == wanted
    x = {"one": rng.random((4, 2)), "two": rng.random((4, 1))}
    assert explain(x, 0).is_conservative().all()


def test_a_layer_on_inputs_and_hidden_values_takes_z_plus(rng):
    network = dtd.Network(
        [
            ("a", dtd.Dense(rng.random((3, 3)))),
            ("cat", dtd.Concat(), ["a", "input"]),
            ("b", dtd.Dense(rng.random((6, 2)))),
            ("sum", dtd.Add(), ["b", "b"]),
        ]
    )
    assert dtd.DeepTaylor(network, dtd.Box(0, 1)).rules == (dtd.ZB(0, 1), None, P, P)


def test_a_sum_of_inputs_takes_the_rule_of_their_domain(rng):
    """It has no weights: equal shares, and the weights behind it meet the sum of the boxes."""
    network = dtd.Network([("sum", dtd.Add(), ["input", "input"]), dtd.Dense(rng.random((3, 1)))])
    assert dtd.DeepTaylor(network, dtd.Box(-1, 1)).rules == (dtd.WSquare(), dtd.ZB(-2, 2))
    assert dtd.DeepTaylor(network, dtd.Reals()).rules == (dtd.WSquare(), dtd.WSquare())
    assert dtd.DeepTaylor(network, dtd.NonNegative()).rules == (P, P)
    x = rng.uniform(-1, 1, (5, 3))
    x[0] = -1
    explanation = dtd.DeepTaylor(network, dtd.Box(-1, 1))(x)
    assert explanation.audit.closes(1e-9)
    assert explanation.is_consistent().all()


def test_bounds_that_do_not_fit_are_named(rng):
    network = dtd.Network([dtd.Dense(rng.random((3, 1)))])
    with pytest.raises(ValueError, match="low"):
        dtd.DeepTaylor(network, dtd.Box(-np.ones(4), 1))
