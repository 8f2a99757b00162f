# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""dtdcore on trained networks from ONNX files: forward, and deep Taylor with both poolings."""

import numpy as np

import dtdcore as dtd
from contenders.dtdcore_dense import set_threads, versions  # noqa: F401 - the same as there
from real_inputs import preprocessing


def prepare(net: str, model: str, inputs: str) -> dict:
    """The explanations with audit and checks, of the largest output."""
    network = dtd.load(model, verify=False)
    x, domain = np.load(inputs), preprocessing(net).domain()
    operations = {"forward": lambda: network.forward(x)}
    for pooling in ("proportional", "winner"):
        explain = dtd.DeepTaylor(network, domain, pooling=pooling)
        operations[pooling] = lambda explain=explain: explain(x).relevance
    return operations
