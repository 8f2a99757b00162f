# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The table of the PyTorch operators that can be imported."""

from __future__ import annotations

from typing import Any

from dtdcore.importers.operators import Operators


def table() -> dict[str, str]:
    """Each supported operator of ATen with the layer that it becomes, sorted by name."""
    return operators().table() | {
        "local_response_norm": "`LRN`: an odd number of channels",
        "lp_pool": "`LpPool`: with an even p; `SumPool` with p = 1",
    }


def markdown() -> str:
    """The table of supported operators, for the README."""
    named = operators()
    for name, becomes in table().items():
        if name not in named:
            named.add(name, becomes=becomes)(_spelled_out)
    return named.markdown("PyTorch")


def operator_name(target: Any) -> str:
    """The name of an operator, without package and overload."""
    schema = getattr(target, "_schema", None)
    name = schema.name if schema is not None else getattr(target, "__name__", "")
    return name.removeprefix("aten::") or str(target)


def operators() -> Operators:
    """All supported operators."""
    from dtdcore.importers.torch import elementwise, linear, shapes, windows

    result = Operators()
    for module in (linear, elementwise, windows, shapes):
        result.update(module.OPERATORS)
    return result


def _spelled_out() -> None:
    """Found by `dtdcore.importers.patterns`."""
