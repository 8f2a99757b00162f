# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The report of how far the assumptions of the training-free relevance model hold."""

from __future__ import annotations

import nets
import numpy as np
import pytest
import reference

import dtdcore as dtd


def spread(x, R):
    """Coefficient of variation of R_k / x_k, samples and then neurons weighted by relevance."""
    values, weights = [], []
    for k in range(x.shape[1]):
        used = R[:, k] > 0
        if not used.any():
            continue
        d, weight = R[used, k] / x[used, k], R[used, k]
        mean = np.average(d, weights=weight)
        values.append(np.sqrt(np.average((d - mean) ** 2, weights=weight)) / mean)
        weights.append(weight.sum())
    return np.average(values, weights=weights) if values else 0.0


def explained(x, R):
    c = [
        0.0 if not x[:, k].any() else R[:, k] @ x[:, k] / (x[:, k] @ x[:, k])
        for k in range(x.shape[1])
    ]
    return 1 - ((R - c * x) ** 2).sum() / ((R - R.mean(axis=0)) ** 2).sum()


@pytest.mark.parametrize("name", [name for name in nets.DEPTHS if not name.startswith("1")])
def test_the_report_agrees_with_the_oracle(rng, dtype, name):
    oracle, net = nets.build(rng, dtype, nets.DEPTHS[name])
    x = nets.inputs_in(rng, dtype, (0, 1), n=40)
    report = dtd.TrainingFree().report(net, x, dtd.Box(0, 1))
    values = reference.network_activations(oracle, x)
    f = values[-1]
    R = np.where(np.arange(f.shape[1]) == f.argmax(axis=1)[:, None], f, 0)
    steps = reference.network_redistribute(
        oracle, x, R[:, None], reference.deep_taylor_shares(oracle, "nonnegative")
    )
    kinds = [kind for kind, *_ in oracle if kind != "ReLU"]
    arriving = [step.relevance[:, 0] for step in steps[1:]] + [R]
    ends = [place for place, (kind, *_) in enumerate(oracle) if kind == "Dense"]
    ends = [*ends[1:], len(oracle)]
    names = [node.name for node in net.nodes if isinstance(node.layer, dtd.Dense)]
    # R at the output of a layer: what the next Dense passes on, or the start.
    next_dense = [place for place, kind in enumerate(kinds) if kind == "Dense"]
    next_dense = [*next_dense[1:], len(kinds)]
    assert [layer.name for layer in report.layers] == names[::-1]
    tolerance = 1e-9 if dtype == np.float64 else 1e-3
    for name, end, place in zip(names, ends, next_dense, strict=True):
        layer, x_k, R_k = report[name], values[end], arriving[place - 1]
        assert layer.neurons == x_k.shape[1]
        assert layer.spread == pytest.approx(spread(x_k, R_k), abs=tolerance)
        assert layer.explained_variance == pytest.approx(explained(x_k, R_k), abs=tolerance)
        assert layer.positive_biases == 0 and layer.bias_share == 0
    assert report[names[-1]].spread == pytest.approx(0, abs=1e-6)
    assert report[names[0]].spread > 0.01


def test_where_relevance_is_the_activation_times_a_constant(rng):
    """Each upper neuron sees one neuron below: R_k = x_k · 1 exactly."""
    net = dtd.Network(
        [
            dtd.Dense(rng.uniform(0, 1, (5, 4))),
            dtd.ReLU(),
            dtd.Dense(np.eye(4)),
            dtd.ReLU(),
            dtd.NeuronPool(),
        ]
    )
    report = dtd.TrainingFree().report(net, rng.uniform(0, 1, (30, 5)))
    for layer in report.layers:
        assert layer.spread == pytest.approx(0, abs=1e-12)
        assert layer.explained_variance == pytest.approx(1, abs=1e-12)


def test_positive_biases_and_what_they_would_absorb(rng):
    w, b = rng.uniform(0.1, 1, (5, 4)), np.array([0.5, -0.1, 0.0, 0.3])
    net = dtd.Network([dtd.Dense(w, b), dtd.ReLU(), dtd.NeuronPool()])
    x = rng.uniform(0.5, 1, (30, 5))
    (layer,) = dtd.TrainingFree().report(net, x).layers
    a = x @ w + b
    taken = (a * np.maximum(b, 0) / (x @ w + np.maximum(b, 0))).sum() / a.sum()
    assert layer.positive_biases == 0.5 and layer.bias_share == pytest.approx(taken)
    assert 0.01 < taken < 0.5


def test_text(rng):
    _, net = nets.build(rng, np.float64, nets.DEPTHS["3 layers, pools"])
    report = dtd.TrainingFree().report(net, nets.inputs_in(rng, np.float64, (0, 1)))
    text = repr(report)
    assert "spread of d" in text and "6 samples" in text
    assert [line.split()[0] for line in text.splitlines()[2:-1]] == [
        "dense_3",
        "dense_2",
        "dense_1",
    ]
    assert f"{report['dense_1'].spread:.4f}" in text
    with pytest.raises(KeyError, match="no layer 'dense_9'"):
        report["dense_9"]


def test_without_relevance(rng):
    """Where f ≤ 0 everywhere there is nothing to vary: no division by zero, no warning."""
    net = dtd.Network([dtd.Dense(np.ones((3, 2)), [-9, -9]), dtd.ReLU(), dtd.NeuronPool()])
    (layer,) = dtd.TrainingFree().report(net, rng.uniform(0, 1, (4, 3))).layers
    assert layer.spread == 0 and layer.explained_variance == 1


def test_errors(rng):
    _, net = nets.build(rng, np.float64, nets.DEPTHS["2 layers"])
    x = nets.inputs_in(rng, np.float64, (0, 1))
    model = dtd.TrainingFree()
    with pytest.raises(ValueError, match="outside the domain"):
        model.report(net, x - 2, dtd.Box(0, 1))
    with pytest.raises(ValueError, match="at least one sample"):
        model.report(net, x[:0])
    with pytest.raises(ValueError, match="one output of each sample"):
        model.report(net, x, target=np.zeros((6, 2), int))
    assert model.report(net, x, target=1).samples == 6
    assert model == dtd.TrainingFree()
