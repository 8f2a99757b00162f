# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of scales and shifts by channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.own_rules import terms_of
from dtdcore.rules import Rule, WSquare
from dtdcore.steps.base import Step
from dtdcore.steps.elementwise import Shares, check_rule, parts_of, redistribute
from dtdcore.terms import Term


class AffineStep(Step):
    """y = w_c x + b_c in channel c: a linear layer with one input for each output.

        q = p w⁺ + n w⁻        R_i = q / (q + q_bias) R_j

    Without terms: q = w² or 1. Without a rule relevance passes through unchanged.
    """

    def __init__(self, scale: np.ndarray, shift: np.ndarray, rule: Rule | None) -> None:
        self.scale, self.shift, self.rule = scale, shift, rule
        self.redistributes = self.remembers = rule is not None
        self.terms = () if rule is None else terms_of(rule)
        if rule is not None:
            check_rule(rule, scale.dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * _like(self.scale, x) + _like(self.shift, x)

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        x, rule = saved, self.rule
        if rule is None:
            return relevance
        a = self.forward(x) if len(self.terms) > 1 else None
        terms = [self._shares(term, x) for term in self.terms] or [self._fixed(x)]
        return redistribute(rule, a, terms, relevance, account)[0]

    def _shares(self, term: Term, x: np.ndarray) -> Shares:
        p, n = parts_of(term, x)
        scale = _like(self.scale, x)
        bias = term.of_bias(self.shift).astype(x.dtype) if self.rule.bias else None
        return [np.where(scale > 0, p, n) * scale], self._spread(bias, x)

    def _fixed(self, x: np.ndarray) -> Shares:
        if isinstance(self.rule, WSquare):
            scale = _like(self.scale, x)
            q = np.broadcast_to(scale * scale, x.shape)
            bias = self.shift * self.shift if self.rule.bias else None
            return [q], self._spread(bias, x)
        return [np.ones_like(x)], None

    def _spread(self, bias: np.ndarray | None, x: np.ndarray) -> np.ndarray | None:
        return None if bias is None else np.broadcast_to(_like(bias, x)[0], x.shape[1:])

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return gradient * _like(self.scale, saved)[:, None]


def _like(numbers: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Numbers by channel, to broadcast against values (n, channels, *spatial)."""
    return numbers.reshape(1, -1, *[1] * (x.ndim - 2))
