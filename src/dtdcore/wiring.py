# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""From the items that describe a network to its nodes: names, and where inputs come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arrays import check_count
from dtdcore.layers import ChannelAffine, Layer, Multiply


@dataclass(frozen=True)
class Node:
    """A layer in its place.

    Values 0 to m - 1 are the network's m inputs, value m + i the output of node i; `sources` are
    the values that come in.
    """

    name: str
    layer: Layer
    sources: tuple[int, ...]


def connect(items: Iterable[Any], inputs: Sequence[str]) -> list[Node]:
    """The nodes for a list of layers, (name, layer) or (name, layer, sources).

    Raises
    ------
    TypeError, ValueError
        If an item is something else, a name comes twice, or a source is unknown.
    """
    if isinstance(items, Layer) or not isinstance(items, Iterable):
        raise TypeError(f"layers must be a list of dtdcore layers, got {items!r}")
    nodes: list[Node] = []
    values = {name: value for value, name in enumerate(inputs)}
    counts: dict[str, int] = {}
    for item in items:
        name, layer, sources = None, item, None
        if isinstance(item, tuple) and len(item) in (2, 3):
            name, layer, sources = (*item, None)[:3]
        if not isinstance(layer, Layer):
            raise TypeError(f"layers must be dtdcore layers, got {layer!r}")
        layer.check_class()
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a layer's name must be a text, got {name!r}")
        kind = type(layer).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        name = name or f"{kind}_{counts[kind]}"
        if name in values:
            raise ValueError(
                f"the layer {name!r} has the name of an input"
                if name in inputs
                else f"two layers have the name {name!r}"
            )
        if sources is None and not nodes and len(inputs) > 1:
            raise ValueError(
                f"the first layer, {name}, must say which of the inputs {', '.join(inputs)} it "
                "takes: (name, layer, sources)"
            )
        before = (len(values) - 1,)
        nodes.append(Node(name, layer, before if sources is None else _find(name, sources, values)))
        if len(nodes[-1].sources) > 1 and not layer.joins:
            raise ValueError(f"layer {name}: {layer!r} takes one input, got {sources!r}")
        values[name] = len(values)
    if not nodes:
        raise ValueError("a network needs at least one layer")
    return nodes


def _find(name: str, sources: Any, values: dict[str, int]) -> tuple[int, ...]:
    """The numbers of the values that `sources` names."""
    names = [sources] if isinstance(sources, str) else sources
    if not isinstance(names, Sequence) or not all(isinstance(one, str) for one in names):
        raise TypeError(f"the sources of layer {name} must be names, got {sources!r}")
    if not names:
        raise ValueError(f"layer {name} has no source")
    for source in names:
        if source not in values:
            raise ValueError(
                f"layer {name}: there is no layer {source!r} before it; "
                f"there are {', '.join(values)}"
            )
    return tuple(values[source] for source in names)


def leading_values(nodes: Sequence[Node], inputs: int) -> frozenset[int]:
    """The values that are the inputs still, each number at most moved, scaled and shifted.

    Relevance passes unchanged through the layers that make them, and nothing is merged with them:
    explaining a network that scales its inputs is explaining what comes behind on scaled inputs.
    """
    values = set(range(inputs))
    for value, node in enumerate(nodes, inputs):
        moves = node.layer.rearranges or isinstance(node.layer, ChannelAffine)
        if moves and values.issuperset(node.sources):
            values.add(value)
    return frozenset(values)


def passing_values(nodes: Sequence[Node], inputs: int) -> frozenset[int]:
    """The values of scales and shifts that rules without bias would not see, were they folded.

    y = s x + t with s > 0, where x is a sum, at most rearranged: folded into that sum, its weights
    would be s_j w_ij and its bias t_j larger. Every rule without bias in z_j then gives R_i = Σ_j
    q_ij / z_j R_j with the same q_ij / z_j, so relevance may pass to the sum unchanged. The same is
    true of scales without shifts, whatever comes before them.
    """
    sums: set[int] = set()  # values that are sums, at most rearranged, or scaled so and shifted
    passing = set()
    for value, node in enumerate(nodes, inputs):
        layer, of_sums = node.layer, sums.issuperset(node.sources)
        if isinstance(layer, ChannelAffine):
            if of_sums and np.all(layer.scale > 0):
                sums.add(value)
                passing.add(value)
            elif not np.any(layer.shift):
                passing.add(value)
        elif layer.takes_rule or (
            of_sums
            and layer.rearranges
            and not (isinstance(layer, Multiply) and np.any(layer.constant <= 0))
        ):
            sums.add(value)
    return frozenset(passing)


def input_names(input_shape: Any) -> tuple[str, ...]:
    """The names of the inputs: the keys of a dict, else the only one, "input"."""
    if not isinstance(input_shape, Mapping):
        return ("input",)
    if not input_shape or not all(isinstance(name, str) and name for name in input_shape):
        raise TypeError(f"input_shape must map names to shapes, got {input_shape!r}")
    return tuple(input_shape)


def check_shape(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of sizes, or a clear error."""
    if isinstance(shape, str) or not isinstance(shape, Iterable):
        raise TypeError(f"input_shape must be a tuple of whole numbers, got {shape!r}")
    return tuple(check_count(size, "input_shape", 0) for size in shape)
