# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A dtdcore.Network from items, and rules that mean what Zennit's deep Taylor composite means."""

from __future__ import annotations

import dtdcore as dtd
from zoo import HIGH, LOW
from zoo.items import Item


def to_dtdcore(items: list[Item], side: int, channels: int = 3) -> dtd.Network:
    """The network; BatchNorm stays a layer of its own, which an explainer merges."""
    layers = [(item.name, make_layer(item), item.sources) for item in items]
    return dtd.Network(layers, input_shape=(channels, side, side))


def make_layer(item: Item) -> dtd.Layer:
    """The layer of one item."""
    match item.kind:
        case "conv":
            return dtd.Conv(**item.arrays, **item.options)
        case "dense":
            return dtd.Dense(item.arrays["weight"].T, item.arrays["bias"])
        case "batchnorm":
            return dtd.BatchNorm(**item.arrays, **item.options)
        case "maxpool":
            return dtd.MaxPool(**item.options)
        case "lrn":
            return dtd.LRN(**item.options)
        case "relu":
            return dtd.ReLU()
        case "globalpool":
            return dtd.GlobalPool("average")
        case "add":
            return dtd.Add()
        case "concat":
            return dtd.Concat()
        case "flatten":
            return dtd.Flatten()
    raise ValueError(f"unknown kind {item.kind} of {item.name}")


def zennit_rules(items: list[Item]) -> dict:
    """Zennit's conventions: z^B at the input, z⁺ with b⁺ above."""
    return input_and_above(items, dtd.ZB(LOW, HIGH), dtd.ZPlus(bias=True))


def input_and_above(items: list[Item], first: dtd.Rule, above: dtd.Rule) -> dict:
    """`first` for the first convolution, `above` for other weights; sums and averages x_i / Σ x."""
    kinds = {item.kind for item in items[1:]}
    rules = {items[0].name: first}
    for kind, name, rule in (
        ("conv", "Conv", above),
        ("dense", "Dense", above),
        ("add", "Add", dtd.Z()),
        ("globalpool", "GlobalPool", dtd.Z()),
    ):
        if kind in kinds:
            rules[name] = rule
    return rules
