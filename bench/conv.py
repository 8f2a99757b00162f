# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions against PyTorch: `python bench/conv.py`.

For each shape: the forward pass, the forward pass with z⁺ (a, z), and the relevance pass c with
s = R/z. × is time over the time of PyTorch's forward pass of the same layer in the same run
(medians); "peak" is the share of the machine's peak of multiply-adds, measured in turns with the
rest (contenders/fma_peak.py), reached at best (minima).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness import BENCH, RESULTS, Worker, environment, measure, read_shapes, write_result

PASSES = {"forward": 1, "(a, z)": 2, "c": 1}


def flops_of(case: dict[str, int]) -> int:
    """Operations of one pass: padding counts, as it does in PyTorch's count."""
    result = (case["side"] + 2 * (case["kernel"] // 2) - case["kernel"]) // case["stride"] + 1
    taps = case["channels"] // case["groups"] * case["kernel"] ** 2
    return 2 * case["batch"] * case["outputs"] * result**2 * taps


def name_of(case: dict[str, int]) -> str:
    """channels -> outputs, kernel / stride @ side, batch."""
    kernel = f"{case['kernel']}x{case['kernel']}" + (
        f"/{case['stride']}" if case["stride"] > 1 else ""
    )
    depthwise = " dw" if case["groups"] > 1 else ""
    ends = f"{case['channels']}->{case['outputs']}"
    return f"{ends} {kernel}{depthwise} @{case['side']}, {case['batch']}"


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--shapes", type=Path, default=BENCH / "shapes" / "conv.txt")
    parser.add_argument("--isa", action="append", help="also measure dtdcore at this ISA level")
    parser.add_argument("--no-dtdcore", action="store_true", help="PyTorch only")
    parser.add_argument("--json", type=Path, default=RESULTS / "conv.json")
    options = parser.parse_args()
    workers = {} if options.no_dtdcore else {"dtdcore": Worker("dtdcore_conv", options.threads)}
    workers["torch"] = Worker("torch_conv", options.threads)
    for isa in options.isa or []:
        workers[isa] = Worker("dtdcore_conv", options.threads, {"DTDCORE_ISA": isa})
    try:
        workers["peak"] = Worker("fma_peak", options.threads)
    except RuntimeError as error:
        print(f"no peak: {error}")
    cases = []
    print(
        f"{'layer, batch':28}{'operation':10}{'contender':12}"
        f"{'median ms':>10}{'min ms':>10}{'GFLOP/s':>9}{'peak':>7}{'x':>7}"
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
        for label, operations in result.items():
            for op, times in operations.items():
                speed = flops_of(case) * PASSES[op] / times["min"]
                times["ratio"] = times["median"] / base
                times["share_of_peak"] = None if peak is None else speed / peak
                share = "-" if peak is None else f"{speed / peak:.2f}"
                print(
                    f"{name_of(case):28}{op:10}{label:12}{times['median'] * 1e3:10.3f}"
                    f"{times['min'] * 1e3:10.3f}{speed / 1e9:9.1f}{share:>7}{times['ratio']:7.2f}",
                    flush=True,
                )
    versions = {label: worker.versions for label, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    result = environment(options.threads) | {"versions": versions, "cases": cases}
    write_result(options.json, result)


if __name__ == "__main__":
    main()
