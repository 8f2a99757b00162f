# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One digit beside a distractor: train a detection-pooling network, explain it by four methods.

The experiment of Montavon et al. 2017 on MNIST, with the one-layer network: an image shows a digit
of 0-3 on one side and a digit of 4-9 on the other; the network answers 100 where a chosen digit
of 0-3 is present, else 0. Its heatmaps by sensitivity analysis, Taylor expansion at the nearest
root and deep Taylor decomposition are compared: are they conservative, are they positive?
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dtdcore.audit import format_table
from dtdcore.datasets import DigitPairs, digit_pairs
from dtdcore.domains import Box, Reals
from dtdcore.explainers import DeepTaylor, Explainer
from dtdcore.explanation import Explanation
from dtdcore.gradients import Sensitivity, Taylor
from dtdcore.network import Network
from dtdcore.training import DetectionPoolingNet

Digits = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Setting:
    """What the experiment does; the defaults are the paper's, where it gives a number.

    Attributes
    ----------
    data : str
        Name of the data, for titles.
    digit : int
        The digit to be detected, 0-3.
    neurons : int
        Detection neurons, pooled by one sum.
    iterations, batch_size, learning_rate, momentum
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
    momentum: float = 0.9
    output: float = 100.0
    train_pairs: int = 60_000
    test_pairs: int = 10_000
    explained_pairs: int = 1_000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Method:
    """One method's heatmaps of the held-out pairs, and what Definitions 1-3 say of them.

    Attributes
    ----------
    name : str
    heatmaps : ndarray, shape (n, h, 2 w), float32
        R_p.
    f, total, negative : ndarray, shape (n,), float64
        f(x), Σ_p R_p and Σ_p min(0, R_p).
    conservative, positive, consistent : ndarray, shape (n,), bool
    on_digit : float
        Share of Σ_p max(0, R_p) that lies on the half of the digit of 0-3, over all pairs that
        show the digit to be detected. An even heatmap has 0.5, and so has one without relevance.
    seconds : float
        How long explaining took.
    """

    name: str
    heatmaps: np.ndarray
    f: np.ndarray
    total: np.ndarray
    negative: np.ndarray
    conservative: np.ndarray
    positive: np.ndarray
    consistent: np.ndarray
    on_digit: float
    seconds: float

    @property
    def error(self) -> float:
        """⟨|f(x) - Σ_p R_p|⟩ over the pairs."""
        return float(np.abs(self.f - self.total).mean())

    @property
    def mean_negative(self) -> float:
        """⟨Σ_p min(0, R_p)⟩ over the pairs."""
        return float(self.negative.mean())


@dataclass(frozen=True, eq=False)
class Result:
    """A trained network, the held-out pairs that were explained, and a `Method` for each method.

    `accuracy` is the share of `Setting.test_pairs` where f(x) > output / 2 says whether the digit
    is present; `iterations` is how many were done, fewer than asked for after an early stop.
    """

    setting: Setting
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
        setting = self.setting
        return (
            f"{setting.data}: is there a {setting.digit} beside the distractor?   "
            f"{setting.neurons} detection neurons, {self.iterations:,} iterations, "
            f"accuracy {self.accuracy:.3f} on {setting.test_pairs:,} held-out pairs"
        )


def explainers(network: Network) -> dict[str, Explainer]:
    """The four methods of the figure, by name; pixels lie in ℝ^d or, for z^B, in [0, 1]^d."""
    return {
        "Sensitivity": Sensitivity(network),
        "Taylor, nearest root": Taylor(network, root="nearest", domain=Reals()),
        "Deep Taylor, w²": DeepTaylor(network, domain=Reals()),
        "Deep Taylor, z^B": DeepTaylor(network, domain=Box(0.0, 1.0)),
    }


def run(train: Digits, test: Digits, setting: Setting, *, progress: bool | str = False) -> Result:
    """Train on pairs of `train` digits, explain pairs of `test` digits.

    Parameters
    ----------
    train, test : (images, labels)
        Single digits (m, h, w) in [0, 1] and their labels; no image should be in both.
    setting
        What to do.
    progress
        Show a progress bar for training; "auto" where there is a terminal and tqdm.

    Returns
    -------
    Result
    """
    model, train_seconds = _train(train, setting, progress)
    network = model.network_
    pairs = digit_pairs(*test, setting.digit, setting.test_pairs, setting.seed + 1)
    f = network.forward(flat(pairs.images)).reshape(-1).astype(np.float64)
    explained = first_pairs(pairs, setting.explained_pairs)
    methods = tuple(
        explain_pairs(name, each, explained) for name, each in explainers(network).items()
    )
    return Result(
        setting=setting,
        network=network,
        pairs=explained,
        methods=methods,
        accuracy=float(((f > setting.output / 2) == pairs.present).mean()),
        mean_present=float(f[pairs.present].mean()),
        mean_absent=float(f[~pairs.present].mean()),
        largest=float(f.max()),
        iterations=model.n_iter_,
        train_seconds=train_seconds,
    )


def _train(
    train: Digits, setting: Setting, progress: bool | str
) -> tuple[DetectionPoolingNet, float]:
    pairs = digit_pairs(*train, setting.digit, setting.train_pairs, setting.seed)
    model = DetectionPoolingNet(
        units=[(setting.neurons, None)],
        iterations=setting.iterations,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        momentum=setting.momentum,
        seed=setting.seed,
        progress=progress,
    )
    start = time.perf_counter()
    model.fit(flat(pairs.images), pairs.outputs(setting.output))
    return model, time.perf_counter() - start


def explain_pairs(name: str, explainer: Explainer, pairs: DigitPairs) -> Method:
    """One method's heatmaps of these pairs, and what Definitions 1-3 say of them."""
    start = time.perf_counter()
    explanation: Explanation = explainer(flat(pairs.images))
    seconds = time.perf_counter() - start
    heatmaps = explanation.relevance.reshape(pairs.images.shape)
    positive = np.maximum(heatmaps, 0.0)
    everywhere = positive[pairs.present].sum(dtype=np.float64)
    on_digit = pairs.digit_half(positive)[pairs.present].sum(dtype=np.float64)
    return Method(
        name=name,
        heatmaps=heatmaps,
        f=explanation.explained.astype(np.float64),
        total=explanation.total,
        negative=np.minimum(heatmaps, 0.0).sum(axis=(1, 2), dtype=np.float64),
        conservative=explanation.is_conservative(),
        positive=explanation.is_positive(),
        consistent=explanation.is_consistent(),
        on_digit=float(on_digit / everywhere) if everywhere > 0 else 0.5,
        seconds=seconds,
    )


def flat(images: np.ndarray) -> np.ndarray:
    """Images as rows of pixels."""
    return images.reshape(len(images), -1)


def first_pairs(pairs: DigitPairs, count: int) -> DigitPairs:
    """The first pairs of these."""
    return DigitPairs(
        pairs.images[:count],
        pairs.digits[:count],
        pairs.distractors[:count],
        pairs.sides[:count],
        pairs.target,
    )


def table(result: Result) -> str:
    """The result as text: detection, then a row for each method."""
    setting, count = result.setting, len(result.pairs)
    return "\n".join(
        [
            f"{setting.data}: find the digit {setting.digit} beside a distractor of 4-9; "
            f"{setting.neurons} detection neurons, one sum,",
            f"{result.iterations:,} iterations of {setting.batch_size} pairs in "
            f"{result.train_seconds:.1f} s.",
            f"Detection on {setting.test_pairs:,} held-out pairs: accuracy {result.accuracy:.4f}.",
            f"Mean output {result.mean_present:.1f} where the digit is present (trained: "
            f"{setting.output:g}), {result.mean_absent:.1f} where not; "
            f"at most {result.largest:.1f}.",
            "",
            f"Heatmaps of {count:,} held-out pairs:",
            method_table(result.methods),
        ]
    )


def method_table(methods: Sequence[Method]) -> str:
    """A row for each method: what Definitions 1-3 say of its heatmaps, on average."""
    lines: list[tuple[str, ...]] = [
        (
            "method",
            "<|f - sum R|>",
            "<sum min(0,R)>",
            "conservative",
            "positive",
            "consistent",
            "on the digit",
            "ms/image",
        )
    ]
    for method in methods:
        lines.append(
            (
                method.name,
                f"{method.error:.4f}",
                f"{method.mean_negative:.4f}",
                *(
                    f"{flags.mean():.1%}"
                    for flags in (method.conservative, method.positive, method.consistent)
                ),
                f"{method.on_digit:.1%}",
                f"{1e3 * method.seconds / max(len(method.f), 1):.3f}",
            )
        )
    return format_table(lines, left=1)


def as_json(result: Result) -> dict[str, Any]:
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


def method_json(method: Method) -> dict[str, Any]:
    """A method's averages as plain numbers."""
    return {
        "name": method.name,
        "mean_abs_f_minus_sum": method.error,
        "mean_sum_negative": method.mean_negative,
        "conservative": float(method.conservative.mean()),
        "positive": float(method.positive.mean()),
        "consistent": float(method.consistent.mean()),
        "share_on_digit": method.on_digit,
        "seconds": method.seconds,
    }
