# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks of several inputs: x, relevance and gradients are dicts by name."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref
from graphs import SHARES, assert_relevance, two_inputs

import dtdcore as dtd


def test_several_inputs(dtype, rng):
    nodes, network, x = two_inputs(rng, dtype)
    assert network.inputs == ("image", "table")
    assert network.input_shape == {"image": (6,), "table": (4,)}
    values = ref.graph_values(nodes, list(x.values()))
    np.testing.assert_allclose(network.forward(x), values[-1], rtol=1e-5, atol=1e-6)
    gradient = network.gradient(x, 1)
    g = np.broadcast_to(np.eye(3)[1], (5, 1, 3))
    expected = ref.graph_gradient(nodes, list(x.values()), g, 9)
    for part, wanted in zip(gradient.values(), expected, strict=False):
        assert_relevance(part, wanted[:, 0], dtype)

    domain = {"image": dtd.Box(0, 1), "table": dtd.Reals()}
    explain = dtd.DeepTaylor(network, domain)
    assert [str(r)[:3] for r in explain.rules if r] == ["ZB(", "WSq", "ZPl", "ZPl"]
    explanation = explain(x, strict=True)
    assert explanation.is_consistent().all()
    rules = [SHARES[dtd.ZB(0, 1)], None, SHARES[dtd.WSquare()], *[SHARES[dtd.ZPlus()]] * 5]
    start = np.eye(3)[explanation.target] * explanation.explained[:, None]
    signals, _ = ref.graph_redistribute(nodes, list(x.values()), start[:, None], 9, rules)
    for name, wanted in zip(x, signals, strict=False):
        assert_relevance(explanation.relevance[name], wanted[:, 0], dtype)
        assert (explanation.inputs[name] == x[name]).all()
        assert explanation.relevance[name].dtype == dtype
    total = sum(part.sum(axis=1, dtype=float) for part in explanation.relevance.values())
    np.testing.assert_allclose(explanation.total, total)
    assert "image (6,), table (4,)" in repr(explanation)
    assert len(explanation) == 5


def test_several_inputs_in_all_explainers(tmp_path, rng):
    _, network, x = two_inputs(rng, np.float64)
    explainers = [
        dtd.LRP(network),
        dtd.Sensitivity(network),
        dtd.GradientTimesInput(network),
        dtd.IntegratedGradients(network, {"image": 0.5, "table": np.zeros(4)}, steps=500),
        dtd.SmoothGrad(network, 3),
    ]
    for explain in explainers:
        explanation = explain(x, [[0, 1]] * 5)
        assert {name: part.shape for name, part in explanation.relevance.items()} == {
            "image": (5, 2, 6),
            "table": (5, 2, 4),
        }
        if isinstance(explain, dtd.IntegratedGradients):
            base = network.forward({"image": np.full((5, 6), 0.5), "table": np.zeros((5, 4))})
            np.testing.assert_allclose(
                explanation.total, (network.forward(x) - base)[:, :2], atol=0.02
            )
        with np.load(explanation.save(tmp_path / "e.npz")) as file:
            assert (file["relevance/table"] == explanation.relevance["table"]).all()
            assert (file["inputs/image"] == x["image"]).all()
        explanation._repr_html_()
    with pytest.raises(ValueError, match="several inputs"):
        explanation.plot()


def test_an_input_that_does_not_lead_there_gets_nothing(rng):
    _, network, x = two_inputs(rng, np.float64)
    explanation = dtd.LRP(network)(x, 2, node="n1")
    assert explanation.relevance["image"].any()
    assert explanation.relevance["table"].shape == (5, 4)
    assert not explanation.relevance["table"].any()
    assert not network.gradient(x, [[0, 1]] * 5, node="n3")["image"].any()


def test_several_inputs_refuse(rng):
    _, network, x = two_inputs(rng, np.float64)
    with pytest.raises(TypeError, match="image, table"):
        network.forward(x["image"])
    with pytest.raises(TypeError, match=r"\['image'\]"):
        network.forward({"image": x["image"]})
    with pytest.raises(ValueError, match="as many samples"):
        network.forward({"image": x["image"], "table": x["table"][:2]})
    with pytest.raises(ValueError, match=r"x\['image'\] must have shape \(n, 6\)"):
        network.forward({"image": x["table"], "table": x["table"]})
    outside = {**x, "table": np.array([[0, -3.0, 0, 0]] * 5)}
    with pytest.raises(ValueError, match=r"x\['table'\]\[0, 1\].*outside"):
        dtd.DeepTaylor(network, dtd.Box(0, 1))(outside)
    with pytest.raises(ValueError, match="each input"):
        dtd.DeepTaylor(network, {"image": dtd.Reals()})
    with pytest.raises(TypeError, match="domain"):
        dtd.DeepTaylor(network, {"image": dtd.Reals(), "table": 3})
    with pytest.raises(ValueError, match="one input"):
        dtd.Taylor(network)
    with pytest.raises(ValueError, match="baseline"):
        dtd.IntegratedGradients(network, {"image": 0})


def test_a_single_input_may_have_a_name(rng):
    w = rng.random((3, 2))
    network = dtd.Network([("d", dtd.Dense(w), "pixels")], {"pixels": (3,)})
    x = rng.random((2, 3))
    assert network.input_shape == (3,)
    assert (network.forward(x) == network.forward({"pixels": x})).all()


def test_inputs_of_different_dtypes_become_the_wider(rng):
    _, network, x = two_inputs(rng, np.float32)
    mixed = {"image": x["image"], "table": x["table"].astype(float)}
    assert network.forward(mixed).dtype == np.float64
    assert network.gradient({**x, "table": np.ones((5, 4), int)}, 0)["image"].dtype == np.float32
