# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Constants among joined values, from ONNX and Keras: the heatmap of a network made by hand."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd

#: Keras's own, with PyTorch behind it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

TOKEN = np.array([[0.5, -2.0, 3.0]], np.float32)


def by_hand(weight, token_behind):
    """(n, 2, 3) and a token of 3 numbers, joined, flattened, to 4 outputs."""
    values = np.zeros((3, 3), np.float32)
    values[2 if token_behind else 0] = TOKEN
    before, after = ((0, 0), (1, 0)) if token_behind else ((1, 0), (0, 0))
    layers = [dtd.ReLU(), dtd.Pad(before, after, values), dtd.Flatten(), dtd.Dense(weight)]
    return dtd.Network(layers, (2, 3))


def assert_alike(network, other, rng):
    x = rng.normal(size=(5, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(network.forward(x), other.forward(x), rtol=1e-5, atol=1e-6)
    for explain in (lambda net: dtd.LRP(net, dtd.Z()), dtd.DeepTaylor):
        one, two = (explain(net)(x, relevance=np.ones((5, 4))) for net in (network, other))
        assert np.any(two.relevance)
        np.testing.assert_allclose(one.relevance, two.relevance, rtol=1e-4, atol=1e-5)
        lost = [sum(entry.lost for entry in explanation.audit) for explanation in (one, two)]
        assert np.any(lost[1])
        np.testing.assert_allclose(*lost, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("expanded", [False, True], ids=["fixed batch", "expanded to the batch"])
def test_onnx(behind, expanded, rng):
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    from onnx import helper
    from onnx_models import model

    weight = rng.normal(size=(9, 4)).astype(np.float32)
    order = ["r", "c"] if behind else ["c", "r"]
    nodes = [helper.make_node("Relu", ["x"], ["r"])]
    constants = {"w": weight, "c": TOKEN[None]}
    if expanded:
        constants = {"w": weight, "t": TOKEN[None], "one": np.array([1, 3]), "zero": np.array([0])}
        nodes += [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
            helper.make_node("Concat", ["n", "one"], ["all"], axis=0),
            helper.make_node("Expand", ["t", "all"], ["c"]),
        ]
    nodes += [
        helper.make_node("Concat", order, ["joined"], axis=1),
        helper.make_node("Flatten", ["joined"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    network = dtd.from_onnx(model(nodes, (2, 3), constants), verify=expanded)
    assert_alike(network, by_hand(weight, behind), rng)


def test_keras(rng):
    from keras_setup import keras

    layers = keras.layers
    x = keras.Input((2, 3))
    token = keras.ops.convert_to_tensor(TOKEN[None])
    joined = layers.Concatenate(axis=1)([layers.ReLU()(x), token])
    y = layers.Dense(4, use_bias=False)(layers.Flatten()(joined))
    model = keras.Model(x, y)
    weight = keras.ops.convert_to_numpy(model.layers[-1].kernel.value)
    network = dtd.from_keras(model, verify=False)  # of two samples: Keras joins one with one
    assert_alike(network, by_hand(weight, True), rng)


def test_sums_with_constants_in_keras(rng):
    from keras_setup import keras

    layers = keras.layers
    x = keras.Input((2, 3))
    shift = rng.normal(size=(1, 2, 3)).astype(np.float32)
    y = layers.Add()([layers.Dense(3)(x), keras.ops.convert_to_tensor(shift)])
    model = keras.Model(x, y)
    given = rng.normal(size=(4, 2, 3)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(given))
    np.testing.assert_allclose(dtd.from_keras(model).forward(given), expected, rtol=1e-5, atol=1e-6)
    times = layers.Multiply()([x, keras.ops.convert_to_tensor(shift)])
    with pytest.raises(ValueError, match=r"Multiply 'multiply.*called with a constant"):
        dtd.from_keras(keras.Model(x, layers.Dense(2)(times)), verify=False)
