# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The table of the ONNX operators that can be imported."""

from __future__ import annotations

from dtdcore.importers.operators import Operators


def table() -> dict[str, str]:
    """Each supported operator with the layer that it becomes, sorted by name."""
    return operators().table()


def markdown() -> str:
    """The table of supported operators, as the README has it."""
    return operators().markdown("ONNX")


def operators() -> Operators:
    """All supported operators."""
    from dtdcore.importers.onnx import elementwise, linear, places, resizing, shapes, windows

    result = Operators()
    for module in (linear, elementwise, windows, resizing, shapes, places):
        result.update(module.OPERATORS)
    return result
