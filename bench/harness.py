# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Times contenders in turns, each in a process of its own.

Two OpenMP runtimes in one process fight for the cores, so every contender lives in its own worker
process (worker.py) with the same number of threads. A round asks each of them once for each
operation, A B C A B C, so that a machine whose speed drifts is as slow for one as for the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parent
RESULTS = BENCH / "results"


#: Seconds before each turn: threads of the last contender's pool may spin for a while.
SETTLE = 0.1


class Worker:
    """A contender in its own process; `ask` sends one request and waits for the answer.

    `python` is the interpreter, for peers that live in an environment of their own. A process that
    cannot start, or ends, raises a RuntimeError whose message ends with its last words.
    """

    def __init__(
        self,
        contender: str,
        threads: int,
        environment: dict[str, str] | None = None,
        python: str = sys.executable,
    ):
        names = (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "DTDCORE_NUM_THREADS",
        )
        self.name = contender
        self.words = tempfile.TemporaryFile("w+")  # noqa: SIM115 - its messages, until `close`
        self.process = subprocess.Popen(
            [python, str(BENCH / "worker.py"), contender, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.words,
            text=True,
            env=os.environ | dict.fromkeys(names, str(threads)) | (environment or {}),
        )
        self.versions = self.ask({"do": "versions"})

    def ask(self, request: dict[str, Any]) -> Any:
        with contextlib.suppress(BrokenPipeError):  # it has ended: said below
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.words.seek(0)
            words = self.words.read().strip().splitlines() or ["(no message)"]
            raise RuntimeError(f"the worker {self.name} ended: " + "\n".join(words[-12:]))
        return json.loads(line)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.words.close()


def measure(
    workers: dict[str, Worker], case: dict[str, Any], rounds: int, target_seconds: float = 0.05
) -> dict[str, dict[str, dict[str, float]]]:
    """Prepare a case, then time it: see `time_operations`."""
    operations = {
        label: worker.ask({"do": "prepare", "case": case}) for label, worker in workers.items()
    }
    return time_operations(workers, operations, rounds, target_seconds)


def time_operations(
    workers: dict[str, Worker],
    operations: dict[str, list[str]],
    rounds: int,
    target_seconds: float = 0.05,
) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds of each operation of each contender: {label: {operation: {min, median, repeats}}}.

    An operation that takes less than `target_seconds` is repeated within a round.
    """
    repeats = {
        (label, op): workers[label].ask({"do": "calibrate", "op": op, "seconds": target_seconds})
        for label, ops in operations.items()
        for op in ops
    }
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in repeats}
    every = list(dict.fromkeys(op for ops in operations.values() for op in ops))
    for _ in range(rounds):
        for op in every:
            for label, worker in workers.items():
                if op in operations[label]:
                    key = (label, op)
                    time.sleep(SETTLE)
                    request = {"do": "time", "op": op, "repeats": repeats[key]}
                    seconds[key].append(worker.ask(request))
    result: dict[str, dict[str, dict[str, float]]] = {}
    for (label, op), values in seconds.items():
        result.setdefault(label, {})[op] = {
            "min": min(values),
            "median": statistics.median(values),
            "repeats": repeats[label, op],
        }
    return result


def read_shapes(path: Path) -> list[dict[str, Any]]:
    """Cases from a text file: a heading with the names, then numbers; # starts a comment."""
    lines = [line.split("#")[0].split() for line in path.read_text().splitlines()]
    heading, *cases = [line for line in lines if line]
    return [dict(zip(heading, map(int, line), strict=True)) for line in cases]


def environment(threads: int) -> dict[str, Any]:
    """The machine, the commit and the time, for the head of a result file."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=BENCH,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = (line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        info = {name.strip(): value.strip() for name, value in fields}
        model = f"{info.get('model name', model)} family {info.get('cpu family', '?')}"
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": threads,
        "commit": commit or "unknown",
        "python": platform.python_version(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.replace(path)
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
