# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`dtdcore mnist`: the paper's experiment in its own size."""

from __future__ import annotations

import argparse

from dtdcore.commands.arguments import add_data, whole
from dtdcore.commands.pairs import add_pair_arguments, run_pairs
from dtdcore.datasets import mnist
from dtdcore.experiments import deep_pairs, pairs

HELP = "the paper's experiment on MNIST: 28x56 pixels, 400 neurons, one layer or two"

DESCRIPTION = """Train the paper's one-layer network (400 detection neurons, one sum) on pairs of
MNIST digits to answer 100 where the chosen digit of 0-3 is present and 0 where it is not; explain
held-out pairs by four methods, print which of them is conservative and positive, and draw the
figure. With --depth 2 the network has two layers, and deep Taylor decomposition with the
training-free relevance model is compared to that with the min-max model, which is trained too."""

_DEFAULTS = {
    "digit": 3,
    "iterations": None,
    "neurons": 400,
    "explained_pairs": 1_000,
}
#: Training iterations of the network for each depth.
_ITERATIONS = {1: 300_000, 2: deep_pairs.DeepSetting.iterations}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    iterations = f"{_ITERATIONS[1]}; {_ITERATIONS[2]} with --depth 2"
    add_pair_arguments(parser, _DEFAULTS, {"iterations": iterations})
    parser.add_argument(
        "--depth",
        type=whole(1, 2),
        default=1,
        help="detection-pooling layers of the network, 1 or 2 (default: 1)",
    )
    parser.add_argument(
        "--model-iterations",
        type=whole(0),
        default=None,
        metavar="N",
        help="training iterations of the min-max relevance model, with --depth 2 "
        f"(default: {deep_pairs.DeepSetting.model_iterations})",
    )
    add_data(parser)
    parser.set_defaults(error=parser.error)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    if arguments.depth == 1 and arguments.model_iterations is not None:
        arguments.error("argument --model-iterations: needs --depth 2")
    if arguments.depth == 2 and arguments.neurons % deep_pairs.POOL:
        arguments.error(
            f"argument --neurons: expected a multiple of {deep_pairs.POOL} with --depth 2, "
            f"got {arguments.neurons}"
        )
    common = {name: getattr(arguments, name) for name in _DEFAULTS} | {
        "data": "MNIST",
        "iterations": arguments.iterations or _ITERATIONS[arguments.depth],
        "learning_rate": arguments.learning_rate or "auto",
        "seed": arguments.seed,
    }
    train, test = mnist(arguments.data, "train"), mnist(arguments.data, "test")
    if arguments.depth == 1:
        run_pairs("mnist", arguments, pairs, train, test, pairs.Setting(**common))
        return
    if arguments.model_iterations is not None:
        common["model_iterations"] = arguments.model_iterations
    setting = deep_pairs.DeepSetting(**common)
    run_pairs("mnist-depth-2", arguments, deep_pairs, train, test, setting)
