# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What `dtdcore demo` and `dtdcore mnist` share: options, the run, and what is written."""

from __future__ import annotations

import argparse
from typing import Any

from dtdcore.arrays import require
from dtdcore.commands.arguments import add_output, note, positive, whole
from dtdcore.experiments import deep_pairs, pairs, pairs_figure, reports


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
    train: pairs.Digits,
    test: pairs.Digits,
    setting: pairs.Setting,
) -> None:
    """Run the experiment; write NAME.png, NAME.json and NAME-network.npz; print the table."""
    require("matplotlib.figure", "plot")  # before the work, not after it
    arguments.out.mkdir(parents=True, exist_ok=True)
    note(f"training: {setting.iterations:,} iterations of {setting.batch_size} pairs")
    result = pairs.run(train, test, setting, progress="auto")
    content = pairs.as_json(result)
    written = [
        reports.write_figure(arguments.out / f"{name}.png", pairs_figure.draw(result)),
        reports.write_json(arguments.out / f"{name}.json", content),
        result.network.save(arguments.out / f"{name}-network.npz"),
    ]
    print(reports.to_json(content) if arguments.json else pairs.table(result))
    note("wrote " + ", ".join(str(path) for path in written))


def run_deep_pairs(
    name: str,
    arguments: argparse.Namespace,
    train: pairs.Digits,
    test: pairs.Digits,
    setting: deep_pairs.DeepSetting,
) -> None:
    """The same with two layers; NAME-network.npz holds the network and its relevance model."""
    require("matplotlib.figure", "plot")
    arguments.out.mkdir(parents=True, exist_ok=True)
    note(
        f"training: {setting.iterations:,} iterations of {setting.batch_size} pairs for the "
        f"network, {setting.model_iterations:,} of {setting.model_batch_size} for the model"
    )
    result = deep_pairs.run(train, test, setting, progress="auto")
    content = deep_pairs.as_json(result)
    written = [
        reports.write_figure(arguments.out / f"{name}.png", pairs_figure.draw(result)),
        reports.write_json(arguments.out / f"{name}.json", content),
        result.model.save(arguments.out / f"{name}-network.npz"),
    ]
    print(reports.to_json(content) if arguments.json else deep_pairs.table(result))
    note("wrote " + ", ".join(str(path) for path in written))
