# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The numbers of arrays and tables, looked at before any work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dtdcore.arrays import as_float
from dtdcore.domains import Domain
from dtdcore.jobs.inputs import Source
from dtdcore.preprocessing import fitting

#: Values that are looked at in one go.
_PIECE = 2**22


def check_values(sources: Sequence[Source], domain: Domain) -> None:
    """Look at all numbers of arrays and tables, before any work.

    Raises
    ------
    ValueError
        If one is not finite or outside the domain, naming file, value, domain and the presets
        whose domains would fit.
    """
    for source in sources:
        if source.kind in ("array", "table") and source.damage is None:
            values = source.load()
            for start, part in _pieces(values):
                _check_part(source, values, start, part, domain)


def _pieces(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    step = max(1, _PIECE // max(1, values[0].size))
    for start in range(0, len(values), step):
        yield start, as_float(values[start : start + step], "x", np.dtype(np.float32))


def _check_part(
    source: Source, values: np.ndarray, start: int, part: np.ndarray, domain: Domain
) -> None:
    outside = domain.outside(part)
    if not np.any(outside):
        return
    row = int(np.argmax(np.any(outside, axis=1)))
    wrong = part[row].reshape(-1)[outside[row]][0]
    sample = f"{source.path}: sample {source.sample_name(start + row)} holds {wrong:g}"
    if not np.isfinite(wrong):
        raise ValueError(f"{sample}, which is not finite")
    names: list[str] | None = None
    for _, piece in _pieces(values):
        fit = fitting(piece)
        names = fit if names is None else [name for name in names if name in fit]
    hint = (
        f"the file fits the domain of --preset {' or '.join(names)}"
        if names
        else "the file fits the domain of no preset"
    )
    raise ValueError(
        f"{sample}, which is outside the domain {domain!r}; {hint}; --domain reals takes any number"
    )
