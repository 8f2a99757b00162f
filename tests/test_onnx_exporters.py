# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX files as PyTorch's two exporters write them."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")
pytest.importorskip("onnx", reason="the package onnx is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters' own


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


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_pytorchs_exporters(exporter, tmp_path):
    torch.manual_seed(0)
    module, x = Small().eval(), torch.rand(2, 3, 15, 15)
    path = tmp_path / "small.onnx"
    if exporter == "dynamo":
        pytest.importorskip("onnxscript", reason="the package onnxscript is not installed")
        shapes = ({0: torch.export.Dim("n")},)
        torch.onnx.export(module, (x,), path, dynamo=True, dynamic_shapes=shapes, verbose=False)
    else:
        axes = {"x": {0: "n"}}
        torch.onnx.export(module, (x,), path, dynamo=False, input_names=["x"], dynamic_axes=axes)
    net = dtd.load(path)
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
