# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of dense layers, and of pools over groups of neurons."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.arrays import kernels
from dtdcore.rules import Flat, Rule, SearchDirection, WSquare
from dtdcore.steps.base import LOST, RECEIVED, Step


class DenseStep(Step):
    """a_j = Σ_i x_i w_ij + b_j and its gradient; the base of all steps of dense layers.

    Parameters
    ----------
    weight : array (outputs, inputs)
        Rows of weights as the core reads them.
    bias : array (outputs,) or None
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None) -> None:
        self.core = kernels(weight.dtype)
        self.weight = weight
        self.bias = bias
        self.outputs, self.inputs = weight.shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        a = np.empty((len(x), self.outputs), x.dtype)
        self.core.dense_forward(x, self.weight, self.bias, a)
        return a

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        n, k, outputs = gradient.shape
        result = np.empty((n, k, self.inputs), gradient.dtype)
        self.core.dense_gradient(
            self.weight, gradient.reshape(n * k, outputs), result.reshape(n * k, self.inputs)
        )
        return result

    def _limit(self, largest: float) -> float:
        # s_j above this bound could overflow Σ_j q_ij s_j: z_j counts as zero, R_j as lost.
        room = max(1.0, 4.0 * self.outputs * largest)
        return float(np.finfo(self.weight.dtype).max) / room


class TermsStep(DenseStep):
    """Rules with q_ij = p_i w⁺_ij + n_i w⁻_ij, one term or two."""

    redistributes = True

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None, rule: Rule) -> None:
        super().__init__(weight, bias)
        self.rule = rule
        shape, dtype = (self.inputs,), weight.dtype
        limits = np.finfo(dtype)
        if rule.epsilon and not limits.smallest_subnormal <= rule.epsilon <= limits.max:
            raise ValueError(f"epsilon={rule.epsilon:g} is no number above 0 in {dtype}")
        self.terms = [
            (
                term.coefficients,
                *term.bounds(shape, dtype),
                term.of_bias(bias).astype(dtype) if rule.bias and bias is not None else None,
            )
            for term in rule.terms()
        ]
        self.limit = self._limit(float(np.abs(weight).max(initial=0.0)))

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        a = np.empty((len(x), self.outputs), x.dtype)
        z = [np.empty_like(a) for _ in self.terms]
        for number, (coefficients, low, high, _) in enumerate(self.terms):
            self.core.dense_forward_z(
                x,
                self.weight,
                self.bias,
                coefficients,
                low,
                high,
                a if number == 0 else None,
                z[number],
            )
        return a, (x, a, z)

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        x, a, z = saved
        n, k, _ = relevance.shape
        shares = [relevance]
        if len(self.terms) > 1:
            whole = [
                zt if share is None else zt + share
                for zt, (*_, share) in zip(z, self.terms, strict=True)
            ]
            shares = self.rule.shares(relevance, a, whole)
            rest = np.sum(relevance - sum(shares), axis=2, dtype=np.float64)
            account[:, :, RECEIVED] += rest
            account[:, :, LOST] += rest
        else:
            shares = self.rule.shares(relevance, a, z)
        result = np.empty((n, k, self.inputs), relevance.dtype)
        s = np.empty(relevance.shape, relevance.dtype)
        for number, (coefficients, low, high, bias_share) in enumerate(self.terms):
            self.core.quotient(
                shares[number], z[number], bias_share, self.rule.epsilon, self.limit, s, account
            )
            self.core.dense_redistribute(
                x, self.weight, coefficients, low, high, s, number > 0, result
            )
        return result


class FixedStep(DenseStep):
    """Rules whose q_ij, and so z_j, does not depend on x: w², flat and a given direction."""

    redistributes = True

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None, rule: Rule) -> None:
        super().__init__(weight, bias)
        self.z = np.empty(self.outputs, weight.dtype)
        self.bias_share = None
        largest = float(np.abs(weight).max(initial=0.0))
        match rule:
            case WSquare():
                self.core.dense_square_sums(weight, self.z)
                self._spread = self._square
                self.limit = self._limit(largest * largest)
                if rule.bias and bias is not None:
                    self.bias_share = bias * bias
            case Flat():
                self.z[:] = self.inputs
                self._spread = self._equal
                self.limit = self._limit(1.0)
            case SearchDirection():
                q = rule.directed_weight(weight.T)
                self.directed = np.ascontiguousarray(q.T, weight.dtype)
                self.z[:] = self.directed.sum(axis=1, dtype=np.float64)  # of what will be spread
                self._spread = self._along
                self.limit = self._limit(float(np.abs(q).max(initial=0.0)))
            case _:
                raise TypeError(f"a Dense layer cannot take the rule {rule!r}")

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        n, k, outputs = relevance.shape
        s = np.empty(relevance.shape, relevance.dtype)
        self.core.quotient(relevance, self.z, self.bias_share, 0.0, self.limit, s, account)
        result = np.empty((n, k, self.inputs), relevance.dtype)
        self._spread(s.reshape(n * k, outputs), result.reshape(n * k, self.inputs))
        return result

    def _square(self, s: np.ndarray, result: np.ndarray) -> None:
        self.core.dense_redistribute_square(self.weight, s, result)

    def _equal(self, s: np.ndarray, result: np.ndarray) -> None:
        sums = np.empty(len(s))
        self.core.row_sums(s, sums)
        result[:] = sums[:, None]

    def _along(self, s: np.ndarray, result: np.ndarray) -> None:
        self.core.dense_gradient(self.directed, s, result)


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
        y = np.empty((len(x), x.shape[1] // size), x.dtype)
        self.core.pool_forward(x, size, self.p, y)
        return y

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        y = self.forward(x)
        return y, (x, y)

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        x, _ = saved
        result = np.empty((*relevance.shape[:2], x.shape[1]), x.dtype)
        self.core.pool_redistribute(x, self._size(x), self.winner, relevance, result, account)
        return result

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        x, y = saved
        result = np.empty((*gradient.shape[:2], x.shape[1]), x.dtype)
        self.core.pool_gradient(x, y, self._size(x), self.p, gradient, result)
        return result
