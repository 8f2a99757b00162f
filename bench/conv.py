# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions against PyTorch: `python bench/conv.py`.

For each shape: the forward pass, the forward pass with z⁺ (a, z), and the relevance pass c with
s = R/z.
"""

from __future__ import annotations

from layers import Case, compare


def result_side(case: Case) -> int:
    """Pixels along an axis of the output."""
    padding = 2 * (case["kernel"] // 2)
    return (case["side"] + padding - case["kernel"]) // case["stride"] + 1


def name_of(case: Case) -> str:
    """channels -> outputs, kernel / stride @ side, batch."""
    kernel = f"{case['kernel']}x{case['kernel']}" + (
        f"/{case['stride']}" if case["stride"] > 1 else ""
    )
    depthwise = " dw" if case["groups"] > 1 else ""
    ends = f"{case['channels']}->{case['outputs']}"
    return f"{ends} {kernel}{depthwise} @{case['side']}, {case['batch']}"


def flops_of(case: Case) -> int:
    """Operations of one pass: padding counts, as it does in PyTorch's count."""
    taps = case["channels"] // case["groups"] * case["kernel"] ** 2
    return 2 * case["batch"] * case["outputs"] * result_side(case) ** 2 * taps


def numbers_of(case: Case) -> tuple[int, int]:
    """Weights, and inputs and outputs together."""
    weights = case["outputs"] * case["channels"] // case["groups"] * case["kernel"] ** 2
    pixels = case["channels"] * case["side"] ** 2 + case["outputs"] * result_side(case) ** 2
    return weights, case["batch"] * pixels


if __name__ == "__main__":
    compare("conv", __doc__, ["torch"], name_of, flops_of, numbers_of)
