# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Keras models as a whole: layouts, names, shared and nested layers, errors, verification."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import warnings

import numpy as np
import pytest
from keras_setup import QUIET, keras, outputs, randomised

import dtdcore as dtd
from dtdcore.importers.building import affine
from dtdcore.importers.keras import linear as keras_linear
from dtdcore.importers.keras import shapes as keras_shapes

pytestmark = QUIET
layers = keras.layers


@pytest.fixture
def small(rng):
    model = keras.Sequential(
        [
            keras.Input((9, 8, 3), name="picture"),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(5, activation="softmax", name="scores"),
        ]
    )
    return randomised(model, rng)


def test_a_sigmoid_at_the_end_is_said():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid", name="d")])
    (note,) = dtd.from_keras(model).notes
    assert note.startswith("it ends in a sigmoid (d/sigmoid): explanations start at its value")


def test_names_layout_and_softmax(small, rng):
    network = dtd.from_keras(small)
    names = [node.name for node in network.nodes]
    assert [name for name in names if "transpose" not in name] == [
        "conv",
        "conv/relu",
        "pool",
        "flat",
        "scores",
    ]
    assert sum("transpose" in name for name in names) == 2  # at the input, and for Flatten
    assert network.input_shape == (9, 8, 3)
    assert "softmax at the end (scores) is left out" in network.summary()
    x = rng.normal(size=(2, 9, 8, 3)).astype(np.float32)
    logits = network.forward(x)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    got = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got, outputs(small, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("low", [-1.0, np.full((1, 1, 3), -2.0), -np.ones((9, 8, 3))])
def test_heatmap_is_that_of_the_same_channels_first_network(small, low, rng):
    """The box passes through the transposition: z^B at the first convolution."""
    kernel, bias, dense, dense_bias = (
        keras.ops.convert_to_numpy(weight.value) for weight in small.weights
    )
    dense = dense.reshape(2, 2, 4, 5).transpose(2, 0, 1, 3).reshape(16, 5)
    by_hand = dtd.Network(
        [
            dtd.Conv(kernel.transpose(3, 2, 0, 1), bias, 2, ((1, 1), (0, 1))),
            dtd.ReLU(),
            dtd.MaxPool(2),
            dtd.Flatten(),
            dtd.Dense(dense, dense_bias),
        ],
        (3, 9, 8),
    )
    x = rng.uniform(-1, 1, (3, 9, 8, 3)).astype(np.float32)
    given = np.ones((3, 5), np.float32)
    first = low if np.ndim(low) == 0 else np.broadcast_to(low, (9, 8, 3)).transpose(2, 0, 1)
    got = dtd.DeepTaylor(dtd.from_keras(small), dtd.Box(low, 1.0))(x, relevance=given)
    expected = dtd.DeepTaylor(by_hand, dtd.Box(first, 1.0))(
        x.transpose(0, 3, 1, 2), relevance=given
    )
    assert got.relevance.shape == x.shape
    assert np.any(expected.relevance)
    np.testing.assert_allclose(
        got.relevance, expected.relevance.transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-7
    )


def test_skip_shared_and_nested(rng):
    inner = keras.Sequential(
        [keras.Input((6, 6, 4)), layers.Conv2D(4, 3, padding="same", name="c")], name="inner"
    )
    a = keras.Input((6, 6, 3), name="a")
    y = layers.Conv2D(4, 1, name="begin")(a)
    z = layers.ReLU(name="act")(inner(inner(y)))
    model = keras.Model(a, layers.GlobalAveragePooling2D()(layers.Add(name="sum")([y, z])))
    network = dtd.from_keras(randomised(model, rng))
    names = [node.name for node in network.nodes]
    assert names[1:6] == ["begin", "inner/c", "inner_2/c", "act", "sum"]
    x = rng.normal(size=(2, 6, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(network.forward(x), outputs(model, x), rtol=1e-4, atol=1e-5)


def test_digits(rng, tmp_path):
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    x, y = datasets.load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the backend in training
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x[:1500], y[:1500], epochs=30, batch_size=32, verbose=0)
        model.save(tmp_path / "digits.keras")
        model.save(tmp_path / "digits.h5")
    network = dtd.load(tmp_path / "digits.keras")
    told = network.forward(x[1500:]).argmax(axis=1)
    older = dtd.load(tmp_path / "digits.h5")
    np.testing.assert_array_equal(older.forward(x[:9]), network.forward(x[:9]))
    assert np.mean(told == y[1500:]) > 0.85
    np.testing.assert_array_equal(told, outputs(model, x[1500:]).argmax(axis=1))
    explanation = dtd.DeepTaylor(network, dtd.Box(0, 1), strict=False)(x[1500:1600])
    assert explanation.relevance.shape == (100, 8, 8, 1)
    assert np.all(explanation.is_positive())
    assert np.any(explanation.relevance > 0)


def test_errors(small):
    class Odd(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="subclassed"):
        dtd.from_keras(Odd())
    with pytest.raises(TypeError, match="Keras 3 model"):
        dtd.from_keras([1])
    with pytest.raises(ValueError, match="input shape"):
        dtd.from_keras(keras.Sequential([layers.Dense(3)]))
    with pytest.raises(ValueError, match="open sizes"):
        dtd.from_keras(keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(3, 3)]))
    with pytest.raises(ValueError, match="2 outputs"):
        dtd.from_keras(keras.Model(small.inputs, [small.outputs[0], small.layers[0].output]))
    with pytest.raises(FileNotFoundError, match="no file"):
        dtd.load("missing.keras")


def test_verification_names_the_first_layer_that_differs(small, monkeypatch):
    right = keras_linear.same
    monkeypatch.setattr(keras_linear, "same", lambda *span: right(*span)[::-1])
    with pytest.raises(ValueError, match="first in the layer Conv2D 'conv'"):
        dtd.from_keras(small)
    dtd.from_keras(small, verify=False)


def test_verification_looks_behind_a_softmax_before_flatten(rng):
    first = {"data_format": "channels_first"}
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, padding="same"),
            layers.Permute((3, 1, 2)),
            layers.Softmax(axis=1),
            layers.Flatten(**first),
        ]
    )
    network = dtd.from_keras(randomised(model, rng))
    x = rng.normal(size=(2, 6, 6, 3)).astype(np.float32)
    logits = network.forward(x).reshape(2, 36, 4)
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    got = powers / powers.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(got.reshape(2, -1), outputs(model, x), rtol=1e-4, atol=1e-6)


def test_nothing_else_changes(small):
    """Neither the random numbers of Python, nor the model, nor the names that Keras gives next."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    two = keras.Model({"b": b, "a": a}, layers.Subtract()([layers.Dense(4)(a), b]))
    for model in (small, two):
        weights = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
        state = random.getstate()
        number = int(keras.Model(a, a).name.rpartition("_")[2])
        dtd.from_keras(model)
        assert random.getstate() == state
        assert int(keras.Model(a, a).name.rpartition("_")[2]) == number + 1
        for weight, before in zip(model.weights, weights, strict=True):
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), before)
    assert small.layers[-1].activation is keras.activations.softmax


def _double(kind):
    options = {"dtype": "float64"}
    a = keras.Input((6, 5, 3), **options)
    if kind == "rescaling":
        parts = [layers.Rescaling(1 / 255, 0.1, **options), layers.Conv2D(3, 3, **options)]
        return keras.Sequential([a, *parts])
    if kind == "dense":  # which Keras multiplies in float32 on PyTorch
        return keras.Sequential([a, layers.Dense(3, **options)])
    parts = [layers.Conv2D(3, 3, **options)(a) for _ in range(3)]
    return keras.Model(a, layers.Average(**options)(parts))


NO_DOUBLE = pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # JAX says


@NO_DOUBLE
@pytest.mark.parametrize("kind", ["rescaling", "average", "dense"])
def test_double_precision(kind, rng):
    model = randomised(_double(kind), rng)
    network = dtd.from_keras(model)
    x = rng.normal(size=(3, 6, 5, 3)).astype(np.float32).astype(float)  # the model casts it
    theirs = outputs(model, x)
    assert network.dtype == theirs.dtype  # float32 on JAX, unless told otherwise
    near = 1e-5 if kind == "dense" or theirs.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(network.forward(x.astype(theirs.dtype)), theirs, near, near)


@NO_DOUBLE
def test_double_precision_is_verified_as_such(rng, monkeypatch):
    """Functional models too, whose inputs say that they compute in float32."""
    model = randomised(_double("average"), rng)
    if outputs(model, np.zeros((1, 6, 5, 3))).dtype != np.float64:
        pytest.skip("this backend has no float64")
    exact, factor = keras_shapes.added, np.array([1 + 1e-7])
    monkeypatch.setattr(keras_shapes, "added", lambda *of: affine(of[0], exact(*of), factor, None))
    with pytest.raises(ValueError, match="first in the layer Average"):
        dtd.from_keras(model)


def test_double_precision_without_it():
    """Keras on JAX computes in float32 what says float64, and says so in its outputs alone."""
    if not importlib.util.find_spec("jax"):
        pytest.skip("jax is not installed")
    code = """
import keras, dtdcore
options = {"dtype": "float64"}
layers = [keras.layers.Rescaling(1 / 255, **options), keras.layers.Conv2D(3, 3, **options)]
model = keras.Sequential([keras.Input((8, 8, 3), **options), *layers])
print(dtdcore.from_keras(model).dtype)
"""
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "0"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    ran = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert ran.stdout.strip() == "float32", ran.stderr


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "bfloat16"])
def test_coarse_dtypes(policy, rng):
    model = keras.Sequential([keras.Input((7,)), layers.Dense(5, activation="relu", dtype=policy)])
    network = dtd.from_keras(model)
    assert network.nodes[0].layer.dtype == np.float32
    assert any("bfloat16" in note for note in network.notes) == (policy == "bfloat16")


@pytest.mark.parametrize("shape", [(1, 3, 5), (3, 5), (5,)])
def test_operations_with_constants_are_not_supported(shape):
    """keras.ops on either side, not taken for the layers of that name."""
    x = keras.Input((3, 4))
    y = keras.layers.Dense(5)(x)
    constant = keras.ops.ones(shape)
    for result in (constant + y, y + constant, y - constant, constant * y):
        model = keras.Model(x, keras.layers.ReLU()(result))
        with pytest.raises(ValueError, match=r"\(keras.src.ops.numpy\) is not supported"):
            dtd.from_keras(model)
