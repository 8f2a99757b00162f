# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What explainers have in common, and what those share that redistribute relevance.

All explainers are made once and called often: `explainer(x, target=None) -> Explanation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dtdcore.arena import Arena
from dtdcore.arrays import as_signal, check_count, check_number, lacking, own
from dtdcore.audit import Audit
from dtdcore.chosen import Targets
from dtdcore.columns import feature_names, on_originals
from dtdcore.domains import Domain
from dtdcore.explanation import Explanation, default_tolerance
from dtdcore.frames import is_frame, numbers_of
from dtdcore.hidden import hidden_values
from dtdcore.layers import Layer
from dtdcore.network import PLANS_KEPT, Network, dtype_of
from dtdcore.pieces import count_of, joined, piece_of
from dtdcore.plan import Plan
from dtdcore.relevance_models import Planner
from dtdcore.rules import Rule
from dtdcore.steps.base import overflowing
from dtdcore.targets import choose_targets, resolve, target_of
from dtdcore.underflow import settled


def check_network(network: Any) -> Network:
    """`network`, or a TypeError."""
    if not isinstance(network, Network):
        raise TypeError(f"network must be a dtdcore.Network, got {type(network).__name__}")
    return network


class Explainer:
    """Base of all explainers; holds nothing that a call changes, so threads may share one."""

    def __init__(self, network: Network) -> None:
        self.network = check_network(network)
        self._merged = network.merged()

    def _running(self, node: str | None) -> Network:
        """The network that runs, merged as far as the outputs of `node` allow."""
        lost = node is not None and node in self._merged.lost
        return self.network.merged(keep=[node]) if lost else self._merged

    def _class_names(self, node: str | None) -> tuple[str, ...]:
        """The names of the outputs of `node`, those of the network by default."""
        return self.network.class_names if node is None else ()

    def __call__(
        self, x: Any, target: Any = None, *, relevance: Any = None, node: str | None = None
    ) -> Explanation:
        """Explain a batch: see the explainer."""
        raise lacking(self, "Explainer", "__call__(x, target): an Explanation")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Redistribution(Explainer):
    """Base of the explainers that redistribute relevance layer by layer.

    Parameters
    ----------
    network : Network
    pooling : "proportional" or "winner"
        How pools pass relevance on.
    strict : bool
        Raise a `ConservationError` when a layer passes on less, or more, than it received.
    tolerance : float, optional
        Relative tolerance of `strict`; 1e-4 for float32 and 1e-9 for float64 by default.
    max_memory : float, optional
        Bytes that the arrays of a run may take: larger batches are explained in pieces, with the
        same bits. No bound by default. (`memory` predicts what a batch needs.) What the largest run
        took is kept for the next one, and threads that call at once take as much each.
    """

    #: Makes what runs a network: see `RelevanceModel.planner`.
    _planner: Planner = staticmethod(Network.plan)
    #: Where the inputs must lie; None: anywhere.
    domain: Domain | Mapping[str, Domain] | None = None

    def __init__(
        self,
        network: Network,
        pooling: str,
        strict: bool,
        tolerance: float | None,
        max_memory: float | None,
    ) -> None:
        super().__init__(network)
        if pooling not in ("proportional", "winner"):
            raise ValueError(f"pooling must be 'proportional' or 'winner', got {pooling!r}")
        self.pooling = pooling
        #: For each node of the merged network the rule that it takes; None: relevance passes.
        self.rules = self._rules(self._merged, network.dtype)
        if tolerance is not None:
            tolerance = check_number(tolerance, "tolerance", 0)
        if max_memory is not None:
            max_memory = int(check_number(max_memory, "max_memory", 0, strict=True))
        self.max_memory = max_memory
        self.strict, self.tolerance = bool(strict), tolerance
        self._method = repr(self)
        self._plans: dict[tuple[np.dtype, str | None], Plan] = {}
        self._plan(network.dtype)  # packs now, and finds rules that do not fit before any call

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which pack the weights anew."""
        return self.__dict__ | {"_plans": {}}

    def _choose(self, network: Network, dtype: np.dtype) -> Sequence[Rule | str | None]:
        """For a network (that given, merged) each node's rule; None for layers that take none.

        Of pools a text that is added to `pooling`.
        """
        raise NotImplementedError  # every explainer of this kind answers this

    def _rules(self, network: Network, dtype: np.dtype) -> tuple[Rule | str | None, ...]:
        return tuple(
            rule if node.layer.takes_rule else self._pooling_of(node.layer, rule or "")
            for node, rule in zip(network.nodes, self._choose(network, dtype), strict=True)
        )

    def _pooling_of(self, layer: Layer, added: str = "") -> str | None:
        """How a layer that takes no rule passes relevance on, if it pools."""
        return self.pooling + added if layer.pools else None

    def _plan(self, dtype: np.dtype, node: str | None = None) -> Plan:
        plan = self._plans.get((dtype, node))
        if plan is None:
            network = self._running(node)
            known = network is self._merged and dtype == network.dtype
            rules = self.rules if known else self._rules(network, dtype)
            output = None if node is None else network.value(node)
            if len(self._plans) >= PLANS_KEPT:
                self._plans.clear()
            plan = self._plans[dtype, node] = self._planner(network, rules, dtype, output)
        return plan

    def summary(self) -> str:
        """The table of the network that runs, with the rule that each layer takes."""
        return self._merged.summary(self.rules)

    def _start(self, f: np.ndarray) -> np.ndarray:
        """The starting relevance for the value f of a target."""
        return f

    def __call__(
        self,
        x: Any,
        target: Any = None,
        *,
        relevance: Any = None,
        node: str | None = None,
        layers: Sequence[str] | str | None = None,
        strict: bool | None = None,
    ) -> Explanation:
        """Explain a batch.

        Parameters
        ----------
        x : array (n, *input shape), or dict of arrays by input
        target : None, int, str, tuple, Region, Contrast, array or list, optional
            The output to explain: None is the only one, or the largest of each sample. An int
            counts the outputs in order; a text is a class name, or a contrast such as "3-7" or
            "zebra-horse"; a tuple is one output by its place on each axis, (class, row, column);
            `dtdcore.targets.region` and `contrast` make targets of several outputs. An array (n,)
            of ints or class names has one target for each sample, an array (n, k) k of them; a
            list with tuples, regions or contrasts has k targets for all samples. k targets share
            one forward pass, and the result has an axis k.
        relevance : array (n, *output shape) or (n, k, *output shape), optional
            The starting relevance, in place of that of a target. (A region or a contrast is a
            target here, too.)
        node : str, optional
            The layer at whose outputs relevance starts, to explain hidden neurons: targets (and
            the explanation's `output`) are then among its outputs. The network's by default.
        layers : sequence of str or "all", optional
            Hidden layers whose relevance `explanation.at` shall hold, by name: Σ of it is what the
            audit says that the layer received. Layers that were folded into others, such as a
            `BatchNorm` into a convolution, have the relevance of those that hold them, neuron by
            neuron; where they have none of their own it is an error, and "all" leaves them out.
        strict : bool, optional
            Overrides the explainer's own `strict`.

        Returns
        -------
        Explanation

        Raises
        ------
        ValueError, TypeError
            If an argument is not as described, or x is outside the domain; before any work.
        ConservationError
            With `strict`, naming the layer that failed to conserve relevance.
        FloatingPointError
            If relevance overflows, naming the layer.
        """
        names, table = feature_names(self.network, x), x
        x = self.network.check_inputs(x, self.domain)
        target, relevance = target_of(target, relevance)
        classes = self._class_names(node)
        given = targets = None
        single = True
        if target is not None or relevance is not None:
            # checked for the whole batch, whatever the pieces
            n, shape = count_of(x), self._output_shape(x, node)
            if relevance is None:
                targets = resolve(target, n, shape, classes)
                single = targets.single
            else:
                if is_frame(relevance):
                    relevance = numbers_of(relevance, "relevance", dtype_of(x), classes or None)
                given, single = as_signal(relevance, "relevance", n, shape, dtype_of(x))
        k = 1 if single else (targets if given is None else given).shape[1]
        plan = self._plan(dtype_of(x), node)
        running = self._running(node)
        output = running.output if node is None else running.value(node)
        hidden = hidden_values(self.network, running, output, layers, x)
        keep = tuple(sorted(set(hidden.values()))) if hidden else ()
        if self.max_memory is None:
            run = self._run(x, targets, given, plan, keep)
        else:
            run = joined(
                [
                    self._run(
                        piece_of(x, piece),
                        None if targets is None else targets[piece],
                        None if given is None else given[piece],
                        plan,
                        keep,
                        measured,
                    )
                    for piece, measured in self._pieces(x, k, plan, keep)
                ]
            )
        output, labels, explained, result, audit, kept = run
        at = {name: kept[value] for name, value in hidden.items()} if hidden else {}
        if self.strict if strict is None else strict:
            tolerance = default_tolerance(dtype_of(x)) if self.tolerance is None else self.tolerance
            audit.check_conservation(tolerance)
        if single:
            explained, audit = explained[:, 0], audit.select(0)
            labels = None if labels is None else labels[:, 0]
            at = {name: part[:, 0] for name, part in at.items()} if at else at
        if isinstance(result, dict):
            result = {name: part[:, 0] for name, part in result.items()} if single else result
            x = {name: part.copy() for name, part in x.items()}
        else:
            x = x.copy()
            result = result[:, 0] if single else result
        x, result = on_originals(self.network, table, x, result)
        return Explanation(
            self._method,
            x,
            output,
            labels,
            explained,
            result,
            audit,
            feature_names=names,
            class_names=classes,
            at=at,
        )

    def _run(
        self,
        x: Any,
        targets: Targets | None,
        given: np.ndarray | None,
        plan: Any,
        keep: tuple[int, ...] = (),
        measured: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, Any, Audit, dict[int, np.ndarray]]:
        """Explain one piece of a batch.

        Returns output, labels (n, k), what is explained, heatmaps, audit, and what `keep` asks for.
        `measured`: of one sample, whose memory the plan will know.
        """
        with overflowing():  # once for all, as it takes longer than a small layer
            trace = plan.trace(x, Arena(smallest=1) if measured else None)
            output = trace.output
            for array in x.values() if isinstance(x, dict) else (x,):
                output = own(output, array)
            if given is None:
                if targets is None:
                    targets = choose_targets(output, None)
                start, explained = targets.start(output, self._start)
            else:
                start, explained = given, given.sum(axis=tuple(range(2, given.ndim)))
            run = trace.redistribute(start, keep)
            if isinstance(plan, Plan):  # a trained relevance model is not linear in relevance
                run = settled(plan, x, start, keep, run)
            result, audit, kept = run
            if isinstance(result, dict):
                result = {name: own(part, start) for name, part in result.items()}
            else:
                result = own(result, start)
        if measured:
            plan.memory[self._memory_key(x, start.shape[1], keep)] = trace.arena.peak
        labels = None if targets is None else targets.labels
        return output, labels, explained, result, audit, kept

    @staticmethod
    def _memory_key(x: Any, k: int, keep: tuple[int, ...] = ()) -> Any:
        parts = x.values() if isinstance(x, dict) else (x,)
        return tuple(part.shape[1:] for part in parts), k, keep

    def _pieces(
        self, x: Any, k: int, plan: Any, keep: tuple[int, ...]
    ) -> Iterator[tuple[slice, bool]]:
        """The batch in pieces that need no more than `max_memory`; bits do not depend on it."""
        n = count_of(x)
        if n == 0:
            yield slice(0, 0), False
            return
        key = self._memory_key(x, k, keep)
        done = 0
        if key not in plan.memory:  # what arrays a run needs follows from shapes: see one sample
            yield slice(0, 1), True
            done = 1
        needed = plan.memory[key]
        if needed > self.max_memory:
            raise ValueError(
                f"max_memory={self.max_memory:,} bytes is less than one sample needs: {needed:,}"
            )
        size = min(n, self.max_memory // needed)
        for begin in range(done, n, size):
            yield slice(begin, min(n, begin + size)), False

    def memory(self, n: int, k: int = 1) -> int:
        """Bytes that the arrays of one run need at most, for n samples and k targets at once.

        Predicted from a run of one sample (of zeros, or the domain's point next to them), for what
        a run needs follows from shapes. The packed weights, what an explanation holds (the
        heatmaps, the relevance at hidden `layers`, a copy of the inputs), and a few MB that the
        core works in, come on top.

        Parameters
        ----------
        n, k : int
            Samples and targets.

        Raises
        ------
        ValueError
            If the network's input shape is not known.
        """
        n, k = check_count(n, "n"), check_count(k, "k")
        shapes = self.network.input_shape
        by_name = shapes if isinstance(shapes, dict) else {"": shapes}
        if any(shape is None for shape in by_name.values()):
            raise ValueError(
                "the memory follows from shapes: give the network its input shape, "
                "Network(layers, input_shape)"
            )
        dtype = self.network.dtype
        zeros = {name: np.zeros((1, *shape), dtype) for name, shape in by_name.items()}
        x = zeros if isinstance(shapes, dict) else zeros[""]
        key = self._memory_key(x, k)
        plan = self._plan(dtype)
        if key not in plan.memory:
            self._run(x, Targets(np.zeros((1, k), np.intp)), None, plan, measured=True)
        return n * plan.memory[key]

    def _output_shape(self, x: Any, node: str | None) -> tuple[int, ...]:
        network = self._running(node)
        value = network.output if node is None else network.value(node)
        return network.shapes_of(x)[value]
