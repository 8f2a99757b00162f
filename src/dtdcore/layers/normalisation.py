# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Scales and shifts by channel, batch normalisation among them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dtdcore.arrays import as_channels, cast, check_number
from dtdcore.layers.base import Layer, Shape, check_channels
from dtdcore.rules import Rule, SearchDirection, Z
from dtdcore.steps.base import Step
from dtdcore.steps.normalisation import AffineStep


class ChannelAffine(Layer):
    """y = w_c x + b_c in channel c (axis 0 of one input: channels, or features).

    A linear layer whose outputs have one input each. Under the rule's formula

        q = p w⁺_c + n w⁻_c        R_i = q / (q + q_bias) R_j

    so without bias in z the relevance passes through, and is lost where q = 0: under z⁺ where
    w_c x ≤ 0. Where the user names no rule for it: z without bias. Explainers merge it into the
    linear layer before or behind it where that can be done (`Network.merged`). Directly at the
    inputs, as a scaler, it takes no rule: relevance passes through, see `DeepTaylor`.

    Parameters
    ----------
    scale : array (channels,)
        w_c; one number serves all channels.
    shift : array (channels,), optional
        b_c.

    Raises
    ------
    ValueError
        If a shape does not fit or a number is not finite.
    TypeError
        If an argument does not hold real numbers.
    """

    takes_rule = True
    default_rule: ClassVar[Rule] = Z(bias=False)

    def __init__(self, scale: Any, shift: Any = None) -> None:
        super().__init__()
        self.scale = as_channels(scale, "scale")
        self.shift = np.zeros_like(self.scale) if shift is None else as_channels(shift, "shift")
        self.scale, self.shift = _alike(scale=self.scale, shift=self.shift)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the numbers."""
        return self.scale.dtype

    def arrays(self) -> dict[str, np.ndarray]:
        """`scale` and `shift`."""
        return {"scale": self.scale, "shift": self.shift}

    def output_shape(self, input_shape: Shape) -> Shape:
        """The same: see `Layer.output_shape`."""
        if not input_shape:
            raise ValueError(f"{self!r} takes inputs with channels, got {input_shape}")
        check_channels(self, self.scale, input_shape)
        return input_shape

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        if isinstance(rule, SearchDirection) or not (rule is None or isinstance(rule, Rule)):
            raise TypeError(f"{type(self).__name__} cannot take the rule {rule!r}")
        scale, shift = cast(self.scale, dtype, "scale"), cast(self.shift, dtype, "shift")
        return AffineStep(scale, shift, rule)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.scale)}, {self.dtype})"


class BatchNorm(ChannelAffine):
    """Batch normalisation with the numbers that training left, in channel c:

        y = weight_c (x - mean_c) / sqrt(variance_c + epsilon) + bias_c

    For relevance a `ChannelAffine` with w_c = weight_c / sqrt(variance_c + epsilon) and b_c =
    bias_c - mean_c w_c (Ioffe, Szegedy 2015).

    Parameters
    ----------
    mean, variance : array (channels,)
        variance + epsilon > 0.
    weight, bias : array (channels,), optional
        1 and 0 by default.
    epsilon : float
        ≥ 0.

    Raises
    ------
    ValueError
        If a shape does not fit, a number is not finite, or variance + epsilon ≤ 0.
    TypeError
        If an argument does not hold real numbers.
    """

    def __init__(
        self,
        mean: Any,
        variance: Any,
        weight: Any = None,
        bias: Any = None,
        epsilon: float = 1e-5,
    ) -> None:
        mean, variance = as_channels(mean, "mean"), as_channels(variance, "variance")
        weight = np.ones_like(mean) if weight is None else as_channels(weight, "weight")
        bias = np.zeros_like(mean) if bias is None else as_channels(bias, "bias")
        mean, variance, weight, bias = _alike(
            mean=mean, variance=variance, weight=weight, bias=bias
        )
        self.epsilon = check_number(epsilon, "epsilon", 0)
        deviation = variance.astype(np.float64) + self.epsilon
        if np.any(deviation <= 0):
            raise ValueError(
                f"variance + epsilon must be above 0, got {deviation.min():g} in channel "
                f"{deviation.argmin()}"
            )
        scale = weight / np.sqrt(deviation)
        shift = bias - mean * scale
        super().__init__(cast(scale, mean.dtype, "scale"), cast(shift, mean.dtype, "shift"))
        self._learned = {"mean": mean, "variance": variance, "weight": weight, "bias": bias}

    def arrays(self) -> dict[str, np.ndarray]:
        """`mean`, `variance`, `weight` and `bias`."""
        return dict(self._learned)

    def options(self) -> dict[str, Any]:
        """`epsilon`."""
        return {"epsilon": self.epsilon}


def _alike(**arrays: np.ndarray) -> list[np.ndarray]:
    """The arrays in the dtype of all, checked for one length."""
    if len({len(array) for array in arrays.values()}) > 1:
        sizes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"all arrays must have shape (channels,), got {sizes}")
    dtype = np.result_type(*(array.dtype for array in arrays.values()))
    results = [array.astype(dtype) for array in arrays.values()]
    for array in results:
        array.flags.writeable = False
    return results
