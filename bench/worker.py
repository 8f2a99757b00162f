# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One contender in its own process: reads requests from standard input, answers in JSON."""

import importlib
import json
import sys
import time


def main() -> None:
    """Serve requests until standard input ends: versions, prepare, calibrate, time."""
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
        print(json.dumps(answer), flush=True)


def clock(operation, repeats: int) -> float:
    """Seconds of one call, as the mean of `repeats` calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        operation()
    return (time.perf_counter() - start) / repeats


if __name__ == "__main__":
    main()
