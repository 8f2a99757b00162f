# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`dtdcore titanic`: who survived, and what spoke for it."""

from __future__ import annotations

import argparse

from dtdcore.arrays import require
from dtdcore.commands.arguments import add_data, add_output, note, whole
from dtdcore.datasets import titanic
from dtdcore.experiments import reports, titanic_figure
from dtdcore.experiments import titanic as experiment

HELP = "five neurons on the Titanic's passengers: accuracy, and relevance by feature"

DESCRIPTION = """Train five neurons with b <= 0 on random splits of the Titanic's passengers;
print accuracy on training and hold-out rows, one passenger's table of feature, value, relevance
and percent for the z+ and z^B rules, and mean relevances for survivors and others; draw them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--splits",
        type=whole(1),
        default=experiment.Setting.splits,
        metavar="N",
        help="random splits (default: %(default)s)",
    )
    parser.add_argument(
        "--passenger",
        type=whole(1, 891),
        default=None,
        metavar="N",
        help="PassengerId to explain, 1 to 891 (default: the youngest survivor of the hold-out "
        "rows who is predicted to survive)",
    )
    parser.add_argument(
        "--iterations",
        type=whole(1),
        default=experiment.Setting.iterations,
        metavar="N",
        help="training iterations (default: %(default)s)",
    )
    add_output(parser)
    add_data(parser)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    require("matplotlib.figure", "plot")  # before the work, not after it
    table = titanic(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    setting = experiment.Setting(
        splits=arguments.splits, iterations=arguments.iterations, seed=arguments.seed
    )
    result = experiment.run(table, setting, arguments.passenger)
    content = experiment.as_json(result)
    written = [
        reports.write_figure(arguments.out / "titanic.png", titanic_figure.draw(result)),
        reports.write_json(arguments.out / "titanic.json", content),
        result.folds[0].network.save(arguments.out / "titanic-network.npz"),
    ]
    if arguments.json:
        reports.print_json(content)
    else:
        print(experiment.report(result))
    note("wrote " + ", ".join(str(path) for path in written))
