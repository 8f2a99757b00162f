# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch by hand: what a careful user writes, with W⁺ and the box's constants computed once.

z⁺ with b⁺, z^B at the input, winner pooling, sums and averages by x_i / Σ x: Zennit's conventions.
BatchNorm is merged beforehand.
"""

import torch
from torch.nn import functional
from torch.nn.grad import conv2d_input

from contenders.cases import read_case
from contenders.torch_nets import set_threads, versions  # noqa: F401 - the same as there
from zoo import HIGH, LOW
from zoo.items import merge_batchnorm

torch.set_grad_enabled(False)
_max_pool_backward = torch.ops.aten.max_pool2d_with_indices_backward


def _quotient(relevance, z):
    return torch.where(z == 0, 0.0, relevance / z)


class Input:
    """The first convolution: z^B."""

    def __init__(self, item):
        arrays = {key: torch.from_numpy(value) for key, value in item.arrays.items()}
        self.weight, self.bias = arrays["weight"], arrays.get("bias")
        self.plus, self.minus = self.weight.clamp(min=0), self.weight.clamp(max=0)
        self.options = item.options
        self.low, self.high = torch.from_numpy(LOW), torch.from_numpy(HIGH)
        self.constants = {}

    def forward(self, x):
        self.x = x
        return functional.conv2d(x, self.weight, self.bias, **self.options)

    def redistribute(self, relevance):
        x, options = self.x, self.options
        constant = self.constants.get(x.shape)
        if constant is None:  # of the shape alone: computed once
            one = x[:1].shape
            constant = functional.conv2d(self.low.expand(one), self.plus, **options)
            constant = constant + functional.conv2d(self.high.expand(one), self.minus, **options)
            self.constants[x.shape] = constant
        s = _quotient(relevance, functional.conv2d(x, self.weight, **options) - constant)
        return (
            x * conv2d_input(x.shape, self.weight, s, **options)
            - self.low * conv2d_input(x.shape, self.plus, s, **options)
            - self.high * conv2d_input(x.shape, self.minus, s, **options)
        )


class Conv:
    """Any other convolution: z⁺."""

    def __init__(self, item):
        arrays = {key: torch.from_numpy(value) for key, value in item.arrays.items()}
        self.weight, self.bias = arrays["weight"], arrays.get("bias")
        self.plus = self.weight.clamp(min=0)
        self.plus_bias = None if self.bias is None else self.bias.clamp(min=0)
        self.options = item.options

    def forward(self, x):
        self.x = x
        return functional.conv2d(x, self.weight, self.bias, **self.options)

    def redistribute(self, relevance):
        x = self.x
        z = functional.conv2d(x, self.plus, self.plus_bias, **self.options)
        return x * conv2d_input(x.shape, self.plus, _quotient(relevance, z), **self.options)


class Dense(Conv):
    """A fully connected layer: z⁺."""

    def forward(self, x):
        self.x = x
        return functional.linear(x, self.weight, self.bias)

    def redistribute(self, relevance):
        z = functional.linear(self.x, self.plus, self.plus_bias)
        return self.x * (_quotient(relevance, z) @ self.plus)


class MaxPool:
    """To the winner."""

    def __init__(self, item):
        o = item.options
        self.options = [[o["size"]] * 2, [o["stride"]] * 2, [o["padding"]] * 2, [1, 1], o["ceil"]]

    def forward(self, x):
        self.x = x
        y, self.indices = torch.ops.aten.max_pool2d_with_indices(x, *self.options)
        return y

    def redistribute(self, relevance):
        return _max_pool_backward(relevance, self.x, *self.options, self.indices)


class GlobalPool:
    """R_i = x_i / Σ x · R."""

    def __init__(self, item):
        pass

    def forward(self, x):
        self.x = x
        return x.mean((2, 3), keepdim=True)

    def redistribute(self, relevance):
        return self.x * _quotient(relevance, self.x.sum((2, 3), keepdim=True))


class Add:
    """R_i = x_i / Σ x · R."""

    def __init__(self, item):
        pass

    def forward(self, *xs):
        self.xs, self.sum = xs, sum(xs[1:], xs[0])
        return self.sum

    def redistribute(self, relevance):
        s = _quotient(relevance, self.sum)
        return tuple(x * s for x in self.xs)


class Concat:
    """Each source gets its channels."""

    def __init__(self, item):
        pass

    def forward(self, *xs):
        self.sizes = [x.shape[1] for x in xs]
        return torch.cat(xs, 1)

    def redistribute(self, relevance):
        return relevance.split(self.sizes, 1)


class Flatten:
    """Back into place."""

    def __init__(self, item):
        pass

    def forward(self, x):
        self.shape = x.shape
        return x.flatten(1)

    def redistribute(self, relevance):
        return relevance.reshape(self.shape)


class PassThrough:
    """ReLU and LRN."""

    def __init__(self, item):
        self.relu, self.options = item.kind == "relu", item.options

    def forward(self, x):
        return x.relu() if self.relu else functional.local_response_norm(x, **self.options)

    def redistribute(self, relevance):
        return relevance


KINDS = {
    "conv": Conv,
    "dense": Dense,
    "maxpool": MaxPool,
    "globalpool": GlobalPool,
    "add": Add,
    "concat": Concat,
    "flatten": Flatten,
    "relu": PassThrough,
    "lrn": PassThrough,
}


def explain(items, parts, x, targets):
    """Forward, then relevance from f_target down to the input."""
    values = {"input": x}
    for item, part in zip(items, parts, strict=True):
        values[item.name] = part.forward(*(values[source] for source in item.sources))
    f = values[items[-1].name]
    relevance = {items[-1].name: torch.zeros_like(f).scatter_(1, targets, f.gather(1, targets))}
    for item, part in zip(reversed(items), reversed(parts), strict=True):
        back = part.redistribute(relevance.pop(item.name))
        for source, share in zip(
            item.sources, back if isinstance(back, tuple) else (back,), strict=True
        ):
            known = relevance.get(source)
            relevance[source] = share if known is None else known + share
    return relevance["input"]


def prepare(net: str, inputs: str, targets: str | None) -> dict:
    """The whole explanation."""
    case = read_case(net, inputs, targets)
    items = merge_batchnorm(case.items)
    parts = [Input(items[0])] + [KINDS[item.kind](item) for item in items[1:]]
    x, targets = torch.from_numpy(case.x), torch.from_numpy(case.targets)[:, None]
    return {"explain": lambda: explain(items, parts, x, targets)}
