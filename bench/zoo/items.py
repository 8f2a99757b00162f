# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A network as a plain list of items in NumPy, from which every contender builds its own.

| kind | arrays | options |
|---|---|---|
| conv | weight (outputs, inputs / groups, k, k), maybe bias | stride, padding, groups |
| batchnorm | mean, variance, weight, bias | epsilon |
| dense | weight (outputs, inputs), bias | |
| maxpool | | size, stride, padding, ceil |
| lrn | | size, alpha, beta, k: y = x / (k + α/size · Σ x²)^β over neighbouring channels |
| relu, globalpool (average), add, concat, flatten | | |
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Item:
    """One node: where its values come from ("input" is the first), its numbers, its options."""

    name: str
    kind: str
    sources: tuple[str, ...]
    arrays: Arrays = field(default_factory=dict)
    options: dict[str, float] = field(default_factory=dict)


class Builder:
    """Collects items and draws their weights; each method returns the name of the new value.

    Weights are normal with variance 2 / fan-in (He et al. 2015), so that a ReLU network neither
    dies nor explodes; biases lie a little below 0, as the method's networks have them. A
    BatchNorm has a random positive scale, and shifts of both signs.
    """

    def __init__(self, seed: int, channels: int = 3) -> None:
        self.rng = np.random.default_rng(seed)
        self.items: list[Item] = []
        self.channels = {"input": channels}
        self.last = "input"

    def _append(self, name, kind, sources, channels, arrays=None, **options) -> str:
        self.items.append(Item(name, kind, tuple(sources), arrays or {}, options))
        self.channels[name] = channels
        self.last = name
        return name

    def _weight(self, *shape: int) -> np.ndarray:
        weight = self.rng.standard_normal(shape, np.float32)
        weight *= np.float32(np.sqrt(2 / np.prod(shape[1:])))
        return weight

    def _bias(self, outputs: int) -> np.ndarray:
        return -np.abs(self.rng.standard_normal(outputs, np.float32)) * np.float32(0.05)

    def conv(self, name, outputs, size, source=None, *, stride=1, padding=0, groups=1, bias=True):
        """A convolution of `size` x `size`."""
        source = source or self.last
        arrays = {"weight": self._weight(outputs, self.channels[source] // groups, size, size)}
        if bias:
            arrays["bias"] = self._bias(outputs)
        options = {"stride": stride, "padding": padding, "groups": groups}
        return self._append(name, "conv", [source], outputs, arrays, **options)

    def batchnorm(self, name, scale=1.0):
        """A BatchNorm after the last value; `scale` is about that of its weights."""
        n, rng = self.channels[self.last], self.rng
        arrays = {
            "mean": 0.2 * rng.standard_normal(n),
            "variance": rng.uniform(0.5, 1.5, n),
            "weight": scale * rng.uniform(0.5, 1.2, n),
            "bias": 0.3 * rng.standard_normal(n),
        }
        arrays = {key: value.astype(np.float32) for key, value in arrays.items()}
        return self._append(name, "batchnorm", [self.last], n, arrays, epsilon=1e-5)

    def dense(self, name, inputs, outputs):
        """A fully connected layer."""
        arrays = {"weight": self._weight(outputs, inputs), "bias": self._bias(outputs)}
        return self._append(name, "dense", [self.last], outputs, arrays)

    def same(self, name, kind, source=None, **options):
        """Anything that keeps the number of channels: relu, maxpool, globalpool, lrn, flatten."""
        source = source or self.last
        return self._append(name, kind, [source], self.channels[source], **options)

    def add(self, name, *sources):
        """A sum."""
        return self._append(name, "add", sources, self.channels[sources[0]])

    def concat(self, name, *sources):
        """Channels one after the other."""
        return self._append(name, "concat", sources, sum(self.channels[s] for s in sources))


def merge_batchnorm(items: list[Item]) -> list[Item]:
    """The same function without BatchNorm: w' = w g, b' = (b - mean) g + shift, g = weight / √var.

    For contenders that want it so. Every BatchNorm must follow a convolution that feeds it alone.
    """
    merged: list[Item] = []
    renamed: dict[str, str] = {}
    for item in items:
        sources = tuple(renamed.get(source, source) for source in item.sources)
        if item.kind != "batchnorm":
            merged.append(replace(item, sources=sources))
            continue
        conv, norm = merged[-1], item.arrays
        if conv.kind != "conv" or sources != (conv.name,):
            raise ValueError(f"{item.name} does not follow a convolution")
        gain = norm["weight"] / np.sqrt(norm["variance"] + np.float32(item.options["epsilon"]))
        bias = (conv.arrays.get("bias", np.float32(0)) - norm["mean"]) * gain + norm["bias"]
        weight = conv.arrays["weight"] * gain[:, None, None, None]
        merged[-1] = replace(conv, arrays={"weight": weight, "bias": bias})
        renamed[item.name] = conv.name
    return merged


def last_uses(items: list[Item]) -> list[list[str]]:
    """For every item the values that nobody reads after it."""
    last = {source: number for number, item in enumerate(items) for source in item.sources}
    return [[name for name, use in last.items() if use == number] for number in range(len(items))]
