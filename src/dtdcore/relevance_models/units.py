# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Detection-pooling layers, found in a network: Dense, ReLU and, where there is one, NeuronPool."""

from __future__ import annotations

from dataclasses import dataclass

from dtdcore.layers import Dense, NeuronPool, ReLU
from dtdcore.network import Network


@dataclass(frozen=True)
class Unit:
    """One detection-pooling layer of a network.

    Attributes
    ----------
    name : str
        Name of its Dense layer.
    layer : Dense
    dense, end : int
        Numbers of its Dense node, and of its last one plus 1.
    pool : int or None
        Number of its NeuronPool node.
    size : int
        Neurons in a group; 1 without a pool.
    """

    name: str
    layer: Dense
    dense: int
    end: int
    pool: int | None
    size: int


def check_chain(network: Network, what: str) -> None:
    """Raise a ValueError if a node takes another input than the output of the node before it."""
    for number, node in enumerate(network.nodes):
        if node.sources != (number,):
            raise ValueError(
                f"{what} takes a chain of layers, but {node.name} does not (only) follow the layer "
                "before it"
            )


def detection_units(network: Network) -> tuple[Unit, ...]:
    """The detection-pooling layers from the input to the output.

    Raises
    ------
    ValueError
        If the network is no chain Dense -> ReLU -> [NeuronPool] -> Dense -> ... (layers that only
        rearrange numbers may stand before a Dense; the last ReLU may be missing), naming the layer.
    """
    check_chain(network, "MinMax")
    nodes, units, place = network.nodes, [], 0
    while place < len(nodes):
        node = nodes[place]
        if node.layer.rearranges:
            place += 1
            continue
        if not isinstance(node.layer, Dense):
            raise ValueError(
                f"MinMax takes networks of Dense -> ReLU -> [NeuronPool] layers, got {node.name} "
                f"({node.layer!r}) where a Dense layer was expected"
            )
        dense, pool, size = place, None, 1
        place += 1
        if place < len(nodes) and isinstance(nodes[place].layer, ReLU):
            place += 1
        elif place < len(nodes):
            raise ValueError(
                f"MinMax takes networks of Dense -> ReLU -> [NeuronPool] layers, got "
                f"{nodes[place].name} ({nodes[place].layer!r}) where the ReLU of {node.name} was "
                "expected"
            )
        if place < len(nodes) and isinstance(nodes[place].layer, NeuronPool):
            pool, size = place, nodes[place].layer.size or node.layer.outputs
            place += 1
        units.append(Unit(node.name, node.layer, dense, place, pool, size))
    if not units:
        raise ValueError("MinMax takes networks of Dense -> ReLU -> [NeuronPool] layers, got none")
    return tuple(units)


def same_network(one: Network, other: Network) -> bool:
    """Do two networks compute the same, with the same weights to the bit?"""
    if one is other:
        return True
    if len(one.nodes) != len(other.nodes):
        return False
    return all(_same_layer(a, b) for a, b in zip(one.layers, other.layers, strict=True))


def _same_layer(a: object, b: object) -> bool:
    if type(a) is not type(b) or a.options() != b.options():
        return False
    left, right = a.arrays(), b.arrays()
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype
        and left[name].shape == right[name].shape
        and bool((left[name] == right[name]).all())
        for name in left
    )
