# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The inputs of a network from an ONNX model: their shapes, and those that are settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dtdcore.arrays import check_count
from dtdcore.importers.onnx.file import import_onnx
from dtdcore.importers.onnx.graph import Graph, Translation
from dtdcore.importers.record import LARGEST_VALUE, Shape


def fix_settings(graph: Graph, inputs: Any) -> Any:
    """Make inputs that are given as numbers or arrays constants; gives the others."""
    if not isinstance(inputs, Mapping):
        return inputs
    settings = {name: value for name, value in inputs.items() if _is_setting(value)}
    for name, value in settings.items():
        graph.fix(name, _setting(graph, name, value))
    others = {name: value for name, value in inputs.items() if name not in settings}
    return others or None if settings else others


def _is_setting(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.generic, np.ndarray))


def _setting(graph: Graph, name: str, value: Any) -> np.ndarray:
    """A number or an array in the dtype and shape that the model states for an input."""
    what, info = f"inputs[{name!r}]", graph.listed.get(name)
    if info is None:
        raise ValueError(
            f"{graph.file}: {what} fixes a value, but {name!r} is no input of the model; its "
            f"inputs are {', '.join(graph.inputs)}"
        )
    array = np.asarray(value)
    tensor_type = info.type.tensor_type
    try:
        dtype = np.dtype(import_onnx().helper.tensor_dtype_to_np_dtype(tensor_type.elem_type))
    except (KeyError, TypeError):
        raise ValueError(f"{graph.file}: {what}: the input holds no numbers") from None
    with np.errstate(all="ignore"):
        exact = array.dtype.kind in "biuf" and dtype.kind in "biuf"
        cast = array.astype(dtype) if exact else array
    whole = array.dtype.kind == "f" and dtype.kind == "f"  # to fewer digits
    if not exact or not (whole or np.array_equal(cast, array)) or not np.all(np.isfinite(cast)):
        raise ValueError(f"{graph.file}: {what} must hold numbers of {dtype}, got {value!r}")
    if not tensor_type.HasField("shape"):
        return cast
    stated = [d.dim_value if d.HasField("dim_value") else None for d in tensor_type.shape.dim]
    if cast.ndim == 0 and None not in stated:
        return np.full(stated, cast)
    sizes = zip(stated, cast.shape, strict=False)
    if len(stated) != cast.ndim or any(size not in (None, own) for size, own in sizes):
        shape = tuple("?" if size is None else size for size in stated)
        raise ValueError(
            f"{graph.file}: {what} is an array, which fixes the input, of the shape {shape}; got "
            f"{cast.shape}. The shape of one sample is written as a tuple: (3, 224, 224)"
        )
    return cast


def find_inputs(graph: Graph, inputs: Any, output: str) -> tuple[dict[str, Shape], int | None]:
    """The shapes of the inputs by name, and the batch size that the file fixes, if it does."""
    given: dict[str, Any] = {}
    if inputs is None:
        names = _needed(graph, output)
    else:
        names = [inputs] if isinstance(inputs, str) else list(inputs)
        names = [graph.check_tensor(name, "inputs") for name in names]
        given = dict(inputs) if isinstance(inputs, Mapping) else {}
    if not names:
        raise ValueError(f"{graph.file}: the output {output!r} does not depend on any input")
    shapes, batches = {}, set()
    for name in names:
        stated = graph.stated_shape(name)
        if stated is not None:
            batches.add(stated[0] if stated and (stated[0] or 0) > 0 else None)  # -1: open, too
        if name in given:
            shapes[name] = _given_shape(graph, name, given[name], stated)
        elif name in graph.makers and (stated is None or None in stated[1:]):
            shapes[name] = _computed_shape(graph, name)
        else:
            shapes[name] = _stated_shape(graph, name, stated)
        size = 1
        for part in shapes[name]:
            size *= part
        if size > LARGEST_VALUE:
            raise ValueError(f"{graph.file}: input {name!r} has the shape {shapes[name]}")
    return shapes, batches.pop() if len(batches) == 1 else None


def _given_shape(graph: Graph, name: str, shape: Any, stated: Any) -> Shape:
    """A tuple or list: the shape of one sample."""
    what = f"inputs[{name!r}]"
    if isinstance(shape, str) or not isinstance(shape, (tuple, list)):
        raise TypeError(
            f"{what} must be the shape of one sample, such as (3, 224, 224), or a number or an "
            f"array that fixes the input; got {shape!r}"
        )
    if not all(isinstance(size, (int, np.integer)) for size in shape):
        raise ValueError(
            f"{what} must be the whole numbers of a shape (a value that fixes the input is a "
            f"number or a NumPy array), got {shape!r}"
        )
    shape = tuple(check_count(size, what, 1) for size in shape)
    if stated is not None and len(stated) < 2 and len(shape) + 1 != len(stated):
        raise ValueError(
            f"{graph.file}: {what} is {shape}, a shape, but the input is no batch of samples: it "
            f"has {len(stated)} axes. A value that fixes it is a number or an array, such as "
            f"inputs={{{name!r}: 16000}}"
        )
    return shape


def _stated_shape(graph: Graph, name: str, stated: Any) -> Shape:
    if stated is not None and not stated:
        raise ValueError(
            f"{graph.file}: the input {name!r} is one number, no batch of samples. If it is a "
            f"setting, fix it: inputs={{{name!r}: 16000}}"
        )
    if not stated or None in stated[1:] or min(stated[1:], default=1) < 1:
        text = "nothing" if stated is None else f"{tuple('?' if s is None else s for s in stated)}"
        raise ValueError(
            f"{graph.file}: the file says {text} about the shape of the input {name!r} (batch axis "
            f"first); give that of one sample, such as inputs={{{name!r}: (3, 224, 224)}}"
        )
    return tuple(stated[1:])


def _computed_shape(graph: Graph, name: str) -> Shape:
    """The shape of a tensor inside the model, by translating what makes it."""
    shapes, batch = find_inputs(graph, None, name)
    return Translation(graph, shapes, batch).run(name).shape


def _needed(graph: Graph, output: str) -> list[str]:
    """The inputs of the model that a tensor depends on, in the model's order."""
    if output in graph.inputs:
        return [output]
    nodes = graph.model.graph.node
    used = {n for number in graph.order([output], graph.inputs) for n in nodes[number].input}
    return [name for name in graph.inputs if name in used]
