# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Tables with named columns (pandas, polars, pyarrow; none is imported), and what goes by name.

Where both sides have names, columns are put in the order that a network knows. They are never taken
by their place then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dtdcore.foreign import is_missing, plain

#: An error names no more columns than this.
NAMED = 10


def is_frame(x: Any) -> bool:
    """Is it a table whose columns have names?"""
    kind = type(x)
    return hasattr(kind, "columns") and hasattr(kind, "__getitem__") and hasattr(kind, "shape")


def is_series(x: Any) -> bool:
    """Is it one column of such a table?"""
    return hasattr(type(x), "to_frame") and not is_frame(x)


def listed(names: Sequence[Any]) -> str:
    """Some names, as an error lists them."""
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(repr(str(name)) for name in names[:NAMED]) + more


def labels_of(frame: Any, name: str) -> list[Any]:
    """The labels of the columns of a table.

    Raises
    ------
    ValueError
        If two are the same.
    """
    arrow = hasattr(type(frame), "column_names")  # whose `columns` are the columns themselves
    labels = list(frame.column_names if arrow else frame.columns)
    _check_different([str(label) for label in labels], name)
    return labels


def _check_different(texts: list[str], name: str) -> None:
    twice = [text for text, count in Counter(texts).items() if count > 1]
    if twice:
        raise ValueError(f"{name} has several columns of the name {listed(twice)}: rename them")


def in_order(labels: Sequence[Any], names: Sequence[str], name: str) -> list[Any]:
    """`labels` in the order of `names`.

    Raises
    ------
    ValueError
        If one is missing, or there is one more, with what to do.
    """
    by_text = {str(label): label for label in labels}
    missing = [known for known in names if known not in by_text]
    more = [text for text in by_text if text not in names]
    if missing or more:
        parts = [f"lacks {listed(missing)}"] if missing else []
        parts += [f"has {listed(more)}, which is none of them"] if more else []
        known = [*names] if len(names) <= NAMED else "list(network.feature_names)"
        hint = "" if missing else f"; leave out what is more: {name}[{known}]"
        raise ValueError(
            f"{name} must have the columns {listed(names)}, in any order; it {' and '.join(parts)}"
            f"{hint}"
        )
    return [by_text[known] for known in names]


def numeric(values: np.ndarray, name: str, default: np.dtype) -> np.ndarray:
    """The values (n,) of a column as float32 or float64; NaN in place of None and pandas' NA.

    Raises
    ------
    TypeError
        If a value is no number.
    """
    if values.dtype.kind == "O":
        missing = [is_missing(value) for value in values]
        values = np.where(missing, np.nan, values) if any(missing) else values
    array = plain(values, name, default)
    if array.dtype.kind != "f":
        return array.astype(default)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def check_holes(column: np.ndarray, name: str) -> None:
    """Raise a ValueError that names the first row of a column where a number is missing."""
    missing = np.isnan(column)
    if missing.any():
        raise ValueError(
            f"{name} is missing in row {int(np.argmax(missing))} ({np.count_nonzero(missing)} of "
            f"{len(column)} rows): fill such holes, or leave these rows out"
        )


def column(frame: Any, label: Any, name: str, default: np.dtype) -> np.ndarray:
    """One column of numbers, (n,) float32 or float64; see `numbers_of`."""
    where = f"{name}[{str(label)!r}]"
    result = numeric(np.asarray(frame[label]), where, default)
    check_holes(result, where)
    return result


def numbers_of(
    frame: Any, name: str, default: np.dtype, names: Sequence[str] | None = None
) -> np.ndarray:
    """The columns of a table as an array (n, columns) of float32 or float64.

    Whole numbers, bools, nullable columns and categories of numbers become `default`.

    Parameters
    ----------
    frame : table
    name : str
        What errors call it.
    default : numpy.dtype
    names : sequence of str, optional
        The columns that are wanted, in their order. Without them all are taken as they stand.

    Raises
    ------
    ValueError
        If a column is missing or superfluous, two have one name, or a value is missing, naming
        column and row.
    TypeError
        If columns hold text or anything else that is no number, naming all of them.
    """
    labels = labels_of(frame, name)
    if names is not None:
        labels = in_order(labels, names, name)
    columns, wrong, hole = [], [], None
    for label in labels:
        try:
            columns.append(column(frame, label, name, default))
        except TypeError:
            wrong.append(label)
        except ValueError as error:
            hole = hole or error
    if wrong:
        raise TypeError(
            f"{name} must hold numbers, and these columns do not: "
            f"{', '.join(f'{str(label)!r} ({_kind(frame[label])})' for label in wrong[:NAMED])}"
            f"{', ...' if len(wrong) > NAMED else ''}. Leave them out, or encode them as for "
            "the training of the network"
        )
    if hole:
        raise hole
    if not columns:
        return np.empty((len(frame), 0), default)
    return np.stack(columns, axis=1, dtype=np.result_type(*columns), casting="same_kind")


def _kind(series: Any) -> str:
    """What a column holds that is no number."""
    values = np.asarray(series)
    text = next((value for value in values.tolist() if isinstance(value, str)), None)
    return f"dtype {values.dtype}" if text is None else f"text such as {text!r}"


def point_labels(value: Any) -> list[str] | None:
    """The names that a point goes by (a dict, a Series with names, a table of one row), or None."""
    if isinstance(value, Mapping):
        return [str(label) for label in value]
    if is_frame(value):
        return [str(label) for label in labels_of(value, "the table")]
    index = getattr(value, "index", None) if is_series(value) else None
    if index is None or callable(index):
        return None
    labels = list(index)
    return None if labels == list(range(len(labels))) else [str(label) for label in labels]


def by_name(value: Any, names: Sequence[str], name: str) -> Any:
    """What goes by name (a dict, a Series with names, a table) in the order of `names`.

    Of a table of one row that row. Anything that has no names comes back as it is.

    Raises
    ------
    ValueError
        If names are unknown, missing or superfluous.
    TypeError
        If a value is no number.
    """
    float64 = np.dtype(np.float64)
    if is_frame(value):
        rows = numbers_of(value, name, float64, names or None)
        return rows[0] if len(rows) == 1 else rows
    labels = point_labels(value)
    if labels is None:
        return value
    if not names:
        raise ValueError(
            f"{name} goes by the names {listed(labels)}, and the network knows no names of its "
            "columns: give an array in their order, or set network.feature_names"
        )
    _check_different(labels, name)
    order = [labels.index(label) for label in in_order(labels, names, name)]
    values = list(value.values()) if isinstance(value, Mapping) else value
    return plain(values, name, float64)[order]
