# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The command `dtdcore`: experiments on real data, and what runs here.

Answers go to the standard output, everything else to the standard error. Exit status: 0 done;
1 some or all inputs could not be read or explained; 2 wrong arguments, or a model, data, a
folder or a package that is missing or wrong, said in one line; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from dtdcore._version import __version__

_COMMANDS = ("explain", "evaluate", "demo", "mnist", "titanic", "info")


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    top = argparse.ArgumentParser(
        prog="dtdcore",
        description="Deep Taylor decomposition: explain what a trained network decided.",
    )
    top.add_argument("--version", action="version", version=f"dtdcore {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        module = import_module(f"dtdcore.commands.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.DESCRIPTION)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        return _main(argv)
    except KeyboardInterrupt:
        print("dtdcore: interrupted", file=sys.stderr)
        return 130


def _main(argv: Sequence[str] | None) -> int:
    # Imports that take a while stand here, where an interruption is one line.
    from dtdcore.downloads import WrongFileError
    from dtdcore.jobs import AllFailedError, UserError

    for stream in (sys.stdout, sys.stderr):  # a name or a Σ that a terminal lacks stops nothing
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    arguments = parser().parse_args(argv)
    try:
        status = arguments.run(arguments) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, ImportError, WrongFileError, UserError) as error:
        print(f"dtdcore: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except AllFailedError as error:
        print(f"dtdcore: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except MemoryError as error:
        text = f"not enough memory: {error}" if str(error) else "not enough memory"
        print(f"dtdcore: error: {text}; a smaller --batch needs less", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
