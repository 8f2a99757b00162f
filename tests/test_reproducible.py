# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The same bits for any number of threads and any split of the batch; ISA levels agree."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import _core

SPLITS = [(1, 44), (22, 23), (7, 14, 24), (13, 1, 31), (1,) * 45]


def networks(rng, dtype):
    """Nets whose layers are large enough for threads, with ragged sizes, and one small one."""

    def weight(inputs, outputs):
        return (rng.standard_normal((inputs, outputs)) + 0.1).astype(dtype)

    def bias(outputs):
        return -np.abs(rng.standard_normal(outputs)).astype(dtype) / 4

    return {
        "large": dtd.Network(
            [
                dtd.Dense(weight(784, 390), bias(390)),
                dtd.ReLU(),
                dtd.NeuronPool(3, 2),
                dtd.Dense(weight(130, 67), bias(67)),
                dtd.ReLU(),
                dtd.Dense(weight(67, 10), bias(10)),
                dtd.ReLU(),
            ]
        ),
        "wide": dtd.Network(
            [dtd.Dense(weight(1568, 403), bias(403)), dtd.ReLU(), dtd.NeuronPool()]
        ),
        "small": dtd.Network([dtd.Dense(weight(9, 5), bias(5)), dtd.ReLU(), dtd.NeuronPool()]),
    }


EXPLAINERS = {
    "DeepTaylor w2": lambda net: dtd.DeepTaylor(net, dtd.Reals()),
    "DeepTaylor z+": lambda net: dtd.DeepTaylor(net, dtd.NonNegative()),
    "DeepTaylor zB": lambda net: dtd.DeepTaylor(net, dtd.Box(0, 1)),
    "DeepTaylor winner": lambda net: dtd.DeepTaylor(net, dtd.Box(0, 1), pooling="winner"),
    "LRP epsilon": lambda net: dtd.LRP(net, dtd.Epsilon(0.01)),
    "LRP gamma": lambda net: dtd.LRP(net, dtd.Gamma(0.25)),
    "LRP generalised gamma": lambda net: dtd.LRP(net, dtd.GeneralizedGamma(0.25)),
    "LRP alpha-beta": lambda net: dtd.LRP(net, dtd.AlphaBeta(2, 1)),
    "LRP flat": lambda net: dtd.LRP(net, dtd.Flat()),
    "Sensitivity": dtd.Sensitivity,
    "IntegratedGradients": lambda net: dtd.IntegratedGradients(net, steps=2),
    "SmoothGrad": lambda net: dtd.SmoothGrad(net, samples=2),
}


def results(explainer, x):
    """All arrays of an explanation that have a batch axis."""
    e = explainer(x)
    arrays = {"relevance": e.relevance, "output": e.output, "explained": e.explained}
    for entry in e.audit or ():
        for part in ("received", "passed", "bias", "stabiliser", "lost"):
            arrays[f"{entry.name} {part}"] = getattr(entry, part)
    return arrays


@pytest.mark.parametrize("size", ["large", "wide", "small"])
@pytest.mark.parametrize("name", EXPLAINERS)
def test_threads_and_splits_change_no_bit(dtype, size, name, rng):
    network = networks(rng, dtype)[size]
    explainer = EXPLAINERS[name](network)
    x = rng.random((45, network.input_shape[0])).astype(dtype)
    x[rng.random(x.shape) < 0.3] = 0
    _core.set_num_threads(1)
    expected = results(explainer, x)
    for threads in (2, 3):
        _core.set_num_threads(threads)
        for key, array in results(explainer, x).items():
            assert array.tobytes() == expected[key].tobytes(), f"{key}, {threads} threads"
    for split in SPLITS if size == "small" else SPLITS[:4]:
        start = 0
        for part in split:
            rows = slice(start, start + part)
            for key, array in results(explainer, x[rows]).items():
                assert array.tobytes() == expected[key][rows].tobytes(), f"{key}, {split}"
            start += part


def test_repeated_calls_give_the_same_bits(dtype, rng):
    """Nothing of one call is left for the next."""
    network = networks(rng, dtype)["large"]
    explainer = dtd.DeepTaylor(network, dtd.Box(0, 1))
    x = rng.random((20, 784)).astype(dtype)
    first = explainer(x).relevance.copy()
    explainer(rng.random((45, 784)).astype(dtype))
    explainer(x[:3], 2)
    assert explainer(x).relevance.tobytes() == first.tobytes()
    assert dtd.DeepTaylor(network, dtd.Box(0, 1))(x).relevance.tobytes() == first.tobytes()


def test_layers_and_networks_are_one_implementation(dtype, rng):
    """layer.redistribute by hand, down the chain, gives the bits of the explainer."""
    network = networks(rng, dtype)["large"]
    x = rng.random((6, 784)).astype(dtype)
    explanation = dtd.DeepTaylor(network, dtd.NonNegative())(x, 3)
    values = [x]
    for layer in network.layers:
        values.append(layer.forward(values[-1]))
    relevance = np.maximum(values[-1], 0) * np.eye(10, dtype=dtype)[3]
    for layer, inputs in zip(network.layers[::-1], values[-2::-1], strict=True):
        rule = dtd.ZPlus() if isinstance(layer, dtd.Dense) else None
        relevance = layer.redistribute(inputs, relevance, rule)
    assert relevance.tobytes() == explanation.relevance.tobytes()
    assert values[-1].tobytes() == network.forward(x).tobytes()


# ------------------------------------------------------------------- ISA levels

AT_LEVEL = """
import sys
import numpy as np
import dtdcore as dtd
from dtdcore import _core
assert _core.config()["isa"] == sys.argv[1], _core.config()
out = {}
for dtype in (np.float32, np.float64):
    rng = np.random.default_rng(3)
    w = rng.standard_normal((203, 61)).astype(dtype)
    b = -np.abs(rng.standard_normal(61)).astype(dtype)
    net = dtd.Network([dtd.Dense(w, b), dtd.ReLU(), dtd.NeuronPool(None, 2)])
    x = rng.random((9, 203)).astype(dtype)
    for domain in (dtd.Reals(), dtd.NonNegative(), dtd.Box(0, 1)):
        e = dtd.DeepTaylor(net, domain)(x)
        out[f"{np.dtype(dtype)} {domain}"] = e.relevance
        assert e.is_consistent().all()
    out[f"{np.dtype(dtype)} gradient"] = net.gradient(x)
np.savez(sys.argv[2], **out)
"""


def at_level(level, *arguments, code=AT_LEVEL):
    paths = os.pathsep.join(p for p in sys.path if p)
    return subprocess.run(
        [sys.executable, "-c", code, level, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths, "DTDCORE_ISA": level},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_isa_levels_agree(tmp_path):
    """Each level that this machine can run, within the bounds of rounding; not to the bit."""
    results = {}
    for level in _core.config()["isa_levels"]:
        path = tmp_path / f"{level}.npz"
        run = at_level(level, path)
        if "ImportError" in run.stderr and level != "base":
            continue  # compiled, but this machine cannot run it
        assert run.returncode == 0, run.stderr
        with np.load(path) as file:
            results[level] = dict(file)
    assert "base" in results
    assert _core.config()["isa"] in results
    for level, arrays in results.items():
        for name, array in arrays.items():
            base = results["base"][name]
            rtol = 2e-5 if array.dtype == np.float32 else 1e-12
            size = np.abs(base).max()
            np.testing.assert_allclose(
                array, base, rtol=rtol, atol=rtol * size, err_msg=f"{level} {name}"
            )


@pytest.mark.parametrize("level", ["avx2", "x86-64-v9", "BASE", " base", ""])
def test_unknown_isa_levels_are_refused(level):
    run = at_level(level, code="import dtdcore")
    assert run.returncode != 0
    assert "ImportError" in run.stderr
    assert "DTDCORE_ISA" in run.stderr
    assert repr(level) in run.stderr


def test_this_run_has_the_level_that_was_asked_for():
    asked = os.environ.get("DTDCORE_ISA")
    if asked:
        assert _core.config()["isa"] == asked
    else:
        assert _core.config()["isa"] in _core.config()["isa_levels"]
