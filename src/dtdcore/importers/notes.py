# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What `network.notes` says of probabilities that explanations start at, or pass through."""

from __future__ import annotations

from collections.abc import Callable

from dtdcore.layers import Clip, Gate, Layer, ReLU, Sigmoid, Softmax
from dtdcore.network import Network


def ending_notes(network: Network, way: str) -> list[str]:
    """A note for each sigmoid at the end, and for each softmax that relevance meets.

    `way` says how an explanation starts before it; {before} in it becomes the name of that value.
    """
    names = [*network.inputs, *(node.name for node in network.nodes)]
    first = len(network.inputs)
    notes = []
    for value in _reached(network, _keeps_scores):
        node = network.nodes[value - first]
        if isinstance(node.layer, Sigmoid):
            notes.append(
                f"it ends in a sigmoid ({node.name}): explanations start at its value, which is "
                f"above 0 even for 'no'; {way.format(before=names[node.sources[0]])}"
            )
    for value in _reached(network, lambda layer: True):
        node = network.nodes[value - first]
        if isinstance(node.layer, Softmax):
            notes.append(
                f"the softmax {node.name} stays, for what comes behind it is more than a choice or "
                "a scale of its numbers: relevance passes through its derivative, and what that "
                f"leaks is lost in the audit; {way.format(before=names[node.sources[0]])}"
            )
    return notes


def _reached(network: Network, goes_on: Callable[[Layer], bool]) -> list[int]:
    """The layers' values that relevance meets on its way from the output, through some layers."""
    first = len(network.inputs)
    found, todo = [], {network.output}
    for value in range(network.output, first - 1, -1):
        if value in todo:
            node = network.nodes[value - first]
            found.append(value)
            if goes_on(node.layer):  # of a gate the factor gets no relevance
                todo.update(node.sources[:1] if isinstance(node.layer, Gate) else node.sources)
    return found


def _keeps_scores(layer: Layer) -> bool:
    """Does a layer only choose, scale, clip, add or pool what comes in?"""
    learned = layer.needs_rule
    keeps = layer.rearranges or layer.takes_rule or layer.pools
    return not learned and (keeps or isinstance(layer, (Clip, ReLU, Gate)))
