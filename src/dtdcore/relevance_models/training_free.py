# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The training-free relevance model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dtdcore.domains import Domain
from dtdcore.network import Network
from dtdcore.relevance_models.base import Planner, RelevanceModel
from dtdcore.relevance_models.report import ModelReport, report


@dataclass(frozen=True)
class TrainingFree(RelevanceModel):
    """The training-free relevance model (Montavon et al. 2017).

    It takes the relevance of a neuron to be its activation times a nearly constant factor,

        R_k = x_k · d_k        d_k ≈ constant

    so that pools pass relevance on in proportion, R_j = x_j / Σ_j' x_j' · R_k, and every layer
    above the first redistributes by the z⁺-rule: its inputs are activations, x ≥ 0. Nothing is
    trained, and where no bias is positive nothing is lost: heatmaps are consistent. `report` says
    how far the assumption holds.
    """

    def planner(self, network: Network, pooling: str) -> Planner:
        """Any network, by its own weights: see `RelevanceModel.planner`."""
        return Network.plan

    def report(
        self, network: Network, x: Any, domain: Domain | None = None, target: Any = None
    ) -> ModelReport:
        """How far the model's assumptions hold for a network on data, layer by layer.

        The z⁺-rule sends R_k = x_k d_k to a neuron or pool k, with d_k = Σ_j w⁺_kj R_j / z_j. To
        redistribute R_k further down, the model treats d_k as a constant while the inputs of k
        move to the root point. The report gives the spread of d_k over the samples: 0 means that
        it is a constant (as at the top, where R = f); well below 1, that relevance mostly follows
        the activation; around 1 and above, that the layers above decide by the context whether an
        activation counts at all. For such layers `MinMax`, which knows the relevance above, may
        be the better model: compare the explained variances.

        The second assumption is b ≤ 0. A positive bias adds to a neuron what no input caused, and
        the z⁺-rule gives the inputs the relevance of that, too. The report says how many biases
        are positive, and which share of the relevance they would absorb if they took part in z_j.

        Parameters
        ----------
        network : Network
            A chain of layers.
        x : array (n, *input shape)
            Typical inputs; some hundred are enough.
        domain : Domain, optional
            Where x must lie; checked. (The rule at the input does not matter here.)
        target : None, int or (n,) ints
            The outputs to explain, as for `DeepTaylor`.

        Returns
        -------
        ModelReport
            `print` it for a table; `report["dense_1"].spread` is a number of it.

        Raises
        ------
        ValueError, TypeError
            If the network is no chain, or x or target is not as described.
        """
        return report(network, x, domain, target)
