# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Local response normalisation against the oracle, differences and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd
from dtdcore import _core
from dtdcore.blocked import Blocked, to_blocked

#: size, alpha, beta, k: as published, with pow, even, wider than the channels, one channel.
CASES = [
    (5, 1e-1, 0.75, 2.0),
    (5, 0.3, 0.5, 1.0),
    (4, 0.2, 0.75, 1.5),
    (41, 0.5, 1.25, 1.0),
    (1, 1.0, 0.75, 1.0),
    (3, 0.0, 0.75, 2.0),
]
SHAPES = [(1, 2, 2), (15, 3, 5), (16, 7), (17, 4, 3), (35, 2, 3, 2), (64, 20, 20)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_forward_and_gradient(dtype, rng, case, shape):
    x = (3 * rng.standard_normal((2, *shape))).astype(dtype)
    layer = dtd.LRN(*case)
    expected = ref.lrn(x, *case)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(layer.forward(x), expected, rtol=tolerance, atol=0)
    g = rng.standard_normal((2, 2, *shape)).astype(dtype)
    expected = ref.lrn_gradient(x, *case, g)
    error = np.abs(layer.gradient(x, g) - expected)
    assert np.all(error <= 10 * tolerance * np.abs(expected).max())


def test_gradient_by_differences(rng):
    layer = dtd.LRN(4, 0.5, 0.75, 1.0)
    x, g = rng.standard_normal((2, 1, 11, 2, 2))
    gradient, h = layer.gradient(x, g), 1e-6
    for where in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[where] += h
        down[where] -= h
        slope = np.sum((layer.forward(up) - layer.forward(down)) * g) / (2 * h)
        assert abs(slope - gradient[where]) < 1e-8


def test_agrees_with_pytorch(rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, 19, 5, 4))
    t = torch.tensor(x, requires_grad=True)
    y = torch.nn.functional.local_response_norm(t, 5, 0.5, 0.75, 2.0)
    layer = dtd.LRN(5, 0.5, 0.75, 2.0)
    np.testing.assert_allclose(layer.forward(x), y.detach().numpy(), rtol=1e-12)
    g = rng.standard_normal(x.shape)
    (expected,) = torch.autograd.grad(y, t, torch.tensor(g))
    np.testing.assert_allclose(layer.gradient(x, g), expected.numpy(), rtol=1e-10, atol=1e-12)


def test_relevance_passes_through(dtype, rng):
    x, relevance = rng.standard_normal((2, 2, 7, 3, 3)).astype(dtype)
    assert np.array_equal(dtd.LRN(5).redistribute(x, relevance), relevance)


def test_bits(dtype, rng):
    x = rng.standard_normal((3, 37, 40, 31)).astype(dtype)
    g = rng.standard_normal((3, 2, 37, 40, 31)).astype(dtype)
    layer = dtd.LRN(5, 0.1)
    _core.set_num_threads(1)
    y, gx = layer.forward(x), layer.gradient(x, g)
    for threads in (2, 3):
        _core.set_num_threads(threads)
        assert layer.forward(x).tobytes() == y.tobytes()
        assert layer.gradient(x, g).tobytes() == gx.tobytes()
    assert layer.forward(x[1:]).tobytes() == y[1:].tobytes()
    assert layer.gradient(x[1:], g[1:, :1].copy()).tobytes() == gx[1:, :1].tobytes()


def test_blocked_values(dtype, rng):
    image = to_blocked(np.abs(rng.standard_normal((2, 5, 3, 3))).astype(dtype))
    image.nonnegative = True
    y = dtd.LRN(5).step(None, dtype).forward(image)
    assert isinstance(y, Blocked)
    assert y.nonnegative
    assert not y.array[..., 5:].any()


def test_errors():
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        dtd.LRN(0)
    with pytest.raises(ValueError, match="k must be finite and > 0"):
        dtd.LRN(5, k=0)
    with pytest.raises(ValueError, match="alpha must be finite and >= 0"):
        dtd.LRN(5, alpha=-1)
    with pytest.raises(ValueError, match="spatial axes"):
        dtd.LRN(5).output_shape((4,))
