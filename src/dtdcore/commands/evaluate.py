# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`dtdcore evaluate`: which method's heatmaps find what a network looks at?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dtdcore.arrays import require
from dtdcore.commands.arguments import note, positive, whole
from dtdcore.commands.model_arguments import add_model_arguments, open_job
from dtdcore.evaluate import Perturbation
from dtdcore.evaluate.fills import FILLS
from dtdcore.evaluate.perturbation import SCORES
from dtdcore.experiments.reports import print_json, write_figure, write_json
from dtdcore.jobs import UserError, user_errors
from dtdcore.jobs.evaluating import RANDOM, evaluate, make_methods
from dtdcore.jobs.failures import failure_lines
from dtdcore.jobs.job import Job
from dtdcore.jobs.methods import METHODS
from dtdcore.jobs.output_folder import make_folder

HELP = "compare heatmaps by region perturbation: which method finds what counts?"

DESCRIPTION = """Replace regions of the inputs, those that a method calls most relevant first, and
watch the output that was explained: the faster it falls, the better. Also least relevant first, and
in random order. Prints a table of the areas over the curves with confidence bands; writes
curves.png, curves.npz and evaluate.json. Results depend on --fill: try several."""

EPILOG = """example:
  dtdcore evaluate googlenet.onnx photos/ --preset caffe --fill mean --steps 40
      --methods deep-taylor,sensitivity,random --out comparison/
  dtdcore evaluate titanic.npz passengers.csv --columns class,sex,age,fare --fill 0

exit status: 0 all inputs are evaluated; 1 some or all could not be read, each said with its reason
(the others are evaluated); 2 wrong arguments, or a model or folder that is missing or wrong; 130
interrupted"""

_FILES = ("curves.png", "curves.npz", "evaluate.json")
_METHODS = "deep-taylor,sensitivity,gradient-times-input,random"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_model_arguments(parser)
    ours = parser.add_argument_group("evaluation")
    ours.add_argument(
        "--methods",
        default=_METHODS,
        metavar="A,B,C",
        help=f"of {', '.join(METHODS)}, {RANDOM} (default: {_METHODS})",
    )
    ours.add_argument(
        "--patch",
        type=_lengths,
        metavar="N[,M]",
        help="side of a region in pixels (default: 8; in a table each column is a region)",
    )
    ours.add_argument(
        "--fill",
        type=_fill,
        default="mean",
        metavar="|".join([*FILLS, "NUMBER"]),
        help="what regions are replaced by; a number is an input's, after preprocessing "
        "(default: mean)",
    )
    ours.add_argument(
        "--orders", default="most,least", help="most, least or both (default: most,least)"
    )
    ours.add_argument(
        "--steps", type=whole(1), metavar="N", help="steps (default: one region each, 50 at most)"
    )
    ours.add_argument(
        "--fraction",
        type=positive,
        default=1.0,
        metavar="X",
        help="share of the regions that is replaced in the end (default: 1)",
    )
    ours.add_argument(
        "--repeats",
        type=whole(1),
        default=5,
        metavar="N",
        help="random orders that are averaged (default: 5)",
    )
    ours.add_argument(
        "--score", choices=SCORES, default=SCORES[0], help="what is watched (default: %(default)s)"
    )
    ours.add_argument("--seed", type=whole(0), default=0, help="of everything random (default: 0)")
    ours.add_argument(
        "--out",
        type=Path,
        default=Path("dtdcore-out"),
        metavar="FOLDER",
        help="folder for figure and numbers, made when needed (default: dtdcore-out)",
    )
    ours.add_argument("--force", action="store_true", help="replace results of an earlier run")
    ours.add_argument("--json", action="store_true", help="print JSON in place of the table")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 1 where some inputs could not be read."""
    require("matplotlib.figure", "plot")  # before the work, not after it
    present = [name for name in _FILES if (arguments.out / name).exists()]
    if present and not arguments.force:
        raise UserError(
            f"{arguments.out} already has {', '.join(present)}: give another --out, or --force to "
            "replace them"
        )
    orders = tuple(part.strip() for part in arguments.orders.split(","))
    if len(set(orders)) < len(orders) or not set(orders) <= {"most", "least"}:
        raise UserError(
            f"argument --orders: expected most, least or both, got {arguments.orders!r}"
        )
    job = open_job(arguments, arguments.out)
    if job.target.top not in (None, 1) or job.target.other is not None:
        raise UserError("argument --target: one class is perturbed, give top1, a number or a name")
    names = [name.strip() for name in arguments.methods.split(",")]
    methods = make_methods(names, job.network, job.domain, job.max_memory)
    perturbation = _perturbation(arguments, job)
    make_folder(arguments.out)
    result = evaluate(job.network, job.batches(), methods, job.target.number, perturbation, orders)
    for line in failure_lines(result.failures):
        note(f"dtdcore: failed: {line}")
    content = {"model": arguments.model.name} | result.as_json()
    title = f"{arguments.model.stem}, {len(result.names)} inputs, fill: {_name(perturbation.fill)}"
    figure, arrays, numbers = (arguments.out / name for name in _FILES)
    written = [
        write_figure(figure, result.comparison.plot(title=title)),
        result.comparison.save(arrays),
        write_json(numbers, content),
    ]
    if arguments.json:
        print_json(content)
    else:
        print(result.comparison.table())
    note("wrote " + ", ".join(str(path) for path in written))
    return 1 if result.failures else 0


def _perturbation(arguments: argparse.Namespace, job: Job) -> Perturbation:
    names = ("patch", "fill", "steps", "fraction", "repeats", "score", "seed")
    with user_errors():
        return Perturbation(
            **{name: getattr(arguments, name) for name in names},
            channels=job.channels,
            domain=job.domain,
            batch=job.batch,
        )


def _lengths(text: str) -> int | tuple[int, ...]:
    lengths = tuple(whole(1)(part) for part in text.split(","))
    return lengths[0] if len(lengths) == 1 else lengths


def _fill(text: str) -> Any:
    if text in FILLS:
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected {', '.join(FILLS)} or a number, got {text!r}"
        ) from None


def _name(fill: Any) -> str:
    return fill if isinstance(fill, str) else f"{fill:g}"
