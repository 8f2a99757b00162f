# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One node of an ONNX graph, as the functions that translate operators see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.importers.record import Record, Signal
from dtdcore.layers import Layer

#: Batch sizes with which what depends on the batch size is computed: two, to see how it depends.
BATCHES = (2, 3)

#: What attributes hold, by the number that ONNX gives to the type.
FLOAT, INT, STRING, FLOATS, INTS = 1, 2, 3, 6, 7


@dataclass(eq=False)
class Constant:
    """A value that does not depend on the input.

    One array, or, if it depends on the batch size, one for each of `BATCHES`.
    """

    arrays: tuple[np.ndarray, ...]


class Call:
    """A node: its inputs and attributes, checked as they are asked for."""

    def __init__(
        self,
        node: Any,
        attributes: dict[str, Any],
        opset: int,
        values: dict[str, Signal | Constant],
        batch: int | None,
        record: Record,
        used: set[str],
        double: bool,
    ) -> None:
        self.operator, self.opset, self.batch = node.op_type, opset, batch
        self._node, self._attributes = node, attributes
        self._values, self._record, self._used = values, record, used
        #: Of the numbers that attributes give: float64 where there is such a number in the model.
        self.dtype = np.dtype(np.float64 if double else np.float32)

    # attributes

    def _attribute(self, name: str, kind: int, default: Any) -> Any:
        attribute = self._attributes.get(name)
        if attribute is None:
            return default
        if attribute.type != kind:
            raise ValueError(f"attribute {name} has the type {attribute.type}, expected {kind}")
        return attribute

    def integer(self, name: str, default: int | None = None) -> int | None:
        """A whole number."""
        attribute = self._attribute(name, INT, None)
        return default if attribute is None else int(attribute.i)

    def number(self, name: str, default: float | None = None) -> float | None:
        """A number, which is a float32, and 0.10000000149 in the arithmetic of float64.

        Where all is float32 it is the shortest decimal that is the same there: 0.1.
        """
        attribute = self._attribute(name, FLOAT, None)
        if attribute is None and default is None:
            return None
        single = np.float32(default if attribute is None else attribute.f)
        return float(single if self.dtype == np.float64 else str(single))

    def text(self, name: str, default: str) -> str:
        """A text."""
        attribute = self._attribute(name, STRING, None)
        return default if attribute is None else attribute.s.decode("utf-8", "replace")

    def integers(self, name: str, default: Any = None) -> Any:
        """A tuple of whole numbers."""
        attribute = self._attribute(name, INTS, None)
        return default if attribute is None else tuple(int(value) for value in attribute.ints)

    def numbers(self, name: str) -> Any:
        """A tuple of numbers."""
        attribute = self._attribute(name, FLOATS, None)
        return None if attribute is None else tuple(float(value) for value in attribute.floats)

    # inputs

    @property
    def count(self) -> int:
        """How many inputs there are."""
        return len(self._node.input)

    def has(self, index: int) -> bool:
        """Is there an input of this number? (An empty name says no.)"""
        return index < len(self._node.input) and self._node.input[index] != ""

    def value(self, index: int) -> Signal | Constant:
        """What comes in."""
        if not self.has(index):
            raise ValueError(f"input {index} is missing")
        return self._values[self._node.input[index]]

    def signal(self, index: int = 0) -> Signal:
        """An input that must depend on the network's input."""
        value = self.value(index)
        if not isinstance(value, Signal):
            raise ValueError(f"input {index} must depend on the network's input, it is a constant")
        return value

    def constants(self, index: int) -> tuple[np.ndarray, ...]:
        """A constant input, as one array or, if it depends on the batch size, two."""
        value = self.value(index)
        if not isinstance(value, Constant):
            raise ValueError(f"input {index} ({self._node.input[index]}) must be a constant")
        return value.arrays

    def constant(self, index: int) -> np.ndarray:
        """A constant input."""
        arrays = self.constants(index)
        if len(arrays) > 1:
            raise ValueError(f"input {index} depends on the batch size")
        return arrays[0]

    def weights(self, index: int) -> np.ndarray:
        """A constant input of real numbers, float32 or float64.

        One that repeats itself along the batch axis, whatever its size, is taken once.
        """
        arrays = self.constants(index)
        array = arrays[0]
        if len(arrays) > 1:
            array = arrays[0][:1] if arrays[0].ndim else arrays[0]
            sizes = [part.shape[:1] for part in arrays]
            if sizes != [(size,) for size in BATCHES] or not all(
                np.array_equal(part, np.broadcast_to(array, part.shape)) for part in arrays
            ):
                raise ValueError(f"input {index} depends on the batch size")
        return self._real(array, index)

    @staticmethod
    def _real(array: np.ndarray, index: int) -> np.ndarray:
        if array.dtype == np.float64:
            return array
        if array.dtype.kind not in "fiu":
            raise ValueError(f"input {index} must hold numbers, got {array.dtype}")
        with np.errstate(over="ignore"):
            return array.astype(np.float32)

    def part(self, index: int) -> Signal | np.ndarray:
        """An input, if it is a constant without the batch axis, along which it repeats itself."""
        if isinstance(self.value(index), Signal):
            return self.signal(index)
        samples = []
        for array in self.constants(index):
            if array.ndim == 0 or not len(array) or np.any(array != array[:1]):
                raise ValueError(f"input {index} is a constant that differs along the batch axis")
            samples.append(array[0])
        if any(not np.array_equal(sample, samples[0]) for sample in samples):
            raise ValueError(f"input {index} depends on the batch size")
        return self._real(samples[0], index)

    def whole(self, index: int) -> tuple[int, ...]:
        """A constant input of whole numbers, as a tuple."""
        array = self.constant(index)
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise ValueError(f"input {index} must be a list of whole numbers")
        return tuple(int(number) for number in array.reshape(-1))

    def sizes(self, index: int) -> tuple[int | None, ...]:
        """A constant input of whole numbers; None in front for the batch size, where it is that."""
        arrays = self.constants(index)
        if len(arrays) == 1:
            return self.whole(index)
        rest = [array[1:] for array in arrays]
        if tuple(int(array[0]) for array in arrays) != BATCHES or not np.array_equal(*rest):
            raise ValueError(f"input {index} mixes the batch size with others")
        return (None, *(int(size) for size in rest[0]))

    def scalar(self, index: int) -> float | None:
        """A constant input of one number; None where it is missing."""
        if not self.has(index):
            return None
        array = self.weights(index)
        if array.size != 1:
            raise ValueError(f"input {index} must be one number, got shape {array.shape}")
        return float(str(array.reshape(-1)[0]))

    def axes(self, index: int, last_with_attribute: int) -> tuple[int, ...] | None:
        """Axes, an attribute up to some opset, an input later; None where nothing is said."""
        if self.opset <= last_with_attribute:
            return self.integers("axes")
        return self.whole(index) if self.has(index) else None

    def axis(self, axis: int, signal: Signal, end: int = 0) -> int:
        """An axis of a sample from one of the whole value; the batch axis is an error."""
        rank = len(signal.shape) + 1 + end
        if not -rank <= axis < rank:
            raise ValueError(f"there is no axis {axis} in a value with {rank} axes")
        if axis % rank == 0:
            raise ValueError("it works along the batch axis")
        return axis % rank - 1

    # outputs

    def uses(self, index: int) -> bool:
        """Does anybody use the output of this number?"""
        return index < len(self._node.output) and self._node.output[index] in self._used

    @property
    def outputs(self) -> int:
        """How many outputs there are."""
        return len(self._node.output)

    def only_first(self) -> None:
        """Raise a ValueError if outputs beyond the first are used."""
        for index in range(1, self.outputs):
            if self.uses(index):
                raise ValueError(f"its output {self._node.output[index]!r} is not supported")

    def maker(self, signal: Signal) -> tuple[Layer | None, tuple[Signal, ...]]:
        """The layer that gives a signal (None: it is an input), and what comes into it."""
        return self._record.makers.get(signal, (None, ()))

    def emit(self, layer: Layer, *sources: Signal) -> Signal:
        """Add a layer; gives its output. The last one of a node is named after the node's."""
        name = f"{self._node.output[0]}:{type(layer).__name__.lower()}"
        return self._record.emit(name, layer, sources)
