# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Deep Taylor decomposition: the domain of the inputs chooses the rules."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dtdcore.choosing import by_input, domain_rules
from dtdcore.columns import named_domain
from dtdcore.domains import Domain, Reals
from dtdcore.explainers import Redistribution, check_network
from dtdcore.network import Network
from dtdcore.relevance_models import RelevanceModel, TrainingFree
from dtdcore.rules import Rule


class DeepTaylor(Redistribution):
    """Deep Taylor decomposition (Montavon et al. 2017).

    The domain of the inputs gives the rule of the layers that meet them: `Reals()` the w²-rule,
    `NonNegative()` z⁺, `Box(low, high)` z^B; all layers above take z⁺, sums and scales among them,
    and pools pass relevance on in proportion. It starts from max(0, f_target). Where no bias is
    positive, the heatmaps are consistent: conservative and positive. (With `MinMax` they are
    positive, and conservative as far as its predictions are right.)

    A network may begin with scales and shifts of its inputs (`ChannelAffine`, `BatchNorm`,
    `Multiply`): the domain is that of x as it comes, and is mapped with it (see `Box`). Relevance
    passes through them unchanged, so that the heatmap on x is that of the network behind on scaled
    inputs. z^B would be the same with the scales merged into the weights; w² and z⁺ would not: they
    are those of the scaled space, where columns of different units can be compared. Inputs ≥ 0
    that a shift or a negative scale may make negative lie in ℝ^d then: w².

    Parameters
    ----------
    network : Network
    domain : Domain
        Where the inputs can lie: `Reals()` (the default), `NonNegative()` or `Box(low, high)`; a
        dict by name for a network of several inputs, or one for all. Numbers outside by
        rounding (see `Domain.check`) count as the bound, and `explanation.inputs` holds that.
    relevance_model : TrainingFree or MinMax
        How relevance depends on hidden activations: `TrainingFree()` (the default), or a `MinMax`
        that was fitted to this network.
    pooling : "proportional" or "winner"
        How pools pass relevance on: the method's formula, or all to the largest.
    strict : bool
        Raise a `ConservationError` when a layer passes on less, or more, than it received.
    tolerance : float, optional
        Relative tolerance of `strict`; 1e-4 for float32 and 1e-9 for float64 by default.
    max_memory : float, optional
        Bytes that the arrays of a run may take: larger batches are explained in pieces, with the
        same bits. No bound by default. (`memory` predicts what a batch needs.) What the largest run
        took is kept for the next one, and threads that call at once take as much each.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or a bound does not fit the network.
    """

    def __init__(
        self,
        network: Network,
        domain: Domain | Mapping[str, Domain] | None = None,
        relevance_model: RelevanceModel | None = None,
        pooling: str = "proportional",
        *,
        strict: bool = False,
        tolerance: float | None = None,
        max_memory: float | None = None,
    ) -> None:
        check_network(network)
        domain = Reals() if domain is None else named_domain(network, domain)
        by_input(network, domain)
        if relevance_model is None:
            relevance_model = TrainingFree()
        if not isinstance(relevance_model, RelevanceModel):
            raise TypeError(
                "relevance_model must be TrainingFree() or a fitted MinMax, "
                f"got {relevance_model!r}"
            )
        self.domain, self.pooling, self.relevance_model = domain, pooling, relevance_model
        self._planner = relevance_model.planner(network, pooling)
        super().__init__(network, pooling, strict, tolerance, max_memory)

    def _choose(self, network: Network, dtype: np.dtype) -> list[Rule | str | None]:
        return domain_rules(network, self.domain, dtype)

    def _start(self, f: np.ndarray) -> np.ndarray:
        return np.maximum(f, 0)

    def __repr__(self) -> str:
        pooling = "" if self.pooling == "proportional" else f", pooling={self.pooling!r}"
        model = "" if self.relevance_model == TrainingFree() else f", {self.relevance_model!r}"
        return f"DeepTaylor({self.domain!r}{model}{pooling})"
