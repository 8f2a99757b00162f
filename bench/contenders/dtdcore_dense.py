# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""dtdcore on one dense layer: z⁺ as the explainers run it."""

import numpy as np

import dtdcore as dtd
from contenders.arrays import dense_arrays


def versions() -> dict:
    """What runs."""
    return dtd.runtime.config()


def set_threads(threads: int) -> None:
    """Use so many threads."""
    dtd.set_num_threads(threads)


def prepare(inputs: int, outputs: int, batch: int) -> dict:
    """The operations: forward, (a, z) in one pass, relevance with s = R/z."""
    arrays = dense_arrays(inputs, outputs, batch)
    layer = dtd.Dense(arrays["weight"].T, arrays["bias"])
    plain = layer.step(None, np.dtype(np.float32))
    step = layer.step(dtd.ZPlus(), np.dtype(np.float32))
    x, relevance = arrays["x"], arrays["relevance"][:, None]
    _, saved = step.trace(x)
    account = np.zeros((batch, 1, 4))
    return {
        "forward": lambda: plain.forward(x),
        "(a, z)": lambda: step.trace(x),
        "c": lambda: step.redistribute(saved, relevance, account),
    }
