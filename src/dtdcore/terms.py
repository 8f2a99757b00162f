# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A term of a rule: q_ij linear in the positive and negative parts of weights and inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arrays import ArrayFields, largest_of
from dtdcore.domains import flat_bound


@dataclass(frozen=True, eq=False, repr=False)
class Term(ArrayFields):
    """A summand of a rule: q_ij = p_i w⁺_ij + n_i w⁻_ij, linear in the parts of weights and inputs.

        p_i = p⁺ x⁺_i + p⁻ x⁻_i - l_i        n_i = n⁺ x⁺_i + n⁻ x⁻_i - h_i

    `Rule.terms` gives one or several of them. The z⁺-rule is ``Term(1, 0, 0, 1)``, the z-rule
    ``Term(1, 1, 1, 1)``, z^B ``Term(1, 1, 1, 1, low, high)``. A rule that counts positive weights
    twice, and the bias with them:

        from dataclasses import dataclass

        import dtdcore as dtd

        @dataclass(frozen=True)
        class Twice(dtd.Rule):
            bias: bool = True

            def terms(self):
                return (dtd.Term(2, 2, 1, 1),)

    Parameters
    ----------
    p_positive, p_negative : float
        p⁺ and p⁻: what x⁺ and x⁻ count with weights above 0.
    n_positive, n_negative : float
        n⁺ and n⁻: the same with weights below 0.
    low, high : float or array, optional
        l and h, both or none; arrays broadcast to one input.
    """

    p_positive: float
    p_negative: float
    n_positive: float
    n_negative: float
    low: Any = None
    high: Any = None

    @property
    def coefficients(self) -> tuple[float, float, float, float]:
        """(p⁺, p⁻, n⁺, n⁻)."""
        return self.p_positive, self.p_negative, self.n_positive, self.n_negative

    def bounds(
        self, shape: tuple[int, ...], dtype: np.dtype
    ) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
        """`low` and `high` for inputs of this shape, one number for each input; None if both 0."""
        if self.low is None:
            return None, None
        size = int(np.prod(shape))
        low, high = (
            np.ascontiguousarray(np.broadcast_to(flat_bound(bound, name, shape, dtype), (size,)))
            for bound, name in ((self.low, "low"), (self.high, "high"))
        )
        return low, high

    def parts(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """p_i and n_i for inputs x (n, inputs)."""
        positive, negative = np.maximum(x, 0), np.minimum(x, 0)
        p = self.p_positive * positive + self.p_negative * negative
        n = self.n_positive * positive + self.n_negative * negative
        low, high = self.bounds(x.shape[1:], x.dtype)
        return (p, n) if low is None else (p - low, n - high)

    def of_bias(self, bias: np.ndarray) -> np.ndarray:
        """What the bias adds to z_j, as one more input x = 1: p⁺ b⁺_j + n⁺ b⁻_j."""
        return self.p_positive * np.maximum(bias, 0) + self.n_positive * np.minimum(bias, 0)


def largest_parts(terms: Sequence[Term], x: np.ndarray) -> np.ndarray:
    """Not less than |p_i| and |n_i| of any input of each sample: (n, 1) float64."""
    largest = largest_of(x).astype(np.float64)
    factor = max((abs(c) for term in terms for c in term.coefficients), default=1.0)
    bounds = [b for term in terms for b in (term.low, term.high) if b is not None]
    reach = max((float(np.max(np.abs(bound))) for bound in bounds), default=0.0)
    return (factor * largest + reach)[:, None]
