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
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.audit import format_table
from dtdcore.deep_taylor import DeepTaylor
from dtdcore.domains import Box, Reals
from dtdcore.experiments import detection
from dtdcore.experiments.detection import Digits, PairResult, PairSetting, detect_and_explain
from dtdcore.experiments.pair_methods import Method, flat, method_table
from dtdcore.explainers import Explainer
from dtdcore.network import Network
from dtdcore.relevance_models import MinMax, ModelReport, TrainingFree

#: Neurons that a pool of the first layer takes.
POOL = 4
#: Outputs within this distance of the trained answer count as near it, in `PairSetting.output`.
NEAR = 0.1


@dataclass(frozen=True)
class DeepSetting(PairSetting):
    """What the experiment does: `PairSetting`, where `neurons` is a multiple of 4, and more.

    Attributes
    ----------
    weight_scale
        Of the network's training; see `DetectionPoolingNet`.
    model_iterations, model_batch_size, model_learning_rate, conservation
        Of the min-max model's training; see `MinMax`.
    model_pairs : int
        Pairs that are drawn for the training of the model.
    """

    iterations: int = 20_000
    weight_scale: float | str = "auto"
    model_iterations: int = 6_000
    model_batch_size: int = 100
    model_learning_rate: float = 2e-4
    conservation: float = 1.0
    model_pairs: int = 100_000

    @property
    def work(self) -> str:
        """How long the training is, in words."""
        return (
            f"{super().work} for the network, {self.model_iterations:,} of "
            f"{self.model_batch_size} for the model"
        )


@dataclass(frozen=True, eq=False)
class DeepResult(PairResult):
    """A trained network of two layers and its relevance model, and both models' heatmaps.

    Attributes
    ----------
    model : MinMax
    report : ModelReport
        How far the training-free model's assumptions hold for the explained pairs.
    explained_variance : float
        Of R_k by the min-max model, on `PairSetting.test_pairs`.
    model_seconds : float
    """

    setting: DeepSetting
    model: MinMax
    report: ModelReport
    explained_variance: float
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

    def save(self, path: Path) -> Path:
        """Write the network and its relevance model."""
        return self.model.save(path)

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
    train_digits: Digits,
    test_digits: Digits,
    setting: DeepSetting,
    *,
    progress: bool | str = False,
) -> DeepResult:
    """Train on pairs of `train_digits`, explain pairs of `test_digits`.

    Parameters
    ----------
    train_digits, test_digits : (images, labels)
        Single digits (m, h, w) in [0, 1] and their labels; no image should be in both.
    setting
        What to do.
    progress
        Show progress bars for training; "auto" where there is a terminal and tqdm.

    Returns
    -------
    DeepResult
    """
    net, train_seconds = detection.train(
        train_digits,
        setting,
        [(setting.neurons, POOL), (setting.neurons, None)],
        weight_scale=setting.weight_scale,
        progress=progress,
    )
    network = net.network_
    model = MinMax(
        iterations=setting.model_iterations,
        batch_size=setting.model_batch_size,
        learning_rate=setting.model_learning_rate,
        conservation=setting.conservation,
        seed=setting.seed,
        progress=progress,
    )
    x = flat(setting.pairs_to_train(train_digits, setting.model_pairs).images)
    start = time.perf_counter()
    model.fit(network, x)
    model_seconds = time.perf_counter() - start
    found = detect_and_explain(test_digits, setting, network, explainers(network, model))
    x_test = flat(setting.pairs_to_test(test_digits).images)
    return DeepResult(
        **found,
        iterations=net.n_iter_,
        train_seconds=train_seconds,
        model=model,
        report=TrainingFree().report(network, flat(found["pairs"].images), Box(0.0, 1.0)),
        explained_variance=next(iter(model.score(x_test).values())),
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
    content = detection.as_json(result)
    for method, entry in zip(result.methods, content["methods"], strict=True):
        count, entry["mean_abs_f_minus_sum_near_output"] = result.near(method)
    return content | {
        "model_seconds": result.model_seconds,
        "explained_variance": result.explained_variance,
        "training_free": [asdict(layer) for layer in result.report.layers],
        "pairs_near_output": count,
    }
