# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the parts of the scikit-learn importer share: classes, tables, fitted or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from dtdcore.arrays import require
from dtdcore.class_labels import label_text

#: The package whose classes are known.
LIBRARY = "sklearn"


def class_names(estimator: Any) -> list[str]:
    """The names of its class, and of those it is derived from, that scikit-learn has."""
    return [
        one.__name__ for one in type(estimator).__mro__ if one.__module__.split(".")[0] == LIBRARY
    ]


def check_fitted(estimator: Any, what: str) -> None:
    """Raise a ValueError that names an estimator that was not fitted."""
    require(LIBRARY, LIBRARY)
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise ValueError(
            f"{what}: {type(estimator).__name__} is not fitted: call its fit first"
        ) from None


def column_names(steps: Sequence[Any]) -> tuple[str, ...]:
    """The names of the columns that a row of fitted steps takes; empty where they have none."""
    first = next(
        (step for step in steps if step is not None and not isinstance(step, str)), steps[-1]
    )
    names = getattr(first, "feature_names_in_", None)
    if names is not None:
        return tuple(map(str, names))
    if hasattr(first, "steps"):
        return column_names([step for _, step in first.steps])
    parts = [column_names([part]) for _, part in getattr(first, "transformer_list", ())]
    return next((part for part in parts if part), ())


def labels_of(estimator: Any, outputs: int) -> tuple[str, ...]:
    """The labels of the classes, one for each output; empty where it has none."""
    labels = np.asarray(getattr(estimator, "classes_", ()))
    return tuple(map(label_text, labels)) if labels.shape == (outputs,) else ()


def table_of(estimator: Any, x: np.ndarray) -> Any:
    """`x` as what the estimator was fitted to: a table with named columns, or an array."""
    names = column_names([estimator])
    if not names:
        return x
    try:
        import pandas
    except ImportError:  # it was another library's table: numbers alone do as well
        return x
    return pandas.DataFrame(x, columns=names)


def table_of_columns(estimator: Any, columns: Sequence[np.ndarray]) -> Any:
    """Columns as what the estimator was fitted to: a table with these names, or an array."""
    names = column_names([estimator])
    if names:
        try:
            import pandas
        except ImportError:  # it was another library's table
            pass
        else:
            # As objects, texts keep None apart from NaN.
            series = [pandas.Series(column, dtype=column.dtype) for column in columns]
            return pandas.DataFrame(dict(zip(names, series, strict=True)))
    kinds = {column.dtype for column in columns}
    array = np.empty((len(columns[0]), len(columns)), kinds.pop() if len(kinds) == 1 else object)
    for place, column in enumerate(columns):
        array[:, place] = column
    return array


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that random numbers give rise to, in this thread."""
    with np.errstate(all="ignore"):
        yield
