# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explanation: Definitions 1 to 3 with their tolerances, the audit, files, texts."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore.audit import Audit


def explanation(relevance, explained, audit=None):
    relevance, explained = np.asarray(relevance), np.asarray(explained)
    lead = explained.ndim
    inputs = np.ones((len(relevance), *relevance.shape[lead:]), relevance.dtype)
    output = explained if lead == 2 else explained[:, None]
    target = np.zeros(explained.shape, int)
    return dtd.Explanation("test", inputs, output, target, explained, relevance, audit)


def example(rng, dtype=np.float64, targets=None, shape=(12,)):
    """Two dense layers, some relevance in every column of the audit."""
    size = int(np.prod(shape))
    network = dtd.Network(
        [
            dtd.Flatten(),
            dtd.Dense(rng.standard_normal((size, 8)).astype(dtype), np.ones(8, dtype)),
            dtd.ReLU(),
            ("top", dtd.Dense(rng.random((8, 3)).astype(dtype))),
        ],
        input_shape=shape,
    )
    rules = [dtd.Epsilon(0.1), dtd.ZPlus()]
    return dtd.LRP(network, rules)(rng.random((5, *shape)).astype(dtype), targets)


# ------------------------------------------------------------------- definitions


def test_definition_1_with_tolerances():
    e = explanation([[1.0, 2.0], [1.0, 2.0], [-5.0, 5.0], [3.0, 0.0]], [3.0, 3.1, 0.0, -3.0])
    assert e.is_conservative().tolist() == [True, False, True, False]
    assert e.is_conservative(rtol=0.05).tolist() == [True, True, True, False]
    assert e.is_conservative(atol=0.11).tolist() == [True, True, True, False]
    assert e.is_conservative(rtol=0.03).tolist() == [True, False, True, False]
    assert e.is_conservative(atol=6).all()
    assert e.total.tolist() == [3, 3, 0, 3]
    assert e.is_conservative().dtype == bool


def test_definition_2_with_tolerance():
    e = explanation([[1.0, 0.0], [1.0, -1e-12], [-0.0, 0.0], [-0.5, 9.0]], np.ones(4))
    assert e.is_positive().tolist() == [True, False, True, False]
    assert e.is_positive(atol=1e-9).tolist() == [True, True, True, False]
    assert e.is_positive(atol=0.5).all()


def test_definition_3_is_both():
    e = explanation([[1.0, 2.0], [4.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], [3.0, 3.0, 3.0, 3.0])
    assert e.is_consistent().tolist() == [True, False, False, False]
    assert e.is_consistent(rtol=0.5).tolist() == [True, False, True, False]
    assert e.is_consistent(atol=1.0).tolist() == [True, True, True, False]


def test_default_tolerance_follows_the_dtype():
    for dtype, inside, outside in ((np.float32, 3e-5, 3e-4), (np.float64, 3e-10, 3e-9)):
        e = explanation(np.array([[1 + inside], [1 + outside]], dtype), np.ones(2, dtype))
        assert e.is_conservative().tolist() == [True, False]


def test_definitions_for_k_targets_and_images():
    relevance = np.ones((2, 3, 4, 5))
    relevance[1, 2, 0, 0] = -1
    e = explanation(relevance, np.full((2, 3), 20.0))
    expected = [[True, True, True], [True, True, False]]
    for flags in (e.is_conservative(), e.is_positive(), e.is_consistent()):
        assert flags.tolist() == expected
    assert len(e) == 2


def test_sums_are_taken_in_double():
    """10^6 float32 numbers: a float32 sum would be wrong by more than the tolerance."""
    relevance = np.full((1, 1_000_003), 0.1, np.float32)
    e = explanation(relevance, np.array([float(np.float32(0.1)) * 1_000_003]))
    assert e.total.dtype == np.float64
    assert e.is_conservative(rtol=1e-9).all()


def test_heatmaps_of_nothing():
    e = explanation(np.zeros((0, 4)), np.zeros(0))
    assert e.is_consistent().shape == (0,)
    e = explanation(np.zeros((2, 0)), np.array([0.0, 1.0]))
    assert e.is_conservative().tolist() == [True, False]
    assert e.is_positive().all()


def test_nan_is_neither_conservative_nor_positive():
    e = explanation([[np.nan, 1.0]], [1.0])
    assert not e.is_conservative().any()
    assert not e.is_positive().any()


def test_fields_cannot_be_replaced(rng):
    e = example(rng)
    with pytest.raises(dataclasses.FrozenInstanceError):
        e.relevance = e.relevance * 2


# ------------------------------------------------------------------- the audit


@pytest.mark.parametrize("targets", [None, [[0, 1]] * 5], ids=["one", "k"])
def test_audit(dtype, targets, rng):
    e = example(rng, dtype, targets)
    shape = (5,) if targets is None else (5, 2)
    assert e.audit.names == ("top", "dense_1")  # from the output to the input
    assert len(e.audit) == 2
    top, first = e.audit
    assert (top.name, first.name) == ("top", "dense_1")
    assert first.rule == dtd.Epsilon(0.1)
    assert e.audit["dense_1"].name == e.audit[1].name == e.audit[-1].name == "dense_1"
    eps = 1e-5 if dtype == np.float32 else 1e-13
    for entry in e.audit:
        for part in ("received", "passed", "bias", "stabiliser", "lost", "residual"):
            assert getattr(entry, part).shape == shape
            assert getattr(entry, part).dtype == np.float64
        parts = entry.passed + entry.bias + entry.stabiliser + entry.lost
        np.testing.assert_allclose(entry.received, parts, rtol=eps, atol=eps)
        residual = entry.received - parts
        np.testing.assert_allclose(entry.residual, residual, atol=1e-12)
    np.testing.assert_allclose(top.received, e.explained, rtol=eps)
    np.testing.assert_allclose(first.received, top.passed, rtol=eps)
    np.testing.assert_allclose(first.passed, e.total, rtol=eps)
    assert (np.abs(first.bias) > 1e-3).all()
    assert (np.abs(first.stabiliser) > 1e-4).all()
    assert not top.bias.any()
    assert e.audit.closes()
    for name in ("dense_2", 2, -3):
        with pytest.raises((KeyError, IndexError, ValueError)):
            e.audit[name]


def made_up_audit(**changes):
    parts = {"received": 10.0, "bias": 1.0, "stabiliser": 2.0, "lost": 3.0, "passed": 4.0} | changes
    account = [parts["received"], parts["bias"], parts["stabiliser"], parts["lost"]]
    return Audit(["a"], [dtd.Z()], np.array([[account]]), np.array([[parts["passed"]]]))


@pytest.mark.parametrize("part", ["received", "bias", "stabiliser", "lost", "passed"])
def test_an_audit_that_does_not_close_says_so(part):
    """Each of the five counts."""
    assert made_up_audit().closes()
    value = getattr(made_up_audit()[0], part)[0]
    assert not made_up_audit(**{part: value + 0.1}).closes()
    assert made_up_audit(**{part: value + 0.1}).closes(rtol=0.1)
    assert not made_up_audit(**{part: np.nan}).closes()


def test_conservation_is_measured_against_what_was_received():
    audit = made_up_audit(received=1.0, passed=1.05)
    audit.check_conservation(0.051)
    with pytest.raises(dtd.ConservationError, match=r"a .*received 1 and passed on 1\.05"):
        audit.check_conservation(0.049)
    made_up_audit(received=0.0, passed=0.0).check_conservation(0.0)
    with pytest.raises(dtd.ConservationError):
        made_up_audit(received=0.0, passed=1e-300).check_conservation(0.5)


def test_the_audit_of_one_target(rng):
    e = example(rng, targets=[[0, 1]] * 5)
    for k in range(2):
        one = e.audit.select(k)
        assert one.names == e.audit.names
        for entry, both in zip(one, e.audit, strict=True):
            for part in ("received", "passed", "bias", "stabiliser", "lost"):
                assert (getattr(entry, part) == getattr(both, part)[:, k]).all()


def test_relevance_that_overflows_names_the_layer(rng):
    network = dtd.Network([("last", dtd.Dense(np.full((2, 1), 1.0, np.float32)))])
    x = np.array([[100, -np.nextafter(np.float32(100), np.float32(0))]], np.float32)
    relevance = 2e37 * x.sum(keepdims=True)  # s = 2e37 is a float32, 100 s is not
    with pytest.raises(FloatingPointError, match=r"layer last .*Z\("):
        dtd.LRP(network, dtd.Z())(x, relevance=relevance)


# ------------------------------------------------------------------- files and texts


@pytest.mark.parametrize("targets", [None, [[0, 1]] * 5], ids=["one", "k"])
def test_save(tmp_path, dtype, targets, rng):
    e = example(rng, dtype, targets)
    path = e.save(tmp_path / "heatmaps")
    assert path == tmp_path / "heatmaps.npz"
    with np.load(path, allow_pickle=False) as file:
        saved = dict(file)
    for name in ("relevance", "inputs", "output", "explained", "target"):
        assert saved[name].dtype == getattr(e, name).dtype
        assert (saved[name] == getattr(e, name)).all()
    assert str(saved["method"]) == e.method
    assert saved["audit_names"].tolist() == list(e.audit.names)
    assert saved["audit"].shape == (2, *e.explained.shape, 5)
    for entry, rows in zip(e.audit, saved["audit"], strict=True):
        for column, part in enumerate(("received", "passed", "bias", "stabiliser", "lost")):
            assert (rows[..., column] == getattr(entry, part)).all()


def test_save_without_audit_or_target(tmp_path, rng):
    network = dtd.Network([dtd.Dense(rng.random((3, 2)))])
    x = rng.random((2, 3))
    with np.load(dtd.Sensitivity(network)(x).save(tmp_path / "a")) as file:
        assert "audit" not in file
        assert "target" in file
    with np.load(dtd.LRP(network)(x, relevance=np.ones((2, 2))).save(tmp_path / "b")) as file:
        assert "audit" in file
        assert "target" not in file


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch, rng):
    e = example(rng)

    def fail(*_args, **_options):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            e.save(tmp_path / "heatmaps.npz")
    assert list(tmp_path.iterdir()) == []


def test_repr_tells_what_matters(rng):
    text = repr(example(rng))
    assert text.startswith("LRP(")
    assert "5 heatmaps of shape (12,)" in text
    for line in ("conservative 0/5", "positive", "consistent 0/5", "top", "dense_1", "Epsilon"):
        assert line in text
    good = repr(explanation([[1.0, 2.0]], [3.0]))
    assert "conservative 1/1" in good
    assert "positive 1/1" in good
    assert "0 heatmaps" in repr(explanation(np.zeros((0, 4)), np.zeros(0)))


def below_zero():
    """f = (x - 4, 2x - 4): at x = 0.5 (-3.5, -3), at x = 3 (-1, 2)."""
    return dtd.Network([dtd.Dense([[1.0, 2.0]], [-4.0, -4.0])]), np.array([[0.5], [3.0]])


def test_nothing_to_explain_is_said():
    """Where f is not above 0 nothing speaks for it; that is no success of a method."""
    network, x = below_zero()
    one = dtd.DeepTaylor(network, dtd.Box(0, 5))(x[:1], 0)
    assert one.nothing_to_explain.tolist() == [True] and one.score.tolist() == [-3.5]
    assert one.explained.tolist() == [0.0] and not one.relevance.any()
    text = repr(one)
    assert "f(x) -3.5: nothing to explain" in text and "nothing speaks for it" in text
    assert "consistent" not in text and "f(x) 0" not in text
    several = dtd.DeepTaylor(network, dtd.Box(0, 5))(x, [[0, 1], [0, 1]])
    assert several.nothing_to_explain.tolist() == [[True, True], [True, False]]
    assert several.score.tolist() == [[-3.5, -3.0], [-1.0, 2.0]]
    text = repr(several)
    assert "f(x) -3.5 to 2," in text and "nothing to explain in 3/4" in text
    assert "conservative 1/1, positive 1/1, consistent 1/1" in text
    exactly = dtd.DeepTaylor(network, dtd.Box(0, 5))(np.array([[2.0]]), 1)  # f = 0
    assert "f(x) 0: nothing to explain" in repr(exactly)


def test_other_methods_explain_what_is_below_0(rng):
    network, x = below_zero()
    for explain in (dtd.LRP(network), dtd.Sensitivity(network), dtd.GradientTimesInput(network)):
        explanation = explain(x, 0)
        assert not explanation.nothing_to_explain.any()
        assert "f(x) -3.5 to -1" in repr(explanation) and "nothing" not in repr(explanation)
    given = dtd.LRP(network)(x, relevance=np.array([[1.0, -1.0], [0.0, 0.0]]))
    assert given.nothing_to_explain.tolist() == [False, True]  # of both the sum is 0
    assert given.score.tolist() == [0.0, 0.0]


def test_trained_relevance_models_say_it_too(rng):
    x = rng.random((200, 6))
    fitted = dtd.DetectionPoolingNet(units=[(12, 4), (6, None)], iterations=300, seed=0)
    network = fitted.fit(x, 20.0 * (x[:, 1] > 0.5)).network_
    model = dtd.MinMax(iterations=20, seed=0).fit(network, x)
    silent = dtd.DeepTaylor(network, dtd.Box(0, 1), model)(np.zeros((2, 6)))
    assert not silent.output.any() and silent.nothing_to_explain.all()
    assert "f(x) 0: nothing to explain" in repr(silent)


def test_nothing_to_explain_in_a_plot():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    network, x = below_zero()
    figure = dtd.DeepTaylor(network, dtd.Box(0, 5))(x, 1).plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "f = −3: nothing to explain"
    assert titles[1].startswith("f = 2, ")


def test_html_shows_text_and_pictures(rng):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    tabular = example(rng)._repr_html_()
    assert "<img" not in tabular
    assert "epsilon=0.1" in tabular
    image = example(rng, shape=(3, 4))._repr_html_()
    assert len(re.findall(r'<img [^>]*src="data:image/png;base64,[A-Za-z0-9+/=]+"', image)) == 5
    colour = example(rng, shape=(3, 2, 2))._repr_html_()
    assert colour.count("<img") == 5


def test_html_escapes_names(rng):
    network = dtd.Network([("<script>", dtd.Dense(rng.random((3, 2))))])
    page = dtd.LRP(network)(rng.random((1, 3)))._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("layers", [[dtd.Dense(np.ones((3, 1)))], [dtd.ReLU()]])
def test_arrays_share_no_memory(layers):
    net = dtd.Network(layers, input_shape=(3,))
    x = np.ones((2, 3))
    for explain in (dtd.DeepTaylor(net), dtd.Sensitivity(net)):
        explanation = explain(x)
        arrays = {
            "x": x,
            "inputs": explanation.inputs,
            "output": explanation.output,
            "explained": explanation.explained,
            "relevance": explanation.relevance,
        }
        for (a, one), (b, other) in itertools.combinations(arrays.items(), 2):
            assert not np.shares_memory(one, other), (explain, a, b)


def test_parts_of_an_audit():
    net = dtd.Network([dtd.Dense(np.ones((3, 4))), dtd.ReLU(), dtd.Dense(np.ones((4, 1)))])
    audit = dtd.DeepTaylor(net)(np.ones((1, 3))).audit
    assert audit[:1].names == ("dense_2",)
    assert audit["dense_1"].received == audit[1:]["dense_1"].received == 12.0
    with pytest.raises(KeyError, match="dense_2, dense_1"):
        audit["relu_1"]


def test_an_empty_batch_has_no_picture():
    explanation = dtd.DeepTaylor(dtd.Network([dtd.Dense(np.ones((3, 1)))]))(np.ones((0, 3)))
    with pytest.raises(ValueError, match="batch is empty"):
        explanation.plot()


def test_arrays_stay_short_in_texts():
    rule = dtd.SearchDirection(np.ones(50))
    assert repr(rule) == "SearchDirection(v=array(50,))"
    box = dtd.Box(np.reshape([-1, -2.5, 0], (3, 1, 1)), 1)
    assert repr(box) == "Box(low=[-1, -2.5, 0], high=1.0)"
    assert repr(dtd.Box(np.zeros((3, 2, 2)), 1)) == "Box(low=array(3, 2, 2), high=1.0)"
    assert repr(dtd.ZB(-1, 1)) == "ZB(low=-1.0, high=1.0, bias=False)"
