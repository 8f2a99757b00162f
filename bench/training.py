# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Iterations per second of training, against the same loop in PyTorch: `python bench/training.py`.

Detection neurons, sum pooling, mini-batches, momentum, b ≤ 0. dtdcore is timed as `fit`, first
weights included; PyTorch without them. The ratio is that of dtdcore to PyTorch's faster loop.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness import BENCH, RESULTS, Worker, environment, measure, read_shapes, write_result


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=Path, default=BENCH / "shapes" / "training.txt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=RESULTS / "training.json")
    options = parser.parse_args()
    workers = {
        "dtdcore": Worker("dtdcore_training", options.threads),
        "torch": Worker("torch_training", options.threads),
    }
    cases = []
    for case in read_shapes(options.shapes):
        seconds = measure(workers, case, options.rounds)
        print("{inputs} -> {neurons} -> 1, batch {batch}".format(**case))
        speeds = {}
        for label, operations in seconds.items():
            for op, times in operations.items():
                speeds[label, op] = case["iterations"] / times["median"]
                best = case["iterations"] / times["min"]
                print(
                    f"  {label:8}{op:18}{speeds[label, op]:10.0f} iterations/s median"
                    f"{best:10.0f} best"
                )
        rivals = [speed for (label, _), speed in speeds.items() if label != "dtdcore"]
        ratio = speeds["dtdcore", "fit"] / max(rivals)
        print(f"  dtdcore is {ratio:.2f} times as fast")
        cases.append({"case": case, "seconds": seconds, "ratio": ratio})
    versions = {label: worker.versions for label, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    write_result(
        options.json, environment(options.threads) | {"versions": versions, "cases": cases}
    )


if __name__ == "__main__":
    main()
