# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Classes of scikit-learn's estimators by their labels: `target=y` explains the class y."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import dtdcore as dtd

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [
    LogisticRegression(),
    RidgeClassifier(),
    LinearSVC(),
    LinearDiscriminantAnalysis(),
    MLPClassifier((4,), max_iter=20, random_state=0),
    make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=20, random_state=0)),
    GridSearchCV(LogisticRegression(), {"C": [1.0, 2.0]}, cv=2),
]


@pytest.fixture(scope="module")
def samples():
    x = np.random.default_rng(0).normal(size=(60, 3))
    return x, np.argmax(x, axis=1)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "labels",
    [[1, 2, 3], [3.0, 5.0, 7.0], [-1, 0, 1], ["a", "b", "c"], [0, 1, 2]],
    ids=lambda labels: str(labels[0]),
)
def test_several_classes(estimator, labels, samples):
    x, number = samples
    y = np.array(labels)[number]
    network = dtd.from_sklearn(estimator.fit(x, y))
    assert network.class_names == tuple(
        f"{label:g}" if label != str(label) else label for label in labels
    )
    explanation = dtd.LRP(network, "epsilon")(x, target=y)
    assert explanation.target.tolist() == number.tolist()
    assert explanation.class_names == network.class_names
    said = network.forward(x)
    assert (explanation.explained == said[np.arange(60), number]).all()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "labels", [[1, 2], [-1, 1], [False, True], ["no", "yes"], [1.0, 2.0]], ids=str
)
def test_two_classes(estimator, labels, samples):
    """Outputs -f and f: the target chooses the side."""
    x, number = samples
    number = (number > 0).astype(int)
    y = np.array(labels)[number]
    network = dtd.from_sklearn(estimator.fit(x, y))
    explained = dtd.LRP(network, "epsilon")(x, target=y).explained
    f = network.forward(x)[:, 1]
    np.testing.assert_array_equal(explained, np.where(number == 1, f, -f))
    wrong = 7 if labels[0] != "no" else "maybe"
    with pytest.raises(ValueError, match=f"target {wrong!r} is not among the"):
        dtd.LRP(network, "epsilon")(x, target=wrong)


def test_regressors_and_labels_of_several_outputs(samples, tmp_path):
    x, number = samples
    several = MLPClassifier((4,), max_iter=20, random_state=0)
    network = dtd.from_sklearn(several.fit(x, np.eye(3, dtype=int)[number][:, :2]))
    assert dtd.LRP(network, "epsilon")(x, target=1).target.tolist() == [1] * 60
    y = np.array([4, 9, 11])[number]
    saved = dtd.from_sklearn(LogisticRegression().fit(x, y)).save(tmp_path / "network")
    assert dtd.LRP(dtd.load(saved), "epsilon")(x, target=y).target.tolist() == number.tolist()
