# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.arena import empty
from dtdcore.blocked import Blocked, to_blocked, to_plain
from dtdcore.steps.base import LOST, RECEIVED, Step, Value


class ActivationStep(Step):
    """An elementwise activation: relevance passes through unchanged.

    The layer gives `_apply(x)` and `_slope(x, y)`, the derivative at x where the output is y.
    Where f(0) = 0, blocked images stay blocked: their zero lanes stay zero.
    """

    remembers = False

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.plain = not layer.keeps_zero

    def forward(self, x: Value) -> Value:
        if type(x) is Blocked:
            nonnegative = x.nonnegative or self.layer.nonnegative
            return Blocked(self.layer._apply(x.array), x.channels, nonnegative)
        return self.layer._apply(x)

    def trace(self, x: Value) -> tuple[Value, Any]:
        y = self.forward(x)
        return y, (x, y)

    def gradient(self, saved: Any, gradient: Value) -> Value:
        x, y = saved
        if type(x) is Blocked:
            slope = self.layer._slope(x.array, y.array)
            gradient = to_blocked(gradient, 2)
            return Blocked(gradient.array * slope[:, None], gradient.channels, lead=2)
        return to_plain(gradient) * self.layer._slope(x, y)[:, None]


class SoftmaxStep(ActivationStep):
    """Softmax along an axis: what flows back takes its derivative, y (g - Σ_k y_k g_k).

    Relevance does so as quotients R / value: R_i = x_i (R_i' - y_i Σ_k R_k'); Σ R' - Σ R is lost.
    """

    redistributes = True
    remembers = True

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        x, y = saved
        axis = self.layer.axis_of(relevance, 2)
        total = np.sum(relevance, axis=axis, keepdims=True)
        result = np.multiply(y[:, None], total, out=empty(relevance.shape, relevance.dtype))
        np.subtract(relevance, result, out=result)
        with np.errstate(over="ignore"):  # the plan sees it and names the layer
            np.multiply(x[:, None], result, out=result)
        axes = tuple(range(2, relevance.ndim))
        received = np.sum(relevance, axis=axes, dtype=np.float64)
        account[:, :, RECEIVED] += received
        account[:, :, LOST] += received - np.sum(result, axis=axes, dtype=np.float64)
        return result

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        _, y = saved
        y, axis = y[:, None], self.layer.axis_of(gradient, 2)
        return y * (gradient - np.sum(y * gradient, axis=axis, keepdims=True))


class PReLUStep(Step):
    """y = x where x > 0, else slope_c · x, with a slope for each channel."""

    remembers = False

    def __init__(self, slope: np.ndarray) -> None:
        self.slope = slope

    def _slopes(self, x: np.ndarray) -> np.ndarray:
        slope = self.slope.reshape(-1, *[1] * (x.ndim - 2))
        return np.where(x > 0, x.dtype.type(1), slope)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * self._slopes(x)

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return self.forward(x), x

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return gradient * self._slopes(saved)[:, None]
