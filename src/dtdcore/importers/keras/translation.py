# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""From the graph of a Keras model to the layers of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.importers.building import reshaped
from dtdcore.importers.keras.call import Call, Value
from dtdcore.importers.keras.elementwise import ONLY_TRAIN
from dtdcore.importers.keras.graph import calls, import_keras, input_shape, is_graph
from dtdcore.importers.keras.operators import operators
from dtdcore.importers.logarithms import LogSoftmax
from dtdcore.importers.record import Record, Shape, Signal
from dtdcore.importers.refusing import not_supported, with_way_out
from dtdcore.importers.windows import cut, joined
from dtdcore.layers import Sigmoid, Softmax
from dtdcore.network import Network

#: What translating a layer may raise, and what it then says.
FAILURES = (ValueError, TypeError, AttributeError, IndexError, ArithmeticError)


#: In the place of a call: not its value, but what its activation takes.
LOGITS = -1

#: Layers that do to a sequence what they do to each of its steps.
AT_ONCE = ("Dense", "Activation", "ReLU", "LeakyReLU", "ELU", *ONLY_TRAIN)

#: Layers that may be called with constants among their inputs.
WITH_CONSTANTS = ("Add", "Concatenate")


@dataclass(frozen=True)
class _Holder:
    """What has layers."""

    layers: list[Any]


@dataclass(frozen=True)
class Compared:
    """A value that a verification may compare: of which call, in words, and which signal."""

    key: tuple[int, ...]
    title: str
    signal: Signal
    order: tuple[int, ...]


class Translation:
    """The layers for a model."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.record = Record()
        self.shapes: dict[str, Shape] = {t.name: input_shape(t) for t in model.inputs}
        self.compared: list[Compared] = []
        #: For each signal the layer of Keras that it was made for, as errors call it.
        self.titles: dict[Signal, str] = {}
        self._names = set(self.shapes)
        self._operators = operators()
        self._formats = _data_formats(model)

    def run(self) -> Signal:
        """Translate all layers; gives the output."""
        if len(self.model.outputs) != 1:
            raise ValueError(_choice(self.model))
        values = {id(t): Value(Signal(t.name, self.shapes[t.name])) for t in self.model.inputs}
        signals = {value.signal for value in values.values()}
        (result,) = self._graph(self.model, values, (), "")
        if result.signal in signals:
            raise ValueError(f"the model {self.model.name!r} has no layers that compute anything")
        return Call(self.model, "output", [result], self.record, False).plain(result)

    def network(self, output: Signal) -> Network:
        """The network that gives `output`."""
        return self.record.network(self.shapes, output, self._names)

    def title(self, signal: Signal) -> str:
        """The layer of Keras that a signal was made for, as errors call it."""
        return self.titles[signal]

    def ending(self, signal: Signal) -> str:
        """The function at the end that made a signal, as notes call it."""
        kind = type(self.record.makers[signal][0]).__name__.lower().replace("log", "log_")
        return f"the {kind} at the end ({signal.name.removesuffix(f'/{kind}')})"

    def _graph(
        self, model: Any, values: dict[int, Value], path: tuple[int, ...], prefix: str
    ) -> list[Value]:
        """The outputs of a model whose inputs are in `values`, by the ids of Keras's tensors."""
        counts: dict[str, int] = {}
        for number, call in enumerate(calls(model)):
            layer = call.operation
            counts[layer.name] = counts.get(layer.name, 0) + 1
            name = prefix + layer.name
            if counts[layer.name] > 1:
                name = f"{name}_{counts[layer.name]}"
            title = f"layer {type(layer).__name__} {prefix + layer.name!r}"
            inputs = _given(call, values, title)
            key = (*path, number)
            if isinstance(layer, import_keras().Model):
                results = self._nested(layer, inputs, key, name, title)
            else:
                results = [self._layer(call, inputs, key, name, title)]
            for tensor, value in zip(call.outputs, results, strict=True):
                known = tuple(tensor.shape[1:])
                if any(
                    size not in (None, own) for size, own in zip(known, value.shape, strict=True)
                ):
                    raise ValueError(f"{title} makes {known}, translated it makes {value.shape}")
                values[id(tensor)] = value
        return [values[id(tensor)] for tensor in model.outputs]

    def _nested(
        self, model: Any, inputs: list[Value], key: Any, name: str, title: str
    ) -> list[Value]:
        if not is_graph(model):
            raise ValueError(f"{title} is a subclassed model, whose code cannot be read")
        values = {id(t): value for t, value in zip(model.inputs, inputs, strict=True)}
        return self._graph(model, values, key, f"{name}/")

    def _layer(self, node: Any, inputs: list[Any], key: Any, name: str, title: str) -> Value:
        layer = node.operation
        for option, given in node.arguments.kwargs.items():
            if option not in ("training", "inputs", "x") and given is not None:
                raise ValueError(f"{title} is called with {option}=, which is not supported")
        if self._operator(layer) is None:
            ways = self._ways(node, inputs, key)
            raise ValueError(with_way_out(self._unknown(layer, title), *ways))
        value, call = self._translated(layer, inputs, self._unused(name), title)
        activation, sources = self.record.makers.get(value.signal, (None, ()))
        own = value.signal in call.activations and len(call.emitted) > len(call.activations)
        bounded = isinstance(activation, (Sigmoid, Softmax, LogSoftmax))
        if own and bounded and hasattr(layer, "activation"):
            logits = Compared((*key, LOGITS), f"logits of the {title}", *sources, value.order)
            self.compared.append(logits)
        if call.emitted:
            self.compared.append(Compared(key, title, value.signal, value.order))
        return value

    def _operator(self, layer: Any) -> Any:
        """How a layer is translated; None where that is not known."""
        kind = type(layer).__name__
        own = getattr(import_keras().layers, kind, None) is type(layer)
        return self._operators.get(kind) if own else None

    def _unknown(self, layer: Any, title: str) -> str:
        title = f"{title} ({type(layer).__module__})"
        return not_supported(title, type(layer).__name__, self._operators.table())

    def _translated(
        self, layer: Any, inputs: list[Any], name: str, title: str
    ) -> tuple[Value, Call]:
        """The output of a layer, and the call that made it."""
        operator = self._operator(layer)
        if operator is None:
            raise ValueError(self._unknown(layer, title))
        call = Call(layer, name, inputs, self.record, self._formats == {"channels_first"})
        call.steps = lambda: self._steps(call, title)
        try:
            value = operator.translate(call)
        except FAILURES as error:
            raise ValueError(f"{title}: {str(error) or type(error).__name__}") from None
        main = [signal for signal in call.emitted if signal not in call.activations]
        if main or call.emitted:
            (main or call.emitted)[-1].name = name
            self._names.add(name)
        self.titles |= dict.fromkeys(call.emitted, title)
        return value, call

    def _steps(self, call: Call, title: str) -> Value:
        """A layer or model at each step of the first axis of a sample.

        What looks along the last axis, or at single numbers, takes all steps at once.
        """
        value, layer = call.value(), call.layer.layer
        kind = type(layer).__name__
        title = f"{title} of {kind}"
        if kind in AT_ONCE or (kind == "BatchNormalization" and layer.axis == -1):
            result, inner = self._translated(layer, [value], call.name, title)
            call.emitted, call.activations = inner.emitted, inner.activations
            return result
        plain, results = call.plain(value), []
        for step in range(value.shape[0]):
            part = cut(call, plain, 0, slice(step, step + 1))
            one = Value(reshaped(call, part, value.shape[1:]))
            name = self._unused(f"{call.name}/{step}")
            if isinstance(layer, import_keras().Model):
                compared = list(self.compared)  # what is inside has no place of its own
                (result,) = self._nested(layer, [one], (), name, title)
                self.compared = compared
            else:
                result, _ = self._translated(layer, [one], name, title)
            signal = call.plain(result)
            results.append(reshaped(call, signal, (1, *signal.shape)))
        return Value(joined(call, results, 0))

    def _ways(self, node: Any, inputs: list[Value], key: Any) -> tuple[str | None, str | None]:
        """How to import what comes before a layer, and what comes behind it."""
        before, behind = None, None
        if len(key) > 1:  # inside of a nested model
            return before, behind
        it = f"model.get_layer({node.operation.name!r})"
        if any(value.signal.name not in self.shapes for value in inputs):
            before = f"from_keras(keras.Model(model.inputs, {it}.input))"
        ends = {id(tensor) for tensor in self.model.outputs}
        if ends.isdisjoint(map(id, node.outputs)):
            behind = f"from_keras(keras.Model({it}.output, model.outputs))"
        return before, behind

    def _unused(self, name: str) -> str:
        count, base = 1, name
        while name in self._names:
            count += 1
            name = f"{base}_{count}"
        return name


def _given(call: Any, values: dict[int, Value], title: str) -> list[Any]:
    """What comes into a call: values, and constants (for layers that join) as arrays."""
    known = [values[id(tensor)] for tensor in call.input_tensors]
    keras = import_keras()
    parts = keras.tree.flatten(call.arguments.args)
    arrays = [not isinstance(part, keras.KerasTensor) and hasattr(part, "shape") for part in parts]
    kind = type(call.operation)
    unknown = getattr(keras.layers, kind.__name__, None) is not kind
    if not any(arrays) or (unknown and not isinstance(call.operation, keras.Model)):
        return known
    if kind.__name__ not in WITH_CONSTANTS:
        raise ValueError(f"{title} is called with a constant, which is not supported")
    found = []
    for part, is_array in zip(parts, arrays, strict=True):
        if not is_array:
            found.append(values[id(part)])
            continue
        array = np.asarray(keras.ops.convert_to_numpy(part))
        if array.ndim == 0 or len(array) != 1:
            raise ValueError(f"{title}: a constant must be the same for all samples: (1, ...)")
        array = array[0]
        found.append(array if array.dtype == np.float64 else array.astype(np.float32))
    return found


def _choice(model: Any) -> str:
    """What to say of a model of several outputs: one of floating-point numbers is proposed."""
    kinds = [str(tensor.dtype) for tensor in model.outputs]
    names = zip(model.outputs, kinds, strict=True)
    shown = ", ".join(f"{number}: {t.name} ({kind})" for number, (t, kind) in enumerate(names))
    good = next((number for number, kind in enumerate(kinds) if "float" in kind), 0)
    return (
        f"the model {model.name!r} has {len(kinds)} outputs ({shown}); choose one of "
        f"floating-point numbers: keras.Model(model.inputs, model.outputs[{good}])"
    )


def _data_formats(model: Any) -> set[str]:
    """The data formats of all layers that look at pixels."""
    found = set()
    for layer in model.layers:
        if isinstance(layer, import_keras().Model):
            found |= _data_formats(layer)
        elif type(layer).__name__ == "TimeDistributed":
            found |= _data_formats(_Holder([layer.layer]))
        elif type(layer).__name__ != "Flatten" and hasattr(layer, "data_format"):
            found.add(layer.data_format)
    return found
