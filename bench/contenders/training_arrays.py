# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The same data and constants of training for every contender."""

import numpy as np

MOMENTUM = 0.9


def training_arrays(inputs: int, neurons: int) -> dict[str, np.ndarray]:
    """float32 samples x in [0, 1], a fifth of them not 0 as in images of digits; targets y."""
    rng = np.random.default_rng(inputs + neurons)
    samples = 2000
    x = rng.random((samples, inputs)) * (rng.random((samples, inputs)) < 0.2)
    return {
        "x": x.astype(np.float32),
        "y": np.where(rng.random(samples) < 0.5, 100, 0).astype(np.float32),
    }


def learning_rate(x: np.ndarray, neurons: int) -> float:
    """A rate that keeps neurons alive."""
    return 0.3 / (neurons * float((x * x).sum(axis=1).mean() + 1))
