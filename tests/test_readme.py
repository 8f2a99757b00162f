# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the README says of the code."""

from pathlib import Path

import pytest

from dtdcore.importers.keras import operators as keras_operators
from dtdcore.importers.onnx import operators as onnx_operators
from dtdcore.importers.sklearn import importer as sklearn_importer
from dtdcore.importers.torch import operators as torch_operators

README = Path(__file__).parents[1] / "README.md"


TABLES = {
    "ONNX": onnx_operators.markdown(),
    "PyTorch": torch_operators.markdown(),
    "Keras": keras_operators.markdown(),
    "scikit-learn": sklearn_importer.operators().markdown("scikit-learn"),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_it_has_the_tables_of_what_can_be_imported(table):
    if not README.exists():
        pytest.skip("the tests run without the README")
    assert table in README.read_text(encoding="utf-8"), table
