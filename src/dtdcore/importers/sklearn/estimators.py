# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Estimators of scikit-learn that are networks: multi-layer perceptrons and linear models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.importers.operators import Operators
from dtdcore.importers.sklearn.maps import dense
from dtdcore.importers.sklearn.tables import check_fitted, class_names
from dtdcore.layers import Layer, ReLU, Sigmoid, Tanh

ESTIMATORS = Operators()

#: The name in the table for what has coef_ and intercept_ and is nothing else.
LINEAR = "all of `sklearn.linear_model` with `coef_` and `intercept_`"

HIDDEN: dict[str, Callable[[], Layer] | None] = {
    "identity": None,
    "logistic": Sigmoid,
    "tanh": Tanh,
    "relu": ReLU,
}

#: Logarithms of probabilities are compared down to here.
SMALLEST = -30.0


@dataclass
class Predictor:
    """Dense layers with an activation between them, and how to compare what they give."""

    #: (weight (inputs, outputs), bias) of each layer.
    layers: list[tuple[np.ndarray, np.ndarray]]
    activation: Callable[[], Layer] | None
    notes: list[str]
    #: What the estimator says of x, and what that is for our outputs: to be the same.
    theirs: Callable[[Any], np.ndarray]
    ours: Callable[[np.ndarray], np.ndarray]


def predictor(estimator: Any) -> Predictor:
    """An estimator as layers.

    Raises
    ------
    ValueError
        If it is not fitted or not supported, naming it.
    """
    names = class_names(estimator)
    known = next((name for name in names if name in ESTIMATORS), None)
    modules = [one.__module__ for one in type(estimator).__mro__]
    if known is None and any(module.startswith("sklearn.linear_model.") for module in modules):
        check_fitted(estimator, "estimator")
        if hasattr(estimator, "coef_") and hasattr(estimator, "intercept_"):
            known = LINEAR
    if known is None:
        raise ValueError(
            f"{type(estimator).__name__} is not supported: it is no network that is known here; "
            f"there are {', '.join(ESTIMATORS.table())}, and pipelines that end in one of them"
        )
    check_fitted(estimator, "estimator")
    return ESTIMATORS[known].translate(estimator)


def column(values: Any) -> np.ndarray:
    """(n,) as (n, 1)."""
    values = dense(values)
    return values.reshape(len(values), -1)


def _log(values: Any) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(column(values)), SMALLEST)


def _log_sigmoid(y: np.ndarray) -> np.ndarray:
    return np.maximum(-np.logaddexp(0, -y), SMALLEST)


def _log_softmax(y: np.ndarray) -> np.ndarray:
    return np.maximum(y - np.logaddexp.reduce(y, axis=1, keepdims=True), SMALLEST)


def _same(y: np.ndarray) -> np.ndarray:
    return y


def _bounded(y: np.ndarray) -> np.ndarray:
    """Logarithms, as `_log` gives those of the estimator."""
    return np.maximum(y, SMALLEST)


def _both_sides(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f as (-f, f): one output for each of two classes."""
    return np.concatenate([-weight, weight], axis=1), np.concatenate([-bias, bias])


def _two_classes(estimator: Any, value: str) -> str:
    first, second = np.asarray(estimator.classes_).tolist()
    return (
        f"output 0 is minus the {value} and speaks for class {first!r}, "
        f"output 1 the {value}, for class {second!r}"
    )


def _outputs(estimator: Any, value: str) -> str:
    classes = np.asarray(estimator.classes_).tolist()
    shown = ", ".join(map(repr, classes[:20])) + (", ..." if len(classes) > 20 else "")
    return f"the outputs are the {value} of the classes {shown}"


@ESTIMATORS.add(
    "MLPClassifier",
    "MLPRegressor",
    becomes="`Dense`, and `ReLU`, `Tanh` or `Sigmoid` between; softmax or logistic left out",
)
def perceptron(estimator: Any) -> Predictor:
    """coefs_ and intercepts_; the last activation of a classifier is left out."""
    layers = list(zip(estimator.coefs_, estimator.intercepts_, strict=True))
    if estimator.activation not in HIDDEN:
        raise ValueError(
            f"{type(estimator).__name__}(activation={estimator.activation!r}) is not supported; "
            f"there are {', '.join(HIDDEN)}"
        )
    hidden, last = HIDDEN[estimator.activation], estimator.out_activation_
    if last == "identity":
        return Predictor(layers, hidden, [], lambda x: column(estimator.predict(x)), _same)
    if last == "exp":
        note = "the exponential function at the end is left out: the output is its argument"
        return Predictor(layers, hidden, [note], lambda x: _log(estimator.predict(x)), _bounded)
    if last not in ("softmax", "logistic"):
        raise ValueError(f"{type(estimator).__name__}: the output activation {last!r} is unknown")
    notes = [f"the {last} function at the end is left out: the outputs are logits"]
    binary = last == "logistic" and estimator.n_outputs_ == 1
    if binary:
        layers[-1] = _both_sides(*layers[-1])
        notes.append(_two_classes(estimator, "logit"))
    else:
        notes.append(_outputs(estimator, "logits"))
    if binary:
        return Predictor(
            layers,
            hidden,
            notes,
            lambda x: _of_two(*estimator.predict_proba(x).T),
            lambda y: _of_two(*np.exp(_log_sigmoid(y)).T),
        )
    ours = _log_softmax if last == "softmax" else _log_sigmoid
    return Predictor(layers, hidden, notes, lambda x: _log(estimator.predict_proba(x)), ours)


def _of_two(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Probabilities of two classes to be compared: the first is 1 minus the second, rounded."""
    return np.concatenate([column(first), _log(second)], axis=1)


@ESTIMATORS.add(LINEAR, "LinearSVC", "LinearSVR", "LinearDiscriminantAnalysis", becomes="`Dense`")
def linear(estimator: Any) -> Predictor:
    """x · coef_ + intercept_."""
    coef = dense(estimator.coef_)
    coef = np.atleast_2d(coef if coef.dtype == np.float32 else coef.astype(np.float64))
    bias = np.broadcast_to(np.ravel(estimator.intercept_), len(coef)).astype(coef.dtype)
    layer = coef.T, bias
    if not hasattr(estimator, "decision_function"):
        return Predictor([layer], None, [], lambda x: column(estimator.predict(x)), _same)
    if len(coef) > 1:
        note = _outputs(estimator, "decision values")
        theirs = lambda x: column(estimator.decision_function(x))  # noqa: E731
        return Predictor([layer], None, [note], theirs, _same)
    note = _two_classes(estimator, "decision value")

    def sides(x: Any) -> np.ndarray:
        f = column(estimator.decision_function(x))
        return np.concatenate([-f, f], axis=1)

    return Predictor([_both_sides(*layer)], None, [note], sides, _same)


@ESTIMATORS.add(
    "GammaRegressor",
    "PoissonRegressor",
    "TweedieRegressor",
    becomes="`Dense`; the exponential function of a log link is left out",
)
def generalised(estimator: Any) -> Predictor:
    """The linear predictor, whose inverse link function is left out."""
    result = linear(estimator)
    names = class_names(estimator)
    link = "log"
    if "TweedieRegressor" in names:
        by_power = "identity" if estimator.power <= 0 else "log"
        link = by_power if estimator.link == "auto" else estimator.link
    if link == "log":
        result.notes.append(
            "the exponential function at the end is left out: the output is the linear predictor"
        )
        result.theirs = lambda x: _log(estimator.predict(x))
        result.ours = _bounded
    return result


@ESTIMATORS.add(
    "GridSearchCV",
    "RandomizedSearchCV",
    "HalvingGridSearchCV",
    "HalvingRandomSearchCV",
    "RANSACRegressor",
    becomes="the estimator that it found",
)
def _found(estimator: Any) -> Predictor:
    return predictor(unwrapped(estimator))


def unwrapped(estimator: Any) -> Any:
    """The estimator that a search found, or the estimator itself."""
    names: Sequence[str] = class_names(estimator)
    while any(name.endswith("SearchCV") or name == "RANSACRegressor" for name in names):
        check_fitted(estimator, "estimator")
        found = getattr(estimator, "best_estimator_", getattr(estimator, "estimator_", None))
        if found is None:
            raise ValueError(
                f"{type(estimator).__name__} has no best_estimator_: fit it with refit=True"
            )
        estimator, names = found, class_names(found)
    return estimator
