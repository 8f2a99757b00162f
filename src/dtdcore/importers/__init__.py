# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Trained networks from the files and objects of other libraries."""

from dtdcore.importers.onnx_importer import from_onnx
from dtdcore.importers.sklearn_importer import from_sklearn

__all__ = ["from_onnx", "from_sklearn"]
