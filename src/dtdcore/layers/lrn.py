# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Local response normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.arrays import check_count, check_number
from dtdcore.layers.base import Layer, Shape
from dtdcore.rules import Rule
from dtdcore.steps.base import Step
from dtdcore.steps.lrn import LRNStep


class LRN(Layer):
    """Local response normalisation over neighbouring channels (Krizhevsky et al. 2012).

        y_c = x_c / d_c^β        d_c = k + α / size · Σ_c' x_c'²

    with c' from c - ⌊(size-1)/2⌋ to c + ⌈(size-1)/2⌉, as far as there are channels, at each pixel.

    Relevance passes through unchanged. Each output is its own input times a positive number, so
    y_c has the sign and the place of x_c, and without x_c it would be 0 whatever the neighbours
    are: they rescale a feature, but do not bring it about. Seen as a linear layer with the weight
    w_cc = d_c^-β, taken as a constant, it redistributes by z, z⁺, ε → 0 and αβ alike R_c = R_c.
    Nothing is lost by it, and R_c stays positive. (A first-order Taylor expansion that also
    follows d_c gives negative relevance to the neighbours of strong features.)

    Parameters
    ----------
    size : int
        Channels in the sum; the division of α by it is the convention of ONNX and PyTorch.
    alpha, beta, k : float
        α ≥ 0, β ≥ 0, k > 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number of that kind.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = check_count(size, "size")
        self.alpha = check_number(alpha, "alpha", 0)
        self.beta = check_number(beta, "beta", 0)
        self.k = check_number(k, "k", 0, strict=True)

    def options(self) -> dict[str, Any]:
        """`size`, `alpha`, `beta` and `k`."""
        return {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input: see `Layer.output_shape`."""
        if len(input_shape) not in (2, 3, 4) or 0 in input_shape:
            raise ValueError(
                f"{self!r} takes inputs of shape (channels, *pixels) with 1, 2 or 3 spatial axes, "
                f"none of size 0, got {input_shape}"
            )
        return input_shape

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        before, after = (self.size - 1) // 2, self.size // 2
        numbers = (before, after, self.alpha / self.size, self.beta, self.k)
        return LRNStep(numbers, dtype)
