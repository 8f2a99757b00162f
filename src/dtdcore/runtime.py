# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Threads, instruction set level and build: what runs here."""

from __future__ import annotations

import os
import platform
import re

import numpy as np

from dtdcore import _core
from dtdcore._version import __version__
from dtdcore.arrays import check_count

#: More threads than any machine has; a larger number is a slip.
MOST_THREADS = 100_000


def set_num_threads(threads: int) -> None:
    """Use at most `threads` threads in the core (and no more than OpenMP allows).

    Raises
    ------
    TypeError, ValueError
        If `threads` is not a whole number ≥ 1.
    """
    threads = check_count(threads, "threads")
    if threads > MOST_THREADS:
        raise ValueError(f"threads must be at most {MOST_THREADS}, got {threads}")
    _core.set_num_threads(threads)


def get_num_threads() -> int:
    """How many threads the next call into the core may use."""
    return _core.get_num_threads()


def config() -> dict[str, object]:
    """What runs here: versions, instruction set level, levels built, OpenMP, threads."""
    return {
        "dtdcore": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
    } | _core.config()


def show_config() -> None:
    """Print what runs here, one line each."""
    for name, value in config().items():
        print(f"{name + ':':12} {value}")


def read_environment() -> None:
    """Apply DTDCORE_ISA and DTDCORE_NUM_THREADS; called once, at import.

    Raises
    ------
    ImportError
        If a value is unknown, or this machine cannot run the level asked for.
    """
    isa = os.environ.get("DTDCORE_ISA")
    if isa is not None:
        try:
            _core.select_isa(isa)
        except ValueError as error:
            raise _wrong("DTDCORE_ISA", isa, str(error)) from None
    threads = os.environ.get("DTDCORE_NUM_THREADS")
    if threads is not None:
        if not re.fullmatch(r"0*[1-9][0-9]{0,5}", threads) or int(threads) > MOST_THREADS:
            raise _wrong(
                "DTDCORE_NUM_THREADS", threads, f"give a whole number from 1 to {MOST_THREADS}"
            )
        _core.set_num_threads(int(threads))


def _wrong(variable: str, value: str, why: str) -> ImportError:
    """The error for an environment variable. With the package's name it is one line of `-m`."""
    return ImportError(f"{variable}={value!r}: {why}, or unset it", name="dtdcore")
