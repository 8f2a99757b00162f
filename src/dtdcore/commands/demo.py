# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`dtdcore demo`: the paper's experiment in small, without a network."""

from __future__ import annotations

import argparse

import numpy as np

from dtdcore.arrays import require
from dtdcore.commands.pairs import add_pair_arguments, run_pairs
from dtdcore.datasets import digits
from dtdcore.experiments import pairs

HELP = "train on scikit-learn's digits, explain by four methods, draw the figure; no download"

DESCRIPTION = """Train a detection-pooling network on pairs of scikit-learn's 8x8 digits, explain
held-out pairs by sensitivity analysis, Taylor expansion at the nearest root and deep Taylor
decomposition (w2 and z^B), print which of them is conservative and positive, and draw the
figure. Takes less than a minute and needs no network."""

_DEFAULTS = {
    "digit": 3,
    "iterations": 20_000,
    "neurons": 400,
    "explained_pairs": 500,
}
_HELD_OUT = 0.33  # of the 1797 digits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_pair_arguments(parser, _DEFAULTS)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    images, labels = digits()
    order = np.random.default_rng(arguments.seed).permutation(len(images))
    test, train = np.split(order, [round(_HELD_OUT * len(order))])
    setting = pairs.Setting(
        data="8x8 digits",
        train_pairs=20_000,
        test_pairs=2_000,
        learning_rate=arguments.learning_rate or "auto",
        seed=arguments.seed,
        **{name: getattr(arguments, name) for name in _DEFAULTS},
    )
    parts = [(images[rows], labels[rows]) for rows in (train, test)]
    # So small a network gains nothing from a second thread, and on a busy machine threads that
    # wait for each other take many times longer. Results are the same to the bit.
    with require("threadpoolctl", "demo").threadpool_limits(limits=1):  # comes with scikit-learn
        run_pairs("demo", arguments, pairs, *parts, setting)
