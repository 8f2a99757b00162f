# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One call of a Keras layer, as the functions that translate layers see it.

Images are channels first in dtdcore, and mostly channels last in Keras. A `Value` is one array as
Keras has it, and may be held by several signals, each with its axes in another order. A layer asks
for the order that it needs; most take the one that there is. So numbers are transposed where an
order is needed that nobody has made yet, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dtdcore.importers.keras.graph import import_keras
from dtdcore.importers.record import Record, Shape, Signal
from dtdcore.layers import Layer, Reshape, Transpose

#: For each axis of a signal the axis of a sample, as Keras has it, that it is.
Order = tuple[int, ...]


class Value:
    """A value of a Keras model: `shape` is that of one sample, as Keras has it."""

    def __init__(self, signal: Signal, order: Sequence[int] | None = None) -> None:
        order = tuple(range(len(signal.shape))) if order is None else tuple(order)
        sizes = dict(zip(order, signal.shape, strict=True))
        self.shape: Shape = tuple(sizes[axis] for axis in range(len(order)))
        #: The order in which the value was made.
        self.order: Order = order
        self.signals: dict[Order, Signal] = {order: signal}

    @property
    def signal(self) -> Signal:
        """The value in the order in which it was made."""
        return self.signals[self.order]

    def permuted(self, axes: Sequence[int]) -> Value:
        """The value whose axis j is axis axes[j] of this one: the same signals."""
        result = Value(self.signal, [list(axes).index(axis) for axis in self.order])
        for order, signal in self.signals.items():
            result.signals[tuple(list(axes).index(axis) for axis in order)] = signal
        return result


class Call:
    """A layer that is called: its arguments and weights, its inputs in the order needed."""

    def __init__(
        self,
        layer: Any,
        name: str,
        inputs: list[Value],
        record: Record,
        channels_first: bool,
    ) -> None:
        self.layer, self.name, self.inputs, self._record = layer, name, inputs, record
        #: Are the images of the model channels first? (Some layers do not say it.)
        self.channels_first = channels_first
        #: Gives the output of the layer inside of this one at each step.
        self.steps: Callable[[], Value] | None = None
        #: The outputs of the layers added so far, and those of them that are activations.
        self.emitted: list[Signal] = []
        self.activations: set[Signal] = set()
        #: What the next layers are called, behind the name of the Keras layer.
        self.suffix = ""
        #: Are the next layers the activation of what was added?
        self.activating = False

    # the layer

    def option(self, name: str, default: Any = None) -> Any:
        """An attribute of the layer."""
        return getattr(self.layer, name, default)

    def array(self, name: str) -> np.ndarray | None:
        """Weights as float32 or float64; None if there are none."""
        weights = getattr(self.layer, name, None)
        if weights is None:
            return None
        weights = getattr(weights, "value", weights)  # of a variable its tensor
        array = np.asarray(import_keras().ops.convert_to_numpy(weights))
        if array.dtype == np.float64:
            return array
        if array.dtype.kind not in "fV" and array.dtype.name != "bfloat16":
            raise ValueError(f"its {name} are {array.dtype}: quantised layers are not supported")
        return array.astype(np.float32)

    def constant(self, numbers: Any) -> np.ndarray:
        """Numbers in float64 where the layer computes in it, else in float32."""
        if self.option("compute_dtype") != "float64":
            return np.asarray(numbers, np.float32)
        ops = import_keras().ops
        # In the backend's precision: JAX may have no float64, and warns if asked for it.
        return np.asarray(ops.convert_to_numpy(ops.convert_to_tensor(np.array(numbers, float))))

    def inside(self, layer: Any, value: Value) -> Call:
        """The call of a layer that is the activation of this one."""
        call = Call(layer, self.name, [value], self._record, self.channels_first)
        call.emitted, call.activations = self.emitted, self.activations
        call.activating = True
        return call

    @property
    def channel_axis(self) -> int:
        """The axis of the channels, of a sample as Keras has it."""
        first = self.option("data_format", "channels_last") == "channels_first"
        return 0 if first else len(self.value().shape) - 1

    def home_axis(self, rank: int) -> int:
        """The axis of the channels where the layer does not say which one it is."""
        return 0 if self.channels_first else rank - 1

    def axis(self, axis: int, value: Value) -> int:
        """An axis of a sample from one of the whole value; the batch axis is an error."""
        rank = len(value.shape) + 1
        if not -rank <= axis < rank or axis % rank == 0:
            raise ValueError(f"axis={axis} is the batch axis or none of {rank} axes")
        return axis % rank - 1

    # inputs

    def value(self) -> Value:
        """The only input."""
        if len(self.inputs) != 1:
            raise ValueError(f"it takes one input, got {len(self.inputs)}")
        return self.inputs[0]

    def ordered(self, value: Value, order: Sequence[int]) -> Signal:
        """A value with its axes in an order."""
        order = tuple(order)
        signal = value.signals.get(order)
        if signal is None:
            own = value.signal
            axes = [value.order.index(axis) for axis in order]
            wide = [axis for axis in axes if own.shape[axis] > 1]
            shape = tuple(own.shape[axis] for axis in axes)
            alike = wide == sorted(wide)  # only axes of the size 1 move
            layer = Reshape(shape) if alike else Transpose(axes)
            kind = "reshape" if alike else "transpose"
            signal = self._record.emit(f"{own.name}/{kind}", layer, [own])
            value.signals[order] = signal
        return signal

    def counted(self, value: Value, order: Sequence[int]) -> Signal:
        """A value whose numbers come in the order of these axes, whatever its shape."""
        wide = [axis for axis in value.order if value.shape[axis] > 1]
        if wide == [axis for axis in order if value.shape[axis] > 1]:
            return value.signal
        return self.ordered(value, order)

    def plain(self, value: Value) -> Signal:
        """A value as Keras has it."""
        return self.ordered(value, range(len(value.shape)))

    def led(self, value: Value, axis: int) -> tuple[Signal, Order]:
        """A value with an axis at the front, the others as Keras has them; and the order."""
        order = (axis, *(other for other in range(len(value.shape)) if other != axis))
        return self.ordered(value, order), order

    def image(self) -> tuple[Signal, Order]:
        """The only input with its channels first, and the order of its axes."""
        value = self.value()
        if len(value.shape) not in (2, 3, 4):
            raise ValueError(f"samples of shape {value.shape} are no images")
        return self.led(value, self.channel_axis)

    def together(self) -> tuple[list[Signal], Order]:
        """All inputs in one order: the first that is not as Keras has it, so channels first."""
        if len({len(value.shape) for value in self.inputs}) > 1:
            raise ValueError("its inputs must have the same number of axes")
        plain = tuple(range(len(self.inputs[0].shape)))
        orders = [value.order for value in self.inputs if value.order != plain]
        order = orders[0] if orders else plain
        return [self.ordered(value, order) for value in self.inputs], order

    # outputs

    def emit(self, layer: Layer, *sources: Signal) -> Signal:
        """Add a layer; gives its output. The last one gets the name of the Keras layer."""
        name = f"{self.name}/{self.suffix or type(layer).__name__.lower()}"
        signal = self._record.emit(name, layer, sources)
        self.emitted.append(signal)
        if self.activating:
            self.activations.add(signal)
        return signal

    def maker(self, signal: Signal) -> tuple[Layer | None, tuple[Signal, ...]]:
        """The layer that gives a signal (None: it is an input), and what comes into it."""
        return self._record.makers.get(signal, (None, ()))
