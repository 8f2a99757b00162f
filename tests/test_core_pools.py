# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Pools and the search for values out of bounds in the core, against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref
from kernels import assert_close, core, normal

POWERS = (1.0, 2.0, 2.5, 3.0, 7.0, np.inf)


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize(("groups", "size"), [(1, 1), (3, 4), (2, 17), (1, 61), (5, 1), (0, 3)])
def test_pool(dtype, rng, p, groups, size):
    eps = float(np.finfo(dtype).eps)
    n, k = 3, 2
    x = normal(rng, dtype, n, groups * size)
    x[rng.random(x.shape) < 0.2] = 0
    x[:1, :size] = 0  # a group of zeros
    y = np.full((n, groups), np.nan, dtype)
    core("pool_forward", dtype)(x, size, p, y)
    expected = ref.pool(x, size, p)
    assert_close(y, expected, expected, (16 + 2 * size) * eps)
    g = normal(rng, dtype, n, k, groups)
    gx = np.full((n, k, groups * size), np.nan, dtype)
    core("pool_gradient", dtype)(x, y, size, p, g, gx)
    expected = ref.pool_gradient(x, size, p, g)
    assert_close(gx, expected, np.abs(expected), 8 * (16 + 2 * size) * eps)


@pytest.mark.parametrize("winner", [False, True])
@pytest.mark.parametrize(("groups", "size"), [(1, 1), (3, 4), (2, 17), (1, 61), (0, 3)])
def test_pool_redistribute(dtype, rng, winner, groups, size):
    eps = float(np.finfo(dtype).eps)
    n, k = 4, 2
    x = np.round(normal(rng, dtype, n, groups * size), 1)  # rounded, so that winners tie
    x[:1, :size] = 0
    relevance = normal(rng, dtype, n, k, groups)
    r, account = np.full((n, k, groups * size), np.nan, dtype), np.zeros((n, k, 4))
    core("pool_redistribute", dtype)(x, size, int(winner), relevance, r, account)
    expected = ref.pool_redistribute(x, size, relevance, winner)
    assert_close(r, expected.relevance, np.abs(expected.relevance), (8 + 2 * size) * eps)
    np.testing.assert_allclose(account[..., 0], expected.received, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(account[..., 3], expected.lost, rtol=1e-12, atol=1e-14)
    assert (account[..., 1:3] == 0).all()
    if groups:
        assert np.abs(expected.lost[0]).min() > 0  # the group of zeros was met


def test_pool_ties_go_to_the_first(dtype):
    x = np.array([[1.0, -3.0, 3.0, 3.0]], dtype)
    r, account = np.empty((1, 1, 4), dtype), np.zeros((1, 1, 4))
    core("pool_redistribute", dtype)(x, 4, 1, np.full((1, 1, 1), 5, dtype), r, account)
    assert r[0, 0].tolist() == [0, 5, 0, 0]
    gx = np.empty((1, 1, 4), dtype)
    y = np.array([[3.0]], dtype)
    core("pool_gradient", dtype)(x, y, 4, np.inf, np.full((1, 1, 1), 5, dtype), gx)
    assert gx[0, 0].tolist() == [0, -5, 0, 0]


def test_pool_does_not_overflow_or_underflow(dtype):
    """The norm is scaled by the largest element, so its square need not be a number."""
    info = np.finfo(dtype)
    for value in (float(info.max) / 8, float(info.tiny) * 4, float(info.smallest_subnormal) * 3):
        x = np.full((1, 4), value, dtype)
        for p in POWERS:
            y = np.empty((1, 1), dtype)
            core("pool_forward", dtype)(x, 4, p, y)
            expected = ref.pool(x, 4, p)
            # A denormal has only its last unit to be right to.
            unit = float(info.smallest_subnormal)
            assert abs(float(y[0, 0]) - expected[0, 0]) <= 32 * info.eps * expected[0, 0] + unit
        r, account = np.empty((1, 1, 4), dtype), np.zeros((1, 1, 4))
        core("pool_redistribute", dtype)(x, 4, 0, np.full((1, 1, 1), 8, dtype), r, account)
        np.testing.assert_allclose(r[0, 0], 2.0, rtol=1e-6)


# ------------------------------------------------------------------- bounds of the input


def test_first_outside(dtype, rng):
    low, high = np.array([-1.0], dtype), np.array([1.0], dtype)
    for n, inputs in ((0, 3), (1, 1), (3, 0), (2, 61), (4, 35)):
        x = rng.uniform(-1, 1, (n, inputs)).astype(dtype)
        assert core("first_outside", dtype)(x, low, high) == n * inputs
        for where in range(n * inputs):
            for bad in (np.nan, np.inf, -np.inf, 1.5, -1.5):
                y = x.copy()
                y.ravel()[where:] = bad  # the first of several
                assert core("first_outside", dtype)(y, low, high) == where
    x = np.array([[-1.0, 1.0]], dtype)  # the bounds themselves are inside
    assert core("first_outside", dtype)(x, low, high) == 2


def test_first_outside_with_a_bound_for_each_input(dtype):
    low, high = np.array([0, -2, 0], dtype), np.array([1, 0, 3], dtype)
    x = np.array([[1, -2, 3], [0, 0, 0], [0, 0.5, 0]], dtype)
    assert core("first_outside", dtype)(x, low, high) == 7
    assert core("first_outside", dtype)(x, low, np.array([9], dtype)) == 9
    unbounded = np.array([-np.inf], dtype), np.array([np.inf], dtype)
    assert core("first_outside", dtype)(x, *unbounded) == 9
    x[1, 1] = np.inf  # not finite, whatever the bounds
    assert core("first_outside", dtype)(x, *unbounded) == 4
