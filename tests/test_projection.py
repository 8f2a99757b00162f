# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The quadratic program below the nearest root: its optimality conditions, without a network."""

from __future__ import annotations

import numpy as np
import pytest

from dtdcore.projection import _gram, _non_negative, project, row_products


def unit_rows(rng, rows, columns):
    slopes = rng.normal(size=(rows, columns))
    return slopes / np.linalg.norm(slopes, axis=1, keepdims=True)


@pytest.mark.parametrize("shape", [(1, 1), (3, 20), (20, 3), (97, 130)])
@pytest.mark.parametrize("limits", [(-np.inf, np.inf), (0, np.inf), (-1, 0.5)])
def test_optimality_conditions(shape, limits, rng):
    slopes, offsets = unit_rows(rng, *shape), -0.1 * rng.random(shape[0])
    low, high = (np.array([limit], float) for limit in limits)
    x = np.clip(3 * rng.normal(size=shape[1]), low, high)
    result = project(x, low, high, slopes, offsets, np.zeros(shape[0]))
    values = slopes @ result.point + offsets
    assert result.feasible
    assert np.all(result.multipliers >= 0)
    assert np.all(values <= 1e-11)
    np.testing.assert_allclose(result.multipliers * values, 0, atol=1e-10)
    stationary = np.clip(x - result.multipliers @ slopes, low, high)
    np.testing.assert_allclose(result.point, stationary, atol=1e-11)
    np.testing.assert_allclose(result.bound, np.linalg.norm(result.point - x), rtol=1e-9)


def test_the_start_does_not_matter(rng):
    slopes, offsets = unit_rows(rng, 15, 20), -0.1 * rng.random(15)
    x, low, high = 2 * rng.random(20), np.zeros(1), np.full(20, 2.0)
    cold = project(x, low, high, slopes, offsets, np.zeros(15))
    warm = project(x, low, high, slopes, offsets, 3 * rng.random(15))
    again = project(x, low, high, slopes, offsets, cold.multipliers)
    np.testing.assert_allclose(warm.point, cold.point, atol=1e-10)
    np.testing.assert_allclose(again.point, cold.point, atol=1e-12)
    assert again.steps <= 1


def test_no_point_in_the_box_is_proven_or_softened():
    slopes, offsets = np.array([[-0.6, -0.8]]), np.array([2.0])  # 0.6 x + 0.8 y >= 2
    x, low, high = np.zeros(2), np.zeros(1), np.ones(1)
    result = project(x, low, high, slopes, offsets, np.zeros(1))
    assert not result.feasible and np.isinf(result.bound)
    soft = project(x, low, high, slopes, offsets, np.zeros(1), soft=1e-3)
    assert soft.feasible
    np.testing.assert_allclose(soft.point, [1, 1])
    # Without a box the same half-space is reached.
    free = project(x, np.array([-np.inf]), np.array([np.inf]), slopes, offsets, np.zeros(1))
    np.testing.assert_allclose(free.point, [1.2, 1.6])


@pytest.mark.parametrize("seed", range(30))
def test_quadratic_over_non_negative_numbers(seed):
    """Also where exchanging all at once fails, and numbers enter one by one."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 40)
    factor = rng.normal(size=(rng.integers(1, 60), size))
    factor[:, rng.random(size) < 0.2] *= 1e-4
    hessian = factor.T @ factor + 1e-9 * np.eye(size)
    target = factor.T @ rng.normal(size=len(factor)) + 0.1 * np.abs(hessian).max() * (seed % 3 == 0)
    start = np.maximum(rng.normal(size=size), 0) * (seed % 2)
    best = _non_negative(hessian, target - hessian @ start, start, 1e-12)
    slope = target - hessian @ best
    scale = np.abs(target).max() + np.abs(hessian).max() * np.abs(best).max()
    assert np.all(best >= 0)
    assert np.all(slope <= 1e-10 * scale)
    assert np.all(np.abs(slope[best > 0]) <= 1e-10 * scale)


@pytest.mark.parametrize("size", [1, 63, 96, 97, 200])
def test_products_in_tiles(size, rng):
    slopes, inside = rng.normal(size=(size, 150)), rng.random(150) < 0.5
    for damping in (0.0, 0.1, 1.0):
        expected = (slopes * np.where(inside, 1, damping)) @ slopes.T
        np.testing.assert_allclose(_gram(slopes, inside, damping), expected, rtol=0, atol=1e-11)
    vector = rng.normal(size=150)
    np.testing.assert_allclose(row_products(slopes, vector), slopes @ vector, rtol=0, atol=1e-12)
