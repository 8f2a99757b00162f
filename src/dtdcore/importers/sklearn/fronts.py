# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Encoders and imputers of scikit-learn, which stand before all that is linear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dtdcore.encoding import Column, Encoder, key_of
from dtdcore.importers.operators import Operators
from dtdcore.importers.sklearn.maps import Map, Parallel, Scale, dense
from dtdcore.importers.sklearn.steps import columns_of, maps_of, outputs_of
from dtdcore.importers.sklearn.tables import check_fitted, class_names, quiet, table_of_columns

#: Named maps, each with the transformer that it stands for; None: it was compared already.
Maps = list[tuple[str, Map, Any]]

FRONTS = Operators()

#: Stand-ins for categories that an encoder has never seen.
UNKNOWN = {"text": "\x00unknown", "number": -987654321}

#: Samples with which a front is compared.
SAMPLES = 32


def has_front(step: Any) -> bool:
    """Does a transformer hold an encoder or an imputer?"""
    if step is None or isinstance(step, str):
        return False
    if any(name in FRONTS for name in class_names(step)):
        return True
    parts = [part for part, *_ in _parts(step)]
    return any(map(has_front, parts))


def _parts(step: Any) -> list[tuple[Any, str, Any]]:
    """The transformers in a transformer, with their names and columns (None: all)."""
    if hasattr(step, "steps"):
        return [(part, name, None) for name, part in step.steps]
    if "ColumnTransformer" in class_names(step):
        return [(part, name, chosen) for name, part, chosen in step.transformers_]
    return [(part, name, None) for name, part in getattr(step, "transformer_list", ())]


def through(step: Any, path: str, columns: Sequence[Column]) -> tuple[list[Column], Maps]:
    """The columns behind a transformer, and the linear maps that follow them.

    Raises
    ------
    ValueError
        If something is not fitted or not supported, naming it.
    """
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return list(columns), []
    names = class_names(step)
    known = next((name for name in names if name in FRONTS), None)
    if known is not None:
        check_fitted(step, f"step {path}")
        try:
            return FRONTS[known].translate(step, columns), []
        except ValueError as error:
            raise ValueError(f"step {path}: {error}") from None
    if not has_front(step) or any(column.table is not None for column in columns):
        return list(columns), maps_of(step, path, _width(columns))
    check_fitted(step, f"step {path}")
    if "Pipeline" in names:
        maps: Maps = []
        for part, name, _ in _parts(step):
            columns, maps = behind(part, f"{path}.{name}", columns, maps)
        return list(columns), maps
    weights = step.transformer_weights or {}
    result: list[Column] = []
    branches = []
    for part, name, chosen in _parts(step):
        if isinstance(part, str) and part == "drop":
            continue
        places = np.arange(len(columns))
        places = places if chosen is None else columns_of(step, chosen, len(columns))
        if not len(places):
            continue
        inner, named = through(part, f"{path}.{name}", [columns[place] for place in places])
        width = _width(inner)
        start = _width(result)
        result += inner
        outputs = outputs_of(named, width)
        steps = [one for _, one, _ in named]
        if name in weights:
            steps.append(Scale.of(outputs, np.full(outputs, float(weights[name]))))
        branches.append((np.arange(start, start + width), steps, outputs))
    return result, [(path, Parallel(_width(result), branches), None)]


def behind(
    step: Any, path: str, columns: Sequence[Column], maps: Maps
) -> tuple[Sequence[Column], Maps]:
    """A row of columns and maps with one more transformer behind it."""
    if not maps:
        return through(step, path, columns)
    return columns, [*maps, *maps_of(step, path, outputs_of(maps, _width(columns)))]


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns)


@FRONTS.add("SimpleImputer", becomes="holes are filled before the network")
def simple_imputer(step: Any, columns: Sequence[Column]) -> list[Column]:
    """What each column's holes become; with indicators behind them."""
    _check_numbers(step, columns)
    marker, result = step.missing_values, []
    for column, value in zip(columns, step.statistics_, strict=True):
        if value is None or key_of(value) != key_of(np.nan):
            result.append(column.filled(marker, _plain(value)))
        elif getattr(step, "keep_empty_features", False):
            result.append(column.filled(marker, 0))
    if step.indicator_ is not None:
        if any(column.fills for column in columns):
            raise ValueError("add_indicator behind another imputer is not supported")
        result += [
            Column(columns[place].source, ((marker, None),), indicator=True)
            for place in step.indicator_.features_
        ]
    return result


@FRONTS.add(
    "OneHotEncoder",
    "OrdinalEncoder",
    becomes="columns are encoded before the network; relevance is summed over what each became",
)
def encoder(step: Any, columns: Sequence[Column]) -> list[Column]:
    """For each category what the encoder itself makes of it.

    Columns are encoded one by one, so that each is asked for with the others held.
    """
    _check_numbers(step, columns)
    first = [values[0] for values in step.categories_]
    widths = _widths(step)
    ends = np.cumsum(widths)
    result = []
    for place, (column, values) in enumerate(zip(columns, step.categories_, strict=True)):
        ignores = step.handle_unknown != "error"
        asked = [*values, *([_never(values)] if ignores else [])]
        rows = _encoded(step, [[*first[:place], one, *first[place + 1 :]] for one in asked])
        rows = rows[:, ends[place] - widths[place] : ends[place]]
        table = {key_of(value): row for value, row in zip(values, rows, strict=False)}
        unknown = rows[len(values)] if ignores else None
        result.append(Column(column.source, column.fills, table, unknown))
    return result


def _widths(step: Any) -> list[int]:
    """How many columns each column becomes."""
    if "OrdinalEncoder" in class_names(step):
        return [1] * len(step.categories_)
    groups = getattr(step, "infrequent_categories_", [None] * len(step.categories_))
    dropped = [None] * len(step.categories_) if step.drop_idx_ is None else step.drop_idx_
    return [
        len(values) - (0 if rare is None else len(rare) - 1) - (drop is not None)
        for values, rare, drop in zip(step.categories_, groups, dropped, strict=True)
    ]


def _never(values: np.ndarray) -> Any:
    """A category that is not among these."""
    text = any(isinstance(value, str) for value in values.tolist())
    return UNKNOWN["text" if text else "number"]


def _encoded(step: Any, rows: list[list[Any]]) -> np.ndarray:
    """What an encoder makes of rows of categories."""
    columns = []
    for values, column in zip(step.categories_, zip(*rows, strict=True), strict=True):
        fits = values.dtype if values.dtype.kind in "fiub" else object
        columns.append(np.array(column, dtype=fits))
    with quiet():
        return dense(step.transform(table_of_columns(step, columns))).astype(np.float64)


def _check_numbers(step: Any, columns: Sequence[Column]) -> None:
    if any(column.table is not None or column.indicator for column in columns):
        raise ValueError(f"{type(step).__name__} behind an encoder is not supported")


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def compare_front(
    encoder: Encoder,
    maps: Maps,
    step: Any,
    size: float,
    compare: Callable[[np.ndarray, np.ndarray], None],
) -> None:
    """Compare what is made of random tables with what a transformer makes of them."""
    rng = np.random.default_rng(2410)
    table = []
    for source in range(encoder.count):
        mine = [column for column in encoder.columns if column.source == source]
        known = next((column.table for column in mine if column.table is not None), None)
        if known is None:
            values = rng.normal(0, size, SAMPLES)
        else:
            keys = [np.nan if key == key_of(np.nan) else key for key in known]
            values = np.array(keys, object)[rng.integers(0, len(keys), SAMPLES)]
        marker = next((column.fills[0][0] for column in mine if column.fills), 0)
        if mine and all(column.takes_holes for column in mine):
            values[::5] = marker
        numbers = all(not isinstance(value, str) and value is not None for value in values)
        table.append(values.astype(np.float64) if numbers else values)
    values = np.empty((SAMPLES, encoder.count), object)
    for source, column in enumerate(table):
        values[:, source] = column
    ours = encoder.encode(values, np.dtype(np.float64))
    for _, one, _ in maps:
        ours = one.apply(ours)
    with quiet():
        theirs = dense(step.transform(table_of_columns(step, table))).astype(np.float64)
    compare(ours, theirs)
