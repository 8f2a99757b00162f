# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks: layers wired together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore import layers as layer_module
from dtdcore.arrays import as_batch, check_count, own
from dtdcore.audit import format_table
from dtdcore.domains import Domain
from dtdcore.files import read_npz, write_npz
from dtdcore.layers import Layer
from dtdcore.plan import Plan
from dtdcore.rules import Rule
from dtdcore.targets import choose_targets, one_hot

#: Version of the file format of `Network.save`.
FORMAT = 1


@dataclass(frozen=True)
class Node:
    """A layer in its place: value 0 is the network's input, value m + 1 the output of node m."""

    name: str
    layer: Layer
    source: int


class Network:
    """A trained network: a chain of layers.

    Parameters
    ----------
    layers : sequence of Layer or (name, Layer)
        From the input to the output. Layers without a name are called after their type and
        number: dense_1, relu_1, dense_2.
    input_shape : tuple of int, optional
        Shape of one input, without the batch axis; needed only where the first layer does not
        say it and it should be fixed.

    Raises
    ------
    ValueError
        If two layers do not fit, naming them, or a name comes twice.
    TypeError
        If something is not a layer.
    """

    def __init__(
        self,
        layers: Iterable[Layer | tuple[str, Layer]],
        input_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.nodes = tuple(_chain(layers))
        first = self.nodes[0].layer.input_shape
        input_shape = first if input_shape is None else _check_shape(input_shape)
        #: Shape of one input, without the batch axis; None where several fit.
        self.input_shape = input_shape
        dtypes = {array.dtype for layer in self.layers for array in layer.arrays().values()}
        #: float32 if all weights are, else float64: what inputs of whole numbers become.
        self.dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
        self._shapes: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {}
        self._plans: dict[Any, Plan] = {}
        if input_shape is not None:
            self.shapes(input_shape)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, from the input to the output."""
        return tuple(node.layer for node in self.nodes)

    @property
    def output_shape(self) -> tuple[int, ...] | None:
        """Shape of one output, without the batch axis; None where it depends on the input."""
        return None if self.input_shape is None else self.shapes(self.input_shape)[-1]

    def shapes(self, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The shape of every value: of the input, then of each layer's output.

        Raises
        ------
        ValueError
            If a layer cannot take what comes to it, naming the layer.
        """
        known = self._shapes.get(input_shape)
        if known is not None:
            return known
        shapes = [input_shape]
        for node in self.nodes:
            try:
                shapes.append(node.layer.output_shape(shapes[node.source]))
            except ValueError as error:
                raise ValueError(f"layer {node.name}: {error}") from None
        if len(self._shapes) >= 64:
            self._shapes.clear()
        self._shapes[input_shape] = tuple(shapes)
        return self._shapes[input_shape]

    def plan(self, rules: Sequence[Rule | str | None], dtype: np.dtype) -> Plan:
        """The steps for one rule per node and a dtype (for explainers)."""
        return Plan(self, rules, dtype)

    def _plain_plan(self, dtype: np.dtype) -> Plan:
        plan = self._plans.get(dtype)
        if plan is None:
            plan = self._plans[dtype] = self.plan([None] * len(self.nodes), dtype)
        return plan

    def check_inputs(self, x: Any, domain: Domain | None = None) -> np.ndarray:
        """`x` as a finite batch in the domain that every layer can take, or a clear error."""
        x = as_batch(x, self.input_shape, default=self.dtype, finite=domain is None)
        self.shapes(x.shape[1:])
        if domain is not None:
            domain.check(x)
        return x

    def forward(self, x: Any) -> np.ndarray:
        """What the network says.

        Parameters
        ----------
        x : array (n, *input shape)

        Returns
        -------
        array (n, *output shape)
            In the dtype of x.

        Raises
        ------
        ValueError
            If x has another shape or holds a value that is not finite.
        """
        x = self.check_inputs(x)
        return own(self._plain_plan(x.dtype).forward(x), x)

    def gradient(self, x: Any, target: Any = None) -> np.ndarray:
        """∂f_target/∂x_p at x.

        Parameters
        ----------
        x : array (n, *input shape)
        target : None, int, (n,) ints or (n, k) ints
            The output to differentiate: None is the only one, or the largest of each sample.

        Returns
        -------
        array (n, *input shape), or (n, k, *input shape) for k targets
            In the dtype of x.

        Raises
        ------
        ValueError, TypeError
            If x or target is not as described.
        """
        x = self.check_inputs(x)
        trace = self._plain_plan(x.dtype).trace(x)
        targets, single = choose_targets(trace.output, target)
        gradient = own(trace.gradient(one_hot(trace.output, targets)), x)
        return gradient[:, 0] if single else gradient

    def summary(self, rules: Sequence[Rule | str | None] | None = None) -> str:
        """A table: name, layer, output shape, parameters, and the rule where `rules` are given."""
        shapes = self.shapes(self.input_shape) if self.input_shape is not None else None
        lines: list[tuple[str, ...]] = [("name", "layer", "output shape", "parameters")]
        for number, node in enumerate(self.nodes):
            shape = "?" if shapes is None else " x ".join(map(str, shapes[number + 1])) or "1"
            lines.append((node.name, repr(node.layer), shape, f"{node.layer.parameters:,}"))
        if rules is not None:
            texts = ["rule", *("-" if rule is None else str(rule) for rule in rules)]
            lines = [(*line, text) for line, text in zip(lines, texts, strict=True)]
        total = sum(layer.parameters for layer in self.layers)
        return f"{format_table(lines)}\n{total:,} parameters"

    def __repr__(self) -> str:
        return f"Network([{', '.join(repr(layer) for layer in self.layers)}])"

    def save(self, path: str | os.PathLike) -> Path:
        """Write the network to an .npz file (arrays and JSON, no pickle); `dtdcore.load` reads it.

        The file appears whole or not at all.

        Returns
        -------
        pathlib.Path
            The file, with the suffix .npz added if it has none.
        """
        arrays = {
            f"{node.name}/{name}": array
            for node in self.nodes
            for name, array in node.layer.arrays().items()
        }
        structure = {
            "format": FORMAT,
            "input_shape": self.input_shape,
            "layers": [
                {
                    "name": node.name,
                    "type": type(node.layer).__name__,
                    "options": node.layer.options(),
                    "arrays": sorted(node.layer.arrays()),
                }
                for node in self.nodes
            ],
        }
        return write_npz(path, dtdcore_network=np.array(json.dumps(structure)), **arrays)


def load(path: str | os.PathLike) -> Network:
    """Read a network that `Network.save` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds something else.
    """
    path = Path(path)
    content = read_npz(path, "network")
    if "dtdcore_network" not in content:
        kind = "an explanation" if "relevance" in content else f"the arrays {sorted(content)}"
        raise ValueError(f"{path} is no network saved by dtdcore: it holds {kind}")
    try:
        structure = json.loads(str(content["dtdcore_network"]))
        if structure["format"] != FORMAT:
            raise ValueError(
                f"{path} has the file format {structure['format']}, this version reads {FORMAT}"
            )
        layers = [(entry["name"], _load_layer(entry, content)) for entry in structure["layers"]]
        shape = structure["input_shape"]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no network saved by dtdcore: {error!r}") from None
    return Network(layers, None if shape is None else tuple(shape))


def _load_layer(entry: dict[str, Any], content: dict[str, np.ndarray]) -> Layer:
    layer_type = getattr(layer_module, entry["type"], None)
    if not (
        isinstance(layer_type, type)
        and issubclass(layer_type, Layer)
        and layer_type._make_step is not Layer._make_step
        and not entry["type"].startswith("_")
    ):
        raise ValueError(f"layer {entry['name']} has the unknown type {entry['type']!r}")
    arrays = {name: content[f"{entry['name']}/{name}"] for name in entry["arrays"]}
    return layer_type(**arrays, **entry["options"])


def _check_shape(shape: Any) -> tuple[int, ...]:
    if isinstance(shape, str) or not isinstance(shape, Iterable):
        raise TypeError(f"input_shape must be a tuple of whole numbers, got {shape!r}")
    return tuple(check_count(size, "input_shape", 0) for size in shape)


def _chain(layers: Iterable[Layer | tuple[str, Layer]]) -> list[Node]:
    if isinstance(layers, Layer) or not isinstance(layers, Iterable):
        raise TypeError(f"layers must be a list of dtdcore layers, got {layers!r}")
    nodes: list[Node] = []
    counts: dict[str, int] = {}
    for item in layers:
        name, layer = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
        if not isinstance(layer, Layer):
            raise TypeError(f"layers must be dtdcore layers, got {layer!r}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a layer's name must be a text, got {name!r}")
        kind = type(layer).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        name = name or f"{kind}_{counts[kind]}"
        if any(node.name == name for node in nodes):
            raise ValueError(f"two layers have the name {name!r}")
        nodes.append(Node(name, layer, len(nodes)))
    if not nodes:
        raise ValueError("a network needs at least one layer")
    return nodes
