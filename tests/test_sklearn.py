# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Estimators of scikit-learn, trained here on its own data, as networks."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")

from sklearn import datasets, linear_model, preprocessing, svm
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import KNNImputer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import dtdcore as dtd
from dtdcore.importers.sklearn.importer import operators

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
LM = linear_model


@pytest.fixture(scope="module")
def digits():
    x, y = datasets.load_digits(return_X_y=True)
    return train_test_split(x, y, test_size=0.3, random_state=0)


@pytest.fixture(scope="module")
def cancer():
    return datasets.load_breast_cancer(return_X_y=True)


@pytest.fixture(scope="module")
def diabetes():
    return datasets.load_diabetes(return_X_y=True, scaled=False)


def mlp(**options):
    return MLPClassifier(
        **{"hidden_layer_sizes": (40,), "max_iter": 60, "random_state": 0} | options
    )


# ------------------------------------------------------------------- networks on real digits


@pytest.mark.parametrize("scaler", [StandardScaler, MinMaxScaler])
def test_digits(scaler, digits):
    """Pixels of 0 to 16 in, relevance on the pixels; the domain is mapped by the scaler."""
    x, x_test, y, y_test = digits
    pipeline = make_pipeline(scaler(), mlp(hidden_layer_sizes=(60, 30))).fit(x, y)
    accuracy = pipeline.score(x_test, y_test)
    assert accuracy > 0.95
    network = dtd.from_sklearn(pipeline)
    assert network.dtype == np.float64
    said = network.forward(x_test)
    assert np.mean(np.argmax(said, 1) == y_test) == accuracy
    logs = pipeline.predict_log_proba(x_test)
    np.testing.assert_allclose(said - said.max(1, keepdims=True), logs - logs.max(1, keepdims=True))
    explanation = dtd.DeepTaylor(network, dtd.Box(0, 16))(x_test)
    assert explanation.audit.closes()
    assert explanation.is_positive().all()
    assert explanation.audit.names == ("output", "hidden_2", "hidden_1")
    assert np.mean(explanation.total / explanation.explained) > 0.98
    # the same heatmaps as with the scaler merged into the weights in NumPy
    step = pipeline[0]
    scale = step.scale_ if scaler is MinMaxScaler else 1 / step.scale_
    shift = step.min_ if scaler is MinMaxScaler else -step.mean_ / step.scale_
    w, b = pipeline[-1].coefs_, pipeline[-1].intercepts_
    dense = [dtd.Dense(scale[:, None] * w[0], b[0] + shift @ w[0])]
    for weight, bias in zip(w[1:], b[1:], strict=True):
        dense += [dtd.ReLU(), dtd.Dense(weight, bias)]
    by_hand = dtd.DeepTaylor(dtd.Network(dense), dtd.Box(0, 16))(x_test)
    largest = np.abs(by_hand.relevance).max()
    np.testing.assert_allclose(explanation.relevance, by_hand.relevance, atol=1e-9 * largest)


@pytest.mark.parametrize("activation", ["relu", "tanh", "identity", "logistic"])
@pytest.mark.parametrize("kind", ["classes", "two classes", "labels", "numbers", "two numbers"])
def test_perceptrons(kind, activation, digits):
    x, x_test, y, _ = digits
    options = {"activation": activation, "max_iter": 15}
    target = {
        "classes": y,
        "two classes": np.where(y > 4, "high", "low"),
        "labels": np.stack([y > 4, y % 2 == 0, y == 3], 1).astype(int),
        "numbers": y.astype(float),
        "two numbers": np.stack([y, y**2], 1).astype(float),
    }[kind]
    if "numbers" in kind:
        estimator = MLPRegressor(hidden_layer_sizes=(12, 8), random_state=1, **options)
        estimator.fit(x / 16, target)
    else:
        estimator = mlp(hidden_layer_sizes=(12, 8), **options).fit(x / 16, target)
    network = dtd.from_sklearn(estimator)
    said = network.forward(x_test / 16)
    if "numbers" in kind:
        theirs = estimator.predict(x_test / 16).reshape(len(x_test), -1)
        np.testing.assert_allclose(said, theirs, rtol=1e-9, atol=1e-9)
        return
    p = estimator.predict_proba(x_test / 16)
    if kind == "labels":
        np.testing.assert_allclose(1 / (1 + np.exp(-said)), p, atol=1e-12)
        assert "logistic function at the end is left out" in network.summary()
    elif kind == "two classes":
        np.testing.assert_allclose(1 / (1 + np.exp(-said)), p, atol=1e-12)
        assert "output 0 is minus the logit and speaks for class 'high'" in network.notes[1]
        explanation = dtd.DeepTaylor(network, dtd.Box(0, 1))(x_test / 16)
        assert (estimator.classes_[explanation.target] == estimator.predict(x_test / 16)).all()
        assert (explanation.explained >= 0).all()
    else:
        assert (np.argmax(said, 1) == estimator.predict(x_test / 16)).all()
        assert network.notes[0].startswith("the softmax function")


def test_poisson_loss(rng):
    """Predictions below exp(-30) are not told apart, on either side."""
    try:
        estimator = MLPRegressor(loss="poisson", max_iter=1, random_state=0)
    except TypeError:
        pytest.skip("this scikit-learn has no loss of MLPRegressor")
    x = rng.uniform(size=(20, 3))
    estimator.fit(x, x.sum(1))
    estimator.coefs_[-1] *= 20
    network = dtd.from_sklearn(estimator)
    np.testing.assert_allclose(np.exp(network.forward(x)[:, 0]), estimator.predict(x))
    assert "its argument" in network.notes[0]


def test_float32_stays(digits):
    x, _, y, _ = digits
    estimator = mlp(max_iter=5).fit(x.astype(np.float32), y)
    assert estimator.coefs_[0].dtype == np.float32
    assert dtd.from_sklearn(estimator).dtype == np.float32
    network = dtd.from_sklearn(make_pipeline(StandardScaler(), estimator).fit(x.astype("f4"), y))
    assert network.dtype == np.float32


# ------------------------------------------------------------------- linear models

REGRESSORS = [
    LM.LinearRegression(),
    LM.LinearRegression(fit_intercept=False),
    LM.Ridge(),
    LM.RidgeCV(),
    LM.Lasso(),
    LM.LassoCV(),
    LM.ElasticNet(),
    LM.ElasticNetCV(),
    LM.Lars(),
    LM.LassoLarsIC(),
    LM.OrthogonalMatchingPursuit(),
    LM.BayesianRidge(),
    LM.ARDRegression(),
    LM.HuberRegressor(),
    LM.SGDRegressor(random_state=0),
    LM.TheilSenRegressor(random_state=0, max_subpopulation=100),
    LM.RANSACRegressor(random_state=0),
    LM.PoissonRegressor(),
    LM.GammaRegressor(),
    LM.TweedieRegressor(power=1.5),
    LM.TweedieRegressor(power=0),
    svm.LinearSVR(random_state=0),
]
CLASSIFIERS = [
    LM.LogisticRegression(),
    LM.SGDClassifier(random_state=0),
    LM.RidgeClassifier(),
    LM.RidgeClassifierCV(),
    LM.Perceptron(random_state=0),
    svm.LinearSVC(random_state=0),
    LinearDiscriminantAnalysis(),
]


@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda e: type(e).__name__)
def test_linear_regressors(estimator, diabetes):
    x, y = diabetes
    pipeline = make_pipeline(StandardScaler(), estimator).fit(x, y)
    network = dtd.from_sklearn(pipeline)
    said, theirs = network.forward(x)[:, 0], pipeline.predict(x)
    linked = any("left out" in note for note in network.notes)
    logs = ("PoissonRegressor", "GammaRegressor")
    assert linked == (type(estimator).__name__ in logs or getattr(estimator, "power", 0) == 1.5)
    np.testing.assert_allclose(np.exp(said) if linked else said, theirs, rtol=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda e: type(e).__name__)
def test_linear_classifiers(estimator, classes, digits):
    x, x_test, y, _ = digits
    names = np.array(["zero", "one", "two"])[y % classes]
    pipeline = make_pipeline(MinMaxScaler(), estimator).fit(x, names)
    network = dtd.from_sklearn(pipeline)
    said, f = network.forward(x_test), pipeline.decision_function(x_test)
    np.testing.assert_allclose(said, np.stack([-f, f], 1) if classes == 2 else f, atol=1e-9)
    assert (pipeline.classes_[np.argmax(said, 1)] == pipeline.predict(x_test)).all()
    assert all(repr(str(name)) in network.notes[0] for name in np.unique(names))


def test_several_outputs_sparse_weights_and_searches(diabetes, digits):
    x, y = diabetes
    several = LM.MultiTaskLasso().fit(x, np.stack([y, 2 * y + x[:, 0]], 1))
    np.testing.assert_allclose(dtd.from_sklearn(several).forward(x), several.predict(x))
    x, _, y, _ = digits
    sparse = LM.LogisticRegression(max_iter=50).fit(x, y).sparsify()
    assert dtd.from_sklearn(sparse).output_shape == (10,)
    pipeline = make_pipeline(StandardScaler(), LM.RidgeClassifier())
    search = GridSearchCV(pipeline, {"ridgeclassifier__alpha": [0.1, 10]}, cv=2).fit(x, y)
    network = dtd.from_sklearn(search)
    np.testing.assert_allclose(network.forward(x), search.decision_function(x), atol=1e-9)
    assert network.nodes[0].name == "standardscaler"


# ------------------------------------------------------------------- what stands in front

FRONTS = {
    "standard": (StandardScaler(), 1),
    "only mean": (StandardScaler(with_std=False), 1),
    "only deviation": (StandardScaler(with_mean=False), 1),
    "min-max": (MinMaxScaler((-1, 2)), 1),
    "max": (MaxAbsScaler(), 1),
    "robust": (RobustScaler(), 1),
    "robust, scaled": (RobustScaler(with_centering=False), 1),
    "robust, centred": (RobustScaler(with_scaling=False), 1),
    "two scalers": (make_pipeline(StandardScaler(), MinMaxScaler()), 2),
    "passthrough": (Pipeline([("no", "passthrough"), ("scale", StandardScaler())]), 1),
    "identity": (preprocessing.FunctionTransformer(), 0),
    "pca": (PCA(5), 1),
    "scaled pca": (make_pipeline(StandardScaler(), PCA(5, whiten=True)), 1),
    "svd": (TruncatedSVD(4, random_state=0), 0),
    "lda": (LinearDiscriminantAnalysis(n_components=1), 1),
    "threshold": (make_pipeline(VarianceThreshold(10.0), StandardScaler()), 1),
    "best": (make_pipeline(StandardScaler(), SelectKBest(k=6)), 1),
    "columns": (
        ColumnTransformer(
            [
                ("right", StandardScaler(), slice(5, 9)),
                ("left", make_pipeline(MinMaxScaler(), PCA(2)), [0, 3, 1]),
                ("gone", "drop", [4]),
            ],
            remainder="passthrough",
        ),
        2,
    ),
    "columns twice": (
        ColumnTransformer(
            [("a", StandardScaler(), [0, 1]), ("b", MinMaxScaler(), np.arange(30) < 3)],
            transformer_weights={"b": 3.0},
        ),
        1,
    ),
    "union": (FeatureUnion([("a", StandardScaler()), ("b", PCA(3)), ("c", "drop")]), 1),
}


@pytest.mark.parametrize("name", FRONTS)
def test_fronts(name, cancer):
    front, scales = FRONTS[name]
    x, y = cancer
    pipeline = make_pipeline(front, LM.Ridge()).fit(x, y)
    network = dtd.from_sklearn(pipeline)
    assert network.input_shape == (30,)
    assert sum(isinstance(layer, dtd.ChannelAffine) for layer in network.layers) == scales
    np.testing.assert_allclose(network.forward(x)[:, 0], pipeline.predict(x), rtol=1e-7, atol=1e-8)
    box = dtd.Box(x.min(0), x.max(0), origin=x.mean(0))
    explanation = dtd.DeepTaylor(network, box)(x)
    assert explanation.audit.closes()
    assert explanation.is_consistent().all()
    if name == "columns":
        assert not explanation.relevance[:, 4].any()


def test_columns_that_were_not_chosen_have_no_relevance(cancer):
    x, y = cancer
    pipeline = make_pipeline(SelectKBest(k=4), StandardScaler(), mlp()).fit(x, y)
    gone = ~pipeline[0].get_support()
    explanation = dtd.LRP(dtd.from_sklearn(pipeline), "epsilon")(x)
    assert not explanation.relevance[:, gone].any()
    assert explanation.relevance[:, ~gone].all()


def test_relevance_of_columns_that_two_branches_take(rng):
    """A column that one branch alone takes is scaled in front, whatever else that branch takes."""
    x = rng.normal(5, [1, 10, 100], (200, 3))
    first = ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", StandardScaler(), [1, 2])])
    pipeline = make_pipeline(first, LM.Ridge()).fit(x, x.sum(1))
    network = dtd.from_sklearn(pipeline)
    scaler = network.layers[0]
    np.testing.assert_allclose(scaler.scale, [1 / x[:, 0].std(), 1, 1 / x[:, 2].std()])
    # of the other both subtract the same mean, which is subtracted in front
    np.testing.assert_allclose((scaler.shift + scaler.scale * x.mean(0)), 0, atol=1e-9)
    np.testing.assert_allclose(network.forward(x)[:, 0], pipeline.predict(x))


# ------------------------------------------------------------------- tables


def test_columns_by_name(cancer):
    """The network takes the columns in the order of the table that the pipeline was fitted to."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    x, y = cancer
    table = pandas.DataFrame(x[:, :6], columns=list("abcdef"))
    columns = ColumnTransformer(
        [
            ("one", StandardScaler(), ["e", "a"]),
            ("two", MinMaxScaler(), slice("b", "c")),
            ("gone", "drop", ["d"]),
        ],
        remainder="passthrough",
    )
    pipeline = make_pipeline(columns, mlp()).fit(table, y)
    network = dtd.from_sklearn(pipeline)
    p = pipeline.predict_proba(table)
    said = network.forward(table.to_numpy())
    np.testing.assert_allclose(1 / (1 + np.exp(-said)), p, atol=1e-12)
    explanation = dtd.DeepTaylor(network, dtd.Box(0, x[:, :6].max(0), origin=x[:, :6].mean(0)))(
        table.to_numpy()
    )
    assert explanation.audit.closes()
    assert not explanation.relevance[:, 3].any()


def test_cancer_with_names(cancer):
    """Which measurements speak for benign, and which for malignant."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    x, y = cancer
    names = list(datasets.load_breast_cancer().feature_names)
    pipeline = make_pipeline(StandardScaler(), mlp()).fit(x, y)
    network = dtd.from_sklearn(pipeline)
    explain = dtd.DeepTaylor(network, dtd.Box(np.zeros(30), 1.1 * x.max(0)))
    explanation = explain(x)
    assert (explanation.target == pipeline.predict(x)).all()
    assert explanation.audit.closes()
    assert explanation.is_positive().all()
    figure = explain(x[:3]).plot(names=names)
    texts = {text.get_text() for axes in figure.axes for text in axes.get_yticklabels()}
    assert "mean concave points" in texts | {t.get_text() for a in figure.axes for t in a.texts}


@pytest.mark.skipif("DTDCORE_DATA" not in os.environ, reason="DTDCORE_DATA is not set")
def test_titanic():
    path = Path(os.environ["DTDCORE_DATA"]) / "titanic" / "train.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Age"]]
    x = np.array(
        [[float(r["Age"]), float(r["Fare"]), int(r["Pclass"]), r["Sex"] == "female"] for r in rows]
    )
    y = np.array(["survived" if row["Survived"] == "1" else "died" for row in rows])
    columns = ColumnTransformer([("scale", StandardScaler(), [0, 1, 2])], remainder="passthrough")
    pipeline = make_pipeline(columns, mlp(hidden_layer_sizes=(10,), max_iter=400)).fit(x, y)
    assert pipeline.score(x, y) > 0.78
    network = dtd.from_sklearn(pipeline)
    box = dtd.Box([0, 0, 1, 0], [80, 513, 3, 1], origin=[30, 32, 2, 0])
    explanation = dtd.DeepTaylor(network, box)(x)
    assert (pipeline.classes_[explanation.target] == pipeline.predict(x)).all()
    assert explanation.audit.closes()
    assert explanation.is_positive().all()
    women = (x[:, 3] == 1) & (explanation.target == 1)
    assert women.sum() > 100
    assert (explanation.relevance[women, 3] > 0).all()  # their sex is a part of the reason


# ------------------------------------------------------------------- what is refused


def test_what_is_not_supported(cancer):
    x, y = cancer
    for estimator, message in (
        (RandomForestClassifier(3), "RandomForestClassifier is not supported.*MLPClassifier"),
        (svm.SVC(), "SVC is not supported"),
        (TransformedTargetRegressor(LM.Ridge()), "TransformedTargetRegressor is not supported"),
        (make_pipeline(StandardScaler(), svm.SVC()), "SVC is not supported"),
        (LM.SGDOneClassSVM(), "SGDOneClassSVM is not supported"),
        (
            make_pipeline(KNNImputer(), StandardScaler(), LM.Ridge()),
            r"step knnimputer: KNNImputer is not supported.*pipeline\[:k\].transform",
        ),
        (
            make_pipeline(
                ColumnTransformer([("a", preprocessing.PowerTransformer(), [0])]), LM.Ridge()
            ),
            "step columntransformer.a: PowerTransformer is not",
        ),
        (
            make_pipeline(MinMaxScaler(clip=True), LM.Ridge()),
            r"step minmax.*set_params\(clip=False",
        ),
        (
            make_pipeline(preprocessing.FunctionTransformer(np.log1p), LM.Ridge()),
            "step functiontransformer.*log1p",
        ),
        (
            GridSearchCV(LM.Ridge(), {"alpha": [1, 2]}, cv=2, refit=False),
            "no best_estimator_.*refit=True",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            dtd.from_sklearn(estimator.fit(x, y))


def test_what_is_not_fitted(cancer):
    for estimator, name in (
        (mlp(), "MLPClassifier"),
        (LM.Ridge(), "Ridge"),
        (make_pipeline(StandardScaler(), LM.Ridge()), "Ridge"),
        (make_pipeline(StandardScaler(), LM.Ridge().fit(*cancer)), "StandardScaler"),
        (GridSearchCV(LM.Ridge(), {}), "GridSearchCV"),
    ):
        with pytest.raises(ValueError, match=f"{name} is not fitted: call its fit first"):
            dtd.from_sklearn(estimator)
    with pytest.raises(TypeError, match="the class Ridge"):
        dtd.from_sklearn(LM.Ridge)
    with pytest.raises(TypeError, match="got int"):
        dtd.from_sklearn(3)


class Doubled(LM.Ridge):
    """Says twice what its weights say."""

    def predict(self, x):
        return 2 * super().predict(x)


class Shifted(StandardScaler):
    """Does more than a scaler."""

    def transform(self, x, copy=None):
        return super().transform(x) ** 3


def test_differences_name_the_step(cancer):
    x, y = cancer
    doubled = Doubled().fit(x, y)
    with pytest.raises(ValueError, match="differs from scikit-learn in Doubled: by"):
        dtd.from_sklearn(doubled)
    np.testing.assert_allclose(
        2 * dtd.from_sklearn(doubled, verify=False).forward(x)[:, 0], doubled.predict(x)
    )
    with pytest.raises(ValueError, match="in step shifted: by"):
        dtd.from_sklearn(make_pipeline(Shifted(), LM.Ridge()).fit(x, y))


def test_the_table():
    text = operators().markdown("scikit-learn")
    assert text.startswith("| scikit-learn | dtdcore |")
    for name in ("MLPClassifier", "StandardScaler", "coef_", "PCA", "ColumnTransformer"):
        assert name in text


def test_saved_networks_keep_their_notes(cancer, tmp_path):
    network = dtd.from_sklearn(make_pipeline(StandardScaler(), mlp()).fit(*cancer))
    loaded = dtd.load(network.save(tmp_path / "network"))
    assert loaded.notes == network.notes
    assert (loaded.forward(cancer[0]) == network.forward(cancer[0])).all()


def test_verification_behind_a_saturated_sigmoid(monkeypatch):
    """A sigmoid that is off by 1e-12 of its range, where its values are 1e-20."""
    right, off = dtd.Sigmoid._apply, [1e-12]
    monkeypatch.setattr(dtd.Sigmoid, "_apply", lambda s, x: right(s, x) + off[0])
    x = np.random.default_rng(0).normal(size=(30, 2))
    estimator = MLPRegressor(hidden_layer_sizes=(3,), activation="logistic", max_iter=1).fit(
        x, x[:, 0]
    )
    estimator.coefs_[0] *= 0
    estimator.intercepts_[0][:], estimator.intercepts_[1][:] = -45, 0
    dtd.from_sklearn(estimator)
    off[0] = 1e-3
    with pytest.raises(ValueError, match="differs from scikit-learn in MLPRegressor"):
        dtd.from_sklearn(estimator)
