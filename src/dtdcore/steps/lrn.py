# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The step of local response normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.arrays import kernels
from dtdcore.blocked import Blocked, to_blocked
from dtdcore.steps.base import Step, Value


class LRNStep(Step):
    """y_c = x_c d_c^-β, d_c = k + α' Σ x_c'² over c - before … c + after.

    Relevance passes through unchanged.
    """

    plain = False
    remembers = False

    def __init__(self, numbers: tuple[int, int, float, float, float], dtype: np.dtype) -> None:
        self.core = kernels(dtype)
        self.numbers = numbers

    def forward(self, x: Value) -> Blocked:
        x = to_blocked(x)
        y = Blocked.empty(x.shape, x.dtype, x.nonnegative)
        self.core.lrn_forward(x.channels, self.numbers, x.flat(), y.flat())
        return y

    def trace(self, x: Value) -> tuple[Blocked, Any]:
        x = to_blocked(x)
        return self.forward(x), x

    def gradient(self, saved: Blocked, gradient: Value) -> Blocked:
        gradient = to_blocked(gradient, 2)
        result = Blocked.empty(gradient.shape, gradient.dtype, lead=2)
        self.core.lrn_gradient(
            saved.channels,
            gradient.shape[1],
            self.numbers,
            saved.flat(),
            gradient.flat(),
            result.flat(),
        )
        return result
