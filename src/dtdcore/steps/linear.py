# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of linear layers with weights, a_j = Σ_i x_i w_ij + b_j, under every rule.

What a layer adds is an `Operator`: the core's calls for its sums, in the layout that they want.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.adding import clamp
from dtdcore.arena import empty, using
from dtdcore.arrays import SAFE_EXPONENT
from dtdcore.blocked import Blocked
from dtdcore.own_rules import shares_of, terms_of
from dtdcore.rules import FIXED, Rule, WSquare
from dtdcore.steps.base import Step, book_unshared
from dtdcore.terms import Term, largest_parts

#: Where s_j must be smaller than this, weights are so large that a quotient may be lost to them.
TIGHT = 2.0**20


@dataclass(frozen=True)
class ReadyTerm:
    """A rule's term in the layout of the core."""

    coefficients: tuple[float, float, float, float]
    low: np.ndarray | None
    high: np.ndarray | None
    #: What the bias adds to z_j, as the quotient takes it; None where the rule leaves it out.
    bias: np.ndarray | None


@dataclass(frozen=True)
class Ahead:
    """The quotient that the layer below will make of the relevance: see `Operator.quotient`."""

    z: np.ndarray
    bias: np.ndarray | None
    epsilon: float
    limit: float
    account: np.ndarray


class Quotients(Blocked):
    """A signal s_j = R_j / z_j in place of R_j: the layer above made the quotient and booked it."""

    __slots__ = ()


class Operator:
    """The sums of one linear layer in one dtype. Arrays are in the core's own layout.

    Inputs have shapes (n, ...), signals (n, k, ...); `geometry` is whatever of an input's shape
    the sums depend on.
    """

    #: Whether values and signals are plain arrays.
    plain: bool
    core: Any
    weight: np.ndarray
    bias: np.ndarray | None
    #: Whether `spread` can make the quotients of the layer below, and give them as `Quotients`.
    looks_ahead = False
    #: How many outputs an input reaches at most.
    fan_out: int

    def take(self, x: Any) -> Any:
        """A value as `forward` and `spread` take it."""
        raise NotImplementedError  # every operator answers this

    def geometry(self, x: Any) -> Hashable:
        """What the sums depend on, of inputs that `take` gave."""
        raise NotImplementedError  # every operator answers this

    def forward(self, x: Any, ceiling: float | None) -> np.ndarray:
        """a, or min(max(0, a), ceiling)."""
        raise NotImplementedError  # every operator answers this

    def forward_z(
        self, x: Any, term: ReadyTerm, ceiling: float | None, want_a: bool
    ) -> tuple[Any, Any]:
        """a (or None) and z_j = Σ_i p_i w⁺_ij + n_i w⁻_ij."""
        raise NotImplementedError  # every operator answers this

    def value(self, a: np.ndarray, clamped: bool) -> Any:
        """An array that `forward` gave, as a value for other steps."""
        raise NotImplementedError  # every operator answers this

    def signal(self, signal: Any) -> np.ndarray:
        """An arriving signal of the outputs, (n, k, ...)."""
        raise NotImplementedError  # every operator answers this

    def inputs(self, n: int, k: int, geometry: Hashable) -> np.ndarray:
        """Room for a signal of the inputs."""
        raise NotImplementedError  # every operator answers this

    def leave(self, signal: np.ndarray) -> Any:
        """A signal of the inputs as other steps take it."""
        raise NotImplementedError  # every operator answers this

    def ready(self, term: Term, bias: bool, geometry: Hashable) -> ReadyTerm:
        """A rule's term for inputs of one geometry.

        Raises
        ------
        ValueError
            If the term's bounds do not fit the inputs.
        """
        raise NotImplementedError  # every operator answers this

    def spread(
        self,
        x: Any,
        term: ReadyTerm,
        s: np.ndarray,
        accumulate: bool,
        result: np.ndarray,
        ahead: Ahead | None = None,
    ) -> None:
        """r_i = p_i Σ_j w⁺_ij s_j + n_i Σ_j w⁻_ij s_j, added to `result` with `accumulate`.

        With `ahead`, where the operator `looks_ahead`: at once the quotients of the layer below.
        """
        raise NotImplementedError  # every operator answers this

    def gradient(self, signal: np.ndarray, geometry: Hashable) -> np.ndarray:
        """Σ_j w_ij g_j."""
        raise NotImplementedError  # every operator answers this

    def fixed(self, rule: Rule, geometry: Hashable) -> Fixed:
        """The sums of a rule whose q_ij does not depend on x.

        Raises
        ------
        TypeError
            If the layer cannot take the rule.
        """
        raise NotImplementedError  # every operator answers this

    def quotient(
        self,
        relevance: np.ndarray,
        z: np.ndarray,
        bias: np.ndarray | None,
        epsilon: float,
        limit: float,
        s: np.ndarray,
        account: np.ndarray,
    ) -> None:
        """s_j = R_j / z_j (0 where z_j = 0), stabilised, booked. `s` may be `relevance`."""
        n, k = relevance.shape[:2]
        flat = (n, k, math.prod(relevance.shape[2:]))
        rows = z.reshape(n, flat[2]) if z.ndim == relevance.ndim - 1 else z.reshape(-1)
        self.core.quotient(
            relevance.reshape(flat), rows, bias, epsilon, limit, s.reshape(flat), account
        )

    def check_quotient(
        self, relevance: np.ndarray, z: np.ndarray, bias: np.ndarray | None, limit: float
    ) -> None:
        """Raise a FloatingPointError where a quotient would be lost to large numbers."""
        n, k = relevance.shape[:2]
        d = z.reshape(n, 1, -1).astype(np.float64)
        if bias is not None:
            d = d + bias
        with np.errstate(over="ignore"):
            lost = np.abs(relevance.reshape(n, k, -1)) > np.abs(d) * limit
        if not np.all(np.isfinite(d)) or np.any(lost & (d != 0)):
            dtype = self.weight.dtype
            remedy = "give x in float64" if dtype == np.float32 else "scale weights or inputs"
            raise FloatingPointError(
                f"the weights (up to {self.largest():.3g}) or the rule's bounds are so large that "
                f"relevance overflows {dtype}: {remedy}"
            )

    def limit(self, largest: float) -> float:
        """A bound of s_j above which Σ_j q_ij s_j could overflow: z_j counts as 0 there."""
        most = float(np.finfo(self.weight.dtype).max)
        return most if largest == 0 else min(most, most / 4 / max(1, self.fan_out) / largest)

    def scaled(self, exponent: int) -> Operator:
        """The same sums with 2^exponent times the weights and the bias."""
        raise NotImplementedError  # every operator answers this

    def largest(self) -> float:
        """max |w_ij|."""
        return float(np.abs(self.weight).max(initial=0.0))


@dataclass(frozen=True)
class Fixed:
    """A rule with q_ij that does not depend on x: z_j, and R_i = Σ_j q_ij s_j."""

    z: np.ndarray
    bias: np.ndarray | None
    #: max |q_ij|.
    largest: float
    #: Called with s (n, k, ...); gives r (n, k, ...).
    spread: Any


class LinearStep(Step):
    """a_j = Σ_i x_i w_ij + b_j, with a ceiling min(max(0, a_j), ceiling), and its gradient."""

    def __init__(self, operator: Operator, ceiling: float | None = None) -> None:
        self.operator, self.ceiling = operator, ceiling
        self.clamped = ceiling is not None
        self.plain = operator.plain

    def forward(self, x: Any) -> Any:
        operator = self.operator
        return operator.value(operator.forward(operator.take(x), self.ceiling), self.clamped)

    def trace(self, x: Any) -> tuple[Any, Any]:
        operator = self.operator
        x = operator.take(x)
        a = operator.forward(x, self.ceiling)
        saved = operator.geometry(x), a if self.clamped else None
        return operator.value(a, self.clamped), saved

    def gradient(self, saved: Any, gradient: Any) -> Any:
        geometry, a = saved
        signal = self.operator.signal(gradient)
        if a is not None:
            signal = signal * ((a > 0) & (a < self.ceiling))[:, None]
        return self.operator.leave(self.operator.gradient(signal, geometry))


class TermsStep(LinearStep):
    """Rules with q_ij = p_i w⁺_ij + n_i w⁻_ij, one term or two."""

    redistributes = True

    def __init__(self, operator: Operator, rule: Rule, ceiling: float | None = None) -> None:
        super().__init__(operator, ceiling)
        self.rule = rule
        limits = np.finfo(operator.weight.dtype)
        if rule.epsilon and not limits.smallest_subnormal <= rule.epsilon <= limits.max:
            raise ValueError(
                f"epsilon={rule.epsilon:g} is no number above 0 in {operator.weight.dtype}"
            )
        self.rule_terms = terms_of(rule)
        largest = operator.largest()
        self.counts = len(self.rule_terms) == 1
        self.limit = operator.limit(largest)
        #: Weights or bounds so large that quotients are checked before they are made.
        self.tight = self.limit < TIGHT or _reach(self.rule_terms) > limits.max / max(
            1.0, largest * operator.weight.size
        )
        self._ready: dict[Hashable, list[ReadyTerm]] = {}
        if operator.plain:
            self.terms(None)

    def terms(self, geometry: Hashable) -> list[ReadyTerm]:
        """The rule's terms for inputs of one geometry; made once, kept."""
        terms = self._ready.get(geometry)
        if terms is None:
            rule = self.rule
            with using(None):  # kept beyond the run
                terms = [self.operator.ready(term, rule.bias, geometry) for term in self.rule_terms]
            if len(self._ready) >= 16:
                self._ready.clear()
            self._ready[geometry] = terms
        return terms

    def trace(self, x: Any) -> tuple[Any, Any]:
        operator = self.operator
        x = operator.take(x)
        geometry = operator.geometry(x)
        terms = self.terms(geometry)
        if len(terms) == 1:
            a, z = operator.forward_z(x, terms[0], self.ceiling, True)
            return operator.value(a, self.clamped), (x, None, [z])
        a, first = operator.forward_z(x, terms[0], None, True)
        z = [first, *(operator.forward_z(x, term, None, False)[1] for term in terms[1:])]
        # the shares of two terms may depend on a, before it is clamped
        y = clamp(a, self.ceiling, empty(a.shape, a.dtype)) if self.clamped else a
        return operator.value(y, self.clamped), (x, a, z)

    def factor(self, saved: Any) -> np.ndarray:
        """max |p_i|, |n_i| of each sample, or a little more."""
        x, _, _ = saved
        return largest_parts(self.rule.terms(), x.array if type(x) is Blocked else x)

    @property
    def looks_ahead(self) -> bool:
        """Can two such steps, one above the other, share a quotient?"""
        return self.operator.looks_ahead and self.counts and not self.tight

    def ahead(self, saved: Any, account: np.ndarray) -> Ahead:
        """What the step above needs, to make this step's quotient at once."""
        x, _, (z,) = saved
        (term,) = self.terms(self.operator.geometry(x))
        return Ahead(z, term.bias, self.rule.epsilon, self.limit, account)

    def redistribute(
        self, saved: Any, relevance: Any, account: np.ndarray, ahead: Ahead | None = None
    ) -> Any:
        x, a, z = saved
        operator, rule = self.operator, self.rule
        geometry = operator.geometry(x)
        terms = self.terms(geometry)
        if type(relevance) is Quotients or ahead is not None:
            s = relevance.array if type(relevance) is Quotients else None
            return self._chained(x, terms[0], z[0], relevance, s, account, ahead)
        relevance = operator.signal(relevance)
        n, k = relevance.shape[:2]
        shares = [relevance]
        if len(terms) > 1:
            whole = [
                zt if term.bias is None else _plus(zt, term.bias)
                for zt, term in zip(z, terms, strict=True)
            ]
            shares = shares_of(rule, relevance, a, whole)
            del whole
            book_unshared(relevance, shares, account)
        else:
            shares = [relevance]
        result = operator.inputs(n, k, geometry)
        s = empty(relevance.shape, relevance.dtype)
        for number, term in enumerate(terms):
            if self.tight:
                operator.check_quotient(shares[number], z[number], term.bias, self.limit)
            operator.quotient(
                shares[number], z[number], term.bias, rule.epsilon, self.limit, s, account
            )
            operator.spread(x, term, s, number > 0, result)
        return operator.leave(result)

    def _chained(
        self,
        x: Any,
        term: ReadyTerm,
        z: np.ndarray,
        relevance: Any,
        s: np.ndarray | None,
        account: np.ndarray,
        ahead: Ahead | None,
    ) -> Any:
        """Where the step above made the quotient, or this one makes that of the step below."""
        operator = self.operator
        if s is None:
            relevance = operator.signal(relevance)
            s = empty(relevance.shape, relevance.dtype)
            operator.quotient(relevance, z, term.bias, self.rule.epsilon, self.limit, s, account)
        n, k = s.shape[:2]
        result = operator.inputs(n, k, operator.geometry(x))
        operator.spread(x, term, s, False, result, ahead)
        if ahead is None:
            return operator.leave(result)
        return Quotients(result, x.channels, lead=2)

    def gradient(self, saved: Any, gradient: Any) -> Any:
        raise AssertionError("gradients run on plans without rules")


class FixedStep(LinearStep):
    """Rules whose q_ij, and so z_j, does not depend on x: w², flat and a given direction."""

    redistributes = True
    counts = True

    def __init__(self, operator: Operator, rule: Rule, ceiling: float | None = None) -> None:
        super().__init__(operator, ceiling)
        self.rule = rule
        #: What the rule's sums are made of. q_ij / z_j does not depend on the scale of the weights,
        #: so those that are too large or small to be squared are scaled.
        self.source = operator
        if isinstance(rule, WSquare):
            largest = operator.largest()
            if rule.bias and operator.bias is not None:
                largest = max(largest, float(np.abs(operator.bias).max(initial=0.0)))
            exponent = math.frexp(largest)[1]
            if abs(exponent) > SAFE_EXPONENT:
                with np.errstate(over="ignore"):  # of a bias that the rule leaves out
                    self.source = operator.scaled(-exponent)
        self._fixed: dict[Hashable, Fixed] = {}
        if operator.plain:
            self.fixed(None)

    def fixed(self, geometry: Hashable) -> Fixed:
        """The rule's sums for inputs of one geometry; made once, kept."""
        fixed = self._fixed.get(geometry)
        if fixed is None:
            with using(None):  # kept beyond the run
                fixed = self.source.fixed(self.rule, geometry)
            if len(self._fixed) >= 16:
                self._fixed.clear()
            self._fixed[geometry] = fixed
        return fixed

    def redistribute(self, saved: Any, relevance: Any, account: np.ndarray) -> Any:
        geometry, _ = saved
        operator = self.operator
        fixed = self.fixed(geometry)
        relevance = operator.signal(relevance)
        s = empty(relevance.shape, relevance.dtype)
        limit = operator.limit(fixed.largest)
        operator.quotient(relevance, fixed.z, fixed.bias, 0.0, limit, s, account)
        return operator.leave(fixed.spread(s))


def _reach(terms: tuple[Term, ...]) -> float:
    """The widest high - low of some terms."""
    bounds = [(term.low, term.high) for term in terms if term.low is not None]
    return max((float(np.max(np.subtract(high, low))) for low, high in bounds), default=0.0)


def _plus(z: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """z_j with the bias's share, which is the same for every sample."""
    return np.add(z, bias.reshape(z.shape[1:]), out=empty(z.shape, z.dtype))


def linear_step(operator: Operator, rule: Any, ceiling: float | None) -> LinearStep:
    """The step of a linear layer for a rule, or without one.

    Raises
    ------
    TypeError
        If the layer cannot take the rule.
    """
    if rule is None:
        return LinearStep(operator, ceiling)
    if not isinstance(rule, Rule):
        raise TypeError(f"rule must be a dtdcore rule such as ZPlus(), got {rule!r}")
    step = FixedStep if isinstance(rule, FIXED) else TermsStep
    return step(operator, rule, ceiling)
