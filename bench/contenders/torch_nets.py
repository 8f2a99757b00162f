# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch, forward pass only, eager, ReLU in place as torchvision's networks have it."""

import torch

from contenders.cases import read_case
from zoo.to_torch import Graph

torch.set_grad_enabled(False)


def versions() -> dict:
    """What runs."""
    return {"torch": torch.__version__, "threads": torch.get_num_threads()}


def set_threads(threads: int) -> None:
    """Use so many threads."""
    torch.set_num_threads(threads)


def prepare(net: str, inputs: str, targets: str | None) -> dict:
    """The forward pass."""
    case = read_case(net, inputs, targets)
    model, x = Graph(case.items, inplace=True), torch.from_numpy(case.x)
    return {"forward": lambda: model(x)}
