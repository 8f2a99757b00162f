# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers that only rearrange numbers."""

from __future__ import annotations

import numpy as np

from dtdcore.layers.base import Layer, Shape
from dtdcore.rules import Rule
from dtdcore.steps.base import Step
from dtdcore.steps.shaping import FlattenStep


class Flatten(Layer):
    """(n, *shape) -> (n, prod(shape)); relevance goes back into place."""

    rearranges = True

    def output_shape(self, input_shape: Shape) -> Shape:
        """(prod(input_shape),): see `Layer.output_shape`."""
        return (int(np.prod(input_shape, dtype=np.int64)),)

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return FlattenStep()
