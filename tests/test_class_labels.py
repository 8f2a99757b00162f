# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Targets that are labels of classes, for a network of three outputs f = (x_0, x_1, x_2)."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore.class_labels import OutputNumbers, from_labels, label_text, output_numbers

X = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])


def network(*names):
    result = dtd.Network([("last", dtd.Dense(np.eye(3)))])
    result.class_names = names
    return result


CALLS = {
    "lrp": lambda net, target: dtd.LRP(net, dtd.Z())(X, target).explained,
    "pieces": lambda net, target: dtd.LRP(net, dtd.Z(), max_memory=2000)(X, target).explained,
    "gradient": lambda net, target: (net.gradient(X, target) * X).sum(1),
    "gradient x input": lambda net, target: dtd.GradientTimesInput(net)(X, target).relevance.sum(1),
    "root": lambda net, target: dtd.Taylor(net, root=np.zeros(3))(X, target).relevance.sum(1),
    "nearest": lambda net, target: dtd.nearest_root(net, X, target=target).output,
    "taylor": lambda net, target: dtd.Taylor(net)(X, target).relevance.sum(1),
    "perturbed": lambda net, target: dtd.evaluate.perturb(
        net, X, None, target, order="random", fill=0.0
    ).scores[:, 0],
}


@pytest.mark.parametrize("call", CALLS)
def test_labels_choose_the_output_that_speaks_for_them(call):
    explained = CALLS[call]
    for net, target in (
        (network("1", "2", "3"), [1, 3]),
        (network("1", "2", "3"), np.array([1.0, 3.0])),
        (network("-1", "7", "3"), np.array([-1, 3], np.int8)),
        (network("2", "0", "1"), [2, 1]),
        (network("cat", "dog", "fox"), ["cat", "fox"]),
        (network("cat", "dog", "fox"), np.array(["cat", "fox"], object)),
        (network("cat", "dog", "fox"), [0, 2]),
        (network("0", "1", "2"), [0, 2]),
        (network("0", "1", "2"), [0.0, 2.0]),
        (network("1", "2", "3"), output_numbers([0, 2])),
        (network(), [0, 2]),
    ):
        np.testing.assert_allclose(explained(net, target), [1, 32], rtol=1e-5)


def test_one_label_for_all_and_several_for_each():
    explain = dtd.LRP(network("1", "2", "3"), dtd.Z())
    assert explain(X, 2).explained.tolist() == [2, 16]
    assert explain(X, "2").explained.tolist() == [2, 16]
    assert explain(X, [[1, 2], [3, 1]]).explained.tolist() == [[1, 2], [32, 8]]
    assert explain(X).target.tolist() == [2, 2]
    two = dtd.Network([dtd.Dense(np.array([[-1.0, 1.0]]))])
    two.class_names = ("False", "True")
    said = dtd.LRP(two, dtd.Z())(np.array([[1.0], [2.0]]), np.array([True, False]))
    assert said.explained.tolist() == [1, -2]


def test_what_was_explained_can_be_a_target_again():
    explain = dtd.LRP(network("1", "2", "3"), dtd.Z())
    first = explain(X, [1, 2])
    assert isinstance(first.target, OutputNumbers)
    assert first.target.tolist() == [0, 1]
    assert explain(X, first.target).explained.tolist() == [1, 16]
    assert explain(X[1:], pickle.loads(pickle.dumps(first)).target[1:]).explained.tolist() == [16]


def test_targets_of_hidden_layers_are_numbers():
    net = dtd.Network([("first", dtd.Dense(np.eye(3))), ("last", dtd.Dense(np.eye(3)))])
    net.class_names = ("1", "2", "3")
    assert dtd.LRP(net, dtd.Z())(X, 0, node="first").explained.tolist() == [1, 8]
    assert (net.gradient(X, 0, node="first") == [1, 0, 0]).all()


@pytest.mark.parametrize(
    ("names", "target", "message"),
    [
        (("1", "2", "3"), 0, "target 0 is not among the labels of the classes: 1, 2, 3"),
        (("1", "2", "3"), [1, 4], "target 4 is not among the labels"),
        (("a", "b", "c"), "d", "target 'd' is not among the labels of the classes: 'a', 'b', 'c'"),
        (("a", "b", "a"), "a", "target 'a' is the name of the outputs 0, 2: give the number"),
        (("a", "b", "c"), 3, "target 3 is not among the network's 3 outputs"),
    ],
)
def test_unknown_labels(names, target, message):
    with pytest.raises(ValueError, match=message):
        dtd.LRP(network(*names))(X, target)


def test_no_names_are_known():
    with pytest.raises(TypeError, match=r"set network\.class_names to give names"):
        dtd.LRP(network())(X, "a")


@pytest.mark.parametrize("target", [[0.5, 1], [True, False], [np.nan, 1.0]])
def test_what_is_no_label(target):
    with pytest.raises(TypeError, match="target must hold whole numbers"):
        dtd.LRP(network("a", "b", "c"))(X, target)


def test_texts_of_labels():
    assert [label_text(label) for label in (3, 3.0, np.float32(-1), 0.5, True, np.str_("a"))] == [
        "3",
        "3",
        "-1",
        "0.5",
        "True",
        "a",
    ]
    assert from_labels(None, ("a",)) is None
