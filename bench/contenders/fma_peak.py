# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The machine's peak of float32 multiply-adds, by a loop in C that touches no memory.

Compiled when it is needed, by `cc` or what CC names: independent sums in registers, as many as hide
the latency, in vectors of the widest kind that -march=native knows. One thread of Python each.
"""

import ctypes
import os
import subprocess
import tempfile
import threading
from pathlib import Path

SOURCE = """
#if defined __AVX512F__
#define BYTES 64
#define SUMS 24
#elif defined __AVX__
#define BYTES 32
#define SUMS 12
#else
#define BYTES 16
#define SUMS 24
#endif
typedef float vector __attribute__((vector_size(BYTES)));
long flops(void) { return 2l * SUMS * (BYTES / 4); }
float peak(long rounds, float factor, float summand) {
    vector sums[SUMS], a = {0}, b = {0};
    a += factor;
    b += summand;
#pragma GCC unroll 24
    for (int i = 0; i < SUMS; i++) sums[i] = b * (float)i;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < SUMS; i++) sums[i] = sums[i] * a + b;
    }
    float total = 0;
    for (int i = 0; i < SUMS; i++) total += sums[i][0];
    return total;
}
"""
ROUNDS = 4_000_000
THREADS = 1


def build() -> ctypes.CDLL:
    """Compile and load."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "peak.c", Path(folder) / "peak.so"
        source.write_text(SOURCE)
        flags = ["-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC"]
        command = [os.environ.get("CC", "cc"), *flags, str(source), "-o", str(library)]
        subprocess.run(command, check=True)
        core = ctypes.CDLL(str(library))
    core.flops.restype = ctypes.c_long
    core.peak.argtypes = [ctypes.c_long, ctypes.c_float, ctypes.c_float]
    core.peak.restype = ctypes.c_float
    return core


CORE = build()


def versions() -> dict:
    """What runs, and how many operations a call makes."""
    compiler = os.environ.get("CC", "cc")
    words = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True)
    return {"compiler": words.stdout.splitlines()[0], "flops": CORE.flops() * ROUNDS * THREADS}


def set_threads(threads: int) -> None:
    """Use so many threads."""
    global THREADS  # noqa: PLW0603 - read by `peak`
    THREADS = threads


def peak() -> None:
    """The loop on every thread at once; ctypes lets go of Python's lock."""
    work = [threading.Thread(target=CORE.peak, args=(ROUNDS, 0.999, 0.001)) for _ in range(THREADS)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()


def prepare(**case: int) -> dict:
    """The loop, whatever the case."""
    return {"peak": peak}
