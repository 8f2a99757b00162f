# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Keras with a backend that is installed; tests that need it are skipped where there is none."""

from __future__ import annotations

import importlib.util
import os
import warnings

import pytest

# PyTorch first: the others compile each of hundreds of small models.
BACKENDS = [name for name in ("torch", "jax", "tensorflow") if importlib.util.find_spec(name)]
if not BACKENDS:
    pytest.skip("no backend of Keras is installed", allow_module_level=True)
os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what keras and its backend say when they are imported
    keras = pytest.importorskip("keras", reason="keras is not installed (extra keras)")


#: Keras's own, with PyTorch behind it.
QUIET = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def randomised(model, rng):
    """The model with all weights random, variances positive: nothing stays at 0 or 1."""
    for variable in model.variables:
        if "seed" in variable.path or "count" in variable.path:
            continue
        numbers = rng.normal(0, 0.5, tuple(variable.shape))
        variable.assign(abs(numbers) + 0.5 if "variance" in variable.path else numbers)
    return model


def outputs(model, *x):
    """What the model says at inference."""
    result = model(x[0] if len(x) == 1 else list(x), training=False)
    return keras.ops.convert_to_numpy(result)
