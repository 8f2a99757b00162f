# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Ends of ONNX models: softmaxes that are not exactly last, labels beside probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd

onnx = pytest.importorskip("onnx")
from onnx import helper  # noqa: E402
from onnx_models import model  # noqa: E402

from dtdcore.jobs.findings import probabilities  # noqa: E402

node = helper.make_node
X = np.array([[1.0, 1.0], [-0.5, 2.0]], np.float32)
W = np.array([[2, 0, 0], [0, -3, 0]], np.float32)
Z = X @ W
ONE = np.array([[2.0], [-3.0]], np.float32)
F = X @ ONE

#: By name the nodes behind the logits z, their constants, and what comes out by hand.
TAILS = {
    "softmax": ([node("Softmax", ["z"], ["y"])], {}, Z),
    "log": ([node("Softmax", ["z"], ["p"]), node("Log", ["p"], ["y"])], {}, Z),
    "percent": (
        [node("Softmax", ["z"], ["p"]), node("Mul", ["p", "c"], ["y"])],
        {"c": np.float32(100)},
        Z,
    ),
    "class weights": (
        [node("Softmax", ["z"], ["p"]), node("Mul", ["p", "c"], ["y"])],
        {"c": np.array([[1, 2, 4]], np.float32)},
        Z + np.log([1, 2, 4]),
    ),
    "clip": (
        [node("Softmax", ["z"], ["p"]), node("Clip", ["p", "lo", "hi"], ["y"])],
        {"lo": np.float32(1e-6), "hi": np.float32(0.999)},
        Z,
    ),
    "one class": (
        [node("Softmax", ["z"], ["p"]), node("Slice", ["p", "b", "e", "a"], ["y"])],
        {"b": np.array([1]), "e": np.array([2]), "a": np.array([1])},
        Z[:, 1:2],
    ),
    "in two parts": (
        [
            node("Softmax", ["z"], ["p"]),
            node("Split", ["p", "parts"], ["a", "b"], axis=1),
            node("Concat", ["b", "a"], ["y"], axis=1),
        ],
        {"parts": np.array([1, 2])},
        Z[:, [1, 2, 0]],
    ),
    "negative logarithm": (
        [node("LogSoftmax", ["z"], ["p"]), node("Mul", ["p", "c"], ["y"])],
        {"c": np.float32(-1)},
        -Z,
    ),
}


def ending(nodes, constants, w=W, opset=13, outputs=("y",)):
    constants = {"w": w, **constants}
    return model([node("MatMul", ["x", "w"], ["z"]), *nodes], (2,), constants, opset, outputs)


@pytest.mark.parametrize("name", TAILS)
@pytest.mark.parametrize("named", [False, True], ids=["last", "named"])
def test_a_softmax_at_the_end_is_left_out(name, named):
    nodes, constants, expected = TAILS[name]
    if named:  # the same tensor in the middle of a model, and used there
        more = [*nodes, node("ReduceMean", ["y"], ["other"], axes=[1])]
        network = dtd.from_onnx(ending(more, constants, outputs=("other",)), outputs="y")
    else:
        network = dtd.from_onnx(ending(nodes, constants))
    np.testing.assert_allclose(network.forward(X), expected, rtol=1e-5, atol=1e-6)
    assert "oftmax at the end (" in network.notes[0] and "is left out" in network.notes[0]
    assert network.notes[0] in network.summary()
    place = "y" if name == "softmax" else "p"
    assert f"at the end ({place})" in network.notes[0]


def test_evidence_against_a_class():
    """p[:, 1:2] and p · 100 of the logit -3 at x = (1, 1): nothing speaks for class 1."""
    for name, target in (("one class", 0), ("percent", 1), ("log", 1), ("clip", 1)):
        nodes, constants, _ = TAILS[name]
        network = dtd.from_onnx(ending(nodes, constants))
        assert not dtd.DeepTaylor(network)(X[:1], target=target).relevance.any()
        signed = dtd.LRP(network, dtd.Z())(X[:1], target=target)
        np.testing.assert_allclose(signed.relevance, [[0, -3]], rtol=1e-6)


@pytest.mark.parametrize("opset", [9, 13])
def test_both_sides_of_a_sigmoid(opset):
    """(1 - p, p) as scikit-learn's networks are exported: by weights of both signs."""
    nodes = [
        node("Sigmoid", ["z"], ["p"]),
        node("Sub", ["one", "p"], ["q"]),
        node("Concat", ["q", "p"], ["y"], axis=1),
    ]
    network = dtd.from_onnx(ending(nodes, {"one": np.float32(1)}, ONE, opset))
    np.testing.assert_allclose(network.forward(X), np.hstack([-F, F]), rtol=1e-6)
    assert network.notes[0].startswith("the Sigmoid at the end (p) is left out")
    by_hand = dtd.Network([dtd.Dense(np.hstack([-ONE, ONE]))])
    for domain in (dtd.Reals(), dtd.Box(-3, 3), dtd.NonNegative()):
        x = np.abs(X)
        ours = dtd.DeepTaylor(network, domain)(x, [[0, 1]] * 2)
        theirs = dtd.DeepTaylor(by_hand, domain)(x, [[0, 1]] * 2)
        np.testing.assert_allclose(ours.relevance, theirs.relevance, rtol=1e-6)


@pytest.mark.parametrize("behind", ["Mul", "Clip", "Flatten"])
def test_a_lone_sigmoid_stays_and_is_said(behind):
    constants = {"c": np.float32(0.5)} if behind != "Flatten" else {}
    nodes = [node("Sigmoid", ["z"], ["p"]), node(behind, ["p", *constants], ["y"])]
    network = dtd.from_onnx(ending(nodes, constants, ONE))
    (note,) = [note for note in network.notes if "sigmoid" in note]
    assert note.startswith("it ends in a sigmoid (p)") and "outputs='z' starts before it" in note


def test_a_softmax_that_has_to_stay_is_said():
    nodes = [
        node("Softmax", ["z"], ["p"]),
        node("Add", ["p", "z"], ["y"]),
    ]
    network = dtd.from_onnx(ending(nodes, {}))
    (note,) = network.notes
    assert note.startswith("the softmax p stays") and "outputs='z' starts before it" in note
    explanation = dtd.LRP(network, dtd.Z())(X, target=1)
    assert "p" in explanation.audit.names and explanation.audit.closes()


@pytest.mark.parametrize(("opset", "axis"), [(11, 0), (13, 0), (13, -2)])
def test_the_batch_axis_is_refused_at_the_end_too(opset, axis):
    nodes = [node("Softmax", ["z"], ["y"], "last", axis=axis)]
    with pytest.raises(ValueError, match=r"operator Softmax, node 'last': .* the batch axis"):
        dtd.from_onnx(ending(nodes, {}, opset=opset))


def test_up_to_opset_12_all_axes_from_one_on():
    """What PyTorch exported as dim=1 of maps is over all their numbers there."""
    proto = model([node("Softmax", ["x"], ["y"], axis=1)], (3, 2), opset=11)
    x = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    network = dtd.from_onnx(proto)
    np.testing.assert_array_equal(network.forward(x), x)
    assert "is left out: the output are logits" in network.notes[0]
    nodes = [node("Softmax", ["x"], ["p"], axis=2), node("Add", ["p", "x"], ["y"])]
    x = x.reshape(1, 2, 3, 2)
    network = dtd.from_onnx(model(nodes, (2, 3, 2), opset=11))
    p = ref.softmax(x.reshape(1, 2, 6)).reshape(x.shape)
    np.testing.assert_allclose(network.forward(x), p + x, rtol=1e-6)


# ------------------------------------------------------------------- several outputs


def labelled(label, kind="INT64", opset=13):
    """A softmax p, and an output `label` that the nodes `label` make of it."""
    proto = ending([node("Softmax", ["z"], ["p"]), *label], {}, opset=opset, outputs=())
    outputs = [("label", getattr(onnx.TensorProto, kind), ["n"])]
    outputs.append(("p", onnx.TensorProto.FLOAT, ["n", 3]))
    proto.graph.output.extend(helper.make_tensor_value_info(*output) for output in outputs)
    return proto


def test_labels_beside_probabilities():
    proto = labelled([node("ArgMax", ["p"], ["label"], axis=1, keepdims=0)])
    with pytest.raises(ValueError, match="outputs label, p; choose one of") as caught:
        dtd.from_onnx(proto)
    text = str(caught.value)
    assert "outputs='p'" in text and "outputs='label'" not in text
    assert "label: int64, made by ArgMax" in text and "p: float32, made by Softmax" in text
    with pytest.raises(ValueError, match=r"'label' \(int64, made by ArgMax\).*outputs='p'$"):
        dtd.from_onnx(proto, outputs="label")
    network = dtd.from_onnx(proto, outputs="p")
    np.testing.assert_allclose(network.forward(X), Z, rtol=1e-6)
    assert network.notes == ("the Softmax at the end (p) is left out: the output are logits",)


def test_a_label_through_casts_and_gathers_alone():
    nodes = [
        node("ArgMax", ["p"], ["i"], axis=1, keepdims=0),
        node("Cast", ["i"], ["j"], to=onnx.TensorProto.INT32),
        node("Cast", ["j"], ["label"], to=onnx.TensorProto.INT64),
    ]
    proto = labelled(nodes)
    del proto.graph.output[1]
    with pytest.raises(ValueError, match=r"the output of the model is 'label'.*outputs='p'$"):
        dtd.from_onnx(proto)


def test_a_sequence_of_maps():
    """What exporters of scikit-learn write: ZipMap, of the domain ai.onnx.ml."""
    zipped = node(
        "ZipMap", ["p"], ["scores"], "zip", domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]
    )
    proto = labelled([node("ArgMax", ["p"], ["label"], axis=1, keepdims=0), zipped])
    del proto.graph.output[1]
    value = helper.make_map_type_proto(
        onnx.TensorProto.INT64, helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [])
    )
    proto.graph.output.append(
        helper.make_value_info("scores", helper.make_sequence_type_proto(value))
    )
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    with pytest.raises(ValueError, match="outputs label, scores; choose one") as caught:
        dtd.from_onnx(proto)
    text = str(caught.value)
    assert "outputs='p'" in text and "scores: a sequence, made by ZipMap" in text
    assert len(text) < 800 and text.count("\n") < 10
    for name in ("label", "scores"):
        with pytest.raises(ValueError, match="take the one that it is made from, outputs='p'"):
            dtd.from_onnx(proto, outputs=name)
    np.testing.assert_allclose(dtd.from_onnx(proto, outputs="p").forward(X), Z, rtol=1e-6)


def test_operators_of_other_domains_are_named():
    scaler = node("Scaler", ["x"], ["y"], "scale", domain="ai.onnx.ml", offset=[0.0], scale=[1.0])
    proto = model([scaler], (2,))
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    with pytest.raises(ValueError, match=r"operator ai\.onnx\.ml\.Scaler, node 'scale' is not"):
        dtd.from_onnx(proto)


def test_a_job_prints_probabilities_of_whole_softmaxes_only():
    """Of some of the logits, or of minus the logit and it, the softmax is no probability."""
    for name in TAILS:
        nodes, constants, expected = TAILS[name]
        network = dtd.from_onnx(ending(nodes, constants))
        found = probabilities(network, network.forward(X))
        if name in ("softmax", "log", "percent", "clip"):
            np.testing.assert_allclose(found, ref.softmax(expected), rtol=1e-5)
        else:
            assert found is None
