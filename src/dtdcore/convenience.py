# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One call to read a network from a file, one for a heatmap."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dtdcore.deep_taylor import DeepTaylor
from dtdcore.explanation import Explanation
from dtdcore.importers import from_onnx
from dtdcore.importers.keras.importer import SUFFIXES, load_keras
from dtdcore.network import Network
from dtdcore.network import load as load_saved
from dtdcore.other_formats import check_format


def load(path: str | os.PathLike, **options: Any) -> Network:
    """Read a network from a file: that of `Network.save`, an ONNX model, or a Keras model.

    Keras models (.keras, .h5) are loaded in Keras's safe mode: code in the file is not run.

    Parameters
    ----------
    path : path
    **options
        For `from_onnx`: `inputs`, `outputs`, `verify`; for `from_keras`: `verify`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds something else (see `from_onnx` and `from_keras`), or is of
        another format: the error says how to convert it. Files of PyTorch and pickles, which may
        run code, are not opened: see `from_torch` and `from_sklearn`.
    TypeError
        If there are options for a file that takes none.
    """
    check_format(Path(path))
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        return from_onnx(path, **options)
    if suffix in SUFFIXES:
        return load_keras(path, **options)
    if options:
        raise TypeError(
            f"{path} takes no options {', '.join(options)}: it is no .onnx, .keras or .h5 file"
        )
    return load_saved(path)


def explain(
    network: Network | str | os.PathLike,
    x: Any,
    target: Any = None,
    *,
    relevance: Any = None,
    node: str | None = None,
    layers: Sequence[str] | str | None = None,
    **options: Any,
) -> Explanation:
    """Explain a batch by deep Taylor decomposition, in one call.

    Parameters
    ----------
    network : Network or path
        A path is read by `dtdcore.load`.
    x : array (n, *input shape)
    target, relevance, node, layers
        As in a call of `DeepTaylor`.
    **options
        For `DeepTaylor`: `domain`, `pooling`, `strict`, and so on. To explain many batches make
        the explainer once.

    Returns
    -------
    Explanation

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    """
    if not isinstance(network, Network):
        network = load(network)
    explainer = DeepTaylor(network, **options)
    return explainer(x, target, relevance=relevance, node=node, layers=layers)
