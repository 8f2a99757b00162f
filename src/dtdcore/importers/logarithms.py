# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers that there are only while a model is imported: at its end they are left out.

They have no rule for relevance. They run, so that an import can be compared with its model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.layers import Softmax
from dtdcore.layers.activations import Activation
from dtdcore.layers.base import Shape


class Logarithm(Activation):
    """Base of both."""

    keeps_zero = False


class Log(Logarithm):
    """y = log(x)."""

    def _apply(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(x)


class LogSoftmax(Logarithm):
    """y_i = x_i - log Σ_k exp(x_k) along an axis of a sample, as `Softmax` has it."""

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self._softmax = Softmax(axis)

    @property
    def axis(self) -> int:
        """The axis, without the batch axis."""
        return self._softmax.axis

    def options(self) -> dict[str, Any]:
        """`axis`."""
        return self._softmax.options()

    def output_shape(self, input_shape: Shape) -> Shape:
        """The same: see `Layer.output_shape`."""
        return self._softmax.output_shape(input_shape)

    def _apply(self, x: np.ndarray) -> np.ndarray:
        axis = self._softmax.axis_of(x)
        x = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
        return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))
