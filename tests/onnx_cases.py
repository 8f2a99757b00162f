# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Cases for tests of ONNX operators: one node each."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper
from onnx_models import model, reference

import dtdcore as dtd

RNG = np.random.default_rng(11)


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def positive(*shape):
    return RNG.uniform(0.5, 2, shape).astype(np.float32)


def whole(*values):
    return np.array(values, np.int64)


def floats(*values):
    return np.array(values, np.float32)


CASES = []
#: What onnx's evaluator cannot do, or does wrong: compared with ONNX Runtime.
RUNTIME_CASES = []


def case(op, shape, *constants, opset=13, order="x", cases=CASES, **attributes):
    """One node; x comes first, or last with order="constants first"."""
    cases.append((op, shape, constants, opset, order, attributes))


image = (4, 7, 6)
# convolutions
case("Conv", image, numbers(5, 4, 3, 3))
case("Conv", image, numbers(5, 4, 3, 2), numbers(5), pads=[1, 0, 2, 1], strides=[2, 1], opset=7)
case("Conv", image, numbers(6, 2, 3, 3), group=2, dilations=[2, 1], kernel_shape=[3, 3])
case("Conv", image, numbers(4, 1, 3, 3), group=4, auto_pad="VALID", cases=RUNTIME_CASES)
case("MaxPool", image, kernel_shape=[2, 3], auto_pad="VALID")
case("Conv", image, numbers(4, 1, 3, 3), group=4)
for pad in ("SAME_UPPER", "SAME_LOWER"):
    case("Conv", image, numbers(2, 4, 4, 3), auto_pad=pad, strides=[2, 1])
    case("Conv", image, numbers(2, 4, 2, 2), auto_pad=pad)
case("Conv", (3, 9), numbers(2, 3, 4), strides=[2])
case("Conv", (2, 4, 5, 4), numbers(2, 2, 2, 3, 2), pads=[0, 1, 0, 1, 0, 1])
case("ConvTranspose", image, numbers(4, 3, 3, 3))
case("ConvTranspose", image, numbers(4, 3, 3, 2), numbers(3), strides=[2, 3], pads=[1, 0, 0, 1])
case(
    "ConvTranspose",
    image,
    numbers(4, 2, 2, 2),
    group=2,
    strides=[2, 2],
    output_padding=[1, 0],
    cases=RUNTIME_CASES,
)
case(
    "ConvTranspose",
    image,
    numbers(4, 3, 3, 3),
    strides=[2, 2],
    output_shape=[14, 12],
    cases=RUNTIME_CASES,
)
for pad in ("SAME_UPPER", "SAME_LOWER"):
    case("ConvTranspose", image, numbers(4, 3, 3, 3), strides=[2, 2], auto_pad=pad)
# dense layers
case("Gemm", (6,), numbers(6, 3), numbers(3))
case("Gemm", (6,), numbers(3, 6), numbers(1, 3), transB=1, alpha=0.5, beta=2.0, opset=9)
case("Gemm", (6,), numbers(6, 3), floats(0.5)[0])
case("Gemm", (6,), numbers(6, 3))
case("MatMul", (6,), numbers(6, 3))
case("MatMul", (5, 6), numbers(6, 3))
case("MatMul", (2, 5, 6), numbers(6, 3))
case("MatMul", (5, 6), numbers(3, 5), order="constants first")
case("MatMul", (2, 5, 6), numbers(2, 6, 3))
case("MatMul", (5, 6), numbers(6))
case("MatMul", (2, 5, 6), numbers(1, 2, 3, 5), order="constants first")
case("Einsum", (5, 6), numbers(6, 3), equation="nij,jk->nik")
case("Einsum", (5, 6), numbers(5, 3), equation="nij,ik->nkj")
# arithmetic with constants
for op in ("Add", "Sub", "Mul", "Div"):
    case(op, image, positive(4, 1, 1))
    case(op, image, positive(1, 4, 1, 1))
    case(op, image, positive(4, 7, 6))
    case(op, image, positive(6))
    case(op, image, positive(4, 1, 6))
    case(op, image, positive(7, 1))
    case(op, image, floats(0.75)[0])
    case(op, (5,), positive(5))
    case(op, (5,), positive(1, 5), opset=7)
for op in ("Add", "Sub", "Mul"):
    case(op, image, positive(4, 1, 1), order="constants first")
    case(op, image, positive(7, 6), order="constants first")
case("Sum", image, numbers(4, 1, 1), numbers(1, 4, 1, 1))
case(
    "BatchNormalization",
    image,
    positive(4),
    numbers(4),
    numbers(4),
    positive(4),
    epsilon=1e-3,
    cases=RUNTIME_CASES,
)
case("BatchNormalization", (4,), positive(4), numbers(4), numbers(4), positive(4), opset=15)
# activations
case("Relu", image)
case("LeakyRelu", image)
case("LeakyRelu", image, alpha=0.3)
case("LeakyRelu", image, alpha=-0.3)
case("PRelu", image, positive(4, 1, 1))
case("PRelu", image, positive(1))
case("PRelu", (5,), positive(5))
case("Elu", image, alpha=0.7)
case("Selu", image)
case("Selu", image, alpha=1.5, gamma=2.0)
case("Celu", image, cases=RUNTIME_CASES)
case("Celu", image, alpha=0.4, cases=RUNTIME_CASES)
case("ThresholdedRelu", image)
case("ThresholdedRelu", image, alpha=0.0)
case("ThresholdedRelu", image, alpha=-0.5)
case("Max", image, floats(0)[0])
case("Max", image, floats(0.2, 0.2, 0.2, 0.2, 0.2, 0.2), floats(0.2))
case("Min", image, floats(-0.1), order="constants first")
case("Max", image)
case("Neg", image)
case("Mean", image, numbers(4, 1, 1), numbers(1, 4, 1, 1))
case("Clip", image, floats(-0.2)[0], floats(0.6)[0])
case("Clip", image, floats(0)[0])
case("Clip", image)
case("Clip", image, min=-0.5, max=0.5, opset=10)
case("Clip", image, min=0.0, opset=7)
case("Sigmoid", image)
case("HardSigmoid", image)
case("HardSigmoid", image, alpha=0.3, beta=0.4)
case("HardSwish", image, opset=14)
case("Tanh", image)
case("LRN", (9, 3, 2), size=5, alpha=0.5, beta=0.6, bias=1.5, cases=RUNTIME_CASES)
case("Identity", image)
case("Dropout", image, opset=12)
case("Cast", image, to=TensorProto.FLOAT)
# pools
for op in ("MaxPool", "AveragePool"):
    case(op, image, kernel_shape=[3, 2])
    case(op, image, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 0, 1])
    case(op, image, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    case(op, image, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    wrong = RUNTIME_CASES if op == "MaxPool" else CASES
    case(op, image, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER", cases=wrong)
    case(op, (3, 9), kernel_shape=[3], strides=[2])
    case(op, (2, 4, 5, 4), kernel_shape=[2, 2, 2])
case("MaxPool", image, kernel_shape=[2, 2], dilations=[2, 3])
case("AveragePool", image, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
case("AveragePool", image, kernel_shape=[2, 2], dilations=[2, 2], opset=19)
case("LpPool", image, kernel_shape=[2, 2], strides=[2, 2], opset=18)
case("LpPool", image, kernel_shape=[3, 2], p=3, opset=18)
case("LpPool", image, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 2], p=1, opset=11)
for pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
    case("LpPool", image, kernel_shape=[3, 2], strides=[2, 2], auto_pad=pad, cases=RUNTIME_CASES)
more = {"kernel_shape": [3, 2], "strides": [2, 2], "dilations": [2, 1], "ceil_mode": 1}
case("LpPool", image, pads=[1, 0, 0, 1], p=3, opset=18, cases=RUNTIME_CASES, **more)
case("LpPool", (3, 9), kernel_shape=[3], p=4, opset=18)
case("LpPool", (2, 4, 5, 4), kernel_shape=[2, 2, 2], opset=18)
case("GlobalAveragePool", image)
case("GlobalMaxPool", image)
case("GlobalLpPool", image, p=3, cases=RUNTIME_CASES)
for op, opset in (("ReduceMean", 13), ("ReduceMax", 13), ("ReduceMin", 13), ("ReduceSum", 11)):
    case(op, image, axes=[2, 3], opset=opset)
    case(op, image, axes=[-1, -2], keepdims=0, opset=opset)
    case(op, image, axes=[1], opset=opset)
    case(op, (5, 6), axes=[1], keepdims=0, opset=opset)
case("ReduceSum", image, whole(2, 3), keepdims=0)
case("ReduceMean", image, whole(3), opset=18)
# shapes
case("Flatten", image)
case("Flatten", image, axis=-3)
case("Flatten", (5,))
case("Reshape", image, whole(0, 2, -1))
case("Reshape", image, whole(-1, 168))
case("Reshape", image, whole(0, 0, 42))
case("Squeeze", (4, 1, 1), axes=[2, -1], opset=11)
case("Squeeze", (4, 1, 1), whole(3))
case("Squeeze", (4, 1, 1))
case("Unsqueeze", (4,), axes=[2, 3], opset=11)
case("Unsqueeze", (4, 5), whole(1, -1))
case("Transpose", image, perm=[0, 2, 3, 1])
case("Pad", image, pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5, opset=10)
case("Pad", image, whole(0, 0, 1, 2, 0, 0, 0, 1))
case("Pad", image, whole(0, 1, 0, 0, 0, 1, 0, 0), floats(-1)[0])
case("Pad", image, whole(1, 2, 0, 1), floats(0)[0], whole(2, 3), opset=18)
case("Pad", image, whole(0, 0, -1, 2, 0, -1, 0, -2), floats(3)[0], cases=RUNTIME_CASES)
for mode in ("reflect", "edge"):
    case("Pad", image, whole(0, 0, 3, 1, 0, 1, 2, 0), mode=mode)
    case("Pad", image, pads=[0, 0, 0, 2, 0, 0, 0, 5], mode=mode, opset=10)
case("Pad", image, whole(0, 0, 3, 1, 0, 1, 2, 0), mode="wrap", opset=19)
case("Pad", image, whole(0, 0, -1, 2, 0, 0, 1, -2), mode="edge", cases=RUNTIME_CASES)
case("Slice", image, starts=[1, 0], ends=[3, 5], axes=[1, 2], opset=9)
case("Slice", image, whole(1, 0), whole(2**40, -2), whole(1, 3), whole(2, 1))
case("Slice", image, whole(-3), whole(-1), whole(2))
case("Slice", image, whole(-1), whole(-(2**40)), whole(2), whole(-1))
case("Slice", image, whole(5, 3), whole(0, -5), whole(-1, 1), whole(-2, -1))
for axis in (1, 2, -1):
    case("Gather", image, whole(2, 0, -1), axis=axis)
    case("Gather", image, np.array(-2, np.int32), axis=axis)
case("Gather", image, whole(0, 1, 1, 3).reshape(2, 2), axis=1)
case("Gather", (5,), whole(1, 2, 3), axis=1)
case("Expand", (4, 1, 1), whole(1, 4, 3, 2))
case("Expand", image, whole(1, 1, 1))
case("Expand", (1, 6), whole(5, 1))
case("Tile", image, whole(1, 2, 1, 3))
case("Tile", (4, 1), whole(1, 2, 5))
for mode in ("DCR", "CRD"):
    case("DepthToSpace", (8, 3, 2), blocksize=2, mode=mode)
case("DepthToSpace", (9, 3, 2), blocksize=3, opset=7)
case("SpaceToDepth", (2, 6, 4), blocksize=2)
case("Concat", image, axis=1)


def build(op, shape, constants, opset, order, attributes, batch="n"):
    names = [f"k{i}" for i in range(len(constants))]
    if op == "Clip" and opset >= 11 and len(names) == 1:
        names = [names[0], ""]
    ins = [*names, "x"] if order == "constants first" else ["x", *names]
    if op == "Pad" and opset >= 18 and len(ins) == 3:
        ins = [ins[0], ins[1], "", ins[2]]
    node = helper.make_node(op, ins, ["y"], "the_node", **attributes)
    given = {f"k{i}": value for i, value in enumerate(constants)}
    return model([node], shape, given, opset, batch=batch)


def compare(proto, shapes, tolerance=2e-5):
    rng = np.random.default_rng(5)
    xs = {name: rng.normal(size=(3, *shape)).astype(np.float32) for name, shape in shapes.items()}
    network = dtd.from_onnx(proto)  # verified with ONNX Runtime where there is one
    (expected,) = reference(proto, **xs)
    got = network.forward(xs if len(xs) > 1 else xs["x"])
    assert got.shape == expected.shape
    scale = max(np.abs(expected).max(), 1e-30)
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)
    return network
