# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance models: how the relevance of a hidden neuron depends on its inputs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingFree:
    """The training-free relevance model (Montavon et al. 2017).

    It takes the relevance of a neuron to be its activation times a nearly constant factor, so
    that pools pass relevance on in proportion, R_j = x_j / Σ_j' x_j' · R_k, and every layer above
    the first redistributes by the z⁺-rule: its inputs are activations, x ≥ 0.
    """
