# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""An ONNX model from items, BatchNorm kept: what to merge is up to the runtime."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo.items import Item

OPSET, IR_VERSION = 13, 8  # every ONNX Runtime of these years reads them


def to_onnx(items: list[Item], side: int, channels: int = 3) -> onnx.ModelProto:
    """A model with input "input" (n, channels, side, side) and one output (n, classes)."""
    nodes, initializers = [], []
    for item in items:
        names = {key: f"{item.name}.{key}" for key in item.arrays}
        initializers += [numpy_helper.from_array(item.arrays[key], names[key]) for key in names]
        kind, arrays, attributes = _operator(item)
        inputs = [*item.sources, *(names[key] for key in arrays)]
        nodes.append(helper.make_node(kind, inputs, [item.name], item.name, **attributes))
    x = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", channels, side, side])
    classes = items[-1].arrays["weight"].shape[0]
    y = helper.make_tensor_value_info(items[-1].name, TensorProto.FLOAT, ["n", classes])
    graph = helper.make_graph(nodes, "net", [x], [y], initializers)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)


def _operator(item: Item) -> tuple[str, list[str], dict]:
    options = item.options
    match item.kind:
        case "conv":
            attributes = {
                "strides": [options["stride"]] * 2,
                "pads": [options["padding"]] * 4,
                "group": options["groups"],
            }
            return "Conv", list(item.arrays), attributes
        case "batchnorm":
            arrays = ["weight", "bias", "mean", "variance"]
            return "BatchNormalization", arrays, {"epsilon": options["epsilon"]}
        case "dense":
            return "Gemm", ["weight", "bias"], {"transB": 1}
        case "maxpool":
            attributes = {
                "kernel_shape": [options["size"]] * 2,
                "strides": [options["stride"]] * 2,
                "pads": [options["padding"]] * 4,
                "ceil_mode": int(options["ceil"]),
            }
            return "MaxPool", [], attributes
        case "lrn":
            attributes = {name: options[name] for name in ("size", "alpha", "beta")}
            return "LRN", [], attributes | {"bias": options["k"]}
        case "relu":
            return "Relu", [], {}
        case "globalpool":
            return "GlobalAveragePool", [], {}
        case "add":
            return "Add", [], {}
        case "concat":
            return "Concat", [], {"axis": 1}
        case "flatten":
            return "Flatten", [], {}
    raise ValueError(f"unknown kind {item.kind} of {item.name}")
