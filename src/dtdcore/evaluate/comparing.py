# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Perturbing by one heatmap, and comparing several methods on the same inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dtdcore.arrays import as_batch
from dtdcore.evaluate.comparison import ORDERS, Comparison
from dtdcore.evaluate.curves import Curve
from dtdcore.evaluate.perturbation import Perturbation, Prepared
from dtdcore.explanation import Explanation
from dtdcore.network import Network
from dtdcore.progress import progress_bar
from dtdcore.targets import choose_targets


def perturb(
    network: Network,
    x: Any,
    relevance: Any = None,
    target: Any = None,
    *,
    order: str = "most",
    progress: bool | str = False,
    **options: Any,
) -> Curve:
    """Replace regions of x one after the other and watch the output that was explained.

    Parameters
    ----------
    network : Network
        Of one input.
    x : array (n, *input shape)
    relevance : array (n, *input shape), Explanation, or explainer
        The heatmaps; an explainer is called with x and target. None for "random".
    target : None, int or (n,) ints
        The output that was explained: None is the only one, or the largest of each sample.
    order : "most", "least" or "random"
        Most relevant regions first, least relevant first, or in random order (the mean over
        `repeats` of them).
    progress : bool or "auto"
        A progress bar by tqdm; "auto" shows it where tqdm is installed and stderr is a terminal.
    **options
        See `Perturbation`: patch, regions, channels, shape, reduce, fill, steps, fraction, repeats,
        score, seed, domain, batch.

    Returns
    -------
    Curve

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        If `progress` is True and tqdm is not installed.
    """
    if order == "random" and relevance is not None:
        raise ValueError("order='random' takes no relevance")
    method = "random" if order == "random" else relevance
    result = compare(
        network, x, {"heatmap": method}, target, orders=(order,), progress=progress, **options
    )
    return result.curves["heatmap"][order]


def compare(
    network: Network,
    x: Any,
    methods: Mapping[str, Any],
    target: Any = None,
    *,
    orders: Sequence[str] = ("most", "least"),
    confidence: float = 0.95,
    progress: bool | str = False,
    **options: Any,
) -> Comparison:
    """Perturb the same inputs by the heatmaps of several methods.

    Parameters
    ----------
    network : Network
        Of one input.
    x : array (n, *input shape)
    methods : mapping from a name to an explainer, relevance (n, *input shape), or "random"
        Explainers are called with x and target; an Explanation is taken as it is.
    target : None, int or (n,) ints
        The output to explain: None is the only one, or the largest of each sample.
    orders : "most", "least", or both
    confidence : float
        Of all bands, between 0 and 1.
    progress : bool or "auto"
        A progress bar by tqdm; "auto" shows it where tqdm is installed and stderr is a terminal.
    **options
        See `Perturbation`.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        If `progress` is True and tqdm is not installed.
    """
    perturbation = Perturbation(**options)
    orders = _check_orders(orders, methods)
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}")
    prepared = perturbation.prepare(network, x)
    checked = {name: _check_method(name, how, prepared) for name, how in methods.items()}
    chosen = _targets(prepared, target)
    plan: list[tuple[str, str, int]] = []
    ranks: list[np.ndarray] = []
    for name, how in checked.items():
        if isinstance(how, str):
            repeats = perturbation.repeats
            ranks += [prepared.random_order(repeat) for repeat in range(repeats)]
            plan.append((name, "random", repeats))
            continue
        most = prepared.most_first(_relevance(name, how, prepared, chosen))
        ranks += [most if order == "most" else most[:, ::-1] for order in orders]
        plan += [(name, order, 1) for order in orders]
    total = len(prepared.x) * len(ranks) * len(prepared.filled)
    with progress_bar(progress, total, "input", "perturbing") as bar:
        scores = prepared.scores(ranks, chosen, None if bar is None else bar.update)
    curves: dict[str, dict[str, Curve]] = {name: {} for name in checked}
    start = 0
    for name, order, count in plan:
        mean = scores[:, start : start + count].mean(axis=1)
        start += count
        curves[name][order] = Curve(
            order, mean, prepared.filled, len(prepared.regions), chosen, perturbation
        )
    return Comparison(curves, confidence, perturbation)


def _check_orders(orders: Sequence[str], methods: Mapping[str, Any]) -> tuple[str, ...]:
    if not isinstance(methods, Mapping) or not methods:
        raise TypeError("methods must map names to explainers, relevances or 'random'")
    orders = (orders,) if isinstance(orders, str) else tuple(orders)
    if not orders or len(set(orders)) < len(orders) or not set(orders) <= set(ORDERS):
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {orders}")
    heatmaps = [name for name, how in methods.items() if not _is_random(how)]
    if "random" in orders and (heatmaps or len(orders) > 1):
        raise ValueError("orders are 'most' and 'least'; 'random' is a method")
    return orders


def _is_random(how: Any) -> bool:
    return isinstance(how, str) and how == "random"


def _check_method(name: str, how: Any, prepared: Prepared) -> Any:
    """An explainer, a relevance as an array, or "random"."""
    if isinstance(how, Explanation):
        how = how.relevance
    if _is_random(how) or callable(how):
        return how
    if how is None or isinstance(how, (str, Mapping)):
        raise TypeError(
            f"methods[{name!r}] must be an explainer, relevance (n, *input shape) or 'random', "
            f"got {type(how).__name__} {how!r:.40}"
        )
    relevance = as_batch(how, None, f"relevance of {name!r}")
    if relevance.shape != prepared.x.shape:
        raise ValueError(
            f"relevance of {name!r} must have the shape of x, {prepared.x.shape}, "
            f"got {relevance.shape}"
        )
    return relevance


def _targets(prepared: Prepared, target: Any) -> np.ndarray:
    """The target of each sample, (n,)."""
    score = prepared.options.score
    x, batch = prepared.x, prepared.options.batch
    parts = [prepared.network.forward(x[k : k + batch]) for k in range(0, len(x), batch)]
    output = np.concatenate(parts)
    chosen = choose_targets(output, target, prepared.network.class_names)
    if not chosen.one_each:
        raise ValueError("target must be None, an int or (n,) ints: one output for each sample")
    if score == "probability" and output[0].size == 1:
        raise ValueError("score='probability' needs a network of several outputs")
    f = chosen.of(output)[:, 0]
    if score == "relative" and not np.all(f > 0):
        sample = int(np.argmin(f))
        raise ValueError(
            f"score='relative' divides by f(x), which must be above 0; that of sample {sample} is "
            f"{f[sample]:g}: leave such samples out, or take score='output'"
        )
    return chosen.labels[:, 0]


def _relevance(name: str, how: Any, prepared: Prepared, target: np.ndarray) -> np.ndarray:
    if isinstance(how, np.ndarray):
        return how
    x, batch = prepared.x, prepared.options.batch
    parts = [
        getattr(said, "relevance", said)
        for said in (how(x[k : k + batch], target[k : k + batch]) for k in range(0, len(x), batch))
    ]
    return _check_method(name, np.concatenate(parts), prepared)
