# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Which layer takes which rule: by the domain of the inputs, by name, type, place or preset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from dtdcore.domains import Box, Domain, NonNegative
from dtdcore.layers import ChannelAffine
from dtdcore.mapping import has_arrays, hull, is_mapped, known, mapped, meets_weights
from dtdcore.network import Network
from dtdcore.presets import PRESETS, defaults, first_layers, last_layers
from dtdcore.rules import ZB, Rule, WSquare, ZPlus
from dtdcore.steps.pooling import EQUAL_AT_0
from dtdcore.wiring import Node, leading_values, passing_values

# ------------------------------------------------------------------- the method: by domain


def domain_rules(
    network: Network, domain: Domain | Mapping[str, Domain], dtype: np.dtype
) -> list[Rule | str | None]:
    """For each node the rule of deep Taylor decomposition, for values of a dtype.

    Linear layers that meet the input, at most rearranged, scaled, pooled or activated, take the
    rule of its domain, which is mapped alike; all others z⁺. A layer that meets the input and
    hidden values at once takes z⁺. Sums, averages and resizing of inputs, which have learned
    nothing, take z⁺ for inputs ≥ 0, else w²: nothing is lost at the ends of a box.
    """
    m = len(network.inputs)
    shapes = None if network.output_shape is None else network.shapes(network.input_shape)
    passing = leading_values(network.nodes, m) | passing_values(network.nodes, m)
    # Where values lie that still are the inputs.
    domains = dict(enumerate(by_input(network, domain).values()))
    rules: list[Rule | str | None] = []
    for value, node in enumerate(network.nodes, m):
        sources = [domains[source] for source in node.sources if source in domains]
        inputs_alone = len(sources) == len(node.sources)
        if inputs_alone and is_mapped(node.layer):
            given = None if shapes is None else [shapes[source] for source in node.sources]
            domains[value] = mapped(node.layer, sources, given, dtype)
        if inputs_alone and node.layer.takes_maximum and node.layer.grows:
            rules.append(EQUAL_AT_0)
        elif value in passing or not node.layer.takes_rule:
            rules.append(None)
        elif not inputs_alone:
            rules.append(ZPlus())
        elif not (node.layer.needs_rule or isinstance(node.layer, ChannelAffine)):
            proportional = node.layer.grows and isinstance(hull(sources), NonNegative)
            rules.append(ZPlus() if proportional else WSquare())
        else:
            shape = None if shapes is None else shapes[node.sources[0]]
            rules.append(_rule_of(hull(sources), shape, node, dtype))
    return _shared_at_0(network, rules)


def _shared_at_0(
    network: Network, rules: Sequence[Rule | str | None]
) -> Sequence[Rule | str | None]:
    """The rules, but w² for z⁺ of sums of inputs where relevance can arrive though they are 0.

    So it does from z^B and w², through all that passes relevance on: z⁺ gives nothing to x_i = 0,
    and would lose what arrives at sums of nothing but that.
    """
    chosen, m = list(rules), len(network.inputs)
    reached: set[int] = set()
    for number in reversed(range(len(chosen))):
        node, rule = network.nodes[number], chosen[number]
        arrives = m + number in reached
        if arrives and isinstance(rule, ZPlus) and not node.layer.needs_rule:
            rule = chosen[number] = WSquare()
        if isinstance(rule, ZB | WSquare) or (arrives and not isinstance(rule, Rule)):
            reached.update(node.sources)
    return chosen


def by_input(network: Network, domain: Any) -> dict[str, Domain]:
    """The domain of each input, from one for all or a dict by name.

    Raises
    ------
    TypeError
        If something is no domain.
    ValueError
        If a dict does not hold each input.
    """
    if isinstance(domain, Mapping):
        if set(domain) != set(network.inputs):
            raise ValueError(
                f"domain must hold each input ({', '.join(network.inputs)}), "
                f"got {sorted(map(str, domain))}"
            )
    else:
        domain = dict.fromkeys(network.inputs, domain)
    for one in domain.values():
        if not isinstance(one, Domain):
            raise TypeError(f"domain must be Reals(), NonNegative() or Box(low, high), got {one!r}")
    return {name: domain[name] for name in network.inputs}


def _rule_of(domain: Domain, shape: tuple[int, ...] | None, node: Node, dtype: np.dtype) -> Rule:
    if isinstance(domain, NonNegative):
        return ZPlus()
    if not isinstance(domain, Box):
        return WSquare()
    if has_arrays(domain):
        domain.bounds(known(shape), np.dtype(np.float64))  # do they fit?
    box = meets_weights(domain, node.name, dtype)
    return ZB(box.low, box.high, origin=box.origin)


# ------------------------------------------------------------------- LRP: by name, type or place


def choose_rules(network: Network, rules: Any) -> list[Rule | None]:
    """For each node its rule: see `LRP`."""
    if isinstance(rules, str):
        if rules not in PRESETS:
            raise ValueError(f"there is no preset {rules!r}; there are {', '.join(PRESETS)}")
        return _through_scales(network, PRESETS[rules](network))
    if isinstance(rules, Mapping):
        chosen = _by_key(network, rules)
    elif isinstance(rules, Sequence):
        chosen = defaults(network)
        places = [i for i, node in enumerate(network.nodes) if node.layer.needs_rule]
        if len(rules) != len(places):
            raise ValueError(f"got {len(rules)} rules for {len(places)} layers with weights")
        for number, rule in zip(places, rules, strict=True):
            chosen[number] = rule
    else:
        chosen = [rules if node.layer.takes_rule else None for node in network.nodes]
    for node, rule in zip(network.nodes, chosen, strict=True):
        if node.layer.takes_rule and not isinstance(rule, Rule):
            raise TypeError(f"rules must be dtdcore rules such as Epsilon(), got {rule!r}")
    return _through_scales(network, chosen)


def _through_scales(network: Network, rules: list[Rule | None]) -> list[Rule | None]:
    """The rules, but for none for scales and shifts of the inputs: relevance passes through."""
    leading = leading_values(network.nodes, len(network.inputs))
    return [
        None if value in leading else rule for value, rule in enumerate(rules, len(network.inputs))
    ]


def _by_key(network: Network, rules: Mapping[Any, Any]) -> list[Rule | None]:
    ends = {"first": first_layers(network), "last": last_layers(network)}
    chosen: list[Rule | None] = defaults(network)
    unused = set(rules)
    names = {node.name for node in network.nodes}
    m = len(network.inputs)
    leading = leading_values(network.nodes, m)
    for number, node in enumerate(network.nodes):
        if not node.layer.takes_rule or m + number in leading:
            continue
        key = _key_of(rules, node, number, ends, names)
        if key is not None:
            chosen[number] = rules[key]
            unused.discard(key)
        elif node.layer.needs_rule:
            raise ValueError(f"no rule fits the layer {node.name} ({node.layer!r})")
    if unused:
        gone = ", ".join(f"{name} into {' and '.join(to)}" for name, to in network.holders.items())
        hint = f" (merged: {gone})" if gone else ""
        scales = [node.name for value, node in enumerate(network.nodes, m) if value in leading]
        hint += f" (they pass relevance on unchanged: {', '.join(scales)})" if scales else ""
        if any(isinstance(key, str) and "[" in key for key in unused):
            hint += " (in a glob, [ab] is one of these characters and [[] a bracket)"
        raise ValueError(f"no layer took the rule for {sorted(map(str, unused))}{hint}")
    return chosen


def _key_of(
    rules: Mapping[Any, Any], node: Node, number: int, ends: dict[str, set[int]], names: set[str]
) -> Any | None:
    """The key for a node: its name, letter by letter, else the first key that fits.

    A key that is the name of a layer is no glob.

    Raises
    ------
    ValueError
        If the name is a key that says a place, and the node stands in another.
    """
    if node.name in rules:
        if number not in ends.get(node.name, {number}):
            raise ValueError(
                f"the key {node.name!r} says a place, and is the name of a layer elsewhere: call "
                f"that layer {node.name[:-1]}[{node.name[-1]}]"
            )
        return node.name
    for key in rules:
        if isinstance(key, type):
            fits = isinstance(node.layer, key)
        elif key in ends:
            fits = number in ends[key]
        else:
            glob = isinstance(key, str) and key not in names and fnmatchcase(node.name, key)
            fits = glob or key == type(node.layer).__name__
        if fits:
            return key
    return None
