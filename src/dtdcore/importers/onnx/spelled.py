# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Tensors of an ONNX graph as `Pattern` looks at them: nodes with the names of PyTorch's operators.

What exporters write for a local response norm or a pool by a norm is many nodes; the last of them
is found here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dtdcore.importers.building import above, reshaped, transposed
from dtdcore.importers.onnx.call import Call, Constant
from dtdcore.importers.patterns import Pattern
from dtdcore.importers.record import Signal
from dtdcore.importers.windows import picked

#: Gives the output of what is translated.
Translate = Callable[[Call], Signal]

#: PyTorch's names of the operators that patterns are made of.
OPERATORS = {
    "Abs": "abs",
    "Add": "add",
    "AveragePool": "avg_pool2d",
    "Div": "div",
    "Identity": "view",
    "Mul": "mul",
    "Pad": "pad",
    "Pow": "pow",
    "Relu": "relu",
    "Reshape": "reshape",
    "Sign": "sign",
    "Squeeze": "squeeze",
    "Unsqueeze": "unsqueeze",
}


class Spelled:
    """A tensor and the node that makes it; one tensor is one value."""

    kwargs: Mapping[str, Any] = {}

    def __init__(self, graph: Any, values: Mapping[str, Any], name: str) -> None:
        self._graph, self._values, self.name = graph, values, name
        number = graph.makers.get(name)
        self._node = None if number is None else graph.model.graph.node[number]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spelled) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def operator(self) -> str:
        """PyTorch's name of the operator; another text where there is none."""
        if self._node is None:
            return "input"
        if self._node.op_type == "If" and self._branches() is not None:
            return "squeeze"
        return OPERATORS.get(self._node.op_type, self._node.op_type)

    def _branches(self) -> str | None:
        """What both branches of a condition only give another shape."""
        taken = set()
        for attribute in self._node.attribute:
            nodes = [node for node in attribute.g.node if node.op_type != "Constant"]
            if len(nodes) != 1 or nodes[0].op_type not in ("Squeeze", "Identity"):
                return None
            taken.add(nodes[0].input[0])
        return taken.pop() if len(taken) == 1 else None

    @property
    def args(self) -> list[Any]:
        """What comes in, as PyTorch's operator takes it; constants of one number as numbers."""
        node, operator = self._node, self.operator
        if node.op_type == "If":
            return [self._argument(self._branches())]
        first = self._argument(node.input[0])
        if operator == "avg_pool2d":
            kernel, pads = self.integers("kernel_shape"), self.integers("pads")
            plain = [first, kernel, self.integers("strides") or [1] * len(kernel)]
            (ceil,) = self.integers("ceil_mode") or [0]
            return [*plain, pads, ceil] if ceil or any(pads) else plain
        if operator == "pad":
            widths = self.integers("pads") or self.source("Pad", 1).numbers()
            half = len(widths) // 2
            pairs = [(int(widths[i]), int(widths[half + i])) for i in range(half)]
            while pairs and pairs[0] == (0, 0):  # the first axes are not named
                pairs.pop(0)
            return [first, [width for pair in reversed(pairs) for width in pair]]
        if operator not in ("add", "div", "mul", "pow"):
            return [first]
        args = [first, self._argument(node.input[1])]
        commutes = operator in ("add", "mul") and not isinstance(first, Spelled)
        return args[::-1] if commutes else args

    @property
    def value(self) -> Any:
        """What it was translated to, if it was."""
        return self._values.get(self.name)

    def numbers(self) -> list[float]:
        """The numbers of a constant; none of anything else."""
        return list(self.value.arrays[0].reshape(-1)) if isinstance(self.value, Constant) else []

    def source(self, operator: str, index: int) -> Spelled | None:
        """What comes in, if the node is one of an ONNX operator."""
        if self._node is None or self._node.op_type != operator or index >= len(self._node.input):
            return None
        return Spelled(self._graph, self._values, self._node.input[index])

    def integers(self, name: str) -> list[int]:
        """An attribute of whole numbers."""
        return next((list(a.ints) or [a.i] for a in self._node.attribute if a.name == name), [])

    def _argument(self, name: str) -> Any:
        tensor = Spelled(self._graph, self._values, name)
        numbers = tensor.numbers()
        return float(numbers[0]) if len(numbers) == 1 else tensor


def find_spelled(graph: Any, values: Mapping[str, Any], node: Any) -> Translate | None:
    """What translates a node with all those that it ends, if together they spell out a layer."""
    last = Spelled(graph, values, node.output[0])
    for find in (_patterned, _gathered, _thresholded):
        translate = find(last)
        if translate is not None:
            return translate
    return None


def _patterned(last: Spelled) -> Translate | None:
    """The layers that PyTorch spells out itself."""
    found = Pattern(lambda tensor: tensor.operator).find(last)
    if found is None or not isinstance(found[1].value, Signal):
        return None
    layer, source = found
    return lambda call: call.emit(layer, source.value)


def _gathered(last: Spelled) -> Translate | None:
    """Constant places of several axes, which are brought to the front, taken, and brought back."""
    taken = last.source("Transpose", 0)
    front = taken.source("GatherND", 0) if taken else None
    x = front.source("Transpose", 0) if front else None
    if x is None or not isinstance(x.value, Signal):
        return None
    places = taken.source("GatherND", 1).value
    orders = [list(view.integers("perm")) for view in (front, last)]
    if (
        not isinstance(places, Constant)
        or len(places.arrays) > 1
        or any(taken.integers("batch_dims"))
    ):
        return None
    return lambda call: _take_several(call, x.value, places.arrays[0], *orders)


def _take_several(
    call: Call, x: Signal, places: np.ndarray, order: list[int], back: list[int]
) -> Signal:
    """The places (..., axes) of the first axes in an order, with its axes in another order then."""
    depth = places.shape[-1]
    axes = [axis - 1 for axis in order[:depth]]
    # What the axes hold then: axes of the places, and those of x that were not taken.
    held = [("places", i) for i in range(places.ndim - 1)] + [("x", a - 1) for a in order[depth:]]
    moved = [held[axis] for axis in back]
    if moved[0] != ("x", -1):
        raise ValueError("it moves the batch axis")
    y, labels, shape = x, [], []
    for axis, groups in sorted(zip(axes, _grid(places), strict=True)):
        index = tuple(slice(None) if i in groups else 0 for i in range(places.ndim - 1))
        y = picked(call, y, axis, places[(*index, axes.index(axis))].reshape(-1))
    for axis, size in enumerate(y.shape):
        if axis in axes:
            labels += [("places", i) for i in _grid(places)[axes.index(axis)]]
            shape += [places.shape[i] for i in _grid(places)[axes.index(axis)]]
        else:
            labels.append(("x", axis))
            shape.append(size)
    y = reshaped(call, y, tuple(shape))
    return transposed(call, y, [labels.index(axis) for axis in moved[1:]])


def _grid(places: np.ndarray) -> list[list[int]]:
    """For each number of the places the axes along which it differs: a grid, each axis for one."""
    groups: list[list[int]] = [[] for _ in range(places.shape[-1])]
    for axis in range(places.ndim - 1):
        differs = np.any(places != places.take([0], axis), axis=tuple(range(places.ndim - 1)))
        if differs.sum() > 1:
            raise ValueError("its places are no grid: not supported")
        groups[int(differs.argmax()) if differs.any() else 0].append(axis)
    return groups


def _thresholded(last: Spelled) -> Translate | None:
    """A value where x <= threshold, else x."""
    condition = last.source("Where", 0)
    x = condition.source("LessOrEqual", 0) if condition else None
    if x is None or not isinstance(x.value, Signal) or last.source("Where", 2) != x:
        return None
    threshold = condition.source("LessOrEqual", 1).numbers()
    value = last.source("Where", 1).numbers()
    if len(threshold) != 1 or len(value) != 1:
        return None
    return lambda call: above(call, x.value, float(threshold[0]), float(value[0]))
