# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One digit beside a distractor: what the experiments with one layer and with two have in common.

An image shows a digit of 0-3 on one side and a digit of 4-9 on the other; the network is trained to
answer 100 where a chosen digit of 0-3 is present, else 0 (Montavon et al. 2017). Held-out pairs
are then explained by several methods.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.datasets import DigitPairs, digit_pairs
from dtdcore.experiments.pair_methods import Method, explain_pairs, flat, method_json
from dtdcore.explainers import Explainer
from dtdcore.network import Network
from dtdcore.training import DetectionPoolingNet

Digits = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class PairSetting:
    """What an experiment does; the defaults are the paper's, where it gives a number.

    Attributes
    ----------
    data : str
        Name of the data, for titles.
    digit : int
        The digit to be detected, 0-3.
    neurons : int
        Detection neurons of each layer.
    iterations, batch_size, learning_rate
        Of stochastic gradient descent on the mean squared error; the rate "auto" is that of
        `DetectionPoolingNet`.
    output : float
        The answer that is trained where the digit is present.
    train_pairs : int
        Pairs that are drawn for training.
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
    iterations: int = 300_000
    batch_size: int = 20
    learning_rate: float | str = "auto"
    output: float = 100.0
    train_pairs: int = 60_000
    test_pairs: int = 10_000
    explained_pairs: int = 1_000
    seed: int = 0

    @property
    def work(self) -> str:
        """How long the training is, in words."""
        return f"{self.iterations:,} iterations of {self.batch_size} pairs"

    def pairs_to_train(self, digits: Digits, count: int | None = None) -> DigitPairs:
        """Pairs of these digits: `train_pairs`, or so many."""
        return digit_pairs(*digits, self.digit, count or self.train_pairs, self.seed)

    def pairs_to_test(self, digits: Digits) -> DigitPairs:
        """Pairs of these digits, drawn by another seed."""
        return digit_pairs(*digits, self.digit, self.test_pairs, self.seed + 1)


@dataclass(frozen=True, eq=False)
class PairResult:
    """A trained network, the held-out pairs that were explained, and a `Method` for each method.

    Attributes
    ----------
    setting : PairSetting
    network : Network
    pairs : DigitPairs
        Those that were explained.
    methods : tuple of Method
    accuracy : float
        Share of `PairSetting.test_pairs` where f(x) > output / 2 says whether the digit is present.
    mean_present, mean_absent, largest : float
        Mean output on these pairs with and without the digit, and the largest one.
    iterations : int
        How many were done, fewer than asked for after an early stop.
    train_seconds : float
    """

    setting: PairSetting
    network: Network
    pairs: DigitPairs
    methods: tuple[Method, ...]
    accuracy: float
    mean_present: float
    mean_absent: float
    largest: float
    iterations: int
    train_seconds: float

    @property
    def title(self) -> str:
        """What the figure says above all."""
        raise NotImplementedError  # every experiment answers this

    def save(self, path: Path) -> Path:
        """Write the network."""
        return self.network.save(path)


def train(
    digits: Digits, setting: PairSetting, units: list[tuple[int, int | None]], **options: Any
) -> tuple[DetectionPoolingNet, float]:
    """Train a detection-pooling network on pairs of these digits; the seconds that it took.

    `options` are further ones of `DetectionPoolingNet`.
    """
    pairs = setting.pairs_to_train(digits)
    model = DetectionPoolingNet(
        units=units,
        iterations=setting.iterations,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        seed=setting.seed,
        **options,
    )
    start = time.perf_counter()
    model.fit(flat(pairs.images), pairs.outputs(setting.output))
    return model, time.perf_counter() - start


def detect_and_explain(
    digits: Digits, setting: PairSetting, network: Network, explainers: Mapping[str, Explainer]
) -> dict[str, Any]:
    """Pairs of held-out digits: the fields of `PairResult` but for the training's."""
    pairs = setting.pairs_to_test(digits)
    f = network.forward(flat(pairs.images)).reshape(-1).astype(np.float64)
    explained = _first(pairs, setting.explained_pairs)
    return {
        "setting": setting,
        "network": network,
        "pairs": explained,
        "methods": tuple(explain_pairs(name, each, explained) for name, each in explainers.items()),
        "accuracy": float(((f > setting.output / 2) == pairs.present).mean()),
        "mean_present": float(f[pairs.present].mean()),
        "mean_absent": float(f[~pairs.present].mean()),
        "largest": float(f.max()),
    }


def _first(pairs: DigitPairs, count: int) -> DigitPairs:
    """The first pairs of these."""
    return DigitPairs(
        pairs.images[:count],
        pairs.digits[:count],
        pairs.distractors[:count],
        pairs.sides[:count],
        pairs.target,
    )


def as_json(result: PairResult) -> dict[str, Any]:
    """The result as plain numbers and text, for JSON."""
    return {
        "setting": asdict(result.setting),
        "iterations": result.iterations,
        "train_seconds": result.train_seconds,
        "accuracy": result.accuracy,
        "mean_output_present": result.mean_present,
        "mean_output_absent": result.mean_absent,
        "largest_output": result.largest,
        "explained_pairs": len(result.pairs),
        "methods": [method_json(method) for method in result.methods],
    }
