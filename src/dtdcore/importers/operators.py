# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Tables of what can be imported: by name how it is translated, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Gives the output, or a list of the outputs, of what is translated.
Translate = Callable[..., Any]


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

    def table(self) -> dict[str, str]:
        """Each name with the layer that it becomes, sorted by name."""
        return {name: self[name].becomes for name in sorted(self)}

    def markdown(self, title: str) -> str:
        """The table as the README has it."""
        rows: dict[str, list[str]] = {}
        for name, becomes in self.table().items():
            same = becomes.strip("`").lower() == name.lower()
            rows.setdefault("the layer of that name" if same else becomes, []).append(name)
        lines = [f"| {title} | dtdcore |", "|---|---|"]
        return "\n".join([*lines, *(f"| {', '.join(v)} | {k} |" for k, v in rows.items())])
