# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers: `forward(x)`, `redistribute(x, relevance, rule)` and `gradient(x, gradient)`.

Plain arrays, batch axis first. A network is nothing but layers wired together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from dtdcore.arrays import (
    all_finite,
    as_batch,
    as_signal,
    lacking,
    own,
)
from dtdcore.blocked import to_plain
from dtdcore.rules import Rule
from dtdcore.steps.base import Step, overflowing
from dtdcore.steps.own import OwnStep

Shape = tuple[int, ...]

#: A layer keeps the steps of the last rules it met, so that explainers share them.
STEPS_KEPT = 16


#: What a user's own layer may have to say.
METHODS = {
    "forward": "forward(x): the outputs (n, *output shape) for inputs x (n, *input shape)",
    "redistribute": (
        "redistribute(x, relevance, rule): relevance of the inputs (n, *input shape) from that of "
        "the outputs (n, *output shape)"
    ),
    "gradient": (
        "gradient(x, gradient): the gradient with respect to the inputs (n, *input shape) from "
        "that with respect to the outputs (n, *output shape)"
    ),
}


class Layer:
    """Base of all layers. Immutable once made, so that networks and threads may share one.

    A layer of your own needs two methods on NumPy arrays, batch axis first; networks call them
    with one target at a time, check what they give, and account for it: relevance that is not
    passed on is booked as lost.

        class Mish(dtd.Layer):
            def forward(self, x):
                return x * np.tanh(np.log1p(np.exp(x)))

            def redistribute(self, x, relevance, rule):
                return relevance  # as activations do

    Gradients (`Sensitivity`, `Taylor`, ...) need `gradient(x, gradient)`, outputs of another shape
    than the inputs `output_shape(input_shape)`. With ``takes_rule = True`` explainers choose a
    rule, which `redistribute` gets (a `dtdcore.Rule`; else None); with ``joins = True`` x is a list
    of arrays, and relevance goes back as a tuple. `arrays()` says what was learned, and so the
    dtype of whole numbers. `Network.save` keeps numbers, no code: such a network can be saved, but
    is made again in Python.
    """

    #: True for linear layers, which redistribute relevance by a rule.
    takes_rule: ClassVar[bool] = False
    #: The rule of a linear layer that has learned nothing, where the user names none for it.
    default_rule: ClassVar[Rule | None] = None
    #: True for layers that pool neurons: relevance goes back "proportional" or to the "winner".
    pools: ClassVar[bool] = False
    #: True for layers that only rearrange numbers, so that their domain is that of their input.
    rearranges: ClassVar[bool] = False
    #: True where every output grows with every input (or stays), number by number.
    grows: ClassVar[bool] = False
    #: True where every output lies in the range of its inputs, whatever these are.
    averages: ClassVar[bool] = False
    #: True for layers of several inputs: x is a list of arrays, relevance comes back as a tuple.
    joins: ClassVar[bool] = False
    #: True for layers whose steps can apply the ReLU that follows themselves.
    clamps: ClassVar[bool] = False

    def __init__(self) -> None:
        self._steps: dict[Any, Step] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which make their steps anew."""
        return self.__dict__ | {"_steps": {}}

    @property
    def input_shape(self) -> Shape | None:
        """Shape of one input, without the batch axis; None where several fit."""
        return None

    @property
    def needs_rule(self) -> bool:
        """Must the user's rules name one for the layer? True for layers with learned weights."""
        return self.takes_rule and self.default_rule is None

    @property
    def takes_maximum(self) -> bool:
        """Of layers that pool: is each output the largest of its inputs, or of their sizes?"""
        return False

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

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Shape of one output, without the batch axis, from that of the input (of each input).

        Raises
        ------
        ValueError
            If the layer cannot take inputs of this shape.
        """
        if len(set(input_shapes)) != 1:
            raise ValueError(
                f"{self!r} takes inputs of one shape, got {', '.join(map(str, input_shapes))}"
            )
        return input_shapes[0]

    def scaled_outputs(self, scale: np.ndarray, shift: np.ndarray) -> Layer | None:
        """A layer for scale_j · y_j + shift_j; None where there is none.

        `scale` and `shift` have shape (channels,), or that of one output.
        """
        return None

    def scaled_inputs(self, scale: np.ndarray, shift: np.ndarray) -> Layer | None:
        """A layer that takes x where this one takes scale_i · x_i + shift_i.

        None where there is none: the layer is not linear, or needs to know how many pixels there
        are. `scale` and `shift` have shape (channels,), or that of one input.
        """
        return None

    def simplified(self) -> Layer:
        """A simpler layer for the same function, if this one is more than it needs to be."""
        return self

    def commutes(self, scale: np.ndarray, shift: np.ndarray) -> bool:
        """Does f(scale_c · x + shift_c) = scale_c · f(x) + shift_c hold in every channel c?

        `scale` and `shift` have shape (channels,). True for averages over pixels, and for maxima
        with scales above 0.
        """
        return False

    def step(self, rule: Rule | str | None, dtype: np.dtype, ceiling: float | None = None) -> Step:
        """The layer made ready for a rule (None: forward and gradient only); made once, kept.

        With a `ceiling`, where the layer `clamps`: the step gives min(max(0, y), ceiling) for y.
        """
        key = (rule, dtype, ceiling)
        steps = self.__dict__.setdefault("_steps", {})  # an own layer may not call __init__
        try:
            step = steps.get(key)
        except TypeError:
            raise TypeError(
                f"{rule!r} has no hash value, which rules need: write @dataclass(frozen=True) "
                f"above class {type(rule).__name__}"
            ) from None
        if step is None:
            given = () if ceiling is None else (ceiling,)
            with overflowing():
                step = self._make_step(rule, dtype, *given)
            if len(steps) >= STEPS_KEPT:
                steps.clear()
            steps[key] = step
        return step

    def require(self, method: str) -> None:
        """Raise a TypeError unless the class of a user's own layer has a method of `METHODS`."""
        if getattr(type(self), method) is getattr(Layer, method):
            raise lacking(self, "Layer", METHODS[method])

    def check_class(self) -> None:
        """Raise a TypeError unless networks can run the layer as its class says.

        Raises
        ------
        TypeError
            If a user's own layer has no `forward`, or a class derived from one of our layers has
            methods that networks would not call.
        """
        if type(self)._make_step is Layer._make_step:
            self.require("forward")
            return
        for method in METHODS:
            if getattr(type(self), method) is not getattr(Layer, method):
                name = type(self).__name__
                raise TypeError(
                    f"{name}.{method} would not be called: networks run the layer that {name} is "
                    "derived from in the core; derive it from dtdcore.Layer"
                )

    def _make_step(
        self, rule: Rule | str | None, dtype: np.dtype, ceiling: float | None = None
    ) -> Step:
        return OwnStep(self, rule, dtype)

    def _inputs(self, x: Any) -> list[np.ndarray]:
        if not self.joins:
            xs = [as_batch(x, self.input_shape, default=self.dtype)]
        elif not isinstance(x, Sequence) or not x:
            raise TypeError(f"{self!r} takes a list of arrays, got {type(x).__name__}")
        else:
            xs = [as_batch(part, None, f"x[{i}]", self.dtype) for i, part in enumerate(x)]
            if len({len(part) for part in xs}) > 1:
                raise ValueError(
                    f"all x must have one batch axis, got {', '.join(str(p.shape) for p in xs)}"
                )
            dtype = np.result_type(*(part.dtype for part in xs))
            xs = [np.asarray(part, dtype) for part in xs]
        self.output_shape(*(part.shape[1:] for part in xs))
        return xs

    def forward(self, x: Any) -> np.ndarray:
        """The outputs of the layer.

        Parameters
        ----------
        x : array (n, *input shape)
            A list or tuple of arrays for layers with several inputs.

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
        xs = self._inputs(x)
        dtype = xs[0].dtype
        step = self.step(None, dtype)
        with overflowing():
            result = to_plain(step.forward(*xs))
        if not all_finite(result):
            raise FloatingPointError(f"the forward pass overflows {dtype} in {self!r}")
        return _own(result, xs)

    def redistribute(self, x: Any, relevance: Any, rule: Rule | str | None = None) -> Any:
        """Relevance of the outputs in, relevance of the inputs out.

            z_j = Σ_i q_ij        s_j = R_j / z_j  (0 where z_j = 0)        R_i = Σ_j q_ij s_j

        Parameters
        ----------
        x : array (n, *input shape)
            Inputs of the layer; a list or tuple of arrays where there are several.
        relevance : array (n, *output shape) or (n, k, *output shape)
            R_j; with the axis k, for k targets at once.
        rule : Rule, optional
            Gives q_ij. Needed by layers with learned weights; pools take "proportional" (None) or
            "winner"; activations pass relevance through unchanged, whatever the rule.

        Returns
        -------
        array (n, *input shape) or (n, k, *input shape)
            In the dtype of x; a tuple with one for each input where there are several.

        Raises
        ------
        ValueError
            If a shape is wrong or a value is not finite.
        TypeError
            If the layer cannot take the rule.
        """
        rule = self.default_rule if rule is None else rule
        if rule is None and self.takes_rule:
            raise TypeError(f"{type(self).__name__} needs a rule, such as dtdcore.ZPlus()")
        if not (rule is None or isinstance(rule, (Rule, str))):
            raise TypeError(f"rule must be a dtdcore rule such as ZPlus(), got {rule!r}")
        xs = self._inputs(x)
        return self._back("relevance", xs, relevance, self.step(rule, xs[0].dtype))

    def gradient(self, x: Any, gradient: Any) -> Any:
        """Gradient with respect to the inputs from that with respect to the outputs.

        Parameters
        ----------
        x : array (n, *input shape)
            Inputs of the layer; a list or tuple of arrays where there are several.
        gradient : array (n, *output shape) or (n, k, *output shape)

        Returns
        -------
        array (n, *input shape) or (n, k, *input shape)
            In the dtype of x; a tuple with one for each input where there are several.

        Raises
        ------
        ValueError
            If a shape is wrong or a value is not finite.
        """
        xs = self._inputs(x)
        return self._back("gradient", xs, gradient, self.step(None, xs[0].dtype))

    def _back(self, what: str, xs: list[np.ndarray], signal: Any, step: Step) -> Any:
        shape, dtype = self.output_shape(*(x.shape[1:] for x in xs)), xs[0].dtype
        signal, single = as_signal(signal, what, len(xs[0]), shape, dtype)
        with overflowing():
            _, saved = step.trace(*xs)
            if what == "gradient":
                results = step.gradient(saved, signal)
            else:
                results = step.redistribute(saved, signal, np.zeros((*signal.shape[:2], 4)))
        results = [to_plain(result) for result in (results if self.joins else (results,))]
        if not all(map(all_finite, results)):
            raise FloatingPointError(f"{what} overflows {dtype} in {self!r}")
        results = [_own(result, [signal, *results[:i]]) for i, result in enumerate(results)]
        if single:
            results = [result[:, 0] for result in results]
        return tuple(results) if self.joins else results[0]

    def __repr__(self) -> str:
        arguments = [f"{name}={value!r}" for name, value in self.options().items()]
        return f"{type(self).__name__}({', '.join(arguments)})"


def check_channels(layer: Layer, numbers: np.ndarray, shape: Shape) -> None:
    """Raise a ValueError unless inputs of `shape` have a channel for each number, if several."""
    if len(numbers) > 1 and (not shape or shape[0] != len(numbers)):
        raise ValueError(f"{layer!r} takes inputs with {len(numbers)} channels, got {shape}")


def _own(result: np.ndarray, arguments: list[np.ndarray]) -> np.ndarray:
    """`result`, copied if it shares memory with one of the arguments."""
    for argument in arguments:
        result = own(result, argument)
    return result
