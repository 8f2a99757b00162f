# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One call for a heatmap."""

from __future__ import annotations

import os
from typing import Any

from dtdcore.explainers import DeepTaylor
from dtdcore.explanation import Explanation
from dtdcore.network import Network, load


def explain(
    network: Network | str | os.PathLike,
    x: Any,
    target: Any = None,
    *,
    relevance: Any = None,
    node: str | None = None,
    **options: Any,
) -> Explanation:
    """Explain a batch by deep Taylor decomposition, in one call.

    Parameters
    ----------
    network : Network or path
        A path is read by `dtdcore.load`.
    x : array (n, *input shape)
    target, relevance, node
        As in a call of `DeepTaylor`.
    **options
        For `DeepTaylor`: `domain`, `pooling`, `strict`, and so on. To explain many batches make
        the explainer once.

    Returns
    -------
    Explanation

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    """
    if not isinstance(network, Network):
        network = load(network)
    return DeepTaylor(network, **options)(x, target, relevance=relevance, node=node)
