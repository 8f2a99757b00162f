# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers that work along one axis, alike at each place of the other axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from dtdcore.arrays import as_float, cast, check_count, check_finite
from dtdcore.layers.base import Layer, Shape
from dtdcore.rules import Rule, SearchDirection, Z
from dtdcore.steps.axis import AxisMapStep, TakeStep
from dtdcore.steps.base import Step

#: A text shows no more places than this.
SHOWN = 8


class Take(Layer):
    """Chosen places of an axis, in any order: y_j = x_places[j], as `numpy.take` gives them.

    Flips, rolls, permutations of channels, reflecting frames, nearest-neighbour resizing. Every
    output has one input, so that R_i = Σ_j R_j over its copies, whatever the rule; a place that is
    not taken has no share: R_i = 0.

    Parameters
    ----------
    axis : int
        An axis of one input, without the batch axis: 0 are the channels (or the features).
    places : sequence of int
        ≥ 0; one may come several times.

    Raises
    ------
    TypeError, ValueError
        If an argument is no whole number ≥ 0, or there are no places.
    """

    rearranges = True

    def __init__(self, axis: int, places: Iterable[int]) -> None:
        super().__init__()
        self.axis = check_count(axis, "axis", 0)
        if isinstance(places, str) or not isinstance(places, Iterable):
            raise TypeError(f"places must be a sequence of whole numbers, got {places!r}")
        numbers = [check_count(place, "places", 0) for place in places]
        if not numbers:
            raise ValueError("places must hold at least one place")
        self.places = np.array(numbers, np.intp)
        self.places.flags.writeable = False

    def options(self) -> dict[str, Any]:
        """`axis` and `places`."""
        return {"axis": self.axis, "places": self.places.tolist()}

    def output_shape(self, input_shape: Shape) -> Shape:
        """The axis with so many numbers as are taken: see `Layer.output_shape`."""
        if self.axis >= len(input_shape) or self.places.max() >= input_shape[self.axis]:
            raise ValueError(f"{self!r} cannot take inputs of shape {input_shape}")
        return (*input_shape[: self.axis], len(self.places), *input_shape[self.axis + 1 :])

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return TakeStep(self.axis, self.places)

    def __repr__(self) -> str:
        shown = self.places[:SHOWN].tolist()
        more = ", ..." if len(self.places) > SHOWN else ""
        return f"Take(axis={self.axis}, places=[{', '.join(map(str, shown))}{more}])"


class AxisMap(Layer):
    """One fixed matrix along an axis: y_j = Σ_i x_i w_ij at each place of the other axes.

    Linear and cubic resizing are one such layer for each axis. A linear layer that has learned
    nothing, in which i and j are connected where w_ij is not 0. Under the rules' formula

        z_j = Σ_i q_ij        s_j = R_j / z_j  (0 where z_j = 0)        R_i = Σ_j q_ij s_j

    with q_ij = p_i w⁺_ij + n_i w⁻_ij, w_ij² for w², and 1 between those that are connected for
    flat. Where the user names no rule for it: z.

    Parameters
    ----------
    weight : array (inputs, outputs)
        w_ij.
    axis : int
        An axis of one input, without the batch axis: 0 are the channels (or the features).

    Raises
    ------
    TypeError, ValueError
        If `weight` is no matrix of finite real numbers, or `axis` no whole number ≥ 0.
    """

    takes_rule = True
    default_rule: ClassVar[Rule] = Z(bias=False)

    def __init__(self, weight: Any, axis: int) -> None:
        super().__init__()
        self.weight = as_float(weight, "weight").copy()
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            raise ValueError(f"weight must be (inputs, outputs), got shape {self.weight.shape}")
        check_finite(self.weight, "weight")
        self.weight.flags.writeable = False
        self.axis = check_count(axis, "axis", 0)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the weights."""
        return self.weight.dtype

    @property
    def grows(self) -> bool:
        """Where no weight is below 0, as in linear resizing."""
        return bool(np.all(self.weight >= 0))

    @property
    def averages(self) -> bool:
        """Where the weights of each output are parts of 1."""
        return self.grows and self._keeps_constants

    @property
    def _keeps_constants(self) -> bool:
        """Σ_i w_ij = 1 for every output, to rounding."""
        return bool(np.allclose(self.weight.sum(axis=0, dtype=np.float64), 1, rtol=1e-6, atol=0))

    def commutes(self, scale: np.ndarray, shift: np.ndarray) -> bool:
        """Along pixels, and for shifts where the weights add up to 1: see `Layer.commutes`."""
        return self.axis > 0 and (self._keeps_constants or not np.any(shift))

    @property
    def parameters(self) -> int:
        """0: nothing was learned."""
        return 0

    def arrays(self) -> dict[str, np.ndarray]:
        """`weight`."""
        return {"weight": self.weight}

    def options(self) -> dict[str, Any]:
        """`axis`."""
        return {"axis": self.axis}

    def output_shape(self, input_shape: Shape) -> Shape:
        """The axis with so many numbers as there are outputs: see `Layer.output_shape`."""
        inputs, outputs = self.weight.shape
        if self.axis >= len(input_shape) or input_shape[self.axis] != inputs:
            raise ValueError(f"{self!r} cannot take inputs of shape {input_shape}")
        return (*input_shape[: self.axis], outputs, *input_shape[self.axis + 1 :])

    def simplified(self) -> Layer:
        """Where each output is one of the inputs it only takes it: see `Layer.simplified`."""
        places = self.weight.argmax(axis=0)
        units = np.zeros_like(self.weight)
        units[places, np.arange(len(places))] = 1
        return Take(self.axis, places.tolist()) if np.array_equal(self.weight, units) else self

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        if isinstance(rule, SearchDirection) or not (rule is None or isinstance(rule, Rule)):
            raise TypeError(f"AxisMap cannot take the rule {rule!r}")
        return AxisMapStep(self.axis, cast(self.weight, dtype, "weight"), rule)

    def __repr__(self) -> str:
        inputs, outputs = self.weight.shape
        return f"AxisMap({inputs} -> {outputs}, axis={self.axis})"
