# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""From the graph of an ONNX model to the layers of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.importers.onnx.call import Call, Constant
from dtdcore.importers.onnx.file import import_onnx, to_array
from dtdcore.importers.onnx.folding import FAILURES, FOLDED, Folder
from dtdcore.importers.onnx.operators import operators, table
from dtdcore.importers.onnx.spelled import find_spelled
from dtdcore.importers.record import Record, Shape, Signal
from dtdcore.importers.refusing import not_supported, with_way_out
from dtdcore.network import Network

OLDEST_OPSET = 7

#: Domains of the operators that ONNX itself defines.
DOMAINS = ("", "ai.onnx")

#: Shapes for errors are inferred of models of at most so many bytes.
LARGEST_INFERRED = 2**28


class Graph:
    """The graph of a model: who makes which tensor, and what is said about the inputs."""

    def __init__(self, model: Any, file: str) -> None:
        self.model, self.file = model, file
        self.notes: list[str] = []
        self.opset = self._find_opset()
        graph = model.graph
        if not graph.node:
            raise ValueError(f"{file}: the model has no nodes")
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.sparse = {tensor.values.name for tensor in graph.sparse_initializer}
        #: All that the model calls inputs: old files list their weights there, too.
        self.listed = {i.name: i for i in graph.input}
        #: The true inputs, by name.
        self.inputs = {i.name: i for i in graph.input if i.name not in self.initializers}
        #: For each tensor the number of the node that makes it.
        self.makers: dict[str, int] = {}
        for number, node in enumerate(graph.node):
            for name in node.output:
                known = name in self.makers or name in self.inputs or name in self.initializers
                if name and known:
                    raise ValueError(f"{file}: the tensor {name!r} is made twice")
                self.makers[name] = number
        self.makers.pop("", None)
        kinds = {i.type.tensor_type.elem_type for i in graph.input}
        kinds |= {tensor.data_type for tensor in graph.initializer}
        #: Does the model compute with float64?
        self.double = import_onnx().TensorProto.DOUBLE in kinds

    def _find_opset(self) -> int:
        """The version of ONNX's own operators; of several imports the last counts, as in runtimes.

        `notes` says it if they differ.
        """
        newest = import_onnx().defs.onnx_opset_version()
        versions = [o.version for o in self.model.opset_import if o.domain in DOMAINS]
        if not versions or not OLDEST_OPSET <= versions[-1] <= newest:
            raise ValueError(
                f"{self.file}: the opset must be {OLDEST_OPSET} to {newest}, the newest that the "
                f"installed onnx knows; got {versions}"
            )
        if len(set(versions)) > 1:
            self.notes.append(f"of the opsets {versions} the last counts, {versions[-1]}")
        return versions[-1]

    def fix(self, name: str, value: np.ndarray) -> None:
        """Make an input of the model a constant."""
        self.inputs.pop(name, None)
        self.initializers[name] = import_onnx().numpy_helper.from_array(value, name)

    def title(self, number: int) -> str:
        """A node, as errors call it."""
        node = self.model.graph.node[number]
        name = repr(node.name) if node.name else f"that makes {list(node.output)}"
        operator = node.op_type if node.domain in DOMAINS else f"{node.domain}.{node.op_type}"
        return f"{self.file}: operator {operator}, node {name}"

    def check_tensor(self, name: Any, what: str) -> str:
        """`name` if there is such a tensor, or a clear error."""
        if not isinstance(name, str):
            raise TypeError(f"{what} must be names of tensors, got {name!r}")
        if name not in self.makers and name not in self.inputs:
            outputs = ", ".join(output.name for output in self.model.graph.output)
            raise ValueError(
                f"{self.file}: {what} names {name!r}, which is no tensor of the model; its inputs "
                f"are {', '.join(self.inputs)}, its outputs {outputs}"
            )
        return name

    def stated_shape(self, name: str) -> tuple[int | None, ...] | None:
        """What the file says about a tensor's shape, the batch axis included; None: nothing."""
        infos = [self.inputs[name]] if name in self.inputs else self.model.graph.value_info
        for info in infos:
            if info.name == name and info.type.HasField("tensor_type"):
                if not info.type.tensor_type.HasField("shape"):
                    return None
                dims = info.type.tensor_type.shape.dim
                return tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)
        return None

    def inferred_shape(self, name: str) -> Shape | None:
        """The shape of a sample of a tensor, as onnx infers it; None where it cannot."""
        onnx = import_onnx()
        if self.model.ByteSize() > LARGEST_INFERRED:
            return None
        try:
            inferred = onnx.shape_inference.infer_shapes(self.model).graph
        except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
            return None
        for info in inferred.value_info:
            dims = info.type.tensor_type.shape.dim
            if info.name == name and len(dims) > 1 and all(d.dim_value > 0 for d in dims[1:]):
                return tuple(d.dim_value for d in dims[1:])
        return None

    def kind(self, name: str) -> int:
        """The type of a tensor's numbers, as ONNX counts types; 0 if it cannot be told."""
        onnx, graph = import_onnx(), self.model.graph
        stated = {i.name: i.type.tensor_type.elem_type for i in (*graph.value_info, *graph.input)}
        if stated.get(name):
            return stated[name]
        # Constants without their numbers, which may be many.
        constants = [
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            for tensor in self.initializers.values()
        ]
        inputs = [*self.inputs.values(), *constants]
        output = onnx.helper.make_empty_tensor_value_info(name)
        try:
            nodes = [graph.node[number] for number in self.order([name], self.inputs)]
            part = onnx.helper.make_graph(nodes, "part", inputs, [output])
            part = onnx.helper.make_model(part, opset_imports=self.model.opset_import)
            inferred = onnx.shape_inference.infer_shapes(part).graph
        except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
            return 0
        return inferred.output[0].type.tensor_type.elem_type

    def order(self, outputs: Iterable[str], known: Iterable[str]) -> list[int]:
        """The nodes that make these tensors from known ones, each after those that it needs.

        Raises
        ------
        ValueError
            If a tensor is made by nobody, or needs itself.
        """
        known, result = set(known), []
        state: dict[int, bool] = {}  # False: begun, True: done
        stack = [self.makers[name] for name in outputs if name in self.makers and name not in known]
        while stack:
            number = stack[-1]
            if number in state:
                stack.pop()
                if not state[number]:
                    state[number] = True
                    result.append(number)
                continue
            state[number] = False
            for name in self.model.graph.node[number].input:
                if not name or name in known or name in self.initializers:
                    continue
                if name in self.inputs:
                    raise ValueError(
                        f"{self.title(number)} takes the input {name!r} of the model, which is not "
                        "among inputs="
                    )
                maker = self.makers.get(name)
                if maker is None:
                    why = (
                        "a sparse tensor: not supported"
                        if name in self.sparse
                        else "made by nobody"
                    )
                    raise ValueError(f"{self.title(number)} takes {name!r}, {why}")
                if state.get(maker) is False:
                    raise ValueError(f"{self.title(number)} needs its own output")
                if maker not in state:
                    stack.append(maker)
        return result


@dataclass(frozen=True)
class Refused:
    """A tensor that cannot be computed, because of the node with this number.

    It may be part of a layer that is spelled out in several nodes.
    """

    number: int
    reason: str


class Translation:
    """The layers for the part of a graph between some inputs and an output."""

    def __init__(self, graph: Graph, shapes: Mapping[str, Shape], batch: int | None) -> None:
        self.graph, self.batch = graph, batch
        self.record = Record()
        self.values: dict[str, Signal | Constant] = {}
        #: Tensors whose values are those of signals: what a verification may compare.
        self.compared: list[tuple[str, Signal]] = []
        #: For each signal the number of the node that made it.
        self.nodes: dict[Signal, int] = {}
        for name, shape in shapes.items():
            self.values[name] = Signal(name, shape)
        self._names = set(shapes)
        self._operators = operators()
        budget = 2**22 + 4 * graph.model.ByteSize()
        self._folder = Folder(graph.opset, budget)
        nodes = graph.model.graph.node
        self._used = {name for node in nodes for name in node.input}
        self._used |= {output.name for output in graph.model.graph.output}

    def run(self, output: str) -> Signal:
        """Translate all that makes a tensor."""
        self._used.add(output)
        for number in self.graph.order([output], self.values):
            node = self.graph.model.graph.node[number]
            before = len(self.record.items)
            try:
                results: Any = self._translate(number, node)
            except ValueError as error:
                results = [Refused(number, str(error))] * len(node.output)
            self.nodes |= {signal: number for signal, *_ in self.record.items[before:]}
            results = results if isinstance(results, list) else [results]
            for name, value in zip(node.output, results, strict=False):
                if not name:
                    continue
                self.values[name] = value
                if isinstance(value, Signal):
                    self._name(name, value)
                    self.compared.append((name, value))
        result = self.values[output]
        if isinstance(result, Refused):
            node = self.graph.model.graph.node[result.number]
            raise ValueError(with_way_out(result.reason, *self._ways(node, output)))
        if not isinstance(result, Signal):
            raise ValueError(f"{self.graph.file}: {output!r} does not depend on the inputs")
        return result

    def _ways(self, node: Any, output: str) -> tuple[str | None, str | None]:
        """How to import what comes before a node, and what comes behind it."""
        values = ((name, self.values.get(name)) for name in node.input)
        signals = [
            name for name, v in values if isinstance(v, Signal) and name in self.graph.makers
        ]
        before = f"outputs={signals[0]!r}" if signals else None
        made = [name for name in node.output if name and name != output]
        if not made:
            return before, None
        shape = self.graph.inferred_shape(made[0])
        return before, f"inputs={{{made[0]!r}: {shape or '(shape of one sample)'}}}"

    def _name(self, tensor: str, signal: Signal) -> None:
        """Name a layer after the tensor that it makes, if it has no tensor's name yet."""
        if signal.name not in self._names and tensor not in self._names:
            signal.name = tensor
            self._names.add(tensor)

    def _value(self, number: int, name: str) -> Signal | Constant:
        value = self.values.get(name)
        if value is None:
            tensor = self.graph.initializers.get(name)
            if tensor is None:
                raise ValueError(f"{self.graph.title(number)} takes {name!r}, made by nobody")
            try:
                value = Constant((to_array(tensor),))
            except ValueError as error:
                raise ValueError(f"{self.graph.title(number)}: {error}") from None
            self.values[name] = value
        return value

    def _translate(self, number: int, node: Any) -> Any:
        title = self.graph.title(number)
        operator = self._operators.get(node.op_type) if node.domain in DOMAINS else None
        inputs = [self._value(number, name) if name else None for name in node.input]
        refused = [value for value in inputs if isinstance(value, Refused)]
        if refused:
            found = self._spelled(title, node)
            return found or min(refused, key=lambda value: value.number)
        if node.domain in DOMAINS and not any(isinstance(value, Signal) for value in inputs):
            if node.op_type not in FOLDED:
                raise ValueError(
                    f"{title}: it has constant inputs only, and is none of the operators that are "
                    f"computed in advance: {', '.join(sorted(FOLDED))}"
                )
            try:
                return self._fold(node, inputs)
            except ValueError as error:
                raise ValueError(f"{title}: {error}") from None
        if operator is None:
            raise ValueError(not_supported(title, node.op_type, table()))
        return self._attempt(title, lambda: operator.translate(self._call(node)))

    def _call(self, node: Any) -> Call:
        return Call(
            node,
            {attribute.name: attribute for attribute in node.attribute},
            self.graph.opset,
            self.values,
            self.batch,
            self.record,
            self._used,
            self.graph.double,
        )

    def _spelled(self, title: str, node: Any) -> Signal | None:
        """The layer that a node ends, if several spell it out."""
        found = self._attempt(title, lambda: find_spelled(self.graph, self.values, node))
        return found and self._attempt(title, lambda: found(self._call(node)))

    @staticmethod
    def _attempt(title: str, translate: Callable[[], Any]) -> Any:
        try:
            return translate()
        except FAILURES as error:
            text = str(error) or type(error).__name__
            raise ValueError(f"{title}: {text}") from None

    def _fold(self, node: Any, inputs: list[Any]) -> list[Constant]:
        counts = {len(value.arrays) for value in inputs if value is not None}
        runs = [
            self._folder.fold(
                node, [None if v is None else v.arrays[min(run, len(v.arrays) - 1)] for v in inputs]
            )
            for run in range(max(counts, default=1))
        ]
        constants = []
        for arrays in zip(*runs, strict=True):
            same = all(np.array_equal(array, arrays[0]) for array in arrays[1:])
            constants.append(Constant(arrays[:1] if same else tuple(arrays)))
        return constants

    def title(self, signal: Signal) -> str:
        """The node that made a signal, as errors call it."""
        return self.graph.title(self.nodes[signal])

    def ending(self, signal: Signal) -> str:
        """The node at the end that made a signal, as notes call it."""
        node = self.graph.model.graph.node[self.nodes[signal]]
        return f"the {node.op_type} at the end ({node.output[0]})"

    def network(self, inputs: Mapping[str, Shape], output: Signal) -> Network:
        """The network that gives `output`."""
        try:
            return self.record.network(inputs, output, self._names)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.graph.file}: {error}") from None
