# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Arguments that several sub-commands share."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        span = f"a whole number of at least {low}" if high is None else f"one of {low} to {high}"
        try:
            value = int(text.replace("_", ""))
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {span}, got {text!r}") from None
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"expected {span}, got {text}")
        return value

    return parse


def positive(text: str) -> float:
    """Parse a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def add_output(parser: argparse.ArgumentParser) -> None:
    """--out, --json and --seed."""
    parser.add_argument(
        "--seed", type=whole(0), default=0, help="of everything random (default: 0)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("dtdcore-out"),
        metavar="FOLDER",
        help="folder for the figure and files, made when needed; files of an earlier run are "
        "replaced (default: dtdcore-out)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the numbers as JSON in place of tables"
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """--data."""
    parser.add_argument(
        "--data",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="folder with the data files (default: the environment variable DTDCORE_DATA, else "
        "they are downloaded once and checked)",
    )


def note(text: str) -> None:
    """Tell the user something that is not the answer."""
    print(text, file=sys.stderr, flush=True)
