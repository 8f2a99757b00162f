# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX files as PyTorch's two exporters write them: the same heatmaps as from PyTorch itself."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")
pytest.importorskip("onnx", reason="the package onnx is not installed")

import torch
from test_torch_operators import FUNCTIONS, MODULES
from torch_models import Digits, ResNet20

import dtdcore as dtd

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters' own

#: What the older exporter has no operator for.
UNKNOWN = (
    *("interpolate exact", "nearest-exact", "channel_shuffle", "permute", "inner", "chain"),
    *("threshold elsewhere", "dstack", "column_stack", "positive", "adjoint", "addcdiv", "diff"),
    *("rot90", "hsplit", "written into by itself", "zero"),
)

#: What an exporter cannot write, or writes as something else, with the reason.
LEFT_OUT = {
    "torchscript": dict.fromkeys(UNKNOWN, "it has no such operator")
    | {
        "conv1d same": "ONNX Runtime cannot run what it writes",
        "avg_pool2d divisor": "it forgets the divisor",
        "nearest by 2 but for rounding": "it writes the sizes and forgets the scale",
        "adaptive_avg_pool1d": "it does not know the size behind flatten",
        "broadcast_to": "it writes the batch size of the example",
        "tensordot": "it writes a matrix whose rows are those of all samples",
        "hstack": "it writes a sequence of tensors: not supported",
        "tensor_split": "it writes a sequence of tensors: not supported",
        "written into": "it writes ScatterND: not supported",
    }
    | {
        name: "it takes sizes that divide only"
        for name in FUNCTIONS
        if name.startswith("adaptive_")
        and name.endswith(("overlapping", "more", "both ways", "larger", "3d"))
    },
    "dynamo": {
        "adaptive_avg_pool2d larger": "it writes sums of sums, which z^B shares out one by one",
    },
}

#: What the newer exporter writes in other words than the older one, or what only it can write.
OTHERWISE = (
    *("threshold", "selu", "celu", "ones_like", "lp_pool", "lp_pool one", "local_response_norm"),
    *("local_response_norm 1d", "adaptive_avg_pool2d more", "adaptive_avg_pool2d overlapping"),
    *("adaptive_avg_pool2d both ways", "adaptive_avg_pool2d larger", "nearest-exact"),
    *("adaptive_avg_pool1d overlapping", "pad reflect", "pad circular", "nearest by a scale"),
    *("linear", "linear down", "bilinear by a scale", "bicubic", "trilinear", "channel_shuffle"),
    *("permute", "cat zeros", "cat and stack", "index", "mask", "flip and roll", "repeat"),
)

#: Many functions in one file: to export is what takes the time.
TOGETHER = 32


def export(module, x, path, exporter):
    """Write a module as a file for any batch size."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), torch.no_grad():
        if exporter == "dynamo":
            pytest.importorskip("onnxscript", reason="the package onnxscript is not installed")
            shapes = ({0: torch.export.Dim.DYNAMIC},)
            more = {"dynamic_shapes": shapes, "verbose": False, "external_data": False}
            torch.onnx.export(module, (x,), path, dynamo=True, **more)
        else:
            more = {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
            torch.onnx.export(module, (x,), path, dynamo=False, **more)


class Together(torch.nn.Module):
    """What several functions give, one after the other."""

    def __init__(self, functions):
        super().__init__()
        self.functions = functions

    def parts(self, x):
        results = (function(x) for function in self.functions)
        tensors = [y if isinstance(y, torch.Tensor) else y[0] for y in results]
        return [y.flatten(1) if y.ndim > 1 else y.unsqueeze(1) for y in tensors]

    def forward(self, x):
        return torch.cat(self.parts(x), 1)


def explainers(network):
    return {
        "z^B": dtd.DeepTaylor(network, dtd.Box(-5, 5)),
        "ε": dtd.LRP(network, dtd.Epsilon(0.1)),
    }


def assert_same_heatmaps(module, x, path, exporter, names, ends):
    """Of each part of the output alone, which ends at `ends`, by each explainer."""
    export(module, torch.from_numpy(x), path, exporter)
    theirs = dtd.load(path)  # verified with ONNX Runtime where there is one
    ours = dtd.from_torch(module, x, verify=False)
    y, z = ours.forward(x), theirs.forward(x)
    relevance = np.zeros((len(x), len(ends), *y.shape[1:]), np.float32)
    numbers = np.random.default_rng(0).random(y.shape, np.float32)
    for k, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        relevance[:, k, start:end] = numbers[:, start:end]
        off = np.abs(y - z)[:, start:end].max()
        assert off <= 1e-5 * np.abs(y[:, start:end]).max(), names[k]
    pairs = zip(explainers(ours).items(), explainers(theirs).values(), strict=True)
    for (rule, one), other in pairs:
        a, b = (explain(x, relevance=relevance).relevance for explain in (one, other))
        for k, name in enumerate(names):
            assert np.abs(a[:, k]).max() > 0, name
            assert np.abs(a[:, k] - b[:, k]).max() <= 1e-4 * np.abs(a[:, k]).max(), (name, rule)


def groups():
    for exporter, left_out in LEFT_OUT.items():
        names = FUNCTIONS if exporter == "torchscript" else OTHERWISE
        names = [n for n in names if n not in left_out and n != "pixel_unshuffle"]
        parts = [names[i : i + TOGETHER] for i in range(0, len(names), TOGETHER)]
        for part in [*parts, ["pixel_unshuffle"]]:
            yield pytest.param(exporter, part, id=f"{exporter}-{part[0]}")


@pytest.mark.parametrize(("exporter", "names"), list(groups()))
def test_functions_give_the_same_heatmaps(exporter, names, tmp_path, rng):
    module = Together([FUNCTIONS[name] for name in names])
    x = rng.normal(size=(2, 9 if "pixel_unshuffle" in names else 4, 6, 6)).astype(np.float32)
    ends = np.cumsum([part.shape[1] for part in module.parts(torch.from_numpy(x))])
    assert_same_heatmaps(module, x, tmp_path / "all.onnx", exporter, names, ends)


NETWORKS = {
    "ResNet20": (ResNet20, (3, 16, 16)),
    "Digits": (Digits, (1, 8, 8)),
} | {name: (lambda name=name: MODULES[name], (6, *[4] * int(name[-2]))) for name in MODULES}


@pytest.mark.parametrize("exporter", LEFT_OUT)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_give_the_same_heatmaps(name, exporter, tmp_path, rng):
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    module = make().eval()
    x = rng.normal(size=(2, *shape)).astype(np.float32)
    ends = [module(torch.from_numpy(x)).shape[1]]
    assert_same_heatmaps(module, x, tmp_path / "network.onnx", exporter, [name], ends)


@pytest.mark.parametrize("exporter", LEFT_OUT)
def test_what_is_left_out_is_known(exporter):
    assert {*LEFT_OUT[exporter], *OTHERWISE} < set(FUNCTIONS)


class Small(torch.nn.Module):
    """What architectures for images are made of: squeeze and excite, skips, branches, pools."""

    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.first = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12))
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 12, 1), nn.Hardsigmoid())
        self.last = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(24, 8, 1), nn.ReLU6())
        self.classes = nn.Sequential(nn.Dropout(), nn.Linear(8 * 4 * 4, 10))

    def forward(self, x):
        f = torch.nn.functional
        x = f.hardswish(self.first(x))
        x = x + f.silu(self.depthwise(x))
        x = x * self.gate(x)
        left, right = x.chunk(2, dim=1)
        x = torch.cat([x, f.relu(left), f.avg_pool2d(right, 3, 1, 1)], dim=1)
        return torch.softmax(self.classes(torch.flatten(self.last(x), 1)), dim=1)


@pytest.mark.parametrize("exporter", LEFT_OUT)
def test_a_softmax_at_the_end(exporter, tmp_path):
    torch.manual_seed(0)
    module, x = Small().eval(), torch.rand(2, 3, 15, 15)
    export(module, x, tmp_path / "small.onnx", exporter)
    net = dtd.load(tmp_path / "small.onnx")
    with torch.no_grad():
        expected = torch.log(module(x)).numpy()
    logits = net.forward(x.numpy())
    assert "softmax" in net.notes[0].lower()
    difference = logits - expected  # up to what softmax does not see
    np.testing.assert_allclose(
        difference, difference.mean(axis=1, keepdims=True) + 0 * logits, atol=1e-5
    )
    explanation = dtd.DeepTaylor(net, dtd.Box(0, 1))(x.numpy())
    assert explanation.audit.closes()
    assert np.abs(explanation.relevance).max() > 0
