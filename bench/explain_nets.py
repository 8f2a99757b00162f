# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explanations of whole networks against peers: `python bench/explain_nets.py`.

Deep Taylor decomposition of one target a sample, z^B at the input and z⁺ above, winner pooling,
by every contender from the same weights, inputs and targets; forward passes for comparison. × is
time over the time of PyTorch's eager forward pass in the same run (medians); "off by" is the
relative L2 distance of a heatmap from Zennit's, of a forward pass from PyTorch's.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import zoo
from harness import RESULTS, Worker, environment, time_operations, write_result
from nets_figure import draw

#: Who is compared: modules contenders/<name>_nets.py.
PEERS = ("torch", "onnxruntime", "byhand", "zennit", "captum", "innvestigate")
REFERENCE = {"forward": ("torch", "forward")}  # all other operations: Zennit's explanation
MEBI = 2**20


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="+", default=zoo.FULL, choices=list(zoo.NETS))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument("--isa", nargs="*", default=[], help="dtdcore at these ISA levels, too")
    parser.add_argument(
        "--scaling",
        type=int,
        nargs="*",
        default=[],
        help="dtdcore and PyTorch with so many threads",
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PEER=INTERPRETER",
        help="the Python of a peer that lives in an environment of its own, as iNNvestigate must",
    )
    parser.add_argument("--no-dtdcore", action="store_true", help="peers only")
    parser.add_argument("--json", type=Path, default=RESULTS / "nets.json")
    options = parser.parse_args()
    options.python = dict(item.split("=", 1) for item in options.python)
    return options


class Run:
    """One network at one batch size, all contenders."""

    def __init__(self, options: argparse.Namespace, net: str, batch: int, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.case = {"net": net, "inputs": str(folder / "inputs.npy"), "targets": None}
        self.workers: dict[str, Worker] = {}
        self.operations: dict[str, list[str]] = {}
        self.memory: dict[str, dict] = {}
        self.failed: dict[str, str] = {}
        self.values: dict[tuple[str, str], np.ndarray] = {}
        np.save(self.case["inputs"], zoo.images(net, batch))

    def start(self, label: str, contender: str, threads: int, environment=None) -> None:
        """Start a contender, note its memory and what it computes; or note why it cannot."""
        python = {"python": self.options.python[label]} if label in self.options.python else {}
        worker = None
        try:
            worker = Worker(f"{contender}_nets", threads, environment, **python)
            started = worker.ask({"do": "resident"})
            operations = worker.ask({"do": "prepare", "case": self.case})
            memory = {}
            for op in sorted(operations, key=lambda op: op != "explain"):  # it first
                memory[op] = worker.ask({"do": "memory", "op": op}) | {"started": started}
                path = self.folder / "value.npy"
                worker.ask({"do": "save", "op": op, "path": str(path)})
                self.values[label, op] = np.load(path)
        except RuntimeError as error:
            self.failed[label] = str(error).splitlines()[-1]
            print(f"  {label} failed: {str(error).splitlines()[-1]}", flush=True)
            if worker is not None:
                worker.close()
            return
        self.workers[label], self.operations[label] = worker, operations
        self.memory[label] = memory

    def start_all(self) -> None:
        """PyTorch first: its forward pass chooses the targets."""
        options = self.options
        self.start("torch", "torch", options.threads)
        f = self.values["torch", "forward"]
        self.case["targets"] = str(self.folder / "targets.npy")
        np.save(self.case["targets"], f.argmax(1))
        for peer in options.peers:
            if peer != "torch":
                self.start(peer, peer, options.threads)
        own = [] if options.no_dtdcore else ["dtdcore"]
        for label in own:
            self.start(label, label, options.threads)
            for isa in options.isa:
                self.start(f"{label} {isa}", label, options.threads, {"DTDCORE_ISA": isa})
        for threads in options.scaling:
            for label in [*own, "torch"]:
                self.start(f"{label} on {threads}", label, threads)

    def result(self) -> dict:
        """Times, memory and agreement: {label: {operation: {...}}}."""
        times = time_operations(self.workers, self.operations, self.options.rounds)
        base = times["torch"]["forward"]["median"]
        for label, operations in times.items():
            for op, numbers in operations.items():
                numbers["ratio"] = numbers["median"] / base
                numbers["memory"] = self.memory[label][op]
                reference = self.values.get(REFERENCE.get(op, ("zennit", "explain")))
                if reference is not None:
                    off = np.linalg.norm(self.values[label, op] - reference)
                    numbers["off_by"] = float(off / np.linalg.norm(reference))
        return times

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers.values():
            worker.close()


def show(times: dict) -> None:
    """The table of one case."""
    for label, operations in times.items():
        for op, numbers in operations.items():
            memory = numbers["memory"]
            print(
                f"  {label:24}{op:12}{numbers['median'] * 1e3:11.2f}{numbers['min'] * 1e3:11.2f}"
                f"{numbers['ratio']:8.2f}{(memory['peak'] - memory['before']) / MEBI:10.0f}"
                f"{(memory['peak'] - memory['started']) / MEBI:10.0f}"
                f"{numbers.get('off_by', float('nan')):11.1e}",
                flush=True,
            )


def main() -> None:
    """Measure, print, write JSON and a figure."""
    options = parse()
    cases, versions = [], {}
    print(
        f"  {'contender':24}{'operation':12}{'median ms':>11}{'min ms':>11}{'x':>8}"
        f"{'call MiB':>10}{'all MiB':>10}{'off by':>11}"
    )
    for net in options.nets:
        for batch in options.batch:
            print(f"{net}, batch {batch}", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                run = Run(options, net, batch, Path(folder))
                try:
                    run.start_all()
                    times = run.result()
                finally:
                    run.close()
            versions |= {label: worker.versions for label, worker in run.workers.items()}
            cases.append({"case": {"net": net, "batch": batch}, "seconds": times})
            cases[-1]["failed"] = run.failed
            show(times)
    head = environment(options.threads) | {"rounds": options.rounds, "versions": versions}
    write_result(options.json, head | {"cases": cases})
    draw(options.json)


if __name__ == "__main__":
    main()
