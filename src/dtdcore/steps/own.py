# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The step of layers that users write: their methods on plain arrays, checked and accounted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.arrays import as_float, cast, check_finite
from dtdcore.steps.base import LOST, RECEIVED, Step

#: Σ_j R_j - Σ_i R_i counts as rounding up to this many times eps Σ_i |R_i|.
ROUNDING = 4


class OwnStep(Step):
    """A layer with `forward`, `redistribute` and `gradient` of its own.

    What these give must be real, finite numbers in the shape of the layer's outputs or inputs.
    They see one target at a time, and cannot write into what they are given. What relevance they
    do not pass on is booked as lost.

    Parameters
    ----------
    layer : Layer
        It says by `require` whether it has a method.
    rule : Rule, str or None
        Handed to `redistribute`.
    dtype : dtype
    """

    redistributes = True

    def __init__(self, layer: Any, rule: Any, dtype: np.dtype) -> None:
        layer.require("forward")
        self.layer, self.rule, self.dtype = layer, rule, dtype
        self.joins = layer.joins

    def check_back(self) -> None:
        self.layer.require("redistribute")

    def forward(self, *xs: np.ndarray) -> np.ndarray:
        shape = self.layer.output_shape(*(x.shape[1:] for x in xs))
        result = self.layer.forward(self._given(xs))
        return self._checked(result, "forward", (len(xs[0]), *shape))

    def trace(self, *xs: np.ndarray) -> tuple[np.ndarray, Any]:
        return self.forward(*xs), xs

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> Any:
        self.check_back()
        results = self._back(
            "redistribute",
            lambda xs, signal: self.layer.redistribute(xs, signal, self.rule),
            saved,
            relevance,
        )
        axes = tuple(range(2, relevance.ndim))
        received = np.sum(relevance, axis=axes, dtype=np.float64)
        passed, size = np.zeros_like(received), np.zeros_like(received)
        for result in results:
            axes = tuple(range(2, result.ndim))
            passed += np.sum(result, axis=axes, dtype=np.float64)
            size += np.sum(np.abs(result), axis=axes, dtype=np.float64)
        lost = received - passed
        lost[np.abs(lost) <= ROUNDING * np.finfo(self.dtype).eps * size] = 0
        account[..., RECEIVED] += received
        account[..., LOST] += lost
        return tuple(results) if self.joins else results[0]

    def gradient(self, saved: Any, gradient: np.ndarray) -> Any:
        self.layer.require("gradient")
        results = self._back("gradient", self.layer.gradient, saved, gradient)
        return tuple(results) if self.joins else results[0]

    def _given(self, xs: Sequence[np.ndarray]) -> Any:
        views = [_read_only(x) for x in xs]
        return views if self.joins else views[0]

    def _back(
        self, method: str, call: Any, xs: Sequence[np.ndarray], signal: np.ndarray
    ) -> list[np.ndarray]:
        """What a method gives for each input, for all targets: (n, k, *input shape)."""
        parts: list[list[np.ndarray]] = [[] for _ in xs]
        for target in range(signal.shape[1]):
            one = np.ascontiguousarray(signal[:, target])
            given = call(self._given(xs), _read_only(one))
            if self.joins and not (isinstance(given, Sequence) and len(given) == len(xs)):
                raise TypeError(
                    f"{self._name(method)} must give a tuple with an array for each of the "
                    f"{len(xs)} inputs, got {type(given).__name__}"
                )
            for part, result, x in zip(parts, given if self.joins else [given], xs, strict=True):
                part.append(self._checked(result, method, x.shape))
        return [
            np.stack(part, axis=1) if part else np.zeros((len(x), 0, *x.shape[1:]), self.dtype)
            for part, x in zip(parts, xs, strict=True)
        ]

    def _checked(self, result: Any, method: str, shape: tuple[int, ...]) -> np.ndarray:
        name = f"what {self._name(method)} gave"
        array = as_float(result, name)
        if array.shape != shape:
            hint = ""
            if method == "forward":
                hint = "; outputs of another shape than the inputs need a method output_shape"
            raise ValueError(f"{name} must have shape {shape}, got {array.shape}{hint}")
        check_finite(array, name)
        return np.array(cast(array, self.dtype, name), order="C")

    def _name(self, method: str) -> str:
        return f"{type(self.layer).__name__}.{method}"


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
