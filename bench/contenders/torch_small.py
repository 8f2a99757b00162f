# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch on a one-layer network: z^B for the box [0, 1] by hand, no accounting."""

import torch
from torch.nn.functional import linear

from contenders.arrays import dense_arrays
from contenders.torch_dense import set_threads, versions

__all__ = ["prepare", "set_threads", "versions"]


def prepare(inputs: int, neurons: int) -> dict:
    """The operations: explain one sample, forward one sample."""
    arrays = {k: torch.from_numpy(v) for k, v in dense_arrays(inputs, neurons, 1).items()}
    w, b = arrays["weight"], arrays["bias"]
    x = arrays["x"] / arrays["x"].max()
    negative = w.clamp(max=0)
    positive = w.clamp(min=0)

    def explain_box() -> torch.Tensor:
        a = linear(x, w, b).relu()
        z = linear(x, w) - negative.sum(1)
        s = torch.where(z == 0, 0, a / z)
        return x * (s @ w) - s @ negative

    def explain_positive() -> torch.Tensor:
        a = linear(x, w, b).relu()
        z = linear(x, positive)
        return x * (torch.where(z == 0, 0, a / z) @ positive)

    return {
        "explain z^B": explain_box,
        "explain z+": explain_positive,
        "forward": lambda: linear(x, w, b).relu().sum(1),
    }
