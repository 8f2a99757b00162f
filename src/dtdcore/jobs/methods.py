# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explainers by name, as the command line calls them."""

from __future__ import annotations

from typing import Any

from dtdcore.choosing import PRESETS
from dtdcore.deep_taylor import DeepTaylor
from dtdcore.domains import Domain
from dtdcore.explainers import Explainer
from dtdcore.gradients import GradientTimesInput, IntegratedGradients, Sensitivity, SmoothGrad
from dtdcore.lrp import LRP
from dtdcore.network import Network

_GRADIENTS = {
    "sensitivity": Sensitivity,
    "gradient-times-input": GradientTimesInput,
    "integrated-gradients": IntegratedGradients,
    "smoothgrad": SmoothGrad,
}

#: The names that `explainer` knows.
METHODS = (
    "deep-taylor",
    "deep-taylor:winner",
    *(f"lrp:{name}" for name in PRESETS),
    *_GRADIENTS,
)


def redistributes(name: str) -> bool:
    """Does the method redistribute relevance, so that there is an audit, `strict` and so on?"""
    return name not in _GRADIENTS


def explainer(name: str, network: Network, domain: Domain, **options: Any) -> Explainer:
    """An explainer by its name.

    Parameters
    ----------
    name : str
        One of `METHODS`.
    network : Network
    domain : Domain
        Where the inputs lie; deep Taylor takes it, the others do not ask.
    **options
        `strict`, `tolerance`, `max_memory` of the methods that redistribute relevance; for the
        others None and False pass.

    Raises
    ------
    ValueError
        If there is no such method, or it does not take an option.
    TypeError
        If an option is of the wrong kind.
    """
    if name not in METHODS:
        raise ValueError(f"there is no method {name!r}; there are {', '.join(METHODS)}")
    if not redistributes(name):
        wrong = [key for key, value in options.items() if value is not None and value is not False]
        if wrong:
            raise ValueError(
                f"the method {name} does not redistribute relevance and takes no {', '.join(wrong)}"
            )
        return _GRADIENTS[name](network)
    kind, _, variant = name.partition(":")
    if kind == "lrp":
        return LRP(network, variant, **options)
    return DeepTaylor(network, domain, pooling=variant or "proportional", **options)
