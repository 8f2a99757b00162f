# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Fully connected layers, and pooling over groups of neurons."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.arrays import as_float, cast, check_count, check_finite, check_number
from dtdcore.layers.base import Layer, Shape
from dtdcore.rules import Rule, Z, ZPlus
from dtdcore.steps.base import Step
from dtdcore.steps.dense import DenseOperator, NeuronPoolStep
from dtdcore.steps.linear import LinearStep, linear_step


class Dense(Layer):
    """A fully connected layer: a_j = Σ_i x_i w_ij + b_j.

    Parameters
    ----------
    weight : array (inputs, outputs)
        w_ij, copied. float32 or float64; whole numbers become float64.
    bias : array (outputs,), optional
        b_j. The method's own networks have b_j ≤ 0.

    Raises
    ------
    ValueError
        If a shape does not fit or a number is not finite.
    TypeError
        If an argument does not hold real numbers.
    """

    takes_rule = True
    clamps = True

    def __init__(self, weight: Any, bias: Any = None) -> None:
        super().__init__()
        weight = as_float(weight, "weight")
        if weight.ndim != 2:
            raise ValueError(f"weight must have shape (inputs, outputs), got {weight.shape}")
        check_finite(weight, "weight")
        # The core reads rows of weights, (outputs, inputs); `weight` is a view of them.
        self._rows = np.array(weight.T, order="C")
        self._rows.flags.writeable = False
        self.inputs, self.outputs = weight.shape
        self.bias: np.ndarray | None = None
        if bias is not None:
            bias = as_float(bias, "bias")
            if bias.shape != (self.outputs,):
                raise ValueError(f"bias must have shape ({self.outputs},), got {bias.shape}")
            check_finite(bias, "bias")
            self.bias = cast(bias, weight.dtype, "bias").copy()
            self.bias.flags.writeable = False

    @property
    def weight(self) -> np.ndarray:
        """w_ij, (inputs, outputs), read-only."""
        return self._rows.T

    @property
    def input_shape(self) -> Shape:
        """(inputs,)."""
        return (self.inputs,)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the weights."""
        return self._rows.dtype

    def arrays(self) -> dict[str, np.ndarray]:
        """`weight` and, where there is one, `bias`."""
        return {"weight": self.weight} | ({} if self.bias is None else {"bias": self.bias})

    def scaled_outputs(self, scale: np.ndarray, shift: np.ndarray) -> Dense:
        """w_ij s_j and b_j s_j + t_j: see `Layer.scaled_outputs`."""
        bias = np.zeros(self.outputs) if self.bias is None else self.bias.astype(np.float64)
        bias = bias * scale + shift
        return self._like(self.weight.astype(np.float64) * scale, bias)

    def scaled_inputs(self, scale: np.ndarray, shift: np.ndarray) -> Dense:
        """s_i w_ij and b_j + Σ_i t_i w_ij: see `Layer.scaled_inputs`."""
        weight = self.weight.astype(np.float64)
        bias = np.zeros(self.outputs) if self.bias is None else self.bias.astype(np.float64)
        added = shift.astype(np.float64) @ weight
        return self._like(weight * scale.astype(np.float64)[:, None], bias + added)

    def _like(self, weight: np.ndarray, bias: np.ndarray) -> Dense:
        """A layer of this one's dtype; without a bias if this one has none and it is 0."""
        none = self.bias is None and not np.any(bias)
        weight = cast(weight, self.dtype, "weight")
        return Dense(weight, None if none else cast(bias, self.dtype, "bias"))

    def output_shape(self, input_shape: Shape) -> Shape:
        """(outputs,): see `Layer.output_shape`."""
        if input_shape != (self.inputs,):
            hint = "; put a Flatten before it" if len(input_shape) > 1 else ""
            raise ValueError(
                f"{self!r} takes inputs of shape ({self.inputs},), got {input_shape}{hint}"
            )
        return (self.outputs,)

    def _make_step(
        self, rule: Rule | str | None, dtype: np.dtype, ceiling: float | None = None
    ) -> Step:
        if rule is None and ceiling is None:
            bias = None if self.bias is None else cast(self.bias, dtype, "bias")
            return LinearStep(DenseOperator(cast(self._rows, dtype, "weight"), bias))
        # the plain step's weights, converted once, serve all others
        return linear_step(self.step(None, dtype).operator, rule, ceiling)

    def __repr__(self) -> str:
        bias = "" if self.bias is None else ", bias"
        return f"Dense({self.inputs} -> {self.outputs}{bias}, {self.dtype})"


class NeuronPool(Layer):
    """p-norm pooling over groups of consecutive neurons, the method's detection pooling.

        y_k = ‖x_group(k)‖_p = (Σ_{j in group k} |x_j|^p)^(1/p)

    Relevance goes to the neurons in proportion to their activation, for any p:
    R_j = x_j / Σ_j' x_j' · R_k (Montavon et al. 2017, training-free relevance model). With
    rule="winner" the largest takes all, the first on ties. (|x_j| stands for x_j where x_j < 0,
    which no detection neuron has.)

    Parameters
    ----------
    size : int, optional
        Neurons in a group; all of them by default.
    p : float
        p ≥ 1: 1 sum pooling, 2 Euclidean pooling, inf maximum pooling.

    Raises
    ------
    TypeError, ValueError
        If `size` is not a whole number ≥ 1 or `p` not a number ≥ 1.
    """

    pools = True

    def __init__(self, size: int | None = None, p: float = 1) -> None:
        super().__init__()
        self.size = None if size is None else check_count(size, "size")
        infinite = isinstance(p, (str, float)) and p in (np.inf, "inf")
        self.p = np.inf if infinite else check_number(p, "p", 1)

    @property
    def takes_maximum(self) -> bool:
        """With p = inf: see `Layer.takes_maximum`."""
        return np.isinf(self.p)

    def options(self) -> dict[str, Any]:
        """`size` and `p`."""
        return {"size": self.size, "p": "inf" if np.isinf(self.p) else self.p}

    def output_shape(self, input_shape: Shape) -> Shape:
        """(neurons / size,): see `Layer.output_shape`."""
        if len(input_shape) != 1 or input_shape[0] == 0:
            raise ValueError(f"{self!r} takes inputs of shape (neurons,), got {input_shape}")
        size = self.size or input_shape[0]
        if input_shape[0] % size:
            raise ValueError(f"{self!r} cannot cut {input_shape[0]} neurons into groups of {size}")
        return (input_shape[0] // size,)

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        if rule in (None, "proportional", "winner") or type(rule) in (Z, ZPlus):
            return NeuronPoolStep(self.size, self.p, rule == "winner", dtype)
        raise TypeError(f"{self!r} takes the rule 'proportional' or 'winner', got {rule!r}")
