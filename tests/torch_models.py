# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch modules for tests: ResNet-20 with the weights of an ONNX file, and a digits network."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

FOLDER = Path(os.environ.get("DTDCORE_DATA", ""))
MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
STD = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
LOW, HIGH = -MEAN / STD, (1 - MEAN) / STD


def plus(a, b):
    return a + b


class Block(nn.Module):
    """Two convolutions and a skip; one ReLU is used twice."""

    def __init__(self, inputs, outputs, join, inplace):
        super().__init__()
        stride = outputs // inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace)
        self.join = join()
        self.more = outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.more:  # every second pixel, and channels of zeros around
            half = self.more // 2
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, half))
        return self.relu(self.join(y, x))


class ResNet20(nn.Module):
    """For CIFAR-10 (He et al. 2015); `join` makes what adds the branches of a block."""

    def __init__(self, join=lambda: plus, inplace=True):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace)
        sizes = [(16, 16), (16, 32), (32, 64)]
        for number, (inputs, outputs) in enumerate(sizes, 1):
            blocks = [Block(outputs if i else inputs, outputs, join, inplace) for i in range(3)]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(torch.flatten(self.pool(x), 1))


def resnet20(**options):
    """ResNet-20 with trained weights."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(FOLDER / "models" / "resnet20.onnx").graph
    weights = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in graph.initializer}
    model = ResNet20(**options)
    names = set(model.state_dict())
    held = {name: tensor for name, tensor in weights.items() if name in names}
    missing, _ = model.load_state_dict(held, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing), missing
    return model


def cifar10(count):
    """Images, normalised, and labels."""
    with np.load(FOLDER / "cifar10" / "cifar10_test_first1000.npz") as content:
        parts = list(content.values())
    images = next(part for part in parts if part.ndim == 4)[:count]
    labels = next(part for part in parts if part.ndim == 1)[:count]
    images = images if images.shape[1] == 3 else images.transpose(0, 3, 1, 2)
    x = (images / np.float32(255) - MEAN) / STD
    return np.ascontiguousarray(x, np.float32), labels


class Digits(nn.Module):
    """A small network with all that a list of layers could not say."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.shared = nn.Conv2d(4, 4, 3, padding="same")
        self.act = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8 * 4 * 4, 10)

    def forward(self, x):
        x = self.act(self.norm(self.stem(x)))
        a, b = x.chunk(2, dim=1)
        y = torch.cat([self.act(self.shared(b)), self.act(self.shared(a))], 1)
        x = functional.max_pool2d(functional.silu(x) + y, 2)
        return functional.log_softmax(self.head(self.drop(x.flatten(1))), dim=1)


def trained_digits(steps=150):
    """`Digits`, trained, in train mode; images and labels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images.reshape(-1, 1, 8, 8) / 16, dtype=torch.float32)
    y = torch.tensor(labels)
    torch.manual_seed(0)
    model = Digits()
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for step in range(steps):
        part = slice(step * 64 % 1500, step * 64 % 1500 + 64)
        optimiser.zero_grad()
        functional.nll_loss(model(x[part]), y[part]).backward()
        optimiser.step()
    return model, x.numpy(), labels
