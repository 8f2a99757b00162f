# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Zennit's rules for deep Taylor decomposition: z⁺, z^B at the input, BatchNorm merged by it.

Its hooks and merged weights are put in place once, before the clock starts.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "stubs"))  # see stubs/torchvision

from importlib.metadata import version

from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import SpecialFirstLayerMapComposite, layer_map_base
from zennit.layer import Sum
from zennit.rules import Pass, ZBox, ZPlus
from zennit.types import Linear

from contenders.cases import read_case
from contenders.torch_nets import set_threads  # noqa: F401 - the same as there
from zoo import HIGH, LOW
from zoo.to_torch import Graph

torch.set_grad_enabled(True)


def versions() -> dict:
    """What runs."""
    threads = torch.get_num_threads()
    return {"zennit": version("zennit"), "torch": torch.__version__, "threads": threads}


def composite(stabilizer: float = 1e-6) -> SpecialFirstLayerMapComposite:
    """Z⁺ above, z^B below; LRN passes relevance on, which Zennit has no default for."""
    low, high = (torch.from_numpy(bound)[None] for bound in (LOW, HIGH))
    layers = [*layer_map_base(stabilizer), (torch.nn.LocalResponseNorm, Pass())]
    return SpecialFirstLayerMapComposite(
        layer_map=[*layers, (Linear, ZPlus(stabilizer=stabilizer))],
        first_map=[(Linear, ZBox(low, high, stabilizer=stabilizer))],
        canonizers=[SequentialMergeBatchNorm()],
    )


def model_of(items) -> Graph:
    """A module whose sums are Zennit's."""
    return Graph(items, Sum, stacked=True)


def explain(attributor: Gradient, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Relevance of the inputs, from f_target."""

    def start(f):
        return torch.zeros_like(f).scatter_(1, targets, f.detach().gather(1, targets))

    return attributor(x, start)[1].detach()


def prepare(net: str, inputs: str, targets: str | None) -> dict:
    """The whole explanation."""
    case = read_case(net, inputs, targets)
    attributor = Gradient(model_of(case.items), composite())
    attributor.__enter__()  # for the life of the worker
    x, targets = torch.from_numpy(case.x), torch.from_numpy(case.targets)[:, None]
    x.requires_grad_(True)
    return {"explain": lambda: explain(attributor, x, targets)}
