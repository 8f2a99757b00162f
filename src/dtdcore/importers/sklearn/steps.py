# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What may stand in front of a scikit-learn estimator: scalers, selections, linear maps."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.importers.operators import Operators
from dtdcore.importers.sklearn.maps import Map, Matrix, Parallel, Scale, dense
from dtdcore.importers.sklearn.tables import check_fitted, class_names, quiet, table_of

STEPS = Operators()

#: The name in the table for all that choose columns.
SELECTIONS = "selections of columns (`get_support`)"

#: Where linear maps keep what they subtract from x first.
CENTRES = ("mean_", "xbar_")


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
            inputs = outputs_of(maps, inputs)
            result += maps
        return result
    known = next((name for name in names if name in STEPS), None)
    if known is None and names and hasattr(step, "get_support"):
        known = SELECTIONS
    if known is None:
        raise ValueError(
            f"step {path}: {type(step).__name__} is not supported in front of a network; there are "
            f"{', '.join(STEPS.table())}, and at the columns themselves OneHotEncoder, "
            "OrdinalEncoder and SimpleImputer. Transform x by it first "
            "(x = pipeline[:k].transform(x)) and import what comes behind it, pipeline[k:]"
        )
    check_fitted(step, f"step {path}")
    try:
        result = STEPS[known].translate(step, path, inputs)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith("step ") else f"step {path}: {text}") from None
    return [] if result is None else [(path, result, step)]


def outputs_of(maps: Sequence[tuple[str, Map, Any]], inputs: int) -> int:
    """How many columns come out of a row of maps."""
    x = np.zeros((1, inputs))
    for _, one, _ in maps:
        x = one.apply(x)
    return x.shape[1]


def _centred(centre: Any, deviation: Any, inputs: int) -> Scale:
    """(x - centre) / deviation."""
    scale = None if deviation is None else 1 / np.asarray(deviation, np.float64)
    return Scale.of(inputs, scale, centre=centre)


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
    return Scale.of(inputs, step.scale_, step.min_)


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
    becomes="merged into the first `Dense`; a `ChannelAffine` for the mean that it subtracts",
)
def linear(step: Any, path: str, inputs: int) -> Map:
    """What it makes of 0 and of the unit vectors is the whole map.

    A copy that subtracts no centre is asked for the unit vectors: with a centre far from 0 the
    digits of the differences would cancel.
    """
    centre, around = np.zeros(inputs), copy.copy(step)
    for name in CENTRES:
        if getattr(step, name, None) is not None:
            centre = np.broadcast_to(getattr(step, name), (inputs,)).astype(np.float64)
            setattr(around, name, np.zeros(inputs))
    none = table_of(step, np.zeros((1, inputs)))
    with quiet():
        rows = dense(around.transform(table_of(step, np.eye(inputs)))).astype(np.float64)
        offset = dense(around.transform(none))[0].astype(np.float64)
        rows -= offset
        more = dense(step.transform(none))[0] + centre @ rows - offset
    # What more there is are roundings, or the centre is not subtracted as it stands.
    rounding = 8 * np.finfo(np.float64).eps * (np.abs(centre) @ np.abs(rows) + np.abs(offset))
    return Matrix(rows, offset + np.where(np.abs(more) <= rounding, 0, more), centre)


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
        columns = columns_of(step, chosen, inputs)
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
    outputs = outputs_of(named, len(columns))
    maps = [one for _, one, _ in named]
    if weight is not None:
        maps.append(Scale.of(outputs, np.full(outputs, float(weight))))
    return columns, maps, outputs


def columns_of(step: Any, chosen: Any, inputs: int) -> np.ndarray:
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
