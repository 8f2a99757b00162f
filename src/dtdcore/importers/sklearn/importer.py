# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks from estimators of scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.arrays import require
from dtdcore.encoding import Column, Encoder
from dtdcore.importers.comparing import SCALES, TOLERANCE, difference
from dtdcore.importers.noise import scale
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Record, Signal
from dtdcore.importers.sklearn.estimators import ESTIMATORS, Predictor, predictor, unwrapped
from dtdcore.importers.sklearn.fronts import FRONTS, Maps, compare_front, has_front, through
from dtdcore.importers.sklearn.maps import Map, Scale, dense, leading_scales
from dtdcore.importers.sklearn.steps import STEPS, maps_of, outputs_of
from dtdcore.importers.sklearn.tables import (
    LIBRARY,
    class_names,
    column_names,
    labels_of,
    quiet,
    table_of,
)
from dtdcore.layers import ChannelAffine, Dense
from dtdcore.network import Network

#: Samples that a verification compares at each scale.
SAMPLES = 16


def from_sklearn(estimator: Any, verify: bool = True) -> Network:
    """The network in a fitted estimator of scikit-learn, or in a pipeline that ends in one.

    x and relevance are those of the original columns. Scalers in front become `ChannelAffine`
    layers, through which relevance passes and the domain is mapped (see `Box`), and so does the
    mean that PCA subtracts; other linear maps (the rest of PCA, chosen columns) are merged into the
    first `Dense`. The weights keep their dtype.

    Outputs are numbers before any softmax or logistic function: the logits of an `MLPClassifier`,
    decision_function of linear classifiers, predict of regressors. Output k speaks for class k of
    `classes_`. Where there are two classes the estimator has one number f for both, and the network
    has the two outputs -f and f, so that the winning class is explained by what speaks for it.
    `network.notes` and `network.summary()` say what each output is, and what was left out. (Deep
    Taylor explains max(0, f): of a regressor's outputs the positive ones.)

    The labels in `classes_` become `network.class_names`, and `target=` takes them: text, or whole
    numbers where these are other than 0, 1, 2. The names of the columns that the estimator was
    fitted to become `network.feature_names`.

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
        MLPClassifier, MLPRegressor; linear models with coef_ and intercept_; searches over them.
    verify : bool
        Compare each step, and the network, with the estimator's own transform, predict,
        predict_proba or decision_function on random inputs around the mean that the first steps
        know, as large as the scaler expects them and 50 times as large: numbers may differ by 1e-9
        of the largest (float32: 1e-4), and steps by what rounding costs scikit-learn far from 0.

    Returns
    -------
    Network

    Raises
    ------
    TypeError
        If it is no estimator of scikit-learn.
    ValueError
        If something is not fitted, not supported, or differs, naming the step.
    ImportError
        If scikit-learn is missing (extra `dtdcore[sklearn]`).
    """
    require(LIBRARY, LIBRARY)
    from sklearn.base import BaseEstimator

    if isinstance(estimator, type):
        raise TypeError(f"estimator must be fitted, got the class {estimator.__name__}")
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"estimator must be an estimator of scikit-learn, got {type(estimator).__name__}"
        )
    steps, last = _parts(estimator)
    model = predictor(last)
    names = column_names([estimator]) or column_names([unwrapped(estimator)])
    maps, inputs, encoder = [], None, None
    if any(has_front(step) for _, step in steps):
        encoder, maps, steps = _encoder(steps, last, names, verify)
        inputs = len(encoder.sources)
    for path, step in steps:
        inputs = _inputs(step, last) if inputs is None else inputs
        maps += maps_of(step, path, outputs_of(maps, inputs))
    inputs = model.layers[0][0].shape[0] if inputs is None else inputs
    scales, rest = leading_scales([(name, one) for name, one, _ in maps])
    network = _network(inputs, scales, rest, model)
    network.notes = tuple(model.notes)
    network.feature_names = names
    network.class_names = labels_of(last, network.output_shape[0])
    if verify:
        _verify(network, maps, last, model, scales, rest)
    if encoder is not None:
        network.notes += tuple(encoder.notes())
        network = copy.copy(network)  # which has run on encoded columns, and keeps how
        network.encoder = encoder
    return network


def _encoder(
    steps: list[tuple[str, Any]], last: Any, names: tuple[str, ...], verify: bool
) -> tuple[Encoder, Maps, list[tuple[str, Any]]]:
    """The encoder in front of a network, the maps of the steps that it is part of, and the rest."""
    count = _inputs(steps[0][1], last)
    columns: Sequence[Column] = [Column(source) for source in range(count)]
    maps: Maps = []
    done = 0
    while done < len(steps) and not maps:
        path, step = steps[done]
        columns, maps = through(step, path, columns)
        encoder = Encoder(tuple(columns), count, names)
        done += 1
    if verify:
        from sklearn.pipeline import Pipeline

        front = steps[0][1] if done == 1 else Pipeline(steps[:done])
        what = f"step {steps[done - 1][0]}"
        for size in SCALES:
            compare_front(
                encoder,
                maps,
                front,
                size,
                lambda ours, theirs: _compare(ours, theirs, TOLERANCE["float64"], what),
            )
    return encoder, [(name, one, None) for name, one, _ in maps], steps[done:]


def operators() -> Operators:
    """All that is supported."""
    result = Operators(STEPS)
    result.update(FRONTS)
    result.update(ESTIMATORS)
    return result


def _parts(estimator: Any) -> tuple[list[tuple[str, Any]], Any]:
    """The steps in front with their names, and the last estimator."""
    estimator = unwrapped(estimator)
    steps: list[tuple[str, Any]] = []
    path = ""
    while "Pipeline" in class_names(estimator):
        named = list(estimator.steps)
        steps += [(f"{path}{name}", step) for name, step in named[:-1]]
        name, last = named[-1]
        path, estimator = f"{path}{name}.", unwrapped(last)
    return steps, estimator


def _inputs(step: Any, last: Any) -> int:
    """How many columns come in."""
    while hasattr(step, "steps") or hasattr(step, "transformer_list"):
        parts = step.steps if hasattr(step, "steps") else step.transformer_list
        step = next((part for _, part in parts if not isinstance(part, str)), None)
    count = getattr(step, "n_features_in_", None)
    return last.n_features_in_ if count is None else count


def _network(
    inputs: int, scales: list[tuple[str, Scale]], rest: list[tuple[str, Map]], model: Predictor
) -> Network:
    layers = list(model.layers)
    dtype = layers[0][0].dtype
    weight, bias = (array.astype(np.float64) for array in layers[0])
    for _, one in reversed(rest):
        weight, bias = one.fold(weight, bias)
    layers[0] = weight.astype(dtype), bias.astype(dtype)
    record = Record()
    start = value = Signal("input", (inputs,))
    for name, one in scales:
        *before, last = [
            ChannelAffine(factor.astype(dtype), term.astype(dtype))
            for factor, term in one.affines(dtype)
        ]
        for layer in before:
            value = record.emit(f"{name}/shift", layer, [value])
        value = record.emit(name, last, [value])
    for number, (weight, bias) in enumerate(layers, 1):
        final = number == len(layers)
        name = "output" if final else f"hidden_{number}"
        value = record.emit(name, Dense(weight, bias), [value])
        if not final and model.activation is not None:
            activation = model.activation()
            kind = type(activation).__name__.lower()
            value = record.emit(f"{kind}_{number}", activation, [value])
    return record.network({start.name: start.shape}, value)


def _verify(
    network: Network,
    maps: list[tuple[str, Map, Any]],
    last: Any,
    model: Predictor,
    scales: list[tuple[str, Scale]],
    rest: list[tuple[str, Map]],
) -> None:
    """Compare each step with the estimator's, and the network with what comes behind the steps.

    Raises
    ------
    ValueError
        If something differs, naming it.
    """
    rng = np.random.default_rng(1512)
    inputs = network.input_shape[0]
    for size in SCALES:
        x = rng.normal(0, size, (SAMPLES, inputs))
        if rest:
            x += rest[0][1].home(inputs)
        for _, one in reversed(scales):  # what the scalers make standardised numbers of
            x = x / np.where(one.scale == 0, 1, one.scale) + one.home(inputs)
        x = x.astype(network.dtype)
        values = x.astype(np.float64)
        for name, one, step in maps:
            ours = one.apply(values)
            if step is not None:
                with quiet():
                    theirs = dense(step.transform(table_of(step, values.copy())))
                _compare(ours, theirs, TOLERANCE["float64"], f"step {name}", _rounding(one, values))
            values = ours  # exact where scikit-learn rounds: the estimator is given the same
        with quiet():
            theirs = model.theirs(table_of(last, values.astype(network.dtype)))
            ours = model.ours(network.forward(x))
        tolerance = TOLERANCE[network.dtype.name]
        found = difference(ours, theirs, tolerance)
        if found and _too_far(network, x, scales):
            raise ValueError(
                f"the imported network differs from {type(last).__name__} {found}: columns lie so "
                f"far from 0 that {network.dtype} rounds away what differs between samples. Begin "
                "the pipeline with a StandardScaler"
                + (", or fit it to float64" if network.dtype == np.float32 else "")
            )
        output = network.nodes[network.output - len(network.inputs)].name
        slack = tolerance * scale(network, x, output)
        _compare(ours, theirs, tolerance, type(last).__name__, slack)


def _rounding(step: Map, x: np.ndarray) -> float:
    """How much the results of a step may differ by rounding, if it multiplies x as it is."""
    outputs = step.apply(x[:1]).shape[1]
    weight, bias = step.fold(np.eye(outputs), np.zeros(outputs))
    sums = np.abs(x) @ np.abs(weight) + np.abs(bias)
    return 8 * np.finfo(np.float64).eps * float(np.max(sums, initial=0))


def _too_far(network: Network, x: np.ndarray, scales: list[tuple[str, Scale]]) -> bool:
    """Does rounding in the first `Dense` cost more than a verification allows?"""
    first = next(layer for layer in network.layers if isinstance(layer, Dense))
    x = x.astype(np.float64)
    for _, one in scales:
        x = one.apply(x)
    weight, bias = first.weight.astype(np.float64), first.bias.astype(np.float64)
    eps = np.finfo(network.dtype).eps
    lost = eps * (np.abs(x) @ np.abs(weight) + np.abs(bias)).max()
    return bool(lost > TOLERANCE[network.dtype.name] * np.abs(x @ weight + bias).max())


def _compare(
    ours: np.ndarray, theirs: np.ndarray, tolerance: float, what: str, slack: float = 0
) -> None:
    largest = np.max(np.abs(theirs), initial=0)
    found = difference(ours, theirs, tolerance + (slack / largest if largest else 0))
    if found:
        raise ValueError(
            f"the imported network differs from scikit-learn in {what}: {found}. Please report "
            "this; verify=False imports it anyway"
        )
