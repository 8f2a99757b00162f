# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A torch.nn.Module from items: a real module for each, so that peers can hook them."""

from __future__ import annotations

import torch
from torch import nn

from zoo.items import Item, last_uses


class Add(nn.Module):
    """The sum of its arguments."""

    def forward(self, *summands: torch.Tensor) -> torch.Tensor:
        return sum(summands[1:], summands[0])


class Graph(nn.Module):
    """Runs items in order and drops values after their last use.

    Parameters
    ----------
    items : list of Item
    addition : type
        The module for sums; called with its summands (`stacked=False`) or with all of them in one
        tensor along a new last axis (`stacked=True`, Zennit's Sum).
    inplace : bool
        ReLU overwrites its input, as torchvision's networks do; for forward passes only.
    """

    def __init__(self, items: list[Item], addition=Add, *, stacked=False, inplace=False):
        super().__init__()
        self.plan = [(item.name, item.kind, item.sources) for item in items]
        self.drops = last_uses(items)
        self.stacked = stacked
        for item in items:
            module = make_module(item, addition, inplace)
            if module is not None:
                self.add_module(item.name, module)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {"input": x}
        for (name, kind, sources), drops in zip(self.plan, self.drops, strict=True):
            arguments = [values[source] for source in sources]
            match kind:
                case "concat":
                    result = torch.cat(arguments, 1)
                case "flatten":
                    result = arguments[0].flatten(1)
                case "add" if self.stacked:
                    result = getattr(self, name)(torch.stack(arguments, -1))
                case _:
                    result = getattr(self, name)(*arguments)
            for drop in drops:
                del values[drop]
            del arguments
            values[name] = result
        return result


def make_module(item: Item, addition=Add, inplace: bool = False) -> nn.Module | None:
    """The module of one item; None for those that only rearrange."""
    arrays = {key: torch.from_numpy(value) for key, value in item.arrays.items()}
    options = item.options
    match item.kind:
        case "conv":
            outputs, inputs, size, _ = arrays["weight"].shape
            inputs *= options["groups"]
            module = nn.Conv2d(inputs, outputs, size, bias="bias" in arrays, **options)
        case "dense":
            outputs, inputs = arrays["weight"].shape
            module = nn.Linear(inputs, outputs)
        case "batchnorm":
            module = nn.BatchNorm2d(len(arrays["mean"]), options["epsilon"])
            module.running_mean, module.running_var = arrays.pop("mean"), arrays.pop("variance")
        case "maxpool":
            return nn.MaxPool2d(
                options["size"], options["stride"], options["padding"], ceil_mode=options["ceil"]
            )
        case "relu":
            return nn.ReLU(inplace)
        case "globalpool":
            return nn.AdaptiveAvgPool2d(1)
        case "lrn":
            return nn.LocalResponseNorm(**options)
        case "add":
            return addition()
        case "concat" | "flatten":
            return None
        case _:
            raise ValueError(f"unknown kind {item.kind} of {item.name}")
    for name, value in arrays.items():
        setattr(module, name, nn.Parameter(value, requires_grad=False))
    return module
