# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Memory of a run: the arena, its prediction against the measured peak, batches in pieces."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore.arena import SMALL, Arena, empty, independent, using

LARGE = (SMALL, 4)  # a shape whose array of float32 is no small one


def image_network(rng, dtype=np.float32, side=24, channels=20):
    def conv(inputs, outputs, stride=1):
        weight = rng.standard_normal((outputs, inputs, 3, 3)) * np.sqrt(2 / (9 * inputs))
        return dtd.Conv(weight.astype(dtype), None, stride=stride, padding=1)

    last = (side // 2) ** 2 * channels
    dense = dtd.Dense(rng.standard_normal((last, 5)).astype(dtype))
    return dtd.Network(
        [
            ("first", conv(3, channels), "input"),
            ("relu", dtd.ReLU(), "first"),
            ("left", conv(channels, channels, 2), "relu"),
            ("left_relu", dtd.ReLU(), "left"),
            ("right", conv(channels, channels, 2), "relu"),
            ("right_relu", dtd.ReLU(), "right"),
            ("sum", dtd.Add(), ["left_relu", "right_relu"]),
            ("flat", dtd.Flatten(), "sum"),
            ("out", dense, "flat"),
        ],
        input_shape=(3, side, side),
    )


# ---------------------------------------------------------------------------- arena


def run_of(arena, sizes):
    arena.start()
    with using(arena):
        return [empty((size,), np.uint8) for size in sizes]


def test_an_arena_learns_what_a_run_needs():
    arena, sizes = Arena(), [3 * SMALL, SMALL, 2 * SMALL]
    first = run_of(arena, sizes)
    assert arena.peak == sum(sizes)
    del first
    second = run_of(arena, sizes)
    addresses = sorted(array.ctypes.data for array in second)
    assert addresses[-1] - addresses[0] < sum(sizes)  # side by side, in one block
    assert all(address % 64 == 0 for address in addresses)


def test_arrays_of_an_arena_never_overlap_and_free_when_they_die():
    rng = np.random.default_rng(0)
    arena = Arena()
    for _ in range(3):
        arena.start()
        live = {}
        with using(arena):
            for number in range(300):
                if live and rng.random() < 0.5:
                    del live[rng.choice(list(live))]
                array = empty((int(rng.integers(SMALL, 5 * SMALL)),), np.uint8)
                array[:] = number % 251
                live[number] = array[1:]  # a view keeps the memory
                for other, view in live.items():
                    assert view[0] == view[-1] == other % 251
        del live, array, view
    arena.start()
    assert arena._live == 0
    assert arena._free == [(0, arena._size())]


def test_small_arrays_and_other_threads_take_no_memory_of_the_arena():
    arena = Arena()
    arena.start()
    found = []
    with using(arena):
        small = empty((SMALL // 4 - 1,), np.float32)
        thread = threading.Thread(target=lambda: found.append(empty(LARGE, np.float32)))
        thread.start()
        thread.join()
        kept = arena.peak
        large = empty(LARGE, np.float32)
    assert small.base is None and found[0].base is None and kept == 0
    assert arena.peak == large.nbytes


def test_results_that_leave_a_run_are_independent_of_it():
    arena = Arena()
    arena.start()
    with using(arena):
        array = empty(LARGE, np.float32)
    array[:] = 1
    copy = independent(array[::2])
    array[:] = 2
    assert np.all(copy == 1)
    own = np.ones(3)
    assert independent(own) is own


def test_a_second_run_changes_no_earlier_result():
    rng = np.random.default_rng(1)
    network = image_network(rng, side=64)
    explain = dtd.DeepTaylor(network, dtd.Box(0, 1))
    x = rng.random((3, 3, 64, 64)).astype(np.float32)
    first = explain(x)
    kept = first.relevance.copy(), first.output.copy(), network.gradient(x, 1)
    gradient = kept[2].copy()
    explain(x[::-1])
    network.gradient(x[::-1], 2)
    assert first.relevance.tobytes() == kept[0].tobytes()
    assert first.output.tobytes() == kept[1].tobytes()
    assert gradient.tobytes() == kept[2].tobytes()


# ---------------------------------------------------------------------------- batches in pieces


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("target", [None, 2, [[0, 1], [3, 4]] * 4 + [[2, 2]]])
def test_pieces_give_the_bits_of_the_whole(dtype, target):
    rng = np.random.default_rng(2)
    network = image_network(rng, dtype, side=32)
    x = rng.random((9, 3, 32, 32)).astype(dtype)
    whole = dtd.DeepTaylor(network, dtd.Box(0, 1))
    k = np.shape(target)[1] if np.ndim(target) == 2 else 1
    pieces = dtd.DeepTaylor(network, dtd.Box(0, 1), max_memory=4 * whole.memory(1, k))
    one, other = whole(x, target), pieces(x, target)
    for name in ("relevance", "output", "target", "explained"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    for a, b in zip(one.audit, other.audit, strict=True):
        assert a.received.tobytes() == b.received.tobytes()
        assert a.passed.tobytes() == b.passed.tobytes()
    plan = next(iter(pieces._plans.values()))
    assert all(arena.peak <= pieces.max_memory for arena in plan.arenas)


def test_memory_that_is_too_small_for_one_sample_is_an_error():
    network = image_network(np.random.default_rng(3), side=64)
    explain = dtd.DeepTaylor(network, dtd.Box(0, 1), max_memory=1e5)
    with pytest.raises(ValueError, match="max_memory=100,000 bytes is less than one sample needs"):
        explain(np.zeros((2, 3, 64, 64), np.float32))


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError)])
def test_bad_bounds_of_memory_are_errors(value, error):
    with pytest.raises(error, match="max_memory"):
        dtd.LRP(image_network(np.random.default_rng(4)), max_memory=value)


def test_the_prediction_needs_shapes():
    explain = dtd.LRP(dtd.Network([dtd.Conv(np.ones((1, 1, 3, 3))), dtd.Flatten(), dtd.ReLU()]))
    with pytest.raises(ValueError, match="input shape"):
        explain.memory(3)


PEAK = """
import json, sys
import numpy as np
sys.path.insert(0, {tests!r})
from test_memory import image_network
import dtdcore as dtd

def resident(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024

rng = np.random.default_rng(0)
explain = dtd.DeepTaylor(image_network(rng, side=160, channels=32), dtd.Box(0, 1), **{options})
x = rng.random(({n}, 3, 160, 160)).astype(np.float32)
predicted = explain.memory(1)
before = resident("VmRSS")
explanation = explain(x, 0)
held = explanation.relevance.nbytes + explanation.inputs.nbytes
print(json.dumps([predicted, resident("VmHWM") - before - held]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
@pytest.mark.parametrize(("n", "pieces"), [(8, 8), (24, 24), (24, 6)])
def test_the_prediction_is_the_measured_peak(n, pieces):
    options = "{}" if n == pieces else f"{{'max_memory': {pieces} * 21.0e6}}"
    source = textwrap.dedent(PEAK).format(tests=str(Path(__file__).parent), n=n, options=options)
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, peak = json.loads(done.stdout)
    assert 15e6 < one < 21e6
    most = 21e6 * pieces if n != pieces else one * pieces
    assert 0.75 * min(most, one * pieces) <= peak <= 1.15 * most + 16e6


# ---------------------------------------------------------------------------- garbage


def test_arrays_that_the_garbage_collector_frees_stop_no_run():
    # The collector may come at any allocation, so in the middle of the arena's own work too.
    script = """
        import gc
        import numpy as np
        from dtdcore.arena import SMALL, Arena, empty, using

        class Ring:
            def __init__(self, array):
                self.array, self.ring = array, self

        arena = Arena()
        gc.set_threshold(1)
        for _ in range(3):
            arena.start()
            with using(arena):
                for number in range(2000):
                    ring = Ring(empty((SMALL + 64 * (number % 7),), np.uint8))
                    kept = [empty((SMALL,), np.uint8) for _ in range(number % 3)]
        print("done")
    """
    call = [sys.executable, "-c", textwrap.dedent(script)]
    run = subprocess.run(call, check=False, capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "done", run.stderr


def test_arrays_that_die_while_the_arena_works_are_free_afterwards():
    arena = Arena()
    held = run_of(arena, [2 * SMALL] * 3)
    del held
    held = run_of(arena, [2 * SMALL] * 3)
    assert arena.peak == 6 * SMALL
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    again = run_of(arena, [6 * SMALL])
    assert arena.peak == again[0].nbytes
    begin = arena._address
    assert begin <= again[0].ctypes.data < begin + 6 * SMALL


@pytest.mark.parametrize("rule", [dtd.AlphaBeta(2, 1), dtd.AlphaBeta(2, 1, conserve=True),
                                  dtd.GeneralizedGamma(0.5)], ids=str)  # fmt: skip
def test_rules_with_two_terms_are_predicted_too(rule):
    rng = np.random.default_rng(5)
    side, k, n = 96, 2, 4
    weights = [rng.standard_normal((16, c, 3, 3)).astype(np.float32) / 9 for c in (3, 16, 16)]
    biases = rng.standard_normal((3, 16)).astype(np.float32)
    network = dtd.Network(
        [
            ("a", dtd.Conv(weights[0], biases[0], padding=1)),
            ("ra", dtd.ReLU()),
            ("b", dtd.Conv(weights[1], biases[1], padding=1)),
            ("sum", dtd.Add(), ["ra", "b"]),
            ("rsum", dtd.ReLU()),
            ("pool", dtd.AvgPool(2)),
            ("c", dtd.ConvTranspose(weights[2], biases[2], stride=2)),
        ],
        input_shape=(3, side, side),
    )
    explain = dtd.LRP(network, rule)
    x = rng.random((n, 3, side, side)).astype(np.float32)
    target = np.zeros((n, k), int)
    predicted = explain.memory(n, k)
    tracemalloc.start()
    try:
        explanation = explain(x, target)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    results = explanation.relevance.nbytes + explanation.inputs.nbytes + explanation.output.nbytes
    # Masks, small temporaries and fragments of the first run come on top.
    assert peak - results <= 1.25 * predicted
