# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Trained PyTorch networks on real images, and architectures of torchvision."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")

import torch
from torch_models import HIGH, LOW, cifar10, resnet20, trained_digits

import dtdcore as dtd

needs_data = pytest.mark.skipif(
    not os.environ.get("DTDCORE_DATA"),
    reason="environment variable DTDCORE_DATA is not set: no folder with the real data",
)


@needs_data
def test_resnet20_of_pytorch_and_of_onnx():
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    x, labels = cifar10(200)
    network = dtd.from_torch(resnet20(), x[:2])
    folder = Path(os.environ["DTDCORE_DATA"])
    other = dtd.load(folder / "models" / "resnet20.onnx", verify=False)
    ours, theirs = network.forward(x), other.forward(x)
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()
    assert np.mean(ours.argmax(axis=1) == labels) == np.mean(theirs.argmax(axis=1) == labels)
    assert np.mean(ours.argmax(axis=1) == labels) >= 0.9
    names = [node.name for node in network.nodes]
    assert {"conv1", "layer1.0.conv1", "layer3.2.bn2", "layer2.0.add", "linear"} <= set(names)
    explanation = dtd.DeepTaylor(network, dtd.Box(LOW, HIGH))(x[:4])
    for entry in explanation.audit:
        assert np.all(np.abs(entry.residual) <= 1e-5 * explanation.output.max(axis=1))


ZENNIT = """
import sys
sys.path.insert(0, sys.argv[1])
sys.path.insert(0, sys.argv[2] + "/stubs")
import numpy as np, torch
import torch
from torch_models import HIGH, LOW, cifar10, resnet20
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import SpecialFirstLayerMapComposite, layer_map_base
from zennit.layer import Sum
from zennit.rules import ZBox, ZPlus
from zennit.types import Linear

class Join(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.sum = Sum()
    def forward(self, a, b):
        return self.sum(torch.stack([a, b], dim=-1))

stabilizer = lambda z: torch.where(z == 0, 1.0, z)
low, high = (torch.from_numpy(bound)[None].double() for bound in (LOW, HIGH))
composite = SpecialFirstLayerMapComposite(
    layer_map_base(stabilizer) + [(Linear, ZPlus(stabilizer))],
    [(Linear, ZBox(low, high, stabilizer))],
    [SequentialMergeBatchNorm()],
)
x, labels = cifar10(8)
x = torch.from_numpy(x).double().requires_grad_(True)
model = resnet20(join=Join, inplace=False).double().eval()
with Gradient(model, composite) as attributor:
    for module in model.modules():  # merged, it still divides by sqrt(1 + eps)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.0
    targets = torch.from_numpy(labels).long()[:, None]
    start = lambda f: torch.zeros_like(f).scatter_(1, targets, f.detach().gather(1, targets))
    np.save(sys.argv[3], attributor(x, start)[1].detach().numpy())
"""


@needs_data
def test_relevance_of_resnet20_agrees_with_zennit(tmp_path):
    for package in ("zennit", "onnx"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: see bench/README.md")
    path, tests = tmp_path / "relevance.npy", Path(__file__).parent
    command = [sys.executable, "-c", ZENNIT, str(tests), str(tests.parent / "bench"), str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, text=True, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    x, labels = cifar10(8)
    network = dtd.from_torch(resnet20().double(), x[:1])
    rules = {
        "conv1": dtd.ZB(LOW.astype(np.float64), HIGH.astype(np.float64)),
        "Conv": dtd.ZPlus(bias=True),
        "Dense": dtd.ZPlus(bias=True),
        "Add": dtd.Z(),
        "GlobalPool": dtd.Z(),
    }
    ours = dtd.LRP(network, rules)(np.float64(x), labels.astype(int)).relevance
    theirs = np.load(path)
    assert np.linalg.norm(theirs) > 0
    assert np.linalg.norm(ours - theirs) < 1e-9 * np.linalg.norm(theirs)


def test_a_network_trained_here():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    model, x, labels = trained_digits()
    assert model.training
    network = dtd.from_torch(model, x[:1])
    assert model.training and all(part.training for part in model.modules())
    assert network.notes == ("the log_softmax at the end is left out: the output are logits",)
    logits = network.forward(x)
    assert np.mean(logits.argmax(axis=1) == labels) > 0.93
    with torch.no_grad():
        theirs = model.eval()(torch.from_numpy(x)).exp().numpy()
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), theirs, atol=1e-5)
    names = [node.name for node in network.nodes]
    for name in ("stem", "norm", "act", "act_2", "act_3", "shared", "shared_2", "cat", "head"):
        assert name in names
    explain = dtd.LRP(network, {"stem": dtd.ZB(0, 1), "*": dtd.ZPlus()})
    explanation = explain(x[:5], labels[:5].astype(int))
    assert np.all(np.isfinite(explanation.relevance)) and explanation.relevance.any()


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("resnet18", "layer1.0.conv1"),
        ("mobilenet_v3_small", "features.1.block.1.fc1"),
        ("squeezenet1_1", "features.3.squeeze"),
        ("shufflenet_v2_x0_5", "stage2.0.branch1.0"),
    ],
)
def test_architectures_of_torchvision(name, first):
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    torch.manual_seed(0)
    model = getattr(models, name)(weights=None)
    network = dtd.from_torch(model, torch.rand(1, 3, 64, 64))
    assert first in [node.name for node in network.nodes]
    x = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        theirs = model.eval()(x).numpy()
    ours = network.forward(x.numpy())
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
