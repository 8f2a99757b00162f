# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A plan: the steps of a whole network in order, and one pass through them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from dtdcore.arrays import all_finite, kernels
from dtdcore.audit import Audit
from dtdcore.rules import Rule

if TYPE_CHECKING:
    from dtdcore.network import Network
    from dtdcore.steps.base import Step


class Plan:
    """The steps of a network for one rule per node and one dtype; shared by threads.

    Value 0 is the network's input, value m + 1 the output of node m, so that a graph of nodes in
    topological order needs nothing but the numbers of each node's sources.
    """

    def __init__(
        self, network: Network, rules: Sequence[Rule | str | None], dtype: np.dtype
    ) -> None:
        self.dtype = dtype
        self.core = kernels(dtype)
        nodes = network.nodes
        self.steps: list[Step] = [
            node.layer.step(rule, dtype) for node, rule in zip(nodes, rules, strict=True)
        ]
        self.sources = [node.source for node in nodes]
        self.last_uses = {source: number for number, source in enumerate(self.sources)}
        self.all_names = [node.name for node in nodes]
        self.audited = [number for number, step in enumerate(self.steps) if step.redistributes]
        self.audited.reverse()  # relevance flows from the output to the input
        self.names = [nodes[number].name for number in self.audited]
        self.rules = [rules[number] for number in self.audited]
        self.places = {number: place for place, number in enumerate(self.audited)}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The network's output, keeping nothing."""
        values: list[np.ndarray | None] = [x]
        for number, (step, source) in enumerate(zip(self.steps, self.sources, strict=True)):
            values.append(step.forward(values[source]))
            if self.last_uses[source] == number:
                values[source] = None
        if not all_finite(values[-1]):
            self.trace(x)  # which finds the layer
        return values[-1]

    def trace(self, x: np.ndarray) -> Trace:
        """A forward pass that keeps what redistribution and gradient need.

        Raises
        ------
        FloatingPointError
            If the output overflows, naming the layer. (What overflows on the way, but is bounded
            again by a later layer, loses its relevance, which the audit shows.)
        """
        values = [x]
        saved = []
        for step, source in zip(self.steps, self.sources, strict=True):
            value, kept = step.trace(values[source])
            values.append(value)
            saved.append(kept)
        if not all_finite(values[-1]):
            self._complain(values)
        return Trace(self, values[-1], saved)

    def _complain(self, values: list[np.ndarray]) -> NoReturn:
        for name, value in zip(self.all_names, values[1:], strict=True):
            if not all_finite(value):
                raise FloatingPointError(
                    f"the forward pass overflows {self.dtype} in layer {name}"
                    + ("; try float64" if self.dtype == np.float32 else "")
                )
        raise AssertionError("no value overflows")


@dataclass(slots=True)
class Trace:
    """One forward pass through a plan: its output, and what each step saved."""

    plan: Plan
    output: np.ndarray
    saved: list[Any]

    def redistribute(self, relevance: np.ndarray) -> tuple[np.ndarray, Audit]:
        """Relevance of the inputs (n, k, *shape) from that of the outputs, and its audit.

        Raises
        ------
        FloatingPointError
            If relevance overflows, naming the node.
        """
        plan = self.plan
        n, k = relevance.shape[:2]
        places = len(plan.audited)
        book = np.zeros((5, places, n, k))
        accounts, passed = book[:4].reshape(places, n, k, 4), book[4]
        arriving: list[np.ndarray | None] = [*[None] * len(plan.steps), relevance]
        for number in range(len(plan.steps) - 1, -1, -1):
            signal, arriving[number + 1] = arriving[number + 1], None
            if signal is None:
                continue
            place = plan.places.get(number)
            account = None if place is None else accounts[place]
            signal = plan.steps[number].redistribute(self.saved[number], signal, account)
            if place is not None:
                columns = math.prod(signal.shape[2:])
                plan.core.row_sums(signal.reshape(n * k, columns), passed[place].reshape(n * k))
            _arrive(arriving, plan.sources[number], signal)
        audit = Audit(plan.names, plan.rules, accounts, passed)
        if not all_finite(book):
            audit.complain()
        return _arrived(arriving), audit

    def gradient(self, gradient: np.ndarray) -> np.ndarray:
        """Gradient with respect to the input (n, k, *shape) from that of the outputs.

        Raises
        ------
        FloatingPointError
            If it overflows.
        """
        plan = self.plan
        arriving: list[np.ndarray | None] = [*[None] * len(plan.steps), gradient]
        for number in range(len(plan.steps) - 1, -1, -1):
            signal, arriving[number + 1] = arriving[number + 1], None
            if signal is None:
                continue
            signal = plan.steps[number].gradient(self.saved[number], signal)
            _arrive(arriving, plan.sources[number], signal)
        result = _arrived(arriving)
        if not all_finite(result):
            raise FloatingPointError(f"the gradient overflows {plan.dtype}; try float64")
        return result


def _arrived(arriving: list[np.ndarray | None]) -> np.ndarray:
    """What arrived at the network's input; every network reads it."""
    assert arriving[0] is not None
    return arriving[0]


def _arrive(arriving: list[np.ndarray | None], source: int, signal: np.ndarray) -> None:
    """Add what flows back to a value; where a value was used twice, both parts meet."""
    already = arriving[source]
    arriving[source] = signal if already is None else already + signal
