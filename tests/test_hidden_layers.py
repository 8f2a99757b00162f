# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance at hidden layers: against the oracle, the audit, and networks cut there."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref
from graphs import SHARES, assert_relevance, network_of, random_graph, two_inputs

import dtdcore as dtd

RULES = [dtd.ZPlus(), dtd.Epsilon(0.2), dtd.WSquare()]


def image_network(rng, dtype, norm=True):
    """Convolutions one above the other, BatchNorm, a skip, pools, a dense layer."""

    def w(*shape):
        return (rng.standard_normal(shape) + 0.1).astype(dtype)

    def b(n):
        return (-np.abs(rng.standard_normal(n)) * 0.05).astype(dtype)

    items = [
        ("conv1", dtd.Conv(w(17, 3, 3, 3), b(17), padding=1)),
        ("relu1", dtd.ReLU()),
        ("conv2", dtd.Conv(w(6, 17, 3, 3), b(6), padding=1)),
        *([("norm2", dtd.BatchNorm(b(6), *(np.abs(w(6)) + 0.5 for _ in range(3))))] * norm),
        ("relu2", dtd.ReLU()),
        ("conv3", dtd.Conv(w(6, 6, 3, 3), b(6), padding=1)),
        ("sum", dtd.Add(), ("conv3", "relu2")),
        ("relu3", dtd.ReLU()),
        ("pool3", dtd.MaxPool(2)),
        ("flat", dtd.Flatten()),
        ("fc", dtd.Dense(w(6 * 16, 4), b(4))),
        ("relu4", dtd.ReLU()),
    ]
    network = dtd.Network(items, (3, 8, 8))
    return network, rng.random((3, 3, 8, 8)).astype(dtype)


def explainers(network, **options):
    return {
        "deep taylor": dtd.DeepTaylor(network, dtd.Box(0, 1), **options),
        "epsilon": dtd.LRP(network, dtd.Epsilon(0.01), **options),
        "alpha-beta": dtd.LRP(network, dtd.AlphaBeta(2, 1), **options),
    }


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_oracle_has_the_same_at_every_layer(dtype, rule, rng):
    for seed in range(4):
        nodes = random_graph(np.random.default_rng(seed), dtype)
        network = network_of(nodes, shapes=(6,), output=len(nodes))
        x = rng.random((5, 6)).astype(dtype)
        shares = [SHARES[rule] if node[0] in ("Dense", "Add") else None for node in nodes]
        start = rng.random((5, 2, 3))
        signals, _ = ref.graph_redistribute(nodes, [x], start, len(nodes), shares)
        explanation = dtd.LRP(network, rule)(x, relevance=start, layers="all")
        assert len(explanation.at) > 4
        for name, relevance in explanation.at.items():
            assert_relevance(relevance, signals[1 + int(name[1:])], dtype)


@pytest.mark.parametrize("name", ["deep taylor", "epsilon", "alpha-beta"])
def test_nothing_else_changes_and_the_audit_agrees(dtype, name, rng):
    network, x = image_network(rng, dtype)
    explain = explainers(network)[name]
    for target in (None, [[0, 2]] * 3):
        plain = explain(x, target)
        explanation = explain(x, target, layers="all")
        assert explanation.relevance.tobytes() == plain.relevance.tobytes()
        assert repr(explanation.audit) == repr(plain.audit)
        assert list(explanation.at) == [node.name for node in network.nodes]
        lead = explanation.explained.ndim
        shapes = dict(zip(explanation.at, network.shapes((3, 8, 8))[1:], strict=True))
        for layer, relevance in explanation.at.items():
            assert relevance.dtype == dtype
            assert relevance.shape == (*explanation.explained.shape, *shapes[layer])
            if layer in explanation.audit.names:
                entry = explanation.audit[layer]
                sums = relevance.sum(axis=tuple(range(lead, relevance.ndim)), dtype=np.float64)
                np.testing.assert_allclose(sums, entry.received, rtol=1e-6, atol=1e-9)
        for layer in ("conv1", "conv2", "pool3"):  # alone: the same bits
            one = explain(x, target, layers=[layer])
            assert list(one.at) == [layer]
            assert one.at[layer].tobytes() == explanation.at[layer].tobytes()
            assert one.relevance.tobytes() == plain.relevance.tobytes()


def test_a_network_cut_there_has_the_same_heatmaps(dtype, rng):
    network, x = image_network(rng, dtype, norm=False)
    explain = dtd.LRP(network, dtd.Epsilon(0.01))
    whole = explain(x, layers=["pool3", "relu1", "fc"])
    for layer, relevance in whole.at.items():
        cut = explain(x, relevance=relevance, node=layer)
        scale = np.abs(whole.relevance).max()
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        assert np.abs(cut.relevance - whole.relevance).max() <= tolerance * scale
        again = explain(x, relevance=relevance, node=layer, layers=[layer])
        assert again.at[layer].tobytes() == relevance.tobytes()


def test_folded_layers_have_the_relevance_of_their_holders(rng):
    network, x = image_network(rng, np.float64)
    at = dtd.DeepTaylor(network, dtd.Box(0, 1))(x, layers="all").at
    assert (at["norm2"] == at["conv2"]).all()  # one layer, once folded
    assert (at["relu2"] == at["norm2"]).all()  # relevance passes through a ReLU
    assert (at["relu1"] == at["conv1"]).all()
    assert at["flat"].shape == (3, 96)
    assert (at["flat"].reshape(3, 6, 4, 4) == at["pool3"]).all()
    # a scale in front of the weights behind it: what it gave them
    ahead = dtd.Network(
        [
            ("first", dtd.Dense(rng.random((4, 4)))),
            ("relu", dtd.ReLU()),
            ("scale", dtd.ChannelAffine(np.full(4, 2.0), np.full(4, 0.5))),
            ("second", dtd.Dense(rng.random((4, 2)))),
        ]
    )
    at = dtd.LRP(ahead)(rng.random((2, 4)), layers="all").at
    assert (at["scale"] == at["relu"]).all()


def test_where_a_layer_has_no_relevance_of_its_own(rng):
    padded = dtd.Network(
        [
            ("first", dtd.Conv(rng.random((2, 1, 1, 1)))),
            ("relu", dtd.ReLU()),
            ("frame", dtd.Pad((0, 1, 1), (0, 1, 1))),
            ("conv", dtd.Conv(rng.random((2, 2, 3, 3)))),
        ],
        (1, 4, 4),
    )
    x = rng.random((2, 1, 4, 4))
    explain = dtd.LRP(padded)
    with pytest.raises(ValueError, match="no relevance at frame: it is merged into conv"):
        explain(x, layers=["frame"])
    assert list(explain(x, layers="all").at) == ["first", "relu", "conv"]
    network, x = image_network(rng, np.float64)
    with pytest.raises(ValueError, match="fc: it does not lead to pool3"):
        dtd.LRP(network)(x, node="pool3", layers=["fc"])
    assert "fc" not in dtd.LRP(network)(x, node="pool3", layers="all").at


@pytest.mark.parametrize(
    ("layers", "error", "match"),
    [
        (["pol3"], ValueError, "no layer 'pol3'; there are pool3"),
        (["input"], ValueError, "it is an input"),
        ("pool3", TypeError, 'list of names of layers, or "all"'),
        (3, TypeError, "layers must be"),
        ([3], TypeError, "layers must be"),
    ],
)
def test_what_is_no_layer(layers, error, match, rng):
    network, x = image_network(rng, np.float64)
    with pytest.raises(error, match=match):
        dtd.DeepTaylor(network)(x, layers=layers)


def test_pieces_and_several_inputs(rng, dtype):
    network, x = image_network(rng, dtype)
    bound = dtd.DeepTaylor(network).memory(2)
    whole = dtd.DeepTaylor(network)(x, layers=["conv2", "pool3"])
    pieces = dtd.DeepTaylor(network, max_memory=bound)(x, layers=["conv2", "pool3"])
    for name, relevance in whole.at.items():
        assert relevance.tobytes() == pieces.at[name].tobytes()
    nodes, network, x = two_inputs(rng, dtype)
    explanation = dtd.LRP(network, dtd.Z(bias=False))(x, layers="all")
    start = np.eye(3)[explanation.target] * explanation.explained[:, None]
    shares = [SHARES[dtd.Z(bias=False)] if n[0] in ("Dense", "Add") else None for n in nodes]
    xs = [x["image"], x["table"]]
    signals, _ = ref.graph_redistribute(nodes, xs, start[:, None], len(nodes) + 1, shares)
    for name, relevance in explanation.at.items():
        assert_relevance(relevance, signals[2 + int(name[1:])][:, 0], dtype)


def test_the_min_max_model(rng):
    def dense(*shape):
        return dtd.Dense(rng.standard_normal(shape), -np.abs(rng.standard_normal(shape[1])) / 9)

    network = dtd.Network(
        [
            ("first", dense(8, 12)),
            ("relu1", dtd.ReLU()),
            ("pool1", dtd.NeuronPool(2)),
            ("second", dense(6, 5)),
            ("relu2", dtd.ReLU()),
            ("third", dtd.Dense(rng.random((5, 2)))),
            ("relu3", dtd.ReLU()),
        ],
        (8,),
    )
    x = rng.random((40, 8))
    model = dtd.MinMax(iterations=20).fit(network, x)
    explain = dtd.DeepTaylor(network, dtd.Box(0, 1), model)
    for target in (None, [[0, 1]] * 40):
        plain, explanation = explain(x, target), explain(x, target, layers="all")
        assert explanation.relevance.tobytes() == plain.relevance.tobytes()
        assert list(explanation.at) == [node.name for node in network.nodes]
        for name, relevance in explanation.at.items():
            if name in explanation.audit.names:
                received = explanation.audit[name].received
                np.testing.assert_allclose(relevance.sum(axis=-1), received, rtol=1e-9, atol=1e-12)
        assert (explanation.at["relu1"] == explanation.at["first"]).all()


def test_saved_loaded_and_cut(rng, tmp_path):
    network, x = image_network(rng, np.float32)
    explanation = dtd.explain(network, x, layers=["conv1", "pool3"])
    again = dtd.Explanation.load(explanation.save(tmp_path / "e.npz"))
    assert list(again.at) == ["conv1", "pool3"]
    for name, relevance in explanation.at.items():
        assert (again.at[name] == relevance).all()
        assert (explanation[1].at[name] == relevance[1:2]).all()


def test_drawn(rng):
    pytest.importorskip("matplotlib")
    network, x = image_network(rng, np.float32)
    figure = dtd.explain(network, x, layers=["pool3"]).plot(layer="pool3")
    assert any("pool3" in axes.get_title() for axes in figure.axes)
