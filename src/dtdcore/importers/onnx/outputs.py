# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Which tensor of an ONNX model is the output of the network."""

from __future__ import annotations

from typing import Any

from dtdcore.importers.onnx.file import import_onnx
from dtdcore.importers.onnx.graph import Graph

#: TensorProto.DataType of float32, float16, float64, bfloat16.
FLOATS = (1, 10, 11, 16)

#: At most so many outputs are listed in an error.
LISTED = 8


def find_output(graph: Graph, outputs: Any) -> str:
    """The output: the model's only one, or the one that `outputs` names.

    Raises
    ------
    ValueError
        If there are several, naming those that hold floating-point numbers, or the one named does
        not hold any, naming the tensor that it is made from.
    """
    if outputs is None:
        names = [output.name for output in graph.model.graph.output]
        if not names:
            raise ValueError(f"{graph.file}: the model has no output")
        if len(names) > 1:
            raise ValueError(f"{graph.file}: {_choice(graph, names)}")
        if names[0] not in graph.makers and names[0] not in graph.inputs:
            raise ValueError(f"{graph.file}: nobody makes the output {names[0]!r}")
        return _checked(graph, names[0], "the output of the model is")
    names = [outputs] if isinstance(outputs, str) else list(outputs)
    if len(names) != 1:
        raise ValueError(f"outputs must name one tensor, got {names}")
    return _checked(graph, graph.check_tensor(names[0], "outputs"), "outputs names")


def _checked(graph: Graph, name: str, what: str) -> str:
    """The name of a tensor, or an error where one of floating-point numbers should be taken."""
    if _is_float(graph, name) is not False:
        return name
    better = _float_before(graph, name)
    if better is None:  # the translation says why
        return name
    raise ValueError(
        f"{graph.file}: {what} {name!r} ({_described(graph, name)}), which is no tensor of "
        "floating-point numbers, so that there is nothing to explain; take the one that it is made "
        f"from, outputs={better!r}"
    )


def _choice(graph: Graph, names: list[str]) -> str:
    """What to say of several outputs."""
    more = ", ..." if len(names) > LISTED else ""
    text = f"the model has the outputs {', '.join(names[:LISTED])}{more}; "
    kinds = "; ".join(f"{name}: {_described(graph, name)}" for name in names[:LISTED])
    good = [name for name in names if _is_float(graph, name) is not False]
    behind = [_float_before(graph, name) for name in names if name not in good]
    good += [name for name in behind if name is not None]
    good = list(dict.fromkeys(good))[:LISTED]
    if not good:
        return f"{text}none of them holds floating-point numbers, as explanations need ({kinds})"
    ways = " or ".join(f"outputs={name!r}" for name in good)
    return f"{text}choose one of floating-point numbers, {ways} ({kinds})"


def _kind(graph: Graph, name: str) -> int | str:
    """The type of a tensor's numbers, as ONNX counts types (0: unknown), or "sequence" or "map"."""
    for info in graph.model.graph.output:
        if info.name == name:
            form = info.type.WhichOneof("value") or "tensor_type"
            if form != "tensor_type":
                return form.removesuffix("_type")
            if info.type.tensor_type.elem_type:
                return info.type.tensor_type.elem_type
    return graph.kind(name)


def _is_float(graph: Graph, name: str) -> bool | None:
    """Does a tensor hold floating-point numbers? None if that cannot be told."""
    kind = _kind(graph, name)
    return None if kind == 0 else kind in FLOATS


def _described(graph: Graph, name: str) -> str:
    """A tensor, with what it holds and who makes it."""
    kind = _kind(graph, name)
    if kind == 0:
        text = "something"
    elif isinstance(kind, str):
        text = f"a {kind}"
    else:
        text = import_onnx().TensorProto.DataType.Name(kind).lower()
        text = {"float": "float32", "double": "float64", "string": "texts"}.get(text, text)
    maker = graph.makers.get(name)
    operator = "" if maker is None else f", made by {graph.model.graph.node[maker].op_type}"
    return text + operator


def _float_before(graph: Graph, name: str) -> str | None:
    """The nearest tensor of floating-point numbers that another is made from, if there is one."""
    todo, seen = [name], {name}
    while todo:
        number = graph.makers.get(todo.pop(0))
        if number is None:
            continue
        node = graph.model.graph.node[number]
        near = [n for n in (*node.output, *node.input) if n in graph.makers and n not in seen]
        for one in near:
            if _is_float(graph, one) and not _is_constant(graph, one):
                return one
        todo += near
        seen.update(near)
    return None


def _is_constant(graph: Graph, name: str) -> bool:
    """Does a tensor depend on no input?"""
    todo, seen = [name], {name}
    while todo:
        one = todo.pop()
        if one in graph.inputs:
            return False
        number = graph.makers.get(one)
        if number is not None:
            before = set(graph.model.graph.node[number].input) - seen
            seen |= before
            todo += before
    return True
