# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Each ONNX operator in a small model: the import computes what onnx's own evaluator computes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import TensorProto, helper
from onnx_models import model, reference

import dtdcore as dtd
from dtdcore.importers.onnx.operators import table

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
case("GlobalAveragePool", image)
case("GlobalMaxPool", image)
case("GlobalLpPool", image, p=3, cases=RUNTIME_CASES)
for op, opset in (("ReduceMean", 13), ("ReduceMax", 13), ("ReduceSum", 11)):
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
case("Slice", image, starts=[1, 0], ends=[3, 5], axes=[1, 2], opset=9)
case("Slice", image, whole(1, 0), whole(2**40, -2), whole(1, 3), whole(2, 1))
case("Slice", image, whole(-3), whole(-1), whole(2))
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


@pytest.mark.parametrize(
    "parts", CASES, ids=[f"{i}-{part[0]}-{part[3]}" for i, part in enumerate(CASES)]
)
def test_operator(parts):
    compare(build(*parts), {"x": parts[1]})


@pytest.mark.parametrize(
    "parts", RUNTIME_CASES, ids=[f"{i}-{part[0]}" for i, part in enumerate(RUNTIME_CASES)]
)
def test_operator_against_onnx_runtime(parts):
    runtime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    proto = build(*parts)
    x = numbers(3, *parts[1])
    options = {"providers": ["CPUExecutionProvider"]}
    (expected,) = runtime.InferenceSession(proto.SerializeToString(), **options).run(None, {"x": x})
    got = dtd.from_onnx(proto, verify=False).forward(x)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-5 * np.abs(expected).max())


def test_lrn_of_even_size():
    """ONNX Runtime takes odd sizes only; onnx's evaluator needs as many samples as channels."""
    proto = build("LRN", (4, 3, 2), [], 13, "x", {"size": 4, "alpha": 0.5})
    x = numbers(4, 4, 3, 2)
    got = dtd.from_onnx(proto, verify=False).forward(x)
    np.testing.assert_allclose(got, reference(proto, x=x)[0], rtol=1e-5, atol=1e-5)


def test_pads_that_no_window_reaches():
    """What PyTorch writes for ceil_mode in opset 9; ONNX Runtime refuses it."""
    more = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 3, 3]}
    proto = build("MaxPool", (4, 6, 6), [], 9, "x", more)
    x = numbers(2, 4, 6, 6)
    got = dtd.from_onnx(proto, verify=False).forward(x)
    np.testing.assert_array_equal(got, reference(proto, x=x)[0])


@pytest.mark.parametrize("op", ["Conv", "MaxPool", "Gemm", "Reshape", "Flatten", "Squeeze"])
def test_a_fixed_batch_is_relaxed(op):
    nodes = {
        "Conv": ((2, 5), [numbers(3, 2, 2)], {}),
        "MaxPool": ((2, 5), [], {"kernel_shape": [2]}),
        "Gemm": ((4,), [numbers(4, 2)], {}),
        "Reshape": ((2, 5), [whole(1, 10)], {}),
        "Flatten": ((2, 5), [], {}),
        "Squeeze": ((2, 1), [whole(2)], {}),
    }
    shape, constants, attributes = nodes[op]
    fixed = build(op, shape, constants, 13, "x", attributes, batch=1)
    network = dtd.from_onnx(fixed)
    x = numbers(4, *shape)
    expected = np.concatenate([reference(fixed, x=x[i : i + 1])[0] for i in range(4)])
    np.testing.assert_allclose(network.forward(x), expected, rtol=1e-5, atol=1e-6)


def test_reshape_with_a_fixed_batch_and_an_open_size():
    fixed = build("Reshape", (2, 5), [whole(1, -1)], 13, "x", {}, batch=1)
    assert dtd.from_onnx(fixed).output_shape == (10,)
    with pytest.raises(ValueError, match="fixes the first axis"):
        dtd.from_onnx(build("Reshape", (2, 5), [whole(1, -1)], 13, "x", {}))


def branches(op, shapes, opset=13, **attributes):
    names = [f"x{i}" for i in range(len(shapes))]
    node = helper.make_node(op, names, ["y"], "join", **attributes)
    return model([node], None, opset=opset, inputs=dict(zip(names, shapes, strict=True)))


@pytest.mark.parametrize(
    ("op", "shapes", "attributes"),
    [
        ("Add", [image, image], {}),
        ("Sub", [image, image], {}),
        ("Add", [image, (4, 1, 1)], {}),
        ("Sub", [(1, 7, 6), image], {}),
        ("Sum", [image, image, image], {}),
        ("Concat", [image, (2, 7, 6), image], {"axis": 1}),
        ("Concat", [image, (4, 7, 2)], {"axis": -1}),
    ],
)
def test_branches(op, shapes, attributes):
    proto = branches(op, shapes, **attributes)
    compare(proto, {f"x{i}": shape for i, shape in enumerate(shapes)})


@pytest.mark.parametrize("gate", ["Sigmoid", "HardSigmoid", "clip"])
@pytest.mark.parametrize("order", [["x", "g"], ["g", "x"]])
def test_gates(gate, order):
    """x · sigmoid(x), and the hard swish of older files, x · clip(x + 3, 0, 6) / 6."""
    node = helper.make_node
    nodes = [node(gate, ["x"], ["g"])]
    if gate == "clip":
        nodes = [
            node("Add", ["x", "three"], ["a"]),
            node("Clip", ["a", "zero", "six"], ["c"]),
            node("Div", ["c", "six"], ["g"]),
        ]
    constants = {"three": floats(3)[0], "zero": floats(0)[0], "six": floats(6)[0]}
    compare(model([*nodes, node("Mul", order, ["y"])], image, constants), {"x": image})


def test_squeeze_and_excitation():
    node = helper.make_node
    nodes = [
        node("GlobalAveragePool", ["x"], ["p"]),
        node("Conv", ["p", "w"], ["c"]),
        node("Sigmoid", ["c"], ["g"]),
        node("Mul", ["x", "g"], ["y"], "product"),
    ]
    network = compare(model(nodes, image, {"w": numbers(4, 4, 1, 1)}), {"x": image})
    x, relevance = np.abs(numbers(2, *image)), np.abs(numbers(2, *image))
    explanation = dtd.LRP(network, dtd.ZPlus())(x, relevance=relevance)
    np.testing.assert_array_equal(explanation.relevance, relevance)  # all of it to x
    nodes[2] = node("Relu", ["c"], ["g"])
    with pytest.raises(ValueError, match=r"Mul, node 'product': one of its inputs must be"):
        dtd.from_onnx(model(nodes, image, {"w": numbers(4, 4, 1, 1)}))


def test_gemm_adds_a_branch():
    node = helper.make_node("Gemm", ["x", "w", "c"], ["y"], beta=0.5)
    proto = model([node], None, {"w": numbers(6, 3)}, inputs={"x": (6,), "c": (3,)})
    compare(proto, {"x": (6,), "c": (3,)})


@pytest.mark.parametrize(
    ("opset", "shape", "axis"),
    [
        (11, (5,), 1),
        (13, (5,), -1),
        (11, (5, 1, 1), 1),
        (11, (3, 4, 2), 3),
        (13, (3, 4, 2), 2),
        (13, (3, 4), -2),
    ],
)
def test_softmax_inside(opset, shape, axis):
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"], axis=axis),
        helper.make_node("Add", ["s", "x"], ["y"]),
    ]
    network = compare(model(nodes, shape, opset=opset), {"x": shape})
    assert any(isinstance(layer, dtd.Softmax) for layer in network.layers)


@pytest.mark.parametrize("opset", [9, 13, 18])
@pytest.mark.parametrize("parts", [None, (1, 2, 3), (2, 2, 2)])
def test_split(opset, parts):
    if parts is None and opset == 18:
        node = helper.make_node("Split", ["x"], ["a", "b", "c"], axis=1, num_outputs=3)
    elif opset < 13:
        more = {} if parts is None else {"split": list(parts)}
        node = helper.make_node("Split", ["x"], ["a", "b", "c"], axis=1, **more)
    else:
        ins = ["x"] if parts is None else ["x", "parts"]
        node = helper.make_node("Split", ins, ["a", "b", "c"], axis=1)
    nodes = [node, helper.make_node("Concat", ["c", "a", "b"], ["y"], axis=1)]
    proto = model(nodes, (6, 4), {} if parts is None else {"parts": whole(*parts)}, opset)
    compare(proto, {"x": (6, 4)})


@pytest.mark.parametrize("opset", [8, 9])
def test_upsample(opset):
    scales = [1.0, 1.0, 2.0, 3.0]
    if opset == 8:
        node = helper.make_node("Upsample", ["x"], ["y"], scales=scales)
    else:
        node = helper.make_node("Upsample", ["x", "s"], ["y"])
    proto = model([node], (2, 3, 2), {"s": floats(*scales)} if opset == 9 else {}, opset)
    x = numbers(2, 2, 3, 2)
    got = dtd.from_onnx(proto).forward(x)
    np.testing.assert_array_equal(got, x.repeat(2, axis=2).repeat(3, axis=3))


@pytest.mark.parametrize("opset", [11, 13, 19])
@pytest.mark.parametrize("how", ["scales", "sizes"])
@pytest.mark.parametrize(
    ("transform", "rounds"),
    [
        ("half_pixel", "round_prefer_floor"),
        ("pytorch_half_pixel", "round_prefer_ceil"),
        ("asymmetric", "floor"),
    ],
)
def test_resize(opset, how, transform, rounds):
    ins = ["x", "", "s"] if how == "scales" else ["x", "", "", "s"]
    if opset == 11:
        ins[1] = "roi"
    constants = {"s": floats(1, 1, 3, 2) if how == "scales" else whole(3, 2, 9, 4)}
    constants |= {"roi": floats()} if opset == 11 else {}
    if how == "sizes" and opset == 11:
        ins[2], constants["none"] = "none", floats()
    node = helper.make_node(
        "Resize",
        ins,
        ["y"],
        mode="nearest",
        coordinate_transformation_mode=transform,
        nearest_mode=rounds,
    )
    batch = "n" if how == "scales" else 3
    x = numbers(3, 2, 3, 2)
    got = dtd.from_onnx(model([node], (2, 3, 2), constants, opset, batch=batch)).forward(x)
    np.testing.assert_array_equal(got, x.repeat(3, axis=2).repeat(2, axis=3))


def test_resize_that_does_not_repeat_is_an_error():
    more = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], "up", nearest_mode="ceil", **more)
    with pytest.raises(ValueError, match=r"Resize, node 'up'.*does not repeat each number 2 times"):
        dtd.from_onnx(model([node], (2, 3, 2), {"s": floats(1, 1, 2, 2)}))


def test_sizes_computed_from_the_shape():
    """What PyTorch writes for x.view(x.size(0), -1): a shape that holds the batch size."""
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["n"], axis=0),
        node("Unsqueeze", ["n", "axes"], ["n1"]),
        node("Concat", ["n1", "rest"], ["to"], axis=0),
        node("Reshape", ["x", "to"], ["y"]),
    ]
    constants = {"zero": np.array(0), "axes": whole(0), "rest": whole(-1)}
    compare(model(nodes, (3, 4), constants), {"x": (3, 4)})


def test_a_number_that_depends_on_the_batch_size_is_an_error():
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["n"], axis=0),
        node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["x", "f"], ["y"], "scale"),
    ]
    with pytest.raises(ValueError, match="node 'scale': input 1 depends on the batch size"):
        dtd.from_onnx(model(nodes, (3,), {"zero": np.array(0)}))


def test_constants_are_folded():
    node = helper.make_node
    nodes = [
        node("Constant", [], ["half"], value_float=0.5),
        node("ConstantOfShape", ["sizes"], ["zeros"]),
        node("Add", ["zeros", "half"], ["b"]),
        node("Transpose", ["w"], ["wt"], perm=[1, 0]),
        node("MatMul", ["x", "wt"], ["m"]),
        node("Add", ["m", "b"], ["y"]),
    ]
    constants = {"w": numbers(3, 4), "sizes": whole(3)}
    network = compare(model(nodes, (4,), constants), {"x": (4,)})
    assert [type(layer).__name__ for layer in network.layers] == ["Dense", "ChannelAffine"]


def test_every_supported_operator_is_tested():
    tested = {part[0] for part in CASES + RUNTIME_CASES}
    tested |= {"Softmax", "LogSoftmax", "Log", "Split", "Upsample", "Resize", "Shape"}
    assert tested == set(table())
