# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks that are graphs: skips, branches, shared layers, several inputs, hidden neurons."""

from __future__ import annotations

import json

import numpy as np
import pytest
import reference as ref
from graphs import SHARES, assert_relevance, network_of, random_graph, two_inputs, weights
from hypothesis import given
from hypothesis import strategies as st

import dtdcore as dtd


def residual(rng, dtype, bias=-0.05):
    """A skip, a branch that joins by concatenation, the input used twice, and one layer twice."""
    shared = weights(rng, dtype, 6, 6, bias)
    return [
        ("Dense", (0,), *weights(rng, dtype, 6, 6, bias)),  # 1
        ("ReLU", (1,)),
        ("Dense", (2,), *shared),  # 3
        ("ReLU", (3,)),
        ("Add", (4, 2)),  # 5: a skip
        ("Dense", (5,), *shared),  # 6: the layer once more
        ("Affine", (6,), *(a.astype(dtype) for a in (rng.random(6) + 0.5, -rng.random(6) / 9))),
        ("ReLU", (7,)),
        ("Concat", (8, 2, 5)),  # 9
        ("Add", (9, 9, 9)),  # 10: one value three times
        ("NeuronPool", (10,), 3, 2),  # 11
        ("Dense", (11,), *weights(rng, dtype, 6, 4, bias)),  # 12
        ("ReLU", (12,)),
    ]


# ------------------------------------------------------------------- against the oracle


def test_forward_and_gradient(dtype, rng):
    nodes = residual(rng, dtype)
    network = network_of(nodes)
    assert network.layers[2] is network.layers[5]
    x = rng.random((5, 6)).astype(dtype)
    values = ref.graph_values(nodes, [x])
    np.testing.assert_allclose(network.forward(x), values[-1], rtol=1e-4, atol=1e-5)
    targets = rng.integers(0, 4, (5, 3))
    expected = ref.graph_gradient(nodes, [x], np.eye(4)[targets], len(nodes))[0]
    assert_relevance(network.gradient(x, targets), expected, dtype)
    for number in range(len(nodes)):
        hidden = network.forward(x, node=f"n{number}")
        np.testing.assert_allclose(hidden, values[number + 1], rtol=1e-4, atol=1e-5)
        g = np.broadcast_to(np.eye(hidden.shape[1])[2], (5, 1, hidden.shape[1]))
        expected = ref.graph_gradient(nodes, [x], g, number + 1)[0]
        assert_relevance(network.gradient(x, 2, node=f"n{number}"), expected[:, 0], dtype)


def test_gradient_is_the_derivative(rng):
    network = network_of(residual(rng, np.float64))
    x, step = rng.random((5, 6)), 1e-6
    gradient = network.gradient(x, 1)
    for i in range(6):
        d = step * np.eye(6)[i]
        numeric = (network.forward(x + d) - network.forward(x - d))[:, 1] / (2 * step)
        np.testing.assert_allclose(gradient[:, i], numeric, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rule", SHARES, ids=str)
def test_every_rule_on_a_graph(rule, dtype, rng):
    """Relevance and each account, k targets; scales and sums take the rule as well."""
    nodes = residual(rng, dtype)
    x = rng.random((5, 6)).astype(dtype)
    relevance = rng.standard_normal((5, 2, 4)).astype(dtype)
    network = network_of(nodes)
    # Nothing shall be merged here, so that the oracle's nodes are those that run.
    keep = [node.name for node in network.nodes]
    assert network.merged(keep) is network
    network.merged = lambda keep=(): network
    explanation = dtd.LRP(network, rule)(x, relevance=relevance)
    rules = [SHARES[rule]] * len(nodes)
    signals, entries = ref.graph_redistribute(nodes, [x], relevance, len(nodes), rules)
    assert_relevance(explanation.relevance, signals[0], np.float32)
    assert explanation.audit.names == tuple(f"n{number}" for number in sorted(entries)[::-1])
    for number, expected in entries.items():
        entry = explanation.audit[f"n{number}"]
        size = np.abs(expected.relevance).sum(axis=-1) + np.abs(expected.received)
        for name in ("received", "passed", "bias", "stabiliser", "lost"):
            error = np.abs(getattr(entry, name) - getattr(expected, name))
            assert (error <= (1e-3 if dtype == np.float32 else 1e-9) * size).all(), (number, name)


def test_deep_taylor_on_a_graph(dtype, rng):
    """The domain's rule where a layer meets the input, z⁺ in all others; conservative."""
    nodes = residual(rng, dtype)
    nodes[5] = ("Dense", (0,), *nodes[5][2:])  # a second layer on the input, the shared one
    nodes[6] = ("Identity", (6,))
    network = network_of(nodes)
    x = rng.random((5, 6)).astype(dtype)
    first, above = SHARES[dtd.ZB(0, 1)], SHARES[dtd.ZPlus()]
    rules = [first if 0 in sources else above for _, sources, *_ in nodes]
    explain = dtd.DeepTaylor(network, dtd.Box(0, 1))
    assert [rule for rule in explain.rules if isinstance(rule, dtd.ZB)] == [dtd.ZB(0, 1)] * 2
    explanation = explain(x, strict=True)
    start = np.eye(4)[explanation.target] * explanation.explained[:, None]
    signals, _ = ref.graph_redistribute(nodes, [x], start[:, None], len(nodes), rules)
    assert_relevance(explanation.relevance, signals[0][:, 0], dtype)
    assert explanation.is_consistent().all()


def test_a_shared_layer_is_as_two_copies(dtype, rng):
    nodes = residual(rng, dtype)
    copies = [
        (kind, sources, *(np.copy(a) for a in rest)) if kind == "Dense" else (kind, sources, *rest)
        for kind, sources, *rest in nodes
    ]
    x = rng.random((3, 6)).astype(dtype)
    one, other = (dtd.DeepTaylor(network_of(n), dtd.Box(0, 1))(x) for n in (nodes, copies))
    assert one.relevance.tobytes() == other.relevance.tobytes()


def test_a_skip_unrolled_by_hand(rng):
    """R of x in y = relu(x w) + x, written out."""
    w, x = rng.standard_normal((4, 4)), rng.random((3, 4))
    network = dtd.Network([dtd.Dense(w), dtd.ReLU(), ("sum", dtd.Add(), ["relu_1", "input"])])
    relevance = rng.standard_normal((3, 4))
    explanation = dtd.LRP(network, dtd.Z())(x, relevance=relevance)
    a = np.maximum(x @ w, 0)
    through = a / (a + x) * relevance
    z = x @ w
    expected = x / (a + x) * relevance + x * (through / z @ w.T)
    np.testing.assert_allclose(explanation.relevance, expected, rtol=1e-10)


@pytest.mark.parametrize(
    "rule", [dtd.ZPlus(), dtd.Epsilon(0.1), dtd.AlphaBeta(), dtd.Flat()], ids=str
)
def test_images_unrolled_by_hand(rule, dtype, rng):
    """A residual block and a branch, blocked inside, against its layers called one by one."""
    conv = [
        dtd.Conv(
            *(a.astype(dtype) for a in (rng.standard_normal((o, i, 3, 3)), rng.random(o))),
            padding=1,
        )
        for i, o in ((3, 16), (16, 16), (16, 5))
    ]
    add, cat, up, relu = dtd.Add(), dtd.Concat(), dtd.Upsample((2, 1)), dtd.ReLU()
    network = dtd.Network(
        [
            ("a", conv[0]),
            ("ra", relu),
            ("b", conv[1]),
            ("rb", relu),
            ("sum", add, ["rb", "ra"]),
            ("c", conv[2]),
            ("cat", cat, ["sum", "c"]),
            ("up", up),
            ("out", dtd.Flatten()),
        ],
        (3, 6, 7),
    )
    x = rng.random((2, 3, 6, 7)).astype(dtype)
    a = conv[0].forward(x)
    ra = relu.forward(a)
    b = conv[1].forward(ra)
    rb = relu.forward(b)
    total = add.forward([rb, ra])
    c = conv[2].forward(total)
    joined = cat.forward([total, c])
    y = up.forward(joined).reshape(2, -1)
    np.testing.assert_allclose(network.forward(x), y, rtol=1e-4, atol=1e-4)
    relevance = rng.standard_normal((2, 3, y.shape[1])).astype(dtype)
    back = up.redistribute(joined, relevance.reshape(2, 3, 21, 12, 7))
    to_sum, to_c = cat.redistribute([total, c], back)
    to_sum = to_sum + conv[2].redistribute(total, to_c, rule)
    to_b, to_a = add.redistribute([rb, ra], to_sum, rule)
    to_a = to_a + conv[1].redistribute(ra, to_b, rule)
    expected = conv[0].redistribute(x, to_a, rule)
    actual = dtd.LRP(network, rule)(x, relevance=relevance).relevance
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * scale)
    gradient = network.gradient(x, [[0, 5]] * 2)
    g = np.eye(y.shape[1], dtype=dtype)[[[0, 5]] * 2].reshape(2, 2, 21, 12, 7)
    g_sum, g_c = cat.gradient([total, c], up.gradient(joined, g))
    g_sum = g_sum + conv[2].gradient(total, g_c)
    g_a = g_sum + conv[1].gradient(ra, relu.gradient(b, g_sum))
    expected = conv[0].gradient(x, relu.gradient(a, g_a))
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


# ------------------------------------------------------------------- properties


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_random_graphs_conserve(seed, dtype):
    """Training-free deep Taylor decomposition with b ≤ 0: consistent, nothing lost, all closed."""
    rng = np.random.default_rng(seed)
    nodes = random_graph(rng, dtype, layers=int(rng.integers(1, 10)))
    network = network_of(nodes, output=len(nodes))
    x = rng.random((3, 6)).astype(dtype)
    for domain in (dtd.Reals(), dtd.NonNegative(), dtd.Box(0, 1)):
        explanation = dtd.DeepTaylor(network, domain)(x)
        rtol = 1e-4 if dtype == np.float32 else 1e-10
        np.testing.assert_allclose(explanation.total, explanation.explained, rtol=rtol)
        assert explanation.is_positive().all()
        for entry in explanation.audit:
            assert not entry.lost.any()
            np.testing.assert_allclose(entry.passed, entry.received, rtol=rtol)


@given(st.integers(0, 2**32 - 1))
def test_random_graphs_against_the_oracle(seed):
    rng = np.random.default_rng(seed)
    nodes = random_graph(rng, np.float64, layers=int(rng.integers(1, 10)), bias=0.1)
    network = network_of(nodes, output=len(nodes))
    x = rng.random((3, 6))
    relevance = rng.standard_normal((3, 2, 3))
    explanation = dtd.LRP(network, dtd.Epsilon(0.2))(x, relevance=relevance)
    rules = [SHARES[dtd.Epsilon(0.2)]] * len(nodes)
    signals, _ = ref.graph_redistribute(nodes, [x], relevance, len(nodes), rules)
    assert_relevance(explanation.relevance, signals[0], np.float32)
    g = ref.graph_gradient(nodes, [x], np.broadcast_to(np.eye(3)[1], (3, 1, 3)), len(nodes))
    np.testing.assert_allclose(network.gradient(x, 1), g[0][:, 0], atol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_samples_of_a_graph_do_not_know_of_each_other(seed):
    rng = np.random.default_rng(seed)
    network = network_of(nodes := random_graph(rng, np.float32), output=len(nodes))
    x = rng.random((5, 6)).astype(np.float32)
    explain = dtd.LRP(network, "epsilon")
    whole = explain(x, 0)
    for n in range(5):
        assert explain(x[n : n + 1], 0).relevance.tobytes() == whole.relevance[n].tobytes()


# ------------------------------------------------------------------- hidden neurons


@pytest.mark.parametrize("name", ["n1", "n4", "n9", "n10"])
def test_relevance_may_start_anywhere(name, dtype, rng):
    nodes = residual(rng, dtype)
    network, output = network_of(nodes), int(name[1:]) + 1
    x = rng.random((5, 6)).astype(dtype)
    hidden = network.forward(x, node=name)
    targets = rng.integers(0, hidden.shape[1], (5, 2))
    explain = dtd.DeepTaylor(network, dtd.Box(0, 1))
    explanation = explain(x, targets, node=name)
    np.testing.assert_allclose(explanation.output, hidden, rtol=1e-5, atol=1e-6)
    chosen = np.take_along_axis(explanation.output, targets, axis=1)
    assert (explanation.explained == chosen).all()
    assert explanation.is_consistent().all()
    start = np.eye(hidden.shape[1])[targets] * explanation.explained[..., None]
    given_start = explain(x, relevance=start, node=name)
    assert_relevance(given_start.relevance, explanation.relevance, dtype)
    rules = [SHARES[dtd.ZB(0, 1) if 0 in s else dtd.ZPlus()] for _, s, *_ in nodes]
    if output <= 6:  # below the scale, which is merged
        signals, _ = ref.graph_redistribute(nodes, [x], start, output, rules)
        assert_relevance(explanation.relevance, signals[0], dtype)
    for explainer in (dtd.Sensitivity, dtd.GradientTimesInput, dtd.SmoothGrad):
        assert explainer(network)(x, targets, node=name).relevance.shape == (5, 2, 6)
    product = dtd.GradientTimesInput(network)(x, targets, node=name)
    g = network.gradient(x, targets, node=name)
    np.testing.assert_allclose(product.relevance, x[:, None] * g, rtol=1e-3, atol=1e-5)


def test_hidden_neurons_refuse(rng):
    network = network_of(residual(rng, np.float64))
    x = rng.random((2, 6))
    for call in (
        network.forward,
        network.gradient,
        dtd.DeepTaylor(network),
        dtd.Sensitivity(network),
    ):
        with pytest.raises(ValueError, match=r"no layer 'n99'.*n0, n1"):
            call(x, node="n99")
    with pytest.raises(ValueError, match=r"target 7 .* 6 outputs"):
        dtd.DeepTaylor(network)(x, 7, node="n1")
    with pytest.raises(ValueError, match=r"relevance must have shape \(2, 6\)"):
        dtd.DeepTaylor(network)(x, relevance=np.ones((2, 4)), node="n1")
    with pytest.raises(ValueError, match="given root"):
        dtd.Taylor(network)(x, 0, node="n1")


# ------------------------------------------------------------------- wiring


def test_wiring_errors(rng):
    dense, relu, add = dtd.Dense(rng.random((3, 3))), dtd.ReLU(), dtd.Add()
    cases = [
        (ValueError, "no layer 'b' before", [("a", relu, "b"), ("b", relu)]),
        (ValueError, "no source", [("a", add, [])]),
        (TypeError, "must be names", [("a", relu, 3)]),
        (TypeError, "must be names", [("a", add, ["input", 3])]),
        (ValueError, r"takes one input", [("a", relu, ["input", "input"])]),
        (ValueError, "name of an input", [("input", relu)]),
        (ValueError, r"outputs of a, b.*output='b'", [("a", relu), ("b", relu, "input")]),
        (
            ValueError,
            r"layer sum: Add.*\(3,\), \(2,\)",
            [("a", dense), ("b", dtd.Dense(np.ones((3, 2)))), ("sum", add, ["a", "b"])],
        ),
    ]
    for error, message, layers in cases:
        with pytest.raises(error, match=message):
            dtd.Network(layers)
    with pytest.raises(ValueError, match="which of the inputs one, two"):
        dtd.Network([relu], {"one": (3,), "two": (3,)})
    with pytest.raises(ValueError, match="no layer uses the input two"):
        dtd.Network([("a", relu, "one")], {"one": (3,), "two": (3,)})
    with pytest.raises(ValueError, match="no layer 'z'"):
        dtd.Network([relu], output="z")
    with pytest.raises(TypeError, match="names"):
        dtd.Network([relu], {3: (3,)})


def test_output_in_the_middle(rng):
    """A second head may stay; it is explained by its name."""
    w = rng.random((3, 3))
    layers = [("a", dtd.Dense(w)), ("head", dtd.ReLU()), ("other", dtd.Tanh(), "a")]
    network = dtd.Network(layers, output="head")
    x = rng.standard_normal((2, 3))
    np.testing.assert_allclose(network.forward(x), np.maximum(x @ w, 0))
    np.testing.assert_allclose(network.forward(x, node="other"), np.tanh(x @ w))
    assert network.output_shape == (3,)
    assert dtd.LRP(network)(x, 0, node="other").audit.names == ("a",)
    loaded = dtd.Network(layers, output="other")
    np.testing.assert_allclose(loaded.forward(x), np.tanh(x @ w))


def test_values_and_saved_state_are_freed(rng):
    """Forward keeps no value after its last use; the pass back frees what was saved."""
    network = network_of(residual(rng, np.float64))
    plan = network.plan(None, np.dtype(float))
    ended = [end for *_, ends in plan.work for end in ends]
    made = {0, *(value for value, *_ in plan.work)}
    assert sorted(ended) == sorted(made - {plan.output})  # each value but the output, once
    trace = plan.trace(rng.random((2, 6)))
    assert any(kept is not None for kept in trace.saved)
    trace.gradient(np.ones((2, 1, 4)))
    assert all(kept is None for kept in trace.saved)


def test_overflow_in_a_graph_is_named(rng):
    layers = [
        ("a", dtd.Dense(np.full((2, 2), 1e30, np.float32))),
        ("b", dtd.Dense(np.full((2, 2), 1e30, np.float32)), "input"),
        ("sum", dtd.Add(), ["a", "b"]),
        ("c", dtd.Dense(np.full((2, 2), 1e30, np.float32))),
    ]
    x = np.ones((1, 2), np.float32)
    network = dtd.Network(layers)
    for call in (network.forward, network.gradient, dtd.DeepTaylor(network)):
        with pytest.raises(FloatingPointError, match="layer c"):
            call(x)


# ------------------------------------------------------------------- files


def test_graphs_are_saved_whole(tmp_path, dtype, rng):
    _, network, x = two_inputs(rng, dtype)
    loaded = dtd.load(network.save(tmp_path / "net.npz"))
    assert loaded.inputs == network.inputs
    assert loaded.input_shape == network.input_shape
    assert [(n.name, n.sources) for n in loaded.nodes] == [
        (n.name, n.sources) for n in network.nodes
    ]
    assert loaded.forward(x).tobytes() == network.forward(x).tobytes()
    shared = network_of(residual(rng, dtype))
    loaded = dtd.load(shared.save(tmp_path / "shared.npz"))
    assert loaded.layers[2] is loaded.layers[5]
    with np.load(tmp_path / "shared.npz") as file:
        assert "n2/weight" in file
        assert "n5/weight" not in file
    x = rng.random((2, 6)).astype(dtype)
    assert loaded.forward(x).tobytes() == shared.forward(x).tobytes()
    head = dtd.Network([("a", dtd.ReLU()), ("b", dtd.Tanh(), "a")], (2,), output="a")
    loaded = dtd.load(head.save(tmp_path / "head.npz"))
    assert loaded.forward(np.ones((1, 2))).tolist() == [[1, 1]]


def test_every_layer_is_saved(tmp_path, rng):
    layers = [
        dtd.Pad((1, 0), (0, 1), 0.5),
        dtd.Pad((1, 0), (0, 0), rng.random((3, 1, 6))),
        dtd.Multiply(np.arange(3.0).reshape(3, 1, 1)),
        dtd.Upsample((2, 1)),
        dtd.BatchNorm(*rng.random((4, 3)), epsilon=0.1),
        dtd.ChannelAffine(rng.random(3), rng.random(3)),
        dtd.PReLU(rng.random(3)),
        dtd.ELU(0.5),
        dtd.HardSigmoid(0.2, 0.4),
        dtd.HardSwish(),
        dtd.Transpose((2, 0, 1)),
        dtd.Reshape((-1, 4)),
        ("sum", dtd.Add(), ["reshape_1", "reshape_1"]),
        ("cat", dtd.Concat(1), ["sum", "reshape_1"]),
    ]
    network = dtd.Network(layers, (3, 4, 5))
    loaded = dtd.load(network.save(tmp_path / "net.npz"))
    assert list(map(repr, loaded.layers)) == list(map(repr, network.layers))
    x = rng.standard_normal((2, 3, 4, 5))
    assert loaded.forward(x).tobytes() == network.forward(x).tobytes()


def test_files_of_format_1_are_read(tmp_path, rng):
    w = rng.random((3, 2))
    layer = {"name": "first", "type": "Dense", "options": {}, "arrays": ["weight"]}
    relu = {"name": "r", "type": "ReLU", "options": {}, "arrays": []}
    structure = {"format": 1, "input_shape": [3], "layers": [layer, relu]}
    content = {"dtdcore_network": np.array(json.dumps(structure)), "first/weight": w}
    np.savez(tmp_path / "old.npz", **content)
    network = dtd.load(tmp_path / "old.npz")
    assert [node.name for node in network.nodes] == ["first", "r"]
    assert network.is_chain
    x = rng.standard_normal((2, 3))
    np.testing.assert_allclose(network.forward(x), np.maximum(x @ w, 0))


def test_explain_in_one_call_at_a_node(rng):
    network = network_of(residual(rng, np.float64))
    x = rng.random((2, 6))
    one = dtd.explain(network, x, 3, node="n9", domain=dtd.Box(0, 1))
    other = dtd.DeepTaylor(network, dtd.Box(0, 1))(x, 3, node="n9")
    assert (one.relevance == other.relevance).all()


def test_few_plans_are_kept(rng):
    """However many nodes are asked for."""
    network = network_of(residual(rng, np.float64))
    explain, x = dtd.DeepTaylor(network), rng.random((2, 6))
    first = explain(x, 1).relevance
    for number in range(13):
        for dtype in (np.float32, np.float64):
            explain(x.astype(dtype), 1, node=f"n{number}")
            network.forward(x.astype(dtype), node=f"n{number}")
    assert len(explain._plans) <= 16
    assert len(network._plans) <= 16
    assert (explain(x, 1).relevance == first).all()
