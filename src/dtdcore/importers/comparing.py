# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The proof of an import: our forward pass beside that of the library a model came from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from dtdcore.importers.record import Signal
from dtdcore.layers import Layer

#: Standard deviations of the random inputs: standardised numbers, and pixels.
SCALES = (1.0, 50.0)

#: Largest |ours - theirs| of a value, relative to its largest absolute number.
TOLERANCE = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-9}


def decisive(
    compared: Collection[Signal],
    starts: Iterable[Signal],
    makers: Mapping[Signal, tuple[Layer, tuple[Signal, ...]]],
) -> set[Signal]:
    """The compared values at which, or right before which, explanations start.

    What stands behind them, a softmax above all, may hide how they differ.
    """
    found = set()
    for start in starts:
        value = start
        while value not in compared and len(makers.get(value, (None, ()))[1]) == 1:
            (value,) = makers[value][1]
        found.add(value)
    return found.intersection(compared)


def difference(
    ours: np.ndarray, theirs: np.ndarray, tolerance: float, scale: float = 0
) -> str | None:
    """How two results differ, in words; None if they agree.

    They agree where max |ours - theirs| ≤ tolerance · max |theirs| (or · `scale`), over the numbers
    of theirs that are finite (others come from an input beyond what the model was made for).
    """
    if ours.shape != theirs.shape:
        return f"its shape is {ours.shape} instead of {theirs.shape}"
    finite = np.isfinite(theirs)
    ours, theirs = ours[finite], theirs[finite]
    largest = float(np.max(np.abs(theirs), initial=0))
    off = float(np.max(np.abs(ours - theirs.astype(np.float64)), initial=0))
    if off <= tolerance * max(largest, scale):
        return None
    return f"by {off:g}, where its largest number is {largest:g}"


def sample(
    rng: np.random.Generator, scale: float, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Random numbers of a standard deviation; for whole numbers 0 to 127."""
    numbers = rng.normal(0, scale, shape)
    if dtype.kind in "iu":
        numbers = np.clip(np.rint(np.abs(numbers)), 0, 127)
    return numbers.astype(dtype)
