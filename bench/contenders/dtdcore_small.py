# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""dtdcore on a one-layer network: the whole call."""

import dtdcore as dtd
from contenders.arrays import dense_arrays
from contenders.dtdcore_dense import set_threads, versions

__all__ = ["prepare", "set_threads", "versions"]


def prepare(inputs: int, neurons: int) -> dict:
    """The operations: explain one sample, forward one sample."""
    arrays = dense_arrays(inputs, neurons, 1)
    x = arrays["x"] / arrays["x"].max()
    net = dtd.Network([dtd.Dense(arrays["weight"].T, arrays["bias"]), dtd.ReLU(), dtd.NeuronPool()])
    box, positive = dtd.DeepTaylor(net, dtd.Box(0, 1)), dtd.DeepTaylor(net, dtd.NonNegative())
    return {
        "explain z^B": lambda: box(x),
        "explain z+": lambda: positive(x),
        "forward": lambda: net.forward(x),
    }
