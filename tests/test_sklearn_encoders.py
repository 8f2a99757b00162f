# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Encoders and imputers in front of estimators: relevance on the original columns.

A linear regressor has y = Σ_j x'_j w_j + b on the encoded columns x', so that LRP-0 gives a column
Σ_j x'_j w_j over the encoded columns j that it became: by hand from the encoder's own `transform`.
"""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")
pytest.importorskip("pandas", reason="pandas is not installed")

import pandas as pd
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

import dtdcore as dtd

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NUMBERS, TEXTS = ["age", "fare"], ["port", "sex"]


@pytest.fixture(scope="module")
def table():
    """Numbers with holes, texts, and a column of numbers that are categories."""
    rng = np.random.default_rng(0)
    n = 120
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "fare": rng.exponential(30, n),
            "port": rng.choice(list("CQSXY"), n, p=[0.4, 0.3, 0.2, 0.06, 0.04]),
            "sex": rng.choice(["f", "m"], n),
            "deck": rng.integers(0, 4, n),
        }
    )
    return frame


@pytest.fixture(scope="module")
def holes(table):
    """The same with holes in a column of numbers and in one of texts."""
    frame = table.copy()
    frame.loc[::7, "age"] = np.nan
    frame.loc[::9, "port"] = None
    frame["port"] = frame["port"].where(frame["port"].notna(), np.nan)
    return frame


@pytest.fixture(scope="module")
def y(table):
    return (2 * table.fare + 10 * (table.sex == "f") + 5 * (table.port == "S") + table.deck).values


def onehot(columns=TEXTS, **options):
    return ("texts", OneHotEncoder(**options), columns)


#: What stands in front, whether the table has holes, and which original column each encoded one is
#: of: pairs of (column, number of encoded columns) in their order.
FRONTS = {
    "one-hot": (
        ColumnTransformer([onehot()], remainder="passthrough"),
        False,
        [("port", 5), ("sex", 2), ("age", 1), ("fare", 1), ("deck", 1)],
    ),
    "first dropped": (
        ColumnTransformer([onehot(drop="first")], remainder="drop"),
        False,
        [("port", 4), ("sex", 1)],
    ),
    "of two one dropped": (
        ColumnTransformer([("n", "passthrough", ["fare"]), onehot(drop="if_binary")]),
        False,
        [("fare", 1), ("port", 5), ("sex", 1)],
    ),
    "rare ones together": (
        ColumnTransformer([onehot(min_frequency=15, sparse_output=False)]),
        False,
        [("port", 4), ("sex", 2)],
    ),
    "at most three": (
        ColumnTransformer([onehot(["port", "deck"], max_categories=3, drop="first")]),
        False,
        [("port", 2), ("deck", 2)],
    ),
    "numbers as categories": (
        ColumnTransformer([onehot(["deck", "sex"]), ("n", "passthrough", ["deck"])]),
        False,
        [("deck", 4), ("sex", 2), ("deck", 1)],
    ),
    "holes as categories": (
        ColumnTransformer([onehot(["port"])]),
        True,
        [("port", 6)],
    ),
    "ordinal": (
        ColumnTransformer([("c", OrdinalEncoder(), TEXTS)], remainder="passthrough"),
        False,
        [("port", 1), ("sex", 1), ("age", 1), ("fare", 1), ("deck", 1)],
    ),
    "imputers": (
        ColumnTransformer(
            [
                ("n", SimpleImputer(strategy="median"), NUMBERS),
                (
                    "c",
                    make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()),
                    TEXTS,
                ),
            ]
        ),
        True,
        [("age", 1), ("fare", 1), ("port", 5), ("sex", 2)],
    ),
    "constants": (
        ColumnTransformer(
            [
                ("n", SimpleImputer(strategy="constant", fill_value=-1.0), NUMBERS),
                (
                    "c",
                    make_pipeline(
                        SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder()
                    ),
                    ["port"],
                ),
            ]
        ),
        True,
        [("age", 1), ("fare", 1), ("port", 6)],
    ),
    "indicators": (
        ColumnTransformer([("n", SimpleImputer(add_indicator=True), NUMBERS)]),
        True,
        [("age", 1), ("fare", 1), ("age", 1)],
    ),
    "a union": (
        ColumnTransformer(
            [
                (
                    "n",
                    FeatureUnion([("a", SimpleImputer()), ("b", SimpleImputer(strategy="median"))]),
                    NUMBERS,
                )
            ]
        ),
        True,
        [("age", 1), ("fare", 1), ("age", 1), ("fare", 1)],
    ),
    "chosen by dtype": (
        ColumnTransformer(
            [("n", "passthrough", make_column_selector(dtype_include="number"))],
            remainder=OneHotEncoder(),
        ),
        False,
        [("age", 1), ("fare", 1), ("deck", 1), ("port", 5), ("sex", 2)],
    ),
}


def by_hand(front, groups, estimator, data):
    """Σ_j x'_j w_j for each original column."""
    encoded = front.transform(data)
    encoded = np.asarray(encoded.toarray() if hasattr(encoded, "toarray") else encoded, float)
    owners = np.repeat([name for name, _ in groups], [count for _, count in groups])
    assert len(owners) == encoded.shape[1]
    contributions = encoded * estimator.coef_
    return np.stack([contributions[:, owners == name].sum(axis=1) for name in data], axis=1)


@pytest.mark.parametrize("name", FRONTS)
def test_columns_receive_what_they_became(name, table, holes, y):
    front, has_holes, groups = FRONTS[name]
    data = holes if has_holes else table
    pipeline = make_pipeline(front, LinearRegression()).fit(data, y)
    network = dtd.from_sklearn(pipeline)
    explanation = dtd.LRP(network, dtd.Z())(data)
    np.testing.assert_allclose(explanation.output[:, 0], pipeline.predict(data), rtol=1e-9)
    expected = by_hand(pipeline[0], groups, pipeline[-1], data)
    np.testing.assert_allclose(explanation.relevance, expected, rtol=1e-7, atol=1e-8)
    assert explanation.audit.closes()
    assert explanation.feature_names == tuple(data)
    absorbed = explanation.audit[0].bias
    np.testing.assert_allclose(explanation.total + absorbed, explanation.explained, rtol=1e-9)
    swapped = dtd.LRP(network, dtd.Z())(data[list(data)[::-1]])
    assert (swapped.relevance == explanation.relevance).all()


def full(numbers, **options):
    """Numbers and texts with holes filled, the one scaled, the other one-hot."""
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(**options))
    return ColumnTransformer([("n", numbers, NUMBERS), ("c", texts, TEXTS)])


SCALED = {
    "a scaler": (full(make_pipeline(SimpleImputer(), StandardScaler())),),
    "a scaler behind": (full(SimpleImputer()), MinMaxScaler()),
    "components": (full(SimpleImputer()), StandardScaler(), PCA(4)),
    "weights": (
        full(make_pipeline(SimpleImputer(), StandardScaler())).set_params(
            transformer_weights={"n": 2.0, "c": 3.0}
        ),
    ),
    "tables between": (
        full(make_pipeline(SimpleImputer(), StandardScaler()), sparse_output=False).set_output(
            transform="pandas"
        ),
    ),
}


@pytest.mark.parametrize("name", SCALED)
def test_perceptrons(name, holes, y):
    classifier = MLPClassifier((10,), max_iter=60, random_state=0)
    labels = np.where(y > np.median(y), "dear", "cheap")
    pipeline = make_pipeline(*SCALED[name], classifier).fit(holes, labels)
    network = dtd.from_sklearn(pipeline)
    logits = np.log(pipeline.predict_proba(holes))
    np.testing.assert_allclose(network.forward(holes)[:, 1], logits[:, 1] - logits[:, 0])
    box = dtd.Box({"age": 0, "fare": 0}, {"fare": 1000, "age": 100}, origin={"age": 40, "fare": 30})
    explanation = dtd.DeepTaylor(network, box)(holes, target=labels)
    assert explanation.relevance.shape == (120, 5)
    assert explanation.is_positive().all()
    assert explanation.audit.closes()
    np.testing.assert_allclose(explanation.audit[-1].passed, explanation.total, rtol=1e-9)
    assert not explanation.relevance[:, 4].any()  # the deck is not taken
    assert any(note.startswith("column age: holes become") for note in network.notes)


def test_boxes_by_hand(table, y):
    """z^B on the encoded columns, categories in [0, 1]: q = x w - l w⁺ - h w⁻, groups summed."""
    front = ColumnTransformer([("n", "passthrough", NUMBERS), onehot()])
    pipeline = make_pipeline(front, LinearRegression()).fit(table, y)
    network = dtd.from_sklearn(pipeline)
    explain = dtd.DeepTaylor(network, dtd.Box({"fare": -5, "age": 0}, {"age": 90, "fare": 400}))
    x, w = np.asarray(pipeline[0].transform(table)), pipeline[-1].coef_
    low, high = np.array([0, -5] + [0] * 7), np.array([90, 400] + [1] * 7)
    q = x * w - low * np.maximum(w, 0) - high * np.minimum(w, 0)
    share = q / q.sum(1, keepdims=True) * np.maximum(pipeline.predict(table), 0)[:, None]
    expected = np.stack(
        [share[:, 0], share[:, 1], share[:, 2:7].sum(1), share[:, 7:].sum(1), 0 * y], axis=1
    )
    np.testing.assert_allclose(explain(table).relevance, expected, rtol=1e-9, atol=1e-12)
    scalar = dtd.DeepTaylor(network, dtd.Box(-5, 400)).domain
    assert scalar.low.tolist() == [-5, -5] + [0] * 7
    assert scalar.high.tolist() == [400, 400] + [1] * 7
    with pytest.raises(ValueError, match=r"go by name: .* for the columns 'age', 'fare'"):
        dtd.DeepTaylor(network, dtd.Box(np.zeros(5), np.ones(5)))
    with pytest.raises(ValueError, match="has 'port', which is none of them"):
        dtd.DeepTaylor(network, dtd.Box(0, {"age": 1, "fare": 2, "port": 3}))
    with pytest.raises(ValueError, match="is outside the domain"):
        dtd.DeepTaylor(network, dtd.Box(0, {"age": 1, "fare": 2}))(table)


EXPLAINERS = {
    "gradient x input": dtd.GradientTimesInput,
    "path": lambda net: dtd.IntegratedGradients(net, steps=3),
    "root": lambda net: dtd.Taylor(net, 0.0),
    "pieces": lambda net: dtd.LRP(net, dtd.Z(), max_memory=1500),
}


@pytest.mark.parametrize("name", EXPLAINERS)
def test_other_explainers(name, table, y):
    """Of a linear function without a bias all of them give Σ_j x'_j w_j."""
    groups = [("port", 5), ("sex", 2), ("age", 1), ("fare", 1), ("deck", 1)]
    front = ColumnTransformer([onehot()], remainder="passthrough")
    pipeline = make_pipeline(front, LinearRegression(fit_intercept=False)).fit(table, y)
    explain = EXPLAINERS[name](dtd.from_sklearn(pipeline))
    expected = by_hand(pipeline[0], groups, pipeline[-1], table)
    np.testing.assert_allclose(explain(table).relevance, expected, rtol=1e-7, atol=1e-7)


def test_roots_and_baselines_are_rows_of_the_table(table, y):
    front = ColumnTransformer([onehot()], remainder="passthrough")
    pipeline = make_pipeline(front, LinearRegression()).fit(table, y)
    network = dtd.from_sklearn(pipeline)
    first = table.iloc[0]
    for point in (table.iloc[:1], first, first.to_dict(), first.to_numpy()):
        for explain in (dtd.Taylor(network, point), dtd.IntegratedGradients(network, point)):
            explanation = explain(table)
            np.testing.assert_allclose(explanation.relevance[0], 0, atol=1e-9)
            moved = explanation.output[:, 0] - explanation.output[0, 0]
            np.testing.assert_allclose(explanation.total, moved, atol=1e-8)
    nearest = dtd.nearest_root(network, table[:3])
    assert nearest.certified.all()
    taylor = dtd.Taylor(network)(table[:3])
    np.testing.assert_allclose(taylor.total, taylor.explained, rtol=1e-5)
    with pytest.raises(ValueError, match="lacks 'sex'"):
        dtd.Taylor(network, first.drop("sex"))


def test_arrays(table, holes, y):
    """Estimators that were fitted to arrays take columns by their place."""
    texts = table[TEXTS].to_numpy(str)
    network = dtd.from_sklearn(make_pipeline(OneHotEncoder(), Ridge()).fit(texts, y))
    explanation = dtd.LRP(network, dtd.Z())(texts)
    assert explanation.relevance.shape == (120, 2)
    assert explanation.inputs[0].tolist() == texts[0].tolist()
    assert explanation.feature_names == ()
    named = dtd.LRP(network, dtd.Z())(table[TEXTS])
    assert (named.relevance == explanation.relevance).all()
    assert named.feature_names == ("port", "sex")
    assert (network.forward(texts.tolist()) == explanation.output).all()
    numbers = holes[NUMBERS].to_numpy()
    network = dtd.from_sklearn(make_pipeline(SimpleImputer(), Ridge()).fit(numbers, y))
    filled = dtd.DeepTaylor(network, dtd.Box([0, -1], [100, 500]))(numbers)
    assert filled.relevance.shape == (120, 2)
    with pytest.raises(ValueError, match="one for each of the 2 original columns"):
        dtd.DeepTaylor(network, dtd.Box(np.zeros(3), 1))
    searched = GridSearchCV(make_pipeline(SimpleImputer(), Ridge()), {"ridge__alpha": [1, 2]}, cv=2)
    network = dtd.from_sklearn(searched.fit(numbers, y))
    np.testing.assert_allclose(network.forward(numbers)[:, 0], searched.predict(numbers))


def test_markers_of_holes(table, y):
    data = table[["deck", "fare"]]
    imputer = SimpleImputer(missing_values=0, strategy="most_frequent")
    pipeline = make_pipeline(imputer, LinearRegression()).fit(data, y)
    explanation = dtd.LRP(dtd.from_sklearn(pipeline), dtd.Z())(data)
    filled = imputer.transform(data)
    np.testing.assert_allclose(explanation.relevance, filled * pipeline[-1].coef_)
    assert explanation.inputs[:, 0].tolist() == data.deck.tolist()


def test_fillings_that_are_no_category(table, y):
    """No column had holes: what they would be filled with is not known, and not asked for."""
    texts = make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder())
    decks = make_pipeline(SimpleImputer(strategy="mean"), OneHotEncoder())
    front = ColumnTransformer([("texts", texts, TEXTS), ("decks", decks, ["deck"])])
    model = make_pipeline(front, LinearRegression()).fit(table, y)
    explain = dtd.LRP(dtd.from_sklearn(model), dtd.Z())
    np.testing.assert_allclose(explain(table).output[:, 0], model.predict(table))
    with pytest.raises(ValueError, match=r"x\['port'\] holds 'none' in row 2, .*categories"):
        explain(table.assign(port=[*table.port[:2], None, *table.port[3:]]))


def test_none_is_a_category_of_its_own(table, y):
    """None in a column of texts, as tables of other libraries have it, is not NaN."""
    ports = np.where(table.port == "Y", None, table.port)
    table = table.assign(port=pd.Series(ports, dtype=object))
    model = make_pipeline(ColumnTransformer([onehot()]), LinearRegression()).fit(table, y)
    explanation = dtd.LRP(dtd.from_sklearn(model), dtd.Z())(table)
    np.testing.assert_allclose(explanation.output[:, 0], model.predict(table))


@pytest.mark.parametrize(
    ("options", "unknown"),
    [
        ({"handle_unknown": "ignore"}, 0),
        ({"handle_unknown": "infrequent_if_exist", "min_frequency": 15}, None),
    ],
)
def test_unknown_categories(options, unknown, table, y):
    pipeline = make_pipeline(ColumnTransformer([onehot(["port"], **options)]), LinearRegression())
    network = dtd.from_sklearn(pipeline.fit(table, y))
    new = table[:2].assign(port=["Z", "S"])
    explanation = dtd.LRP(network, dtd.Z())(new)
    np.testing.assert_allclose(explanation.output[:, 0], pipeline.predict(new), rtol=1e-9)
    rare = pipeline[-1].coef_[-1] if unknown is None else unknown
    np.testing.assert_allclose(explanation.relevance[0, 2], rare, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.assign(port="Z"), ValueError, r"x\['port'\] holds 'Z' in row 0, which is not"),
        (lambda t: t.assign(port=np.nan), ValueError, r"x\['port'\] holds 'nan' in row 0"),
        (lambda t: t.assign(age=np.nan), ValueError, r"x\['age'\] is missing in row 0"),
        (lambda t: t.assign(age="old"), TypeError, r"x\['age'\] must hold real numbers"),
        (lambda t: t.drop(columns="sex"), ValueError, "it lacks 'sex'"),
        (lambda t: t.assign(more=1), ValueError, "it has 'more', which is none of them"),
        (lambda t: t["age"], TypeError, "x is a Series"),
        (lambda t: t.to_numpy()[:, :3], ValueError, r"x must have shape \(n, 5\)"),
        (lambda t: t.to_numpy()[0], ValueError, r"x must have shape \(n, 5\)"),
    ],
)
def test_tables_that_do_not_fit(change, error, message, table, y):
    front = ColumnTransformer([onehot()], remainder="passthrough")
    network = dtd.from_sklearn(make_pipeline(front, Ridge()).fit(table, y))
    for call in (network.forward, dtd.LRP(network), dtd.Sensitivity(network)):
        with pytest.raises(error, match=message):
            call(change(table))


@pytest.mark.parametrize(
    ("front", "message"),
    [
        (KNNImputer(), "step knnimputer: KNNImputer is not supported"),
        (
            ColumnTransformer([("n", KNNImputer(), NUMBERS), onehot()]),
            "step columntransformer.n: KNNImputer is not supported",
        ),
        (
            make_pipeline(OrdinalEncoder(), OneHotEncoder()),
            "onehotencoder: OneHotEncoder behind an encoder is not supported",
        ),
        (
            make_pipeline(StandardScaler(), SimpleImputer()),
            "simpleimputer: SimpleImputer is not supported.*at the columns themselves",
        ),
    ],
)
def test_what_is_not_supported(front, message, table, y):
    data = table if isinstance(front, ColumnTransformer) else table[NUMBERS]
    with pytest.raises(ValueError, match=message):
        dtd.from_sklearn(make_pipeline(front, Ridge()).fit(data, y))


class Wrong(OneHotEncoder):
    """Says something else of several rows than of each."""

    def transform(self, x):
        result = super().transform(x).toarray()
        return 2 * result if len(result) > 20 else result


def test_fronts_are_compared(table, y):
    pipeline = make_pipeline(Wrong(), Ridge()).fit(table[TEXTS], y)
    with pytest.raises(ValueError, match="differs from scikit-learn in step wrong: by"):
        dtd.from_sklearn(pipeline)
    assert dtd.from_sklearn(pipeline, verify=False).encoder.count == 2


# ------------------------------------------------------------------- what goes on with explanations


def test_explanations_show_the_original_values(holes, y, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    pipeline = make_pipeline(full(SimpleImputer()), Ridge()).fit(holes, y)
    network = dtd.from_sklearn(pipeline)
    explanation = dtd.LRP(network, dtd.Z())(holes)
    assert np.isnan(explanation.inputs[0, 0])
    assert explanation.inputs[1, 2:4].tolist() == holes.iloc[1, 2:4].tolist()
    assert explanation[1:3].inputs.shape == (2, 5)
    labels = [text.get_text() for text in explanation[1].plot().axes[0].get_yticklabels()]
    assert f"port = {holes.port[1]}" in labels
    assert explanation.plot().axes
    frame = explanation.to_frame()
    assert frame.value[2:4].tolist()[1] == holes.sex[0]
    assert len(explanation.to_dict()["inputs"]) == 120
    assert "table" in explanation._repr_html_()
    loaded = dtd.Explanation.load(explanation.save(tmp_path / "explanation"))
    assert (loaded.relevance == explanation.relevance).all()
    assert loaded.inputs.dtype == object
    none = dtd.Explanation.load(explanation[:0].save(tmp_path / "none"))
    assert none.inputs.shape == none.relevance.shape == (0, 5)
    pd.testing.assert_frame_equal(pd.DataFrame(loaded.inputs), pd.DataFrame(explanation.inputs))


def test_what_such_networks_cannot(table, y, tmp_path):
    front = ColumnTransformer([onehot()], remainder="passthrough")
    network = dtd.from_sklearn(make_pipeline(front, Ridge()).fit(table, y))
    with pytest.raises(ValueError, match="cannot be saved: save the estimator"):
        network.save(tmp_path / "network")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"perturb network\.behind_encoder"):
        dtd.evaluate.perturb(network, table, None, order="random")
    encoded = network.check_inputs(table)
    behind = network.behind_encoder
    assert behind.feature_names == ()
    assert (behind.forward(encoded) == network.forward(table)).all()
    assert dtd.evaluate.perturb(behind, encoded, None, order="random", fill=0.0)
    assert behind.save(tmp_path / "network").exists()
    for other in (copy.copy(network), pickle.loads(pickle.dumps(network))):
        assert (other.forward(table) == network.forward(table)).all()
