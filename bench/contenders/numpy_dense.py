# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""NumPy on one dense layer, by hand with W⁺ clamped at each call."""

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from contenders.arrays import dense_arrays


def versions() -> dict:
    """What runs."""
    blas = [f"{pool['internal_api']} {pool['version']}" for pool in threadpool_info()]
    return {"numpy": np.__version__, "blas": ", ".join(blas)}


def set_threads(threads: int) -> None:
    """Use so many threads."""
    threadpool_limits(threads)


def prepare(inputs: int, outputs: int, batch: int) -> dict:
    """The operations: forward, z and c by hand."""
    arrays = dense_arrays(inputs, outputs, batch)
    x, w, b, relevance = (arrays[k] for k in ("x", "weight", "bias", "relevance"))
    z = x @ np.maximum(w, 0).T
    return {
        "forward": lambda: x @ w.T + b,
        "(a, z)": lambda: (x @ w.T + b, x @ np.maximum(w, 0).T),
        "c": lambda: x * ((relevance / z) @ np.maximum(w, 0)),
    }
