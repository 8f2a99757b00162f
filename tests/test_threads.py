# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Threads that share an explainer, the thread count, and life after fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import _core

TIMEOUT = 30  # seconds until a child counts as hanging


def big_network(rng, dtype=np.float32):
    w1 = rng.standard_normal((500, 300)).astype(dtype)
    b1 = -np.abs(rng.standard_normal(300)).astype(dtype) * dtype(0.1)
    w2 = rng.standard_normal((75, 10)).astype(dtype) + dtype(0.2)
    return dtd.Network(
        [dtd.Dense(w1, b1), dtd.ReLU(), dtd.NeuronPool(4, 2), dtd.Dense(w2), dtd.ReLU()]
    )


EXPLAINERS = {
    "DeepTaylor": lambda net: dtd.DeepTaylor(net, dtd.Box(0, 1)),
    "LRP": lambda net: dtd.LRP(net, dtd.AlphaBeta(2, 1)),
    "IntegratedGradients": lambda net: dtd.IntegratedGradients(net, steps=3),
}


@pytest.mark.parametrize("name", EXPLAINERS)
def test_threads_that_share_an_explainer(name, rng):
    """Bitwise what one thread alone computes, for batches of different sizes at the same time."""
    explainer = EXPLAINERS[name](big_network(rng))
    batches = [rng.random((n, 500)).astype(np.float32) for n in (1, 17, 3, 40, 2, 8) * 3]
    expected = [explainer(x) for x in batches]
    fresh = EXPLAINERS[name](explainer.network)  # whose first call is made by many threads at once
    _core.set_num_threads(2)
    start = threading.Barrier(6)
    with ThreadPoolExecutor(6, initializer=start.wait, initargs=(TIMEOUT,)) as pool:
        results = list(pool.map(fresh, batches))
    for result, serial in zip(results, expected, strict=True):
        assert result.relevance.tobytes() == serial.relevance.tobytes()
        assert result.output.tobytes() == serial.output.tobytes()
        assert (result.explained == serial.explained).all()
        for one, other in zip(result.audit or (), serial.audit or (), strict=True):
            assert (one.passed == other.passed).all()
            assert (one.received == other.received).all()


def test_threads_that_share_a_layer(rng):
    layer = dtd.Dense(rng.standard_normal((300, 200)))
    x, r = rng.standard_normal((9, 300)), rng.standard_normal((9, 200))
    rules = [dtd.ZPlus(), dtd.WSquare(), dtd.Flat(), dtd.Gamma(), dtd.AlphaBeta()] * 8
    alone = dtd.Dense(layer.weight)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda rule: layer.redistribute(x, r, rule), rules))
    for rule, result in zip(rules, results, strict=True):
        assert result.tobytes() == alone.redistribute(x, r, rule).tobytes()


def test_the_lock_of_python_is_released_in_kernels(rng):
    """While the core works on a large layer, another thread counts on."""
    w = np.ones((2000, 2000))
    layer, x = dtd.Dense(w), np.ones((400, 2000))
    layer.forward(x[:1])
    _core.set_num_threads(1)
    counted, stop = [], threading.Event()

    def count():
        while not stop.is_set():
            counted.append(time.perf_counter())
            time.sleep(0.0005)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        begin = time.perf_counter()
        layer.forward(x)
        end = time.perf_counter()
    finally:
        stop.set()
        thread.join()
    during = [t for t in counted if begin + 0.001 < t < end - 0.001]
    assert end - begin > 0.01, "the layer is too small for this test"
    assert len(during) >= 3


def test_number_of_threads():
    limit = _core.get_num_threads()
    dtd.set_num_threads(1)
    assert dtd.get_num_threads() == 1
    dtd.set_num_threads(1000)  # not more than OpenMP allows
    assert 1 <= dtd.get_num_threads() <= max(limit, os.cpu_count())
    if not _core.config()["openmp"]:
        assert dtd.get_num_threads() == 1


def run(code, **environment):
    """A fresh interpreter; PYTHONPATH is that of this one."""
    paths = os.pathsep.join(p for p in sys.path if p)
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_number_of_threads_from_the_environment():
    code = "import dtdcore; print(dtdcore.get_num_threads())"
    assert run(code, DTDCORE_NUM_THREADS="1").stdout == "1\n"
    assert run(code, OMP_NUM_THREADS="1").stdout == "1\n"
    for wrong in ("", "0", "-2", "two", "1.5", "4,2", " 1", "²", "9" * 20, "9" * 5000):
        result = run(code, DTDCORE_NUM_THREADS=wrong)
        assert result.returncode != 0, wrong
        assert "ImportError" in result.stderr
        assert "DTDCORE_NUM_THREADS" in result.stderr
        assert "give a whole number from 1 to 100000" in result.stderr


def test_limits_of_threadpoolctl_are_respected():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert dtd.get_num_threads() == 1


def test_import_starts_no_thread_and_brings_no_other_package():
    code = """
import sys, os
before = set(sys.modules)
import dtdcore
tasks = '/proc/self/task'
threads = len(os.listdir(tasks)) if os.path.isdir(tasks) else 1
outside = {name.split('.')[0] for name in set(sys.modules) - before}
optional = {'matplotlib', 'sklearn', 'scipy', 'pooch', 'tqdm', 'torch', 'PIL'}
print(threads, sorted(outside & optional))
"""
    # NumPy's own BLAS may start threads: it is told not to.
    result = run(code, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="2")
    assert result.stdout == "1 []\n", result.stderr


# ------------------------------------------------------------------- fork

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(work):
    """Exit code of a forked child that runs `work`; a child that hangs is killed."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the forked child hangs")


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_works(rng):
    """Also after the parent has used its threads; the child is serial until it says otherwise."""
    explainer = dtd.DeepTaylor(big_network(rng), dtd.Box(0, 1))
    x = rng.random((60, 500)).astype(np.float32)
    _core.set_num_threads(2)
    expected = explainer(x).relevance.tobytes()
    allowed = _core.get_num_threads()

    def serial():
        return _core.get_num_threads() == 1 and explainer(x).relevance.tobytes() == expected

    def own_setting():
        dtd.set_num_threads(2)
        right = dtd.get_num_threads() == allowed
        return right and explainer(x).relevance.tobytes() == expected

    def grandchild():
        return explainer(x).relevance.tobytes() == expected and in_child(serial) == 0

    for work in (serial, own_setting, grandchild):
        assert in_child(work) == 0, work.__name__
    assert _core.get_num_threads() == allowed  # the parent is what it was
    assert explainer(x).relevance.tobytes() == expected


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_may_fork_before_the_first_use(rng):
    code = """
import os, sys
import numpy as np
import dtdcore as dtd
layer = dtd.Dense(np.ones((600, 400), np.float32))
pid = os.fork()
if pid == 0:
    os._exit(0 if layer.forward(np.ones((50, 600), np.float32))[0, 0] == 600 else 1)
assert layer.forward(np.ones((50, 600), np.float32))[0, 0] == 600
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    result = run(code)
    assert result.returncode == 0, result.stderr


@needs_fork
def test_a_child_works_when_others_have_used_openmp():
    """The parent's OpenMP threads are another library's; the core itself has not yet run."""
    code = """
import ctypes, os, sys
import numpy as np
import dtdcore as dtd
try:
    library = ctypes.CDLL('libgomp.so.1')
except OSError:
    sys.exit(0)
region = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda argument: None)
library.GOMP_parallel(region, None, 2, 0)
layer = dtd.Dense(np.ones((600, 400), np.float32))
pid = os.fork()
if pid == 0:
    os._exit(0 if layer.forward(np.ones((50, 600), np.float32))[0, 0] == 600 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    result = run(code)
    assert result.returncode == 0, result.stderr


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_busy_parent_works(rng):
    """Forked while other threads are inside the core."""
    explainer = dtd.DeepTaylor(big_network(rng), dtd.Box(0, 1))
    x = rng.random((200, 500)).astype(np.float32)
    expected = explainer(x[:5]).relevance.tobytes()
    _core.set_num_threads(2)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            explainer(x)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert in_child(lambda: explainer(x[:5]).relevance.tobytes() == expected) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
