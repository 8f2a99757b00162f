# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks from ONNX models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dtdcore.importers.notes import ending_notes
from dtdcore.importers.onnx.file import import_onnx, read_model
from dtdcore.importers.onnx.graph import Graph, Translation
from dtdcore.importers.onnx.inputs import find_inputs, fix_settings
from dtdcore.importers.onnx.outputs import find_output
from dtdcore.importers.onnx.verify import verify_network
from dtdcore.importers.tails import Tail
from dtdcore.network import Network


def from_onnx(
    model: Any,
    inputs: str | Iterable[str] | Mapping[str, Any] | None = None,
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
    inputs : name, names, or dict name -> shape or value, optional
        Tensors that are the network's inputs; those of the model by default. In a dict a tuple (or
        list) is the shape of one sample, needed where the file leaves a size open. A number or an
        array is a setting: it fixes an input of the model as a constant, in the model's dtype, as
        in `inputs={"x": (16, 512), "sr": 16000}`. With settings alone the others stay as they are.
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
    shapes, batch = find_inputs(graph, fix_settings(graph, inputs), output)
    translation = Translation(graph, shapes, batch)
    tail = Tail(translation.record, translation.run(output))
    tail.check(translation.title)
    network = translation.network(shapes, tail.output)
    verified = verify_network(network, translation, shapes, batch, tail.starts) if verify else []
    if tail.left_out:
        network = translation.network(shapes, tail.reduced())
    notes = tail.notes(translation.ending)
    notes += ending_notes(network, "outputs={before!r} starts before it")
    network.notes = (*graph.notes, *notes, *verified)
    network.producer = graph.model.producer_name
    return network
