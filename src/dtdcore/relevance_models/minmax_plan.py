# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""How `DeepTaylor` runs a network with the min-max relevance model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arena import Arena, independent, using
from dtdcore.arrays import all_finite, kernels
from dtdcore.audit import Audit
from dtdcore.network import Network
from dtdcore.relevance_models.minmax_layer import MinMaxLayer
from dtdcore.relevance_models.units import Unit
from dtdcore.rules import Rule
from dtdcore.steps.base import RECEIVED, overflowing

#: What the audit says of a pool whose relevance the model predicts.
RULE = "min-max"


class MinMaxPlan:
    """The steps of a network and of its relevance model, for one rule per node and one dtype.

    The top layer redistributes with its own weights; it is its own model. Every layer below gives
    R_j = y_j, whatever arrives, and R_i by the rule of its node with v for w. Shared by threads.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        layers: Sequence[MinMaxLayer],
        network: Network,
        rules: Sequence[Rule | str | None],
        dtype: np.dtype,
        output: int | None = None,
    ) -> None:
        if output is not None:
            raise ValueError("MinMax explains the network's output: it takes no node")
        #: Bytes of a sample's arrays that lived at once, by what the sizes depend on.
        self.memory: dict[Any, int] = {}
        self.network, self.units, self.rules = network, units, rules
        self.core = kernels(dtype)
        self.top = units[-1].dense
        self.models = [layer.to(dtype) for layer in layers]
        self.steps = [
            node.layer.step(rule if number >= self.top else None, dtype)
            for number, (node, rule) in enumerate(zip(network.nodes, rules, strict=True))
        ]
        self.lower = [
            model.lower.step(rules[unit.dense], dtype)
            for model, unit in zip(self.models, units, strict=False)
        ]

    def trace(self, x: np.ndarray, arena: Arena | None = None) -> MinMaxTrace:
        """A forward pass that keeps what redistribution needs.

        Raises
        ------
        FloatingPointError
            If the output overflows, naming the layer.
        """
        places = {unit.dense: place for place, unit in enumerate(self.units[:-1])}
        value, saved, detected = x, [], []
        arena = arena or Arena()
        with using(arena), overflowing():
            for number, step in enumerate(self.steps):
                if number in places:
                    detected.append(self.lower[places[number]].trace(value))
                value, kept = step.trace(value)
                # Below the top only layers that rearrange numbers are asked to redistribute.
                keep = number >= self.top or self.network.nodes[number].layer.rearranges
                saved.append(kept if keep else None)
        if not all_finite(value):
            self.network.forward(x)  # which names the layer
        return MinMaxTrace(self, independent(value), saved, detected, arena)


@dataclass(slots=True)
class MinMaxTrace:
    """One forward pass: the output, what each step saved, and Σ_i x_i v_ij of each model."""

    plan: MinMaxPlan
    output: np.ndarray
    saved: list[Any]
    detected: list[tuple[np.ndarray, Any]]
    arena: Arena

    def redistribute(
        self, relevance: np.ndarray, keep: Collection[int] = ()
    ) -> tuple[np.ndarray, Audit, dict[int, np.ndarray]]:
        """Relevance of the inputs (n, k, *shape) from that of the outputs, and its audit.

        At last the relevance of the values in `keep`. Where the model predicts, that of a pool and
        all above it is what arrived there, that of the neurons below it what is predicted, y_j.

        Raises
        ------
        FloatingPointError
            If relevance overflows, naming the layer.
        """
        with using(self.arena), overflowing():
            arrived: dict[int, np.ndarray] = {}
            signal, book = self._redistribute(relevance, arrived)
            kept = {value: np.array(arrived[value]) for value in keep}
        return independent(signal), book.audit(), kept

    def _redistribute(
        self, relevance: np.ndarray, arrived: dict[int, np.ndarray]
    ) -> tuple[np.ndarray, _Book]:
        plan, signal, R_l = self.plan, relevance, relevance
        book = _Book(plan, relevance.shape[:2])
        for number in range(len(plan.steps) - 1, plan.top - 1, -1):
            R_l = signal  # at the end: that of the top layer's detection neurons
            arrived[number + 1] = signal
            signal = self._pass(number, signal, book)
        end = plan.top
        for unit, model, step, (h, saved) in zip(
            plan.units[-2::-1], plan.models[::-1], plan.lower[::-1], self.detected[::-1],
            strict=True,
        ):  # fmt: skip
            for number in range(end - 1, unit.end - 1, -1):
                arrived[number + 1] = signal
                signal = self._pass(number, signal, book)
            R_k, R_l = signal, model.detect(h, R_l)
            arrived[unit.end] = R_k
            for value in range(unit.dense + 1, unit.end):
                arrived[value] = R_k if unit.pool is None else R_l
            account = np.zeros((*R_k.shape[:2], 4))
            signal = step.redistribute(saved, R_l, account)
            book.model(unit, R_k, R_l, account, signal)
            end = unit.dense
        for number in range(end - 1, -1, -1):
            arrived[number + 1] = signal
            signal = self._pass(number, signal, book)
        arrived[0] = signal
        return signal, book

    def _pass(self, number: int, signal: np.ndarray, book: _Book) -> np.ndarray:
        step = self.plan.steps[number]
        account = np.zeros((*signal.shape[:2], 4))
        result = step.redistribute(self.saved[number], signal, account)
        if step.redistributes:
            book.add(number, account, book.total(result))
        return result


class _Book:
    """The accounts of one redistribution, layer by layer from the output to the input."""

    def __init__(self, plan: MinMaxPlan, lead: tuple[int, ...]) -> None:
        self.plan, self.lead = plan, lead
        self.names: list[str] = []
        self.rules: list[Any] = []
        self.accounts: list[np.ndarray] = []
        self.passed: list[np.ndarray] = []
        self.missed: list[np.ndarray] = []

    def total(self, signal: np.ndarray) -> np.ndarray:
        """Sums over all but the axes of samples and targets, (n, k) float64."""
        sums = np.zeros(signal.shape[0] * signal.shape[1])
        self.plan.core.row_sums(signal.reshape(len(sums), int(np.prod(signal.shape[2:]))), sums)
        return sums.reshape(signal.shape[:2])

    def add(
        self,
        number: int,
        account: np.ndarray,
        passed: np.ndarray,
        missed: np.ndarray | None = None,
        rule: Any = None,
    ) -> None:
        """The account of a node."""
        self.names.append(self.plan.network.nodes[number].name)
        self.rules.append(self.plan.rules[number] if rule is None else rule)
        self.accounts.append(account)
        self.passed.append(passed)
        self.missed.append(np.zeros(self.lead) if missed is None else missed)

    def model(
        self, unit: Unit, R_k: np.ndarray, y: np.ndarray, account: np.ndarray, R_i: np.ndarray
    ) -> None:
        """A layer with a model: what it did not predict is booked where R_k becomes R_j = y_j."""
        received, predicted = self.total(R_k), self.total(y)
        if unit.pool is None:
            account[..., RECEIVED] = received
            self.add(unit.dense, account, self.total(R_i), received - predicted)
            return
        pooled = np.zeros_like(account)
        pooled[..., RECEIVED] = received
        self.add(unit.pool, pooled, predicted, received - predicted, RULE)
        self.add(unit.dense, account, self.total(R_i))

    def audit(self) -> Audit:
        """The audit, if nothing has overflowed."""
        audit = Audit(
            self.names,
            self.rules,
            np.array(self.accounts),
            np.array(self.passed),
            np.array(self.missed) if self.plan.models else None,
        )
        if not (np.isfinite(self.accounts).all() and np.isfinite(self.passed).all()):
            audit.complain()
        return audit
