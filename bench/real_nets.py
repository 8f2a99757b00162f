# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explanations of trained networks against ONNX Runtime: `python bench/real_nets.py`.

The forward pass of ONNX Runtime and of dtdcore, and whole explanations (deep Taylor from the box of
the preprocessing, proportional and winner pooling, audit and checks included) on real inputs. × is
time over the time of ONNX Runtime's forward pass in the same run (medians).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from harness import RESULTS, Worker, environment, measure, write_result
from real_inputs import NETS, parse_with_data, read_inputs

CONTENDERS = {"onnxruntime": "onnxruntime_real", "dtdcore": "dtdcore_real"}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, default=RESULTS / "real-nets.json")
    return parse_with_data(parser)


def main() -> None:
    """Measure, print a table and write JSON."""
    options = parse()
    cases, versions = [], {}
    print(
        "| network, batch | ONNX Runtime forward, ms | dtdcore forward, ms | deep Taylor, ms "
        "| winner pooling, ms | deep Taylor × | winner × |\n|" + "---|" * 7
    )
    for net in options.nets:
        for batch in options.batch:
            workers = {}
            with tempfile.TemporaryDirectory() as folder:
                inputs = Path(folder) / "inputs.npy"
                np.save(inputs, read_inputs(net, options.data, batch)[0])
                case = {
                    "net": net,
                    "model": str((options.data / "models" / f"{net}.onnx").resolve()),
                    "inputs": str(inputs),
                }
                try:
                    for label, contender in CONTENDERS.items():
                        workers[label] = Worker(contender, options.threads)
                    seconds = measure(workers, case, options.rounds)
                finally:
                    for worker in workers.values():
                        worker.close()
            versions |= {label: worker.versions for label, worker in workers.items()}
            base = seconds["onnxruntime"]["forward"]["median"]
            for operations in seconds.values():
                for numbers in operations.values():
                    numbers["ratio"] = numbers["median"] / base
            cases.append({"case": {"net": net, "batch": batch}, "seconds": seconds})
            ours = seconds["dtdcore"]
            times = [base, *(ours[op]["median"] for op in ("forward", "proportional", "winner"))]
            cells = [f"{time * 1e3:.2f}" for time in times]
            cells += [f"{ours[op]['ratio']:.2f}" for op in ("proportional", "winner")]
            print(f"| {net}, {batch} | {' | '.join(cells)} |", flush=True)
    head = environment(options.threads) | {"rounds": options.rounds, "versions": versions}
    write_result(options.json, head | {"cases": cases})


if __name__ == "__main__":
    main()
