# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One sample through a small network, as a service would explain it: `python bench/small.py`.

The network of the Titanic example, 9 -> 5 detection neurons -> sum, float32: deep Taylor with the
z^B-rule, whole call from Python to `Explanation`; beside it PyTorch by hand (weights clamped
before) and PyTorch's forward pass alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness import RESULTS, Worker, environment, measure, write_result


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=Path, default=RESULTS / "small.json")
    options = parser.parse_args()
    workers = {"dtdcore": Worker("dtdcore_small", 1), "torch": Worker("torch_small", 1)}
    case = {"inputs": 9, "neurons": 5}
    result = measure(workers, case, options.rounds)
    for label, operations in result.items():
        for op, times in operations.items():
            print(
                f"{label:10}{op:24}{times['median'] * 1e6:8.1f} us median"
                f"{times['min'] * 1e6:8.1f} us min"
            )
    versions = {label: worker.versions for label, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    write_result(
        options.json, environment(1) | {"versions": versions, "case": case, "seconds": result}
    )


if __name__ == "__main__":
    main()
