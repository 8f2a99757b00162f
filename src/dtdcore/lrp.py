# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layer-wise relevance propagation: the user chooses the rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dtdcore.choosing import choose_rules
from dtdcore.explainers import Redistribution
from dtdcore.layers import Layer
from dtdcore.network import Network
from dtdcore.rules import Epsilon, Rule


class LRP(Redistribution):
    """Layer-wise relevance propagation by chosen rules (Bach et al. 2015). Starts from f_target.

    Scales and shifts directly at the inputs take no rule: relevance passes through them, and rules
    of the first layers (and the bounds of a `ZB` among them) are about scaled inputs.

    Parameters
    ----------
    network : Network
    rules : Rule, sequence, mapping or str
        One rule for all linear layers; a sequence with one rule for each layer with learned
        weights, from the input to the output; a mapping to rules, from "first" (layers with
        learned weights before which there are none) or "last" (those after which there are none),
        a layer's name (or a glob such as "dense_*"), its type or its type's name. A layer takes the
        rule of its own name, letter by letter (a key that is a layer's name is no glob), else that
        of the first key that fits; or the name of a preset:

        - "epsilon": ε everywhere;
        - "z-plus": z⁺ everywhere;
        - "epsilon-plus": z⁺ for convolutions, ε for dense layers;
        - "epsilon-plus-flat": the same, and flat for the first layers;
        - "epsilon-alpha2-beta1": αβ with α = 2, β = 1 for convolutions, ε for dense layers;
        - "gamma-epsilon": γ = 0.25 for convolutions, ε for dense layers; generalised γ for the
          convolutions whose inputs can be negative (the first layers among them) or whose outputs
          meet no ReLU: the same where x ≥ 0 and a_j > 0, and bounded where γ is not;

        with ε = 1e-6 and the bias in z as each rule has it by default. (Kohlbrenner et al. 2020,
        Montavon et al. 2019.) Linear layers that have learned nothing, such as sums, take z
        without bias where nothing is said for them: relevance in proportion.
    pooling : "proportional" or "winner", optional
        How pools pass relevance on. By default in proportion; under a preset, maximum pools to the
        winner, as in the peers that know the preset, and others in proportion.
    strict : bool
        Raise a `ConservationError` when a layer passes on less, or more, than it received.
    tolerance : float, optional
        Relative tolerance of `strict`; 1e-4 for float32 and 1e-9 for float64 by default.
    max_memory : float, optional
        Bytes that the arrays of a run may take: larger batches are explained in pieces, with the
        same bits. No bound by default. (`memory` predicts what a batch needs.) What the largest run
        took is kept for the next one, and threads that call at once take as much each.

    Notes
    -----
    Three of the presets are composites of Zennit under the same names (EpsilonPlus,
    EpsilonPlusFlat, EpsilonAlpha2Beta1), "gamma-epsilon" is its EpsilonGammaBox without the box.
    Theirs count b⁺ in the z of z⁺, here `ZPlus(bias=True)`, and add 1e-6 to every z, where here
    only ε has a stabiliser. The rest is equal: with ``{"Conv": ZPlus(bias=True), "Dense":
    Epsilon()}`` and ``pooling="winner"`` so are the heatmaps, but for that 1e-6.

    Raises
    ------
    ValueError
        If a layer gets no rule, a rule of the mapping no layer, or a preset is unknown.
    TypeError
        If something is not a rule.
    """

    def __init__(
        self,
        network: Network,
        rules: Any = None,
        pooling: str | None = None,
        *,
        strict: bool = False,
        tolerance: float | None = None,
        max_memory: float | None = None,
    ) -> None:
        rules = Epsilon() if rules is None else rules
        self._named = dict(rules) if isinstance(rules, Mapping) else rules
        self._own_pooling = pooling is None and isinstance(rules, str)
        if pooling is None:
            pooling = "winner" if self._own_pooling else "proportional"
        super().__init__(network, pooling, strict, tolerance, max_memory)

    def _choose(self, network: Network, dtype: np.dtype) -> list[Rule | None]:
        return choose_rules(network, self._named)

    def _pooling_of(self, layer: Layer, added: str = "") -> str | None:
        if self._own_pooling and layer.pools and not layer.takes_maximum:
            return "proportional"
        return super()._pooling_of(layer, added)

    def __repr__(self) -> str:
        rules = dict.fromkeys(str(rule) for rule in self.rules if isinstance(rule, Rule))
        pooling = ["pooling='winner'"] if "winner" in self.rules else []
        return f"LRP({', '.join([*rules, *pooling])})"
