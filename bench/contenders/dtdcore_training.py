# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""dtdcore: the whole call of `fit`, from random weights on."""

from contenders.dtdcore_dense import set_threads, versions
from contenders.training_arrays import MOMENTUM, learning_rate, training_arrays
from dtdcore.training import DetectionPoolingNet

__all__ = ["prepare", "set_threads", "versions"]


def prepare(inputs: int, neurons: int, batch: int, iterations: int) -> dict:
    """The operations: train for so many iterations."""
    arrays = training_arrays(inputs, neurons)
    net = DetectionPoolingNet(
        [(neurons, None)],
        learning_rate=learning_rate(arrays["x"], neurons),
        momentum=MOMENTUM,
        iterations=iterations,
        batch_size=batch,
        weight_scale=2,
        progress=False,
    )
    return {"fit": lambda: net.fit(arrays["x"], arrays["y"])}
