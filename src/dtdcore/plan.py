# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A plan: the steps of a whole network in order, and one pass through them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from dtdcore.adding import added
from dtdcore.arena import Arena, independent, using
from dtdcore.arrays import all_finite, kernels
from dtdcore.audit import Audit
from dtdcore.blocked import Blocked, to_plain
from dtdcore.layers.activations import Clip, ReLU
from dtdcore.rules import Rule
from dtdcore.steps.base import RECEIVED, in_layer, overflowing
from dtdcore.underflow import book as book_lost
from dtdcore.underflow import most_lost

if TYPE_CHECKING:
    from dtdcore.layers import Layer
    from dtdcore.network import Network
    from dtdcore.steps.base import Step, Value

#: What a step raises about the numbers that it is given.
STEP_ERRORS = (ValueError, TypeError, FloatingPointError)


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
        #: Memory of runs that are over.
        self.arenas: list[Arena] = []
        #: Bytes of a sample's arrays that lived at once, by what the sizes depend on.
        self.memory: dict[Any, int] = {}
        nodes, m = network.nodes, len(network.inputs)
        self.inputs = network.inputs
        self.output = network.output if output is None else output
        self.values = m + len(nodes)
        uses = last_uses(network, self.output)
        #: What to do, in order: value, step, source (of joins: None), sources, does the step save
        #: what it will need, the values that are not needed afterwards.
        self.work: list[tuple[int, Step, int | None, tuple[int, ...], bool, tuple[int, ...]]] = []
        #: What to do on the way back: value, step, source, sources, place in the audit.
        self.back: list[tuple[int, Step, int | None, tuple[int, ...], int | None]] = []
        self.names: dict[int, str] = {}
        ceilings = _clamped(network, uses, self.output)
        #: For values that the step before gives itself: that step's value.
        self.clamped = {value: source for value, (source, _) in ceilings.items()}
        clamped = self.clamped
        self.output = clamped.get(self.output, self.output)
        for value, source in clamped.items():
            uses[source] = uses[value]
        fused = dict(ceilings.values())
        for value in range(m, self.values):
            if value not in uses or value in clamped:
                continue
            node = nodes[value - m]
            rule = None if rules is None else rules[value - m]
            try:
                step = node.layer.step(rule, dtype, fused.get(value))
                if rules is not None:
                    step.check_back()
            except STEP_ERRORS as error:
                raise in_layer(node.name, error) from error
            sources = tuple(clamped.get(source, source) for source in node.sources)
            source = None if step.joins else sources[0]
            ends = tuple({s for s in sources if uses[s] == value})
            saves = rules is None or step.remembers
            self.work.append((value, step, source, sources, saves, ends))
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
        #: For places in the audit whose layer passes all it gives to one that counts what arrives:
        #: that layer's place. One sum serves both.
        self.counted = self._counted()
        #: For values: the step that gives it and its place in the audit, where the step that takes
        #: it makes that one's quotient at once.
        self.ahead = self._ahead()

    def _counted(self) -> dict[int, int]:
        uses: dict[int, int] = {}
        for _, _, _, sources, _ in self.back:
            for source in sources:
                uses[source] = uses.get(source, 0) + 1
        counting = {
            value: place
            for value, step, _, _, place in self.back
            if place is not None and step.counts and uses.get(value) == 1
        }
        return {
            place: counting[source]
            for _, _, source, _, place in self.back
            if place is not None and source in counting
        }

    def _ahead(self) -> dict[int, tuple[int, Step, int]]:
        given = {value: (value, step, place) for value, step, _, _, place in self.back}
        above = {
            value: given[source]
            for value, step, source, _, place in self.back
            if place in self.counted and step.looks_ahead and given[source][1].looks_ahead
        }
        return above

    def _start(self, x: Any) -> list[Any]:
        values = [x] if len(self.inputs) == 1 else [x[name] for name in self.inputs]
        values.extend([None] * (self.values - len(values)))
        return values

    def forward(self, x: Any) -> np.ndarray:
        """The output, keeping nothing; x as `Network.check_inputs` gives it."""
        values = self._start(x)
        arena = self.arena()
        try:
            with using(arena), overflowing():
                for value, step, source, sources, _, ends in self.work:
                    if source is None:
                        values[value] = step.forward(*_all(values, step, sources))
                    else:
                        given = values[source]
                        if step.plain and type(given) is Blocked:
                            given = to_plain(given)
                        values[value] = step.forward(given)
                    for end in ends:
                        values[end] = None
        except STEP_ERRORS as error:
            raise in_layer(self.names[value], error) from error
        output = independent(to_plain(values[self.output]))
        self.arenas.append(arena)
        if not all_finite(output):
            self._complain(x)
        return output

    def trace(self, x: Any, arena: Arena | None = None) -> Trace:
        """A forward pass that keeps what redistribution and gradient need.

        Who calls it says `overflowing` for it and the way back.

        Raises
        ------
        FloatingPointError
            If the output overflows, naming the layer. (What overflows on the way, but is bounded
            again by a later layer, loses its relevance, which the audit shows.)
        """
        values = self._start(x)
        shapes = [] if len(self.inputs) == 1 else [v.shape for v in values[: len(self.inputs)]]
        saved = [None] * self.values
        arena = arena or self.arena()
        try:
            with using(arena):
                for value, step, source, sources, saves, ends in self.work:
                    if source is None:
                        values[value], saved[value] = step.trace(*_all(values, step, sources))
                    else:
                        given = values[source]
                        if step.plain and type(given) is Blocked:
                            given = to_plain(given)
                        if saves:
                            values[value], saved[value] = step.trace(given)
                        else:
                            values[value] = step.forward(given)
                    for end in ends:
                        values[end] = None
        except STEP_ERRORS as error:
            raise in_layer(self.names[value], error) from error
        output = independent(to_plain(values[self.output]))
        if not all_finite(output):
            self._complain(x)
        return Trace(self, output, saved, shapes, arena)

    def arena(self) -> Arena:
        """Memory for one run, which no other run uses; `arenas` takes it back."""
        try:
            arena = self.arenas.pop()
        except IndexError:
            arena = Arena()
        arena.start()
        return arena

    def _complain(self, x: Any) -> NoReturn:
        values = self._start(x)
        for value, step, _, sources, *_ in self.work:
            with overflowing():
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
    #: Those of several inputs.
    shapes: list[tuple[int, ...]]
    arena: Arena

    def redistribute(
        self, relevance: np.ndarray, keep: Collection[int] = (), *, careful: bool = False
    ) -> tuple[Any, Audit, dict[int, np.ndarray]]:
        """Relevance of the inputs (n, k, *shape) from that of the output, and its audit.

        Of several inputs it is a dict by their names. At last the relevance of the values in
        `keep`, which changes no bit of the others. `careful`: every layer books what underflow took
        from it (see `dtdcore.underflow`), with the same bits.

        Raises
        ------
        FloatingPointError
            If relevance overflows, naming the node.
        """
        plan, saved = self.plan, self.saved
        n, k = relevance.shape[:2]
        places = len(plan.audited)
        book = np.zeros((5, places, n, k))
        accounts, passed = book[:4].reshape(places, n, k, 4), book[4].reshape(places, n * k)
        arriving: list[Any] = [None] * plan.values
        arriving[plan.output] = relevance
        wanted = {plan.clamped.get(value, value) for value in keep}
        found: dict[int, np.ndarray] = {}
        try:
            with using(self.arena):
                for value, step, source, sources, place in plan.back:
                    signal, arriving[value] = arriving[value], None
                    if value in wanted:
                        found[value] = np.array(to_plain(signal))
                    kept, saved[value] = saved[value], None
                    if step.plain and type(signal) is Blocked:
                        signal = to_plain(signal)
                    size = _size((signal,)) if careful else 0
                    if place is None:
                        signal = step.redistribute(kept, signal, None)
                    else:
                        if value in plan.ahead and source not in wanted and not careful:
                            below, lower, booked = plan.ahead[value]
                            ahead = lower.ahead(saved[below], accounts[booked])
                            signal = step.redistribute(kept, signal, accounts[place], ahead)
                        else:
                            signal = step.redistribute(kept, signal, accounts[place])
                        parts = (signal,) if source is not None else signal
                        if careful or place not in plan.counted:
                            _add_up(plan.core, parts, passed[place])
                        if careful:
                            most = most_lost(plan.dtype, _size(parts), size, step.factor(kept))
                            book_lost(accounts[place], book[4][place], most, plan.dtype)
                    if source is None:
                        _arrive(arriving, sources, signal)
                    else:
                        already = arriving[source]
                        arriving[source] = (
                            signal if already is None else added((already, signal), 2)
                        )
        except STEP_ERRORS as error:
            raise in_layer(plan.names[value], error) from error
        for place, below in () if careful else plan.counted.items():
            book[4][place] = accounts[below, :, :, RECEIVED]
        audit = Audit(plan.audited, plan.rules, accounts, book[4])
        if not all_finite(book):
            audit.complain()
        result = self._arrived(arriving, n, k)
        if not wanted:
            return result, audit, {}
        found |= {v: _of_input(result, plan.inputs, v) for v in wanted if v < len(plan.inputs)}
        return result, audit, {v: found[plan.clamped.get(v, v)] for v in keep}

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
        try:
            with using(self.arena):
                for value, step, source, sources, _ in plan.back:
                    signal, arriving[value] = arriving[value], None
                    kept, saved[value] = saved[value], None
                    if step.plain and type(signal) is Blocked:
                        signal = to_plain(signal)
                    signal = step.gradient(kept, signal)
                    _arrive(arriving, sources, signal if source is None else (signal,))
        except STEP_ERRORS as error:
            raise in_layer(plan.names[value], error) from error
        result = self._arrived(arriving, *gradient.shape[:2])
        for array in result.values() if isinstance(result, dict) else (result,):
            if not all_finite(array):
                raise FloatingPointError(f"the gradient overflows {plan.dtype}; try float64")
        return result

    def _arrived(self, arriving: list[Any], n: int, k: int) -> Any:
        """What arrived at the inputs; 0 at those that do not lead to the output."""
        names = self.plan.inputs
        if self.arena.smallest > 1:  # no measurement
            self.plan.arenas.append(self.arena)
        if len(names) == 1:  # every value comes from it
            return independent(to_plain(arriving[0]))
        results = [
            np.zeros((n, k, *shape[1:]), self.plan.dtype)
            if signal is None
            else independent(to_plain(signal))
            for signal, shape in zip(arriving, self.shapes, strict=False)
        ]
        return dict(zip(names, results, strict=True))


def _clamped(
    network: Network, last_uses: dict[int, int], output: int
) -> dict[int, tuple[int, float]]:
    """Values of ReLUs, and of clips from 0 on, that the layer before gives itself.

    For each of them that layer's value, and the ceiling, ∞ for ReLU. That is where nothing else
    uses what the layer gives: relevance passes through, so nobody will ask for it.
    """
    m = len(network.inputs)
    uses: dict[int, int] = {}
    for value in last_uses:
        if value >= m:
            for source in network.nodes[value - m].sources:
                uses[source] = uses.get(source, 0) + 1
    clamped = {}
    for value in last_uses:
        ceiling = None if value < m else _ceiling(network.nodes[value - m].layer)
        if ceiling is None:
            continue
        (source,) = network.nodes[value - m].sources
        alone = source >= m and source != output and uses[source] == 1
        if alone and network.nodes[source - m].layer.clamps:
            clamped[value] = source, ceiling
    return clamped


def _ceiling(layer: Layer) -> float | None:
    """The ceiling of an activation min(max(0, x), ceiling); None for other layers."""
    if type(layer) is ReLU:
        return math.inf
    return layer.high if type(layer) is Clip and layer.low == 0 else None


def last_uses(network: Network, output: int) -> dict[int, int]:
    """For each value that leads to the output, the last value made from it (its own: none)."""
    m = len(network.inputs)
    uses = {output: output}
    for value in range(output, m - 1, -1):
        if value in uses:
            for source in network.nodes[value - m].sources:
                uses.setdefault(source, value)
    return uses


def _add_up(core: Any, parts: Sequence[Value], sums: np.ndarray) -> None:
    """Σ_i R_i over all inputs of a layer, for each sample and target: (n * k,)."""
    total = sums
    for part in parts:
        array = part.array if type(part) is Blocked else part
        core.row_sums(array.reshape(len(sums), math.prod(array.shape[2:])), total)
        if total is not sums:
            sums += total
        elif len(parts) > 1:
            total = np.empty_like(sums)


def _of_input(result: Any, names: Sequence[str], value: int) -> np.ndarray:
    """A copy of the relevance of one input."""
    return np.array(result[names[value]] if isinstance(result, dict) else result)


def _size(parts: Sequence[Value]) -> int:
    """The numbers of one row in some signals."""
    return sum(math.prod(_numbers(part).shape[2:]) for part in parts)


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
        arriving[source] = signal if already is None else added((already, signal), 2)
