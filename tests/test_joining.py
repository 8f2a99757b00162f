# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Sums, concatenations, scales and what rearranges: layers alone, against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref
from rule_cases import RULES, assert_account, normal

import dtdcore as dtd
from dtdcore.blocked import Blocked, to_blocked, to_plain

# ------------------------------------------------------------------- sums


@pytest.mark.parametrize("summands", [1, 2, 3])
@pytest.mark.parametrize("name", RULES)
def test_add(name, summands, dtype, rng):
    rule, shares, epsilon = RULES[name]
    xs = [normal(rng, dtype, 4, 3, 5) for _ in range(summands)]
    xs[0][0, 0], xs[-1][0, 0] = 0, 0
    if summands == 2:
        xs[1][1, 1] = -xs[0][1, 1]  # z = 0 without being empty
    relevance = normal(rng, dtype, 4, 2, 3, 5)
    layer = dtd.Add()
    np.testing.assert_allclose(layer.forward(xs), sum(x.astype(float) for x in xs), atol=1e-6)
    flat = [x.reshape(4, 15) for x in xs]
    expected, parts = ref.add_redistribute(flat, relevance.reshape(4, 2, 15), shares, epsilon)
    scales = np.split(expected.scale, summands, axis=-1)
    step = layer.step(rule, dtype)
    passed = assert_account(step, step.trace(*xs)[1], relevance, expected, dtype)
    for actual in (passed, layer.redistribute(xs, relevance, rule)):
        assert isinstance(actual, tuple)
        for part, wanted, scale in zip(actual, parts, scales, strict=True):
            assert part.dtype == dtype
            error = np.abs(part.reshape(4, 2, 15) - wanted)
            assert (error <= 8 * ref.tolerance(dtype, summands) * scale).all()
    one = layer.redistribute(tuple(xs), relevance[:, 1], rule)
    for part, whole in zip(one, passed, strict=True):
        assert (part == whole[:, 1]).all()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("channels", [1, 8, 16, 19])
def test_add_of_blocked_images(name, channels, dtype, rng):
    """The same numbers as of plain ones, whoever is blocked; zero lanes stay zero."""
    rule = RULES[name][0]
    xs = [normal(rng, dtype, 2, channels, 3, 2) for _ in range(3)]
    relevance = normal(rng, dtype, 2, 2, channels, 3, 2)
    step = dtd.Add().step(rule, dtype)
    y, saved = step.trace(*xs)
    expected = step.redistribute(saved, relevance, np.zeros((2, 2, 4)))
    for which in ((0,), (0, 1, 2)):
        mixed = [to_blocked(x) if i in which else x for i, x in enumerate(xs)]
        blocked, saved = step.trace(*mixed)
        assert isinstance(blocked, Blocked)
        assert (to_plain(blocked) == y).all()
        for arriving in (relevance, to_blocked(relevance, 2)):
            account = np.zeros((2, 2, 4))
            parts = step.redistribute(saved, arriving, account)
            for part, wanted in zip(parts, expected, strict=True):
                assert (to_plain(part) == wanted).all()
                again = to_blocked(to_plain(part), 2)
                if isinstance(part, Blocked):
                    assert (again.array == part.array).all()
            np.testing.assert_allclose(
                account[:, :, 0], relevance.sum(axis=(2, 3, 4), dtype=float), atol=1e-4
            )


def test_add_knows_that_sums_of_activations_are_not_negative(rng):
    x = to_blocked(rng.random((1, 3, 2, 2)))
    relu = dtd.ReLU().step(None, np.dtype(float))
    step = dtd.Add().step(None, np.dtype(float))
    assert not x.nonnegative
    assert relu.forward(x).nonnegative
    assert step.forward(relu.forward(x), relu.forward(x)).nonnegative
    assert not step.forward(relu.forward(x), x).nonnegative
    concat = dtd.Concat().step(None, np.dtype(float))
    x = to_blocked(rng.random((1, 8, 2, 2)))
    assert concat.forward(relu.forward(x), relu.forward(x)).nonnegative
    assert not concat.forward(relu.forward(x), x).nonnegative


def test_add_alone_takes_its_default_and_gives_gradients(rng):
    layer, xs = dtd.Add(), [rng.random((2, 3)), rng.random((2, 3))]
    g = rng.standard_normal((2, 3))
    for part in layer.gradient(xs, g):
        assert (part == g).all()
    for part, x in zip(layer.redistribute(xs, g), xs, strict=True):
        np.testing.assert_allclose(part, x / (xs[0] + xs[1]) * g)
    assert not layer.needs_rule
    results = layer.gradient(xs, g)
    results[0][:] = 7
    assert (results[1] == g).all()  # they share no memory
    assert (g != 7).all()


def test_add_refuses(rng):
    layer, x = dtd.Add(), rng.random((2, 3))
    with pytest.raises(TypeError, match="list of arrays"):
        layer.forward(x)
    with pytest.raises(TypeError, match="list of arrays"):
        layer.forward([])
    with pytest.raises(ValueError, match=r"one shape.*\(3,\), \(4,\)"):
        layer.forward([x, rng.random((2, 4))])
    with pytest.raises(ValueError, match="batch axis"):
        layer.forward([x, rng.random((3, 3))])
    for rule in (dtd.SearchDirection(np.ones(3)), "winner"):
        with pytest.raises(TypeError, match="Add"):
            layer.redistribute([x, x], x, rule)
    with pytest.raises(ValueError, match="epsilon"):
        layer.redistribute([np.float32(x)] * 2, x, dtd.Epsilon(1e-300))


# ------------------------------------------------------------------- concatenation


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_concat(axis, dtype, rng):
    shapes = [[2, 3, 4], [2, 3, 4], [2, 3, 4]]
    for shape, size in zip(shapes, (1, 5, 2), strict=True):
        shape[axis] = size
    xs = [normal(rng, dtype, 2, *shape) for shape in shapes]
    layer = dtd.Concat(axis)
    y = layer.forward(xs)
    assert (y == np.concatenate(xs, axis=axis if axis < 0 else axis + 1)).all()
    r = normal(rng, dtype, 2, 3, *y.shape[1:])
    cuts = np.split(r, [1, 6], axis=axis if axis < 0 else axis + 2)
    for back in (layer.redistribute(xs, r), layer.gradient(xs, r)):
        for part, cut in zip(back, cuts, strict=True):
            assert (part == cut).all()


@pytest.mark.parametrize("channels", [(8, 16), (16, 16, 5), (16, 5, 16), (3, 4)])
@pytest.mark.parametrize("axis", [0, 1])
def test_concat_of_blocked_images(channels, axis, dtype, rng):
    """Blocked where whole blocks meet, plain where not: the same numbers."""
    xs = [normal(rng, dtype, 2, c if axis == 0 else 5, 3, 2) for c in channels]
    step = dtd.Concat(axis).step(None, dtype)
    y, saved = step.trace(*map(to_blocked, xs))
    expected = np.concatenate(xs, axis=axis + 1)
    block = 64 // dtype.itemsize
    whole = axis == 0 and all(c % block == 0 for c in channels[:-1])
    assert isinstance(y, Blocked) == whole
    assert y.shape == expected.shape
    assert (to_plain(y) == expected).all()
    g = normal(rng, dtype, 2, 2, *expected.shape[1:])
    cuts = np.split(g, np.cumsum([x.shape[axis + 1] for x in xs])[:-1], axis=axis + 2)
    for arriving in (g, to_blocked(g, 2)):
        for part, cut in zip(step.gradient(saved, arriving), cuts, strict=True):
            assert part.shape == cut.shape
            assert (to_plain(part) == cut).all()


def test_concat_refuses(rng):
    with pytest.raises(ValueError, match="differ in that axis"):
        dtd.Concat().forward([rng.random((2, 3, 4)), rng.random((2, 3, 5))])
    with pytest.raises(ValueError, match="differ in that axis"):
        dtd.Concat(1).forward([rng.random((2, 3)), rng.random((2, 3))])
    with pytest.raises(ValueError, match="differ in that axis"):
        dtd.Concat().forward([rng.random((2, 3)), rng.random((2, 3, 1))])
    with pytest.raises(TypeError, match="axis"):
        dtd.Concat(0.5)


# ------------------------------------------------------------------- scales and shifts


@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 2, 2)])
@pytest.mark.parametrize("name", RULES)
def test_channel_affine(name, shape, dtype, rng):
    rule, shares, epsilon = RULES[name]
    scale, shift = normal(rng, dtype, 6), normal(rng, dtype, 6)
    scale[1], shift[2] = 0, 0
    layer = dtd.ChannelAffine(scale, shift)
    x, relevance = normal(rng, dtype, 3, *shape), normal(rng, dtype, 3, 2, *shape)
    x[0, 0] = 0
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(
        layer.forward(x), ref.affine(x, scale, shift), rtol=8 * eps, atol=8 * eps
    )
    expected = ref.affine_redistribute(x, scale, shift, relevance, shares, epsilon)
    step = layer.step(rule, dtype)
    passed = assert_account(step, step.trace(x)[1], relevance, expected, dtype)
    error = np.abs(passed.reshape(3, 2, -1) - expected.relevance)
    assert (error <= 8 * ref.tolerance(dtype, 2) * expected.scale).all()
    assert (layer.redistribute(x, relevance, rule) == passed).all()
    like = scale.reshape(1, 1, -1, *[1] * (len(shape) - 1))
    assert (layer.gradient(x, relevance) == relevance * like).all()


def test_batch_norm(dtype, rng):
    mean, weight, bias = (normal(rng, dtype, 5) for _ in range(3))
    variance = rng.random(5).astype(dtype)
    layer = dtd.BatchNorm(mean, variance, weight, bias, 1e-3)
    x = normal(rng, dtype, 4, 5, 3)
    expected = ref.batch_norm(x, mean, variance, weight, bias, 1e-3)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=2e-5, atol=2e-5)
    plain = dtd.BatchNorm(mean, variance)
    expected = ref.batch_norm(x, mean, variance, np.ones(5), np.zeros(5), 1e-5)
    np.testing.assert_allclose(plain.forward(x), expected, rtol=2e-5, atol=2e-5)
    assert layer.parameters == 20
    g = normal(rng, dtype, 4, 5, 3)
    other = dtd.ChannelAffine(layer.scale, layer.shift)
    assert (layer.redistribute(x, g, dtd.Z()) == other.redistribute(x, g, dtd.Z())).all()


def test_scales_refuse(rng):
    x = rng.random((2, 3))
    with pytest.raises(ValueError, match="4 channels"):
        dtd.ChannelAffine(np.ones(4)).forward(x)
    with pytest.raises(ValueError, match="channels"):
        dtd.ChannelAffine(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"scale \(3,\), shift \(2,\)"):
        dtd.ChannelAffine(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="shift"):
        dtd.ChannelAffine(np.ones(3), [1, np.nan, 2])
    with pytest.raises(ValueError, match="variance"):
        dtd.BatchNorm(np.zeros(3), [1, 0, 1], epsilon=0)
    with pytest.raises(ValueError, match="mean"):
        dtd.BatchNorm(np.zeros(3), np.ones(2))
    with pytest.raises(TypeError, match="ChannelAffine"):
        dtd.ChannelAffine(np.ones(3)).redistribute(x, x, dtd.SearchDirection(np.ones(3)))
    with pytest.raises(ValueError, match="3 channels"):
        dtd.PReLU(np.ones(3)).forward(rng.random((2, 4)))


@pytest.mark.parametrize("slope", [[0.3], [0.1, -0.2, 0.5]])
def test_prelu(slope, dtype, rng):
    layer, x, g = dtd.PReLU(np.array(slope, dtype)), normal(rng, dtype, 2, 3, 4), None
    factor = np.where(x > 0, 1, np.broadcast_to(np.array(slope, dtype).reshape(-1, 1), (3, 4)))
    np.testing.assert_allclose(layer.forward(x), x * factor)
    g = normal(rng, dtype, 2, 2, 3, 4)
    np.testing.assert_allclose(layer.gradient(x, g), g * factor[:, None])
    assert (layer.redistribute(x, g) == g).all()


@pytest.mark.parametrize(
    "layer", [dtd.ReLU(), dtd.LeakyReLU(), dtd.Tanh(), dtd.ELU(), dtd.Clip(0, 6)]
)
def test_activations_of_blocked_images(layer, dtype, rng):
    x, g = normal(rng, dtype, 2, 5, 3, 2), normal(rng, dtype, 2, 2, 5, 3, 2)
    step = layer.step(None, dtype)
    y, saved = step.trace(to_blocked(x))
    assert isinstance(y, Blocked)
    assert (to_plain(y) == layer.forward(x)).all()
    assert (y.array == to_blocked(to_plain(y)).array).all()  # zero lanes
    for arriving in (g, to_blocked(g, 2)):
        assert (to_plain(step.gradient(saved, arriving)) == layer.gradient(x, g)).all()


# ------------------------------------------------------------------- rearranged

FRAME = np.arange(105.0).reshape(3, 5, 7) - 50

MOVES = {
    "Reshape": (dtd.Reshape((4, -1)), lambda x: x.reshape(len(x), 4, 15)),
    "Reshape flat": (dtd.Reshape((60,)), lambda x: x.reshape(len(x), 60)),
    "Transpose": (dtd.Transpose((2, 0, 1)), lambda x: x.transpose(0, 3, 1, 2)),
    "Upsample": (dtd.Upsample((2, 3)), lambda x: ref.upsample(x, (2, 3))),
    "Upsample one": (dtd.Upsample((4,)), lambda x: ref.upsample(x, (4,))),
    "Pad": (dtd.Pad((1, 0), (2, 3)), lambda x: ref.pad(x, (1, 0), (2, 3), 0)),
    "Pad all": (dtd.Pad((0, 1, 2), (1, 0, 0), -2), lambda x: ref.pad(x, (0, 1, 2), (1, 0, 0), -2)),
    "Pad array": (
        dtd.Pad((1, 0), (0, 2), FRAME),
        lambda x: np.where(
            ref.pad(x * 0 + 1, (1, 0), (0, 2), 0), ref.pad(x, (1, 0), (0, 2), 0), FRAME
        ),
    ),
    "Multiply": (
        dtd.Multiply(np.arange(3.0).reshape(3, 1, 1)),
        lambda x: x * np.arange(3.0).reshape(3, 1, 1),
    ),
    "Multiply scalar": (dtd.Multiply(-2), lambda x: -2.0 * x),
}


@pytest.mark.parametrize("name", MOVES)
def test_rearranging(name, dtype, rng):
    """Forward against the oracle, gradient as its transpose, relevance back into place."""
    layer, oracle = MOVES[name]
    x = normal(rng, dtype, 2, 3, 4, 5)
    y = layer.forward(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, oracle(x), rtol=1e-6)
    assert layer.output_shape((3, 4, 5)) == y.shape[1:]
    matrix = oracle(np.eye(60).reshape(60, 3, 4, 5)).reshape(60, -1)
    matrix = matrix - oracle(np.zeros((1, 3, 4, 5))).reshape(1, -1)
    g = normal(rng, dtype, 2, 3, *y.shape[1:])
    expected = (g.reshape(2, 3, -1).astype(float) @ matrix.T).reshape(2, 3, 3, 4, 5)
    np.testing.assert_allclose(layer.gradient(x, g), expected, rtol=1e-5, atol=1e-5)
    if isinstance(layer, dtd.Multiply):
        expected = g
    for rule in (None, dtd.ZPlus()):
        np.testing.assert_allclose(layer.redistribute(x, g, rule), expected, rtol=1e-5, atol=1e-5)
    assert layer.forward(x[:0]).shape == (0, *y.shape[1:])
    assert layer.parameters == 0


def test_relevance_of_a_frame_is_booked_as_lost(rng):
    layer = dtd.Pad((1,), (2,))
    network = dtd.Network([layer, dtd.Dense(rng.standard_normal((6, 4)))], input_shape=(3,))
    x = rng.random((5, 3))
    for rule in (dtd.Flat(), dtd.WSquare()):
        explanation = dtd.LRP(network, rule)(x, 1)
        entry = explanation.audit["pad_1"]
        assert (entry.lost != 0).all()
        np.testing.assert_allclose(entry.residual, 0, atol=1e-12)
        np.testing.assert_allclose(explanation.total + entry.lost, explanation.explained)
    for explain in (dtd.LRP(network, dtd.Z()), dtd.DeepTaylor(network, dtd.Box(-1, 1))):
        assert not explain(x, 1).audit["pad_1"].lost.any()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: dtd.Reshape((-1, -1)), ValueError, "-1"),
        (lambda: dtd.Reshape("34"), TypeError, "shape"),
        (lambda: dtd.Reshape((7,)).forward(np.ones((2, 6))), ValueError, r"Reshape.*\(6,\)"),
        (lambda: dtd.Reshape((-1, 4)).forward(np.ones((2, 6))), ValueError, "Reshape"),
        (lambda: dtd.Transpose((0, 2)), ValueError, "axes"),
        (lambda: dtd.Transpose((1, 0)).forward(np.ones((2, 6))), ValueError, "2 axes"),
        (lambda: dtd.Pad((1,), (1, 1)), ValueError, "before and after"),
        (lambda: dtd.Pad((-1,), (1,)), ValueError, "before"),
        (lambda: dtd.Pad((1,), (1,), np.inf), ValueError, "value"),
        (lambda: dtd.Pad((1,), (1,), [1, np.nan, 1]), ValueError, "value"),
        (lambda: dtd.Pad((1,), (1,), [1, 2]).forward(np.ones((2, 6))), ValueError, "broadcast"),
        (lambda: dtd.Pad((1, 1), (1, 1)).forward(np.ones((2, 6))), ValueError, "2 axes"),
        (lambda: dtd.Upsample((0,)), ValueError, "scale"),
        (lambda: dtd.Upsample((2, 2)).forward(np.ones((2, 6))), ValueError, "2 axes"),
        (lambda: dtd.Multiply([1, np.inf]), ValueError, "constant"),
        (lambda: dtd.Multiply([1, 2]).forward(np.ones((2, 3))), ValueError, "Multiply"),
        (lambda: dtd.Multiply(np.ones((4, 3))).forward(np.ones((2, 3))), ValueError, "Multiply"),
    ],
)
def test_clear_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
