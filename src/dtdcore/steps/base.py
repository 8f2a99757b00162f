# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps: one layer, made ready for one rule and one dtype. The only path to the core.

A step knows no network. `plan.Plan` runs the steps of a whole network, `layer.redistribute` runs
one alone. Relevance has an axis for targets, (n, k, *shape): k targets share one forward pass.

A value between steps is a plain C-contiguous array or a `Blocked` image. Steps with `plain` take
and give plain arrays only; who runs them converts. A step that `joins` takes several values, and
gives back a tuple with one signal for each. Several steps may be given the same array: no step
writes into what it is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.arena import empty
from dtdcore.arrays import TooLargeError
from dtdcore.blocked import Blocked

# Columns of an account, (n, k, 4) float64: what came in, and what was not passed on.
RECEIVED, BIAS, STABILISER, LOST = range(4)

#: What flows between steps.
Value = np.ndarray | Blocked


class Step:
    """One layer, ready to run. A step holds no state of a run, so threads may share it."""

    #: False where relevance passes through unchanged, so that there is nothing to account for.
    redistributes = False
    #: True where RECEIVED of the account is exactly Σ_j R_j of what arrives.
    counts = False
    #: True where, of two such steps one above the other, the upper makes the quotient of the lower.
    looks_ahead = False
    #: False where `redistribute` needs nothing of the forward pass: then a plan saves nothing.
    remembers = True
    #: True where only plain arrays come in and go out; False: plain or blocked, either way.
    plain = True
    #: True where several values come in: (*xs), and a tuple of signals goes back.
    joins = False

    def check_back(self) -> None:
        """Raise a TypeError if the step cannot redistribute; a user's own layer may not."""

    def forward(self, x: Any) -> Any:
        """The outputs of the layer for inputs x (n, *shape)."""
        raise NotImplementedError  # every step answers this

    def trace(self, x: Any) -> tuple[Any, Any]:
        """The outputs, and what `redistribute` and `gradient` need to know of this pass."""
        return self.forward(x), x

    def redistribute(self, saved: Any, relevance: Any, account: np.ndarray) -> Any:
        """Relevance of the inputs from that of the outputs (n, k, *shape); books in `account`."""
        return relevance

    def factor(self, saved: Any) -> Any:
        """By how much sums over s_j are multiplied to give R_i, at most: a number or (n, 1).

        0 where R_i is such a sum itself. `dtdcore.underflow` asks for it.
        """
        return 0.0

    def gradient(self, saved: Any, gradient: Any) -> Any:
        """Gradient with respect to the inputs from that of the outputs (n, k, *shape)."""
        raise NotImplementedError  # every step answers this


def overflowing() -> np.errstate:
    """A context in which steps run: NumPy says nothing of overflow, which is looked for later."""
    return np.errstate(all="ignore")


def in_layer(name: str, error: Exception) -> Exception:
    """An error that a step raised, with the name of the layer in front; its type, where known."""
    known = type(error) in (ValueError, TypeError, FloatingPointError, TooLargeError)
    return (type(error) if known else ValueError)(f"layer {name}: {error}")


def book_unshared(relevance: np.ndarray, shares: list[np.ndarray], account: np.ndarray) -> None:
    """Book as lost what of R_j (n, k, ...) a rule with several terms gives to none of them."""
    rest = np.subtract(relevance, shares[0], out=empty(relevance.shape, relevance.dtype))
    for share in shares[1:]:
        rest -= share
    missing = np.sum(rest, axis=tuple(range(2, rest.ndim)), dtype=np.float64)
    account[:, :, RECEIVED] += missing
    account[:, :, LOST] += missing
