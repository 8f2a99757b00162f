# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the contenders on whole networks share: the case's network, inputs and targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import zoo
from zoo.items import Item


@dataclass(frozen=True)
class Case:
    """A network with inputs x (n, 3, side, side) and, for explanations, one target a sample."""

    items: list[Item]
    side: int
    x: np.ndarray
    targets: np.ndarray | None


def read_case(net: str, inputs: str, targets: str | None) -> Case:
    """The case whose arrays lie in these .npy files."""
    chosen = None if targets is None else np.load(targets)
    return Case(zoo.items_of(net), zoo.side_of(net), np.load(inputs), chosen)
