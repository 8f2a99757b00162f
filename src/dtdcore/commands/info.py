# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`dtdcore info`: what runs here."""

from __future__ import annotations

import argparse

from dtdcore.experiments.reports import print_json
from dtdcore.runtime import config, show_config

HELP = "versions, instruction set level, OpenMP and threads"

DESCRIPTION = """Print what runs here: versions, the instruction set level in use and those that
were built, OpenMP, and the number of threads."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    if arguments.json:
        print_json(config())
    else:
        show_config()
