# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One contender in its own process: reads requests from standard input, answers in JSON."""

import importlib
import json
import os
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Serve requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a peer that prints must not disturb the answers
    contender = importlib.import_module(f"contenders.{sys.argv[1]}")
    contender.set_threads(int(sys.argv[2]))
    operations = {}
    for line in sys.stdin:
        request = json.loads(line)
        match request["do"]:
            case "versions":
                answer = contender.versions()
            case "prepare":
                operations = {}  # frees the last case's arrays first
                operations = contender.prepare(**request["case"])
                answer = list(operations)
            case "calibrate":
                seconds = clock(operations[request["op"]], 1)  # the first call warms up
                seconds = clock(operations[request["op"]], 1)
                answer = max(1, min(10000, round(request["seconds"] / max(seconds, 1e-7))))
            case "time":
                answer = clock(operations[request["op"]], request["repeats"])
            case "save":  # what the operation gives, for others to compare with
                np.save(request["path"], np.asarray(operations[request["op"]]()))
                answer = True
            case "memory":
                answer = memory(operations[request["op"]])
            case "resident":
                answer = resident("VmRSS")
        print(json.dumps(answer), file=answers, flush=True)


def resident(field: str) -> int:
    """Bytes in memory now (VmRSS) or at most since `memory` forgot the peak (VmHWM)."""
    status = Path("/proc/self/status")
    if not status.exists():  # no Linux: the peak of the process's life
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(re.search(rf"{field}:\s+(\d+) kB", status.read_text())[1]) * 1024


def memory(operation) -> dict:
    """Bytes before, and at most during, one call: the first after `prepare` says most."""
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5")  # the peak starts from what is resident now
    before = resident("VmRSS")
    operation()
    return {"before": before, "peak": resident("VmHWM")}


def clock(operation, repeats: int) -> float:
    """Seconds of one call, as the mean of `repeats` calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        operation()
    return (time.perf_counter() - start) / repeats


if __name__ == "__main__":
    main()
