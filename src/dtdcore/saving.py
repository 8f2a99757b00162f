# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks in files: arrays and JSON in an .npz, no pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dtdcore import layers as layer_module
from dtdcore.files import read_npz, write_npz
from dtdcore.layers import Layer

if TYPE_CHECKING:
    from dtdcore.network import Network

#: Version of the file format.
FORMAT = 2


def write(network: Network, path: str | os.PathLike) -> Path:
    """Write a network to an .npz file: see `Network.save`."""
    if network.encoder is not None:
        raise ValueError(
            "a network that encodes the columns of a table cannot be saved: save the estimator "
            "(skops, joblib) and import it again, or save network.behind_encoder"
        )
    names = [*network.inputs, *(node.name for node in network.nodes)]
    by_name = network.input_shape
    shapes = by_name if isinstance(by_name, dict) else {network.inputs[0]: by_name}
    arrays: dict[str, np.ndarray] = {}
    first: dict[int, str] = {}
    for node in network.nodes:
        holder = first.setdefault(id(node.layer), node.name)
        if holder == node.name:
            parts = node.layer.arrays()
            arrays |= {f"{node.name}/{name}": array for name, array in parts.items()}
    structure = {
        "format": FORMAT,
        "inputs": [[name, shapes[name]] for name in network.inputs],
        "output": names[network.output],
        "notes": list(network.said),
        "producer": network.producer,
        "feature_names": list(network.feature_names),
        "class_names": list(network.class_names),
        "layers": [
            {"name": node.name, "sources": [names[source] for source in node.sources]}
            | (
                {
                    "type": _type_name(type(node.layer)),
                    "options": node.layer.options(),
                    "arrays": sorted(node.layer.arrays()),
                }
                if first[id(node.layer)] == node.name
                else {"same": first[id(node.layer)]}
            )
            for node in network.nodes
        ],
    }
    return write_npz(path, dtdcore_network=np.array(json.dumps(structure)), **arrays)


def read(path: str | os.PathLike, make: Callable[..., Network]) -> Network:
    """The network of a file that `write` made; `make` is called as `Network`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds something else, or layers of classes that are not ours.
    """
    path = Path(path)
    content = read_npz(path, "network")
    if "dtdcore_network" not in content:
        kind = "an explanation" if "relevance" in content else f"the arrays {sorted(content)}"
        raise ValueError(f"{path} is no network saved by dtdcore: it holds {kind}")
    try:
        structure = json.loads(str(content["dtdcore_network"]))
        if structure["format"] not in (1, FORMAT):
            raise ValueError(
                f"{path} has the file format {structure['format']}, this version reads 1 and "
                f"{FORMAT}"
            )
        known: dict[str, Layer] = {}
        for entry in structure["layers"]:
            same = entry.get("same")
            known[entry["name"]] = known[same] if same else _read_layer(entry, content, path)
        if structure["format"] == 1:  # chains only
            shape = structure["input_shape"]
            return make(list(known.items()), None if shape is None else tuple(shape))
        layers = [(e["name"], known[e["name"]], e["sources"]) for e in structure["layers"]]
        shapes = {name: None if s is None else tuple(s) for name, s in structure["inputs"]}
        network = make(layers, shapes, structure["output"])
        network.notes = tuple(map(str, structure.get("notes", ())))
        network.producer = str(structure.get("producer", ""))
        network.feature_names = tuple(map(str, structure.get("feature_names", ())))
        network.class_names = tuple(map(str, structure.get("class_names", ())))
        return network
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no network saved by dtdcore: {error!r}") from None


def _type_name(layer_type: type[Layer]) -> str:
    """The name of one of our layers; of a class of the user's own "module:class"."""
    name = layer_type.__name__
    ours = getattr(layer_module, name, None) is layer_type
    return name if ours else f"{layer_type.__module__}:{layer_type.__qualname__}"


def _read_layer(entry: dict[str, Any], content: dict[str, np.ndarray], path: Path) -> Layer:
    module, colon, name = entry["type"].partition(":")
    if colon:
        raise ValueError(
            f"{path} needs the class {name} of the module {module} for its layer "
            f"{entry['name']}: the file holds numbers, no code. Make the network in Python, with "
            f"{name} from {module}, and keep its weights as arrays"
        )
    layer_type = getattr(layer_module, entry["type"], None)
    if not (
        isinstance(layer_type, type)
        and issubclass(layer_type, Layer)
        and layer_type is not Layer
        and not entry["type"].startswith("_")
    ):
        raise ValueError(f"layer {entry['name']} has the unknown type {entry['type']!r}")
    arrays = {name: content[f"{entry['name']}/{name}"] for name in entry["arrays"]}
    return layer_type(**arrays, **entry["options"])
