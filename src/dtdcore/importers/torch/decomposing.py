# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Operators that are not in the table, taken apart by PyTorch into those that are."""

from __future__ import annotations

import functools
from typing import Any

from dtdcore.arrays import require
from dtdcore.importers.operators import Operators
from dtdcore.importers.torch.operators import operator_name, operators

#: Where (operator, name) of the node that a node is a part of stand.
ORIGIN = "dtdcore_origin"

#: They give what `reshape` gives, but only where memory lies as PyTorch thought when it exported.
VIEWS = ("view", "_unsafe_view", "view_copy", "_reshape_alias")


def with_known_operators(program: Any) -> Any:
    """An exported program in whose place of operators that we do not know stand their parts.

    What we know stays whole, so that a linear layer is none of products and sums. Parts that we do
    not know are taken apart as well, until there are none that PyTorch can take apart.
    """
    known = operators()
    names = {node.name: operator_name(node.target) for node in program.graph.nodes}
    taken: set[Any] = set()
    while unknown := _unknown(program, known) - taken:
        taken |= unknown
        wanted = {target: _parts()[target] for target in unknown if target in _parts()}
        if not wanted:
            break
        try:
            program = program.run_decompositions(wanted)
        except Exception:  # noqa: BLE001 - whatever PyTorch raises: the operator is named as it is
            break
    whole = {operator_name(target) for target in taken}
    for node in program.graph.nodes:
        origin = next((name for name in _history(node) if names.get(name) in whole), None)
        if origin is not None and names[origin] != operator_name(node.target):
            node.meta[ORIGIN] = names[origin], origin
    _relax_views(program)
    return program


@functools.cache
def _parts() -> dict[Any, Any]:
    """How PyTorch takes operators apart: it needs a tenth of a second to tell."""
    return dict(require("torch", "torch").export.default_decompositions())


def _unknown(program: Any, known: Operators) -> set[Any]:
    """The operators of a program that are not in the table."""
    targets = {node.target for node in program.graph.nodes if node.op == "call_function"}
    return {target for target in targets if operator_name(target) not in known}


def _history(node: Any) -> list[str]:
    """The names of the nodes that a node came from, the oldest first."""
    found: list[str] = []
    sources = node.meta.get("from_node") or []
    while sources:
        found.append(sources[-1].name)
        sources = sources[-1].from_node
    return found[::-1]


def _relax_views(program: Any) -> None:
    """Nodes that need memory to lie in some order become ones that do not."""
    torch = require("torch", "torch")
    for node in program.graph.nodes:
        if operator_name(node.target) in VIEWS and len(node.args) == 2:
            node.target = torch.ops.aten.reshape.default
