# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Pools of inputs in front of the first weights, over black pixels."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd

DOMAINS = [dtd.Box(0, 1), dtd.Box(-1, 2), dtd.NonNegative(), dtd.Reals()]
POOLS = [dtd.MaxPool(2), dtd.MaxPool(3, 2, padding=1), dtd.GlobalPool("max")]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
@pytest.mark.parametrize("pool", POOLS, ids=repr)
@pytest.mark.parametrize("way", ["proportional", "winner"])
def test_maxima_of_black_pixels_lose_nothing(way, pool, domain, dtype, rng):
    """Where relevance arrives at windows that hold but 0, their pixels have equal shares."""
    low, high = np.clip(domain.bounds((), dtype), -1, 2)
    x = rng.uniform(low, high, (5, 2, 6, 6)).astype(dtype)
    x[0], x[1], x[2, :, :4, :4] = 0, low, 0
    x[3] = np.where(x[3] > (low + high) / 2, 0, x[3])  # the largest is 0 itself, where low < 0
    inputs = int(np.prod(pool.output_shape((2, 6, 6))))
    w, v = rng.standard_normal((inputs, 8)), rng.random((8, 2))
    network = dtd.Network(
        [
            ("pool", pool),
            ("flatten", dtd.Flatten()),
            ("dense", dtd.Dense((w + 0.1).astype(dtype), np.full(8, -0.01, dtype))),
            ("relu", dtd.ReLU()),
            ("last", dtd.Dense(v.astype(dtype))),
        ],
        (2, 6, 6),
    )
    explain = dtd.DeepTaylor(network, domain, pooling=way)
    found = explain(x, [[0, 1]] * 5, layers=["pool"])
    assert found.is_consistent().all()
    assert found.audit.closes(1e-5)
    assert (found.audit["pool"].lost == 0).all()


@pytest.mark.parametrize("way", ["proportional", "winner"])
def test_shares_by_hand(way, dtype):
    x = np.array([[[[0, 0, 1, 3], [0, 0, 0, 0]]]], dtype)
    w = np.array([[-2.0], [4.0]], dtype)
    network = dtd.Network([dtd.MaxPool(2), dtd.Flatten(), dtd.Dense(w), dtd.ReLU()], (1, 2, 4))
    found = dtd.DeepTaylor(network, dtd.Box(-1, 4), pooling=way)(x)
    # z^B: q = (0 - 4)(-2) and (3 + 1) 4, of f = 12
    one, other = 12 * 8 / 24, 12 * 16 / 24
    right = [other / 4, 3 * other / 4] if way == "proportional" else [0, other]
    left = np.full((2, 2), one / 4) if way == "proportional" else np.array([[one, 0], [0, 0]])
    wanted = [[[[*left[0], *right], [*left[1], 0, 0]]]]
    np.testing.assert_allclose(found.relevance, wanted, rtol=1e-6)
    assert found.audit["maxpool_1"].rule == f"{way}, also at 0"
    # alone, the layer follows its formula unless told otherwise
    ones = np.ones((1, 1, 1, 2), dtype)
    assert dtd.MaxPool(2).redistribute(x, ones, way).sum() == 1
    assert dtd.MaxPool(2).redistribute(x, ones, f"{way}, also at 0").sum() == 2


@pytest.mark.parametrize("domain", [dtd.NonNegative(), dtd.Reals()], ids=str)
@pytest.mark.parametrize("bound", [dtd.Clip(0, 1), dtd.Tanh()], ids=repr)
@pytest.mark.parametrize(
    "pool", [dtd.AvgPool(2), dtd.SumPool(2), dtd.GlobalPool("average")], ids=repr
)
def test_averages_in_front_of_what_is_bounded(pool, bound, domain, dtype, rng):
    """z^B on what is bounded gives relevance to black pixels, which averages share equally."""
    x = rng.random((3, 2, 4, 4)).astype(dtype)
    x[0] = 0
    x[1, 0] = 0
    inputs = int(np.prod(pool.output_shape((2, 4, 4))))
    w, v = rng.standard_normal((inputs, 8)) - 0.2, rng.random((8, 2))
    rest = [dtd.Flatten(), dtd.Dense(w.astype(dtype)), dtd.ReLU(), dtd.Dense(v.astype(dtype))]
    network = dtd.Network([dtd.ReLU(), pool, bound, *rest], (2, 4, 4))
    found = dtd.DeepTaylor(network, domain)(x, [[0, 1]] * 3)
    assert found.is_consistent().all()
    pooled = found.audit[-1]
    assert (pooled.lost == 0).all() and isinstance(pooled.rule, dtd.WSquare)
    # in front of z⁺, which gives nothing to 0, shares stay those of the pixels
    plain = dtd.DeepTaylor(dtd.Network([dtd.ReLU(), pool, *rest], (2, 4, 4)), domain)(x, 0)
    assert plain.is_consistent().all() and isinstance(plain.audit[-1].rule, dtd.ZPlus)
