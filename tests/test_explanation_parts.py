# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explanations by sample, in files and back, and as tables."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore.class_labels import OutputNumbers
from dtdcore.jobs.heatmap_file import HeatmapFile

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
#: y_0 = x_0 + 10 x_1, y_1 = 100 x_0 + 1000 x_1
W = np.array([[1.0, 100.0], [10.0, 1000.0]])


def explained(target=None, model=None, **options):
    net = dtd.Network([("one", dtd.Dense(W)), dtd.ReLU(), ("two", dtd.Dense(np.eye(2)))])
    net.feature_names, net.class_names = ("age", "fare"), ("no", "yes")
    return dtd.LRP(net, [dtd.Epsilon(0.1), dtd.Epsilon(0.1)])(X, target, **options)


def of_two_inputs():
    net = dtd.Network(
        [
            ("p", dtd.Dense(np.ones((2, 1))), "left"),
            ("q", dtd.Dense(np.ones((1, 1))), "right"),
            ("sum", dtd.Add(), ["p", "q"]),
        ],
        {"left": (2,), "right": (1,)},
    )
    return dtd.LRP(net, dtd.Z())({"left": X, "right": X[:, :1]})


def fitted():
    rng = np.random.default_rng(0)
    net = dtd.Network(
        [
            dtd.Dense(rng.normal(size=(3, 6)), -np.ones(6)),
            dtd.ReLU(),
            dtd.NeuronPool(2),
            dtd.Dense(rng.normal(size=(3, 2))),
            dtd.ReLU(),
            dtd.NeuronPool(),
        ]
    )
    x = rng.random((20, 3)) * 4
    model = dtd.MinMax(iterations=50, seed=0).fit(net, x)
    return dtd.DeepTaylor(net, dtd.Box(0, 4), relevance_model=model)(x)


def same(one, other):
    for field in dataclasses.fields(dtd.Explanation):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "audit":
            same_audits(a, b)
        elif isinstance(a, dict):
            assert list(a) == list(b)
            for name in a:
                np.testing.assert_array_equal(a[name], b[name], strict=True)
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b), strict=True)
        else:
            assert a == b


def same_audits(a, b):
    if a is None:
        assert b is None
        return
    assert a.names == b.names
    assert a.has_model == b.has_model
    for left, right in zip(a, b, strict=True):
        assert str(left.rule) == str(right.rule)
        np.testing.assert_array_equal(np.array(left.parts), np.array(right.parts))


CASES = {
    "one target": explained,
    "labels": lambda: explained(["yes", "no", "yes"]),
    "k targets": lambda: explained([[0, 1]] * 3),
    "relevance": lambda: explained(relevance=np.ones((3, 2))),
    "several inputs": of_two_inputs,
    "gradients": lambda: dtd.Sensitivity(dtd.Network([dtd.Dense(W)]))(X),
    "relevance model": fitted,
    "nothing": lambda: explained()[:0],
}


@pytest.mark.parametrize("case", CASES)
def test_files_and_back(case, tmp_path):
    explanation = CASES[case]()
    loaded = dtd.Explanation.load(explanation.save(tmp_path / "heatmaps"))
    same(explanation, loaded)
    assert repr(loaded) == repr(explanation)
    assert (loaded.is_consistent() == explanation.is_consistent()).all()
    if explanation.target is not None:
        assert isinstance(loaded.target, OutputNumbers)


def test_files_of_before(tmp_path):
    """Without names, as the first release wrote them."""
    e = explained()
    with np.load(e.save(tmp_path / "new")) as file:
        old = {name: file[name] for name in file if not name.endswith("_names")}
        old["audit_names"] = file["audit_names"]
    np.savez(tmp_path / "old.npz", **old)
    loaded = dtd.Explanation.load(tmp_path / "old.npz")
    assert loaded.feature_names == loaded.class_names == ()
    same(loaded, dataclasses.replace(e, feature_names=(), class_names=()))


def test_files_of_the_command_line(tmp_path):
    e = explained()
    file = HeatmapFile(tmp_path / "heatmaps-lrp.npz", "none")
    file.add(["a", "b"], e[:2])
    file.add(["c"], e[2:])
    path = file.write()
    file.close()
    same(dtd.Explanation.load(path), e)


def test_other_files(tmp_path):
    network = dtd.Network([dtd.Dense(W)]).save(tmp_path / "network")
    with pytest.raises(ValueError, match="no explanation: it holds a network"):
        dtd.Explanation.load(network)
    np.savez(tmp_path / "other.npz", a=X)
    with pytest.raises(ValueError, match="is no explanation saved by dtdcore"):
        dtd.Explanation.load(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError):
        dtd.Explanation.load(tmp_path / "nothing.npz")
    e = explained()
    with np.load(e.save(tmp_path / "e")) as file:
        np.savez(tmp_path / "later.npz", **(dict(file) | {"format": np.array(7)}))
    with pytest.raises(ValueError, match="file format 7, this version reads 1"):
        dtd.Explanation.load(tmp_path / "later.npz")


@pytest.mark.parametrize("case", CASES)
def test_samples(case):
    explanation = CASES[case]()
    n = len(explanation)
    whole = explanation[:]
    same(whole, explanation)
    for key in (slice(1, 3), np.arange(n) % 2 == 0, [n - 1, 0] if n else []):
        part = explanation[key]
        chosen = np.arange(n)[key]
        assert len(part) == len(chosen)
        assert (part.total == explanation.total[chosen]).all()
        for name, (inputs, relevance) in part._by_input().items():
            before = explanation._by_input()[name]
            assert (inputs == before[0][chosen]).all()
            assert (relevance == before[1][chosen]).all()
            assert not np.shares_memory(relevance, before[1])
        if part.audit is not None:
            assert part.audit.closes()
            for left, right in zip(part.audit, explanation.audit, strict=True):
                assert (left.received == right.received[chosen]).all()


def test_one_sample():
    e = explained()
    one = e[1]
    assert len(one) == 1
    assert one.relevance.tolist() == [e.relevance[1].tolist()]
    assert one.explained.tolist() == [4300.0]
    assert one.feature_names == ("age", "fare")
    same(e[-1], e[np.int64(2)])
    assert [len(part) for part in e] == [1, 1, 1]
    for key in (3, -4, np.array([True, False]), [[0, 1]], None, "a"):
        with pytest.raises(IndexError):
            e[key]


def test_tables():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    net = dtd.Network([dtd.Dense(W)])
    net.feature_names, net.class_names = ("age", "fare"), ("no", "yes")
    frame = dtd.LRP(net, dtd.Z())(X, target=[[0, 1]] * 3).to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame) == ["sample", "target", "class", "feature", "value", "relevance"]
    assert frame.iloc[:4].to_numpy().tolist() == [
        [0, 0, "no", "age", 1.0, 1.0],
        [0, 0, "no", "fare", 2.0, 20.0],
        [0, 1, "yes", "age", 1.0, 100.0],
        [0, 1, "yes", "fare", 2.0, 2000.0],
    ]
    sums = frame.groupby(["sample", "target"])["relevance"].sum().to_numpy().reshape(3, 2)
    assert sums.tolist() == (X @ W).tolist()
    several = of_two_inputs().to_frame("pandas")
    assert list(several) == ["sample", "target", "input", "feature", "value", "relevance"]
    assert several["input"].tolist() == ["left"] * 6 + ["right"] * 3
    assert several["feature"].tolist() == ["x0", "x1"] * 3 + ["x0"] * 3
    assert "target" not in explained(relevance=np.ones((3, 2))).to_frame()
    picture = dtd.Sensitivity(dtd.Network([dtd.Flatten(), dtd.Dense(np.ones((4, 1)))]))
    table = picture(np.ones((1, 1, 2, 2))).to_frame()
    assert table["feature"].tolist() == ["x[0, 0, 0]", "x[0, 0, 1]", "x[0, 1, 0]", "x[0, 1, 1]"]
    with pytest.raises(ValueError, match="library must be one of pandas, polars"):
        explained().to_frame("numpy")


def test_tables_need_a_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(ImportError, match="needs pandas or polars"):
        explained().to_frame()


def test_plain_values():
    content = explained().to_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["class"] == ["yes"] * 3
    assert content["feature_names"] == ["age", "fare"]
    assert content["relevance"] == explained().relevance.tolist()
    assert list(of_two_inputs().to_dict()["relevance"]) == ["left", "right"]
