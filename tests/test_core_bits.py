# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The core gives the same bits for any number of threads, any split of the batch and any k."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kernels import TERMS, THREADS, bits, case, core, normal, ragged, run_quotient, sparse

from dtdcore import _core

GROUP = 7
#: n, k, outputs (in groups of 7), inputs: each longer than the kernels' blocks in one of its sizes.
CASES = {
    "square": (37, 2, 371, 1039),
    "many inputs": (9, 1, 133, 9001),
    "many outputs": (5, 1, 3003, 67),
    "many samples": (301, 1, 70, 131),
    "many targets": (3, 150, 70, 131),
}


def big_case(rng, dtype, name):
    """Only samples in the middle of the batch have negative inputs, and some neurons are silent.

    The kernels may take a shorter way where no input, or no s, is negative or not 0.
    """
    n, k, outputs, inputs = CASES[name]
    x, w, b, low, high = case(rng, dtype, n, outputs, inputs)
    x[: n // 2] = np.abs(x[: n // 2])
    x[-n // 4 :] = np.abs(x[-n // 4 :])
    s = sparse(rng, dtype, n, k, outputs)
    s[n // 3] = 0
    return x, w, b, low, high, s, normal(rng, dtype, n, k, outputs // GROUP)


def everything(dtype, x, w, b, low, high, s, g):
    """All results for a batch, each with the batch axis first."""
    n, k, outputs = s.shape
    inputs = x.shape[1]
    results = {}
    a = np.empty((n, outputs), dtype)
    core("dense_forward", dtype)(x, w, b, a)
    results["forward"] = a.copy()
    for term, (coefficients, boxed) in TERMS.items():
        bounds = (low, high) if boxed else (None, None)
        z, alone, r = *np.empty((2, n, outputs), dtype), np.empty((n, k, inputs), dtype)
        core("dense_forward_z", dtype)(x, w, b, coefficients, *bounds, a, z)
        core("dense_forward_z", dtype)(x, w, None, coefficients, *bounds, None, alone)
        core("dense_redistribute", dtype)(x, w, coefficients, *bounds, s, 0, r)
        results |= {f"z {term}": z, f"z alone {term}": alone, f"redistribute {term}": r.copy()}
        core("dense_redistribute", dtype)(x, w, coefficients, *bounds, s[..., ::-1].copy(), 1, r)
        results[f"accumulate {term}"] = r
        results[f"a with z {term}"] = a.copy()
    quotient, account = run_quotient(dtype, s, results["z ZPlus"], b, 0.01)
    results["quotient"], results["account"] = quotient, account
    flat = np.ascontiguousarray(s.reshape(n * k, outputs))
    for name in ("dense_gradient", "dense_redistribute_square"):
        r = np.empty((n * k, inputs), dtype)
        core(name, dtype)(w, flat, r)
        results[name] = r.reshape(n, k, inputs)
    sums = np.empty(n)
    core("row_sums", dtype)(x, sums)
    results["row sums"] = sums
    return results | pools(dtype, a, g)


def pools(dtype, x, g):
    n, k, groups = g.shape
    y, gx = np.empty((n, groups), dtype), np.empty((n, k, groups * GROUP), dtype)
    core("pool_forward", dtype)(x, GROUP, 2.5, y)
    core("pool_gradient", dtype)(x, y, GROUP, 2.5, g, gx)
    r, account = np.empty_like(gx), np.zeros((n, k, 4))
    core("pool_redistribute", dtype)(x, GROUP, 0, g, r, account)
    return {"pool": y, "pool gradient": gx, "pool redistribute": r, "pool account": account}


def assert_same(results, expected, part, where):
    for name, result in results.items():
        assert bits(result) == bits(expected[name][part]), f"{name}, {where}"


@pytest.mark.parametrize("name", CASES)
def test_same_bits_for_any_number_of_threads(dtype, rng, name):
    arrays = big_case(rng, dtype, name)
    _core.set_num_threads(1)
    expected = everything(dtype, *arrays)
    for threads in THREADS[1:]:
        _core.set_num_threads(threads)
        assert_same(everything(dtype, *arrays), expected, slice(None), f"{threads} threads")


@pytest.mark.parametrize("name", CASES)
def test_same_bits_for_any_split_of_the_batch(dtype, rng, name):
    x, w, b, *bounds, s, g = big_case(rng, dtype, name)
    n = len(x)
    expected = everything(dtype, x, w, b, *bounds, s, g)
    cuts = [0, 1, 2, 5, 12, 26, 27, n // 2, n - n // 4, n - 1, n] if n > 30 else range(n + 1)
    for start, stop in itertools.pairwise(cuts):
        part = slice(start, stop)
        results = everything(dtype, x[part], w, b, *bounds, s[part], g[part])
        assert_same(results, expected, part, f"samples {start} to {stop}")


def test_same_bits_for_each_sample_alone(dtype, rng):
    """One sample at a time has kernels of its own."""
    x, w, b, *bounds, s, g = big_case(rng, dtype, "square")
    expected = everything(dtype, x, w, b, *bounds, s, g)
    for n in range(len(x)):
        part = slice(n, n + 1)
        results = everything(dtype, x[part], w, b, *bounds, s[part], g[part])
        assert_same(results, expected, part, f"sample {n}")


def test_same_bits_for_small_layers_whatever_the_batch(dtype, rng):
    for outputs in (GROUP, 3 * GROUP):
        for inputs in ragged(dtype)[1:]:
            x, w, b, low, high = case(rng, dtype, 16, outputs, inputs)
            s, g = sparse(rng, dtype, 16, 1, outputs), normal(rng, dtype, 16, 1, outputs // GROUP)
            expected = everything(dtype, x, w, b, low, high, s, g)
            for part in (slice(0, 1), slice(1, 3), slice(5, 16)):
                results = everything(dtype, x[part], w, b, low, high, s[part], g[part])
                assert_same(results, expected, part, f"{inputs} -> {outputs}, samples {part}")


def test_targets_of_one_call_are_the_targets_of_single_calls(dtype, rng):
    x, w, b, *bounds, s, g = big_case(rng, dtype, "many targets")
    together = everything(dtype, x, w, b, *bounds, s, g)
    for k in (0, 1, 77, 149):
        one = everything(dtype, x, w, b, *bounds, s[:, k : k + 1].copy(), g[:, k : k + 1].copy())
        for name, result in one.items():
            if result.ndim == 3:
                expected = together[name][:, k : k + 1]
                assert bits(result) == bits(expected), f"{name}, target {k}"


def test_weights_do_not_depend_on_the_number_of_threads(dtype, rng):
    """Square sums, and the weight gradient, which sums over the batch."""
    x, g = normal(rng, dtype, 23, 1039), sparse(rng, dtype, 23, 371)
    w = normal(rng, dtype, 701, 1039)
    results = []
    for threads in THREADS:
        _core.set_num_threads(threads)
        gw, gb, z = np.empty((371, 1039), dtype), np.empty(371, dtype), np.empty(701, dtype)
        core("dense_weight_gradient", dtype)(x, g, gw, gb)
        core("dense_square_sums", dtype)(w, z)
        results.append((bits(gw), bits(gb), bits(z)))
    assert results[1:] == results[:1] * 2


def test_elementwise_work_large_enough_for_threads(dtype, rng):
    """Quotients, sums and pools of more than 2^18 numbers."""
    n, outputs = 300, 1400
    relevance, z, b = normal(rng, dtype, n, 1, outputs), normal(rng, dtype, n, outputs), None
    g = normal(rng, dtype, n, 1, outputs // GROUP)
    results = []
    for threads in THREADS:
        _core.set_num_threads(threads)
        s, account = run_quotient(dtype, relevance, z, b)
        sums = np.empty(n)
        core("row_sums", dtype)(z, sums)
        results.append([bits(a) for a in (s, account, sums, *pools(dtype, z, g).values())])
    assert results[1:] == results[:1] * 2
