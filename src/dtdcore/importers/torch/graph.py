# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""From the graph of an exported PyTorch module to the layers of a network."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.arrays import require
from dtdcore.importers.patterns import Found, Pattern
from dtdcore.importers.record import Record, Shape, Signal
from dtdcore.importers.refusing import not_supported, with_way_out
from dtdcore.importers.torch.call import Call
from dtdcore.importers.torch.decomposing import ORIGIN
from dtdcore.importers.torch.names import Names
from dtdcore.importers.torch.operators import operator_name, operators, table
from dtdcore.layers import Layer
from dtdcore.network import Network

#: Operators that take the shape of a value, but not its numbers.
LIKE = (
    *("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"),
    *("fill", "copy", "zero"),
)

#: What wrong arguments raise in layers, and what computing a constant may.
FAILURES = (ArithmeticError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)


class Graph:
    """An exported program: its inputs, its output, its constants."""

    def __init__(
        self,
        program: Any,
        title: str,
        inputs: Sequence[str] | None = None,
        output: str | int | None = None,
    ) -> None:
        self.program, self.title_of_module = program, title
        self.nodes = {node.name: node for node in program.graph.nodes}
        signature = program.graph_signature
        if signature.buffers_to_mutate:
            names = ", ".join(signature.buffers_to_mutate.values())
            raise ValueError(f"{title}: it changes its own buffers in eval mode: {names}")
        (ending,) = [node for node in program.graph.nodes if node.op == "output"]
        # Among them are inputs that it changes in place, numbers and None.
        pairs = list(zip(signature.output_specs, ending.args[0], strict=True))
        kind = require("torch.export.graph_signature", "torch").OutputKind.USER_OUTPUT
        own = [(spec, given) for spec, given in pairs if spec.kind == kind]
        places = {
            name: place
            for place, name in enumerate(_names_of_outputs(program.call_spec.out_spec))
            if _is_own_tensor(own[place][0])
        }
        if output is None and len(places) == 1:
            (output,) = places
        if str(output) not in places:
            tensors = {name: own[place][1] for name, place in places.items()}
            raise ValueError(f"{title}: {self._choice(tensors, output)}")
        #: The place of the output among all that the module gives.
        self.place = places[str(output)]
        self.output = own[self.place][1]
        places = list(signature.user_inputs)
        names = places if inputs is None or len(inputs) != len(places) else inputs
        values = [self.nodes[place].meta["val"] for place in places]
        #: Names of the inputs by that of their node.
        self.inputs = dict(zip(places, names, strict=True))
        #: How the size of the batch axis is written.
        self.batch = {str(value.shape[0]) for value in values}
        #: Shapes of samples by the input's name.
        self.shapes = {
            name: tuple(value.shape[1:]) for name, value in zip(names, values, strict=True)
        }
        self.constants = self._find_constants(signature)
        #: Sizes that follow from constants (how many places a mask takes), by PyTorch's symbols.
        self.sizes: dict[Any, int] = {}

    def _find_constants(self, signature: Any) -> dict[str, Any]:
        named = {**self.program.state_dict, **self.program.constants}
        targets = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        return {name: named[target] for name, target in targets.items()}

    def _choice(self, tensors: dict[str, Any], output: str | int | None) -> str:
        """What to say of several outputs (or none): which hold floating-point numbers."""
        values = {name: node.meta["val"] for name, node in tensors.items()}
        shown = ", ".join(
            f"{name} ({str(values[name].dtype).removeprefix('torch.')}, made by "
            f"{self.operator(node)})"
            for name, node in tensors.items()
        )
        good = [repr(name) for name, value in values.items() if value.is_floating_point()]
        which = f": outputs={' or '.join(good)}" if good else ""
        said = "" if output is None else f"outputs={output!r} is none of them; "
        return (
            f"{said}it gives {len(tensors)} outputs{f' ({shown})' if shown else ''}, where a "
            f"network has one tensor: choose one of floating-point numbers{which}"
        )

    @staticmethod
    def operator(node: Any) -> str:
        """The name of a node's operator, without package and overload."""
        return operator_name(node.target)

    def sample_shape(self, value: Any) -> Shape | None:
        """The shape of a sample of a value; None if its first axis is not the batch axis."""
        shape = getattr(value, "shape", ())
        if not len(shape) or str(shape[0]) not in self.batch:
            return None
        sizes = tuple(self._size(size) for size in shape[1:])
        return None if None in sizes else sizes

    def _size(self, size: Any) -> int | None:
        """A size of a sample as a number; None if it is not known."""
        if type(size) is int:
            return size
        expression = size.node.expr.subs(self.sizes)
        return int(expression) if expression.is_Integer else None

    def learn(self, value: Any, shape: Shape) -> None:
        """Remember the sizes in the value of a node whose samples turned out to have this shape."""
        for size, number in zip(value.shape[1:], shape, strict=True):
            if self._size(size) is None and size.node.expr.is_Symbol:
                self.sizes[size.node.expr] = number

    def title(self, node: Any) -> str:
        """A node, as errors call it."""
        schema = getattr(node.target, "_schema", None)
        name = schema.name.replace("::", ".") if schema is not None else str(node.target)
        named = node.name
        if ORIGIN in node.meta:
            whole, named = node.meta[ORIGIN]
            name = f"aten.{whole} (here its part {name})"
        path = Names.path(node)
        where = f"in {path!r} (node {named!r})" if path else f"node {named!r}"
        return f"{self.title_of_module}: operator {name}, {where}"


def _names_of_outputs(structure: Any) -> list[str]:
    """What each thing that a module gives is called: keys and places on the way to it."""
    pytree = require("torch.utils._pytree", "torch")
    whole = pytree.tree_unflatten(list(range(structure.num_leaves)), structure)
    pairs, _ = pytree.tree_flatten_with_path(whole)
    steps = ("key", "idx", "name")
    return [
        ".".join(str(next(getattr(key, s) for s in steps if hasattr(key, s))) for key in path)
        for path, _ in pairs
    ]


def _is_own_tensor(spec: Any) -> bool:
    """Is an output of a program a tensor that the module gives?"""
    signature = require("torch.export.graph_signature", "torch")
    own = spec.kind == signature.OutputKind.USER_OUTPUT
    return own and isinstance(spec.arg, signature.TensorArgument)


class Translation:
    """The layers for a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.record = Record()
        self.names = Names(graph.shapes)
        #: Nodes whose values are those of signals: what a verification may compare.
        self.compared: list[tuple[Any, Signal]] = []
        #: For each signal the node that it was made for.
        self.nodes: dict[Signal, Any] = {}
        self.values: dict[Any, Any] = {
            graph.nodes[name]: value for name, value in graph.constants.items()
        }
        for place, name in graph.inputs.items():
            self.values[graph.nodes[place]] = Signal(name, graph.shapes[name])
        self._operators = operators()
        self._pattern = Pattern(graph.operator)

    def run(self) -> Signal:
        """Translate all that makes the output."""
        found: dict[Any, Found] = {}
        for node in self._order(found):
            value = self._translate(node, found.get(node))
            self.values[node] = value
            if isinstance(value, Signal):
                self.compared.append((node, value))
        result = self.values[self.graph.output]
        if not isinstance(result, Signal):
            raise ValueError(f"{self.graph.title_of_module}: its output does not depend on x")
        self.names.assign()
        return result

    def _order(self, found: dict[Any, Found]) -> list[Any]:
        """The nodes that the output needs; `found` gets the layers that are spelled out."""
        needed = {self.graph.output}
        for node in reversed(list(self.graph.nodes.values())):
            if node in needed and node not in self.values:
                try:
                    layer = self._pattern.find(node) if node.op == "call_function" else None
                except ValueError as error:
                    raise ValueError(f"{self.graph.title(node)}: {error}") from None
                if layer is not None:
                    found[node] = layer
                needed.update(node.all_input_nodes if layer is None else [layer[1]])
        nodes = self.graph.nodes.values()
        return [node for node in nodes if node in needed and node not in self.values]

    def _translate(self, node: Any, found: Found | None) -> Any:
        if node.op != "call_function":
            raise ValueError(f"{self.graph.title(node)} ({node.op}) is not supported")
        try:
            if found is not None:
                layer, source = found
                return self._emit(node)(layer, (self.values[source],))
            value = node.meta.get("val")
            if node.target is operator.getitem:
                return self._item(*node.args)
            if value is None or isinstance(value, _numbers()):
                return value
            if self._is_constant(node):
                return self._computed(node)
            return self._operated(node)
        except _Unknown:
            reason = not_supported(self.graph.title(node), self.graph.operator(node), table())
        except FAILURES as error:
            reason = f"{self.graph.title(node)}: {str(error) or type(error).__name__}"
        raise ValueError(with_way_out(reason, *self._ways(node)))

    def _ways(self, node: Any) -> tuple[str | None, str | None]:
        """How to import what comes before a node, and what comes behind it."""
        place = repr(Names.path(node) or node.name)
        inputs = {self.graph.nodes[name] for name in self.graph.inputs}
        given = [s for s in node.all_input_nodes if isinstance(self.values.get(s), Signal)]
        before, behind = None, None
        if not inputs.issuperset(given):
            before = f"from_torch of a module whose forward returns what comes into {place}"
        if node is not self.graph.output:
            behind = f"from_torch of a module whose forward takes what {place} gives"
        return before, behind

    def _item(self, node: Any, index: int) -> Any:
        values = self.values[node]
        if index >= len(values):
            raise ValueError(f"output {index} of {self.graph.operator(node)} is not supported")
        return values[index]

    def _is_constant(self, node: Any) -> bool:
        sources = node.all_input_nodes
        if self.graph.operator(node) in LIKE:
            sources = [source for source in sources if source is not node.args[0]]
        parts = (self.values[source] for source in sources)
        return not any(
            isinstance(part, Signal) or (isinstance(part, list) and part) for part in parts
        )

    def _computed(self, node: Any) -> Any:
        """A constant; what depends on the batch size is computed for that of the example."""
        torch = require("torch", "torch")

        def number(value: Any) -> Any:
            if isinstance(value, torch.SymInt):
                return value.node.hint
            return value

        def given(source: Any) -> Any:
            value = self.values[source]
            if isinstance(value, Signal):
                sizes = [number(size) for size in source.meta["val"].shape]
                return torch.zeros(sizes, dtype=source.meta["val"].dtype)
            return number(value)

        args = torch.fx.node.map_arg(node.args, given)
        kwargs = torch.fx.node.map_arg(node.kwargs, given)
        with torch.no_grad():
            return node.target(*args, **kwargs)

    def _operated(self, node: Any) -> Any:
        torch = require("torch", "torch")
        translated = self._operators.get(self.graph.operator(node))
        if translated is None or getattr(node.target, "namespace", None) != "aten":
            raise _Unknown
        value = node.meta["val"]
        several = isinstance(value, (tuple, list))
        shapes = [self.graph.sample_shape(part) for part in (value if several else [value])]
        if shapes[0] is None and not self._is_masked(node):
            raise ValueError(
                f"its result of shape {tuple(value.shape)} has no batch axis in front, or sizes "
                "that depend on the batch size"
            )
        arguments = {}
        resolved = torch.fx.node.map_arg(node.args, lambda source: _Held(self.values[source]))
        named = torch.fx.node.map_arg(node.kwargs, lambda source: _Held(self.values[source]))
        for place, argument in enumerate(node.target._schema.arguments):
            given = named.get(argument.name)
            if place < len(resolved):
                given = resolved[place]
            elif given is None and argument.has_default_value():
                given = argument.default_value
            arguments[argument.name] = _released(given)
        first = value[0] if several else value
        dtype = np.dtype(np.float64 if first.dtype == torch.float64 else np.float32)
        call = Call(
            self.graph.operator(node),
            arguments,
            shapes,
            dtype,
            self.record.makers,
            self._emit(node),
        )
        result = translated.translate(call)
        results = result if isinstance(result, list) else [result]
        for signal, shape in zip(results, shapes, strict=False):
            if shape is None:
                self.graph.learn(value, signal.shape)
            elif signal.shape != shape:
                raise ValueError(f"its result would have the shape {signal.shape}, not {shape}")
        return results if several else results[0]

    def _is_masked(self, node: Any) -> bool:
        """Does a node take the places of a mask, of which PyTorch does not say how many?"""
        if self.graph.operator(node) != "index":
            return False
        indices = [self.values[index] for index in node.args[1] if index is not None]
        torch = require("torch", "torch")
        return all(isinstance(i, torch.Tensor) and i.dtype == torch.bool for i in indices)

    def _emit(self, node: Any) -> Any:
        def emit(layer: Layer, sources: tuple[Signal, ...]) -> Signal:
            signal = self.record.emit("", layer, sources)
            self.nodes[signal] = node
            self.names.add(node, self.graph.operator(node), layer, signal)
            return signal

        return emit

    def title(self, signal: Signal) -> str:
        """The node that a signal was made for, as errors call it."""
        return self.graph.title(self.nodes[signal])

    def ending(self, signal: Signal) -> str:
        """The operator at the end that made a signal, as notes call it."""
        return f"the {self.graph.operator(self.nodes[signal]).strip('_')} at the end"

    def network(self, output: Signal) -> Network:
        """The network that gives `output`."""
        try:
            return self.record.network(self.graph.shapes, output, self.names.taken)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.graph.title_of_module}: {error}") from None


class _Unknown(Exception):  # noqa: N818 - it only leads to the error
    """There is no such operator in the table."""


class _Held:
    """A value in the place of a node: PyTorch's own map would look into lists of them."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _released(given: Any) -> Any:
    if isinstance(given, _Held):
        return given.value
    if isinstance(given, (list, tuple)):
        return [_released(part) for part in given]
    return given


def _numbers() -> tuple[type, ...]:
    torch = require("torch", "torch")
    return (bool, int, float, torch.SymInt, torch.SymFloat, torch.SymBool)
