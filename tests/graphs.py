# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Graphs of layers, for the oracle and for dtdcore, from one description."""

from __future__ import annotations

import numpy as np
import reference as ref

import dtdcore as dtd

#: Rules with the oracle's shares and ε.
SHARES = {
    dtd.Z(): (ref.shares_z, 0.0),
    dtd.Z(bias=False): (lambda x, w, b=None: ref.shares_z(x, w), 0.0),
    dtd.Epsilon(0.2): (ref.shares_z, 0.2),
    dtd.ZPlus(): (lambda x, w, b=None: ref.shares_z_plus(x, w), 0.0),
    dtd.Gamma(0.5): (lambda x, w, b=None: ref.shares_gamma(x, w, b, gamma=0.5), 0.0),
    dtd.WSquare(): (lambda x, w, b=None: ref.shares_w_square(x, w), 0.0),
    dtd.Flat(): (lambda x, w, b=None: ref.shares_flat(x, w), 0.0),
    dtd.ZB(0, 1): (lambda x, w, b=None: ref.shares_z_box(x, w, low=0, high=1), 0.0),
}

MAKE = {
    "Dense": dtd.Dense,
    "Affine": dtd.ChannelAffine,
    "Add": dtd.Add,
    "Concat": dtd.Concat,
    "NeuronPool": dtd.NeuronPool,
    "ReLU": dtd.ReLU,
    "Tanh": dtd.Tanh,
    "Identity": dtd.Identity,
}


def network_of(nodes, inputs=("input",), shapes=None, output=None):
    """The Network for (kind, sources, *arguments); nodes are called n0, n1, … in order.

    Nodes with the same arguments object share one layer.
    """
    names = [*inputs, *(f"n{number}" for number in range(len(nodes)))]
    layers = {}
    items = []
    for number, (kind, sources, *arguments) in enumerate(nodes):
        key = (kind, *map(id, arguments)) if arguments else (kind, number)
        if key not in layers:
            layers[key] = MAKE[kind](*arguments)
        items.append((f"n{number}", layers[key], [names[source] for source in sources]))
    return dtd.Network(items, shapes, None if output is None else names[output])


def weights(rng, dtype, inputs, outputs, bias=-0.05):
    """A dense layer as the method wants it: b ≤ 0."""
    w = (rng.standard_normal((inputs, outputs)) + 0.15).astype(dtype)
    return w, (np.abs(rng.standard_normal(outputs)) * bias).astype(dtype)


def random_graph(rng, dtype, inputs=6, layers=8, bias=-0.05):
    """Dense layers with ReLU, sums, concatenations and pools, on any of the values so far."""
    nodes, widths = [], {0: inputs}
    hidden = []  # values that are ≥ 0 and no input

    def put(kind, sources, width, *arguments):
        nodes.append((kind, tuple(sources), *arguments))
        widths[len(nodes)] = width
        return len(nodes)

    for _ in range(layers):
        choice = rng.integers(4) if len(hidden) > 1 else 0
        some = [int(v) for v in rng.choice([0, *hidden], size=min(3, len(hidden) + 1))]
        if choice <= 1:
            width = int(rng.choice([4, 6]))
            dense = put(
                "Dense", some[:1], width, *weights(rng, dtype, widths[some[0]], width, bias)
            )
            hidden.append(put("ReLU", [dense], width))
        elif choice == 2:
            width = widths[int(rng.choice(hidden))]
            alike = [v for v in hidden if widths[v] == width]
            summands = [int(v) for v in rng.choice(alike, size=int(rng.integers(2, 4)))]
            hidden.append(put("Add", summands, width))
        else:
            some = [*some[1:], hidden[-1]]
            hidden.append(put("Concat", some, sum(widths[v] for v in some)))
    last = put("Dense", hidden[-1:], 3, *weights(rng, dtype, widths[hidden[-1]], 3, bias))
    put("ReLU", [last], 3)
    return nodes


def two_inputs(rng, dtype):
    nodes = [
        ("Dense", (0,), *weights(rng, dtype, 6, 5)),
        ("ReLU", (2,)),
        ("Dense", (1,), *weights(rng, dtype, 4, 5)),
        ("ReLU", (4,)),
        ("Add", (3, 5)),
        ("Concat", (6, 1)),
        ("Dense", (7,), *weights(rng, dtype, 9, 3)),
        ("ReLU", (8,)),
    ]
    network = network_of(nodes, ("image", "table"), {"image": (6,), "table": None})
    x = {"image": rng.random((5, 6)), "table": rng.random((5, 4))}
    return nodes, network, {name: part.astype(dtype) for name, part in x.items()}


def assert_relevance(actual, expected, dtype):
    rtol = 3e-5 if dtype == np.float32 else 1e-12
    scale = np.abs(expected).max(axis=-1, keepdims=True, initial=0)
    assert (np.abs(actual - expected) <= rtol * scale).all()
