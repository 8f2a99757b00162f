# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers where several values meet: sums, concatenations and gates."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dtdcore.arrays import check_count
from dtdcore.layers.base import Layer, Shape
from dtdcore.rules import Rule, SearchDirection, Z
from dtdcore.steps.base import Step
from dtdcore.steps.gating import GateStep
from dtdcore.steps.joining import AddStep, ConcatStep


class Add(Layer):
    """The sum of two or more values of one shape: y_j = Σ_i x_ij, i the summands.

    A linear layer whose weights are 1, so that each summand gets its share under the rule:

        z_j = Σ_i q_ij        R_ij = q_ij / z_j · R_j  (all R_j is lost where z_j = 0)

    with q_ij = x_ij for z, ε and γ (ε is added to z_j as the rule says), x⁺_ij for z⁺, x_ij - l_i
    for z^B, 1 for w² and flat, and αβ from positive and negative summands. Where the user names
    no rule for it: z.

    Raises
    ------
    ValueError
        In a network or a call: if the shapes differ.
    """

    takes_rule = True
    joins = True
    clamps = True
    grows = True
    default_rule: ClassVar[Rule] = Z(bias=False)

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """The shape of all summands: see `Layer.output_shape`."""
        if len(set(input_shapes)) != 1:
            raise ValueError(f"Add() takes inputs of one shape, got {_list(input_shapes)}")
        return input_shapes[0]

    def _make_step(
        self, rule: Rule | str | None, dtype: np.dtype, ceiling: float | None = None
    ) -> Step:
        if isinstance(rule, SearchDirection) or not (rule is None or isinstance(rule, Rule)):
            raise TypeError(f"Add() cannot take the rule {rule!r}")
        return AddStep(rule, dtype, ceiling)


class Concat(Layer):
    """Values one after the other along an axis; relevance goes back into place.

    Parameters
    ----------
    axis : int
        An axis of one input, without the batch axis: 0, the default, are the channels (or the
        features); -1 the last.

    Raises
    ------
    TypeError
        If `axis` is not a whole number.
    ValueError
        In a network or a call: if the shapes differ in another axis.
    """

    rearranges = True
    joins = True

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = check_count(axis, "axis", -32)

    def options(self) -> dict[str, Any]:
        """`axis`."""
        return {"axis": self.axis}

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """The sizes along the axis added: see `Layer.output_shape`."""
        first = input_shapes[0]
        axis = self.axis % len(first) if -len(first) <= self.axis < len(first) else None
        if axis is None or any(
            len(shape) != len(first) or _without(shape, axis) != _without(first, axis)
            for shape in input_shapes
        ):
            raise ValueError(
                f"{self!r} takes inputs that differ in that axis only, got {_list(input_shapes)}"
            )
        size = sum(shape[axis] for shape in input_shapes)
        return (*first[:axis], size, *first[axis + 1 :])

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return ConcatStep(self.axis)


class Gate(Layer):
    """A value times a gate of the same shape: y_i = x_i g_i, as in x · sigmoid(x) or attention.

    All relevance goes to x, none to the gate: R_i of x is R_i of y. The gate rescales a feature but
    does not bring it about (Arras et al. 2017, "Explaining recurrent neural network predictions
    in sentiment analysis"). Gradients go to both.

    Raises
    ------
    ValueError
        In a network or a call: if there are not two inputs of one shape.
    """

    joins = True

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """The shape of both: see `Layer.output_shape`."""
        if len(input_shapes) != 2 or input_shapes[0] != input_shapes[1]:
            raise ValueError(f"Gate() takes two inputs of one shape, got {_list(input_shapes)}")
        return input_shapes[0]

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return GateStep()


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _list(shapes: tuple[Shape, ...]) -> str:
    return ", ".join(map(str, shapes))
