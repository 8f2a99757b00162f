# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""An imported network compared with the PyTorch module it came from."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from dtdcore.arrays import require
from dtdcore.importers.comparing import SCALES, TOLERANCE, decisive, difference
from dtdcore.importers.noise import agreement
from dtdcore.importers.record import Signal
from dtdcore.importers.torch.export import Example
from dtdcore.importers.torch.graph import Translation
from dtdcore.network import Network


def verify_network(
    network: Network,
    translation: Translation,
    module: Any,
    example: Example,
    starts: Collection[Signal],
) -> None:
    """Compare with the module's own output, on the example and on random inputs.

    The output is compared, and the values at which explanations start; all, where these differ.

    Raises
    ------
    ValueError
        If the network, or the graph that torch.export gave, differs from the module.
    """
    title = translation.graph.title_of_module
    held = {node.name for node in network.nodes}
    compared = [(node, signal) for node, signal in translation.compared if signal.name in held]
    first = decisive({s for _, s in compared}, starts, translation.record.makers)
    ends = [*(pair for pair in compared if pair[1] in first), *compared[-1:]]
    output, tolerance = translation.graph.output, _tolerance(translation)
    for call in _calls(example):
        own = _output(module, call, translation.graph.place)
        if own.shape[:1] != (call.batch,):
            raise ValueError(
                f"{title}: for a batch of {call.batch} the module gives the shape {own.shape}, "
                "without the batch axis: make an example of more samples, or keep that axis"
            )
        theirs = _values(translation, call, [*(node for node, _ in ends), output])
        found = difference(theirs[output], own, tolerance)
        if found:
            raise ValueError(
                f"{title}: the graph that torch.export made of it differs from what the module "
                f"gives, {found}: does it draw random numbers, or keep something between calls?"
            )
        if not any(_differs(network, translation, call, theirs, *pair) for pair in ends):
            continue
        theirs = _values(translation, call, [node for node, _ in compared])
        for node, signal in compared:
            found = _differs(network, translation, call, theirs, node, signal)
            if found:
                raise ValueError(
                    f"{translation.graph.title(node)}: here the imported network differs first "
                    f"from PyTorch, {found}. Please report this; verify=False imports it anyway"
                )


def _output(module: Any, call: Example, place: int) -> np.ndarray:
    """The tensor in a place of what a module gives, alone or in a tuple or dict."""
    pytree = require("torch.utils._pytree", "torch")
    call = call.copied()  # what changes its inputs in place does it there
    given = pytree.tree_leaves(module(*call.args, **call.kwargs))
    return _array(given[place])


def _calls(example: Example) -> list[Example]:
    """The example, and random numbers of its shapes."""
    torch = require("torch", "torch")
    rng = np.random.default_rng(1512)
    calls = [example]
    for scale in SCALES:
        tensors = []
        for tensor in example.tensors():
            numbers = rng.normal(0, scale, tuple(tensor.shape))
            if not tensor.is_floating_point():
                numbers = np.clip(np.rint(np.abs(numbers)), 0, 127)
            # in memory they lie as those of the example do, which a view may need
            tensors.append(torch.empty_like(tensor).copy_(torch.from_numpy(numbers)))
        calls.append(example.with_tensors(tensors))
    return calls


def _values(translation: Translation, call: Example, nodes: Collection[Any]) -> dict[Any, Any]:
    """What PyTorch computes at some nodes of the graph."""
    torch = require("torch", "torch")
    graph, wanted, values = translation.graph, set(nodes), {}

    class Recorder(torch.fx.Interpreter):
        def run_node(self, node: Any) -> Any:
            result = super().run_node(node)
            if node in wanted:
                values[node] = _array(result)
            return result

    inputs = iter(call.tensors())
    placeholders = [node for node in graph.nodes.values() if node.op == "placeholder"]
    given = [
        graph.constants[n.name] if n.name in graph.constants else next(inputs) for n in placeholders
    ]
    Recorder(graph.program.graph_module).run(*given)
    return values


def _differs(
    network: Network,
    translation: Translation,
    call: Example,
    theirs: dict[Any, np.ndarray],
    node: Any,
    signal: Any,
) -> str | None:
    """How a value differs, in words; None if it does not."""
    names = translation.graph.inputs.values()
    by_name = {name: _array(tensor) for name, tensor in zip(names, call.tensors(), strict=True)}
    x = by_name if len(by_name) > 1 else next(iter(by_name.values()))
    try:
        ours = network.forward(x, node=signal.name)
    except FloatingPointError as error:
        return str(error) if np.all(np.isfinite(theirs[node])) else None
    return agreement(network, x, signal.name, ours, theirs[node], _tolerance(translation))


def _array(tensor: Any) -> np.ndarray:
    array = tensor.detach().cpu().numpy()
    return array if array.dtype == np.float64 else array.astype(np.float32)


def _tolerance(translation: Translation) -> float:
    """That of float64 if all numbers on the way from the input are of it."""
    torch = require("torch", "torch")
    given = [node for node, value in translation.values.items() if isinstance(value, Signal)]
    double = all(node.meta["val"].dtype == torch.float64 for node in given)
    return TOLERANCE["float64" if double else "float32"]
