# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of layers that make each number along an axis of a few others of that axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dtdcore.arrays import kernels
from dtdcore.own_rules import shares_of, terms_of
from dtdcore.rules import Rule, WSquare
from dtdcore.steps.base import Step, book_unshared
from dtdcore.steps.elementwise import check_rule, parts_of
from dtdcore.terms import largest_parts


class Taps:
    """y_j = Σ_i w_ij x_i along an axis, of the w_ij that are not 0.

    The sums are taken number by number in one order, so that no bit depends on the batch.

    Parameters
    ----------
    inputs, outputs : array of int
        i and j of each w_ij that is not 0.
    weights : array
        These w_ij.
    size : int
        How many outputs there are.
    """

    def __init__(
        self, inputs: np.ndarray, outputs: np.ndarray, weights: np.ndarray, size: int
    ) -> None:
        self.size = size
        order = np.lexsort((inputs, outputs))
        inputs, outputs, weights = inputs[order], outputs[order], weights[order]
        counts = np.bincount(outputs, minlength=size)
        rank = np.arange(len(outputs)) - (np.cumsum(counts) - counts)[outputs]
        #: Of each output the first summand, then the second where there is one, …
        self.rounds = [
            (inputs[rank == number], outputs[rank == number], weights[rank == number])
            for number in range(counts.max(initial=0))
        ]

    @classmethod
    def of(cls, weight: np.ndarray) -> Taps:
        """Of a matrix (inputs, outputs)."""
        inputs, outputs = np.nonzero(weight)
        return cls(inputs, outputs, weight[inputs, outputs], weight.shape[1])

    def __call__(self, x: np.ndarray, axis: int) -> np.ndarray:
        """The sums along an axis of x."""
        lead = (slice(None),) * axis
        result = np.zeros((*x.shape[:axis], self.size, *x.shape[axis + 1 :]), x.dtype)
        for inputs, outputs, weights in self.rounds:
            like = (-1, *[1] * (x.ndim - axis - 1))
            result[(*lead, outputs)] += x[(*lead, inputs)] * weights.reshape(like)
        return result


class TakeStep(Step):
    """y_j = x_places[j] along an axis; what flows back is added."""

    def __init__(self, axis: int, places: np.ndarray) -> None:
        self.axis, self.places = axis, places

    def forward(self, x: np.ndarray) -> np.ndarray:
        return np.take(x, self.places, axis=self.axis + 1)

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return self.forward(x), x.shape[self.axis + 1]

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        ones = np.ones(len(self.places), relevance.dtype)
        back = Taps(np.arange(len(self.places)), self.places, ones, saved)
        return back(relevance, self.axis + 2)

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return self.redistribute(saved, gradient, None)


class AxisMapStep(Step):
    """y_j = Σ_i x_i w_ij along an axis, for each place of the other axes.

        z_j = Σ_i p_i w⁺_ij + n_i w⁻_ij        R_i = p_i Σ_j w⁺_ij s_j + n_i Σ_j w⁻_ij s_j

    For w² and flat q_ij is w_ij², and 1 where w_ij is not 0.
    """

    def __init__(self, axis: int, weight: np.ndarray, rule: Rule | None) -> None:
        self.axis, self.rule = axis, rule
        self.map, self.back = Taps.of(weight), Taps.of(weight.T)
        self.redistributes = self.remembers = rule is not None
        self.terms = () if rule is None else terms_of(rule)
        self.parts: list[tuple[Taps, Taps]] = []
        largest = float(np.abs(weight).max(initial=0))
        if rule is not None:
            check_rule(rule, weight.dtype)
            parts = [np.maximum(weight, 0), np.minimum(weight, 0)]
            if not self.terms:
                parts = [weight * weight if isinstance(rule, WSquare) else weight != 0]
                parts = [parts[0].astype(weight.dtype)]
                largest = float(parts[0].max(initial=0))
            self.parts = [(Taps.of(part), Taps.of(part.T)) for part in parts]
        room = max(1.0, 4.0 * len(self.back.rounds) * largest)
        self.limit = float(np.finfo(weight.dtype).max) / room

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self.map(x, self.axis + 1)

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        x, rule, axis = saved, self.rule, self.axis
        inputs = [parts_of(term, x) for term in self.terms] or [(np.ones_like(x),)]
        z = [
            sum(part(p, axis + 1) for p, (part, _) in zip(term, self.parts, strict=True))
            for term in inputs
        ]
        shares = [relevance]
        if len(z) > 1:
            shares = shares_of(rule, relevance, self.forward(x), z)
            book_unshared(relevance, shares, account)
        results = [
            self._spread(term, self._quotient(share, zt, account))
            for term, zt, share in zip(inputs, z, shares, strict=True)
        ]
        return sum(results[1:], results[0])

    def factor(self, saved: Any) -> Any:
        """max |p_i|, |n_i| of each sample; 0 for w² and flat."""
        return largest_parts(self.terms, saved) if self.terms else 0.0

    def _quotient(self, share: np.ndarray, z: np.ndarray, account: np.ndarray) -> np.ndarray:
        n, k = share.shape[:2]
        s = np.empty(share.shape, share.dtype)
        kernels(share.dtype).quotient(
            np.ascontiguousarray(share).reshape(n, k, math.prod(share.shape[2:])),
            z.reshape(n, math.prod(z.shape[1:])),
            None,
            self.rule.epsilon,
            self.limit,
            s.reshape(n, k, math.prod(s.shape[2:])),
            account,
        )
        return s

    def _spread(self, inputs: tuple[np.ndarray, ...], s: np.ndarray) -> np.ndarray:
        flows = [
            p[:, None] * back(s, self.axis + 2)
            for p, (_, back) in zip(inputs, self.parts, strict=True)
        ]
        return sum(flows[1:], flows[0])

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return self.back(gradient, self.axis + 2)
