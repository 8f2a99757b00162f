# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Blocked images, and rows as long as images, in the core."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref
from kernels import THREADS, bits, core, normal, run_quotient

from dtdcore import _core
from dtdcore.blocked import Blocked, block_size, to_blocked, to_plain

SHAPES = [(1, 1, 1), (2, 7, 5, 3), (1, 8, 9), (2, 16, 4, 4), (3, 17, 31, 37), (1, 33, 2, 3, 4)]
COLUMNS = 200_003  # longer than the chunks of the core, and ragged


@pytest.mark.parametrize("shape", [*SHAPES, (0, 3, 2, 2)])
@pytest.mark.parametrize("lead", [1, 2])
def test_blocked_order(dtype, rng, shape, lead):
    x = normal(rng, dtype, *((3,) * (lead - 1)), *shape)
    image = to_blocked(x, lead)
    assert image.array.tobytes() == ref.blocked(x, block_size(dtype), lead).tobytes()
    assert image.shape == x.shape
    assert image.spatial == x.shape[lead + 1 :]
    assert (image.ndim, len(image), image.dtype) == (x.ndim, len(x), dtype)
    assert to_blocked(image, lead) is image
    assert np.array_equal(to_plain(image), x)
    assert to_plain(x) is x


def test_blocked_order_of_views(dtype, rng):
    x = normal(rng, dtype, 2, 5, 6, 40).transpose(0, 3, 1, 2)
    assert np.array_equal(to_plain(to_blocked(x)), x)


def test_blocked_bits(dtype, rng):
    x = normal(rng, dtype, 3, 35, 61, 67)
    results = set()
    for threads in THREADS:
        _core.set_num_threads(threads)
        image = to_blocked(x)
        results.add((bits(image.array), bits(to_plain(image))))
    assert len(results) == 1


def test_blocked_errors(dtype):
    with pytest.raises(ValueError, match=r"spatial axes to be blocked, got shape \(2, 3\)"):
        to_blocked(np.zeros((2, 3), dtype))
    plain, image = np.zeros((1, 3, 4), dtype), Blocked.empty((1, 3, 5), dtype)
    with pytest.raises(ValueError, match="blocked must have shape"):
        core("image_block", dtype)(plain, image.flat())
    window = (1,) * 23
    with pytest.raises(ValueError, match="window must have 24 numbers, not 23"):
        core("window_pool", dtype)(window, 0, 1.0, image.flat(), image.flat())


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 0.25])
def test_quotient_of_long_rows(dtype, rng, epsilon, biased):
    n, k = 2, 2
    relevance, z = normal(rng, dtype, n, k, COLUMNS), normal(rng, dtype, n, COLUMNS)
    relevance[rng.random(relevance.shape) < 0.3] = 0
    z[rng.random(z.shape) < 0.1] = 0
    bias = np.round(normal(rng, dtype, COLUMNS)) if biased else None
    s, account = run_quotient(dtype, relevance, z, bias, epsilon)
    d = z if bias is None else z + bias
    share = np.zeros_like(z) if bias is None else np.broadcast_to(bias, z.shape)
    expected, push, lost = ref.quotient(relevance, d, np.zeros_like(d), epsilon)
    assert np.all(np.abs(s - expected) <= 4 * np.finfo(dtype).eps * np.abs(expected))
    wide = s.astype(np.float64)
    for column, terms in enumerate((relevance, share[:, None] * wide, push[:, None] * wide, lost)):
        total = np.sum(terms, axis=2, dtype=np.float64)
        room = np.sum(np.abs(terms), axis=2, dtype=np.float64)
        assert np.all(np.abs(account[:, :, column] - total) <= 1e-12 * room)
    for threads in THREADS:
        _core.set_num_threads(threads)
        again, books = run_quotient(dtype, relevance, z, bias, epsilon)
        assert (bits(again), bits(books)) == (bits(s), bits(account))
        again, books = run_quotient(dtype, relevance[1:], z[1:], bias, epsilon)
        assert (bits(again), bits(books)) == (bits(s[1:]), bits(account[1:]))


def test_sums_of_long_rows(dtype, rng):
    x = normal(rng, dtype, 3, COLUMNS)
    found = set()
    for threads in THREADS:
        _core.set_num_threads(threads)
        sums = np.empty(3)
        core("row_sums", dtype)(x, sums)
        one = np.empty(1)
        core("row_sums", dtype)(x[1:2], one)
        assert one[0] == sums[1]
        found.add(bits(sums))
    assert len(found) == 1
    np.testing.assert_allclose(sums, x.sum(axis=1, dtype=np.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("where", [0, 65535, 65536, COLUMNS - 1, COLUMNS, 3 * COLUMNS - 1])
@pytest.mark.parametrize("varies", [False, True])
def test_first_outside_of_long_rows(dtype, rng, where, varies):
    x = rng.uniform(-1, 1, (3, COLUMNS)).astype(dtype)
    low, high = np.array([-1.0], dtype), np.array([1.0], dtype)
    if varies:
        low, high = x.min(axis=0), x.max(axis=0)
    for threads in THREADS:
        _core.set_num_threads(threads)
        assert core("first_outside", dtype)(x, low, high) == x.size
    x.ravel()[where] = np.nan
    x.ravel()[-1] = np.inf  # the first of several
    for threads in THREADS:
        _core.set_num_threads(threads)
        assert core("first_outside", dtype)(x, low, high) == where
