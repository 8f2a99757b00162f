# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch on one convolution: the forward pass, and z⁺ by hand with W⁺ clamped at each call."""

import torch
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_input

from contenders.arrays import conv_arrays
from contenders.torch_nets import set_threads, versions  # noqa: F401 - the same as there

torch.set_grad_enabled(False)


def prepare(**case: int) -> dict:
    """The operations: forward, z and c by hand."""
    arrays = {k: torch.from_numpy(v) for k, v in conv_arrays(**case).items()}
    x, w, b, relevance = (arrays[k] for k in ("x", "weight", "bias", "relevance"))
    options = {
        "stride": case["stride"],
        "padding": case["kernel"] // 2,
        "groups": case["groups"],
    }

    def z():
        return conv2d(x, w.clamp(min=0), **options)

    fixed = z()
    return {
        "forward": lambda: conv2d(x, w, b, **options),
        "(a, z)": lambda: (conv2d(x, w, b, **options), z()),
        "c": lambda: x * conv2d_input(x.shape, w.clamp(min=0), relevance / fixed, **options),
    }
