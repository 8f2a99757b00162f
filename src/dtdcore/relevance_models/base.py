# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What `DeepTaylor` asks of a relevance model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dtdcore.network import Network
from dtdcore.rules import Rule

#: Makes what runs the network for one rule per node and one dtype: an object with the method
#: trace(x), whose result has `output` and redistribute(relevance) -> (relevance, Audit).
Planner = Callable[[Sequence[Rule | str | None], np.dtype], Any]


class RelevanceModel:
    """Base of the relevance models: `TrainingFree` and `MinMax`."""

    def planner(self, network: Network, pooling: str) -> Planner:
        """How to explain this network; later changes of the model do not change it.

        Raises
        ------
        ValueError
            If the model cannot explain this network.
        """
        raise NotImplementedError  # every relevance model answers this
