# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Targets: which outputs of a network are to be explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.arrays import rows
from dtdcore.class_labels import OutputNumbers, from_labels, output_numbers


def choose_targets(
    output: np.ndarray, target: Any, class_names: Sequence[str] = ()
) -> tuple[OutputNumbers, bool]:
    """Targets as an array (n, k), and whether the result shall go without the axis k.

    Parameters
    ----------
    output : array (n, *output shape)
        What the network said; targets count its numbers in order.
    target : None, int, (n,) ints or (n, k) ints
        None: the only output, or the largest of each sample. Labels of classes, too: see
        `dtdcore.class_labels.from_labels`.
    class_names : sequence of str, optional
        The labels of the outputs, where these are known.

    Raises
    ------
    TypeError
        If `target` does not hold whole numbers (or labels).
    ValueError
        If its shape is wrong or there is no such output.
    """
    output = rows(output)
    n, size = output.shape
    if size == 0:
        raise ValueError("the network has no output to explain")
    if target is None:
        if size == 1 or n == 0:
            return output_numbers(np.zeros((n, 1), np.intp)), True
        return output_numbers(np.argmax(output, axis=1)[:, None]), True
    targets = np.asarray(from_labels(target, class_names if len(class_names) == size else ()))
    if targets.dtype.kind not in "iu" and targets.size:
        raise TypeError(f"target must hold whole numbers, got {target!r}")
    if targets.ndim == 0:
        targets, single = np.full((n, 1), targets, np.intp), True
    elif targets.ndim in (1, 2) and targets.shape[0] == n:
        single = targets.ndim == 1
        targets = (targets[:, None] if single else targets).astype(np.intp)
    else:
        raise ValueError(
            f"target must be None, an int, ({n},) ints or ({n}, k) ints for this batch, "
            f"got shape {targets.shape}"
        )
    if targets.size and (targets.min() < 0 or targets.max() >= size):
        wrong = targets[(targets < 0) | (targets >= size)][0]
        raise ValueError(f"target {wrong} is not among the network's {size} outputs")
    return output_numbers(targets), single


def one_hot(
    output: np.ndarray, targets: np.ndarray, values: np.ndarray | None = None
) -> np.ndarray:
    """`values` (n, k), or 1, at the targets and 0 elsewhere: (n, k, *output shape)."""
    n, k = targets.shape
    if values is None:
        values = np.ones((n, k), output.dtype)
    columns = rows(output).shape[1]
    if columns > 1:
        result = np.zeros((n * k, columns), output.dtype)
        result[np.arange(n * k), targets.reshape(-1)] = values.reshape(-1)
        values = result
    return values.reshape(n, k, *output.shape[1:])


def pick(output: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The numbers of the output at the targets, copied: (n, k)."""
    flat = rows(output)
    if flat.shape == targets.shape == (len(flat), 1):
        return flat.copy()
    return np.take_along_axis(flat, targets, axis=1)
