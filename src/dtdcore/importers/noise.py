# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""How exact the numbers behind bounded activations can be.

Libraries compute a sigmoid to some 1e-7 of its range, whatever its value: where it is saturated at
1e-12, no digit of that need be right. So what stands behind is compared relative to that range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dtdcore.importers.comparing import difference
from dtdcore.importers.logarithms import Log
from dtdcore.layers import (
    Add,
    ChannelAffine,
    Conv,
    ConvTranspose,
    Dense,
    Gate,
    HardSigmoid,
    Layer,
    Multiply,
    Sigmoid,
    Softmax,
    Tanh,
)
from dtdcore.network import Network

#: Activations with values between -1 and 1.
BOUNDED = (Sigmoid, HardSigmoid, Softmax, Tanh)


def agreement(
    network: Network, x: Any, node: str, ours: np.ndarray, theirs: np.ndarray, tolerance: float
) -> str | None:
    """How our value of a node differs from theirs, in words; None if they agree.

    |ours - theirs| may be `tolerance` times the largest number, or times `scale`.
    """
    found = difference(ours, theirs, tolerance)
    if found is None or ours.shape != theirs.shape:
        return found
    return difference(ours, theirs, tolerance, scale(network, x, node))


def scale(network: Network, x: Any, node: str) -> float:
    """How far a node's numbers can go if those of bounded activations go through their range.

    0 where there are none before the node. Through weights it is Σ_i w_ij² that counts: it bounds
    the sum of many small errors, whatever their signs, as far as their number goes.
    """
    names = [*network.inputs, *(item.name for item in network.nodes)]
    scales = [0.0] * len(network.inputs)

    def largest(value: int) -> float:
        if value < len(network.inputs):
            array = x[names[value]] if isinstance(x, dict) else x
        else:
            array = network.forward(x, node=names[value])
        return float(np.max(np.abs(array), initial=0))

    for item in network.nodes[: network.value(node) - len(network.inputs) + 1]:
        before = [scales[source] for source in item.sources]
        scales.append(_behind(item.layer, before, [lambda s=s: largest(s) for s in item.sources]))
    return scales[-1]


def _behind(layer: Layer, scales: list[float], largest: list[Callable[[], float]]) -> float:
    if isinstance(layer, BOUNDED):
        return 1.0
    if not any(scales):
        return 0.0
    if isinstance(layer, Add):
        return sum(scales)
    if isinstance(layer, Gate):  # x g may be off by x dg + g dx
        return sum(s * other() for s, other in zip(scales, reversed(largest), strict=True))
    if isinstance(layer, Log):
        return math.inf
    return max(scales) * _gain(layer)


def _gain(layer: Layer) -> float:
    if isinstance(layer, Multiply):
        return float(np.max(np.abs(layer.constant), initial=0))
    if isinstance(layer, ChannelAffine):
        return float(np.max(np.abs(layer.scale), initial=0))
    if isinstance(layer, (Dense, Conv, ConvTranspose)):
        output = 0 if isinstance(layer, Conv) else 1
        weight = np.moveaxis(layer.weight, output, 0).astype(np.float64)
        norms = np.linalg.norm(weight.reshape(len(weight), -1), axis=1)
        return float(np.max(norms, initial=0))
    return 1.0
