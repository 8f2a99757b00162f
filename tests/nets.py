# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Random networks as the method wants them, for the oracle and for dtdcore."""

from __future__ import annotations

import numpy as np

import dtdcore as dtd

#: (inputs, outputs, pool as (size, p) or None) of each layer.
DEPTHS = {
    "1 layer": [(12, 8, None)],
    "1 layer, pool": [(12, 8, (None, 1))],
    "2 layers": [(12, 10, None), (10, 3, None)],
    "3 layers, pools": [(12, 20, (2, 1)), (10, 12, (3, 2)), (4, 5, None)],
    "4 layers": [(12, 9, None), (9, 16, (4, np.inf)), (4, 6, None), (6, 4, (2, 1))],
}


def build(rng, dtype, shapes, bias=-0.05):
    """Oracle layers and the Network, with ReLU after each dense layer; |b| random times `bias`."""
    oracle = []
    for inputs, outputs, pool in shapes:
        w = (rng.standard_normal((inputs, outputs)) + 0.15).astype(dtype)
        b = (np.abs(rng.standard_normal(outputs)) * bias).astype(dtype)
        oracle += [("Dense", w, b), ("ReLU",)]
        oracle += [] if pool is None else [("NeuronPool", *pool)]
    make = {"Dense": dtd.Dense, "ReLU": dtd.ReLU, "NeuronPool": dtd.NeuronPool}
    return oracle, dtd.Network([make[kind](*arguments) for kind, *arguments in oracle])


def inputs_in(rng, dtype, domain, n=6, size=12):
    low, high = {"reals": (-1, 1), "nonnegative": (0, 2)}.get(domain, domain)
    x = rng.uniform(low, high, (n, size))
    x[0, :3] = max(low, -1), min(high, 2), 0
    return x.astype(dtype)
