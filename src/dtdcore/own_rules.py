# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What rules say, checked: a user's own may say anything."""

from __future__ import annotations

import numpy as np

from dtdcore.arrays import as_bound, as_float, check_number
from dtdcore.rules import FIXED, Rule
from dtdcore.terms import Term


def terms_of(rule: Rule) -> tuple[Term, ...]:
    """`rule.terms()`, checked.

    Raises
    ------
    TypeError
        If a user's own rule gives something else than a tuple of `Term`.
    ValueError
        If one of their numbers is not finite.
    """
    terms = rule.terms()
    name = f"{type(rule).__name__}.terms()"
    if not isinstance(terms, (tuple, list)) or not (terms or isinstance(rule, FIXED)):
        raise TypeError(f"{name} must give a tuple of dtdcore.Term, got {terms!r}")
    for term in terms:
        if not isinstance(term, Term):
            raise TypeError(f"{name} must give a tuple of dtdcore.Term, got {term!r} in it")
        for number in term.coefficients:
            check_number(number, f"a number of {name}", -np.inf)
        if (term.low is None) != (term.high is None):
            raise ValueError(f"{name}: a Term has low and high, or none of them, got {term!r}")
        for bound in (term.low, term.high):
            if bound is not None:
                as_bound(bound, f"a bound of {name}")
    return tuple(terms)


def shares_of(
    rule: Rule, relevance: np.ndarray, a: np.ndarray | None, z: list[np.ndarray]
) -> list[np.ndarray]:
    """`rule.shares(relevance, a, z)` for several terms, checked.

    Raises
    ------
    ValueError, TypeError
        If a user's own rule gives something else than an array like `relevance` for each term.
    """
    shares = rule.shares(relevance, a, z)
    name = f"{type(rule).__name__}.shares"
    if not isinstance(shares, (tuple, list)) or len(shares) != len(z):
        raise TypeError(f"{name} must give a list of {len(z)} arrays, one for each term")
    arrays = []
    for share in shares:
        array = as_float(share, f"what {name} gave")
        if array.shape != relevance.shape:
            raise ValueError(
                f"{name} must give arrays of shape {relevance.shape}, got {array.shape}"
            )
        arrays.append(array.astype(relevance.dtype, copy=False))
    return arrays
