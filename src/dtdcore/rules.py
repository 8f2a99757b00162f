# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
r"""Redistribution rules. Every rule is one formula,

    z_j = Σ_i q_ij        s_j = R_j / z_j  (0 where z_j = 0)        R_i = Σ_j q_ij s_j

and differs only in q_ij. With w⁺ = max(0, w), w⁻ = min(0, w), x⁺ and x⁻ likewise, most rules are

    q_ij = p_i w⁺_ij + n_i w⁻_ij

with p and n linear in x⁺ and x⁻: a `Term`. A rule with two terms (αβ, generalised γ) gives each
its share of R_j. `bias=True` counts the bias b_j as one more input, of value 1: what it takes is
booked as absorbed by the bias.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dtdcore.arena import empty
from dtdcore.arrays import ArrayFields, as_batch, as_bound, check_number, lacking, moderate
from dtdcore.domains import check_box
from dtdcore.terms import Term

if TYPE_CHECKING:
    from dtdcore.layers import Layer


class Rule:
    """Base of all rules. Frozen dataclasses, so they compare and hash by value.

    A rule of your own says its q_ij by `terms`, and with several terms what part of R_j each gets
    by `shares`. The class attribute (or field) `bias` says whether the bias is counted in z_j,
    `epsilon` stabilises: see `Term` for an example.
    """

    bias: bool = False
    epsilon: float = 0.0

    def terms(self) -> tuple[Term, ...]:
        """The summands of q_ij; empty for rules whose q_ij does not depend on x."""
        raise lacking(self, "Rule", "terms(): its q_ij, as a tuple of dtdcore.Term")

    def shares(self, relevance: np.ndarray, a: np.ndarray, z: list[np.ndarray]) -> list[np.ndarray]:
        """The part of R_j that each term redistributes: all of it where there is one term.

        `relevance` (n, k, outputs), `a` (n, outputs) with bias, `z` a list with z_j (n, outputs)
        of each term, bias share included.
        """
        if len(z) > 1:
            raise lacking(
                self,
                "Rule",
                "shares(relevance, a, z): the part of R_j that each of its terms gets, as a list "
                "of arrays like relevance",
            )
        return [relevance]

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def search_direction(self, x: np.ndarray, layer: Layer) -> np.ndarray:
        """v_i^(j) = q_ij / w_ij, the direction in which the rule searches its root point.

        That is w_ij for w², and for the rules with one term p_i where w_ij > 0, n_i where
        w_ij < 0 (Montavon et al. 2017). Where w_ij = 0 the direction does not matter
        for R_j and is 0.

        Parameters
        ----------
        x : array (n, inputs)
            Inputs of the layer.
        layer : Dense
            The layer, weights (inputs, outputs).

        Returns
        -------
        array (n, inputs, outputs)

        Raises
        ------
        TypeError
            If the rule is not derived from a root point: `AlphaBeta`.
        """
        x = as_batch(x, (layer.inputs,))
        directions = []
        for term in self.terms():
            p, n = term.parts(x)
            w = layer.weight
            directions.append(
                np.where(w > 0, p[:, :, None], 0.0) + np.where(w < 0, n[:, :, None], 0.0)
            )
        return self._choose_direction(x, layer, directions)

    def _choose_direction(
        self, x: np.ndarray, layer: Layer, directions: list[np.ndarray]
    ) -> np.ndarray:
        if len(directions) != 1:
            raise TypeError(f"{self!r} is not derived from a root point")
        return directions[0]

    def root_points(self, x: np.ndarray, layer: Layer) -> np.ndarray:
        """The nearest root of R_j along the rule's search direction, for each neuron j.

            x̃_i^(j) = x_i - t v_i^(j)        t = a_j / Σ_i v_i^(j) w_ij

        (Montavon et al. 2017, equations 3 and 4). Where a_j ≤ 0 the neuron is silent, R_j = 0 at
        x already, and x itself is the root. With b_j ≤ 0 the roots of w², z⁺ and z^B lie in the
        domain that the rule is derived for.

        Parameters
        ----------
        x : array (n, inputs)
            Inputs of the layer.
        layer : Dense
            The layer, weights (inputs, outputs).

        Returns
        -------
        array (n, inputs, outputs)
            float64: the root x̃^(j) of every output neuron j.

        Raises
        ------
        ValueError
            If an active neuron has no root in this direction: Σ_i v_i^(j) w_ij = 0.
        TypeError
            If the rule is not derived from a root point: `AlphaBeta`.
        """
        x = np.asarray(as_batch(x, (layer.inputs,)), np.float64)
        v = np.asarray(self.search_direction(x, layer), np.float64)
        weight = np.asarray(layer.weight, np.float64)
        a = x @ weight + (0.0 if layer.bias is None else layer.bias)
        slope = np.einsum("nij,ij->nj", v, weight)
        active = a > 0
        if np.any(active & (slope == 0)):
            n, j = (int(index[0]) for index in np.nonzero(active & (slope == 0)))
            raise ValueError(
                f"neuron {j} has no root for sample {n} in the direction of {self!r}: "
                "sum_i v_i w_ij = 0"
            )
        t = np.divide(a, slope, out=np.zeros_like(a), where=active)
        return x[:, :, None] - t[:, None, :] * v


@dataclass(frozen=True)
class WSquare(Rule):
    """w²-rule, for inputs in all of ℝ^d: q_ij = w_ij².

    Search direction v_i^(j) = w_ij: the nearest root of all (Montavon et al. 2017).

    Parameters
    ----------
    bias : bool
        Add b_j² to z_j.
    """

    _: KW_ONLY
    bias: bool = False

    def terms(self) -> tuple[Term, ...]:
        """None: q_ij does not depend on x."""
        return ()

    def search_direction(self, x: np.ndarray, layer: Layer) -> np.ndarray:
        """v_i^(j) = w_ij, shape (n, inputs, outputs)."""
        x = as_batch(x, (layer.inputs,))
        return np.broadcast_to(layer.weight, (len(x), *layer.weight.shape))


@dataclass(frozen=True)
class Flat(Rule):
    """Flat rule: q_ij = 1. R_j goes in equal parts to all inputs (Bach et al. 2015)."""

    def terms(self) -> tuple[Term, ...]:
        """None: q_ij does not depend on x."""
        return ()

    def search_direction(self, x: np.ndarray, layer: Layer) -> np.ndarray:
        """v_i^(j) = 1 / w_ij (0 where w_ij = 0), shape (n, inputs, outputs)."""
        x = as_batch(x, (layer.inputs,))
        w = layer.weight
        v = np.divide(1.0, w, out=np.zeros(w.shape), where=w != 0)
        return np.broadcast_to(v, (len(x), *w.shape))


@dataclass(frozen=True)
class ZPlus(Rule):
    """z⁺-rule, for inputs x ≥ 0: q_ij = x_i w⁺_ij (Montavon et al. 2017).

    On signed inputs q_ij = x⁺_i w⁺_ij + x⁻_i w⁻_ij, the positive contributions.

    Parameters
    ----------
    bias : bool
        Add b⁺_j to z_j.
    """

    _: KW_ONLY
    bias: bool = False

    def terms(self) -> tuple[Term, ...]:
        """p = x⁺, n = x⁻."""
        return (Term(1.0, 0.0, 0.0, 1.0),)


@dataclass(frozen=True, eq=False, repr=False)
class ZB(ArrayFields, Rule):
    """z^B-rule, for inputs in a box l ≤ x ≤ h: q_ij = x_i w_ij - l_i w⁺_ij - h_i w⁻_ij.

    (Montavon et al. 2017.) The same as (x_i - l_i) w⁺_ij + (x_i - h_i) w⁻_ij.

    Parameters
    ----------
    low, high : float or array
        l ≤ 0 ≤ h; arrays broadcast to one input of the layer.
    bias : bool
        Add b_j to z_j.
    origin : float or array, optional
        For boxes without 0: l ≤ origin ≤ h, see `Box`.

    Raises
    ------
    ValueError
        Unless l ≤ 0 ≤ h (l ≤ origin ≤ h) everywhere and all numbers are finite.
    """

    low: Any
    high: Any
    _: KW_ONLY
    bias: bool = False
    origin: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", as_bound(self.low, "low"))
        object.__setattr__(self, "high", as_bound(self.high, "high"))
        if self.origin is not None:
            object.__setattr__(self, "origin", as_bound(self.origin, "origin"))
        check_box(self.low, self.high, self.origin)

    def terms(self) -> tuple[Term, ...]:
        """p = x - l, n = x - h."""
        return (Term(1.0, 1.0, 1.0, 1.0, self.low, self.high),)


@dataclass(frozen=True)
class Z(Rule):
    """z-rule, LRP-0: q_ij = x_i w_ij (Bach et al. 2015).

    On a ReLU network, applied everywhere with the bias, it equals gradient × input.

    Parameters
    ----------
    bias : bool
        Add b_j to z_j, as published.
    """

    _: KW_ONLY
    bias: bool = True

    def terms(self) -> tuple[Term, ...]:
        """p = n = x."""
        return (Term(1.0, 1.0, 1.0, 1.0),)


@dataclass(frozen=True)
class Epsilon(Z):
    """ε-rule: q_ij = x_i w_ij, z_j + ε·sign(z_j) for z_j, sign(0) = 1 (Bach et al. 2015).

    The stabiliser absorbs R_j ε / (|z_j| + ε), which the audit shows.

    Parameters
    ----------
    epsilon : float
        ε > 0, in the units of z_j.
    bias : bool
        Add b_j to z_j, as published.

    Raises
    ------
    TypeError, ValueError
        If `epsilon` is not a finite number above 0.
    """

    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        object.__setattr__(self, "epsilon", check_number(self.epsilon, "epsilon", 0, strict=True))


@dataclass(frozen=True)
class Gamma(Rule):
    """γ-rule, for x ≥ 0: q_ij = x_i (w_ij + γ w⁺_ij) (Montavon et al. 2019).

    Parameters
    ----------
    gamma : float
        γ ≥ 0: 0 is the z-rule, large γ the z⁺-rule.
    bias : bool
        Add b_j + γ b⁺_j to z_j, as published.

    Raises
    ------
    TypeError, ValueError
        If `gamma` is not a finite number of at least 0.
    """

    gamma: float = 0.25
    _: KW_ONLY
    bias: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", check_number(self.gamma, "gamma", 0))

    def terms(self) -> tuple[Term, ...]:
        """p = (1 + γ) x, n = x."""
        g = 1.0 + self.gamma
        return (Term(g, g, 1.0, 1.0),)


@dataclass(frozen=True)
class GeneralizedGamma(Rule):
    """Generalised γ-rule, for signed inputs and outputs (Andéol et al. 2021).

    Contributions of the sign of a_j count 1 + γ times:

        a_j > 0:  q_ij = ((1+γ) x⁺_i + x⁻_i) w⁺_ij + (x⁺_i + (1+γ) x⁻_i) w⁻_ij
        a_j < 0:  q_ij = (x⁺_i + (1+γ) x⁻_i) w⁺_ij + ((1+γ) x⁺_i + x⁻_i) w⁻_ij

    Where a_j = 0 exactly nothing is passed on and R_j is booked as lost.

    Parameters
    ----------
    gamma : float
        γ ≥ 0.
    bias : bool
        Count the bias as one more input of value 1, as published.

    Raises
    ------
    TypeError, ValueError
        If `gamma` is not a finite number of at least 0.
    """

    gamma: float = 0.25
    _: KW_ONLY
    bias: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", check_number(self.gamma, "gamma", 0))

    def terms(self) -> tuple[Term, ...]:
        """The term for a_j > 0, then the term for a_j < 0."""
        g = 1.0 + self.gamma
        return Term(g, 1.0, 1.0, g), Term(1.0, g, g, 1.0)

    def shares(self, relevance: np.ndarray, a: np.ndarray, z: list[np.ndarray]) -> list[np.ndarray]:
        """R_j where a_j > 0 to the first term, R_j where a_j < 0 to the second."""
        return [_scaled(relevance, (a > 0)[:, None]), _scaled(relevance, (a < 0)[:, None])]

    def _choose_direction(
        self, x: np.ndarray, layer: Layer, directions: list[np.ndarray]
    ) -> np.ndarray:
        return directions[0]  # only active neurons, a_j > 0, have a root to search


@dataclass(frozen=True)
class AlphaBeta(Rule):
    """αβ-rule: R_i = Σ_j (α q⁺_ij / z⁺_j - β q⁻_ij / z⁻_j) R_j (Bach et al. 2015).

    q⁺ are the positive contributions x⁺ w⁺ + x⁻ w⁻, q⁻ the negative ones x⁻ w⁺ + x⁺ w⁻, each with
    a z of its own.

    Parameters
    ----------
    alpha, beta : float
        α - β = 1, β ≥ 0.
    bias : bool
        Add b⁺_j to z⁺_j and b⁻_j to z⁻_j, as published.
    conserve : bool
        A neuron without negative part passes on α R_j as published: more than it received. With
        True such a neuron passes on R_j, and so does one without positive part.

    Raises
    ------
    TypeError, ValueError
        If α - β ≠ 1 or β < 0.
    """

    alpha: float = 2.0
    beta: float = 1.0
    _: KW_ONLY
    bias: bool = True
    conserve: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", check_number(self.alpha, "alpha", 1))
        object.__setattr__(self, "beta", check_number(self.beta, "beta", 0))
        if abs(self.alpha - self.beta - 1.0) > 1e-12 * self.alpha:
            raise ValueError(
                f"alpha - beta must be 1 for relevance to be conserved, "
                f"got alpha={self.alpha:g}, beta={self.beta:g}"
            )

    def terms(self) -> tuple[Term, ...]:
        """The positive contributions, then (if β > 0) the negative ones."""
        positive, negative = Term(1.0, 0.0, 0.0, 1.0), Term(0.0, 1.0, 1.0, 0.0)
        return (positive, negative) if self.beta or self.conserve else (positive,)

    def shares(self, relevance: np.ndarray, a: np.ndarray, z: list[np.ndarray]) -> list[np.ndarray]:
        """α R_j to the positive contributions, -β R_j to the negative ones."""
        dtype = relevance.dtype.type
        if len(z) == 1:
            return [relevance]  # β = 0, α = 1
        if not self.conserve:
            return [_scaled(relevance, dtype(c)) for c in (self.alpha, -self.beta)]
        alpha, beta = np.full(a.shape, self.alpha, dtype), np.full(a.shape, self.beta, dtype)
        no_positive, no_negative = z[0] == 0, z[1] == 0
        alpha[no_negative], beta[no_negative] = 1, 0
        alpha[no_positive & ~no_negative], beta[no_positive & ~no_negative] = 0, -1
        return [_scaled(relevance, alpha[:, None]), _scaled(relevance, -beta[:, None])]

    def _choose_direction(
        self, x: np.ndarray, layer: Layer, directions: list[np.ndarray]
    ) -> np.ndarray:
        raise TypeError(f"{self!r} is not derived from a root point")


@dataclass(frozen=True, eq=False, repr=False)
class SearchDirection(ArrayFields, Rule):
    """Any search direction: q_ij = v_i^(j) w_ij (Montavon et al. 2017, equation 4).

    Parameters
    ----------
    v : array (inputs,) or (inputs, outputs)
        The direction v^(j) in which the root of neuron j is searched; (inputs,): one for all.

    Raises
    ------
    ValueError
        If a value is not finite or the shape is another; when it meets a layer: if
        Σ_i v_i^(j) w_ij = 0 for a neuron j, which then has no root in this direction.
    """

    v: Any

    def __post_init__(self) -> None:
        v = as_bound(self.v, "v")
        if np.ndim(v) not in (1, 2):
            raise ValueError(f"v must have shape (inputs,) or (inputs, outputs), got {np.shape(v)}")
        object.__setattr__(self, "v", v)

    def terms(self) -> tuple[Term, ...]:
        """None: q_ij does not depend on x."""
        return ()

    def directed_weight(self, weight: np.ndarray) -> np.ndarray:
        """v_i^(j) w_ij in float64 for weights (inputs, outputs), checked, to a power of two.

        (The rule does not depend on the scale of q; it keeps large and small numbers in range.)

        Raises
        ------
        ValueError
            If `v` does not fit the weights, or Σ_i v_i^(j) w_ij = 0 for a neuron j.
        """
        v = self.v[:, None] if self.v.ndim == 1 else self.v
        if v.shape[0] != weight.shape[0] or v.shape[1] not in (1, weight.shape[1]):
            raise ValueError(
                f"v has shape {self.v.shape}, the layer's weights have {weight.shape}: "
                "v must be (inputs,) or (inputs, outputs)"
            )
        q = moderate(v) * moderate(np.asarray(weight, np.float64))
        empty = np.flatnonzero(q.sum(axis=0) == 0)
        if empty.size:
            raise ValueError(
                f"v is orthogonal to the weights of neuron {empty[0]} "
                "(sum_i v_i w_ij = 0): there is no root in this direction"
            )
        return q

    def search_direction(self, x: np.ndarray, layer: Layer) -> np.ndarray:
        """`v`, for every sample: (n, inputs, outputs)."""
        x = as_batch(x, (layer.inputs,))
        self.directed_weight(layer.weight)
        v = self.v[:, None] if self.v.ndim == 1 else self.v
        return np.broadcast_to(v, (len(x), *layer.weight.shape))


#: Rules whose q_ij, and so z_j, does not depend on x.
FIXED = (WSquare, Flat, SearchDirection)


def _scaled(relevance: np.ndarray, factor: np.ndarray | np.generic) -> np.ndarray:
    """A part of R_j, in memory of the run."""
    return np.multiply(relevance, factor, out=empty(relevance.shape, relevance.dtype))
