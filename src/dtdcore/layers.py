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
    as_float,
    as_signal,
    cast,
    check_count,
    check_finite,
    check_number,
    own,
)
from dtdcore.rules import Rule, Z, ZPlus
from dtdcore.steps import (
    ActivationStep,
    DenseStep,
    FixedStep,
    FlattenStep,
    PoolStep,
    SoftmaxStep,
    Step,
    TermsStep,
)

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

    def output_shape(self, input_shape: Shape) -> Shape:
        """(outputs,): see `Layer.output_shape`."""
        if input_shape != (self.inputs,):
            hint = "; put a Flatten before it" if len(input_shape) > 1 else ""
            raise ValueError(
                f"{self!r} takes inputs of shape ({self.inputs},), got {input_shape}{hint}"
            )
        return (self.outputs,)

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        if rule is None:
            bias = None if self.bias is None else cast(self.bias, dtype, "bias")
            return DenseStep(cast(self._rows, dtype, "weight"), bias)
        if not isinstance(rule, Rule):
            raise TypeError(f"rule must be a dtdcore rule such as ZPlus(), got {rule!r}")
        plain = self.step(None, dtype)  # its weights, converted once, serve all rules
        weight, bias = plain.weight, plain.bias
        return TermsStep(weight, bias, rule) if rule.terms() else FixedStep(weight, bias, rule)

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
            return PoolStep(self.size, self.p, rule == "winner", dtype)
        raise TypeError(f"{self!r} takes the rule 'proportional' or 'winner', got {rule!r}")


class Flatten(Layer):
    """(n, *shape) -> (n, prod(shape)); relevance goes back into place."""

    rearranges = True

    def output_shape(self, input_shape: Shape) -> Shape:
        """(prod(input_shape),): see `Layer.output_shape`."""
        return (int(np.prod(input_shape, dtype=np.int64)),)

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return FlattenStep()


class _Activation(Layer):
    """y = σ(x), elementwise. Relevance passes through unchanged: R_i = R_j.

    (The activation belongs to the neuron whose pre-activation it takes; the rule of that neuron's
    layer redistributes R_j.)
    """

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return ActivationStep(self)

    def _apply(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError  # every activation answers this

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        raise NotImplementedError  # every activation answers this


class ReLU(_Activation):
    """y = max(0, x); slope 1 where x > 0, else 0."""

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x > 0


class LeakyReLU(_Activation):
    """y = x where x > 0, else slope · x.

    Parameters
    ----------
    slope : float
        ≥ 0.

    Raises
    ------
    TypeError, ValueError
        If `slope` is not a finite number ≥ 0.
    """

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.slope = check_number(slope, "slope", 0)

    def options(self) -> dict[str, Any]:
        """`slope`."""
        return {"slope": self.slope}

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, x * x.dtype.type(self.slope))

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x.dtype.type(1), x.dtype.type(self.slope))


class Clip(_Activation):
    """y = min(max(x, low), high), as in ReLU6: `Clip(0, 6)`; slope 1 strictly between, else 0.

    Parameters
    ----------
    low, high : float
        low ≤ high.

    Raises
    ------
    TypeError, ValueError
        If a bound is not a finite number or low > high.
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low = check_number(low, "low", -np.inf)
        self.high = check_number(high, "high", self.low)

    def options(self) -> dict[str, Any]:
        """`low` and `high`."""
        return {"low": self.low, "high": self.high}

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, x.dtype.type(self.low), x.dtype.type(self.high))

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x > self.low) & (x < self.high)


class Tanh(_Activation):
    """y = tanh(x); slope 1 - y²."""

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x)

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 1 - y * y


class Sigmoid(_Activation):
    """y = 1 / (1 + exp(-x)); slope y (1 - y)."""

    def _apply(self, x: np.ndarray) -> np.ndarray:
        e = np.exp(-np.abs(x))  # at most 1: nothing overflows
        return np.where(x >= 0, 1, e) / (1 + e)

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y * (1 - y)


class Softmax(_Activation):
    """y_c = exp(x_c) / Σ_l exp(x_l) over axis 1. Relevance passes through to the logits."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """The same: see `Layer.output_shape`."""
        if len(input_shape) != 1:
            raise ValueError(f"Softmax() takes inputs of shape (classes,), got {input_shape}")
        return input_shape

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return SoftmaxStep(self)

    def _apply(self, x: np.ndarray) -> np.ndarray:
        e = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
        return e / e.sum(axis=1, keepdims=True)


class Identity(_Activation):
    """y = x."""

    rearranges = True

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return x

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.ones_like(x)
