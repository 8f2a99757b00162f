# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Hidden layers at whose outputs relevance is asked for, and the values that hold it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from dtdcore.network import Network
from dtdcore.plan import last_uses


def hidden_values(
    network: Network, running: Network, output: int, layers: Any, x: Any
) -> dict[str, int]:
    """For each of some layers the value of the running network that has its relevance.

    A layer that was folded into its neighbours still has neurons, one for each number that it gave
    before: their relevance is that of the layer that holds them, as far as each has one of its own.

    Parameters
    ----------
    network : Network
        As the user made it.
    running : Network
        The same, folded.
    output : int
        The value of the running network at which relevance starts.
    layers : None, "all", or sequence of str
        Names of layers; "all" for all of whose outputs the relevance is known.
    x : array, or dict of arrays
        Checked inputs.

    Raises
    ------
    TypeError
        If `layers` is something else.
    ValueError
        If there is no such layer, or it has no relevance of its own, saying why.
    """
    if layers is None:
        return {}
    known = [node.name for node in network.nodes]
    everywhere = layers == "all"
    names = known if everywhere else layers
    if (
        isinstance(names, str)
        or not isinstance(names, Sequence)
        or not all(isinstance(name, str) for name in names)
    ):
        raise TypeError(f'layers must be a list of names of layers, or "all", got {layers!r}')
    find = _Finder(network, running, output, x)
    values = {}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or known
            inputs = ": it is an input" if name in network.inputs else ""
            raise ValueError(
                f"layers: the network has no layer {name!r}{inputs}; there are {', '.join(near)}"
            )
        value, why_not = find(name)
        if value is not None:
            values[name] = value
        elif not everywhere:
            raise ValueError(f"layers: there is no relevance at {name}: {why_not}")
    return values


class _Finder:
    def __init__(self, network: Network, running: Network, output: int, x: Any) -> None:
        self.network, self.running = network, running
        self.shapes, self.now = network.shapes_of(x), running.shapes_of(x)
        self.reached = last_uses(running, output)
        self.start = _name(running, output)
        m = len(running.inputs)
        self.values = {node.name: value for value, node in enumerate(running.nodes, m)}

    def __call__(self, name: str) -> tuple[int | None, str]:
        """The value of a layer; None, and why there is none."""
        value = self._value(name)
        if value is None:
            into = " and ".join(self.running.holders[name])
            return None, f"it is merged into {into}, where its share is not known"
        if value not in self.reached:
            return None, f"it does not lead to {self.start}, where relevance starts"
        if self.now[value] != self.shapes[self.network.value(name)]:
            into = " and ".join(self.running.holders.get(name, (_name(self.running, value),)))
            return None, f"it is merged into {into}, and its outputs are no values any more"
        return value, ""

    def _value(self, name: str) -> int | None:
        stands_in = self.running.stands_in.get(name, name)
        if stands_in in self.values:
            return self.values[stands_in]
        # folded into the layers behind: what arrives at its input is what it got from them
        value = self.network.value(name)
        (source,) = self.network.nodes[value - len(self.network.inputs)].sources
        if sum(source in node.sources for node in self.network.nodes) > 1:
            return None
        if source < len(self.network.inputs):
            return source
        return self._value(_name(self.network, source))


def _name(network: Network, value: int) -> str:
    return (*network.inputs, *(node.name for node in network.nodes))[value]
