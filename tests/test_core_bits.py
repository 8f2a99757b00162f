# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The core gives the same bits for any number of threads, any split of the batch and any k."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import SPLITS, TERMS, THREADS, bits, case, core, normal, ragged, run_quotient, sparse

from dtdcore import _core


def everything(dtype, x, w, b, low, high, s, g):
    """All dense results for a batch, each with the batch axis first."""
    n, k, outputs = s.shape
    inputs = x.shape[1]
    results = {}
    a = np.empty((n, outputs), dtype)
    core("dense_forward", dtype)(x, w, b, a)
    results["forward"] = a
    for term, (coefficients, boxed) in TERMS.items():
        bounds = (low, high) if boxed else (None, None)
        z, r = np.empty((n, outputs), dtype), np.empty((n, k, inputs), dtype)
        core("dense_forward_z", dtype)(x, w, b, coefficients, *bounds, a, z)
        core("dense_redistribute", dtype)(x, w, coefficients, *bounds, s, 0, r)
        results[f"z {term}"], results[f"redistribute {term}"] = z, r
    z = results["z ZPlus"]
    quotient, account = run_quotient(dtype, s, z, b, 0.01)
    results["quotient"], results["account"] = quotient, account
    flat = np.ascontiguousarray(s.reshape(n * k, outputs))
    for name in ("dense_gradient", "dense_redistribute_square"):
        r = np.empty((n * k, inputs), dtype)
        core(name, dtype)(w, flat, r)
        results[name] = r.reshape(n, k, inputs)
    sums = np.empty(n)
    core("row_sums", dtype)(x, sums)
    results["row sums"] = sums
    pooled = np.empty((n, outputs // 7), dtype)
    core("pool_forward", dtype)(a, 7, 2.0, pooled)
    r, account = np.empty((n, 1, outputs), dtype), np.zeros((n, 1, 4))
    core("pool_redistribute", dtype)(a, 7, 0, g, r, account)
    results["pool"], results["pool redistribute"], results["pool account"] = pooled, r, account
    return results


def big_case(rng, dtype, n=37, outputs=371, inputs=1039, k=2):
    x, w, b, low, high = case(rng, dtype, n, outputs, inputs)
    return x, w, b, low, high, sparse(rng, dtype, n, k, outputs), normal(rng, dtype, n, 1, 53)


def test_same_bits_for_any_number_of_threads(dtype, rng):
    arrays = big_case(rng, dtype)
    _core.set_num_threads(1)
    expected = everything(dtype, *arrays)
    for threads in THREADS[1:]:
        _core.set_num_threads(threads)
        for name, result in everything(dtype, *arrays).items():
            assert bits(result) == bits(expected[name]), f"{name}, {threads} threads"


@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_same_bits_for_any_split_of_the_batch(dtype, rng, split):
    x, w, b, low, high, s, g = big_case(rng, dtype)
    assert sum(split) == len(x)
    expected = everything(dtype, x, w, b, low, high, s, g)
    start = 0
    for size in split:
        part = slice(start, start + size)
        for name, result in everything(dtype, x[part], w, b, low, high, s[part], g[part]).items():
            assert bits(result) == bits(expected[name][part]), f"{name}, samples {part}"
        start += size


def test_same_bits_for_small_layers_whatever_the_batch(dtype, rng):
    """The small sizes have paths of their own."""
    for outputs in ragged(dtype)[1:]:
        for inputs in ragged(dtype)[1:]:
            x, w, b, low, high, s, g = big_case(rng, dtype, 16, outputs, inputs, 1)
            g = np.ascontiguousarray(g[:, :, : outputs // 7])
            usable = outputs - outputs % 7
            if usable == 0:
                continue
            w, b, s = w[:usable], b[:usable], np.ascontiguousarray(s[:, :, :usable])
            expected = everything(dtype, x, w, b, low, high, s, g)
            for part in (slice(0, 1), slice(1, 3), slice(5, 16)):
                split = everything(dtype, x[part], w, b, low, high, s[part], g[part])
                for name, result in split.items():
                    where = f"{name}, {inputs} -> {usable}, samples {part}"
                    assert bits(result) == bits(expected[name][part]), where


def test_targets_of_one_call_are_the_targets_of_single_calls(dtype, rng):
    x, w, _, low, high, s, _ = big_case(rng, dtype, n=6, k=3)
    for coefficients, boxed in TERMS.values():
        bounds = (low, high) if boxed else (None, None)
        together, alone = np.empty((6, 3, x.shape[1]), dtype), np.empty((6, 1, x.shape[1]), dtype)
        core("dense_redistribute", dtype)(x, w, coefficients, *bounds, s, 0, together)
        for target in range(3):
            one = np.ascontiguousarray(s[:, target : target + 1])
            core("dense_redistribute", dtype)(x, w, coefficients, *bounds, one, 0, alone)
            assert bits(alone) == bits(together[:, target : target + 1])


def test_weight_gradient_has_the_same_bits_for_any_number_of_threads(dtype, rng):
    x, g = normal(rng, dtype, 23, 1039), sparse(rng, dtype, 23, 371)
    results = []
    for threads in THREADS:
        _core.set_num_threads(threads)
        gw, gb = np.empty((371, 1039), dtype), np.empty(371, dtype)
        core("dense_weight_gradient", dtype)(x, g, gw, gb)
        results.append((bits(gw), bits(gb)))
    assert results[1:] == results[:1] * 2
