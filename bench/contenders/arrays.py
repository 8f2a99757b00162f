# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The same random layer for every contender."""

import numpy as np


def dense_arrays(inputs: int, outputs: int, batch: int) -> dict[str, np.ndarray]:
    """float32 inputs x ≥ 0, weight (outputs, inputs), bias ≤ 0 and relevance ≥ 0 of a layer.

    A third of the x are 0, as behind a ReLU; no relevance is.
    """
    rng = np.random.default_rng(inputs + outputs + batch)
    return {
        "x": np.maximum(rng.standard_normal((batch, inputs)) + 0.43, 0).astype(np.float32),
        "weight": (rng.standard_normal((outputs, inputs)) / inputs**0.5).astype(np.float32),
        "bias": -np.abs(rng.standard_normal(outputs)).astype(np.float32) / 10,
        "relevance": rng.random((batch, outputs), np.float32) + np.float32(0.1),
    }


def conv_arrays(
    channels: int, outputs: int, kernel: int, stride: int, side: int, groups: int, batch: int
) -> dict[str, np.ndarray]:
    """float32 inputs, weight, bias and relevance of a convolution with padding kernel // 2."""
    rng = np.random.default_rng(channels + outputs + kernel + stride + side + batch)
    inputs = channels // groups
    result = (side + 2 * (kernel // 2) - kernel) // stride + 1
    shape = (outputs, inputs, kernel, kernel)
    fan_in = inputs * kernel * kernel
    return {
        "x": np.maximum(rng.standard_normal((batch, channels, side, side), np.float32) + 0.43, 0),
        "weight": rng.standard_normal(shape, np.float32) / np.float32(fan_in**0.5),
        "bias": -np.abs(rng.standard_normal(outputs, np.float32)) / 10,
        "relevance": rng.random((batch, outputs, result, result), np.float32) + np.float32(0.1),
    }
