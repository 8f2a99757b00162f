# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Agreement with peers on the benchmark's small networks; skipped where a peer is not installed.

The networks come from bench/zoo, so these tests also say that the benchmark compares like with
like: every builder makes the same function.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dtdcore as dtd

BENCH = Path(__file__).parents[1] / "bench"
SMALL = ["small-vgg", "small-resnet", "small-bottleneck"]

# Another OpenMP runtime must not live beside the core's: a peer answers from its own process.
PEER = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import zoo
exec(sys.stdin.read())
"""


def ask_peer(code: str, *modules: str) -> None:
    """Run `code` in a process that can import bench; skip where `modules` are not installed."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: see bench/README.md")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PEER, str(BENCH)]
    done = subprocess.run(
        command, input=code, text=True, capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def bench():
    """The benchmark's neutral networks."""
    sys.path.insert(0, str(BENCH))
    import zoo

    yield zoo
    sys.path.remove(str(BENCH))


def off(value: np.ndarray, reference: np.ndarray) -> float:
    """Relative L2 distance."""
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))


@pytest.mark.parametrize("name", SMALL)
def test_forward_agrees_with_pytorch(bench, tmp_path, name):
    from zoo.to_dtdcore import to_dtdcore

    path = tmp_path / "f.npy"
    ask_peer(
        f"""
import torch
from zoo.items import merge_batchnorm
from zoo.to_torch import Graph
x = torch.from_numpy(zoo.images("{name}", 3))
items = zoo.items_of("{name}")
with torch.no_grad():
    np.save(r"{path}", [Graph(i, inplace=p)(x) for i in (items, merge_batchnorm(items)) for p in
                        (False, True)])
""",
        "torch",
    )
    net = to_dtdcore(bench.items_of(name), bench.side_of(name))
    f = net.forward(bench.images(name, 3))
    for theirs in np.load(path):
        assert off(f, theirs) < 2e-6


@pytest.mark.parametrize("name", SMALL)
def test_forward_agrees_with_onnx_runtime(bench, tmp_path, name):
    from zoo.to_dtdcore import to_dtdcore

    path = tmp_path / "f.npy"
    ask_peer(
        f"""
import onnxruntime
from zoo.to_onnx import to_onnx
model = to_onnx(zoo.items_of("{name}"), zoo.side_of("{name}")).SerializeToString()
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
np.save(r"{path}", session.run(None, {{"input": zoo.images("{name}", 3)}})[0])
""",
        "onnx",
        "onnxruntime",
    )
    net = to_dtdcore(bench.items_of(name), bench.side_of(name))
    assert off(net.forward(bench.images(name, 3)), np.load(path)) < 2e-6


# Zennit's rules above and at the input, and what they are called here. `stabilizer` moves exact
# zeros only, as dtdcore does where a rule has no ε; Zennit's own would add ε to every z.
CONVENTIONS = {
    "deep Taylor": (
        ("ZPlus(stabilizer)", "ZBox(low, high, stabilizer)"),
        lambda low, high: (dtd.ZPlus(bias=True), dtd.ZB(low, high)),
    ),
    "deep Taylor without bias, w2": (
        ("ZPlus(stabilizer, zero_params='bias')", "WSquare(stabilizer, zero_params='bias')"),
        lambda low, high: (dtd.ZPlus(), dtd.WSquare()),
    ),
    "w2 with bias": (
        ("ZPlus(stabilizer)", "WSquare(stabilizer)"),
        lambda low, high: (dtd.ZPlus(bias=True), dtd.WSquare(bias=True)),
    ),
    "signed inputs": (
        ("ZPlus(stabilizer)", "ZPlus(stabilizer)"),
        lambda low, high: (dtd.ZPlus(bias=True), dtd.ZPlus(bias=True)),
    ),
    "epsilon, flat": (
        ("Epsilon(0.3)", "Flat(stabilizer)"),
        lambda low, high: (dtd.Epsilon(0.3), dtd.Flat()),
    ),
    "gamma": (
        ("Gamma(0.4, stabilizer)", "Gamma(0.4, stabilizer)"),
        lambda low, high: (dtd.GeneralizedGamma(0.4), dtd.GeneralizedGamma(0.4)),
    ),
    "alpha2 beta1": (
        ("AlphaBeta(2, 1, stabilizer)", "AlphaBeta(2, 1, stabilizer)"),
        lambda low, high: (dtd.AlphaBeta(2, 1), dtd.AlphaBeta(2, 1)),
    ),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_relevance_agrees_with_zennit(bench, tmp_path, name, convention):
    from zoo.to_dtdcore import input_and_above, to_dtdcore

    (above, first), make = CONVENTIONS[convention]
    path = tmp_path / "relevance.npy"
    ask_peer(
        f"""
import torch
from contenders.zennit_nets import Gradient, Graph, SequentialMergeBatchNorm, explain, model_of
from contenders.zennit_nets import SpecialFirstLayerMapComposite, layer_map_base
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, WSquare, ZBox, ZPlus
from zennit.types import Linear
stabilizer = lambda z: torch.where(z == 0, 1.0, z)
low, high = (torch.from_numpy(bound)[None].double() for bound in (zoo.LOW, zoo.HIGH))
composite = SpecialFirstLayerMapComposite(
    layer_map_base(stabilizer) + [(Linear, {above})],
    [(Linear, {first})],
    [SequentialMergeBatchNorm()],
)
x = torch.from_numpy(zoo.images("{name}", 3)).double().requires_grad_(True)
with Gradient(model_of(zoo.items_of("{name}")).double(), composite) as attributor:
    for module in attributor.model.modules():  # merged, it still divides by sqrt(1 + eps)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.0
    np.save(r"{path}", explain(attributor, x, torch.arange(3)[:, None]).numpy())
""",
        "torch",
        "zennit",
    )
    items = [
        replace(item, arrays={key: np.float64(value) for key, value in item.arrays.items()})
        for item in bench.items_of(name)
    ]
    above, first = make(np.float64(bench.LOW), np.float64(bench.HIGH))
    rules = input_and_above(items, first, above)
    explainer = dtd.LRP(to_dtdcore(items, bench.side_of(name)), rules, pooling="winner")
    ours = explainer(np.float64(bench.images(name, 3)), np.arange(3)).relevance
    theirs = np.load(path)
    assert ours.dtype == np.float64
    assert np.linalg.norm(theirs) > 0
    assert off(ours, theirs) < 1e-9


# Presets of `LRP`, Zennit's composites of these names, and (where they are not the preset's own)
# the rules that count b⁺ in the z of z⁺ as Zennit does.
NAMESAKES = {
    "epsilon-plus": (
        "EpsilonPlus(canonizers=[])",
        {"Conv": dtd.ZPlus(bias=True), "Dense": dtd.Epsilon()},
    ),
    "epsilon-plus-flat": (
        "EpsilonPlusFlat(canonizers=[])",
        {"first": dtd.Flat(), "Conv": dtd.ZPlus(bias=True), "Dense": dtd.Epsilon()},
    ),
    "epsilon-alpha2-beta1": ("EpsilonAlpha2Beta1(canonizers=[])", None),
    "gamma-epsilon": (
        "EpsilonGammaBox(0 * x[:1], 1 + 0 * x[:1], first_map=[(Convolution, Gamma(0.25))])",
        None,
    ),
}


@pytest.mark.parametrize("biased", [False, True])
def test_presets_agree_with_their_namesakes(rng, tmp_path, biased):
    """On a network with maximum pools. What remains: the bias in z⁺'s z, and the stabiliser."""
    weights = [
        rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        for shape in ((6, 3, 3, 3), (8, 6, 3, 3), (10, 72))
    ]
    biases = [rng.standard_normal(len(weight)) * 0.1 * biased for weight in weights]
    x = rng.standard_normal((4, 3, 16, 16))
    np.savez(tmp_path / "net.npz", *weights, *biases, x=x)
    ask_peer(
        f"""
import torch
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from contenders.zennit_nets import Gradient, explain
from zennit.composites import EpsilonAlpha2Beta1, EpsilonGammaBox, EpsilonPlus, EpsilonPlusFlat
from zennit.rules import Gamma
from zennit.types import Convolution
data = np.load(r"{tmp_path / "net.npz"}")
layers = Conv2d(3, 6, 3), Conv2d(6, 8, 3), Linear(72, 10)
for number, layer in enumerate(layers):
    layer.weight.data = torch.from_numpy(data[f"arr_{{number}}"])
    layer.bias.data = torch.from_numpy(data[f"arr_{{number + 3}}"])
first, second, dense = layers
pools = MaxPool2d(2), MaxPool2d(2, padding=1)
net = Sequential(first, ReLU(), pools[0], second, ReLU(), pools[1], Flatten(), dense)
x = torch.from_numpy(data["x"]).requires_grad_(True)
found = dict()
for name, composite in {[(name, code) for name, (code, _) in NAMESAKES.items()]}:
    with Gradient(net, eval(composite)) as attributor:
        found[name] = explain(attributor, x, torch.arange(4)[:, None]).numpy()
np.savez(r"{tmp_path / "found.npz"}", **found)
""",
        "torch",
        "zennit",
    )
    layers = []
    for weight, bias, padding in zip(weights, biases, (0, 1), strict=False):
        layers += [dtd.Conv(weight, bias), dtd.ReLU(), dtd.MaxPool(2, padding=padding)]
    net = dtd.Network([*layers, dtd.Flatten(), dtd.Dense(weights[2].T, biases[2])], (3, 16, 16))
    found = np.load(tmp_path / "found.npz")

    for name, (_, with_bias) in NAMESAKES.items():

        def distance(rules, theirs=found[name], **options):
            return off(dtd.LRP(net, rules, **options)(x, np.arange(4)).relevance, theirs)

        if biased and with_bias is not None:
            assert distance(name) > 1e-3
            assert distance(with_bias, pooling="winner") < 1e-4
        else:
            assert distance(name) < 1e-4
        assert distance(name, pooling="proportional") > 0.05
