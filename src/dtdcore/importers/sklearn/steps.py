# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What may stand in front of a scikit-learn estimator: scalers, selections, linear maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.importers.operators import Operators
from dtdcore.importers.sklearn.maps import Map, Matrix, Parallel, Scale, dense
from dtdcore.importers.sklearn.tables import check_fitted, class_names, quiet, table_of

STEPS = Operators()

#: The name in the table for all that choose columns.
SELECTIONS = "selections of columns (`get_support`)"


def maps_of(step: Any, path: str, inputs: int) -> list[tuple[str, Map, Any]]:
    """A transformer as named maps, each with the transformer that it stands for.

    Raises
    ------
    ValueError
        If it is not fitted or not supported, naming it.
    """
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return []
    names = class_names(step)
    if "Pipeline" in names:
        result = []
        for name, part in step.steps:
            maps = maps_of(part, f"{path}.{name}", inputs)
            inputs = _outputs(maps, inputs)
            result += maps
        return result
    known = next((name for name in names if name in STEPS), None)
    if known is None and names and hasattr(step, "get_support"):
        known = SELECTIONS
    if known is None:
        raise ValueError(
            f"step {path}: {type(step).__name__} is not supported in front of a network; there are "
            f"{', '.join(STEPS.table())}. Transform x by it first (x = pipeline[:k].transform(x)) "
            "and import what comes behind it, pipeline[k:]"
        )
    check_fitted(step, f"step {path}")
    try:
        result = STEPS[known].translate(step, path, inputs)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith("step ") else f"step {path}: {text}") from None
    return [] if result is None else [(path, result, step)]


def _outputs(maps: Sequence[tuple[str, Map, Any]], inputs: int) -> int:
    """How many columns come out of a row of maps."""
    x = np.zeros((1, inputs))
    for _, one, _ in maps:
        x = one.apply(x)
    return x.shape[1]


def _scale(scale: Any, shift: Any, inputs: int) -> Scale:
    return Scale(
        np.ones(inputs) if scale is None else np.asarray(scale, np.float64),
        np.zeros(inputs) if shift is None else np.asarray(shift, np.float64),
    )


def _centred(centre: Any, deviation: Any, inputs: int) -> Scale:
    """(x - centre) / deviation."""
    scale = np.ones(inputs) if deviation is None else 1 / np.asarray(deviation, np.float64)
    shift = None if centre is None else -np.asarray(centre, np.float64) * scale
    return _scale(scale, shift, inputs)


@STEPS.add("StandardScaler", becomes="`ChannelAffine`")
def standard_scaler(step: Any, path: str, inputs: int) -> Map:
    """(x - mean) / deviation."""
    mean = step.mean_ if step.with_mean else None
    return _centred(mean, step.scale_ if step.with_std else None, inputs)


@STEPS.add("RobustScaler", becomes="`ChannelAffine`")
def robust_scaler(step: Any, path: str, inputs: int) -> Map:
    """(x - median) / range."""
    centre = step.center_ if step.with_centering else None
    return _centred(centre, step.scale_ if step.with_scaling else None, inputs)


@STEPS.add("MinMaxScaler", becomes="`ChannelAffine`")
def min_max_scaler(step: Any, path: str, inputs: int) -> Map:
    """x scale + min, unless it clips."""
    _check_clip(step)
    return _scale(step.scale_, step.min_, inputs)


@STEPS.add("MaxAbsScaler", becomes="`ChannelAffine`")
def max_abs_scaler(step: Any, path: str, inputs: int) -> Map:
    """x / largest."""
    _check_clip(step)
    return _centred(None, step.scale_, inputs)


def _check_clip(step: Any) -> None:
    if getattr(step, "clip", False):
        raise ValueError(
            f"{type(step).__name__}(clip=True) is not supported: set_params(clip=False) gives the "
            "same results wherever columns lie in the range of the training data"
        )


@STEPS.add("FunctionTransformer", becomes="nothing, where it has no function")
def function_transformer(step: Any, path: str, inputs: int) -> Map | None:
    """The identity."""
    if step.func is not None:
        raise ValueError(
            f"FunctionTransformer({getattr(step.func, '__name__', step.func)}) is not supported: "
            "only one without a function; apply the function to x first"
        )
    return None


@STEPS.add(
    "FactorAnalysis",
    "FastICA",
    "GaussianRandomProjection",
    "IncrementalPCA",
    "NeighborhoodComponentsAnalysis",
    "PCA",
    "SparseRandomProjection",
    "TruncatedSVD",
    "LinearDiscriminantAnalysis",
    becomes="merged into the first `Dense`",
)
def linear(step: Any, path: str, inputs: int) -> Map:
    """What it makes of 0 and of the unit vectors is the whole map."""
    with quiet():
        offset = dense(step.transform(table_of(step, np.zeros((1, inputs)))))[0]
        rows = dense(step.transform(table_of(step, np.eye(inputs))))
    return Matrix(rows.astype(np.float64) - offset, offset.astype(np.float64))


@STEPS.add(SELECTIONS, becomes="merged into the first `Dense`")
def selection(step: Any, path: str, inputs: int) -> Map:
    """Columns as they are."""
    columns = np.asarray(step.get_support(indices=True))
    return Parallel(inputs, [(columns, [], len(columns))])


@STEPS.add("ColumnTransformer", becomes="its parts, side by side")
def column_transformer(step: Any, path: str, inputs: int) -> Map:
    """Branches on some columns each, by index, slice, mask or name."""
    branches = []
    for name, part, chosen in step.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        columns = _columns(step, chosen, inputs)
        if len(columns):
            weight = (step.transformer_weights or {}).get(name)
            branches.append(_branch(part, f"{path}.{name}", columns, weight))
    return Parallel(inputs, branches)


@STEPS.add("FeatureUnion", becomes="its parts, side by side")
def feature_union(step: Any, path: str, inputs: int) -> Map:
    """Branches that all take all columns."""
    weights = step.transformer_weights or {}
    return Parallel(
        inputs,
        [
            _branch(part, f"{path}.{name}", np.arange(inputs), weights.get(name))
            for name, part in step.transformer_list
            if not (isinstance(part, str) and part == "drop")
        ],
    )


def _branch(
    part: Any, path: str, columns: np.ndarray, weight: Any
) -> tuple[np.ndarray, list[Map], int]:
    named = maps_of(part, path, len(columns))
    outputs = _outputs(named, len(columns))
    maps = [one for _, one, _ in named]
    if weight is not None:
        maps.append(_scale(np.full(outputs, float(weight)), None, outputs))
    return columns, maps, outputs


def _columns(step: Any, chosen: Any, inputs: int) -> np.ndarray:
    """The numbers of columns that are given by number, name, slice or mask."""
    names = [str(name) for name in getattr(step, "feature_names_in_", ())]
    if isinstance(chosen, slice):
        ends = [chosen.start, chosen.stop]
        ends = [names.index(end) if isinstance(end, str) else end for end in ends]
        if isinstance(chosen.stop, str):
            ends[1] += 1  # of names the last is one of them
        return np.arange(inputs)[slice(*ends, chosen.step)]
    chosen = np.atleast_1d(np.asarray(chosen))
    if chosen.dtype == bool:
        return np.flatnonzero(chosen)
    if chosen.dtype.kind in "iu" or not chosen.size:
        return np.arange(inputs)[chosen.astype(np.intp)]
    return np.array([names.index(str(name)) for name in chosen])
