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


@pytest.mark.parametrize(
    ("title", "module"),
    [
        ("ONNX", onnx_operators),
        ("PyTorch", torch_operators),
        ("Keras", keras_operators),
        ("scikit-learn", sklearn_importer),
    ],
)
def test_it_has_the_tables_of_what_can_be_imported(title, module):
    if not README.exists():
        pytest.skip("the tests run without the README")
    table = module.operators().markdown(title)
    assert table in README.read_text(encoding="utf-8"), table
