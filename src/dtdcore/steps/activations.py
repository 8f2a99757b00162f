# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.steps.base import Step


class ActivationStep(Step):
    """An elementwise activation: relevance passes through unchanged.

    The layer gives `_apply(x)` and `_slope(x, y)`, the derivative at x where the output is y.
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self.layer._apply(x)

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        y = self.layer._apply(x)
        return y, (x, y)

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        x, y = saved
        return gradient * self.layer._slope(x, y)[:, None]


class SoftmaxStep(ActivationStep):
    """Softmax over axis 1; its gradient is no elementwise product: y (g - Σ_l y_l g_l)."""

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        _, y = saved
        y = y[:, None]
        return y * (gradient - np.sum(y * gradient, axis=2, keepdims=True))
