# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Names of layers after the modules that they come from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dtdcore.importers.record import Signal
from dtdcore.layers import Layer


@dataclass(eq=False)
class _Made:
    """A layer: the node it was made for, the operator, the path of the module and its call."""

    node: Any
    operator: str
    path: str
    call: str
    layer: Layer
    signal: Signal


class Names:
    """Gives each layer the path of its module, such as "layer1.0.conv1".

    A module without others in it gives its path to the layer with its weights, or to its last one;
    other layers are called after module and operator: "layer1.0.add". What is there twice, such as
    a module that is called twice, gets a number.
    """

    def __init__(self, inputs: Iterable[str]) -> None:
        #: All names given, those of the inputs among them.
        self.taken: set[str] = set(inputs)
        self._made: list[_Made] = []

    @staticmethod
    def path(node: Any) -> str:
        """The module that a node belongs to; "" is the whole."""
        return Names._place(node)[0]

    @staticmethod
    def _place(node: Any) -> tuple[str, str]:
        """The path of a node's module, and which of its calls this is."""
        stack = node.meta.get("nn_module_stack") or {}
        for call, (path, _) in reversed(stack.items()):
            if not call.startswith("_empty_nn_module_stack"):
                return re.sub(r"@\d+", "", path), call
        return "", ""

    def add(self, node: Any, operator: str, layer: Layer, signal: Signal) -> None:
        """Remember a layer."""
        self._made.append(_Made(node, operator.strip("_"), *self._place(node), layer, signal))

    def assign(self) -> None:
        """Name all layers."""
        paths = {made.path for made in self._made}
        holders = {path.rpartition(".")[0] for path in paths}
        holders |= {part for path in holders for part in _parents(path)} | {""}
        calls: dict[str, list[_Made]] = {}
        nodes: dict[Any, list[_Made]] = {}
        for made in self._made:
            calls.setdefault(made.call, []).append(made)
            nodes.setdefault(made.node, []).append(made)
        chosen: dict[Signal, str] = {}
        for group in nodes.values():
            chief = _chief(group)
            chosen[chief.signal] = ".".join(filter(None, (chief.path, chief.operator)))
        for group in calls.values():
            learned = sum(made.layer.needs_rule for made in group)
            if group[0].path not in holders and learned <= 1:
                chief = _chief(group)
                chosen[chief.signal] = chief.path
        # Paths first, in the order of the calls, so that no number takes another module's name.
        reserved = {name for name in chosen.values() if name in paths}
        for made in self._made:
            kind = type(made.layer).__name__.lower()
            name = chosen.get(made.signal, ".".join(filter(None, (made.path, kind))))
            made.signal.name = self._free(name, reserved)

    def _free(self, name: str, reserved: set[str]) -> str:
        free, count = name, 1
        while free in self.taken or (free in reserved and free != name):
            count += 1
            free = f"{name}_{count}"
        self.taken.add(free)
        return free


def _chief(group: list[_Made]) -> _Made:
    """The layer with weights, or the last."""
    return next((made for made in group if made.layer.needs_rule), group[-1])


def _parents(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]
