# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of layers that multiply values."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.steps.base import Step


class GateStep(Step):
    """y = x · g; what flows back goes to x alone, gradients to both."""

    joins = True

    def forward(self, x: np.ndarray, gate: np.ndarray) -> np.ndarray:
        return x * gate

    def trace(self, x: np.ndarray, gate: np.ndarray) -> tuple[np.ndarray, Any]:
        return x * gate, (x, gate)

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> Any:
        return relevance, np.zeros_like(relevance)

    def gradient(self, saved: Any, gradient: np.ndarray) -> Any:
        x, gate = saved
        return gradient * gate[:, None], gradient * x[:, None]
