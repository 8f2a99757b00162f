# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Batches in pieces: an array, or a dict of arrays by input; their samples, and results joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.audit import Audit


def count_of(x: Any) -> int:
    """The samples of a batch, or of a dict of batches."""
    return len(next(iter(x.values())) if isinstance(x, dict) else x)


def piece_of(x: Any, piece: slice) -> Any:
    """Some samples of a batch, or of a dict of batches."""
    if isinstance(x, dict):
        return {name: part[piece] for name, part in x.items()}
    return x[piece]


def joined(runs: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The results of a batch from those of its pieces."""
    outputs, targets, explained, results, audits, kept = zip(*runs, strict=True)
    if isinstance(results[0], dict):
        result = {name: np.concatenate([r[name] for r in results]) for name in results[0]}
    else:
        result = np.concatenate(results)
    chosen = None if targets[0] is None else np.concatenate(targets)
    hidden = {value: np.concatenate([part[value] for part in kept]) for value in kept[0]}
    output, f = np.concatenate(outputs), np.concatenate(explained)
    return output, chosen, f, result, Audit.join(audits), hidden
