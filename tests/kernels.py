# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Calls into the core, and the bounds of its errors, shared by test_core*.py.

The stated bounds. Errors are measured against the sum of the absolute values of what was summed:
in float64 they stay below 1e-12 of it, in float32 below FLOAT32_CONSTANT * 2^-23 * sqrt(K) for sums
of K terms.
"""

from __future__ import annotations

import numpy as np

from dtdcore import _core

FLOAT32_CONSTANT = 1.0
THREADS = (1, 2, 3)
VECTORS = {"base": 16, "x86-64-v3": 32, "x86-64-v4": 64}  # bytes in a vector register

#: (p+, p-, n+, n-) and whether there are low and high.
TERMS = {
    "Z": ((1, 1, 1, 1), False),
    "ZPlus": ((1, 0, 0, 1), False),
    "ZB": ((1, 1, 1, 1), True),
    "Gamma": ((1.25, 1.25, 1, 1), False),
    "GammaUp": ((1.25, 1, 1, 1.25), False),
    "GammaDown": ((1, 1.25, 1.25, 1), False),
    "BetaPart": ((0, 1, 1, 0), False),
    "Direction": ((0, 0, 0, 0), True),
    # No rule's, but the kernel takes any four numbers, and looks for those that make work shorter.
    "positive inputs": ((1, 0, 0, 0), False),
    "leaky": ((1, 0.5, 1, 0.5), False),
    "any": ((1.25, 0.5, 1.25, -0.75), False),
}


def core(name, dtype):
    return getattr(_core, f"{name}_f{8 * dtype.itemsize}")


def ragged(dtype):
    """0, 1, VL - 1, VL, VL + 1, 2 VL + 3 of the running level, and primes."""
    vl = VECTORS[_core.config()["isa"]] // dtype.itemsize
    return sorted({0, 1, vl - 1, vl, vl + 1, 2 * vl + 3, 61})


def tolerance(dtype, terms):
    """Largest error allowed, as a fraction of the sum of absolute values of `terms` products."""
    if dtype == np.float64:
        return 1e-12
    return FLOAT32_CONSTANT * 2.0**-23 * np.sqrt(max(terms, 1))


def assert_close(actual, expected, scale, fraction):
    assert np.isfinite(actual).all()
    error = np.abs(actual.astype(np.float64) - expected)
    tiny = np.finfo(actual.dtype).tiny
    worst = np.max(error / (scale + tiny), initial=0.0)
    assert worst <= fraction, (
        f"error {worst:.3g} of the sum of absolute values, {fraction:.3g} allowed"
    )


def bits(array):
    return np.ascontiguousarray(array).tobytes()


def normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


def case(rng, dtype, n, outputs, inputs):
    """x with exact zeros, weights, and a box around x."""
    x = normal(rng, dtype, n, inputs)
    x[rng.random(x.shape) < 0.2] = 0
    low = np.minimum(x.min(axis=0, initial=0), 0) - dtype.type(0.5)
    high = np.maximum(x.max(axis=0, initial=0), 0) + dtype.type(0.25)
    return x, normal(rng, dtype, outputs, inputs), normal(rng, dtype, outputs), low, high


def sparse(rng, dtype, *shape):
    """s with whole and scattered zeros, as ReLU networks have it."""
    s = normal(rng, dtype, *shape)
    s[rng.random(shape) < 0.6] = 0
    if s.size:
        s[..., 0] = 0
    return s


def run_quotient(dtype, relevance, z, bias=None, epsilon=0.0, limit=None):
    n, k, _ = relevance.shape
    limit = float(np.finfo(dtype).max) if limit is None else limit
    s, account = np.full_like(relevance, np.nan), np.zeros((n, k, 4))
    core("quotient", dtype)(relevance, z, bias, epsilon, limit, s, account)
    return s, account
