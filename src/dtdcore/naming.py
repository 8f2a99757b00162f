# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the explained outputs are called, for headings and captions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dtdcore.explanation import Explanation


def explained_classes(explanation: Explanation) -> np.ndarray | None:
    """Return the class name of each explained output, (n,) or (n, k) of str; None if unknown."""
    target, names = explanation.target, explanation.class_names
    if not names or target is None:
        return None
    target = np.asarray(target)
    whole = target.dtype.kind in "iu" and target.shape == explanation.explained.shape
    if not whole or not ((target >= 0) & (target < len(names))).all():
        return None
    return np.array(names, dtype=np.str_)[target]
