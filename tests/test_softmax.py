# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Softmax as a layer: its axis, its form of relevance against the oracle, what the audit books."""

from __future__ import annotations

import json

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd
from dtdcore.files import read_npz, write_npz

SHAPES = [((7,), 0), ((1,), -1), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4), 1), ((2, 3, 4, 2), -2)]


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_forward_gradient_and_relevance_along_any_axis(shape, axis, dtype, rng):
    layer = dtd.Softmax(axis)
    x = (3 * rng.standard_normal((4, *shape))).astype(dtype)
    g = rng.standard_normal((4, 2, *shape)).astype(dtype)
    along = axis % len(shape)
    y = ref.softmax(x, along + 1)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(layer.forward(x), y, rtol=64 * eps)
    total = (y[:, None] * g).sum(axis=along + 2, keepdims=True)
    near = {"rtol": 64 * eps, "atol": 64 * eps * np.abs(g).max()}
    np.testing.assert_allclose(layer.gradient(x, g), y[:, None] * (g - total), **near)
    back = layer.redistribute(x, g)
    near["atol"] *= np.abs(x).max() * shape[along]
    np.testing.assert_allclose(back, ref.softmax_relevance(x, g, axis), **near)
    assert back.dtype == dtype
    np.testing.assert_array_equal(layer.redistribute(x, g[:, 0]), back[:, 0])


def test_relevance_by_hand():
    """R_i = x_i (R_i' - y_i Σ R'): a class with the logit -3 is spoken against."""
    x, y0 = [[2.0, -3.0]], 1 / (1 + np.exp(-5.0))
    back = dtd.Softmax().redistribute(x, [[0.0, 1.0]])
    np.testing.assert_allclose(back, [[2 * -y0, -3 * y0]], rtol=1e-12)
    # where a number is 0, or so far below that its share underflows, it gets nothing or all that
    # arrives there
    np.testing.assert_array_equal(dtd.Softmax().redistribute([[0.0, 0.0]], [[1.0, 2.0]]), [[0, 0]])
    far = dtd.Softmax().redistribute([[0.0, -2e3]], [[0.0, 1e-3]])
    np.testing.assert_allclose(far, [[0, -2]], rtol=1e-12)


def test_all_relevance_of_one_number_is_lost():
    """A softmax of one number is 1 whatever comes in."""
    assert dtd.Softmax().redistribute([[5.0]], [[1.0]]).tolist() == [[0.0]]


def test_the_audit_books_the_leak(dtype):
    """p_0 + p_1 = 1 whatever comes in: R_i = x_i (y_i - y_i · 1) = 0, and all is lost."""
    w = np.array([[2, 0], [0, -3]], dtype)
    net = dtd.Network([("classes", dtd.Dense(w)), ("p", dtd.Softmax()), ("sum", dtd.NeuronPool())])
    for explain in (dtd.DeepTaylor(net, dtd.Reals()), dtd.LRP(net, "epsilon")):
        explanation = explain(np.ones((1, 2), dtype))
        assert explanation.audit.names == ("sum", "p", "classes")
        entry = explanation.audit["p"]
        assert entry.rule is None
        for part, expected in zip(entry.parts, (1, 0, 0, 0, 1, 0), strict=True):
            np.testing.assert_allclose(part, expected, atol=1e-6)
        assert explanation.audit.closes()
    assert "lost at" not in repr(explanation.audit)


def test_evidence_against_a_class_stays_evidence_against_it(dtype):
    """p_1 + p_2 of the logits (2, -3, 0): weights of one input each, so that signs are sure."""
    w = np.array([[2, 0, 0], [0, -3, 0]], dtype)
    both = np.array([[0.0], [1.0], [1.0]], dtype)
    net = dtd.Network([dtd.Dense(w), ("p", dtd.Softmax()), ("both", dtd.Dense(both))])
    x = np.ones((1, 2), dtype)
    y = ref.softmax(np.array([[2.0, -3.0, 0.0]]))[0]
    arriving = y * [0, 1, 1]
    expected = np.array([2, -3, 0]) * (arriving - y * arriving.sum())
    for explain in (dtd.DeepTaylor(net, dtd.Reals()), dtd.LRP(net, dtd.Z())):
        explanation = explain(x, target=0)
        np.testing.assert_allclose(explanation.relevance[0], expected[:2], rtol=1e-5)
        assert explanation.relevance[0, 1] < 0
        assert explanation.audit.closes()
        assert not explanation.is_consistent()[0]
    # z⁺ has nothing to give where x w < 0: what is negative is lost, and nothing becomes positive
    explanation = dtd.DeepTaylor(net, dtd.NonNegative())(x, target=0)
    np.testing.assert_allclose(explanation.relevance[0], [expected[0], 0], rtol=1e-5)
    assert explanation.audit.closes()


def test_k_targets_and_strict(rng, dtype):
    w = rng.standard_normal((5, 4)).astype(dtype)
    net = dtd.Network([dtd.Dense(w), ("p", dtd.Softmax()), dtd.Dense(np.eye(4, dtype=dtype))])
    x = rng.standard_normal((3, 5)).astype(dtype)
    explain = dtd.LRP(net, dtd.Z())
    many = explain(x, target=[[0, 3]] * 3)
    for number, target in enumerate((0, 3)):
        one = explain(x, target=target)
        np.testing.assert_array_equal(many.relevance[:, number], one.relevance)
        np.testing.assert_array_equal(many.audit["p"].lost[:, number], one.audit["p"].lost)
    with pytest.raises(dtd.ConservationError, match="layer p"):
        explain(x, target=0, strict=True)


def test_the_factor_of_a_gate_gets_no_relevance(rng):
    items = [
        ("scores", dtd.Dense(rng.standard_normal((4, 4)))),
        ("weights", dtd.Softmax()),
        ("mixed", dtd.Gate(), ["input", "weights"]),
        ("sum", dtd.Dense(np.ones((4, 1)))),
    ]
    x = rng.standard_normal((2, 4))
    explanation = dtd.LRP(dtd.Network(items, (4,)), dtd.Z())(x)
    for part in explanation.audit["weights"].parts:
        assert not part.any()
    np.testing.assert_allclose(explanation.relevance.sum(axis=1), explanation.explained)


def test_it_is_saved_with_its_axis_and_old_files_load(tmp_path, rng):
    net = dtd.Network([dtd.Softmax(1), dtd.Softmax()], (3, 4))
    x = rng.standard_normal((2, 3, 4))
    path = net.save(tmp_path / "new.npz")
    loaded = dtd.load(path)
    assert [layer.axis for layer in loaded.layers] == [1, 0]
    np.testing.assert_array_equal(loaded.forward(x), net.forward(x))
    content = read_npz(path, "network")  # an old file says nothing of an axis
    structure = json.loads(str(content["dtdcore_network"]))
    for entry in structure["layers"]:
        entry["options"] = {}
    write_npz(path, dtdcore_network=np.array(json.dumps(structure)))
    assert [layer.axis for layer in dtd.load(path).layers] == [0, 0]


@pytest.mark.parametrize("axis", [1, -2, 7])
def test_an_axis_that_is_not_there(axis):
    with pytest.raises(ValueError, match=rf"Softmax\(axis={axis}\) takes inputs with that axis"):
        dtd.Softmax(axis).forward([[1.0, 2.0]])
    with pytest.raises(TypeError, match="axis"):
        dtd.Softmax("classes")
