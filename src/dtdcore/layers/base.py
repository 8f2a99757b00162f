# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers: `forward(x)`, `redistribute(x, relevance, rule)` and `gradient(x, gradient)`.

Plain arrays, batch axis first. A network is nothing but layers wired together.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dtdcore.arrays import (
    all_finite,
    as_batch,
    as_signal,
    own,
)
from dtdcore.rules import Rule
from dtdcore.steps.base import Step

Shape = tuple[int, ...]

#: A layer keeps the steps of the last rules it met, so that explainers share them.
STEPS_KEPT = 16


class Layer:
    """Base of all layers. Immutable once made, so that networks and threads may share one."""

    #: True for layers with weights, which redistribute relevance by a rule.
    takes_rule: ClassVar[bool] = False
    #: True for layers that pool neurons: relevance goes back "proportional" or to the "winner".
    pools: ClassVar[bool] = False
    #: True for layers that only rearrange numbers, so that their domain is that of their input.
    rearranges: ClassVar[bool] = False

    def __init__(self) -> None:
        self._steps: dict[Any, Step] = {}

    @property
    def input_shape(self) -> Shape | None:
        """Shape of one input, without the batch axis; None where several fit."""
        return None

    @property
    def dtype(self) -> np.dtype:
        """What inputs of whole numbers become: the dtype of the weights, else float64."""
        return np.dtype(np.float64)

    @property
    def parameters(self) -> int:
        """How many numbers the layer has learned."""
        return sum(array.size for array in self.arrays().values())

    def arrays(self) -> dict[str, np.ndarray]:
        """The learned arrays by argument name, for `Network.save`."""
        return {}

    def options(self) -> dict[str, Any]:
        """The other arguments by name, as JSON can hold them, for `Network.save`."""
        return {}

    def output_shape(self, input_shape: Shape) -> Shape:
        """Shape of one output for inputs of `input_shape`, without the batch axis.

        Raises
        ------
        ValueError
            If the layer cannot take inputs of this shape.
        """
        return input_shape

    def step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        """The layer made ready for a rule (None: forward and gradient only); made once, kept."""
        key = (rule, dtype)
        step = self._steps.get(key)
        if step is None:
            step = self._make_step(rule, dtype)
            if len(self._steps) >= STEPS_KEPT:
                self._steps.clear()
            self._steps[key] = step
        return step

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        raise NotImplementedError  # every layer answers this

    def _inputs(self, x: Any) -> np.ndarray:
        x = as_batch(x, self.input_shape, default=self.dtype)
        self.output_shape(x.shape[1:])
        return x

    def forward(self, x: Any) -> np.ndarray:
        """The outputs of the layer.

        Parameters
        ----------
        x : array (n, *input shape)

        Returns
        -------
        array (n, *output shape)
            In the dtype of x.

        Raises
        ------
        ValueError
            If x has another shape or holds a value that is not finite.
        FloatingPointError
            If the result overflows.
        """
        x = self._inputs(x)
        result = self.step(None, x.dtype).forward(x)
        if not all_finite(result):
            raise FloatingPointError(f"the forward pass overflows {x.dtype} in {self!r}")
        return own(result, x)

    def redistribute(self, x: Any, relevance: Any, rule: Rule | str | None = None) -> np.ndarray:
        """Relevance of the outputs in, relevance of the inputs out.

            z_j = Σ_i q_ij        s_j = R_j / z_j  (0 where z_j = 0)        R_i = Σ_j q_ij s_j

        Parameters
        ----------
        x : array (n, *input shape)
            Inputs of the layer.
        relevance : array (n, *output shape) or (n, k, *output shape)
            R_j; with the axis k, for k targets at once.
        rule : Rule, optional
            Gives q_ij. Needed by layers with weights; pools take "proportional" (None) or
            "winner"; activations pass relevance through unchanged, whatever the rule.

        Returns
        -------
        array (n, *input shape) or (n, k, *input shape)
            In the dtype of x.

        Raises
        ------
        ValueError
            If a shape is wrong or a value is not finite.
        TypeError
            If the layer cannot take the rule.
        """
        if rule is None and self.takes_rule:
            raise TypeError(f"{type(self).__name__} needs a rule, such as dtdcore.ZPlus()")
        if not (rule is None or isinstance(rule, (Rule, str))):
            raise TypeError(f"rule must be a dtdcore rule such as ZPlus(), got {rule!r}")
        x = self._inputs(x)
        return self._back("relevance", x, relevance, self.step(rule, x.dtype))

    def gradient(self, x: Any, gradient: Any) -> np.ndarray:
        """Gradient with respect to the inputs from that with respect to the outputs.

        Parameters
        ----------
        x : array (n, *input shape)
            Inputs of the layer.
        gradient : array (n, *output shape) or (n, k, *output shape)

        Returns
        -------
        array (n, *input shape) or (n, k, *input shape)
            In the dtype of x.

        Raises
        ------
        ValueError
            If a shape is wrong or a value is not finite.
        """
        x = self._inputs(x)
        return self._back("gradient", x, gradient, self.step(None, x.dtype))

    def _back(self, what: str, x: np.ndarray, signal: Any, step: Step) -> np.ndarray:
        shape = self.output_shape(x.shape[1:])
        signal, single = as_signal(signal, what, len(x), shape, x.dtype)
        _, saved = step.trace(x)
        if what == "gradient":
            result = step.gradient(saved, signal)
        else:
            result = step.redistribute(saved, signal, np.zeros((*signal.shape[:2], 4)))
        if not all_finite(result):
            raise FloatingPointError(f"{what} overflows {x.dtype} in {self!r}")
        result = own(result, signal)
        return result[:, 0] if single else result

    def __repr__(self) -> str:
        arguments = [f"{name}={value!r}" for name, value in self.options().items()]
        return f"{type(self).__name__}({', '.join(arguments)})"
