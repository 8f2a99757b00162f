# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Small ONNX models for tests."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOAT = onnx.TensorProto.FLOAT


def model(nodes, shape, constants=None, opset=13, outputs=("y",), batch="n", inputs=None):
    """A model with the input x (batch, *shape), or several `inputs` (name -> shape)."""
    inputs = {"x": shape} if inputs is None else inputs
    constants = {} if constants is None else constants
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(k, FLOAT, [batch, *s]) for k, s in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7 if opset < 18 else 9
    )


def reference(proto, **xs):
    """The outputs, by onnx's own evaluator."""
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(proto).run(None, xs)


def small_network(opset=13):
    """Conv, Relu, MaxPool, branches with Add and Concat, BatchNormalization, Gemm, Softmax."""
    rng = np.random.default_rng(3)
    node = helper.make_node
    constants = {
        "w1": rng.normal(size=(4, 2, 3, 3)).astype(np.float32),
        "b1": rng.normal(size=4).astype(np.float32),
        "w2": rng.normal(size=(4, 4, 3, 3)).astype(np.float32),
        "s": rng.uniform(0.5, 2, 4).astype(np.float32),
        "t": rng.normal(size=4).astype(np.float32),
        "m": rng.normal(size=4).astype(np.float32),
        "v": rng.uniform(0.5, 2, 4).astype(np.float32),
        "shape": np.array([0, -1], np.int64),
        "w3": rng.normal(size=(5, 8)).astype(np.float32),
        "b3": rng.normal(size=5).astype(np.float32),
    }
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"], "relu1"),
        node("MaxPool", ["r1"], ["p1"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w2"], ["c2"], "conv2", auto_pad="SAME_UPPER"),
        node("BatchNormalization", ["c2", "s", "t", "m", "v"], ["bn"], "norm"),
        node("Add", ["bn", "p1"], ["sum"], "add"),
        node("Relu", ["sum"], ["r2"], "relu2"),
        node("Concat", ["r2", "p1"], ["cat"], "concat", axis=1),
        node("GlobalAveragePool", ["cat"], ["gap"], "gap"),
        node("Reshape", ["gap", "shape"], ["flat"], "flat"),
        node("Gemm", ["flat", "w3", "b3"], ["logits"], "dense", transB=1),
        node("Softmax", ["logits"], ["y"], "softmax", axis=1),
    ]
    return model(nodes, (2, 6, 6), constants, opset)
