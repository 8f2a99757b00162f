# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One node of an exported PyTorch graph, as the functions that translate operators see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dtdcore.arrays import require
from dtdcore.importers.record import Shape, Signal
from dtdcore.layers import Layer

#: What comes into a layer, by the layer that gives a signal.
Makers = dict[Signal, tuple[Layer, tuple[Signal, ...]]]


class Call:
    """A node: its arguments, by the names of the operator's schema, checked as they are asked for.

    Axes that are asked for are those of a sample; `shapes` are those of samples of its outputs.
    """

    def __init__(
        self,
        operator: str,
        arguments: dict[str, Any],
        shapes: list[Shape],
        dtype: np.dtype,
        makers: Makers,
        emit: Callable[[Layer, tuple[Signal, ...]], Signal],
    ) -> None:
        self.operator, self.shapes, self.dtype = operator, shapes, dtype
        self._arguments, self._makers, self._emit = arguments, makers, emit

    @property
    def shape(self) -> Shape:
        """The shape of a sample of the only output."""
        return self.shapes[0]

    def value(self, name: str, default: Any = None) -> Any:
        """An argument: a signal, a tensor that is constant, a number, a list of these."""
        given = self._arguments.get(name)
        return default if given is None else given

    def has(self, name: str) -> bool:
        """Is it given, and not None?"""
        return self._arguments.get(name) is not None

    @property
    def x(self) -> Signal:
        """The first argument, which must depend on the network's input."""
        return self.signal(next(iter(self._arguments)))

    def signal(self, name: str) -> Signal:
        """An argument that must depend on the network's input."""
        value = self.value(name)
        if not isinstance(value, Signal):
            raise ValueError(f"{name} must depend on the network's input, it is a constant")
        return value

    def is_signal(self, name: str) -> bool:
        """Does an argument depend on the network's input?"""
        return isinstance(self.value(name), Signal)

    def weights(self, name: str, x: Signal | None = None) -> np.ndarray:
        """A constant argument of real numbers, float32 or float64.

        With `x`, which it is to be broadcast to, it may repeat itself along the batch axis.
        """
        value = self.value(name)
        if isinstance(value, Signal) or value is None:
            raise ValueError(f"{name} must be a constant")
        if isinstance(value, (bool, int, float)):
            return np.array(value, self.dtype)
        if not hasattr(value, "is_complex"):  # PyTorch's symbol of a size, or what follows from it
            raise ValueError(f"{name} depends on the batch size")
        array = to_numpy(value, name)
        if x is not None and array.ndim == len(x.shape) + 1 and len(array) > 1:
            array = same_for_all(array, name)
        # numbers beside float32 values are float32, as PyTorch takes them
        return array.astype(self.dtype) if array.ndim == 0 else array

    def parts(self, name: str) -> list[Any]:
        """A list of signals, and of constants as arrays without the batch axis."""
        return [
            value if isinstance(value, Signal) else same_for_all(to_numpy(value, name), name)[0]
            for value in self.value(name)
        ]

    def number(self, name: str, default: float | None = None) -> float | None:
        """A constant argument of one number."""
        value = self.value(name, default)
        if value is None:
            return None
        if isinstance(value, (bool, int, float)):
            return float(value)
        array = self.weights(name)
        if array.size != 1:
            raise ValueError(f"{name} must be one number, got shape {array.shape}")
        return float(array.reshape(-1)[0])

    def flag(self, name: str, default: bool = False) -> bool:
        """True or False."""
        return bool(self.value(name, default))

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number that does not depend on the batch size."""
        value = self.value(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{name} must be a whole number, got {value}")
        return value

    def wholes(self, name: str, count: int, default: Any = None) -> tuple[int, ...]:
        """So many whole numbers; one stands for all."""
        value = self.value(name)
        value = default if value is None or value == [] else value
        numbers = tuple(value) if isinstance(value, (list, tuple)) else (value,) * count
        numbers = numbers * count if len(numbers) == 1 else numbers
        if len(numbers) != count or not all(type(number) is int for number in numbers):
            raise ValueError(f"{name} must be {count} whole numbers, got {value}")
        return numbers

    def axis(self, axis: Any, signal: Signal, end: int = 0) -> int:
        """An axis of a sample from one of the whole value; the batch axis is an error."""
        rank = len(signal.shape) + 1 + end
        if not isinstance(axis, int) or not -rank <= axis < rank:
            raise ValueError(f"there is no axis {axis} in a value with {rank} axes")
        if axis % rank == 0:
            raise ValueError("it works along the batch axis")
        return axis % rank - 1

    def maker(self, signal: Signal) -> tuple[Layer | None, tuple[Signal, ...]]:
        """The layer that gives a signal (None: it is an input), and what comes into it."""
        return self._makers.get(signal, (None, ()))

    def emit(self, layer: Layer, *sources: Signal) -> Signal:
        """Add a layer; gives its output."""
        return self._emit(layer, sources)


def same_for_all(array: np.ndarray, name: str) -> np.ndarray:
    """A constant that repeats itself along its first axis, the batch axis: once.

    Raises
    ------
    ValueError
        If it does not.
    """
    if not np.array_equal(array, np.broadcast_to(array[:1], array.shape)):
        raise ValueError(f"{name} is a constant that differs along the batch axis")
    return array[:1]


def to_numpy(tensor: Any, name: str) -> np.ndarray:
    """A constant tensor as an array of float32, or float64 if it is that.

    Raises
    ------
    ValueError
        If it does not hold real numbers, or not as a plain tensor does.
    """
    torch = require("torch", "torch")
    if tensor.is_complex() or tensor.is_quantized or tensor.layout != torch.strided:
        raise ValueError(f"{name} is a tensor of {tensor.dtype}, {tensor.layout}: not supported")
    dtype = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    return tensor.detach().to(device="cpu", dtype=dtype).numpy()
