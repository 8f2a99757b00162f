# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The table of the ONNX operators that can be imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dtdcore.importers.onnx_call import Call

#: Gives the output, or a list of the outputs, of a node.
Translate = Callable[[Call], Any]


@dataclass(frozen=True)
class Operator:
    """How an operator is translated, and what it becomes, for the documentation."""

    translate: Translate
    becomes: str


class Operators(dict):
    """Operators by name, filled by the modules that translate them."""

    def add(self, *names: str, becomes: str) -> Callable[[Translate], Translate]:
        """Decorator for the function that translates these operators."""

        def register(translate: Translate) -> Translate:
            for name in names:
                self[name] = Operator(translate, becomes)
            return translate

        return register


def table() -> dict[str, str]:
    """Each supported operator with the layer that it becomes, sorted by name."""
    return {name: operators()[name].becomes for name in sorted(operators())}


def markdown() -> str:
    """The table of supported operators, as the README has it."""
    rows: dict[str, list[str]] = {}
    for name, becomes in table().items():
        same = becomes.strip("`").lower() == name.lower()
        rows.setdefault("the layer of that name" if same else becomes, []).append(name)
    lines = ["| ONNX | dtdcore |", "|---|---|"]
    return "\n".join([*lines, *(f"| {', '.join(v)} | {k} |" for k, v in rows.items())])


def operators() -> Operators:
    """All supported operators."""
    from dtdcore.importers import onnx_elementwise, onnx_linear, onnx_shapes, onnx_windows

    result = Operators()
    for module in (onnx_linear, onnx_elementwise, onnx_windows, onnx_shapes):
        result.update(module.OPERATORS)
    return result
