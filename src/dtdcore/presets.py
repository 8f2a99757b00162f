# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The presets of `LRP`, and the places in a network that rules are chosen by."""

from __future__ import annotations

from collections.abc import Callable

from dtdcore.layers import Clip, Dense, Layer, ReLU
from dtdcore.network import Network
from dtdcore.rules import AlphaBeta, Epsilon, Flat, Gamma, GeneralizedGamma, Rule, ZPlus
from dtdcore.signs import nonnegative_values

Choose = Callable[[Network], list[Rule | None]]


def _uniform(rule: Rule) -> Choose:
    def choose(network: Network) -> list[Rule | None]:
        return [rule if node.layer.takes_rule else None for node in network.nodes]

    return choose


def _composite(convolution: Rule, first: Rule | None = None) -> Choose:
    """One rule for convolutions, ε for dense layers, and perhaps one for the first layers."""

    def choose(network: Network) -> list[Rule | None]:
        rules = defaults(network)
        at_input = first_layers(network) if first else set()
        for number, node in enumerate(network.nodes):
            if number in at_input:
                rules[number] = first
            elif node.layer.needs_rule:
                rules[number] = Epsilon() if isinstance(node.layer, Dense) else convolution
        return rules

    return choose


def _gamma_epsilon(gamma: float) -> Choose:
    """γ for convolutions, ε for dense layers.

    z_j = a_j + γ (the positive part of a_j) is at least γ / (1 + γ) of its largest summand where
    x ≥ 0 and a_j > 0. Elsewhere it can be 0 beside large summands, so that shares explode. There
    the generalised rule stands, which is the same where x ≥ 0 and a_j > 0, and bounded everywhere:
    Σ_i |R_i| ≤ (1 + 2 / γ) |R_j|.
    """
    usual = _composite(Gamma(gamma))

    def choose(network: Network) -> list[Rule | None]:
        safe = _between_relus(network)
        return [
            GeneralizedGamma(gamma) if rule == Gamma(gamma) and number not in safe else rule
            for number, rule in enumerate(usual(network))
        ]

    return choose


def _between_relus(network: Network) -> set[int]:
    """The nodes whose inputs cannot be negative, and whose outputs go through ReLU alone."""
    m = len(network.inputs)
    nonnegative = nonnegative_values(network)
    seen: set[int] = {network.output}  # values that something else than a ReLU takes
    for node in network.nodes:
        if not (isinstance(node.layer, ReLU) or _is_clip_from_zero(node.layer)):
            seen.update(node.sources)
    return {
        number
        for number, node in enumerate(network.nodes)
        if nonnegative.issuperset(node.sources) and m + number not in seen
    }


def _is_clip_from_zero(layer: Layer) -> bool:
    return isinstance(layer, Clip) and layer.low == 0


#: What `LRP` knows by name. Layers that have learned nothing (sums, average pools, scales) take
#: their own default in those that tell layers apart, so that sums are shared in proportion.
PRESETS: dict[str, Choose] = {
    "epsilon": _uniform(Epsilon()),
    "z-plus": _uniform(ZPlus()),
    "epsilon-plus": _composite(ZPlus()),
    "epsilon-plus-flat": _composite(ZPlus(), Flat()),
    "epsilon-alpha2-beta1": _composite(AlphaBeta(2, 1)),
    "gamma-epsilon": _gamma_epsilon(0.25),
}


def defaults(network: Network) -> list[Rule | None]:
    """For each node the rule that it takes where none is named for it."""
    return [node.layer.default_rule for node in network.nodes]


def first_layers(network: Network) -> set[int]:
    """The nodes with learned weights that no other such node comes before."""
    m = len(network.inputs)
    behind: set[int] = set()  # values to which learned weights have contributed
    first = set()
    for number, node in enumerate(network.nodes):
        after = not behind.isdisjoint(node.sources)
        if node.layer.needs_rule and not after:
            first.add(number)
        if node.layer.needs_rule or after:
            behind.add(m + number)
    return first


def last_layers(network: Network) -> set[int]:
    """The nodes with learned weights that no other such node follows, on the way to the output."""
    m = len(network.inputs)
    leads = {network.output}  # values that lead to the output
    below: set[int] = set()  # those of them that do so through learned weights
    last = set()
    for number in range(len(network.nodes) - 1, -1, -1):
        value, node = m + number, network.nodes[number]
        if value not in leads:
            continue
        leads.update(node.sources)
        if node.layer.needs_rule and value not in below:
            last.add(number)
        if node.layer.needs_rule or value in below:
            below.update(node.sources)
    return last
