# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One digit beside a distractor, found by a network of two layers: both relevance models.

The task of `pairs` with two detection-pooling layers. Deep Taylor decomposition then needs a model
of how the relevance of the first layer's pools depends on its inputs: the training-free one, or the
min-max model, which is trained here, on the pairs on which the network was trained. Their heatmaps
of held-out pairs are compared: are they conservative, are they positive?
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dtdcore.audit import format_table
from dtdcore.datasets import DigitPairs, digit_pairs
from dtdcore.domains import Box, Reals
from dtdcore.experiments.pairs import (
    Digits,
    Method,
    explain_pairs,
    first_pairs,
    flat,
    method_json,
    method_table,
)
from dtdcore.explainers import DeepTaylor, Explainer
from dtdcore.network import Network
from dtdcore.relevance_models import MinMax, ModelReport, TrainingFree
from dtdcore.training import DetectionPoolingNet

#: Neurons that a pool of the first layer takes.
POOL = 4
#: Outputs within this distance of the trained answer count as near it, in `Setting.output`.
NEAR = 0.1


@dataclass(frozen=True)
class DeepSetting:
    """What the experiment does.

    Attributes
    ----------
    data : str
        Name of the data, for titles.
    digit : int
        The digit to be detected, 0-3.
    neurons : int
        Detection neurons of each layer, a multiple of 4; pooled by sums, in the first layer of 4.
    iterations, batch_size, learning_rate, weight_scale
        Of the network's training; see `DetectionPoolingNet`.
    model_iterations, model_batch_size, model_learning_rate, conservation
        Of the min-max model's training; see `MinMax`.
    output : float
        The answer that is trained where the digit is present.
    train_pairs, model_pairs : int
        Pairs that are drawn for the training of the network, and of the model.
    test_pairs : int
        Held-out pairs on which detection is counted.
    explained_pairs : int
        How many of these are explained.
    seed : int
        Of everything random.
    """

    data: str
    digit: int
    neurons: int = 400
    iterations: int = 20_000
    batch_size: int = 20
    learning_rate: float | str = "auto"
    weight_scale: float | str = "auto"
    model_iterations: int = 6_000
    model_batch_size: int = 100
    model_learning_rate: float = 2e-4
    conservation: float = 1.0
    output: float = 100.0
    train_pairs: int = 60_000
    model_pairs: int = 100_000
    test_pairs: int = 10_000
    explained_pairs: int = 1_000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class DeepResult:
    """A trained network and relevance model, the held-out pairs, and a `Method` for each heatmap.

    Attributes
    ----------
    setting : DeepSetting
    network : Network
    model : MinMax
    pairs : DigitPairs
        Those that were explained.
    methods : tuple of Method
    report : ModelReport
        How far the training-free model's assumptions hold for these pairs.
    accuracy : float
        Share of `test_pairs` where f(x) > output / 2 says whether the digit is present.
    mean_present, mean_absent : float
        Mean output on `test_pairs` with and without the digit.
    explained_variance : float
        Of R_k by the min-max model, on `test_pairs`.
    train_seconds, model_seconds : float
    """

    setting: DeepSetting
    network: Network
    model: MinMax
    pairs: DigitPairs
    methods: tuple[Method, ...]
    report: ModelReport
    accuracy: float
    mean_present: float
    mean_absent: float
    explained_variance: float
    train_seconds: float
    model_seconds: float

    @property
    def title(self) -> str:
        """What the figure says above all."""
        setting = self.setting
        return (
            f"{setting.data}: is there a {setting.digit} beside the distractor?   Two layers of "
            f"{setting.neurons} detection neurons\naccuracy {self.accuracy:.3f}; min-max model: "
            f"explained variance {self.explained_variance:.3f}, on {setting.test_pairs:,} "
            "held-out pairs"
        )

    def near(self, method: Method) -> tuple[int, float]:
        """How many pairs have outputs within 10 % of the trained answer, and their ⟨|f - ΣR|⟩."""
        output = self.setting.output
        near = np.abs(method.f - output) <= NEAR * output
        error = np.abs(method.f - method.total)[near]
        return len(error), float(error.mean()) if len(error) else 0.0


def explainers(network: Network, model: MinMax) -> dict[str, Explainer]:
    """Both relevance models in both domains of the pixels, by name."""
    return {
        f"{name}, {rule}": DeepTaylor(network, domain, relevance_model)
        for rule, domain in (("z^B", Box(0.0, 1.0)), ("w²", Reals()))
        for name, relevance_model in (("Training-free", TrainingFree()), ("Min-max", model))
    }


def run(
    train: Digits, test: Digits, setting: DeepSetting, *, progress: bool | str = False
) -> DeepResult:
    """Train on pairs of `train` digits, explain pairs of `test` digits.

    Parameters
    ----------
    train, test : (images, labels)
        Single digits (m, h, w) in [0, 1] and their labels; no image should be in both.
    setting
        What to do.
    progress
        Show progress bars for training; "auto" where there is a terminal and tqdm.

    Returns
    -------
    DeepResult
    """
    shown = digit_pairs(*train, setting.digit, setting.train_pairs, setting.seed)
    net = DetectionPoolingNet(
        units=[(setting.neurons, POOL), (setting.neurons, None)],
        iterations=setting.iterations,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        weight_scale=setting.weight_scale,
        seed=setting.seed,
        progress=progress,
    )
    start = time.perf_counter()
    network = net.fit(flat(shown.images), shown.outputs(setting.output)).network_
    train_seconds = time.perf_counter() - start
    model = MinMax(
        iterations=setting.model_iterations,
        batch_size=setting.model_batch_size,
        learning_rate=setting.model_learning_rate,
        conservation=setting.conservation,
        seed=setting.seed,
        progress=progress,
    )
    if setting.model_pairs != setting.train_pairs:
        shown = digit_pairs(*train, setting.digit, setting.model_pairs, setting.seed)
    start = time.perf_counter()
    model.fit(network, flat(shown.images))
    model_seconds = time.perf_counter() - start
    pairs = digit_pairs(*test, setting.digit, setting.test_pairs, setting.seed + 1)
    x = flat(pairs.images)
    f = network.forward(x).reshape(-1).astype(np.float64)
    explained = first_pairs(pairs, setting.explained_pairs)
    return DeepResult(
        setting=setting,
        network=network,
        model=model,
        pairs=explained,
        methods=tuple(
            explain_pairs(name, each, explained)
            for name, each in explainers(network, model).items()
        ),
        report=TrainingFree().report(network, flat(explained.images), Box(0.0, 1.0)),
        accuracy=float(((f > setting.output / 2) == pairs.present).mean()),
        mean_present=float(f[pairs.present].mean()),
        mean_absent=float(f[~pairs.present].mean()),
        explained_variance=next(iter(model.score(x).values())),
        train_seconds=train_seconds,
        model_seconds=model_seconds,
    )


def table(result: DeepResult) -> str:
    """The result as text: detection, the models, then a row for each method."""
    setting = result.setting
    count, _ = result.near(result.methods[0])
    lines = [("method", "<|f - sum R|>")]
    lines += [(method.name, f"{result.near(method)[1]:.4f}") for method in result.methods]
    return "\n".join(
        [
            f"{setting.data}: find the digit {setting.digit} beside a distractor of 4-9; two "
            f"layers of {setting.neurons} detection neurons,",
            f"sums of {POOL} and of all, {setting.iterations:,} iterations of "
            f"{setting.batch_size} pairs in {result.train_seconds:.1f} s.",
            f"Detection on {setting.test_pairs:,} held-out pairs: accuracy {result.accuracy:.4f}, "
            f"mean output {result.mean_present:.1f} where the digit",
            f"is present (trained: {setting.output:g}), {result.mean_absent:.1f} where not.",
            f"Min-max model: {setting.model_iterations:,} iterations of "
            f"{setting.model_batch_size} pairs in {result.model_seconds:.1f} s; explained variance "
            f"on these pairs {result.explained_variance:.4f}.",
            "",
            "How far the training-free model's assumptions hold:",
            repr(result.report),
            "",
            f"Heatmaps of {len(result.pairs):,} held-out pairs:",
            method_table(result.methods),
            "",
            f"The {count:,} pairs of these with outputs of {setting.output:g} "
            f"± {NEAR * setting.output:g}:",
            format_table(lines, left=1),
        ]
    )


def as_json(result: DeepResult) -> dict[str, Any]:
    """The result as plain numbers and text, for JSON."""
    count, _ = result.near(result.methods[0])
    return {
        "setting": asdict(result.setting),
        "train_seconds": result.train_seconds,
        "model_seconds": result.model_seconds,
        "accuracy": result.accuracy,
        "mean_output_present": result.mean_present,
        "mean_output_absent": result.mean_absent,
        "explained_variance": result.explained_variance,
        "training_free": [asdict(layer) for layer in result.report.layers],
        "explained_pairs": len(result.pairs),
        "pairs_near_output": count,
        "methods": [
            method_json(method) | {"mean_abs_f_minus_sum_near_output": result.near(method)[1]}
            for method in result.methods
        ],
    }
