# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Labels of classes: which output a target means that says a label, and not a number of outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

#: An error names no more labels than this.
NAMED = 20


class OutputNumbers(np.ndarray):
    """Numbers of outputs, 0 to k - 1, that are never taken for labels of classes.

    `explanation.target` is such an array, so that it can be the target of another call.
    """


def output_numbers(numbers: Any) -> OutputNumbers:
    """Whole numbers as numbers of outputs, whatever the labels of the classes are.

    Where classes are labelled 1, 2, 3, `target=1` explains class 1, the first output, and
    `target=output_numbers(1)` the second.
    """
    return np.asarray(numbers).view(OutputNumbers)


def label_text(label: Any) -> str:
    """A label as `Network.class_names` holds it: whole numbers without a point."""
    label = label.item() if isinstance(label, np.generic) else label
    whole = isinstance(label, float) and label.is_integer()
    return str(int(label) if whole else label)


def are_whole(class_names: Sequence[str]) -> bool:
    """Are classes labelled by whole numbers?"""
    return len(class_names) > 0 and all(re.fullmatch(r"-?\d+", name) for name in class_names)


def are_numbers(class_names: Sequence[str]) -> bool:
    """Are classes labelled by whole numbers that are not 0, 1, 2, as outputs are counted?"""
    counted = all(name == str(k) for k, name in enumerate(class_names))
    return not counted and are_whole(class_names)


def from_labels(target: Any, class_names: Sequence[str]) -> Any:
    """`target` with labels replaced by the numbers of the outputs that speak for them.

    Text names a class. Whole numbers are numbers of outputs, unless classes are labelled by whole
    numbers other than 0, 1, 2: then they are labels, and so are bools where classes are labelled
    "False" and "True".

    Parameters
    ----------
    target : None, label or array of labels
    class_names : sequence of str
        The label of each output; empty where none are known.

    Raises
    ------
    ValueError
        If there is no such class, or several of that name.
    TypeError
        If it is text, and no names are known.
    """
    if target is None or isinstance(target, OutputNumbers):
        return target
    try:
        array = np.asarray(target)
    except ValueError as error:  # a ragged list
        raise ValueError(f"target must be an array: {error}") from None
    if array.dtype.kind in "OT":
        array = np.asarray(array.tolist())
    kind = array.dtype.kind
    if kind == "U" and not class_names:
        raise TypeError(
            f"target must hold whole numbers, got {target!r}: the network knows no names of "
            "classes; set network.class_names to give names"
        )
    if kind == "f" and are_whole(class_names) and np.array_equal(array, np.round(array)):
        array, kind = array.astype(np.intp), "i"
    by_label = {
        "U": True,
        "b": set(class_names) == {"False", "True"},
        "i": are_numbers(class_names),
        "u": are_numbers(class_names),
    }
    return _looked_up(array, class_names) if by_label.get(kind, False) else array


def _looked_up(array: np.ndarray, class_names: Sequence[str]) -> OutputNumbers:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(class_names):
        places.setdefault(name, []).append(place)
    labels, inverse = np.unique(array, return_inverse=True)
    numbers = np.zeros(labels.shape, np.intp)
    for index, label in enumerate(labels):
        found = places.get(label_text(label), [])
        if len(found) > 1:
            raise ValueError(
                f"target {label_text(label)!r} is the name of the outputs "
                f"{', '.join(map(str, found))}: give the number"
            )
        if not found:
            shown = ", ".join(map(repr if labels.dtype.kind == "U" else str, class_names[:NAMED]))
            more = ", ..." if len(class_names) > NAMED else ""
            raise ValueError(
                f"target {label.item()!r} is not among the labels of the classes: {shown}{more}"
            )
        numbers[index] = found[0]
    return output_numbers(numbers[inverse].reshape(array.shape))
