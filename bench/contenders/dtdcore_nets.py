# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""dtdcore on whole networks: Zennit's conventions, and its own defaults."""

import dtdcore as dtd
from contenders.cases import read_case
from contenders.dtdcore_dense import set_threads, versions  # noqa: F401 - the same as there
from zoo import HIGH, LOW
from zoo.to_dtdcore import to_dtdcore, zennit_rules


def prepare(net: str, inputs: str, targets: str | None) -> dict:
    """Forward; the explanation with Zennit's conventions; deep Taylor with winner pooling."""
    case = read_case(net, inputs, targets)
    network = to_dtdcore(case.items, case.side)
    operations = {"forward": lambda: network.forward(case.x)}
    if case.targets is not None:
        matched = dtd.LRP(network, zennit_rules(case.items), pooling="winner")
        taylor = dtd.DeepTaylor(network, domain=dtd.Box(LOW, HIGH), pooling="winner")
        operations["explain"] = lambda: matched(case.x, case.targets).relevance
        operations["deep Taylor"] = lambda: taylor(case.x, case.targets).relevance
    return operations
