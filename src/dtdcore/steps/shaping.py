# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of layers that only rearrange numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.arrays import rows
from dtdcore.steps.base import Step


class FlattenStep(Step):
    """(n, *shape) -> (n, prod(shape)), and back."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return rows(x)

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return rows(x), x.shape[1:]

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        return relevance.reshape(*relevance.shape[:2], *saved)

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return gradient.reshape(*gradient.shape[:2], *saved)
