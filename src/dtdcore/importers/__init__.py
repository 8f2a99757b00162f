# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Trained networks from the files and objects of other libraries."""

from dtdcore.importers.keras.importer import from_keras
from dtdcore.importers.onnx.importer import from_onnx
from dtdcore.importers.sklearn.importer import from_sklearn
from dtdcore.importers.torch.importer import from_torch

__all__ = ["from_keras", "from_onnx", "from_sklearn", "from_torch"]
