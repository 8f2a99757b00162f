# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers: `forward(x)`, `redistribute(x, relevance, rule)` and `gradient(x, gradient)`."""

from dtdcore.layers.activations import (
    ELU,
    Clip,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    Threshold,
)
from dtdcore.layers.axis import AxisMap, Take
from dtdcore.layers.base import Layer
from dtdcore.layers.convolution import Conv, ConvTranspose
from dtdcore.layers.dense import Dense, NeuronPool
from dtdcore.layers.joining import Add, Concat, Gate
from dtdcore.layers.lrn import LRN
from dtdcore.layers.normalisation import BatchNorm, ChannelAffine
from dtdcore.layers.pooling import AvgPool, GlobalPool, LpPool, MaxPool, SumPool
from dtdcore.layers.shaping import Flatten, Multiply, Pad, Reshape, Slice, Transpose, Upsample

__all__ = [
    "ELU",
    "LRN",
    "Add",
    "AvgPool",
    "AxisMap",
    "BatchNorm",
    "ChannelAffine",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Flatten",
    "Gate",
    "GlobalPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "Layer",
    "LeakyReLU",
    "LpPool",
    "MaxPool",
    "Multiply",
    "NeuronPool",
    "PReLU",
    "Pad",
    "ReLU",
    "Reshape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "SumPool",
    "Take",
    "Tanh",
    "Threshold",
    "Transpose",
    "Upsample",
]
