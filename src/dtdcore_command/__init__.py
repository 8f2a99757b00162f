# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The program `dtdcore`, outside of the package, whose import may fail or be interrupted.

`import dtdcore` raises an ImportError for an environment variable that it cannot understand; the
program says it in one line.
"""

import sys


def main() -> int:
    """Run the command line; returns the exit status."""
    try:
        from dtdcore.cli import main as run

        return run()
    except ImportError as error:
        print(f"dtdcore: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dtdcore: interrupted", file=sys.stderr)
        return 130
