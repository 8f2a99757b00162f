# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Names of the columns that estimators were fitted to: tables in any order give the same."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")
pytest.importorskip("pandas", reason="pandas is not installed")

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LinearRegression, RANSACRegressor, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

import dtdcore as dtd

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ("age", "fare", "siblings")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(40, 3)) * [10, 30, 1], columns=list(NAMES))


@pytest.fixture(scope="module")
def y(table):
    return (table.age + 2 * table.fare - 3 * table.siblings).to_numpy()


ESTIMATORS = {
    "alone": Ridge(),
    "perceptron": MLPRegressor(hidden_layer_sizes=(4,), max_iter=20, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), Ridge()),
    "components": make_pipeline(PCA(2), StandardScaler(), Ridge()),
    "selection": make_pipeline(SelectKBest(f_regression, k=2), Ridge()),
    "nested": make_pipeline(make_pipeline(StandardScaler(), MinMaxScaler()), Ridge()),
    "nothing first": Pipeline([("no", "passthrough"), ("s", StandardScaler()), ("r", Ridge())]),
    "identity first": make_pipeline(FunctionTransformer(), StandardScaler(), Ridge()),
    "search": GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [1]}, cv=2),
    "consensus": RANSACRegressor(random_state=0),
    "union": make_pipeline(
        FeatureUnion([("no", "drop"), ("a", StandardScaler()), ("b", PCA(1))]), Ridge()
    ),
    "columns by name": make_pipeline(
        ColumnTransformer([("b", StandardScaler(), ["siblings", "age"])], remainder="passthrough"),
        Ridge(),
    ),
    "columns by place": make_pipeline(
        ColumnTransformer([("b", StandardScaler(), [2, 0]), ("a", MinMaxScaler(), [1])]), Ridge()
    ),
    "renamed on the way": make_pipeline(
        ColumnTransformer([("b", PCA(2), ["siblings", "age"])], remainder="passthrough"),
        StandardScaler(),
        Ridge(),
    ).set_output(transform="pandas"),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_columns_are_matched_by_name(name, table, y):
    estimator = ESTIMATORS[name].fit(table, y)
    network = dtd.from_sklearn(estimator)
    assert network.feature_names == NAMES
    explain = dtd.LRP(network, "epsilon")
    expected = explain(table)
    np.testing.assert_allclose(expected.output[:, 0], estimator.predict(table), rtol=1e-9)
    for order in (["fare", "siblings", "age"], ["siblings", "fare", "age"]):
        explanation = explain(table[order])
        assert (explanation.relevance == expected.relevance).all()
        assert explanation.feature_names == NAMES
    with pytest.raises(ValueError, match="it lacks 'fare'"):
        explain(table[["age", "siblings"]])


def test_by_hand(table, y):
    """R of a linear regressor: x_i w_i, under the name of its column."""
    estimator = LinearRegression().fit(table, y)
    explanation = dtd.LRP(dtd.from_sklearn(estimator), dtd.Z())(table[["siblings", "fare", "age"]])
    relevance = dict(zip(explanation.feature_names, explanation.relevance.T, strict=True))
    for name, weight in (("age", 1), ("fare", 2), ("siblings", -3)):
        np.testing.assert_allclose(relevance[name], weight * table[name], rtol=1e-9)


def test_boxes_by_name_are_scaled(table, y):
    estimator = make_pipeline(StandardScaler(), Ridge()).fit(table, y)
    network = dtd.from_sklearn(estimator)
    box = dtd.Box(table.min(), table.max(), origin=table.mean())
    by_place = dtd.Box(table.min().to_numpy(), table.max().to_numpy(), table.mean().to_numpy())
    turned = dtd.Box(*(part[::-1] for part in (table.min(), table.max(), table.mean())))
    expected = dtd.DeepTaylor(network, by_place)(table).relevance
    for domain in (box, turned):
        assert (dtd.DeepTaylor(network, domain)(table).relevance == expected).all()


def test_estimators_without_names(table, y):
    network = dtd.from_sklearn(Ridge().fit(table.to_numpy(), y))
    assert network.feature_names == ()
    explanation = dtd.LRP(network, dtd.Z())(table)
    assert explanation.feature_names == NAMES
    assert (explanation.relevance == dtd.LRP(network, dtd.Z())(table.to_numpy()).relevance).all()
