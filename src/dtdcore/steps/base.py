# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps: one layer, made ready for one rule and one dtype. The only path to the core.

A step knows no network. `plan.Plan` runs the steps of a whole network, `layer.redistribute` runs
one alone. Relevance has an axis for targets, (n, k, *shape): k targets share one forward pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Columns of an account, (n, k, 4) float64: what came in, and what was not passed on.
RECEIVED, BIAS, STABILISER, LOST = range(4)


class Step:
    """One layer, ready to run. A step holds no state of a run, so threads may share it."""

    #: False where relevance passes through unchanged, so that there is nothing to account for.
    redistributes = False

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The outputs of the layer for inputs x (n, *shape)."""
        raise NotImplementedError  # every step answers this

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """The outputs, and what `redistribute` and `gradient` need to know of this pass."""
        return self.forward(x), x

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        """Relevance of the inputs from that of the outputs (n, k, *shape); books in `account`."""
        return relevance

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        """Gradient with respect to the inputs from that of the outputs (n, k, *shape)."""
        raise NotImplementedError  # every step answers this
