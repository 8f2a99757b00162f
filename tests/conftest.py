# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the tests share: random numbers, thread counts, ragged sizes, error bounds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # for `import reference`, whatever the import mode

# On a busy machine OpenMP threads that spin at barriers make small layers a hundred times slower.
# Read when the core is loaded, so before any test module imports it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Derandomised: a run says the same thing twice, and every machine sees the same examples.
settings.register_profile(
    "dtdcore",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("dtdcore")


#: Files whose tests ask nothing of the core that others do not: its ISA level is all the same.
OUTER = (
    "test_class_labels",
    "test_cli",
    "test_colours",
    "test_constants_joined",
    "test_datasets",
    "test_evaluate",
    "test_experiments",
    "test_explain_",
    "test_explanation_",
    "test_files",
    "test_foreign",
    "test_frames",
    "test_good_guest",
    "test_job",
    "test_keras",
    "test_names",
    "test_onnx",
    "test_other_formats",
    "test_panel_text",
    "test_peers",
    "test_plot",
    "test_preprocessing",
    "test_readme",
    "test_sklearn",
    "test_tabular",
    "test_tails",
    "test_torch",
)


def pytest_collection_modifyitems(items):
    """Mark the tests of these files: `-m "not outer"` leaves them out."""
    for item in items:
        if item.path.name.startswith(OUTER):
            item.add_marker(pytest.mark.outer)


@pytest.fixture
def rng():
    return np.random.default_rng(20170501)


@pytest.fixture(autouse=True)
def restore_threads():
    """Every test ends with the thread count with which it began."""
    from dtdcore import _core

    before = _core.get_num_threads()
    yield
    if _core.get_num_threads() != before:
        _core.set_num_threads(before)


@pytest.fixture(params=["f32", "f64"])
def dtype(request):
    return {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}[request.param]
