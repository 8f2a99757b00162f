# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Tables with named columns: f = a + 10 b + 100 c, whatever the order of the columns."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pandas", reason="pandas is not installed")

import pandas as pd

import dtdcore as dtd

NAMES = ("a", "b", "c")


@pytest.fixture
def net():
    result = dtd.Network([dtd.Dense(np.array([[1.0], [10.0], [100.0]], np.float32))])
    result.feature_names = NAMES
    return result


@pytest.fixture
def table():
    """In another order than the network's."""
    return pd.DataFrame({"c": [3, 30], "a": [1, 10], "b": [2, 20]})


RELEVANCE = [[1, 20, 300], [10, 200, 3000]]

EXPLAINERS = {
    "lrp": lambda net: dtd.LRP(net, dtd.Z()),
    "deep taylor": lambda net: dtd.DeepTaylor(net, dtd.Box(0, 100)),
    "gradient x input": dtd.GradientTimesInput,
    "root": lambda net: dtd.Taylor(net, np.zeros(3)),
    "path": lambda net: dtd.IntegratedGradients(net, steps=1),
}


@pytest.mark.parametrize("name", EXPLAINERS)
def test_columns_are_matched_by_name(name, net, table):
    explain = EXPLAINERS[name](net)
    for order in (["c", "a", "b"], ["a", "b", "c"], ["b", "c", "a"]):
        explanation = explain(table[order])
        np.testing.assert_allclose(explanation.relevance, RELEVANCE, rtol=1e-6)
        assert explanation.inputs.tolist() == [[1, 2, 3], [10, 20, 30]]
        assert explanation.feature_names == NAMES


def test_what_else_takes_x(net, table):
    assert net.forward(table).tolist() == [[321], [3210]]
    assert (net.gradient(table) == [1, 10, 100]).all()
    assert dtd.nearest_root(net, table).output.tolist() == [321, 3210]
    assert dtd.LRP(net, dtd.Z())({"input": table}).relevance.tolist() == RELEVANCE
    curve = dtd.evaluate.perturb(net, table, None, order="random", fill={"c": 0, "b": 0, "a": 0})
    assert curve.scores[:, 0].tolist() == [321, 3210]
    assert (curve.scores[:, -1] == 0).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t[["a", "b"]], ValueError, "x must have the columns .*; it lacks 'c'"),
        (lambda t: t.assign(z=1), ValueError, r"it has 'z', .*: x\[\['a', 'b', 'c'\]\]"),
        (lambda t: t.rename(columns={"a": "A"}), ValueError, "lacks 'a' and has 'A'"),
        (lambda t: pd.DataFrame(t.to_numpy()), ValueError, "lacks 'a', 'b', 'c' and has '0'"),
        (lambda t: t[["a", "a", "b"]], ValueError, "several columns of the name 'a'"),
        (lambda t: t["a"], TypeError, r"x is a Series, .*x.to_frame\(\).T for one sample"),
        (
            lambda t: t.assign(a=["x", None], b=pd.to_datetime(["2020", "2021"])),
            TypeError,
            r"'a' \(text such as 'x'\), 'b' \(dtype datetime64",
        ),
        (
            lambda t: t.assign(b=pd.array([1, None], dtype="Int64")),
            ValueError,
            r"x\['b'\] is missing in row 1 \(1 of 2 rows\)",
        ),
        (
            lambda t: t.assign(b=pd.array([None, True], dtype="boolean")),
            ValueError,
            r"x\['b'\] is missing in row 0",
        ),
        (lambda t: t.assign(b=[1.5, np.nan]), ValueError, r"x\['b'\] is missing in row 1"),
        (
            lambda t: t.assign(b=np.array([1, None], object)),
            ValueError,
            r"x\['b'\] is missing in row 1",
        ),
    ],
)
def test_what_does_not_fit(change, error, message, net, table):
    for explain in (dtd.LRP(net), dtd.GradientTimesInput(net), net.forward):
        with pytest.raises(error, match=message):
            explain(change(table))


@pytest.mark.parametrize(
    "types",
    [
        {"a": "Int64", "b": "Float32", "c": "UInt8"},
        {"a": "category", "b": "object", "c": "int8"},
        {"a": "Float64", "b": "int64", "c": "float32"},
        {"a": "float32", "b": "int64", "c": "float16"},
    ],
    ids=lambda types: types["a"],
)
def test_dtypes_of_columns(types, net, table):
    """Whole numbers become the network's float32; float64 in any column makes all float64."""
    explanation = dtd.LRP(net, dtd.Z())(table.astype(types))
    assert explanation.relevance.tolist() == RELEVANCE
    wide = "Float64" in types.values()
    assert explanation.relevance.dtype == (np.float64 if wide else np.float32)


def test_bools(net):
    table = pd.DataFrame({"c": [True, False], "a": pd.array([False, True], dtype="boolean")})
    assert net.forward(table.assign(b=2.0)).tolist() == [[120], [21]]
    assert net.forward(table.assign(b=2.0).astype(object)).tolist() == [[120], [21]]


def test_without_names_a_table_is_read_as_it_stands(net, table):
    net.feature_names = ()
    explanation = dtd.LRP(net, dtd.Z())(table)
    assert explanation.explained.tolist() == [213, 2130]
    assert explanation.feature_names == ("c", "a", "b")
    with pytest.raises(ValueError, match=r"shape \(n, 3\).*got \(2, 2\)"):
        net.forward(table[["a", "b"]])
    with pytest.raises(ValueError, match="several columns of the name 'a'"):
        net.forward(table[["a", "a", "b"]])


def test_a_column_for_each_of_several_inputs():
    one = dtd.Dense(np.array([[2.0]]))
    net = dtd.Network(
        [("p", one, "age"), ("q", one, "fare"), ("sum", dtd.Add(), ["p", "q"])],
        input_shape={"age": (1,), "fare": (1,)},
    )
    explanation = dtd.LRP(net, dtd.Z())(pd.DataFrame({"fare": [1, 2], "age": [10, 20]}))
    assert explanation.relevance["age"].tolist() == [[20], [40]]
    assert explanation.relevance["fare"].tolist() == [[2], [4]]
    with pytest.raises(ValueError, match="lacks 'age'"):
        net.forward(pd.DataFrame({"fare": [1, 2]}))
    wide = dtd.Dense(np.ones((2, 1)))
    net = dtd.Network(
        [("p", one, "age"), ("q", wide, "rest"), ("sum", dtd.Add(), ["p", "q"])],
        input_shape={"age": (1,), "rest": (2,)},
    )
    with pytest.raises(TypeError, match="x must be a dict with the inputs age, rest"):
        net.forward(pd.DataFrame({"age": [1.0], "rest": [2.0]}))


# ------------------------------------------------------------------- domains, roots, baselines


@pytest.mark.parametrize(
    "make",
    [
        lambda t: (0, t.max()),
        lambda t: (t.min() * 0, t.max()),
        lambda t: ({"b": 0, "a": 0, "c": 0}, {"c": 30, "a": 10, "b": 20}),
        lambda t: (0, t.max().to_frame().T),
        lambda t: (0, t.max().to_numpy(), None, t.columns),
    ],
)
def test_boxes_go_by_name(make, net, table):
    explain = dtd.DeepTaylor(net, dtd.Box(*make(table)))
    assert explain.domain == dtd.Box(explain.domain.low, [10, 20, 30])
    assert explain(table).relevance.tolist() == RELEVANCE
    with pytest.raises(ValueError, match=r"x\[0, 0\] = 11.0 is outside"):
        explain(table.assign(a=[11, 1]))
    root = dtd.nearest_root(net, table, dtd.Box(*make(table))).root
    assert (root >= 0).all()
    box = dtd.Box(*make(table))
    assert dtd.evaluate.perturb(net, table, fill="noise", order="random", domain=box)
    with pytest.raises(ValueError, match="the box is that of the columns"):
        box.contains(table)


def test_origins_go_by_name(net, table):
    box = dtd.Box(table.min(), table.max(), origin=table.mean())
    assert dtd.DeepTaylor(net, box).domain.origin.tolist() == [5.5, 11, 16.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: dtd.Box(0, t.max().drop("a")), "lacks 'a'"),
        (lambda t: dtd.Box(0, {"a": 1, "b": 2, "c": 3, "d": 4}), "has 'd'"),
        (lambda t: dtd.Box([0, 0, 0], t.max()), "low must go by the names"),
        (lambda t: dtd.Box([0, 0], 1, names=t.columns), "low must be one number, or one for each"),
        (lambda t: dtd.Box({"a": 0, "b": 0}, t.max()), "high must have the columns 'a', 'b'"),
    ],
)
def test_boxes_that_do_not_fit(make, message, net, table):
    with pytest.raises(ValueError, match=message):
        dtd.DeepTaylor(net, make(table))


def test_what_goes_by_name_needs_names(net, table):
    with pytest.raises(TypeError, match="low goes by the names"):
        dtd.ZB(table.min(), table.max())
    net.feature_names = ()
    with pytest.raises(ValueError, match="the network knows no names"):
        dtd.DeepTaylor(net, dtd.Box(0, table.max()))
    with pytest.raises(ValueError, match="root goes by the names 'c', 'a', 'b'"):
        dtd.Taylor(net, table.iloc[0])


def test_roots_and_baselines_go_by_name(net, table):
    expected = [[0, 0, 0], [9, 180, 2700]]
    for point in (table.iloc[0], table.iloc[:1], {"b": 2, "c": 3, "a": 1}):
        assert dtd.Taylor(net, point)(table).relevance.tolist() == expected
        path = dtd.IntegratedGradients(net, point, steps=1)(table)
        assert path.relevance.tolist() == expected
    assert dtd.Taylor(net, pd.Series([1, 2, 3]))(table).relevance.tolist() == expected
    assert (dtd.Taylor(net, table)(table).relevance == 0).all()


def test_relevance_goes_by_the_names_of_classes(table):
    net = dtd.Network([dtd.Dense(np.diag([1.0, 10.0, 100.0]))])
    net.feature_names, net.class_names = NAMES, ("no", "yes", "maybe")
    start = pd.DataFrame({"yes": [5.0, 5.0], "maybe": [0.0, 1.0], "no": [1.0, 0.0]})
    explanation = dtd.LRP(net, dtd.Z())(table, relevance=start)
    assert explanation.relevance.tolist() == [[1, 5, 0], [0, 5, 1]]
    with pytest.raises(ValueError, match="relevance must have the columns 'no', 'yes', 'maybe'"):
        dtd.LRP(net, dtd.Z())(table, relevance=start[["yes", "no"]])


# ------------------------------------------------------------------- networks that know names


def test_training_keeps_the_names(table, tmp_path):
    y = np.array([1.0, 2.0])
    model = dtd.DetectionPoolingNet([(4, None)], iterations=5, seed=0, progress=False)
    model.fit(table, y)
    assert model.network_.feature_names == ("c", "a", "b")
    loaded = dtd.DetectionPoolingNet.load(model.save(tmp_path / "model"))
    assert (loaded.predict(table[["a", "b", "c"]]) == model.predict(table)).all()
    for one, data in ((model, table), (loaded, table[["b", "c", "a"]])):
        one.set_params(iterations=9).fit(data, y, resume=True)
    assert (loaded.predict(table) == model.predict(table)).all()
    with pytest.raises(ValueError, match="it lacks 'b'"):
        model.predict(table[["a", "c"]])


def test_saved_networks_keep_the_names(net, table, tmp_path):
    assert dtd.load(net.save(tmp_path / "net")).forward(table).tolist() == [[321], [3210]]


def test_other_libraries(net, table):
    """polars and pyarrow, where they are installed."""
    others = []
    try:
        import polars

        others.append(polars.DataFrame({name: table[name].to_numpy() for name in table}))
    except ImportError:
        pass
    try:
        import pyarrow

        others.append(pyarrow.table({name: table[name].to_numpy() for name in table}))
    except ImportError:
        pass
    if not others:
        pytest.skip("neither polars nor pyarrow is installed")
    for other in others:
        assert dtd.LRP(net, dtd.Z())(other).relevance.tolist() == RELEVANCE
