# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`dtdcore explain`: heatmaps of a user's network on a user's files."""

from __future__ import annotations

import argparse
from pathlib import Path

from dtdcore.arrays import require
from dtdcore.commands.arguments import note
from dtdcore.commands.model_arguments import add_model_arguments, open_job
from dtdcore.experiments.reports import print_json
from dtdcore.explainers import Explainer
from dtdcore.jobs import AllFailedError, UserError, user_errors
from dtdcore.jobs.explaining import Outcome
from dtdcore.jobs.explaining import run as explain_all
from dtdcore.jobs.failures import failure_lines
from dtdcore.jobs.findings import as_json, counts, hints, table
from dtdcore.jobs.job import Job
from dtdcore.jobs.methods import METHODS, explainer, redistributes
from dtdcore.jobs.output_folder import OutputFolder

HELP = "heatmaps of your own network on your own pictures, arrays or tables"

DESCRIPTION = """Explain what a trained network says of pictures, arrays or tables. Writes for each
input a picture (input, heatmap, overlay, class and score), a contact sheet of all and heatmaps.npz,
and prints a table: class, score, f, the sum of R, what was lost on the way, and whether the heatmap
is conservative and positive."""

EPILOG = """example:
  dtdcore explain googlenet.onnx photos/ --preset caffe --labels synset_words.txt
      --method deep-taylor --method sensitivity --out heatmaps/

exit status: 0 all inputs are explained; 1 some or all could not be, each said with its reason (the
others are explained); 2 wrong arguments, or a model or folder that is missing or wrong; 130
interrupted"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_model_arguments(parser)
    parser.add_argument(
        "--method",
        action="append",
        type=_methods,
        metavar="NAME",
        help="several: repeated, or with commas; pictures show them beside each other, and each "
        f"has its own heatmaps-NAME.npz. {', '.join(METHODS)} (default: deep-taylor)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="an input for which a layer does not pass on all relevance counts as failed",
    )
    result = parser.add_argument_group("results")
    result.add_argument(
        "--out",
        type=Path,
        default=Path("heatmaps"),
        metavar="FOLDER",
        help="folder for the results, made when needed (default: heatmaps)",
    )
    result.add_argument("--force", action="store_true", help="replace results of an earlier run")
    result.add_argument(
        "--no-pictures", action="store_true", help="only heatmaps.npz and the table"
    )
    result.add_argument("--json", action="store_true", help="print JSON in place of the table")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    chosen = arguments.method or [["deep-taylor"]]
    methods = list(dict.fromkeys(name for names in chosen for name in names))
    if arguments.strict and not any(map(redistributes, methods)):
        raise UserError(f"--strict is for deep-taylor and lrp: {methods[0]} has no audit")
    job = open_job(arguments, arguments.out)
    pictures = not arguments.no_pictures
    if pictures:
        require("PIL", "explain")
        if any(source.kind == "table" for source in job.sources):
            require("matplotlib.figure", "explain")
    explainers = {name: _explainer(name, job, arguments.strict) for name in methods}
    folder = OutputFolder(arguments.out, methods)
    folder.prepare(job.sources, pictures, arguments.force)
    progress = False if arguments.json else "auto"
    outcome = explain_all(job, explainers, folder, pictures=pictures, progress=progress)
    return _report(arguments, job, outcome)


def _explainer(name: str, job: Job, strict: bool) -> Explainer:
    options = {"strict": strict, "max_memory": job.max_memory} if redistributes(name) else {}
    with user_errors(f"{name}: "):
        made = explainer(name, job.network, job.domain, **options)
        if options and None not in (job.max_memory, job.network.input_shape):
            needed = made.memory(1, job.target.top or 1)
            if needed > job.max_memory:
                raise UserError(f"argument --max-memory: one input needs {needed:,} bytes")
    return made


def _report(arguments: argparse.Namespace, job: Job, outcome: Outcome) -> int:
    """Print what was found; returns the exit status."""
    if arguments.json:
        content = {
            "model": str(arguments.model),
            "preprocessing": None if job.preprocessing is None else job.preprocessing.formula(),
            "domain": repr(job.domain),
            "columns": list(job.network.feature_names) or None,
            "results": [as_json(found) for found in outcome.findings],
            "failures": [{"name": name, "reason": why} for name, why in outcome.failures],
            "written": [str(path) for path in outcome.written],
        }
        print_json(content)
    elif outcome.findings:
        print(table(outcome.findings))
    for text in counts(outcome.findings):
        note(text)
    for text in hints(outcome.findings):
        note(f"note: {text}")
    for line in failure_lines(outcome.failures):
        note(f"dtdcore: failed: {line}")
    if outcome.written:
        files = "1 file" if len(outcome.written) == 1 else f"{len(outcome.written)} files"
        note(f"wrote {files} to {arguments.out}")
    if not outcome.findings:
        raise AllFailedError(f"nothing could be explained: all of {job.total} failed")
    if outcome.failures:
        explained = len({found.name for found in outcome.findings})
        note(f"dtdcore: {explained} of {job.total} inputs are explained")
    return 1 if outcome.failures else 0


def _methods(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in METHODS:
            raise argparse.ArgumentTypeError(
                f"there is no method {name!r}; there are {', '.join(METHODS)}"
            )
    return names
