# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`dtdcore mnist`: the paper's experiment in its own size."""

from __future__ import annotations

import argparse

from dtdcore.commands.arguments import add_data
from dtdcore.commands.pairs import add_pair_arguments, run_pairs
from dtdcore.datasets import mnist
from dtdcore.experiments.pairs import Setting

HELP = "the paper's experiment on MNIST: 28x56 pixels, 400 neurons, 300000 iterations"

DESCRIPTION = """Train the paper's one-layer network (400 detection neurons, one sum) on pairs of
MNIST digits to answer 100 where the chosen digit of 0-3 is present and 0 where it is not; explain
held-out pairs by four methods, print which of them is conservative and positive, and draw the
figure."""

_DEFAULTS = {
    "digit": 3,
    "iterations": 300_000,
    "neurons": 400,
    "explained_pairs": 1_000,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_pair_arguments(parser, _DEFAULTS)
    add_data(parser)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    setting = Setting(
        data="MNIST",
        learning_rate=arguments.learning_rate or "auto",
        seed=arguments.seed,
        **{name: getattr(arguments, name) for name in _DEFAULTS},
    )
    train, test = mnist(arguments.data, "train"), mnist(arguments.data, "test")
    run_pairs("mnist", arguments, train, test, setting)
