# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Which layer takes which rule: presets, places, names and types, domains over graphs."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore.choosing import PRESETS, first_layers, last_layers

E, P = dtd.Epsilon(), dtd.ZPlus()


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
    "gamma-epsilon": (dtd.Gamma(0.25), dtd.Gamma(0.25), E, dtd.Z(bias=False)),
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
    network = dtd.Network([("sum", dtd.Add(), ["input", "input"]), dtd.Dense(rng.random((3, 1)))])
    assert dtd.DeepTaylor(network, dtd.Box(-1, 1)).rules == (dtd.ZB(-1, 1), P)
    x = rng.uniform(-1, 1, (5, 3))
    assert dtd.DeepTaylor(network, dtd.Box(-1, 1))(x).audit.closes(1e-9)


def test_bounds_that_do_not_fit_are_named(rng):
    network = dtd.Network([dtd.Dense(rng.random((3, 1)))])
    with pytest.raises(ValueError, match="low"):
        dtd.DeepTaylor(network, dtd.Box(-np.ones(4), 1))
