# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Which values of a network can be negative, as its graph tells, whatever its inputs are."""

from __future__ import annotations

from dtdcore.layers import (
    ELU,
    LRN,
    Add,
    AvgPool,
    ChannelAffine,
    Clip,
    Concat,
    Gate,
    GlobalPool,
    HardSigmoid,
    HardSwish,
    Identity,
    Layer,
    LeakyReLU,
    LpPool,
    MaxPool,
    Multiply,
    NeuronPool,
    Pad,
    PReLU,
    ReLU,
    Sigmoid,
    Softmax,
    SumPool,
    Tanh,
)
from dtdcore.mapping import keeps_sign
from dtdcore.network import Network

#: Layers whose outputs are ≥ 0 whatever comes in.
_ALWAYS = (ReLU, HardSigmoid, Sigmoid, Softmax, LpPool, NeuronPool)

#: Layers whose outputs are ≥ 0 where their inputs are, beside those that only rearrange.
_KEEPING = (
    *(ELU, HardSwish, Identity, LeakyReLU, PReLU, Tanh),
    *(Add, Concat, Gate, LRN, AvgPool, GlobalPool, MaxPool, SumPool),
)


def nonnegative_values(network: Network) -> frozenset[int]:
    """The values that cannot be negative; of the inputs nothing is known."""
    m = len(network.inputs)
    known: set[int] = set()
    for value, node in enumerate(network.nodes, m):
        if _nonnegative(node.layer, known.issuperset(node.sources)):
            known.add(value)
    return frozenset(known)


def _nonnegative(layer: Layer, given: bool) -> bool:
    """Are the outputs of a layer ≥ 0, if all that comes in is (`given`) or may not be?"""
    if isinstance(layer, _ALWAYS):
        return True
    if isinstance(layer, Clip):
        return layer.low >= 0 or (given and layer.high >= 0)
    if isinstance(layer, GlobalPool) and layer.name == "lp":
        return True
    if isinstance(layer, ChannelAffine | Multiply | Pad):
        return given and keeps_sign(layer)
    return given and (layer.rearranges or isinstance(layer, _KEEPING))
