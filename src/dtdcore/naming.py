# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the explained outputs are called, for headings and captions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dtdcore.explanation import Explanation


def explained_classes(explanation: Explanation) -> np.ndarray | None:
    """Return what each explained output is called, (n,) or (n, k) of str.

    None where nothing but its number is known.
    """
    target, names = explanation.target, explanation.class_names
    if target is None:
        return None
    shape = explanation.output.shape[1:]
    words = np.asarray(target).dtype.kind == "U" or len(shape) > 1
    if not words and (math.prod(shape) != len(names) or np.max(target, initial=0) >= len(names)):
        return None
    return names_of(target, shape, names)


def names_of(target: np.ndarray, shape: tuple[int, ...], names: Sequence[str]) -> np.ndarray:
    """What each of an explanation's targets is called, an array of str of the same shape."""
    known = {label: name_of(label, shape, names) for label in np.unique(target).tolist()}
    words = [known[label] for label in target.reshape(-1).tolist()]
    return np.array(words, np.str_).reshape(target.shape)


def name_of(label: Any, shape: tuple[int, ...], names: Sequence[str] = ()) -> str:
    """A label of `Targets` in words: the class's name, "output 3", "output (1, 22)", or its text.

    Parameters
    ----------
    label : int or str
    shape : tuple of int
        Of one output.
    names : sequence of str
        The class names.
    """
    if isinstance(label, str):
        return str(label)
    if len(shape) < 2:
        return names[label] if len(names) == math.prod(shape) else f"output {label}"
    index = tuple(int(place) for place in np.unravel_index(int(label), shape))
    if len(names) == shape[0]:
        rest = f" at {index[1:]}" if math.prod(shape[1:]) > 1 else ""
        return f"{names[index[0]]}{rest}"
    return f"output {index}"
