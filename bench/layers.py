# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What `dense.py` and `conv.py` share: single layers, timed beside others, as a table and JSON.

× is time over the time of PyTorch's forward pass of the same layer in the same run (medians);
"peak" is the share of the machine's peak of multiply-adds, measured in turns with the rest
(contenders/fma_peak.py), reached at best (minima); GB/s counts weights, inputs and outputs once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness import BENCH, RESULTS, Worker, environment, measure, read_shapes, write_result

Case = dict[str, int]

#: How often each operation goes through all products of a weight and a number.
PASSES = {"forward": 1, "(a, z)": 2, "c": 1}


def compare(
    kind: str,
    description: str,
    contenders: Sequence[str],
    name_of: Callable[[Case], str],
    flops_of: Callable[[Case], int],
    numbers_of: Callable[[Case], tuple[int, int]],
) -> None:
    """Measure, print a table, write JSON.

    Parameters
    ----------
    kind
        "dense" or "conv": names the shapes, the result and the modules in contenders/.
    contenders
        Beside dtdcore, "torch" among them.
    name_of, flops_of, numbers_of
        Of a case: its name, the operations of one pass, and how many weights and how many inputs
        and outputs there are.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--shapes", type=Path, default=BENCH / "shapes" / f"{kind}.txt")
    parser.add_argument("--isa", action="append", help="also measure dtdcore at this ISA level")
    parser.add_argument("--json", type=Path, default=RESULTS / f"{kind}.json")
    options = parser.parse_args()
    workers = {
        label: Worker(f"{label}_{kind}", options.threads) for label in ("dtdcore", *contenders)
    }
    for isa in options.isa or []:
        workers[isa] = Worker(f"dtdcore_{kind}", options.threads, {"DTDCORE_ISA": isa})
    try:
        workers["peak"] = Worker("fma_peak", options.threads)
    except RuntimeError as error:
        print(f"no peak: {error}")
    cases = []
    print(
        f"{'layer, batch':28}{'operation':10}{'contender':12}{'median ms':>10}{'min ms':>10}"
        f"{'GFLOP/s':>9}{'peak':>7}{'GB/s':>7}{'x':>7}"
    )
    for case in read_shapes(options.shapes):
        result = measure(workers, case, options.rounds)
        peak = None
        if "peak" in result:
            times = result.pop("peak")["peak"]
            flops = workers["peak"].ask({"do": "versions"})["flops"]
            peak = flops / times["min"]
        cases.append({"case": case, "peak_flops": peak, "seconds": result})
        base = result["torch"]["forward"]["median"]
        weights, signals = numbers_of(case)
        for label, operations in result.items():
            for op, times in operations.items():
                speed = flops_of(case) * PASSES[op] / times["min"]
                moved = 4 * (weights + signals * (1 if op == "forward" else 2)) / times["min"]
                times["ratio"] = times["median"] / base
                times["share_of_peak"] = None if peak is None else speed / peak
                share = "-" if peak is None else f"{speed / peak:.2f}"
                print(
                    f"{name_of(case):28}{op:10}{label:12}{times['median'] * 1e3:10.3f}"
                    f"{times['min'] * 1e3:10.3f}{speed / 1e9:9.1f}{share:>7}"
                    f"{moved / 1e9:7.1f}{times['ratio']:7.2f}",
                    flush=True,
                )
    versions: dict[str, Any] = {label: worker.versions for label, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    result = environment(options.threads) | {"versions": versions, "cases": cases}
    write_result(options.json, result)
