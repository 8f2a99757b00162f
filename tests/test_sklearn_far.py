# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Columns of scikit-learn's estimators that lie far from 0, such as times."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")

from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, FactorAnalysis, FastICA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import dtdcore as dtd

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TIME = 1.7e9


@pytest.fixture(scope="module")
def times():
    """Three columns, the first a time in seconds, and what is to be said of them."""
    x = np.random.default_rng(0).normal(size=(300, 3)) * 1e4
    y = x[:, 0] + x[:, 1]
    x[:, 0] += TIME
    return x, y


@pytest.mark.parametrize(
    "front",
    [
        PCA(),
        PCA(whiten=True),
        FactorAnalysis(2),
        FastICA(random_state=0),
        LinearDiscriminantAnalysis(),
        StandardScaler(),
        RobustScaler(),
        MinMaxScaler(),
        make_pipeline(MaxAbsScaler(), PCA()),
        make_pipeline(VarianceThreshold(), PCA()),
        ColumnTransformer([("a", PCA(), [0, 1]), ("b", StandardScaler(), [2])]),
        FeatureUnion([("a", StandardScaler()), ("b", PCA())]),
    ],
)
def test_far_from_zero(front, times):
    x, y = times
    wanted = y > 0 if isinstance(front, LinearDiscriminantAnalysis) else y
    pipeline = make_pipeline(front, Ridge()).fit(x, wanted)
    network = dtd.from_sklearn(pipeline)
    said, theirs = network.forward(x)[:, 0], pipeline.predict(x)
    assert np.abs(said - theirs).max() < 1e-9 * theirs.std()


@pytest.mark.parametrize("front", [StandardScaler(), RobustScaler()])
def test_scalers_of_times_that_hardly_differ(front, times):
    """scikit-learn subtracts first: not a digit is lost, and none in the network."""
    x, y = times
    x = (x - [TIME, 0, 0]) / 1e4 + [TIME, 0, 0]
    pipeline = make_pipeline(front, Ridge()).fit(x, y)
    network = dtd.from_sklearn(pipeline)
    name = pipeline.steps[0][0]
    assert [node.name for node in network.nodes] == [f"{name}/shift", name, "output"]
    np.testing.assert_allclose(network.forward(x)[:, 0], pipeline.predict(x), rtol=0, atol=1e-8)


@pytest.mark.parametrize("front", [StandardScaler(), MinMaxScaler(), RobustScaler()])
def test_far_from_zero_in_float32(front, rng):
    x = (rng.normal(5, 3, (200, 4)) + 1e6).astype(np.float32)
    y = (x - 1e6).astype(np.float64) @ [1, -2, 3, 1]
    estimator = MLPRegressor(hidden_layer_sizes=(5,), max_iter=50, random_state=0)
    network = dtd.from_sklearn(make_pipeline(front, estimator).fit(x, y))
    assert network.dtype == np.float32
    exact = front.transform(x.astype(np.float64)).astype(np.float32)
    theirs = estimator.predict(exact)
    assert np.abs(network.forward(x)[:, 0] - theirs).max() < 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize("front", [PCA(), StandardScaler(), MinMaxScaler()])
def test_explanations_do_not_depend_on_where_zero_is(front, times):
    x, y = times
    found = []
    for moved in (x, x - [TIME, 0, 0]):
        network = dtd.from_sklearn(make_pipeline(front, Ridge()).fit(moved, y))
        box = dtd.Box(moved.min(0), moved.max(0), origin=moved.mean(0))
        explain = dtd.DeepTaylor(network, box), dtd.LRP(network, "epsilon")
        found.append([one(moved[:20]).relevance for one in explain])
    for far, near in zip(*found, strict=True):
        np.testing.assert_allclose(far, near, rtol=0, atol=1e-8 * np.abs(near).max())


def test_columns_too_far_for_float32(rng):
    """Two branches that do not agree where a column lies: the error says what to do."""
    x = (rng.normal(5, 3, (200, 4)) + 1e6).astype(np.float32)
    y = (x - 1e6).astype(np.float64) @ [1, -2, 3, 1]
    both = FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler())])
    estimator = MLPRegressor(hidden_layer_sizes=(5,), max_iter=50, random_state=0)
    with pytest.raises(ValueError, match=r"far from 0 that float32 .*StandardScaler, or .*float64"):
        dtd.from_sklearn(make_pipeline(both, estimator).fit(x, y))


def test_verification_looks_where_the_columns_lie(times):
    x, y = times
    pipeline = make_pipeline(Bounded(), Ridge()).fit(x, y)
    with pytest.raises(ValueError, match="in step bounded: by"):
        dtd.from_sklearn(pipeline)


class Bounded(PCA):
    """Linear around 0, and nowhere near the data."""

    def transform(self, x):
        return super().transform(np.minimum(x, 1e6))
