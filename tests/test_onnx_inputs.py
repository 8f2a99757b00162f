# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX models whose inputs are settings, whose weights are quantised, or whose opset is doubled."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed")

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model

import dtdcore as dtd

W = np.arange(12, dtype=np.float32).reshape(4, 3) / 10 - 0.5


def stated(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def with_rate(shape=(), kind=TensorProto.INT64):
    """y = (x W) · rate / 1000, with the rate as an input."""
    node = helper.make_node
    nodes = [
        node("Cast", ["sr"], ["rate"], to=TensorProto.FLOAT),
        node("MatMul", ["x", "w"], ["p"]),
        node("Mul", ["p", "rate"], ["q"]),
        node("Div", ["q", "k"], ["y"]),
    ]
    proto = model(nodes, (4,), {"w": W, "k": np.array(1000, np.float32)})
    proto.graph.input.append(stated("sr", kind, shape))
    return proto


X = np.array([[1.0, 2, 3, 4], [0, 1, 0, -1]], np.float32)


@pytest.mark.parametrize("shape", [(), (1,), ("k",)])
@pytest.mark.parametrize("value", [16000, np.int64(16000), np.array(16000), np.array([16000])])
@pytest.mark.parametrize("x", [{}, {"x": (4,)}, {"x": [4]}])
def test_a_setting_is_a_constant(shape, value, x):
    proto = with_rate(shape)
    if np.ndim(value) != len(shape) and not (np.ndim(value) == 0 and shape == (1,)):
        with pytest.raises(ValueError, match=r"inputs\['sr'\] is an array, which fixes the input"):
            dtd.from_onnx(proto, inputs={**x, "sr": value})
        return
    network = dtd.from_onnx(proto, inputs={**x, "sr": value})  # verified, too
    assert network.inputs == ("x",)
    np.testing.assert_allclose(network.forward(X), X @ W * 16, rtol=1e-5)


def test_settings_of_booleans_and_fractions():
    nodes = [
        helper.make_node("Where", ["flag", "x", "half"], ["a"]),
        helper.make_node("Mul", ["a", "half"], ["y"]),
    ]
    proto = model(nodes, (3,))
    proto.graph.input.append(stated("flag", TensorProto.BOOL, [3]))
    proto.graph.input.append(stated("half", TensorProto.FLOAT, []))
    network = dtd.from_onnx(proto, inputs={"flag": np.array([True, False, True]), "half": 0.1})
    expected = [[0.1, 0.01, 0.3]]
    np.testing.assert_allclose(network.forward(np.array([[1.0, 2, 3]], "f")), expected, rtol=1e-6)


def test_initializers_that_are_inputs_too():
    """Files of IR version 3 list their weights as inputs: a setting replaces the number."""
    proto = with_rate()
    proto.graph.initializer.append(numpy_helper.from_array(np.array(8000), "sr"))
    x = X
    np.testing.assert_allclose(dtd.from_onnx(proto).forward(x), x @ W * 8, rtol=1e-5)
    network = dtd.from_onnx(proto, inputs={"sr": 16000})
    np.testing.assert_allclose(network.forward(x), x @ W * 16, rtol=1e-5)
    np.testing.assert_allclose(dtd.from_onnx(proto).forward(x), x @ W * 8, rtol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({"sr": 0.5}, ValueError, r"inputs\['sr'\] must hold numbers of int64, got 0.5"),
        ({"sr": float("nan")}, ValueError, "must hold numbers of int64"),
        ({"sr": np.array(["a"])}, ValueError, "must hold numbers of int64"),
        ({"sr": (16000,)}, ValueError, r"is \(16000,\), a shape, but the input is no batch"),
        ({"sr": "16000"}, TypeError, r"inputs\['sr'\] must be the shape of one sample"),
        ({"x": np.array([4]), "sr": 1}, ValueError, r"of the shape \('\?', 4\); got \(1,\)"),
        ({"x": [4.0], "sr": 1}, ValueError, "must be the whole numbers of a shape"),
        ({"p": 3.0, "sr": 1}, ValueError, "'p' is no input of the model; its inputs are x"),
        (None, ValueError, r"is a setting, fix it: inputs=\{'sr': 16000\}|setting, fix it"),
    ],
)
def test_settings_and_shapes_are_told_apart(inputs, error, message):
    with pytest.raises(error, match=message):
        dtd.from_onnx(with_rate(), inputs=inputs)


def test_the_model_is_left_as_it_was():
    proto = with_rate()
    before = proto.SerializeToString()
    dtd.from_onnx(proto, inputs={"sr": 1})
    assert proto.SerializeToString() == before


# ------------------------------------------------------------------- weights


def quantised(kind, axis=None, opset=13):
    node = helper.make_node
    more = {} if axis is None else {"axis": axis}
    nodes = [
        node("DequantizeLinear", ["q", "s", "z"], ["w"], **more),
        node("MatMul", ["x", "w"], ["y"]),
    ]
    rng = np.random.default_rng(0)
    count = () if axis is None else (4, 3)[axis]
    q = rng.integers(0, 100, (4, 3)).astype(kind)
    s, z = rng.uniform(0.1, 1, count).astype("f"), rng.integers(0, 9, count).astype(kind)
    s, z = np.asarray(s, "f"), np.asarray(z, kind)
    proto = model(nodes, (4,), {"q": q, "s": s, "z": z}, opset)
    s, z = (part.reshape((-1, 1) if axis == 0 else (-1,)) for part in (s, z))
    return proto, (q.astype("f") - z) * s


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("opset", [13, 19])
def test_quantised_weights(kind, axis, opset):
    proto, w = quantised(kind, axis, opset)
    (layer,) = dtd.from_onnx(proto).layers
    np.testing.assert_allclose(layer.weight, w, rtol=1e-6)


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "FLOAT8E4M3FN"])
def test_weights_of_few_bits(kind):
    numbers = np.arange(12) % 7
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    proto = model(nodes, (4,), {"s": np.float32(0.5)}, 21)
    proto.ir_version = 10
    tensor = helper.make_tensor("q", getattr(TensorProto, kind), (4, 3), numbers)
    proto.graph.initializer.append(tensor)
    (layer,) = dtd.from_onnx(proto).layers
    np.testing.assert_array_equal(layer.weight, numbers.reshape(4, 3) / 2)


@pytest.mark.parametrize("kind", [np.float16, np.int8, "bfloat16"])
def test_weights_behind_a_cast(kind):
    cast = helper.make_node("Cast", ["q"], ["w"], to=TensorProto.FLOAT)
    nodes = [cast, helper.make_node("MatMul", ["x", "w"], ["y"])]
    numbers = np.arange(12).reshape(4, 3)
    if kind == "bfloat16":
        proto = model(nodes, (4,))
        tensor = helper.make_tensor("q", TensorProto.BFLOAT16, (4, 3), numbers.reshape(-1))
        proto.graph.initializer.append(tensor)
    else:
        proto = model(nodes, (4,), {"q": numbers.astype(kind)})
    (layer,) = dtd.from_onnx(proto).layers
    np.testing.assert_array_equal(layer.weight, numbers)


def test_quantised_by_the_model_itself():
    nodes = [
        helper.make_node("QuantizeLinear", ["f", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    constants = {"f": W, "s": np.float32(0.25), "z": np.int8(0)}
    (layer,) = dtd.from_onnx(model(nodes, (4,), constants)).layers
    np.testing.assert_array_equal(layer.weight, np.rint(W * 4) / 4)


# ------------------------------------------------------------------- opsets


@pytest.mark.parametrize("domains", [("", ""), ("", "ai.onnx"), ("ai.onnx", "")])
def test_opset_imported_twice(domains):
    """The last counts, as in ONNX Runtime: axes of Squeeze are an attribute up to opset 12."""
    node = helper.make_node("Squeeze", ["x"], ["y"], axes=[1])
    proto = model([node], (1, 3), opset=11)
    for versions in ((11, 11), (13, 11)):
        del proto.opset_import[:]
        pairs = zip(domains, versions, strict=True)
        proto.opset_import.extend(helper.make_opsetid(*pair) for pair in pairs)
        network = dtd.from_onnx(proto)
        assert network.output_shape == (3,)
        said = "of the opsets [13, 11] the last counts, 11"
        assert (said in network.notes) == (versions == (13, 11))
    proto.opset_import[0].version, proto.opset_import[1].version = 11, 13
    with pytest.raises(ValueError, match="Squeeze"):
        dtd.from_onnx(proto)


def test_no_opset_is_an_error():
    proto = model([helper.make_node("Relu", ["x"], ["y"])], (3,))
    del proto.opset_import[:]
    proto.opset_import.append(onnx.helper.make_opsetid("some.lab", 1))
    with pytest.raises(ValueError, match=r"the opset must be 7 to .*got \[\]"):
        dtd.from_onnx(proto)
