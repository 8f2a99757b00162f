# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What `dtdcore demo` and `dtdcore mnist` share: options, the run, and what is written."""

from __future__ import annotations

import argparse
from types import ModuleType
from typing import Any

from dtdcore.arrays import require
from dtdcore.commands.arguments import add_output, note, positive, whole
from dtdcore.experiments import pairs_figure, reports
from dtdcore.experiments.detection import Digits, PairSetting


def add_pair_arguments(
    parser: argparse.ArgumentParser, defaults: dict[str, Any], said: dict[str, str] | None = None
) -> None:
    """Options of the setting; `defaults` gives their defaults by name, `said` what help says."""
    parser.add_argument(
        "--digit",
        type=whole(0, 3),
        default=defaults["digit"],
        help="the digit to be detected, 0 to 3 (default: %(default)s)",
    )
    for name, least, text in (
        ("iterations", 1, "training iterations"),
        ("neurons", 1, "detection neurons"),
        ("explained_pairs", 2, "held-out pairs to explain"),
    ):
        parser.add_argument(
            "--" + name.replace("_pairs", "").replace("_", "-"),
            dest=name,
            type=whole(least),
            default=defaults[name],
            metavar="N",
            help=f"{text} (default: {(said or {}).get(name, '%(default)s')})",
        )
    parser.add_argument(
        "--learning-rate",
        type=positive,
        default=None,
        metavar="X",
        help="learning rate (default: chosen from the size of the network and the inputs)",
    )
    add_output(parser)


def run_pairs(
    name: str,
    arguments: argparse.Namespace,
    experiment: ModuleType,
    train: Digits,
    test: Digits,
    setting: PairSetting,
) -> None:
    """Run `experiments.pairs` or `deep_pairs`; print the table.

    Writes NAME.png, NAME.json, and NAME-network.npz with the network and the relevance model that
    was trained for it.
    """
    require("matplotlib.figure", "plot")  # before the work, not after it
    arguments.out.mkdir(parents=True, exist_ok=True)
    note(f"training: {setting.work}")
    result = experiment.run(train, test, setting, progress="auto")
    content = experiment.as_json(result)
    written = [
        reports.write_figure(arguments.out / f"{name}.png", pairs_figure.draw(result)),
        reports.write_json(arguments.out / f"{name}.json", content),
        result.save(arguments.out / f"{name}-network.npz"),
    ]
    if arguments.json:
        reports.print_json(content)
    else:
        print(experiment.table(result))
    note("wrote " + ", ".join(str(path) for path in written))
