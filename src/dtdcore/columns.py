# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a user gives by the names of columns, in the order that a network has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dtdcore.domains import Box
from dtdcore.frames import by_name, is_frame, is_series, labels_of, numbers_of

if TYPE_CHECKING:
    from dtdcore.network import Network


def read_tables(network: Network, x: Any) -> Any:
    """`x` with arrays in place of tables, whose columns are put in the network's order.

    Columns are matched by name where `network.feature_names` are known, and taken as they stand
    where not. A network of several inputs that are one number each takes a table with a column for
    each of them.

    Raises
    ------
    ValueError
        If a column is missing or superfluous, two have one name, or a value is missing.
    TypeError
        If columns hold no numbers, or `x` is a single column or row of a table.
    """
    if isinstance(x, Mapping):
        return {key: _read(network, part, f"x[{key!r}]") for key, part in x.items()}
    if len(network.inputs) == 1 or not is_frame(x):
        return _read(network, x, "x")
    shapes = network.input_shape
    if any(shape not in ((), (1,)) for shape in shapes.values()):
        raise TypeError(
            f"x must be a dict with the inputs {', '.join(network.inputs)}: a table will do only "
            "where each of them is one column"
        )
    columns = numbers_of(x, "x", network.dtype, network.inputs).T
    parts = zip(network.inputs, columns, strict=True)
    return {name: part.reshape(-1, *shapes[name]) for name, part in parts}


def _read(network: Network, x: Any, name: str) -> Any:
    """One input."""
    if is_frame(x):
        return numbers_of(x, name, network.dtype, network.feature_names or None)
    if is_series(x) and network.input_shape != ():
        raise TypeError(
            f"{name} is a {type(x).__name__}, and a batch has a row for each sample: give "
            f"{name}.to_frame().T for one sample, {name}.to_frame() for one column"
        )
    return x


def feature_names(network: Network, x: Any) -> tuple[str, ...]:
    """The names of an input's columns: those that the network knows, or those of the table `x`."""
    if type(x) is np.ndarray or network.feature_names or len(network.inputs) > 1:
        return network.feature_names
    if not is_frame(x):
        return ()
    return tuple(map(str, labels_of(x, "x")))


def on_originals(network: Network, given: Any, x: Any, relevance: Any) -> tuple[Any, Any]:
    """Inputs and relevance of an explanation: those of the original columns where x is encoded."""
    if network.encoder is None:
        return x, relevance
    return network.encoder.original(given), network.encoder.sums(relevance)


def named_point(network: Network, value: Any, name: str) -> Any:
    """A root, a baseline or a fill that goes by name, as an array; see `frames.by_name`."""
    if network.encoder is not None:
        return network.encoder.point(value, name)
    return by_name(value, network.feature_names, name)


def named_domain(network: Network, domain: Any) -> Any:
    """A domain (or a dict of them by input) whose boxes that go by name fit the network.

    Raises
    ------
    ValueError
        If a box goes by names that are not those of the network.
    """
    if isinstance(domain, Mapping):
        return {key: named_domain(network, one) for key, one in domain.items()}
    if network.encoder is not None:
        return network.encoder.domain(domain)
    if isinstance(domain, Box) and domain.names is not None:
        return domain.in_order(network.feature_names)
    return domain
