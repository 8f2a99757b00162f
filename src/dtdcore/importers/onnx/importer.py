# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks from ONNX models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dtdcore.arrays import check_count
from dtdcore.importers.notes import ending_notes
from dtdcore.importers.onnx.file import import_onnx, read_model
from dtdcore.importers.onnx.graph import Graph, Translation
from dtdcore.importers.onnx.outputs import find_output
from dtdcore.importers.onnx.verify import verify_network
from dtdcore.importers.record import LARGEST_VALUE, Shape
from dtdcore.importers.tails import Tail
from dtdcore.network import Network


def from_onnx(
    model: Any,
    inputs: str | Iterable[str] | Mapping[str, Iterable[int]] | None = None,
    outputs: str | Iterable[str] | None = None,
    verify: bool = True,
) -> Network:
    """The network in an ONNX model.

    Layers are named after the tensors that they make. The network takes batches of any size, also
    where the file fixes one. A softmax at the end is left out, with what only chooses or scales its
    numbers, so that explanations start at the logits; `network.notes` and `network.summary()` say
    so. A sigmoid there is kept, and said; but (1 - p, p) becomes minus the logit and the logit.

    Parameters
    ----------
    model : path or onnx.ModelProto
        Opsets from 7 on. Weights outside of the file are read from the file's own folder only.
    inputs : name, names, or dict name -> shape of one sample, optional
        Tensors that are the network's inputs; those of the model by default. Shapes are needed
        where the file leaves a size open.
    outputs : name, optional
        The tensor that is the network's output, of floating-point numbers; that of the model by
        default. A softmax that is named here is the end of the network like any other.
    verify : bool
        Compare the network's forward pass with ONNX Runtime's, if that is installed, on random
        inputs: numbers of a tensor may differ by 1e-4 of its largest absolute number (1e-9 in
        models of float64, 0.02 in those of float16, which are imported as float32).
        `network.notes` says if ONNX Runtime is not installed.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If the file is damaged, has an operator (or a kind of it) that is not supported, naming
        file, node and operator, or if the verification fails, naming the first tensor that differs.
    FileNotFoundError
        If there is no such file.
    ImportError
        If the package onnx is missing (extra `dtdcore[onnx]`).
    """
    onnx = import_onnx()
    if isinstance(model, onnx.ModelProto):
        file = "the model"
    elif isinstance(model, (str, os.PathLike)):
        file, model = str(Path(model)), read_model(model)
    else:
        raise TypeError(f"model must be a path or an onnx.ModelProto, got {type(model).__name__}")
    graph = Graph(model, file)
    output = find_output(graph, outputs)
    shapes, batch = _find_inputs(graph, inputs, output)
    translation = Translation(graph, shapes, batch)
    tail = Tail(translation.record, translation.run(output))
    tail.check(translation.title)
    network = translation.network(shapes, tail.output)
    verified = verify_network(network, translation, shapes, batch, tail.starts) if verify else []
    if tail.left_out:
        network = translation.network(shapes, tail.reduced())
    notes = tail.notes(translation.ending)
    notes += ending_notes(network, "outputs={before!r} starts before it")
    network.notes = (*notes, *verified)
    network.producer = graph.model.producer_name
    return network


def _find_inputs(graph: Graph, inputs: Any, output: str) -> tuple[dict[str, Shape], int | None]:
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
            shapes[name] = tuple(check_count(size, f"inputs[{name!r}]", 1) for size in given[name])
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


def _stated_shape(graph: Graph, name: str, stated: Any) -> Shape:
    if not stated or None in stated[1:] or min(stated[1:], default=1) < 1:
        text = "nothing" if stated is None else f"{tuple('?' if s is None else s for s in stated)}"
        raise ValueError(
            f"{graph.file}: the file says {text} about the shape of the input {name!r} (batch axis "
            f"first); give that of one sample, such as inputs={{{name!r}: (3, 224, 224)}}"
        )
    return tuple(stated[1:])


def _computed_shape(graph: Graph, name: str) -> Shape:
    """The shape of a tensor inside the model, by translating what makes it."""
    shapes, batch = _find_inputs(graph, None, name)
    return Translation(graph, shapes, batch).run(name).shape


def _needed(graph: Graph, output: str) -> list[str]:
    """The inputs of the model that a tensor depends on, in the model's order."""
    if output in graph.inputs:
        return [output]
    nodes = graph.model.graph.node
    used = {n for number in graph.order([output], graph.inputs) for n in nodes[number].input}
    return [name for name in graph.inputs if name in used]
