# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Each ONNX operator in a small model: the import computes what onnx's own evaluator computes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import TensorProto, helper
from onnx_cases import (
    CASES,
    RNG,
    RUNTIME_CASES,
    build,
    compare,
    floats,
    image,
    numbers,
    whole,
)
from onnx_models import model, reference

import dtdcore as dtd
from dtdcore.importers.onnx.operators import table


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


@pytest.mark.parametrize("mask", [(4, 1, 1), (7, 6), (1, 4, 7, 6), (6,)])
@pytest.mark.parametrize("other", ["number", "map", "signal"])
@pytest.mark.parametrize("turned", [False, True])
def test_where(mask, other, turned):
    """A constant mask chooses between the input and a constant, or another value."""
    constants = {"m": RNG.random(mask) > 0.5, "k": floats(-2)[0]}
    constants["m"].flat[0], constants["m"].flat[-1] = True, False
    if other == "map":
        constants["k"] = numbers(4, 7, 6)
    nodes = [helper.make_node("Relu", ["x"], ["r"])] if other == "signal" else []
    pair = ["x", "r" if nodes else "k"]
    nodes.append(helper.make_node("Where", ["m", *(pair[::-1] if turned else pair)], ["y"]))
    compare(model(nodes, image, constants, 16), {"x": image})


@pytest.mark.parametrize("constant", [np.zeros((1, 2, 7, 6), "f"), numbers(1, 2, 7, 6)])
@pytest.mark.parametrize("order", ["x", "constants first"])
def test_constants_beside_the_input(constant, order):
    proto = build("Concat", image, [constant.repeat(3, 0)], 13, order, {"axis": 1}, batch=3)
    compare(proto, {"x": image})
    proto = build("Concat", image, [numbers(3, 2, 7, 6)], 13, order, {"axis": 1}, batch=3)
    with pytest.raises(ValueError, match="a constant that differs along the batch axis"):
        dtd.from_onnx(proto)


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


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("Gather", image, [whole(0)], {"axis": 0}), "works along the batch axis"),
        (("Gather", image, [whole(4)], {"axis": 1}), "no such places in an axis of the size 4"),
        (("Slice", image, [whole(2), whole(2), whole(1)], {}), "nothing is left of axis 1"),
        (("Expand", image, [whole(2, 1, 4, 7, 6)], {}), "adds axes before the batch axis"),
        (("Expand", image, [whole(2, 4, 7, 6)], {}), "repeats the batch axis"),
        (("Tile", image, [whole(2, 1, 1, 1)], {}), "repeats the batch axis"),
        (("Pad", image, [whole(0, -2, 0, 0, 0, -2, 0, 0)], {}), "nothing is left"),
        (("Pad", image, [whole(1, 0, 0, 0, 0, 0, 0, 0)], {"mode": "edge"}), "pads the batch axis"),
        (("DepthToSpace", image, [], {"blocksize": 3}), "4 channels are no blocks of 3 x 3"),
        (("SpaceToDepth", image, [], {"blocksize": 2}), "7 x 6 pixels are no blocks of 2 x 2"),
        (("Tile", image, [whole(1, 2**40, 1, 1)], {}), "more than"),
        (("Pad", image, [whole(0, 0, 0, 2**40, 0, 0, 0, 0)], {"mode": "wrap"}), "more than"),
        (("Max", image, [floats(0, 1, 0, 0, 0, 0)], {}), "one number throughout"),
        (("Celu", image, [], {"alpha": -1.0}), "alpha must be above 0"),
    ],
)
def test_refused(parts, message):
    op, shape, constants, attributes = parts
    proto = build(op, shape, constants, 13, "x", attributes)
    with pytest.raises(ValueError, match=f"operator {op}, node 'the_node': .*{message}"):
        dtd.from_onnx(proto)


def test_a_table_that_the_input_looks_up_is_refused():
    proto = build("Gather", (3,), [numbers(9, 4)], 13, "constants first", {})
    with pytest.raises(ValueError, match="an embedding"):
        dtd.from_onnx(proto)


def test_every_supported_operator_is_tested():
    tested = {part[0] for part in CASES + RUNTIME_CASES}
    tested |= {"Softmax", "LogSoftmax", "Log", "Split", "Upsample", "Resize", "Shape", "Where"}
    assert tested == set(table())
