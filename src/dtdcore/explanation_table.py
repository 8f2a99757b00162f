# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explanations as tables and plain values."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from dtdcore.naming import explained_classes

if TYPE_CHECKING:
    from dtdcore.explanation import Explanation

LIBRARIES = ("pandas", "polars")


def columns_of(explanation: Explanation) -> dict[str, np.ndarray]:
    """The columns of `Explanation.to_frame`, one row for each sample, target and number."""
    count = len(explanation)
    lead = explanation.explained.shape
    k = lead[1] if len(lead) > 1 else 1
    names, several = explained_classes(explanation), isinstance(explanation.inputs, dict)
    parts = []
    for name, (inputs, relevance) in explanation._by_input().items():
        features = _feature_names(explanation.feature_names, inputs.shape[1:])
        size = len(features)
        part = {"sample": np.repeat(np.arange(count), k * size)}
        if explanation.target is not None:
            targets = np.asarray(explanation.target).reshape(-1)
            part["target"] = np.repeat(targets, size)
        if names is not None:
            part["class"] = np.repeat(names.reshape(-1), size)
        if several:
            part["input"] = np.full(count * k * size, name)
        values = np.repeat(inputs.reshape(count, 1, size), k, axis=1)
        part["feature"] = np.tile(np.array(features, dtype=np.str_), count * k)
        part["value"] = values.reshape(-1)
        part["relevance"] = relevance.reshape(-1).copy()
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _feature_names(names: tuple[str, ...], shape: tuple[int, ...]) -> list[str]:
    """Names of the numbers of an input: x3, or x[0, 2] where it has several axes."""
    if len(shape) == 1:
        return list(names) if len(names) == shape[0] else [f"x{p}" for p in range(shape[0])]
    return [f"x{list(place) if place else ''}" for place in np.ndindex(shape)]


def to_frame(explanation: Explanation, library: str | None) -> Any:
    """See `Explanation.to_frame`."""
    if library is not None and library not in LIBRARIES:
        raise ValueError(f"library must be one of {', '.join(LIBRARIES)}, got {library!r}")
    for name in LIBRARIES if library is None else (library,):
        try:
            return importlib.import_module(name).DataFrame(columns_of(explanation))
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise ImportError(
        f"to_frame() needs {library or ' or '.join(LIBRARIES)}: pip install {library or 'pandas'}; "
        "to_dict() does without"
    )


def to_dict(explanation: Explanation) -> dict[str, Any]:
    """See `Explanation.to_dict`."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return value.tolist() if isinstance(value, np.ndarray) else value

    return {
        "method": explanation.method,
        "inputs": plain(explanation.inputs),
        "output": plain(explanation.output),
        "target": plain(explanation.target),
        "class": plain(explained_classes(explanation)),
        "explained": plain(explanation.explained),
        "total": plain(explanation.total),
        "relevance": plain(explanation.relevance),
        "feature_names": list(explanation.feature_names),
        "class_names": list(explanation.class_names),
    }
