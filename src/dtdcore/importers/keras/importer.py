# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks from Keras models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dtdcore.importers.keras.graph import check_model, import_keras
from dtdcore.importers.keras.translation import Translation
from dtdcore.importers.keras.verify import verify_network
from dtdcore.importers.notes import ending_notes
from dtdcore.importers.tails import Tail
from dtdcore.network import Network

#: Files that Keras loads.
SUFFIXES = (".keras", ".h5", ".hdf5")


def from_keras(model: Any, verify: bool = True) -> Network:
    """The network in a Keras model.

    Inputs and relevance have the layout of the model, (n, height, width, channels) in most; the
    layers between are channels first. Layers keep the names that they have in Keras: "OUTER/INNER"
    in a nested model, "NAME/relu" for an activation that is an argument, "NAME_2" for the second
    use of a layer. A softmax at the end is left out, with what only chooses or scales its
    numbers, so that explanations start at the logits; `network.notes` and `network.summary()` say
    so. A sigmoid there is kept, and said; but (1 - p, p) becomes minus the logit and the logit.

    Parameters
    ----------
    model : keras.Model
        A Sequential or Functional model of Keras 3 with one output, whatever the backend. Several
        inputs become a dict by their names.
    verify : bool
        Compare the network's forward pass with the model's on random inputs: numbers of a value
        may differ by 1e-4 of its largest absolute number (1e-9 in models of float64, where the
        backend computes in it too; 0.02 where layers compute in float16, which are imported as
        float32). `network.notes` says if nothing was compared, as for models that compute in
        bfloat16.

    Returns
    -------
    Network

    Raises
    ------
    TypeError
        If `model` is no model of Keras 3.
    ValueError
        If the model is a subclassed one, has open sizes, several outputs, or a layer (or an option
        of it) that is not supported, naming the layer; or if the verification fails, naming the
        first layer that differs.
    ImportError
        If the package keras (extra `dtdcore[keras]`) or its backend is missing.
    """
    check_model(model)
    translation = Translation(model)
    tail = Tail(translation.record, translation.run())
    tail.check(translation.title)
    network = translation.network(tail.output)
    verified = verify_network(network, translation, tail.starts) if verify else []
    if tail.left_out:
        network = translation.network(tail.reduced())
    notes = tail.notes(translation.ending)
    notes += ending_notes(network, "import the model without it to start at the logit")
    network.notes = (*notes, *verified)
    return network


def load_keras(path: str | os.PathLike, verify: bool = True) -> Network:
    """The network in a file of Keras: `from_keras` of what Keras loads in safe mode.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError, TypeError, ImportError
        If Keras cannot load the file, or as `from_keras`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    keras = import_keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ValueError(
            f"{path}: Keras cannot load it: {error}. If it holds weights only, make the model, "
            "then model.load_weights(path), and give it to dtdcore.from_keras"
        ) from error
    return from_keras(model, verify)
