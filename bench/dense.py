# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Dense layers against PyTorch and NumPy: `python bench/dense.py`.

For each shape: the forward pass, the forward pass with z⁺ (a, z), and the relevance pass c with
s = R/z. × is time over the time of PyTorch's forward pass of the same layer in the same run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness import BENCH, RESULTS, Worker, environment, measure, read_shapes, write_result

PASSES = {"forward": 1, "(a, z)": 2, "c": 1}


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--shapes", type=Path, default=BENCH / "shapes" / "dense.txt")
    parser.add_argument("--isa", action="append", help="also measure dtdcore at this ISA level")
    parser.add_argument("--json", type=Path, default=RESULTS / "dense.json")
    options = parser.parse_args()
    workers = {
        "dtdcore": Worker("dtdcore_dense", options.threads),
        "torch": Worker("torch_dense", options.threads),
        "numpy": Worker("numpy_dense", options.threads),
    }
    for isa in options.isa or []:
        workers[isa] = Worker("dtdcore_dense", options.threads, {"DTDCORE_ISA": isa})
    cases = []
    print(
        f"{'inputs x outputs, batch':26}{'operation':10}{'contender':12}"
        f"{'median ms':>10}{'min ms':>10}{'GFLOP/s':>9}{'GB/s':>7}{'x':>7}"
    )
    for case in read_shapes(options.shapes):
        result = measure(workers, case, options.rounds)
        cases.append({"case": case, "seconds": result})
        base = result["torch"]["forward"]["median"]
        for label, operations in result.items():
            for op, times in operations.items():
                k, m, n = case["inputs"], case["outputs"], case["batch"]
                flops = 2 * k * m * n * PASSES[op]
                moved = 4 * (k * m + n * (k + m) * (1 if op == "forward" else 2))
                times["ratio"] = times["median"] / base
                print(
                    f"{f'{k} x {m}, {n}':26}{op:10}{label:12}{times['median'] * 1e3:10.3f}"
                    f"{times['min'] * 1e3:10.3f}{flops / times['min'] / 1e9:9.1f}"
                    f"{moved / times['min'] / 1e9:7.1f}{times['ratio']:7.2f}",
                    flush=True,
                )
    versions = {label: worker.versions for label, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    result = environment(options.threads) | {"versions": versions, "cases": cases}
    write_result(options.json, result)


if __name__ == "__main__":
    main()
