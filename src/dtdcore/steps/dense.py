# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The operator of dense layers, and the step of pools over groups of neurons."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from dtdcore.adding import clamp
from dtdcore.arena import empty
from dtdcore.arrays import kernels
from dtdcore.rules import Flat, Rule, SearchDirection, WSquare
from dtdcore.steps.base import Step
from dtdcore.steps.linear import Ahead, Fixed, Operator, ReadyTerm
from dtdcore.terms import Term


class DenseOperator(Operator):
    """The sums of a fully connected layer.

    Parameters
    ----------
    weight : array (outputs, inputs)
        Rows of weights as the core reads them.
    bias : array (outputs,) or None
    """

    plain = True

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None) -> None:
        self.core = kernels(weight.dtype)
        self.weight, self.bias = weight, bias
        self.outputs, self.inputs_count = weight.shape
        self.fan_out = self.outputs

    def scaled(self, exponent: int) -> DenseOperator:
        bias = None if self.bias is None else np.ldexp(self.bias, exponent)
        return DenseOperator(np.ldexp(self.weight, exponent), bias)

    def take(self, x: np.ndarray) -> np.ndarray:
        return x

    def geometry(self, x: np.ndarray) -> None:
        return None

    def forward(self, x: np.ndarray, ceiling: float | None) -> np.ndarray:
        a = empty((len(x), self.outputs), x.dtype)
        self.core.dense_forward(x, self.weight, self.bias, a)
        return a if ceiling is None else clamp(a, ceiling, a)

    def forward_z(
        self, x: np.ndarray, term: ReadyTerm, ceiling: float | None, want_a: bool
    ) -> tuple[np.ndarray | None, np.ndarray]:
        z = empty((len(x), self.outputs), x.dtype)
        a = empty(z.shape, z.dtype) if want_a else None
        self.core.dense_forward_z(
            x, self.weight, self.bias, term.coefficients, term.low, term.high, a, z
        )
        return a if ceiling is None else clamp(a, ceiling, a), z

    def value(self, a: np.ndarray, clamped: bool) -> np.ndarray:
        return a

    def signal(self, signal: np.ndarray) -> np.ndarray:
        return signal

    def inputs(self, n: int, k: int, geometry: Hashable) -> np.ndarray:
        return empty((n, k, self.inputs_count), self.weight.dtype)

    def leave(self, signal: np.ndarray) -> np.ndarray:
        return signal

    def ready(self, term: Term, bias: bool, geometry: Hashable) -> ReadyTerm:
        dtype = self.weight.dtype
        share = term.of_bias(self.bias).astype(dtype) if bias and self.bias is not None else None
        return ReadyTerm(term.coefficients, *term.bounds((self.inputs_count,), dtype), share)

    def spread(
        self,
        x: np.ndarray,
        term: ReadyTerm,
        s: np.ndarray,
        accumulate: bool,
        result: np.ndarray,
        ahead: Ahead | None = None,
    ) -> None:
        self.core.dense_redistribute(
            x, self.weight, term.coefficients, term.low, term.high, s, accumulate, result
        )

    def gradient(self, signal: np.ndarray, geometry: Hashable) -> np.ndarray:
        return self._rows(self.core.dense_gradient, self.weight, signal)

    def _rows(self, function: Any, weight: np.ndarray, signal: np.ndarray) -> np.ndarray:
        n, k, outputs = signal.shape
        result = self.inputs(n, k, None)
        function(weight, signal.reshape(n * k, outputs), result.reshape(n * k, self.inputs_count))
        return result

    def fixed(self, rule: Rule, geometry: Hashable) -> Fixed:
        z, bias, largest = np.empty(self.outputs, self.weight.dtype), None, self.largest()
        core, weight = self.core, self.weight
        match rule:
            case WSquare():
                core.dense_square_sums(weight, z)
                if rule.bias and self.bias is not None:
                    bias = self.bias * self.bias
                return Fixed(
                    z,
                    bias,
                    largest * largest,
                    lambda s: self._rows(core.dense_redistribute_square, weight, s),
                )
            case Flat():
                z[:] = self.inputs_count
                return Fixed(z, None, 1.0, self._equal)
            case SearchDirection():
                q = rule.directed_weight(weight.T)
                directed = np.ascontiguousarray(q.T, weight.dtype)
                z[:] = directed.sum(axis=1, dtype=np.float64)  # of what will be spread
                largest = float(np.abs(q).max(initial=0.0))
                return Fixed(
                    z, None, largest, lambda s: self._rows(core.dense_gradient, directed, s)
                )
        raise TypeError(f"a Dense layer cannot take the rule {rule!r}")

    def _equal(self, s: np.ndarray) -> np.ndarray:
        n, k, outputs = s.shape
        sums = np.empty(n * k)
        self.core.row_sums(s.reshape(n * k, outputs), sums)
        result = self.inputs(n, k, None)
        result[:] = sums.reshape(n, k, 1)
        return result


class NeuronPoolStep(Step):
    """y_k = ‖x_group‖_p over groups of consecutive neurons.

    Relevance goes to the neurons in proportion to their activation, R_j = x_j / Σ x_j' · R_k, or
    all of it to the largest, the first on ties (`winner`).
    """

    redistributes = True

    def __init__(self, size: int | None, p: float, winner: bool, dtype: np.dtype) -> None:
        self.core = kernels(dtype)
        self.size, self.p, self.winner = size, p, winner

    def _size(self, x: np.ndarray) -> int:
        return self.size or x.shape[1]

    def forward(self, x: np.ndarray) -> np.ndarray:
        size = self._size(x)
        y = empty((len(x), x.shape[1] // size), x.dtype)
        self.core.pool_forward(x, size, self.p, y)
        return y

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        y = self.forward(x)
        return y, (x, y)

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        x, _ = saved
        result = empty((*relevance.shape[:2], x.shape[1]), x.dtype)
        self.core.pool_redistribute(x, self._size(x), self.winner, relevance, result, account)
        return result

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        x, y = saved
        result = empty((*gradient.shape[:2], x.shape[1]), x.dtype)
        self.core.pool_gradient(x, y, self._size(x), self.p, gradient, result)
        return result
