# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One digit beside a distractor: train a detection-pooling network, explain it by four methods.

The experiment of Montavon et al. 2017 on MNIST, with the one-layer network: an image shows a digit
of 0-3 on one side and a digit of 4-9 on the other; the network answers 100 where a chosen digit
of 0-3 is present, else 0. Its heatmaps by sensitivity analysis, Taylor expansion at the nearest
root and deep Taylor decomposition are compared: are they conservative, are they positive?
"""

from __future__ import annotations

from dataclasses import dataclass

from dtdcore.deep_taylor import DeepTaylor
from dtdcore.domains import Box, Reals
from dtdcore.experiments.detection import (
    Digits,
    PairResult,
    PairSetting,
    as_json,
    detect_and_explain,
    train,
)
from dtdcore.experiments.pair_methods import method_table
from dtdcore.explainers import Explainer
from dtdcore.gradients import Sensitivity, Taylor
from dtdcore.network import Network

__all__ = ["Result", "Setting", "as_json", "explainers", "run", "table"]


@dataclass(frozen=True)
class Setting(PairSetting):
    """What the experiment does: `PairSetting`, and the momentum of the training."""

    momentum: float = 0.9


@dataclass(frozen=True, eq=False)
class Result(PairResult):
    """A trained network of one layer, and four methods."""

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


def run(
    train_digits: Digits,
    test_digits: Digits,
    setting: Setting,
    *,
    progress: bool | str = False,
) -> Result:
    """Train on pairs of `train_digits`, explain pairs of `test_digits`.

    Parameters
    ----------
    train_digits, test_digits : (images, labels)
        Single digits (m, h, w) in [0, 1] and their labels; no image should be in both.
    setting
        What to do.
    progress
        Show a progress bar for training; "auto" where there is a terminal and tqdm.

    Returns
    -------
    Result
    """
    model, train_seconds = train(
        train_digits,
        setting,
        [(setting.neurons, None)],
        momentum=setting.momentum,
        progress=progress,
    )
    return Result(
        **detect_and_explain(test_digits, setting, model.network_, explainers(model.network_)),
        iterations=model.n_iter_,
        train_seconds=train_seconds,
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
