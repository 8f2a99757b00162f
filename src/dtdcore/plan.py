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
from dtdcore.blocked import Blocked, to_blocked, to_plain
from dtdcore.rules import Rule

if TYPE_CHECKING:
    from dtdcore.network import Network
    from dtdcore.steps.base import Step, Value


class Plan:
    """The steps that lead to one value of a network, for one rule per node and one dtype.

    Values 0 to m - 1 are the network's inputs, value m + i the output of node i. Threads may share
    a plan.

    Parameters
    ----------
    network : Network
    rules : sequence, optional
        For each node its rule; None: a plan for the forward pass and gradients.
    dtype : numpy.dtype
    output : int, optional
        The value to compute and to start from; the network's output by default.
    """

    def __init__(
        self,
        network: Network,
        rules: Sequence[Rule | str | None] | None,
        dtype: np.dtype,
        output: int | None = None,
    ) -> None:
        self.dtype = dtype
        self.core = kernels(dtype)
        nodes, m = network.nodes, len(network.inputs)
        self.inputs = network.inputs
        self.output = network.output if output is None else output
        self.values = m + len(nodes)
        last_uses = _last_uses(network, self.output)
        #: What to do, in order: value, step, source (of joins: None), sources, does the step save
        #: what it will need, the values that are not needed afterwards.
        self.work: list[tuple[int, Step, int | None, tuple[int, ...], bool, tuple[int, ...]]] = []
        #: What to do on the way back: value, step, source, sources, place in the audit.
        self.back: list[tuple[int, Step, int | None, tuple[int, ...], int | None]] = []
        self.names: dict[int, str] = {}
        for value in range(m, self.values):
            if value not in last_uses:
                continue
            node = nodes[value - m]
            step = node.layer.step(None if rules is None else rules[value - m], dtype)
            source = None if step.joins else node.sources[0]
            ends = tuple({s for s in node.sources if last_uses[s] == value})
            saves = rules is None or step.remembers
            self.work.append((value, step, source, node.sources, saves, ends))
            self.names[value] = node.name
        self.audited: list[str] = []
        self.rules: list[Any] = []
        for value, step, source, sources, *_ in reversed(self.work):
            place = None
            if step.redistributes and rules is not None:
                place = len(self.audited)
                self.audited.append(self.names[value])
                self.rules.append(rules[value - m])
            self.back.append((value, step, source, sources, place))

    def _start(self, x: Any) -> list[Any]:
        values = [x] if len(self.inputs) == 1 else [x[name] for name in self.inputs]
        values.extend([None] * (self.values - len(values)))
        return values

    def forward(self, x: Any) -> np.ndarray:
        """The output, keeping nothing; x as `Network.check_inputs` gives it."""
        values = self._start(x)
        for value, step, source, sources, _, ends in self.work:
            if source is None:
                values[value] = step.forward(*_all(values, step, sources))
            else:
                x = values[source]
                if step.plain and type(x) is Blocked:
                    x = to_plain(x)
                values[value] = step.forward(x)
            for end in ends:
                values[end] = None
        output = to_plain(values[self.output])
        if not all_finite(output):
            self._complain(x)
        return output

    def trace(self, x: Any) -> Trace:
        """A forward pass that keeps what redistribution and gradient need.

        Raises
        ------
        FloatingPointError
            If the output overflows, naming the layer. (What overflows on the way, but is bounded
            again by a later layer, loses its relevance, which the audit shows.)
        """
        values = self._start(x)
        shapes = [array.shape for array in values[: len(self.inputs)]]
        saved = [None] * self.values
        for value, step, source, sources, saves, ends in self.work:
            if source is None:
                values[value], saved[value] = step.trace(*_all(values, step, sources))
            else:
                x = values[source]
                if step.plain and type(x) is Blocked:
                    x = to_plain(x)
                if saves:
                    values[value], saved[value] = step.trace(x)
                else:
                    values[value] = step.forward(x)
            for end in ends:
                values[end] = None
        output = to_plain(values[self.output])
        if not all_finite(output):
            self._complain(x)
        return Trace(self, output, saved, shapes)

    def _complain(self, x: Any) -> NoReturn:
        values = self._start(x)
        for value, step, _, sources, *_ in self.work:
            values[value] = step.forward(*_all(values, step, sources))
            if not all_finite(_numbers(values[value])):
                raise FloatingPointError(
                    f"the forward pass overflows {self.dtype} in layer {self.names[value]}"
                    + ("; try float64" if self.dtype == np.float32 else "")
                )
        raise AssertionError("no value overflows")


@dataclass(slots=True)
class Trace:
    """One forward pass through a plan: its output, and what each step saved.

    It serves one pass back, `redistribute` or `gradient`, which frees what was saved on its way.
    """

    plan: Plan
    output: np.ndarray
    saved: list[Any]
    shapes: list[tuple[int, ...]]

    def redistribute(self, relevance: np.ndarray) -> tuple[Any, Audit]:
        """Relevance of the inputs (n, k, *shape) from that of the output, and its audit.

        Of several inputs it is a dict by their names.

        Raises
        ------
        FloatingPointError
            If relevance overflows, naming the node.
        """
        plan, saved = self.plan, self.saved
        n, k = relevance.shape[:2]
        places = len(plan.audited)
        book = np.zeros((5, places, n, k))
        accounts, passed = book[:4].reshape(places, n, k, 4), book[4]
        arriving: list[Any] = [None] * plan.values
        arriving[plan.output] = relevance
        for value, step, source, sources, place in plan.back:
            signal, arriving[value] = arriving[value], None
            kept, saved[value] = saved[value], None
            if step.plain and type(signal) is Blocked:
                signal = to_plain(signal)
            if place is None:
                signal = step.redistribute(kept, signal, None)
            else:
                signal = step.redistribute(kept, signal, accounts[place])
                self._pass_on((signal,) if source is not None else signal, passed[place])
            if source is None:
                _arrive(arriving, sources, signal)
            else:
                already = arriving[source]
                arriving[source] = signal if already is None else _meet(already, signal)
        audit = Audit(plan.audited, plan.rules, accounts, passed)
        if not all_finite(book):
            audit.complain()
        return self._arrived(arriving, n, k), audit

    def _pass_on(self, parts: Sequence[Value], passed: np.ndarray) -> None:
        """Σ_i R_i of each sample and target, (n, k)."""
        sums, core = passed.reshape(-1), self.plan.core
        for number, part in enumerate(parts):
            array = _numbers(part)
            matrix = array.reshape(len(sums), math.prod(array.shape[2:]))
            if number == 0:
                core.row_sums(matrix, sums)
            else:
                more = np.empty_like(sums)
                core.row_sums(matrix, more)
                sums += more

    def gradient(self, gradient: np.ndarray) -> Any:
        """Gradient with respect to the input (n, k, *shape) from that of the output.

        With respect to several inputs it is a dict by their names.

        Raises
        ------
        FloatingPointError
            If it overflows.
        """
        plan, saved = self.plan, self.saved
        arriving: list[Any] = [None] * plan.values
        arriving[plan.output] = gradient
        for value, step, source, sources, _ in plan.back:
            signal, arriving[value] = arriving[value], None
            kept, saved[value] = saved[value], None
            if step.plain and type(signal) is Blocked:
                signal = to_plain(signal)
            signal = step.gradient(kept, signal)
            _arrive(arriving, sources, signal if source is None else (signal,))
        result = self._arrived(arriving, *gradient.shape[:2])
        for array in result.values() if isinstance(result, dict) else (result,):
            if not all_finite(array):
                raise FloatingPointError(f"the gradient overflows {plan.dtype}; try float64")
        return result

    def _arrived(self, arriving: list[Any], n: int, k: int) -> Any:
        """What arrived at the inputs; 0 at those that do not lead to the output."""
        if len(self.shapes) == 1 and arriving[0] is not None:
            return to_plain(arriving[0])
        results = [
            np.zeros((n, k, *shape[1:]), self.plan.dtype) if signal is None else to_plain(signal)
            for signal, shape in zip(arriving, self.shapes, strict=False)
        ]
        names = self.plan.inputs
        return results[0] if len(names) == 1 else dict(zip(names, results, strict=True))


def _last_uses(network: Network, output: int) -> dict[int, int]:
    """For each value that leads to the output, the last value made from it (its own: none)."""
    m = len(network.inputs)
    uses = {output: output}
    for value in range(output, m - 1, -1):
        if value in uses:
            for source in network.nodes[value - m].sources:
                uses.setdefault(source, value)
    return uses


def _numbers(value: Value) -> np.ndarray:
    """All numbers of a value, in some order, zeros among them."""
    return value.array if type(value) is Blocked else value


def _all(values: list[Any], step: Step, sources: tuple[int, ...]) -> list[Any]:
    """The values that come into a step, plain where it wants them so."""
    if step.plain:
        return [to_plain(values[source]) for source in sources]
    return [values[source] for source in sources]


def _arrive(arriving: list[Any], sources: tuple[int, ...], signals: Sequence[Value]) -> None:
    """Add what flows back to values; where a value was used twice, both parts meet."""
    for source, signal in zip(sources, signals, strict=True):
        already = arriving[source]
        arriving[source] = signal if already is None else _meet(already, signal)


def _meet(one: Value, other: Value) -> Value:
    """The sum of two signals, blocked if one of them is."""
    if type(one) is Blocked or type(other) is Blocked:
        one, other = to_blocked(one, 2), to_blocked(other, 2)
        return Blocked(one.array + other.array, one.channels, lead=2)
    return one + other
