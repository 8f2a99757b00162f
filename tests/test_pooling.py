# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Pools over windows of images: every kind and rule against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd
from dtdcore import _core
from dtdcore.blocked import Blocked, to_blocked, to_plain

#: channels, sizes, and size, stride, padding, dilation, ceil.
GEOMETRIES = {
    "2x2": (5, (6, 8), 2, None, 0, 1, False),
    "3x3 overlapping": (17, (7, 9), 3, 2, 1, 1, False),
    "ceil": (16, (7, 8), 3, 2, 0, 1, True),
    "ceil and padding": (3, (6, 7), 3, 2, 1, 1, True),
    "asymmetric": (33, (5, 6), (3, 2), (2, 1), ((0, 2), (1, 0)), 1, False),
    "dilated": (4, (9, 11), (2, 3), 2, (1, 2), (3, 2), False),
    "gaps": (2, (9, 8), 2, 3, 0, 1, False),
    "length": (9, (13,), 3, 2, 1, 1, True),
    "volume": (3, (4, 5, 6), (2, 3, 2), (2, 1, 2), 1, 1, False),
    "whole": (19, (4, 3), (4, 3), 1, 0, 1, False),
    "one pixel": (1, (1, 1), 1, 1, 0, 1, False),
}
KINDS = {
    "max": dtd.MaxPool,
    "sum": dtd.SumPool,
    "average": lambda *a: dtd.AvgPool(*a, count_padding=False),
    "padded": lambda *a: dtd.AvgPool(*a, count_padding=True),
}
POWERS = (1.0, 2.0, 3.5, np.inf)

RULES = {
    "ZPlus": (dtd.ZPlus(), ref.shares_z_plus, {}),
    "Z": (dtd.Z(), ref.shares_z, {}),
    "Epsilon": (dtd.Epsilon(0.25), ref.shares_z, {}),
    "Gamma": (dtd.Gamma(0.5), ref.shares_gamma, {"gamma": 0.5}),
    "AlphaBeta": (dtd.AlphaBeta(2, 1), ref.shares_alpha_beta, {"alpha": 2, "beta": 1}),
    "conserve": (
        dtd.AlphaBeta(2, 1, conserve=True),
        ref.shares_alpha_beta,
        {"alpha": 2, "beta": 1, "conserve": True},
    ),
    "GeneralizedGamma": (
        dtd.GeneralizedGamma(0.5),
        ref.shares_generalized_gamma,
        {"gamma": 0.5},
    ),
}


def both(value, axes):
    return value if isinstance(value, tuple) else (value,) * axes


def oracle(name):
    """The windows of a geometry, from the oracle."""
    _, sizes, size, stride, padding, dilation, ceil = GEOMETRIES[name]
    axes = len(sizes)
    pairs = [p if isinstance(p, tuple) else (p, p) for p in both(padding, axes)]
    stride = size if stride is None else stride
    return ref.windows(
        sizes, both(size, axes), both(stride, axes), pairs, both(dilation, axes), ceil
    )


def images(rng, dtype, name, n=2):
    """Some exact zeros, ties, and in the first image windows of zeros."""
    channels, sizes, *_ = GEOMETRIES[name]
    x = np.round(rng.standard_normal((n, channels, *sizes)), 1)
    x[rng.random(x.shape) < 0.2] = 0
    x[0, 0] = 0
    return x.astype(dtype)


def arguments(name):
    return GEOMETRIES[name][2:]


def flat(x):
    return x.reshape(x.shape[0] * x.shape[1], -1)


def by_channel(relevance):
    """(n, k, C, *pixels) -> (n C, k, pixels)."""
    n, k, channels = relevance.shape[:3]
    return np.moveaxis(relevance.reshape(n, k, channels, -1), 1, 2).reshape(n * channels, k, -1)


def signal(rng, dtype, layer, x, k=3):
    shape = layer.output_shape(x.shape[1:])
    return rng.standard_normal((len(x), k, *shape)).astype(dtype)


def run(layer, rule, x, relevance):
    """Relevance and account of one step."""
    step = layer.step(rule, x.dtype)
    account = np.zeros((*relevance.shape[:2], 4))
    _, saved = step.trace(x)
    return to_plain(step.redistribute(saved, relevance, account)), account


def check(result, account, expected, dtype, terms, x):
    n, channels = x.shape[:2]
    result = by_channel(result)
    scale = expected.scale + np.abs(expected.relevance)
    error = np.abs(result - expected.relevance)
    assert np.all(error <= ref.tolerance(dtype, terms, terms) * scale + 1e-30)
    fraction = ref.tolerance(dtype, terms, terms)
    for column, entries in enumerate(
        (expected.received, expected.bias, expected.stabiliser, expected.lost)
    ):
        total = entries.reshape(n, channels, -1).sum(axis=1)
        room = np.abs(entries).reshape(n, channels, -1).sum(axis=1)
        error = np.abs(account[:, :, column] - total)
        assert np.all(error <= (fraction + 1e-6) * (room + 1)), column
    # it closes: what came in is what was passed on and what was booked
    passed = result.astype(np.float64).sum(axis=2).reshape(n, channels, -1).sum(axis=1)
    scales = scale.sum(axis=2).reshape(n, channels, -1).sum(axis=1)
    assert np.all(
        np.abs(account[:, :, 0] - account[:, :, 1:].sum(axis=2) - passed)
        <= 8 * fraction * (scales + np.abs(account).sum(axis=2))
    )


@pytest.mark.parametrize("kind", [*KINDS, *(f"lp{p:g}" for p in POWERS)])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_forward_and_gradient(dtype, rng, kind, name):
    p = float(kind[2:]) if kind.startswith("lp") else 2.0
    layer = (KINDS[kind] if kind in KINDS else lambda *a: dtd.LpPool(p, *a))(*arguments(name))
    plain = kind if kind in KINDS else "lp"
    x = images(rng, dtype, name)
    shape, found = oracle(name)
    assert layer.output_shape(x.shape[1:]) == (x.shape[1], *shape)
    expected = ref.window_pool(plain, flat(x), found, p)
    scale = ref.window_pool("sum", np.abs(flat(x)), found) + 1
    y = layer.forward(x)
    assert y.dtype == dtype
    assert np.all(np.abs(flat(y) - expected) <= ref.tolerance(dtype, 60) * scale)
    g = signal(rng, dtype, layer, x)
    expected = ref.window_gradient(plain, flat(x), found, by_channel(g), p)
    scale = ref.window_gradient("sum", flat(x), found, np.abs(by_channel(g)))
    result = by_channel(layer.gradient(x, g))
    assert np.all(np.abs(result - expected) <= 4 * ref.tolerance(dtype, 60) * scale + 1e-30)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["sum", "average", "padded"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_rules_of_linear_pools(dtype, rng, kind, name, rule):
    rule, shares, options = RULES[rule]
    layer, x = KINDS[kind](*arguments(name)), images(rng, dtype, name)
    _, found = oracle(name)
    w = ref.window_weights(kind, flat(x).shape[1], found)
    relevance = signal(rng, dtype, layer, x)
    x = np.round(4 * x) / dtype.type(4)  # sums are exact: what cancels is 0 in every precision
    parts = shares(flat(x), w, **options)
    # ... but not in the oracle, whose weights are rounded: no relevance there
    some = np.any(flat(x)[:, :, None] * w != 0, axis=1)
    cancels = np.abs(ref.dense(flat(x), w)) < 1e-12
    for part in parts:
        cancels |= np.abs(part.z) < 1e-12
    blank = (cancels & some).reshape(x.shape[0], 1, x.shape[1], *relevance.shape[3:])
    relevance[np.broadcast_to(blank, relevance.shape)] = 0
    expected = ref.redistribute(parts, by_channel(relevance), rule.epsilon)
    result, account = run(layer, rule, x, relevance)
    assert result.dtype == dtype
    check(result, account, expected, dtype, 60, x)


@pytest.mark.parametrize("rule", [dtd.WSquare(), dtd.Flat()])
@pytest.mark.parametrize("kind", ["sum", "average", "padded"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_equal_shares_of_linear_pools(dtype, rng, kind, name, rule):
    layer, x = KINDS[kind](*arguments(name)), images(rng, dtype, name)
    _, found = oracle(name)
    inside = ref.window_weights("sum", flat(x).shape[1], found)  # flat: 1 for what is connected
    relevance = signal(rng, dtype, layer, x)
    expected = ref.redistribute(ref.shares_w_square(flat(x), inside), by_channel(relevance))
    result, account = run(layer, rule, x, relevance)
    check(result, account, expected, dtype, 60, x)


@pytest.mark.parametrize("name", ["2x2", "ceil and padding", "volume", "asymmetric"])
def test_box_rule_of_linear_pools(dtype, rng, name):
    layer, x = dtd.AvgPool(*arguments(name)), images(rng, dtype, name)
    _, found = oracle(name)
    w = ref.window_weights("padded", flat(x).shape[1], found)
    relevance = signal(rng, dtype, layer, x)
    low = -rng.uniform(4, 5, x.shape[1:]).astype(dtype)
    for bound in (-5.0, low):
        rows = []
        for c in range(x.shape[1]):  # each channel has bounds of its own
            below = np.broadcast_to(bound, x.shape[1:])[c].ravel()
            parts = ref.shares_z_box(x[:, c].reshape(len(x), -1), w, low=below, high=5.0)
            arrived = relevance[:, :, c].reshape(*relevance.shape[:2], -1)
            rows.append(ref.redistribute(parts, arrived))
        expected = ref.Redistribution(
            *(
                np.stack([getattr(row, field) for row in rows], axis=1).reshape(
                    flat(x).shape[0], *getattr(rows[0], field).shape[1:]
                )
                for field in ("relevance", "received", "bias", "stabiliser", "lost", "scale")
            )
        )
        result, account = run(layer, dtd.ZB(bound, 5.0), x, relevance)
        check(result, account, expected, dtype, 60, x)


@pytest.mark.parametrize("choice", ["proportional", "winner"])
@pytest.mark.parametrize("kind", ["max", "lp"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_choice(dtype, rng, kind, choice, name):
    layer = dtd.MaxPool(*arguments(name)) if kind == "max" else dtd.LpPool(2, *arguments(name))
    x = images(rng, dtype, name)
    _, found = oracle(name)
    relevance = signal(rng, dtype, layer, x)
    winner = {"max": "x", "lp": "|x|"}[kind] if choice == "winner" else None
    expected = ref.window_choice(flat(x), found, by_channel(relevance), winner)
    expected.scale = expected.scale + ref.window_gradient(
        "sum", flat(x), found, np.abs(by_channel(relevance))
    )
    result, account = run(layer, choice, x, relevance)
    check(result, account, expected, dtype, 60, x)
    assert np.abs(expected.lost).max() > 0  # a window of zeros was met


def test_ties_go_to_the_first(dtype):
    x = np.array([[[[1, 3, 3], [3, 2, 3]]]], dtype)
    relevance = np.full((1, 1, 1, 1), 5, dtype)
    for layer in (dtd.MaxPool((2, 3)), dtd.LpPool(2, (2, 3)), dtd.GlobalPool("max")):
        r = layer.redistribute(x, relevance, "winner")
        assert r.ravel().tolist() == [0, 5, 0, 0, 0, 0]
    g = dtd.MaxPool((2, 3)).gradient(x, relevance)
    assert g.ravel().tolist() == [0, 5, 0, 0, 0, 0]


@pytest.mark.parametrize("kind", ["average", "sum", "max", "lp"])
@pytest.mark.parametrize("sizes", [(5,), (7, 7), (3, 4, 5), (61, 53)])
def test_global_pool(dtype, rng, kind, sizes):
    """The same bits as a window of the whole image."""
    x = rng.standard_normal((2, 18, *sizes)).astype(dtype)
    layer = dtd.GlobalPool(kind)
    whole = {"average": dtd.AvgPool, "sum": dtd.SumPool, "max": dtd.MaxPool}
    same = whole[kind](sizes) if kind in whole else dtd.LpPool(2, sizes)
    assert layer.output_shape(x.shape[1:]) == (18,) + (1,) * len(sizes)
    y = layer.forward(x)
    assert np.array_equal(y, same.forward(x))
    wide = x.astype(np.float64)
    axes = tuple(range(2, x.ndim))
    expected = {
        "average": wide.mean(axis=axes),
        "sum": wide.sum(axis=axes),
        "max": wide.max(axis=axes),
        "lp": np.sqrt((wide**2).sum(axis=axes)),
    }[kind]
    scale = np.abs(wide).sum(axis=axes)
    error = np.abs(y.reshape(2, 18) - expected)
    assert np.all(error <= ref.tolerance(dtype, wide[0, 0].size) * scale)
    relevance = rng.standard_normal((2, 2, *y.shape[1:])).astype(dtype)
    assert np.array_equal(layer.redistribute(x, relevance), same.redistribute(x, relevance))
    assert layer.takes_rule == (kind in ("average", "sum")) == (not layer.pools)


@pytest.mark.parametrize(
    ("layer", "rule"),
    [
        (dtd.MaxPool(3, 2, 1), "proportional"),
        (dtd.MaxPool(3, 2, 1), "winner"),
        (dtd.LpPool(2, 3, 2, 1), "winner"),
        (dtd.AvgPool(3, 2, 1), dtd.Epsilon(0.1)),
        (dtd.SumPool(3, 1, 1), dtd.AlphaBeta(2, 1)),
        (dtd.GlobalPool(), dtd.ZPlus()),
    ],
)
def test_bits(dtype, rng, layer, rule):
    """The same bits for any number of threads, any split of the batch and of the targets."""
    x = rng.standard_normal((5, 37, 30, 31)).astype(dtype)
    relevance = signal(rng, dtype, layer, x, 2)

    def everything(batch):
        y = layer.forward(x[batch])
        r, account = run(layer, rule, x[batch], relevance[batch])
        return y, r, account, layer.gradient(x[batch], relevance[batch])

    _core.set_num_threads(1)
    expected = everything(slice(None))
    for threads in (2, 3):
        _core.set_num_threads(threads)
        for one, other in zip(everything(slice(None)), expected, strict=True):
            assert one.tobytes() == other.tobytes()
    for batch in (slice(0, 1), slice(1, 5)):
        for one, other in zip(everything(batch), expected, strict=True):
            assert one.tobytes() == other[batch].tobytes()
    alone, _ = run(layer, rule, x, relevance[:, 1:])
    assert alone.tobytes() == expected[1][:, 1:].tobytes()


def test_blocked_values(dtype, rng):
    """Blocked in, blocked out, unused lanes 0; what is known of the sign is kept."""
    x = np.abs(rng.standard_normal((2, 5, 6, 6))).astype(dtype)
    image = to_blocked(x)
    image.nonnegative = True
    for layer in (dtd.MaxPool(2), dtd.AvgPool(3, 1, 1), dtd.SumPool(2), dtd.LpPool(3, 2)):
        step = layer.step(layer.default_rule or "proportional", dtype)
        assert not step.plain
        y, saved = step.trace(image)
        assert isinstance(y, Blocked)
        assert y.nonnegative
        assert np.array_equal(to_plain(y), layer.forward(x))
        relevance = signal(rng, dtype, layer, x, 1)
        account = np.zeros((2, 1, 4))
        r = step.redistribute(saved, to_blocked(relevance, 2), account)
        assert np.array_equal(to_plain(r), layer.redistribute(x, relevance))
        assert not r.array[..., 5:].any()
        assert not y.array[..., 5:].any()
    assert not dtd.MaxPool(2).step(None, dtype).forward(x).nonnegative


def test_gradient_by_differences(rng):
    for layer in (dtd.MaxPool(3, 2, 1), dtd.LpPool(2.5, 3, 2, 1), dtd.AvgPool(2, ceil=True)):
        x = rng.standard_normal((1, 2, 5, 5))
        g = signal(rng, np.float64, layer, x, 1)[:, 0]
        gradient, h = layer.gradient(x, g), 1e-6
        for where in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[where] += h
            down[where] -= h
            slope = np.sum((layer.forward(up) - layer.forward(down)) * g) / (2 * h)
            assert abs(slope - gradient[where]) < 1e-6


@pytest.mark.parametrize("ceil", [False, True])
def test_agrees_with_pytorch(rng, ceil):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = rng.standard_normal((2, 5, 12, 11))
    t = torch.tensor(x, requires_grad=True)
    for k, s, p in ((3, 2, 1), (2, 2, 0), (3, 3, 1), (3, 1, 1), (2, 3, 1)):
        for layer, y in (
            (dtd.MaxPool(k, s, p, ceil=ceil), functional.max_pool2d(t, k, s, p, 1, ceil)),
            (dtd.AvgPool(k, s, p, ceil=ceil), functional.avg_pool2d(t, k, s, p, ceil)),
            (
                dtd.AvgPool(k, s, p, ceil=ceil, count_padding=False),
                functional.avg_pool2d(t, k, s, p, ceil, False),
            ),
        ):
            np.testing.assert_allclose(layer.forward(x), y.detach().numpy(), rtol=1e-12, atol=1e-12)
            g = rng.standard_normal(y.shape)
            (expected,) = torch.autograd.grad(y, t, torch.tensor(g), retain_graph=True)
            np.testing.assert_allclose(
                layer.gradient(x, g), expected.numpy(), rtol=1e-12, atol=1e-12
            )


def test_errors():
    for make in (dtd.MaxPool, dtd.SumPool, dtd.AvgPool):
        with pytest.raises(ValueError, match="size must be at least 1, got 0"):
            make(0)
        with pytest.raises(TypeError, match="stride must be a whole number"):
            make(2, 1.5)
        with pytest.raises(ValueError, match="padding must be smaller than the window"):
            make(2, padding=2)
        with pytest.raises(TypeError, match="padding must be numbers, got 'same'"):
            make(2, padding="same")
        with pytest.raises(ValueError, match="1, 2 or 3 spatial axes"):
            make((2, 2), (1, 1, 1))
        with pytest.raises(TypeError, match="ceil must be True or False"):
            make(2, ceil=1)
        with pytest.raises(ValueError, match="spatial axes"):
            make(2).output_shape((3,))
        with pytest.raises(ValueError, match="2 spatial axes"):
            make((2, 2)).output_shape((3, 4))
        with pytest.raises(ValueError, match="has no output"):
            make(5).output_shape((3, 4, 4))
    with pytest.raises(TypeError, match="count_padding must be True or False"):
        dtd.AvgPool(2, count_padding=None)
    with pytest.raises(ValueError, match="p must be finite and >= 1"):
        dtd.LpPool(0.5, 2)
    with pytest.raises(ValueError, match="kind must be one of average, sum, max, lp"):
        dtd.GlobalPool("median")
    with pytest.raises(TypeError, match="cannot take the rule 'winner'"):
        dtd.AvgPool(2).redistribute(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), "winner")
    with pytest.raises(TypeError, match="'proportional' or 'winner'"):
        dtd.MaxPool(2).redistribute(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), dtd.Gamma())


@pytest.mark.parametrize(
    "layer",
    [
        dtd.MaxPool(3, 2, ((0, 1), 1), 1, True),
        dtd.AvgPool((2, 3), count_padding=False),
        dtd.LpPool(np.inf, 2),
        dtd.SumPool(2),
        dtd.GlobalPool("lp", 3),
        dtd.GlobalPool(),
    ],
)
def test_saved_and_loaded(tmp_path, rng, layer):
    net = dtd.Network([layer], input_shape=(3, 7, 8))
    net.save(tmp_path / "net.npz")
    loaded = dtd.load(tmp_path / "net.npz")
    x = rng.standard_normal((2, 3, 7, 8))
    assert repr(loaded.layers[0]) == repr(layer)
    assert np.array_equal(loaded.forward(x), net.forward(x))


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (dtd.MaxPool(2), "MaxPool(size=2)"),
        (
            dtd.MaxPool((3, 2), 2, ((0, 1), 1)),
            "MaxPool(size=(3, 2), stride=2, padding=((0, 1), 1))",
        ),
        (dtd.AvgPool(3, 2, ceil=True), "AvgPool(size=3, stride=2, ceil=True)"),
        (dtd.AvgPool(2, count_padding=False), "AvgPool(size=2, count_padding=False)"),
        (dtd.SumPool(2, dilation=2), "SumPool(size=2, dilation=2)"),
        (dtd.LpPool(2, 3), "LpPool(p=2.0, size=3)"),
    ],
)
def test_the_text_of_a_pool_says_what_is_unusual(layer, text):
    assert repr(layer) == text
    assert repr(eval(f"dtd.{text}")) == text
