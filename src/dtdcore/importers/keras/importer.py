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
from dtdcore.importers.record import sigmoid_notes
from dtdcore.network import Network

#: Files that Keras loads.
SUFFIXES = (".keras", ".h5", ".hdf5")


def from_keras(model: Any, verify: bool = True) -> Network:
    """The network in a Keras model.

    Inputs and relevance have the layout of the model, (n, height, width, channels) in most; the
    layers between are channels first. Layers keep the names that they have in Keras: "OUTER/INNER"
    in a nested model, "NAME/relu" for an activation that is an argument, "NAME_2" for the second
    use of a layer. A softmax at the very end is left out, so that explanations start at the
    logits; `network.notes` and `network.summary()` say so.

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
    network = translation.run()
    notes = list(translation.notes)
    notes += sigmoid_notes(network, "import the model without it to start at the logit")
    if verify:
        notes += verify_network(network, translation)
    network.notes = tuple(notes)
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
        raise ValueError(f"{path}: Keras cannot load it: {error}") from error
    return from_keras(model, verify)
