# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch on one dense layer: the forward pass, and z⁺ by hand with W⁺ clamped at each call."""

import torch
from torch.nn.functional import linear

from contenders.arrays import dense_arrays

torch.set_grad_enabled(False)


def versions() -> dict:
    """What runs."""
    return {"torch": torch.__version__, "threads": torch.get_num_threads()}


def set_threads(threads: int) -> None:
    """Use so many threads."""
    torch.set_num_threads(threads)


def prepare(inputs: int, outputs: int, batch: int) -> dict:
    """The operations: forward, z and c by hand."""
    arrays = {k: torch.from_numpy(v) for k, v in dense_arrays(inputs, outputs, batch).items()}
    x, w, b, relevance = (arrays[k] for k in ("x", "weight", "bias", "relevance"))
    z = linear(x, w.clamp(min=0))
    return {
        "forward": lambda: linear(x, w, b),
        "(a, z)": lambda: (linear(x, w, b), linear(x, w.clamp(min=0))),
        "c": lambda: x * ((relevance / z) @ w.clamp(min=0)),
    }
