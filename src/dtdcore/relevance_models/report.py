# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""How far the assumptions of the training-free relevance model hold on given data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arrays import rows
from dtdcore.audit import format_table
from dtdcore.columns import named_domain
from dtdcore.domains import Domain
from dtdcore.network import Network
from dtdcore.relevance_models.units import check_chain
from dtdcore.rules import ZPlus
from dtdcore.targets import single_outputs


@dataclass(frozen=True)
class LayerReport:
    """One detection(-pooling) layer, from its weights to its activations or pools x_k.

    Attributes
    ----------
    name : str
        Of the layer with the weights.
    neurons : int
        Numbers x_k at its end.
    spread : float
        Coefficient of variation of d_k = R_k / x_k over the samples, weighted by R_k; mean over
        the neurons, weighted by their relevance. 0: d_k is constant.
    explained_variance : float
        1 - Σ (R_k - c_k x_k)² / Σ (R_k - ⟨R_k⟩)² with the best constant c_k of each neuron; 1
        where there is no variance and no error. For comparison with `MinMax`.
    positive_biases : float
        Share of the biases that are above 0. The method's networks have none.
    bias_share : float
        Share of the relevance of the layer that those biases would absorb, were they counted in
        z_j: Σ_j R_j b⁺_j / (z⁺_j + b⁺_j) / Σ_j R_j. The z⁺-rule gives it to the inputs instead.
    """

    name: str
    neurons: int
    spread: float
    explained_variance: float
    positive_biases: float
    bias_share: float


@dataclass(frozen=True)
class ModelReport:
    """A `LayerReport` for each layer, from the output to the input; `print(report)` a table."""

    layers: tuple[LayerReport, ...]
    samples: int

    def __getitem__(self, name: str) -> LayerReport:
        """The report of a layer by its name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise KeyError(f"no layer {name!r} in this report; there are {names}")

    def __repr__(self) -> str:
        lines = [("layer", "neurons", "spread of d", "expl. variance", "b > 0", "taken by b > 0")]
        for layer in self.layers:
            lines.append(
                (
                    layer.name,
                    str(layer.neurons),
                    f"{layer.spread:.4f}",
                    f"{layer.explained_variance:.4f}",
                    f"{layer.positive_biases:.1%}",
                    f"{layer.bias_share:.2%}",
                )
            )
        return f"{format_table(lines, left=1)}\n{self.samples:,} samples"


def report(network: Network, x: Any, domain: Domain | None, target: Any) -> ModelReport:
    """See `TrainingFree.report`."""
    check_chain(network, "TrainingFree().report")
    x = network.check_inputs(x, named_domain(network, domain))
    names, network = network.class_names, network.merged()  # as it is explained
    if len(x) == 0:
        raise ValueError("x must hold at least one sample")
    values = [x]
    for layer in network.layers:
        values.append(layer.forward(values[-1]))
    targets = single_outputs(values[-1], target, names)
    R = targets.start(values[-1], lambda f: np.maximum(f, 0))[0][:, 0]
    x_k, R_k, found = np.maximum(values[-1], 0), R, []
    for number in range(len(network.nodes) - 1, -1, -1):
        node, below = network.nodes[number], values[number]
        if not (node.layer.takes_rule and node.layer.parameters):
            R = node.layer.redistribute(below, R, ZPlus() if node.layer.takes_rule else None)
            continue
        passed = node.layer.redistribute(below, R, ZPlus())
        found.append(_layer(node.name, node.layer, below, R, passed, x_k, R_k))
        R, x_k, R_k = passed, below, passed
    return ModelReport(tuple(found), len(x))


def _layer(
    name: str,
    layer: Any,
    below: np.ndarray,
    R_j: np.ndarray,
    passed: np.ndarray,
    x_k: np.ndarray,
    R_k: np.ndarray,
) -> LayerReport:
    bias = getattr(layer, "bias", None)
    positive = 0.0 if bias is None or bias.size == 0 else float(np.mean(bias > 0))
    share = 0.0
    if positive:
        kept = layer.redistribute(below, R_j, ZPlus(bias=True)).sum(dtype=np.float64)
        received = R_j.sum(dtype=np.float64)
        share = float((passed.sum(dtype=np.float64) - kept) / received) if received > 0 else 0.0
    x_k, R_k = rows(x_k).astype(np.float64), rows(R_k).astype(np.float64)
    return LayerReport(
        name, x_k.shape[1], _spread(x_k, R_k), _explained(x_k, R_k), positive, max(share, 0.0)
    )


def _spread(x: np.ndarray, R: np.ndarray) -> float:
    """Coefficient of variation of R_k / x_k over the samples, weighted by R_k."""
    active = (x > 0) & (R > 0)
    d = np.divide(R, x, out=np.zeros_like(R), where=active)
    weight = np.where(active, R, 0.0)
    total = weight.sum(axis=0)
    if not total.any():
        return 0.0
    safe = np.where(total > 0, total, 1.0)
    mean = (weight * d).sum(axis=0) / safe
    variance = (weight * (d - mean) ** 2).sum(axis=0) / safe
    cv = np.divide(np.sqrt(variance), mean, out=np.zeros_like(mean), where=mean > 0)
    return float((cv * total).sum() / total.sum())


def _explained(x: np.ndarray, R: np.ndarray) -> float:
    """Explained variance of R_k by c_k x_k with the least-squares c_k."""
    square = (x * x).sum(axis=0)
    c = np.divide((x * R).sum(axis=0), square, out=np.zeros_like(square), where=square > 0)
    return explained_variance(c * x, R)


def explained_variance(predicted: np.ndarray, R: np.ndarray) -> float:
    """1 - Σ (R_k - R̂_k)² / Σ (R_k - ⟨R_k⟩)², the mean over the samples for each k."""
    rest = float(np.square(R - predicted, dtype=np.float64).sum())
    variance = float(np.square(R - R.mean(axis=0, dtype=np.float64), dtype=np.float64).sum())
    if variance > 0:
        return 1 - rest / variance
    return 1.0 if rest == 0 else -np.inf
