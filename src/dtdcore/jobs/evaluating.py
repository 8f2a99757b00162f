# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Region perturbation of a user's files: inputs read, methods by name, what could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.class_labels import output_numbers
from dtdcore.domains import Domain
from dtdcore.evaluate import Comparison, Perturbation, compare
from dtdcore.jobs import AllFailedError, UserError, user_errors
from dtdcore.jobs.batches import Batches
from dtdcore.jobs.failures import failure_lines
from dtdcore.jobs.methods import METHODS, explainer, redistributes
from dtdcore.network import Network

#: The method that needs no heatmap.
RANDOM = "random"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A comparison, the names of its samples, and name and reason of what could not be read."""

    comparison: Comparison
    names: list[str]
    failures: list[tuple[str, str]]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain numbers and text."""
        content = self.comparison.as_json()
        curve = next(iter(next(iter(self.comparison.curves.values())).values()))
        return content | {
            "inputs": [
                {"name": name, "target": int(target), "score": float(score)}
                for name, target, score in zip(
                    self.names, curve.target, curve.scores[:, 0], strict=True
                )
            ],
            "failures": [{"name": name, "reason": reason} for name, reason in self.failures],
        }


def make_methods(
    names: Sequence[str], network: Network, domain: Domain, max_memory: int | None = None
) -> dict[str, Any]:
    """What `compare` takes, by name: explainers, and "random".

    Raises
    ------
    UserError
        If a name is unknown or comes twice.
    """
    known = (*METHODS, RANDOM)
    methods: dict[str, Any] = {}
    for name in names:
        if name not in known or name in methods:
            wrong = "comes twice" if name in methods else "is unknown"
            raise UserError(f"the method {name!r} {wrong}; there are {', '.join(known)}")
        if name == RANDOM:
            methods[name] = RANDOM
            continue
        options = {"max_memory": max_memory} if redistributes(name) else {}
        with user_errors():
            methods[name] = explainer(name, network, domain, **options)
    return methods


def evaluate(
    network: Network,
    inputs: Batches,
    methods: dict[str, Any],
    target: int | None,
    perturbation: Perturbation,
    orders: Sequence[str],
    progress: bool | str = "auto",
) -> Evaluation:
    """Read all inputs and perturb them by every method.

    Raises
    ------
    AllFailedError
        If no input can be read.
    UserError
        If an option does not fit them.
    """
    names: list[str] = []
    parts = []
    for part in inputs:
        names += part.names
        parts.append(part.x)
    if not parts:
        raise AllFailedError("no input is left: " + "; ".join(failure_lines(inputs.failures)))
    with user_errors():
        options = {name: getattr(perturbation, name) for name in perturbation.__dataclass_fields__}
        comparison = compare(
            network,
            np.concatenate(parts),
            methods,
            None if target is None else output_numbers(target),
            orders=orders,
            progress=progress,
            **options,
        )
    return Evaluation(comparison, names, inputs.failures)
