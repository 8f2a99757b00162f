# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A good guest: no state of the process is changed, and NumPy warns of nothing in any thread.

Warnings are errors in these tests (see pyproject.toml), in all threads.
"""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import dtdcore as dtd

SOURCE = Path(dtd.__file__).parent

#: What sets state of the whole process.
STATE = (
    r"os\.umask|os\.chdir|os\.environ\[|os\.putenv|signal\.signal|locale\.setlocale|"
    r"warnings\.(filterwarnings|simplefilter|catch_warnings|resetwarnings)|np\.seterr\b|"
    r"(np|numpy)\.random\.(seed|rand|normal|default_rng\(\))|random\.seed|torch\.manual_seed|"
    r"torch\.set_num_threads|rcParams(\[[^]]*\] =|\.update)|matplotlib\.use|switch_backend|"
    r"logging\.basicConfig|set_printoptions|sys\.setrecursionlimit"
)

LARGE = {np.float32: 3e38, np.float64: 1.7e308}
ACTIVATIONS = [dtd.Softmax(), dtd.HardSwish(), dtd.Sigmoid(), dtd.ELU(), dtd.Tanh()]


def test_nothing_sets_state_of_the_process():
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(STATE, line.split("#")[0])
    ]
    assert found == []


def state():
    """What other code in the process relies on."""
    return (
        list(warnings.filters),
        np.geterr(),
        random.getstate(),
        repr(np.random.get_state(legacy=True)),  # noqa: NPY002 - the global one is meant
        signal.getsignal(signal.SIGINT),
        dict(os.environ),
        os.getcwd(),
        np.get_printoptions(),
    )


def test_a_run_leaves_the_process_as_it_is(tmp_path):
    before = state()
    x = np.random.default_rng(0).random((20, 6))
    model = dtd.DetectionPoolingNet(units=[(8, None)], iterations=50, seed=0)
    network = model.fit(x, 5.0 * x[:, 0]).network_
    for explain in (dtd.DeepTaylor(network, dtd.Box(0, 1)), dtd.SmoothGrad(network)):
        explain(x).save(tmp_path / "heatmaps.npz")
    assert state() == before


def explained(network, x):
    """All that can be asked of explanations, where they are not an error."""
    makers = (
        lambda: dtd.DeepTaylor(network, dtd.Reals()),
        lambda: dtd.LRP(network, "epsilon"),
        lambda: dtd.LRP(network, "gamma-epsilon"),
        lambda: dtd.Sensitivity(network),
        lambda: dtd.GradientTimesInput(network),
        lambda: dtd.Taylor(network, root=np.zeros(6)),
    )
    told = 0
    for make in makers:
        try:
            explanation = make()(x, [[0, 1]] * len(x))
        except (ValueError, ArithmeticError):
            continue
        assert repr(explanation) and explanation._repr_html_()
        told += explanation.is_consistent().size
    for ask in (network.forward, lambda x: network.gradient(x, 0)):
        try:
            ask(x)
        except (ValueError, ArithmeticError):
            continue
    return told


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_numbers_that_overflow_warn_of_nothing(dtype, activation):
    """In this thread and in others: they raise, or are bounded in what follows."""
    rng = np.random.default_rng(0)
    signs = np.sign(rng.normal(size=(6, 4)))

    def run(scale):
        last = dtd.Dense(np.full((4, 2), scale, dtype))
        layers = [dtd.Dense((signs * scale).astype(dtype), np.full(4, -scale, dtype)), activation]
        network = dtd.Network([*layers, last], input_shape=(6,))
        for size in (1.0, np.sqrt(LARGE[dtype]), LARGE[dtype]):
            explained(network, (rng.random((2, 6)) * size).astype(dtype))
        return threading.current_thread().name

    scales = [LARGE[dtype], np.sqrt(LARGE[dtype]), 1.0, np.finfo(dtype).tiny]
    for scale in scales:
        run(scale)
    with ThreadPoolExecutor(2) as pool:
        assert all(name != "MainThread" for name in pool.map(run, scales))


def test_sums_that_overflow_warn_of_nothing():
    """Of relevance, in an audit and in Σ_p R_p; a layer by itself."""
    network = dtd.Network([dtd.Dense(np.eye(3))])
    x = np.ones((500, 3))
    explanation = dtd.LRP(network, dtd.Z())(x, relevance=np.full((500, 3), 1e306))
    assert explanation.is_conservative().all()
    assert "inf" in repr(explanation)  # the account adds up the samples
    with pytest.raises(FloatingPointError, match="overflows"):
        dtd.LRP(network, dtd.Z())(x, relevance=np.full((500, 3), 1e308))
    with pytest.raises(FloatingPointError, match="overflows"):
        dtd.Multiply(1e10).forward(np.full((1, 3), 1e300))
