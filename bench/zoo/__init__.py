# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks for the benchmarks and for tests of agreement: `zoo.items_of("vgg16")`."""

from __future__ import annotations

import numpy as np

from zoo.architectures import googlenet, mobilenet, resnet, vgg
from zoo.items import Item

#: name: (side of the square input, function that makes the items)
NETS = {
    "vgg16": (224, lambda: vgg(16)),
    "resnet18": (224, lambda: resnet(18, (2, 2, 2, 2), bottleneck=False)),
    "resnet50": (224, lambda: resnet(50, (3, 4, 6, 3), bottleneck=True)),
    "googlenet": (224, lambda: googlenet(22)),
    "mobilenet": (224, lambda: mobilenet(28)),
    # for tests, and for trying the benchmark out
    "small-vgg": (32, lambda: vgg(1, [[8, 8], [19], [24, 24]], 32, 40, 10)),
    "small-resnet": (64, lambda: resnet(2, (1, 2), bottleneck=False, width=12, classes=10)),
    "small-bottleneck": (64, lambda: resnet(3, (1, 1), bottleneck=True, width=8, classes=10)),
}

#: The five networks that the benchmark is about.
FULL = ("vgg16", "resnet18", "resnet50", "googlenet", "mobilenet")

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]

#: The box in which inputs lie: pixels of 0 to 1, normalised. Shape (3, 1, 1).
LOW, HIGH = (0 - _MEAN) / _DEVIATION, (1 - _MEAN) / _DEVIATION


def items_of(name: str) -> list[Item]:
    """The network of that name, always with the same weights."""
    return NETS[name][1]()


def side_of(name: str) -> int:
    """Height and width of its input."""
    return NETS[name][0]


def images(name: str, batch: int, seed: int = 7) -> np.ndarray:
    """Random images (batch, 3, side, side), float32: coarse patches and noise, normalised."""
    side, rng = side_of(name), np.random.default_rng(seed)
    coarse = rng.random((batch, 3, 8, 8), np.float32)
    patches = np.kron(coarse, np.ones((side // 8, side // 8), np.float32))
    noise = 0.1 * rng.standard_normal(patches.shape, np.float32)
    return (np.clip(patches + noise, 0, 1) - _MEAN) / _DEVIATION
