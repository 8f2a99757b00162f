# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explainers that redistribute relevance: deep Taylor decomposition and LRP.

All explainers are made once and called often: `explainer(x, target=None) -> Explanation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from dtdcore.arrays import as_signal, check_number, own
from dtdcore.domains import Box, Domain, NonNegative, Reals
from dtdcore.explanation import Explanation, default_tolerance
from dtdcore.network import Network
from dtdcore.plan import Plan
from dtdcore.relevance_models import RelevanceModel, TrainingFree
from dtdcore.rules import ZB, Epsilon, Rule, WSquare, ZPlus
from dtdcore.targets import choose_targets, one_hot, pick


def _check_network(network: Any) -> Network:
    if not isinstance(network, Network):
        raise TypeError(f"network must be a dtdcore.Network, got {type(network).__name__}")
    return network


class Explainer:
    """Base of all explainers; holds nothing that a call changes, so threads may share one."""

    def __init__(self, network: Network) -> None:
        self.network = _check_network(network)

    def __call__(self, x: Any, target: Any = None, *, relevance: Any = None) -> Explanation:
        """Explain a batch: see the explainer."""
        raise NotImplementedError  # every explainer answers this

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Redistribution(Explainer):
    """Base of the explainers that redistribute relevance layer by layer.

    Parameters
    ----------
    network : Network
    rules : sequence
        For each node its rule, None for layers that need none.
    pooling : "proportional" or "winner"
        How pools pass relevance on.
    strict : bool
        Raise a `ConservationError` when a layer passes on less, or more, than it received.
    tolerance : float, optional
        Relative tolerance of `strict`; 1e-4 for float32 and 1e-9 for float64 by default.
    """

    #: Where the inputs must lie; None: anywhere.
    domain: Domain | None = None

    def __init__(
        self,
        network: Network,
        rules: Sequence[Rule | None],
        pooling: str,
        strict: bool,
        tolerance: float | None,
    ) -> None:
        super().__init__(network)
        if pooling not in ("proportional", "winner"):
            raise ValueError(f"pooling must be 'proportional' or 'winner', got {pooling!r}")
        #: For each node of the network the rule that it takes; None: passes relevance through.
        self.rules = tuple(
            rule if node.layer.takes_rule else pooling if node.layer.pools else None
            for node, rule in zip(network.nodes, rules, strict=True)
        )
        if tolerance is not None:
            tolerance = check_number(tolerance, "tolerance", 0)
        self.strict, self.tolerance = bool(strict), tolerance
        self._method = repr(self)
        self._plans: dict[np.dtype, Plan] = {}
        self._plan(network.dtype)  # packs now, and finds rules that do not fit before any call

    def _plan(self, dtype: np.dtype) -> Plan:
        plan = self._plans.get(dtype)
        if plan is None:
            plan = self._plans[dtype] = self._make_plan(dtype)
        return plan

    def _make_plan(self, dtype: np.dtype) -> Plan:
        return self.network.plan(self.rules, dtype)

    def summary(self) -> str:
        """The network's table, with the rule that each layer takes."""
        return self.network.summary(self.rules)

    def _start(self, f: np.ndarray) -> np.ndarray:
        """The starting relevance for the value f of a target."""
        return f

    def __call__(
        self,
        x: Any,
        target: Any = None,
        *,
        relevance: Any = None,
        strict: bool | None = None,
    ) -> Explanation:
        """Explain a batch.

        Parameters
        ----------
        x : array (n, *input shape)
        target : None, int, (n,) ints or (n, k) ints
            The output to explain: None is the only one, or the largest of each sample. k targets
            share one forward pass, and the result has an axis k.
        relevance : array (n, *output shape) or (n, k, *output shape), optional
            The starting relevance, in place of that of a target.
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
        x = self.network.check_inputs(x, self.domain)
        given = None
        if relevance is not None:
            if target is not None:
                raise ValueError("give either target or relevance, not both")
            given, single = self._given(relevance, x)
        trace = self._plan(x.dtype).trace(x)
        output = trace.output
        if given is None:
            targets, single = choose_targets(output, target)
            explained = self._start(pick(output, targets))
            start = one_hot(output, targets, explained)
        else:
            targets, start = None, given
            explained = given.sum(axis=tuple(range(2, given.ndim)))
        result, audit = trace.redistribute(start)
        result = own(result, start)
        if self.strict if strict is None else strict:
            tolerance = default_tolerance(x.dtype) if self.tolerance is None else self.tolerance
            audit.check_conservation(tolerance)
        if single:
            result, explained, audit = result[:, 0], explained[:, 0], audit.select(0)
            targets = None if targets is None else targets[:, 0]
        return Explanation(self._method, x.copy(), output, targets, explained, result, audit)

    def _given(self, relevance: Any, x: np.ndarray) -> tuple[np.ndarray, bool]:
        shape = self.network.shapes(x.shape[1:])[-1]
        return as_signal(relevance, "relevance", len(x), shape, x.dtype)


class DeepTaylor(Redistribution):
    """Deep Taylor decomposition (Montavon et al. 2017).

    The domain of the inputs gives the rule of the first layer: `Reals()` the w²-rule,
    `NonNegative()` z⁺, `Box(low, high)` z^B; all layers above take z⁺, pools pass relevance on in
    proportion. It starts from max(0, f_target). Where no bias is positive, the heatmaps are
    consistent: conservative and positive. (With `MinMax` they are positive, and conservative as far
    as its predictions are right.)

    Parameters
    ----------
    network : Network
    domain : Domain
        Where the inputs can lie: `Reals()` (the default), `NonNegative()` or `Box(low, high)`.
    relevance_model : TrainingFree or MinMax
        How relevance depends on hidden activations: `TrainingFree()` (the default), or a `MinMax`
        that was fitted to this network.
    pooling : "proportional" or "winner"
        How pools pass relevance on: the method's formula, or all to the largest.
    strict : bool
        Raise a `ConservationError` when a layer passes on less, or more, than it received.
    tolerance : float, optional
        Relative tolerance of `strict`; 1e-4 for float32 and 1e-9 for float64 by default.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or a bound does not fit the network.
    """

    def __init__(
        self,
        network: Network,
        domain: Domain | None = None,
        relevance_model: RelevanceModel | None = None,
        pooling: str = "proportional",
        *,
        strict: bool = False,
        tolerance: float | None = None,
    ) -> None:
        domain = Reals() if domain is None else domain
        if not isinstance(domain, Domain):
            raise TypeError(
                f"domain must be Reals(), NonNegative() or Box(low, high), got {domain!r}"
            )
        if relevance_model is None:
            relevance_model = TrainingFree()
        if not isinstance(relevance_model, RelevanceModel):
            raise TypeError(
                "relevance_model must be TrainingFree() or a fitted MinMax, "
                f"got {relevance_model!r}"
            )
        self.domain, self.pooling, self.relevance_model = domain, pooling, relevance_model
        rules = _domain_rules(_check_network(network), domain)
        self._planner = relevance_model.planner(network, pooling)
        super().__init__(network, rules, pooling, strict, tolerance)

    def _start(self, f: np.ndarray) -> np.ndarray:
        return np.maximum(f, 0)

    def _make_plan(self, dtype: np.dtype) -> Plan:
        return self._planner(self.rules, dtype)

    def __repr__(self) -> str:
        pooling = "" if self.pooling == "proportional" else f", pooling={self.pooling!r}"
        model = "" if self.relevance_model == TrainingFree() else f", {self.relevance_model!r}"
        return f"DeepTaylor({self.domain!r}{model}{pooling})"


def _domain_rules(network: Network, domain: Domain) -> list[Rule | None]:
    """The rule that follows from the domain where a layer meets the input, z⁺ above."""
    match domain:
        case Box():
            first: Rule = _box_rule(network, domain)
        case NonNegative():
            first = ZPlus()
        case _:
            first = WSquare()
    untouched = {0}  # values that still are the network's input, only rearranged
    rules: list[Rule | None] = []
    for number, node in enumerate(network.nodes):
        if node.layer.rearranges and node.source in untouched:
            untouched.add(number + 1)
        rules.append(
            None if not node.layer.takes_rule else first if node.source in untouched else ZPlus()
        )
    return rules


def _box_rule(network: Network, box: Box) -> ZB:
    """z^B with bounds as the first layer with weights sees them: rearranged like its inputs."""
    if np.ndim(box.low) == 0 and np.ndim(box.high) == 0:
        return ZB(box.low, box.high)
    if network.input_shape is None:
        raise ValueError(
            "a box with arrays needs a network of known input shape: Network(layers, input_shape)"
        )
    return ZB(*box.bounds(network.input_shape, np.dtype(np.float64)))


class LRP(Redistribution):
    """Layer-wise relevance propagation by chosen rules (Bach et al. 2015). Starts from f_target.

    Parameters
    ----------
    network : Network
    rules : Rule, sequence or mapping
        One rule for all layers with weights; a sequence with one rule for each of them, from the
        input to the output; or a mapping from a layer's name (or a glob such as "dense_*"), its
        type or its type's name to a rule: the first that fits is taken.
    pooling : "proportional" or "winner"
        How pools pass relevance on.
    strict : bool
        Raise a `ConservationError` when a layer passes on less, or more, than it received.
    tolerance : float, optional
        Relative tolerance of `strict`; 1e-4 for float32 and 1e-9 for float64 by default.

    Raises
    ------
    ValueError
        If a layer gets no rule, or a rule of the mapping no layer.
    TypeError
        If something is not a rule.
    """

    def __init__(
        self,
        network: Network,
        rules: Any = None,
        pooling: str = "proportional",
        *,
        strict: bool = False,
        tolerance: float | None = None,
    ) -> None:
        chosen = _choose_rules(_check_network(network), Epsilon() if rules is None else rules)
        super().__init__(network, chosen, pooling, strict, tolerance)

    def __repr__(self) -> str:
        rules = dict.fromkeys(str(rule) for rule in self.rules if isinstance(rule, Rule))
        return f"LRP({', '.join(rules)})"


def _choose_rules(network: Network, rules: Any) -> list[Rule | None]:
    places = [number for number, node in enumerate(network.nodes) if node.layer.takes_rule]
    chosen: list[Rule | None] = [None] * len(network.nodes)
    if isinstance(rules, Mapping):
        unused = set(rules)
        for number in places:
            node = network.nodes[number]
            key = next((key for key in rules if _fits(key, node)), None)
            if key is None:
                raise ValueError(f"no rule fits the layer {node.name} ({node.layer!r})")
            chosen[number] = rules[key]
            unused.discard(key)
        if unused:
            raise ValueError(f"no layer took the rule for {sorted(map(str, unused))}")
    elif isinstance(rules, Sequence) and not isinstance(rules, str):
        if len(rules) != len(places):
            raise ValueError(f"got {len(rules)} rules for {len(places)} layers with weights")
        for number, rule in zip(places, rules, strict=True):
            chosen[number] = rule
    else:
        for number in places:
            chosen[number] = rules
    for number in places:
        if not isinstance(chosen[number], Rule):
            raise TypeError(
                f"rules must be dtdcore rules such as Epsilon(), got {chosen[number]!r}"
            )
    return chosen


def _fits(key: Any, node: Any) -> bool:
    if isinstance(key, type):
        return isinstance(node.layer, key)
    return isinstance(key, str) and (
        fnmatchcase(node.name, key) or key == type(node.layer).__name__
    )
