# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Dense layers against PyTorch and NumPy: `python bench/dense.py`.

For each shape: the forward pass, the forward pass with z⁺ (a, z), and the relevance pass c with
s = R/z.
"""

from __future__ import annotations

from layers import Case, compare


def name_of(case: Case) -> str:
    """inputs x outputs, batch."""
    return f"{case['inputs']} x {case['outputs']}, {case['batch']}"


def flops_of(case: Case) -> int:
    """Operations of one pass."""
    return 2 * case["inputs"] * case["outputs"] * case["batch"]


def numbers_of(case: Case) -> tuple[int, int]:
    """Weights, and inputs and outputs together."""
    ends = case["inputs"] + case["outputs"]
    return case["inputs"] * case["outputs"], case["batch"] * ends


if __name__ == "__main__":
    compare("dense", __doc__, ["torch", "numpy"], name_of, flops_of, numbers_of)
