# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX models as a whole: inputs and outputs, errors, external data, verification."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed")

import onnx
from onnx import helper, numpy_helper
from onnx_models import model, reference, small_network

import dtdcore as dtd
from dtdcore.importers.comparing import difference
from dtdcore.importers.onnx import verify as onnx_verify


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 2, 6, 6)).astype(np.float32)


def with_outputs(proto, *names):
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return copy


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 15, 18, onnx.defs.onnx_opset_version()])
def test_network(opset, x):
    proto = small_network(opset)
    network = dtd.from_onnx(proto)
    normal = with_outputs(small_network(15), "logits")  # what the evaluator gets right
    np.testing.assert_allclose(network.forward(x), reference(normal, x=x)[1], rtol=1e-4, atol=1e-5)
    assert network.inputs == ("x",)
    assert network.input_shape == (2, 6, 6)
    names = [node.name for node in network.nodes]
    assert names == ["c1", "r1", "p1", "c2", "bn", "sum", "r2", "cat", "gap", "flat", "logits"]


def test_trailing_softmax_is_left_out_and_said(tmp_path):
    network = dtd.from_onnx(small_network())
    assert "Softmax at the end (y) is left out" in network.summary()
    loaded = dtd.load(network.save(tmp_path / "network.npz"))
    assert loaded.summary() == network.summary()
    assert "Softmax" not in dtd.from_onnx(small_network(), outputs="logits").summary()


def test_a_softmax_that_is_named_is_the_end_like_any_other(x):
    network, named = dtd.from_onnx(small_network()), dtd.from_onnx(small_network(), outputs="y")
    np.testing.assert_array_equal(named.forward(x), network.forward(x))
    assert named.notes == network.notes


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_behind_which_numbers_are_only_rearranged(op, rng):
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node(op, ["r"], ["s"], axis=1),
        helper.make_node("Squeeze", ["s", "axes"], ["q"]),
        helper.make_node("Identity", ["q"], ["y"]),
    ]
    network = dtd.from_onnx(model(nodes, (4, 1, 1), {"axes": np.array([2, 3])}))
    x = rng.normal(size=(2, 4, 1, 1)).astype(np.float32)
    np.testing.assert_array_equal(network.forward(x), np.maximum(x, 0).reshape(2, 4))
    assert f"{op} at the end (s)" in network.notes[0]


def test_who_else_uses_a_softmax_does_not_matter(rng):
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"]),
        helper.make_node("Identity", ["s"], ["y"]),
        helper.make_node("Relu", ["s"], ["other"]),
    ]
    network = dtd.from_onnx(model(nodes, (4,)))
    x = rng.normal(size=(2, 4)).astype(np.float32)
    np.testing.assert_array_equal(network.forward(x), x)


def test_inputs_and_outputs_choose_any_tensor(x):
    proto = small_network(15)
    pooled, flat, logits = reference(with_outputs(proto, "p1", "flat", "logits"), x=x)[1:]
    np.testing.assert_allclose(
        dtd.from_onnx(proto, outputs="p1").forward(x), pooled, rtol=1e-5, atol=1e-5
    )
    part = dtd.from_onnx(proto, inputs="p1", outputs=["flat"])
    assert part.inputs == ("p1",) and part.input_shape == (4, 3, 3)
    np.testing.assert_allclose(part.forward(pooled), flat, rtol=1e-4, atol=1e-5)
    last = dtd.from_onnx(proto, inputs={"flat": (8,)})
    np.testing.assert_allclose(last.forward(flat), logits, rtol=1e-4, atol=1e-5)


def test_several_inputs(rng):
    nodes = [
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Concat", ["r", "b"], ["c"], axis=1),
        helper.make_node("Gemm", ["c", "w"], ["y"]),
    ]
    w = rng.normal(size=(5, 2)).astype(np.float32)
    network = dtd.from_onnx(model(nodes, None, {"w": w}, inputs={"a": (3,), "b": (2,)}))
    a, b = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(4, 2)).astype(np.float32)
    expected = np.concatenate([np.maximum(a, 0), b], axis=1) @ w
    np.testing.assert_allclose(network.forward({"a": a, "b": b}), expected, rtol=1e-5, atol=1e-6)
    explanation = dtd.DeepTaylor(network)({"a": a, "b": b}, target=0)
    assert set(explanation.relevance) == {"a", "b"}


def test_an_open_size_asks_for_a_shape(rng):
    node = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    proto = model([node], (3, "height", "width"))
    with pytest.raises(ValueError, match=r"\('\?', 3, '\?', '\?'\).*inputs=\{'x': "):
        dtd.from_onnx(proto)
    assert dtd.from_onnx(proto, inputs={"x": (3, 5, 4)}).output_shape == (3, 1, 1)


def test_several_outputs_must_be_chosen_from():
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Tanh", ["a"], ["b"])]
    proto = model(nodes, (3,), outputs=("a", "b"))
    with pytest.raises(ValueError, match="outputs a, b; choose one"):
        dtd.from_onnx(proto)
    assert len(dtd.from_onnx(proto, outputs="a").nodes) == 1
    with pytest.raises(ValueError, match="outputs names 'c', which is no tensor"):
        dtd.from_onnx(proto, outputs="c")
    with pytest.raises(ValueError, match="one tensor"):
        dtd.from_onnx(proto, outputs=["a", "b"])


def test_load_and_explain_read_onnx_files(tmp_path, x):
    path = tmp_path / "net.onnx"
    onnx.save(small_network(), path)
    network = dtd.load(path)
    explanation = dtd.explain(path, np.abs(x), 0, domain=dtd.NonNegative())
    np.testing.assert_allclose(explanation.output, network.forward(np.abs(x)), rtol=1e-5, atol=1e-5)
    assert dtd.load(str(path), outputs="r1").output_shape == (4, 6, 6)
    with pytest.raises(TypeError, match="no options verify"):
        dtd.load(network.save(tmp_path / "net.npz"), verify=False)


def test_deep_taylor_closes(x):
    network = dtd.from_onnx(small_network())
    explanation = dtd.DeepTaylor(network, dtd.Box(-5, 5))(x, np.arange(5)[None].repeat(3, 0))
    for entry in explanation.audit:
        assert np.all(np.abs(entry.residual) <= 1e-4 * np.maximum(entry.received, 1e-6))


UNSUPPORTED = [
    ("Erf", (3,), {}, {}, "operator Erf, node 'bad' is not supported"),
    ("Softmax", (3, 4), {}, {"axis": 0}, "a softmax along the batch axis (axis 0 of ('n', 3, 4))"),
    ("LogSoftmax", (3, 4), {}, {"axis": -3}, "along the batch axis (axis -3 of"),
    ("Log", (3, 4), {}, {}, "at the end of a network only"),
    ("Transpose", (3,), {}, {"perm": [1, 0]}, "moves the batch axis"),
    ("Concat", (3,), {}, {"axis": 0}, "along the batch axis"),
    ("Flatten", (3, 2), {}, {"axis": 2}, "axis=2 joins the batch axis"),
    ("Pad", (3, 4), {"p": np.array([0, 0, 1, 0, 0, 1])}, {"mode": "mirror"}, "'mirror'"),
    ("Mul", (3,), {"c": np.array([np.nan], np.float32)}, {}, "not finite"),
    ("Div", (3,), {"c": np.array([0], np.float32)}, {}, "divides by 0"),
    ("Add", (1, 4), {"c": np.ones((3, 4), np.float32)}, {}, "does not broadcast"),
    ("MaxPool", (3, 4, 4), {}, {"kernel_shape": [9, 9]}, "no output"),
    ("MaxPool", (3, 4, 4), {}, {}, "kernel_shape must be 2 whole numbers"),
    ("MaxPool", (3, 4, 4), {}, {"kernel_shape": 2}, "attribute kernel_shape has the type"),
    ("Conv", (3, 4, 4), {"w": np.ones((2, 2, 3, 3), np.float32)}, {}, "takes inputs of shape"),
    ("Reshape", (3, 4), {"s": np.array([12, -1])}, {}, "fixes the first axis"),
    ("Reshape", (3, 4), {"s": np.array([-1, 4])}, {}, "mixes the batch axis with others"),
    ("ReduceMean", (3,), {}, {"axes": [0]}, "along the batch axis"),
    ("BatchNormalization", (3,), {}, {}, "input 1 is missing"),
    ("Cast", (3,), {}, {"to": 7}, "floating-point"),
]


@pytest.mark.parametrize(
    ("op", "shape", "constants", "attributes", "message"),
    UNSUPPORTED,
    ids=[f"{i}-{parts[0]}" for i, parts in enumerate(UNSUPPORTED)],
)
def test_errors_name_operator_node_and_file(op, shape, constants, attributes, message, tmp_path):
    node = helper.make_node(op, ["x", *constants], ["y"], "bad", **attributes)
    path = tmp_path / "some.onnx"
    nodes = [node, helper.make_node("Relu", ["y"], ["z"])]
    onnx.save(model(nodes, shape, constants, outputs="z"), path)
    expected = f"{path}: operator {op}, node 'bad'"
    with pytest.raises(ValueError, match=re.escape(expected)) as caught:
        dtd.from_onnx(path)
    assert message in str(caught.value)


def test_unknown_domains_are_named():
    node = helper.make_node("Relu", ["x"], ["y"], "bad", domain="some.lab")
    with pytest.raises(ValueError, match=r"operator some.lab.Relu, node 'bad' is not supported"):
        dtd.from_onnx(model([node], (3,)))


def test_errors_show_where_to_cut():
    """Ten lines at most, and what they propose works."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("ReduceLogSum", ["a"], ["b"], "the log", axes=[2], keepdims=1),
        helper.make_node("MatMul", ["b", "w"], ["y"]),
    ]
    proto = model(nodes, (3, 5), {"w": np.ones((1, 4), np.float32)})
    with pytest.raises(ValueError, match="ReduceLogSum, node 'the log' is not supp") as caught:
        dtd.from_onnx(proto)
    lines = str(caught.value).splitlines()
    assert len(lines) <= 10 and max(map(len, lines)) < 200
    assert "Written alike, and supported: ReduceSum" in lines[0]
    assert "  outputs='a' explains the part before it" in lines
    assert "  inputs={'b': (3, 1)} explains the part behind it" in lines
    assert dtd.from_onnx(proto, outputs="a").output_shape == (3, 5)
    assert dtd.from_onnx(proto, inputs={"b": (3, 1)}).output_shape == (3, 4)
    first = model([nodes[1]], (3, 5), inputs={"a": (3, 5)}, outputs="b")
    with pytest.raises(ValueError, match="ReduceLogSum") as caught:
        dtd.from_onnx(first)
    assert "Cut" not in str(caught.value)  # nothing is before or behind


def graph_of(*nodes, **options):
    return model([helper.make_node(*node) for node in nodes], (3,), **options)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (graph_of(("Relu", ["a"], ["y"]), ("Relu", ["y"], ["a"])), "needs its own output"),
        (graph_of(("Relu", ["nobody"], ["y"])), "made by nobody"),
        (graph_of(("Relu", ["x"], ["y"]), ("Tanh", ["x"], ["y"])), "made twice"),
        (graph_of(("Relu", ["x"], ["z"])), "nobody makes the output 'y'"),
        (graph_of(("Relu", ["x"], ["y"]), opset=6), "opset must be 7 to"),
        (graph_of(("Relu", ["x"], ["y"]), opset=999), "opset must be 7 to"),
        (graph_of(), "no nodes"),
        (graph_of(("Relu", ["k"], ["y"]), constants={"k": np.ones(3)}), "not depend on any input"),
        (graph_of(("Relu", ["x"], ["y"]), outputs=()), "no output"),
        (onnx.ModelProto(), "opset"),
    ],
)
def test_broken_graphs(proto, message):
    with pytest.raises(ValueError, match=message):
        dtd.from_onnx(proto)


def test_nodes_may_come_in_any_order(rng):
    proto = graph_of(("Relu", ["a"], ["y"]), ("Tanh", ["x"], ["a"]))
    x = rng.normal(size=(2, 3)).astype(np.float32)
    got = dtd.from_onnx(proto, verify=False).forward(x)
    np.testing.assert_allclose(got, np.maximum(np.tanh(x), 0), rtol=1e-6, atol=1e-6)


def test_not_a_model(tmp_path):
    for content in (b"", b"hello", b"\x08" * 1000, small_network().SerializeToString()[:-100]):
        path = tmp_path / "bad.onnx"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.onnx"):
            dtd.load(path)
    with pytest.raises(FileNotFoundError):
        dtd.load(tmp_path / "missing.onnx")
    with pytest.raises(TypeError, match=r"path or an onnx\.ModelProto, got int"):
        dtd.from_onnx(3)


@pytest.mark.parametrize(
    ("op", "constants"),
    [
        ("ConstantOfShape", {"s": np.array([2**40, 2**20])}),
        ("Expand", {"a": np.ones(1, np.float32), "s": np.array([2**40])}),
        ("Tile", {"a": np.ones(3, np.float32), "s": np.array([2**40])}),
        ("Range", {"a": np.array(0), "b": np.array(2**40), "c": np.array(1)}),
        ("Add", {"a": np.ones((2**14, 1), np.float32), "b": np.ones((1, 2**14), np.float32)}),
        ("MatMul", {"a": np.ones((2**14, 1), np.float32), "b": np.ones((1, 2**14), np.float32)}),
    ],
)
def test_constants_that_ask_for_too_much_memory(op, constants):
    nodes = [
        helper.make_node(op, list(constants), ["made"], "huge"),
        helper.make_node("Add", ["x", "made"], ["y"]),
    ]
    with pytest.raises(ValueError, match=rf"operator {op}, node 'huge'.*more than fit the model"):
        dtd.from_onnx(model(nodes, (3,), constants))


def test_values_that_ask_for_too_much_memory():
    node = helper.make_node("Pad", ["x", "p"], ["y"], "huge")
    proto = model([node], (3, 4), {"p": np.array([0, 0, 2**40, 0, 0, 0])})
    with pytest.raises(ValueError, match=r"node 'huge'.*output shape"):
        dtd.from_onnx(proto)


# data outside of the model


def external(tmp_path, location, length=None, offset=0):
    proto = model([helper.make_node("Gemm", ["x", "w"], ["y"])], (3,), {"w": np.zeros((3, 2), "f")})
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entries = {"location": location, "offset": str(offset)}
    entries |= {} if length is None else {"length": str(length)}
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_external_data(tmp_path, rng):
    path = external(tmp_path, "weights.bin", 24, 8)
    w = rng.normal(size=(3, 2)).astype(np.float32)
    (path.parent / "weights.bin").write_bytes(b"8 bytes." + w.tobytes())
    x = rng.normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_allclose(dtd.load(path).forward(x), x @ w, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="data outside of the model"):
        dtd.from_onnx(onnx.load(path, load_external_data=False))


@pytest.mark.parametrize("way", ["..", "absolute", "link", "missing", "folder", "empty"])
def test_external_data_outside_of_the_folder(tmp_path, way):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(24))
    location = {
        "..": "../secret.bin",
        "absolute": str(secret),
        "link": "link.bin",
        "missing": "nothing.bin",
        "folder": ".",
        "empty": "",
    }[way]
    path = external(tmp_path, location)
    if way == "link":
        try:
            os.symlink(secret, path.parent / "link.bin")
        except OSError:
            pytest.skip("no symbolic links here")
    with pytest.raises(ValueError, match=r"net\.onnx: the data of tensor 'w'.*own folder only"):
        dtd.load(path)


@pytest.mark.parametrize(("length", "offset"), [(24, 1), (20, 0), (2**60, 0), (24, -1), ("x", 0)])
def test_external_data_of_the_wrong_size(tmp_path, length, offset):
    path = external(tmp_path, "weights.bin", length, offset)
    (path.parent / "weights.bin").write_bytes(bytes(24))
    with pytest.raises(ValueError, match=r"the data of tensor 'w'"):
        dtd.load(path)


# verification


def test_verification_names_the_first_tensor_that_differs(monkeypatch):
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    from dtdcore.importers.onnx import elementwise as onnx_elementwise
    from dtdcore.importers.operators import Operator

    def wrong(call):
        return call.emit(dtd.LeakyReLU(0.01), call.signal())

    monkeypatch.setitem(onnx_elementwise.OPERATORS, "Relu", Operator(wrong, "wrong"))
    with pytest.raises(ValueError, match=r"differs from ONNX Runtime, first in .*'r1': by"):
        dtd.from_onnx(small_network())
    dtd.from_onnx(small_network(), verify=False)


def test_model_that_onnx_runtime_refuses():
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    proto = model([helper.make_node("LRN", ["x"], ["y"], size=4)], (5, 2, 2))
    with pytest.raises(ValueError, match=r"ONNX Runtime cannot run this model.*verify=False"):
        dtd.from_onnx(proto)
    dtd.from_onnx(proto, verify=False)


def test_what_is_not_verified_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert (
        "not verified: the package onnxruntime is not installed"
        in dtd.from_onnx(small_network()).summary()
    )
    assert "not verified" not in dtd.from_onnx(small_network(), verify=False).summary()


def test_large_networks_are_not_run(monkeypatch):
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    monkeypatch.setattr(onnx_verify, "LARGEST_WORK", 100)
    assert dtd.from_onnx(small_network()).notes[-1] == "not verified: too large to be run at import"


@pytest.mark.parametrize("batch", [2**40, -(2**31), -1, 0])
def test_strange_batch_sizes(batch):
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    proto = model([helper.make_node("Relu", ["x"], ["y"])], (3,), batch=batch)
    network = dtd.from_onnx(proto)
    assert network.forward(np.ones((5, 3), np.float32)).shape == (5, 3)
    assert ("not verified" in network.summary()) == (batch > 0)


def test_without_onnx_the_extra_is_named(monkeypatch, tmp_path):
    path = tmp_path / "some.onnx"
    path.write_bytes(small_network().SerializeToString())
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'dtdcore\[onnx\]'"):
        dtd.load(path)


def test_import_of_dtdcore_does_not_import_onnx():
    code = "import sys, dtdcore; sys.exit('onnx' in sys.modules or 'onnxruntime' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("kind", [np.float64, np.float16])
def test_an_inner_tensor_whose_type_is_not_said_is_an_input(kind, rng):
    w, v = rng.normal(size=(4, 6)).astype(kind), rng.normal(size=(6, 2)).astype(kind)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    proto = model(nodes, (4,), {"w": w, "v": v})
    proto.graph.input[0].type.tensor_type.elem_type = numpy_helper.from_array(w).data_type
    network = dtd.from_onnx(proto, inputs="r")
    x = rng.normal(size=(3, 6))
    np.testing.assert_allclose(network.forward(x), x @ v.astype(np.float64), rtol=1e-6, atol=1e-6)


def cast(source, result, kind):
    return helper.make_node("Cast", [source], [result], to=kind)


def test_fewer_digits_inside(rng):
    single, double = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE
    w = rng.normal(size=(4, 6)).astype(np.float32)
    product = helper.make_node("MatMul", ["a", "w"], ["b"])
    proto = model([cast("x", "a", single), product, cast("b", "y", double)], (4,), {"w": w})
    proto.graph.input[0].type.tensor_type.elem_type = double
    network = dtd.from_onnx(proto)
    x = rng.normal(size=(3, 4))
    np.testing.assert_allclose(network.forward(x), x @ w.astype(np.float64), rtol=1e-6, atol=1e-6)


def test_attributes_are_float32_in_models_of_float64(rng):
    w, c = rng.normal(size=(4, 3)), rng.normal(size=3)
    node = helper.make_node("Gemm", ["x", "w", "c"], ["y"], alpha=0.1, beta=0.3)
    proto = model([node], (4,), {"w": w, "c": c})
    proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    x = rng.normal(size=(5, 4))
    alpha, beta = float(np.float32(0.1)), float(np.float32(0.3))
    y = dtd.from_onnx(proto).forward(x)
    np.testing.assert_allclose(y, alpha * (x @ w) + beta * c, rtol=1e-13, atol=1e-13)
    leaky = model([helper.make_node("LeakyRelu", ["x"], ["y"])], (4,))
    assert dtd.from_onnx(leaky).layers[0].slope == 0.01  # not 0.009999999776


def test_a_sigmoid_at_the_end_is_said(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["s"]),
        helper.make_node("Reshape", ["s", "sizes"], ["y"]),
    ]
    constants = {"w": np.ones((4, 1), "f"), "sizes": np.array([-1, 1, 1])}
    proto = model(nodes, (4,), constants)
    network = dtd.from_onnx(proto)
    assert "it ends in a sigmoid (s): explanations start at its value" in network.summary()
    assert "outputs='logit' starts before it" in network.summary()
    assert "sigmoid" not in dtd.from_onnx(proto, outputs="logit").summary()


def test_numbers_that_are_finite_are_compared():
    theirs, ours = np.array([[np.inf, np.nan, 1.0]]), np.array([[3.0, 3.0, 1.0]])
    assert difference(ours, theirs, 1e-4) is None
    assert "by 1" in difference(ours + 1, theirs, 1e-4)
    assert "by nan" in difference(ours * np.nan, theirs, 1e-4)
    assert "its shape" in difference(ours[:, :2], theirs, 1e-4)


def test_float64_and_float16_weights(rng):
    for kind, result in ((np.float64, np.float64), (np.float16, np.float32)):
        w = rng.normal(size=(3, 2)).astype(kind)
        proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], (3,), {"w": w})
        proto.graph.input[0].type.tensor_type.elem_type = numpy_helper.from_array(w).data_type
        network = dtd.from_onnx(proto)
        assert network.dtype == result
        x = rng.normal(size=(4, 3))
        np.testing.assert_allclose(
            network.forward(x), x @ w.astype(np.float64), rtol=1e-6, atol=1e-6
        )
