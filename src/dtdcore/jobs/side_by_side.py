# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks with an input for each column of a table, as one that takes the rows."""

from __future__ import annotations

import math

from dtdcore.layers import Reshape, Slice
from dtdcore.network import Network


def side_by_side(network: Network) -> Network:
    """The same network with one input, whose numbers are those of all inputs, side by side.

    Exporters of tables write such networks: each column is an input of shape (1,), and their names
    are those of the columns. The names become `feature_names`. Networks of one input are given back
    as they are.

    Raises
    ------
    ValueError
        If an input is not one number.
    """
    if len(network.inputs) == 1:
        return network
    shapes = network.input_shape
    if any(shape is None or math.prod(shape) != 1 for shape in shapes.values()):
        raise ValueError(
            f"the network has the inputs {', '.join(network.inputs)}: networks of one input can be "
            "explained here, or of inputs that are one number each (choose one with "
            "--input-tensor), others from Python"
        )
    taken = {*network.inputs, *(node.name for node in network.nodes)}
    name = "columns"
    while name in taken:
        name += "_"
    layers: list[tuple] = []
    for place, (column, shape) in enumerate(shapes.items()):
        part = (column, Slice(0, place, place + 1), [name])
        if shape != (1,):
            part = (f"{column}/slice", *part[1:])
            layers += [part, (column, Reshape(shape), [part[0]])]
        else:
            layers.append(part)
    values = [*network.inputs, *(node.name for node in network.nodes)]
    layers += [
        (node.name, node.layer, [values[source] for source in node.sources])
        for node in network.nodes
    ]
    result = Network(layers, {name: (len(shapes),)}, values[network.output])
    result.notes, result.producer = network.notes, network.producer
    result.feature_names, result.class_names = network.inputs, network.class_names
    return result
