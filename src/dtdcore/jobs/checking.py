# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The numbers of arrays and tables, looked at before they are explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dtdcore.arrays import as_float, cast
from dtdcore.domains import Domain
from dtdcore.preprocessing import fitting

#: Values that are looked at in one go.
_PIECE = 2**22


def check_sample(
    values: np.ndarray,
    domain: Domain,
    dtype: np.dtype,
    columns: Sequence[str] | None = None,
    hint: Callable[[], str] = lambda: "",
) -> np.ndarray:
    """One input, of finite numbers in the domain, in the network's dtype.

    Parameters
    ----------
    values : array, input shape
    domain : Domain
    dtype : numpy.dtype
    columns : sequence of str, optional
        Names of the numbers, to say where one is wrong.
    hint : callable, optional
        What to do about a number outside the domain; asked where there is one.

    Raises
    ------
    ValueError
        If a number is not finite, too large for the dtype, or outside the domain.
    """
    values = as_float(values, "it", np.dtype(dtype))
    finite = np.isfinite(values)
    if not np.all(finite):
        where, value = _first(values, ~finite, columns)
        raise ValueError(f"it holds {value:g}{where}, which is not finite")
    sample = cast(values, np.dtype(dtype), "it")
    outside = domain.outside(sample[None])
    if np.any(outside):
        where, value = _first(sample, outside.reshape(sample.shape), columns)
        raise ValueError(
            f"it holds {value:g}{where}, which is outside the domain {domain!r}{hint()}"
        )
    return sample


def _first(
    values: np.ndarray, wrong: np.ndarray, columns: Sequence[str] | None
) -> tuple[str, float]:
    """Where the first wrong number is, in words, and the number."""
    place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    if columns is not None:
        return f" in the column {columns[place[0]]!r}", values[place]
    return f" at [{', '.join(map(str, map(int, place)))}]", values[place]


def what_fits(values: np.ndarray) -> str:
    """What to do where numbers of a file, (n, *input shape), are outside the domain."""
    names: list[str] | None = None
    step = max(1, _PIECE // max(1, values[0].size))
    for start in range(0, len(values), step):
        piece = as_float(values[start : start + step], "x", np.dtype(np.float32))
        piece = piece[np.isfinite(piece.reshape(len(piece), -1)).all(axis=1)]
        fit = fitting(piece)
        names = fit if names is None else [name for name in names if name in fit]
    fits = f"the domain of --preset {' or '.join(names)}" if names else "the domain of no preset"
    return f"; the file fits {fits}; --domain reals takes any number"
