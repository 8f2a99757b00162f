# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The table of the Keras layers that can be imported."""

from __future__ import annotations

from dtdcore.importers.operators import Operators


def markdown() -> str:
    """The table of supported layers, as the README has it."""
    return operators().markdown("Keras")


def operators() -> Operators:
    """All supported layers."""
    from dtdcore.importers.keras import elementwise, linear, shapes, windows

    result = Operators()
    for module in (linear, windows, elementwise, shapes):
        result.update(module.OPERATORS)
    return result
