# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Captum's LRP with its α1β0 rule, which it calls deep Taylor; it has no z^B.

BatchNorm is merged beforehand, since the rule does not work with it; the rules are attached for
every call, since Captum takes them away at the end of each.
"""

import warnings
from importlib.metadata import version

import torch
from captum.attr import LRP
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, IdentityRule

from contenders.cases import read_case
from contenders.torch_nets import set_threads  # noqa: F401 - the same as there
from zoo.items import merge_batchnorm
from zoo.to_torch import Graph

warnings.filterwarnings("ignore")  # its own, about hooks, at every call


def versions() -> dict:
    """What runs."""
    threads = torch.get_num_threads()
    return {"captum": version("captum"), "torch": torch.__version__, "threads": threads}


def prepare(net: str, inputs: str, targets: str | None) -> dict:
    """The whole explanation."""
    case = read_case(net, inputs, targets)
    model = Graph(merge_batchnorm(case.items), Addition_Module)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    x, chosen = torch.from_numpy(case.x), torch.from_numpy(case.targets)

    def explain():
        for module in model.children():
            match module:
                case torch.nn.Conv2d() | torch.nn.Linear():
                    module.rule = Alpha1_Beta0_Rule()
                case torch.nn.LocalResponseNorm():
                    module.rule = IdentityRule()
                case torch.nn.ReLU():
                    pass
                case _:
                    module.rule = EpsilonRule()
        return LRP(model).attribute(x, target=chosen).detach()

    return {"explain": explain}
