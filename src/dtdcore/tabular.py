# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance of named features: one-hot groups summed, the most relevant features picked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from dtdcore.arrays import check_count
from dtdcore.colours import Floats, finite

Groups = Mapping[str, Sequence[str | int]]


def sum_groups(
    relevance: ArrayLike, names: Sequence[str], groups: Groups
) -> tuple[Floats, list[str]]:
    """Sum the relevance of columns that belong together, such as a one-hot encoding.

    R_group = Σ_{i in group} R_i, so that the sum over all columns stays what it was.

    Parameters
    ----------
    relevance : array (..., features)
    names : sequence of str, one per feature
    groups : mapping from the name of a group to its columns, by name or index
        A column may be in one group at most. A group stands where its first column stood.

    Returns
    -------
    summed : float64 array (..., columns that are left)
    names : list of str

    Raises
    ------
    ValueError
        If a column is unknown or in two groups, a group is empty, a name is used twice, or the
        number of names is wrong.
    """
    values = finite(relevance, "relevance")
    labels = feature_names(names, values.shape[-1] if values.ndim else 0)
    owner: dict[int, str] = {}
    for group, columns in groups.items():
        if isinstance(columns, (str, int)) or len(columns) == 0:
            raise ValueError(f"groups[{group!r}] must list columns, got {columns!r}")
        for index in (_column(column, group, labels) for column in columns):
            if index in owner:
                raise ValueError(f"groups names column {labels[index]!r} more than once")
            owner[index] = group
    members: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        if index not in owner and label in groups:
            raise ValueError(f"groups: {label!r} is also the name of a column outside that group")
        members.setdefault(owner.get(index, label), []).append(index)
    summed = [values[..., columns].sum(axis=-1) for columns in members.values()]
    return np.stack(summed, axis=-1), list(members)


def feature_names(names: Sequence[str], features: int) -> list[str]:
    """Return names as a list, or raise if they are not one for each feature, all different."""
    if isinstance(names, str) or len(names) != features:
        raise ValueError(f"names must list {features} features, got {names!r}")
    labels = [str(name) for name in names]
    if len(set(labels)) != len(labels):
        raise ValueError(f"names must differ from each other, got {labels}")
    return labels


def most_relevant(values: Floats, names: list[str], most: int | None) -> tuple[Floats, list[str]]:
    """Keep the `most` columns with the largest Σ|R|, in their order; sum the others into one.

    `values` is (n, features). With no more than `most` features, or with None, all are kept.
    """
    if most is None or len(names) <= check_count(most, "most"):
        return values, names
    order = np.argsort(-np.abs(values).sum(axis=0), kind="stable")
    kept, rest = np.sort(order[:most]), order[most:]
    others = values[:, rest].sum(axis=1, keepdims=True)
    labels = [names[index] for index in kept] + [f"{len(rest)} others"]
    return np.concatenate([values[:, kept], others], axis=1), labels


def _column(column: str | int, group: str, names: list[str]) -> int:
    if isinstance(column, str):
        if column not in names:
            raise ValueError(f"groups[{group!r}]: no column is called {column!r}; have {names}")
        return names.index(column)
    if not 0 <= column < len(names):
        raise ValueError(f"groups[{group!r}]: no column {column}; have 0 to {len(names) - 1}")
    return int(column)
