# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Activations: elementwise, relevance passes through unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.arrays import as_channels, cast, check_count, check_number
from dtdcore.layers.base import Layer, Shape, check_channels
from dtdcore.rules import Rule
from dtdcore.steps.activations import ActivationStep, PReLUStep, SoftmaxStep
from dtdcore.steps.base import Step


class Activation(Layer):
    """y = σ(x), elementwise. Relevance passes through unchanged: R_i = R_j.

    (The activation belongs to the neuron whose pre-activation it takes; the rule of that neuron's
    layer redistributes R_j.)
    """

    #: f(0) = 0?
    keeps_zero: bool = True
    #: f(x) ≥ 0 for all x?
    nonnegative: bool = False

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return ActivationStep(self)

    def _apply(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError  # every activation answers this

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        raise NotImplementedError  # every activation answers this


class ReLU(Activation):
    """y = max(0, x); slope 1 where x > 0, else 0."""

    grows = True
    nonnegative = True

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x > 0


class LeakyReLU(Activation):
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

    grows = True

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


class Clip(Activation):
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

    grows = True

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low = check_number(low, "low", -np.inf)
        self.high = check_number(high, "high", self.low)
        self.keeps_zero = self.low <= 0 <= self.high
        self.nonnegative = self.low >= 0

    def options(self) -> dict[str, Any]:
        """`low` and `high`."""
        return {"low": self.low, "high": self.high}

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, x.dtype.type(self.low), x.dtype.type(self.high))

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x > self.low) & (x < self.high)


class Threshold(Activation):
    """y = x where x > threshold, else value; slope 1 where x > threshold, else 0.

    Parameters
    ----------
    threshold, value : float

    Raises
    ------
    TypeError, ValueError
        If one is not a finite number.
    """

    def __init__(self, threshold: float, value: float = 0) -> None:
        super().__init__()
        self.threshold = check_number(threshold, "threshold", -np.inf)
        self.value = check_number(value, "value", -np.inf)
        self.keeps_zero = self.threshold < 0 or self.value == 0
        self.nonnegative = self.threshold >= 0 and self.value >= 0

    @property
    def grows(self) -> bool:
        """Where it does not fall at the threshold."""
        return self.value <= self.threshold

    def options(self) -> dict[str, Any]:
        """`threshold` and `value`."""
        return {"threshold": self.threshold, "value": self.value}

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > x.dtype.type(self.threshold), x, x.dtype.type(self.value))

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x > x.dtype.type(self.threshold)


class Tanh(Activation):
    """y = tanh(x); slope 1 - y²."""

    grows = True

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x)

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 1 - y * y


class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)); slope y (1 - y)."""

    grows = True
    keeps_zero = False

    def _apply(self, x: np.ndarray) -> np.ndarray:
        e = np.exp(-np.abs(x))  # at most 1: nothing overflows
        return np.where(x >= 0, 1, e) / (1 + e)

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y * (1 - y)


class ELU(Activation):
    """y = x where x > 0, else alpha · (exp(x) - 1).

    Parameters
    ----------
    alpha : float
        ≥ 0.

    Raises
    ------
    TypeError, ValueError
        If `alpha` is not a finite number ≥ 0.
    """

    grows = True

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = check_number(alpha, "alpha", 0)

    def options(self) -> dict[str, Any]:
        """`alpha`."""
        return {"alpha": self.alpha}

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, x.dtype.type(self.alpha) * np.expm1(np.minimum(x, 0)))

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x.dtype.type(1), y + x.dtype.type(self.alpha))


class HardSigmoid(Activation):
    """y = min(max(slope · x + offset, 0), 1); its derivative is `slope` strictly between, else 0.

    Parameters
    ----------
    slope, offset : float
        slope ≥ 0; 1/6 and 1/2 by default, as in MobileNet v3. (ONNX and Keras: 0.2 and 0.5.)

    Raises
    ------
    TypeError, ValueError
        If one is not a finite number, or slope < 0.
    """

    grows = True
    keeps_zero = False
    nonnegative = True

    def __init__(self, slope: float = 1 / 6, offset: float = 0.5) -> None:
        super().__init__()
        self.slope = check_number(slope, "slope", 0)
        self.offset = check_number(offset, "offset", -np.inf)

    def options(self) -> dict[str, Any]:
        """`slope` and `offset`."""
        return {"slope": self.slope, "offset": self.offset}

    def _apply(self, x: np.ndarray) -> np.ndarray:
        dtype = x.dtype.type
        return np.clip(dtype(self.slope) * x + dtype(self.offset), dtype(0), dtype(1))

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where((y > 0) & (y < 1), x.dtype.type(self.slope), x.dtype.type(0))


class HardSwish(Activation):
    """y = x · min(max(x / 6 + 1/2, 0), 1), as in MobileNet v3."""

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return x * np.clip(x / 6 + x.dtype.type(0.5), 0, 1)

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        zero, one = x.dtype.type(0), x.dtype.type(1)
        return np.where(x <= -3, zero, np.where(x >= 3, one, x / 3 + x.dtype.type(0.5)))


class PReLU(Layer):
    """y = x where x > 0, else slope_c · x in channel c. Relevance passes through unchanged.

    Parameters
    ----------
    slope : array (channels,)
        Learned; one number serves all channels.

    Raises
    ------
    ValueError
        If `slope` has another shape, or is not finite.
    """

    def __init__(self, slope: Any) -> None:
        super().__init__()
        self.slope = as_channels(slope, "slope")

    @property
    def grows(self) -> bool:
        """Where no slope is below 0."""
        return bool(np.all(self.slope >= 0))

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the slopes."""
        return self.slope.dtype

    def arrays(self) -> dict[str, np.ndarray]:
        """`slope`."""
        return {"slope": self.slope}

    def output_shape(self, input_shape: Shape) -> Shape:
        """The same: see `Layer.output_shape`."""
        check_channels(self, self.slope, input_shape)
        return input_shape

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return PReLUStep(cast(self.slope, dtype, "slope"))

    def __repr__(self) -> str:
        return f"PReLU({len(self.slope)})"


class Softmax(Activation):
    """y_i = exp(x_i) / Σ_k exp(x_k) along an axis.

    Relevance takes the softmax's derivative, its first-order Taylor form (Achtibat et al. 2024,
    "AttnLRP", proposition 3.1; with c = R / value, c_i = y_i (c_i' - Σ_k y_k c_k')):

        R_i = x_i (R_i' - y_i Σ_k R_k')

    So evidence against a class stays evidence against it: R_i < 0 where x_i < 0 and R_i' > 0. The
    form does not conserve. The audit has an entry for the layer, which books Σ R' - Σ R, of either
    sign, as lost. A softmax that only makes the factor of a `Gate` gets no relevance.

    Parameters
    ----------
    axis : int
        An axis of one input, without the batch axis: 0, the default, are the channels (or the
        classes); -1 the last.

    Raises
    ------
    TypeError, ValueError
        If `axis` is not a whole number; in a network or a call: if there is no such axis.

    Examples
    --------
    Class 1 has the logit -3: what speaks for it is evidence against it.

    >>> import dtdcore as dtd
    >>> relevance = dtd.Softmax().redistribute([[2.0, -3.0]], [[0.0, 1.0]])
    >>> relevance.round(3).tolist()
    [[-1.987, -2.98]]
    """

    keeps_zero = False

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = check_count(axis, "axis", -32)

    def options(self) -> dict[str, Any]:
        """`axis`."""
        return {"axis": self.axis}

    def output_shape(self, input_shape: Shape) -> Shape:
        """The same: see `Layer.output_shape`."""
        if not -len(input_shape) <= self.axis < len(input_shape):
            raise ValueError(f"{self!r} takes inputs with that axis, got shape {input_shape}")
        return input_shape

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return SoftmaxStep(self)

    def axis_of(self, array: np.ndarray, lead: int = 1) -> int:
        """The axis of an array that has `lead` axes before those of one input."""
        return lead + self.axis % (array.ndim - lead)

    def _apply(self, x: np.ndarray) -> np.ndarray:
        axis = self.axis_of(x)
        e = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
        return e / e.sum(axis=axis, keepdims=True)


class Identity(Activation):
    """y = x."""

    grows = True
    rearranges = True

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return x

    def _slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.ones_like(x)
