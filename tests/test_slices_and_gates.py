# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers that take a range of an axis, and layers that multiply by a gate."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd


@pytest.mark.parametrize(
    ("axis", "start", "stop", "step"), [(0, 1, 3, 1), (1, 0, 5, 2), (2, 3, 4, 1)]
)
def test_slice(rng, dtype, axis, start, stop, step):
    layer = dtd.Slice(axis, start, stop, step)
    x = rng.normal(size=(2, 4, 5, 6)).astype(dtype)
    index = (slice(None),) * (1 + axis) + (slice(start, stop, step),)
    y = layer.forward(x)
    np.testing.assert_array_equal(y, x[index])
    assert layer.output_shape((4, 5, 6)) == y.shape[1:]
    back = rng.normal(size=y.shape).astype(dtype)
    expected = np.zeros_like(x)
    expected[index] = back
    np.testing.assert_array_equal(layer.redistribute(x, back), expected)
    np.testing.assert_array_equal(layer.gradient(x, back), expected)


def test_slice_errors():
    for arguments in ((0, 3, 3), (-1, 0, 1), (0, 0, 2, 0), (0, -1, 2)):
        with pytest.raises(ValueError, match="must be"):
            dtd.Slice(*arguments)
    for shape in ((3,), (2, 4)):
        with pytest.raises(ValueError, match="cannot take inputs of shape"):
            dtd.Slice(len(shape) - 1, 0, 5).output_shape(shape)


def test_slices_put_together_are_the_identity(rng, tmp_path):
    """Every number in one slice: relevance comes back whole, and is kept by a saved network."""
    network = dtd.Network(
        [
            ("a", dtd.Slice(0, 0, 2), "input"),
            ("b", dtd.Slice(0, 2, 5), "input"),
            ("all", dtd.Concat(), ["a", "b"]),
            ("dense", dtd.Dense(rng.normal(size=(5, 3)))),
        ],
        (5,),
    )
    plain = dtd.Network([dtd.Dense(network.layers[-1].weight)])
    x = np.abs(rng.normal(size=(4, 5)))
    loaded = dtd.load(network.save(tmp_path / "n.npz"))
    for domain in (dtd.Reals(), dtd.NonNegative(), dtd.Box(0, 5)):
        got = dtd.DeepTaylor(loaded, domain)(x, 1)
        expected = dtd.DeepTaylor(plain, domain)(x, 1)
        np.testing.assert_allclose(got.relevance, expected.relevance, rtol=1e-12, atol=1e-15)


def test_gate(rng, dtype):
    x, g, back = (rng.normal(size=(3, 4, 2)).astype(dtype) for _ in range(3))
    gate = dtd.Gate()
    np.testing.assert_array_equal(gate.forward([x, g]), x * g)
    of_x, of_g = gate.redistribute([x, g], back)
    np.testing.assert_array_equal(of_x, back)
    np.testing.assert_array_equal(of_g, np.zeros_like(g))
    of_x, of_g = gate.gradient([x, g], back)
    np.testing.assert_array_equal(of_x, back * g)
    np.testing.assert_array_equal(of_g, back * x)
    with pytest.raises(ValueError, match="two inputs of one shape"):
        gate.forward([x, g[:, :2]])


def test_gate_in_a_network(rng, tmp_path):
    """x · sigmoid(x): the gradient is that of differences, all relevance goes to x."""
    network = dtd.Network(
        [("s", dtd.Sigmoid()), ("y", dtd.Gate(), ["input", "s"]), ("sum", dtd.NeuronPool())], (6,)
    )
    network = dtd.load(network.save(tmp_path / "n.npz"))
    x, step = rng.normal(size=(1, 6)), 1e-6
    ahead, behind = (network.forward(x + s * np.eye(6)) for s in (step, -step))
    differences = (ahead - behind)[:, 0] / (2 * step)
    y = x / (1 + np.exp(-x))
    signs = np.sign(y)  # NeuronPool adds absolute values
    np.testing.assert_allclose(network.gradient(x)[0], differences, rtol=1e-6, atol=1e-8)
    explanation = dtd.LRP(network, dtd.ZPlus())(x)
    np.testing.assert_allclose(explanation.relevance, y * signs, rtol=1e-12)
