# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""dtdcore on one convolution: z⁺ as the explainers run it, images in blocks."""

import numpy as np

import dtdcore as dtd
from contenders.arrays import conv_arrays
from contenders.dtdcore_dense import set_threads, versions  # noqa: F401 - the same as there
from dtdcore.blocked import to_blocked


def prepare(**case: int) -> dict:
    """The operations: forward, (a, z) in one pass, relevance with s = R/z."""
    arrays = conv_arrays(**case)
    kernel, stride, groups = case["kernel"], case["stride"], case["groups"]
    layer = dtd.Conv(
        arrays["weight"], arrays["bias"], stride=stride, padding=kernel // 2, groups=groups
    )
    plain = layer.step(None, np.dtype(np.float32))
    step = layer.step(dtd.ZPlus(), np.dtype(np.float32))
    x = to_blocked(arrays["x"])
    relevance = to_blocked(arrays["relevance"][:, None], 2)
    _, saved = step.trace(x)
    account = np.zeros((case["batch"], 1, 4))
    return {
        "forward": lambda: plain.forward(x),
        "(a, z)": lambda: step.trace(x),
        "c": lambda: step.redistribute(saved, relevance, account),
    }
