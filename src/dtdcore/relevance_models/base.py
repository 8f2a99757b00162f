# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What `DeepTaylor` asks of a relevance model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dtdcore.network import Network
from dtdcore.rules import Rule

#: Makes what runs a network (merged, perhaps) for one rule per node, one dtype and the number of
#: the value to start from (None: the output): an object with the dict `memory` and the method
#: trace(x, arena), whose result has `output`, `arena` and redistribute(relevance, keep) ->
#: (relevance, Audit, relevance of the values in keep).
Planner = Callable[[Network, Sequence[Rule | str | None], np.dtype, int | None], Any]


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
