# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A Keras model from items without BatchNorm: channels last, ReLU within the layer before it.

iNNvestigate wants it so: a kernel layer without activation of its own gets the w²-rule there. The
last layer gets a ReLU too, for that reason; the outputs that are explained are positive. Keras
pads strided layers unevenly. A layer of zeros before them does what PyTorch does, but at the input
it would hide the first convolution from z^B; there the kernel gets one more row and column of
zeros instead, which makes Keras's own padding even.
"""

from __future__ import annotations

import numpy as np
from tensorflow.keras import Model, layers

from zoo.items import Item


def to_keras(items: list[Item], side: int, channels: int = 3) -> Model:
    """The model: inputs (n, side, side, channels)."""
    if any(item.kind == "lrn" for item in items):
        raise ValueError("iNNvestigate has no rule for LRN")
    fused = {item.sources[0] for item in items if item.kind == "relu"} | {items[-1].name}
    kinds = {item.name: item.kind for item in items}
    values = {"input": layers.Input((side, side, channels))}
    for item in items:
        sources = [values[source] for source in item.sources]
        if item.kind == "relu" and kinds[item.sources[0]] in ("conv", "dense"):
            values[item.name] = sources[0]
            continue
        activation = "relu" if item.name in fused else None
        for layer in _layers(item, activation, sources[0].shape):
            sources = [layer(sources if len(sources) > 1 else sources[0])]
        values[item.name] = sources[0]
    return Model(values["input"], values[items[-1].name])


def _layers(item: Item, activation: str | None, shape: tuple[int, ...]) -> list[layers.Layer]:
    match item.kind:
        case "conv":
            return _conv(item, activation)
        case "dense":
            weights = [item.arrays["weight"].T, item.arrays["bias"]]
            return [_weighted(layers.Dense(len(weights[1]), activation), weights, item.name)]
        case "relu":
            return [layers.ReLU()]
        case "maxpool":
            o = item.options
            if o["ceil"]:
                raise ValueError(f"{item.name}: Keras has no pool that rounds up")
            pool = layers.MaxPool2D(o["size"], o["stride"], "valid")
            return [layers.ZeroPadding2D(o["padding"]), pool] if o["padding"] else [pool]
        case "globalpool":
            return [layers.AveragePooling2D(shape[1])]
        case "add":
            return [layers.Add()]
        case "flatten":
            return [layers.Permute((3, 1, 2)), layers.Flatten()]
    raise ValueError(f"{item.name}: no Keras layer that iNNvestigate knows for {item.kind}")


def _conv(item: Item, activation: str | None) -> list[layers.Layer]:
    o, weight = item.options, item.arrays["weight"].transpose(2, 3, 1, 0)
    size, first = weight.shape[0], item.sources == ("input",)
    even = 2 * o["padding"] == size - 1 and o["stride"] == 1
    if first and not even:
        weight = np.pad(weight, [(0, 1), (0, 1), (0, 0), (0, 0)])
        size += 1
    options = {
        "strides": o["stride"],
        "padding": "same" if even or first else "valid",
        "use_bias": "bias" in item.arrays,
        "activation": activation,
    }
    if o["groups"] == 1:
        layer = layers.Conv2D(weight.shape[3], size, **options)
    else:
        layer, weight = layers.DepthwiseConv2D(size, **options), weight.transpose(0, 1, 3, 2)
    weights = [weight] + ([item.arrays["bias"]] if "bias" in item.arrays else [])
    layer = _weighted(layer, weights, item.name)
    padded = o["padding"] and options["padding"] == "valid"
    return [layers.ZeroPadding2D(o["padding"]), layer] if padded else [layer]


def _weighted(layer: layers.Layer, weights: list[np.ndarray], name: str) -> layers.Layer:
    layer._name = name
    call = layer.build

    def build(shape):  # the weights exist from then on
        call(shape)
        layer.set_weights(weights)

    layer.build = build
    return layer
