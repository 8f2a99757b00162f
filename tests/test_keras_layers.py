# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Every Keras layer of the table against Keras's own output."""

from __future__ import annotations

import numpy as np
import pytest
from keras_setup import QUIET, keras, outputs, randomised

import dtdcore as dtd
from dtdcore.importers.keras.elementwise import FUNCTIONS
from dtdcore.importers.keras.operators import markdown, operators

pytestmark = QUIET
layers = keras.layers

SIGNAL, IMAGE, VOLUME = (11, 3), (9, 8, 3), (5, 6, 7, 2)


def nested():
    """A model of several layers."""
    parts = [layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3)]
    return keras.Sequential([keras.Input(IMAGE), *parts])


#: Pools and strides that "same" takes more pixels for at the end than at the start.
UNEVEN = [(2, 1), (4, 2), (4, 3), ((4, 3), 1), (5, 4)]

CASES = {
    "Dense": [((7,), {"units": 4}), (SIGNAL, {"units": 4}), (IMAGE, {"units": 4})],
    "Conv1D": [
        (SIGNAL, {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
        (SIGNAL, {"filters": 4, "kernel_size": 4, "padding": "same", "strides": 2}),
    ],
    "Conv2D": [
        (IMAGE, {"filters": 4, "kernel_size": (3, 2), "strides": (2, 3)}),
        (IMAGE, {"filters": 4, "kernel_size": (4, 3), "strides": (3, 2), "padding": "same"}),
        (IMAGE, {"filters": 6, "kernel_size": 3, "groups": 3, "use_bias": False}),
        (IMAGE, {"filters": 4, "kernel_size": 2, "dilation_rate": (2, 3), "padding": "same"}),
    ],
    "Conv3D": [(VOLUME, {"filters": 3, "kernel_size": 2, "strides": 2, "padding": "same"})],
    "DepthwiseConv1D": [(SIGNAL, {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"})],
    "DepthwiseConv2D": [
        (IMAGE, {"kernel_size": 3, "depth_multiplier": 2, "strides": 2, "padding": "same"}),
        (IMAGE, {"kernel_size": (2, 3), "dilation_rate": 2}),
    ],
    "SeparableConv1D": [(SIGNAL, {"filters": 4, "kernel_size": 3, "strides": 2})],
    "SeparableConv2D": [
        (IMAGE, {"filters": 4, "kernel_size": 3, "depth_multiplier": 2, "padding": "same"})
    ],
    "Conv1DTranspose": [
        (SIGNAL, {"filters": 4, "kernel_size": k, "strides": s, "padding": p})
        for k, s in [(3, 2), (4, 2), (5, 3), (3, 1), (2, 3)]
        for p in ("same", "valid")
    ],
    "Conv2DTranspose": [
        (IMAGE, {"filters": 4, "kernel_size": (3, 4), "strides": (2, 3), "padding": "same"}),
        (IMAGE, {"filters": 4, "kernel_size": 3, "dilation_rate": 2}),
    ],
    "Conv3DTranspose": [(VOLUME, {"filters": 3, "kernel_size": 3, "strides": 2})],
    "BatchNormalization": [
        (IMAGE, {}),
        (IMAGE, {"axis": 1, "scale": False}),
        ((5,), {"center": False}),
    ],
    "Rescaling": [
        (IMAGE, {"scale": 1 / 127.5, "offset": -1}),
        (IMAGE, {"scale": [0.5, 2.0, 3.0], "offset": [1.0, 0.0, -1.0]}),
    ],
    "Normalization": [
        (IMAGE, {"mean": [1.0, 2, 3], "variance": [4.0, 5, 6]}),
        (IMAGE, {"axis": None, "mean": 3.0, "variance": 4.0}),
        (IMAGE, {"mean": [1.0, 2, 3], "variance": [4.0, 5, 6], "invert": True}),
        (SIGNAL, {"axis": (1, 2), "mean": np.ones(SIGNAL), "variance": np.full(SIGNAL, 4.0)}),
    ],
    "MaxPooling1D": [(SIGNAL, {"pool_size": 3, "strides": 2, "padding": "same"})],
    "MaxPooling2D": [
        (IMAGE, {"pool_size": (3, 2), "strides": 2, "padding": "same"}),
        (IMAGE, {"pool_size": 4, "strides": 3}),
    ],
    "MaxPooling3D": [
        (VOLUME, {"pool_size": (4, 2, 5), "strides": (3, 1, 2), "padding": "same"}),
        (VOLUME, {"pool_size": 2, "padding": "same"}),
    ],
    "AveragePooling1D": [(SIGNAL, {"pool_size": 3, "strides": 2, "padding": "same"})],
    "AveragePooling2D": [
        (IMAGE, {"pool_size": (3, 2), "strides": 2, "padding": "same"}),
        (IMAGE, {"pool_size": 4, "strides": 3}),
        *((IMAGE, {"pool_size": k, "strides": s, "padding": "same"}) for k, s in UNEVEN),
    ],
    "AveragePooling3D": [
        (VOLUME, {"pool_size": 2, "padding": "same"}),
        (VOLUME, {"pool_size": (4, 3, 2), "strides": (2, 1, 3), "padding": "same"}),
    ],
    "ZeroPadding1D": [(SIGNAL, {"padding": (1, 2)}), (SIGNAL, {"padding": 2})],
    "ZeroPadding2D": [(IMAGE, {"padding": ((1, 2), (0, 3))})],
    "ZeroPadding3D": [(VOLUME, {"padding": (1, 0, 2)})],
    "Cropping1D": [(SIGNAL, {"cropping": (1, 3)})],
    "Cropping2D": [(IMAGE, {"cropping": ((1, 0), (2, 3))})],
    "Cropping3D": [(VOLUME, {"cropping": (1, 2, 2)})],
    "UpSampling1D": [(SIGNAL, {"size": 3})],
    "UpSampling2D": [(IMAGE, {"size": (2, 3)})],
    "UpSampling3D": [(VOLUME, {"size": (1, 2, 3)})],
    "Activation": [
        (IMAGE, {"activation": name}) for name in (*FUNCTIONS, "selu", "silu", "linear")
    ],
    "ReLU": [
        (IMAGE, {}),
        (IMAGE, {"max_value": 1, "negative_slope": 0.3}),
        (SIGNAL, {"max_value": 2}),
    ],
    "LeakyReLU": [(IMAGE, {"negative_slope": 0.4})],
    "ELU": [(IMAGE, {"alpha": 0.7})],
    "PReLU": [(IMAGE, {"shared_axes": [1, 2]}), ((6,), {}), (IMAGE, {"shared_axes": [2, 3]})],
    "Softmax": [((6,), {})],
    "Flatten": [(IMAGE, {}), (IMAGE, {"data_format": "channels_first"})],
    "Reshape": [(IMAGE, {"target_shape": (4, -1)}), (SIGNAL, {"target_shape": (11, 1, 3)})],
    "RepeatVector": [((6,), {"n": 4})],
    "TimeDistributed": [
        (shape, {"layer": make})
        for shape, make in [
            (SIGNAL, lambda: layers.Dense(4, activation="relu")),
            (SIGNAL, layers.BatchNormalization),
            (
                (3, *IMAGE),
                lambda: layers.Conv2D(4, 3, strides=2, padding="same", activation="selu"),
            ),
            ((3, *IMAGE), lambda: layers.MaxPooling2D(2)),
            ((2, *SIGNAL), lambda: layers.Conv1D(4, 3)),
            ((3, *IMAGE), layers.GlobalAveragePooling2D),
            ((3, *IMAGE), layers.Flatten),
            ((3, *IMAGE), lambda: layers.Dropout(0.5)),
            ((3, *IMAGE), nested),
        ]
    ],
    "Permute": [(IMAGE, {"dims": (3, 1, 2)}), (VOLUME, {"dims": (2, 4, 1, 3)})],
    **{
        f"Global{kind}Pooling{len(shape) - 1}D": [(shape, {}), (shape, {"keepdims": True})]
        for kind in ("Average", "Max")
        for shape in (SIGNAL, IMAGE, VOLUME)
    },
    **{
        name: [(SIGNAL, {"rate": 0.5})]
        for name in ("AlphaDropout", "Dropout", "GaussianDropout", "SpatialDropout1D")
    },
    "SpatialDropout2D": [(IMAGE, {"rate": 0.5})],
    "SpatialDropout3D": [(VOLUME, {"rate": 0.5})],
    "GaussianNoise": [(IMAGE, {"stddev": 1.0})],
    "ActivityRegularization": [(IMAGE, {})],
    "Identity": [(IMAGE, {})],
    "RandomFlip": [(IMAGE, {})],
    **{
        f"Random{name}": [(IMAGE, {"factor": 0.2})]
        for name in ("Brightness", "Contrast", "Rotation")
    },
    "RandomZoom": [(IMAGE, {"height_factor": 0.2})],
    "RandomTranslation": [(IMAGE, {"height_factor": 0.2, "width_factor": 0.2})],
}

JOINS = ("Add", "Average", "Subtract", "Multiply", "Concatenate")


def test_every_layer_of_the_table_is_tested():
    assert set(CASES) | set(JOINS) == set(operators())
    assert markdown().startswith("| Keras | dtdcore |")


@pytest.mark.parametrize(
    ("kind", "shape", "options"),
    [(kind, shape, options) for kind, cases in CASES.items() for shape, options in cases],
)
def test_layer(kind, shape, options, rng):
    options = {n: option() if callable(option) else option for n, option in options.items()}
    layer = getattr(layers, kind)(**options)
    # a layer behind, so that a softmax is not left out, and that takes what the layer gives
    model = keras.Sequential([keras.Input(shape), layer, layers.Activation("tanh")])
    network = dtd.from_keras(randomised(model, rng))
    x = rng.normal(size=(3, *shape)).astype(np.float32)
    expected = outputs(model, x)
    assert network.input_shape == shape
    np.testing.assert_allclose(network.forward(x), expected, rtol=1e-4, atol=2e-6)
    notes = [note for note in network.notes if not note.startswith("not folded")]
    assert bool(notes) == (kind == "Softmax")  # test_tails_keras.py


@pytest.mark.parametrize("kind", ["Add", "Average", "Subtract", "Concatenate"])
@pytest.mark.parametrize("mixed", [False, True], ids=["alike", "mixed"])
def test_join(kind, mixed, rng):
    a, b = keras.Input((6, 5, 3), name="a"), keras.Input((6, 5, 3), name="b")
    left = layers.Conv2D(3, 3, padding="same")(a)  # channels first inside
    right = b if mixed else layers.Conv2D(3, 1)(b)
    model = randomised(keras.Model([a, b], getattr(layers, kind)()([left, right])), rng)
    network = dtd.from_keras(model)
    x = {name: rng.normal(size=(2, 6, 5, 3)).astype(np.float32) for name in "ab"}
    expected = outputs(model, x["a"], x["b"])
    np.testing.assert_allclose(network.forward(x), expected, rtol=1e-4, atol=1e-5)
    explanation = dtd.LRP(network, "epsilon")(x, relevance=np.ones_like(expected))
    assert {name: part.shape for name, part in explanation.relevance.items()} == {
        name: part.shape for name, part in x.items()
    }


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_concatenation_along_any_axis(axis, rng):
    a = keras.Input((6, 6, 6))
    parts = [layers.Conv2D(6, 3, padding="same")(a), a]
    model = randomised(keras.Model(a, layers.Concatenate(axis=axis)(parts)), rng)
    x = rng.normal(size=(2, 6, 6, 6)).astype(np.float32)
    got = dtd.from_keras(model).forward(x)
    np.testing.assert_allclose(got, outputs(model, x), rtol=1e-4, atol=1e-5)


def test_gate(rng):
    """Squeeze and excitation: channels that are scaled by a sigmoid."""
    a = keras.Input((6, 5, 3))
    y = layers.Conv2D(4, 3)(a)
    gate = layers.GlobalAveragePooling2D()(y)
    gate = layers.Dense(4, activation="sigmoid")(layers.Reshape((1, 1, 4))(gate))
    model = randomised(keras.Model(a, layers.Multiply()([y, gate])), rng)
    x = rng.normal(size=(2, 6, 5, 3)).astype(np.float32)
    got = dtd.from_keras(model).forward(x)
    np.testing.assert_allclose(got, outputs(model, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (layers.LayerNormalization, r"LayerNormalization 'odd' .*not supported.*BatchNorm"),
        (lambda: layers.Activation("gelu"), "gelu is not supported"),
        (lambda: layers.Activation(lambda x: x * 2), "<lambda> is not supported"),
        (lambda: layers.ReLU(threshold=0.5), "threshold=0.5"),
        (lambda: layers.UpSampling2D(2, interpolation="bilinear"), "bilinear"),
        (layers.PReLU, "shared_axes"),
    ],
)
def test_what_is_not_supported_is_an_error_with_the_name(layer, says):
    made = layer()
    made.name = "odd"
    model = keras.Sequential([keras.Input((4, 4, 2)), made])
    with pytest.raises(ValueError, match=says) as caught:
        dtd.from_keras(model)
    assert "'odd'" in str(caught.value)


def test_errors_show_where_to_cut():
    parts = [layers.Dense(4, name="a"), layers.LayerNormalization(name="odd"), layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,)), *parts])
    with pytest.raises(ValueError, match="LayerNormalization 'odd'") as caught:
        dtd.from_keras(model)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4 and max(map(len, lines)) < 200
    before = keras.Model(model.inputs, model.get_layer("odd").input)
    behind = keras.Model(model.get_layer("odd").output, model.outputs)
    assert "(keras.Model(model.inputs, model.get_layer('odd').input)) explains the part" in lines[2]
    assert "(keras.Model(model.get_layer('odd').output, model.outputs)) explains" in lines[3]
    assert [dtd.from_keras(part).output_shape for part in (before, behind)] == [(4,), (2,)]
