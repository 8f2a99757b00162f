# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Ends of Keras models: softmaxes and sigmoids that are not exactly last."""

from __future__ import annotations

import numpy as np
import pytest
from keras_setup import QUIET, keras, outputs

import dtdcore as dtd

layers = keras.layers
pytestmark = QUIET

X = np.array([[1.0, 1.0], [-0.5, 2.0]], np.float32)
W = np.array([[2, 0, 0], [0, -3, 0]], np.float32)
B = np.array([0.25, 0, -0.5], np.float32)
Z = X @ W + B
ONE = (np.array([[2.0], [-3.0]], np.float32), np.array([0.5], np.float32))
F = X @ ONE[0] + ONE[1]


def ending(tail, activation=None, weights=(W, B)):
    """A model of one Dense layer, "scores", and what `tail` makes of it."""
    x = keras.Input((2,), name="x")
    scores = layers.Dense(len(weights[1]), activation=activation, name="scores")
    model = keras.Model(x, tail(scores(x)))
    scores.set_weights(weights)
    return model


def sides(p):
    return layers.Concatenate()([layers.Rescaling(-1.0, 1.0)(p), p])


TAILS = {
    "softmax": ("softmax", lambda y: y, Z),
    "log_softmax": ("log_softmax", lambda y: y, Z),
    "a layer": (None, layers.Softmax(name="s"), Z),
    "an activation": (None, layers.Activation("softmax", name="s"), Z),
    "percent": ("softmax", layers.Rescaling(100.0), Z),
    "clipped": ("softmax", layers.ReLU(max_value=0.9), Z),
    "against": ("softmax", layers.Rescaling(-1.0, 1.0), -Z),
    "one class": (
        "softmax",
        lambda y: layers.Cropping1D((1, 1))(layers.Reshape((3, 1))(y)),
        Z[:, 1:2, None],
    ),
    "again": ("softmax", layers.Softmax(), Z),
}


@pytest.mark.parametrize("name", TAILS)
def test_a_softmax_at_the_end_is_left_out(name):
    activation, tail, expected = TAILS[name]
    network = dtd.from_keras(ending(tail, activation))
    np.testing.assert_allclose(network.forward(X), expected, rtol=1e-5, atol=1e-6)
    place = "scores" if activation else "s"
    assert f"softmax at the end ({place}) is left out" in network.notes[0]
    assert network.notes[0] in network.summary()


@pytest.mark.parametrize("name", ["softmax", "percent", "clipped", "one class"])
def test_evidence_against_a_class(name):
    activation, tail, _ = TAILS[name]
    network = dtd.from_keras(ending(tail, activation, (W, 0 * B)))
    target = 0 if name == "one class" else 1
    assert not dtd.DeepTaylor(network)(X[:1], target=target).relevance.any()
    signed = dtd.LRP(network, dtd.Z())(X[:1], target=target)
    np.testing.assert_allclose(signed.relevance, [[0, -3]], rtol=1e-6)


def test_both_sides_of_a_sigmoid():
    network = dtd.from_keras(ending(sides, "sigmoid", ONE))
    np.testing.assert_allclose(network.forward(X), np.hstack([-F, F]), rtol=1e-5)
    assert network.notes[0].startswith("the sigmoid at the end (scores) is left out")
    by_hand = dtd.Network([dtd.Dense(*(np.concatenate([-a, a], axis=-1) for a in ONE))])
    for domain in (dtd.Reals(), dtd.Box(-3, 3)):
        ours = dtd.DeepTaylor(network, domain)(X, [[0, 1]] * 2)
        theirs = dtd.DeepTaylor(by_hand, domain)(X, [[0, 1]] * 2)
        np.testing.assert_allclose(ours.relevance, theirs.relevance, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_lone_sigmoid_stays_and_is_said(scale):
    model = ending(layers.Rescaling(scale), "sigmoid", ONE)
    network = dtd.from_keras(model)
    assert network.notes[0].startswith("it ends in a sigmoid (scores/sigmoid)")
    np.testing.assert_allclose(network.forward(X), outputs(model, X), rtol=1e-5)


def test_the_mean_of_two_softmaxes_stays_and_is_said():
    x = keras.Input((2,))
    parts = [layers.Dense(3, activation="softmax", name=name)(x) for name in ("a", "b")]
    model = keras.Model(x, layers.Average()(parts))
    network = dtd.from_keras(model)
    notes = " ".join(network.notes)
    assert "the softmax a/softmax stays" in notes and "the softmax b/softmax stays" in notes
    np.testing.assert_allclose(network.forward(X), outputs(model, X), rtol=1e-5)
    explanation = dtd.LRP(network, dtd.Z())(X, target=0)
    assert {"a/softmax", "b/softmax"} <= set(explanation.audit.names)
    assert explanation.audit.closes()


def test_maps_keep_their_layout():
    """Classes are the last axis in Keras; over rows, a softmax stays."""
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    for axis, gone in ((-1, True), (3, True), (1, False)):
        model = keras.Sequential(
            [keras.Input((4, 5, 3)), layers.Conv2D(6, 1), layers.Softmax(axis=axis)]
        )
        network = dtd.from_keras(model)
        logits = keras.Model(model.inputs[0], model.layers[0].output)
        expected = outputs(logits if gone else model, x)
        np.testing.assert_allclose(network.forward(x), expected, rtol=1e-4, atol=1e-5)
        assert ("is left out: the output are logits" if gone else "stays") in network.notes[0]


def test_the_batch_axis_is_refused():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(3), layers.Softmax(axis=0, name="s")])
    with pytest.raises(ValueError, match=r"layer Softmax 's': a softmax along the batch axis"):
        dtd.from_keras(model)


def test_wrong_logits_are_found_behind_a_saturated_softmax(monkeypatch):
    from dtdcore.importers.keras import linear

    right = linear.Dense
    monkeypatch.setattr(linear, "Dense", lambda w, b=None: right(w * np.float32(1.01), b))
    for tail, activation in ((TAILS["one class"][1], "softmax"), (sides, "sigmoid")):
        weights = (1000 * W, B) if activation == "softmax" else (1000 * ONE[0], ONE[1])
        with pytest.raises(ValueError, match="first in the logits of the layer Dense 'scores'"):
            dtd.from_keras(ending(tail, activation, weights))


def test_verification_behind_a_saturated_sigmoid(monkeypatch):
    right, off = dtd.Sigmoid._apply, [1e-7]
    monkeypatch.setattr(dtd.Sigmoid, "_apply", lambda s, x: right(s, x) + x.dtype.type(off[0]))
    low = (1e-3 * ONE[0], np.array([-45], np.float32))
    dtd.from_keras(ending(layers.Rescaling(1e-2), "sigmoid", low))
    off[0] = 1e-3
    with pytest.raises(ValueError, match="differs from the Keras model"):
        dtd.from_keras(ending(lambda y: y, "sigmoid", low))


def test_of_several_outputs_one_of_floating_point_numbers_is_proposed():
    x = keras.Input((3,))
    p = layers.Dense(3, activation="softmax", name="p")(x)
    label = layers.Discretization([0.5], output_mode="int", name="label")(p)
    model = keras.Model(x, [label, p])
    says = r"2 outputs \(0: .* \(int\d+\), 1: .* \(float32\)\).*model\.outputs\[1\]"
    with pytest.raises(ValueError, match=says):
        dtd.from_keras(model)
