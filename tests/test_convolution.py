# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Conv and ConvTranspose: every rule against the dense layers that they are, with accounts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import reference as ref
import reference_conv as conv
from kernels import bits
from test_rules import HIGH, LOW, RULES

import dtdcore as dtd


@dataclass(frozen=True)
class Case:
    """A layer's kind, input shape, weight shape and arguments."""

    transposed: bool
    shape: tuple
    weight: tuple
    options: dict

    def __str__(self):
        kind = "transposed" if self.transposed else "conv"
        options = "_".join(f"{name}{value}" for name, value in self.options.items())
        return f"{kind}_{self.shape}_{self.weight}_{options}".replace(" ", "")

    def layer(self, weight, bias=None):
        return (dtd.ConvTranspose if self.transposed else dtd.Conv)(weight, bias, **self.options)

    @property
    def outputs(self):
        groups = self.options.get("groups", 1)
        return self.weight[1] * groups if self.transposed else self.weight[0]

    def dense(self, weight):
        """The layer as a dense one, by the oracle."""
        axes = len(self.weight) - 2

        def each(name, default):
            value = self.options.get(name, default)
            return tuple(value) if isinstance(value, (list, tuple)) else (value,) * axes

        padding = tuple(p if isinstance(p, tuple) else (p, p) for p in each("padding", 0))
        stride, dilation = each("stride", 1), each("dilation", 1)
        geometry = self.shape[1:], self.weight[2:], stride, padding, dilation
        rest = stride, tuple(b for b, _ in padding), dilation, self.options.get("groups", 1)
        if self.transposed:
            sizes = conv.transposed_sizes(*geometry, each("output_padding", 0))
            return conv.dense_convolution(weight, sizes, self.shape[1:], *rest, transposed=True)
        results = conv.convolution_sizes(*geometry)
        return conv.dense_convolution(weight, self.shape[1:], results, *rest)


CASES = [
    Case(False, (3, 4, 5), (4, 3, 3, 3), {"padding": 1}),
    Case(False, (2, 5, 6), (3, 2, 2, 3), {"stride": (2, 1), "padding": ((0, 1), (2, 1))}),
    Case(False, (4, 4, 4), (6, 2, 3, 3), {"groups": 2, "padding": 2, "dilation": 2}),
    Case(False, (5, 5, 4), (5, 1, 3, 3), {"groups": 5, "padding": 1, "stride": 2}),
    Case(False, (3, 4, 3), (6, 1, 2, 2), {"groups": 3}),
    Case(False, (17, 3, 2), (2, 17, 1, 1), {}),
    Case(False, (2, 2, 2), (3, 2, 3, 3), {"padding": 4}),  # neurons that see no pixel
    Case(False, (2, 19), (5, 2, 3), {"stride": 4, "padding": 1}),  # pixels that no neuron sees
    Case(False, (2, 3, 3, 4), (3, 2, 2, 2, 3), {"padding": ((1, 0), (0, 0), (1, 1))}),
    Case(True, (3, 3, 4), (3, 4, 3, 3), {"padding": 1, "stride": 2, "output_padding": 1}),
    Case(True, (4, 3, 3), (4, 2, 2, 2), {"groups": 2, "stride": 3}),  # neurons that see no pixel
    Case(True, (5, 3, 4), (5, 1, 3, 3), {"groups": 5, "dilation": 2, "padding": ((1, 2), (0, 1))}),
    Case(True, (2, 9), (2, 18, 4), {"stride": 2, "padding": 1}),
    Case(True, (2, 2, 3, 2), (2, 3, 2, 1, 3), {"stride": (2, 1, 1)}),
]
ALL = pytest.mark.parametrize("case", CASES, ids=str)


def made(case, rng, dtype, biased=True):
    weight = rng.standard_normal(case.weight).astype(dtype)
    bias = rng.standard_normal(case.outputs).astype(dtype) if biased else None
    return weight, bias, case.layer(weight, bias)


def inputs(case, rng, dtype, n=2, low=LOW, high=HIGH):
    x = rng.uniform(low, high, (n, *case.shape)).astype(dtype)
    x[rng.random(x.shape) < 0.1] = 0
    return x


def flat(a, lead=1):
    return a.reshape(*a.shape[:lead], -1)


def expected_parts(name, dense, x, bias):
    if name == "Flat":
        return dense.flat(len(x))
    b = dense.bias(bias)
    return RULES[name][1](flat(x).astype(float), dense.w, b)


@pytest.mark.parametrize("name", RULES)
@ALL
def test_every_rule_with_its_account(case, name, dtype, rng):
    rule, _, epsilon = RULES[name]
    weight, bias, layer = made(case, rng, dtype)
    dense = case.dense(weight)
    x = inputs(case, rng, dtype)
    relevance = rng.standard_normal((2, 2, *dense.outputs)).astype(dtype)
    parts = expected_parts(name, dense, x, bias)
    expected = ref.redistribute(parts, flat(relevance, 2), epsilon)
    actual = layer.redistribute(x, relevance, rule)
    assert actual.shape == (2, 2, *case.shape)
    assert actual.dtype == dtype
    allowed = ref.tolerance(dtype, dense.w.shape[1] + 1, dense.w.shape[0]) * expected.scale
    error = np.abs(flat(actual, 2) - expected.relevance)
    assert (error <= allowed + np.finfo(dtype).tiny).all()
    # the account, as an explainer keeps it
    explain = dtd.LRP(dtd.Network([layer], case.shape), rule)
    explanation = explain(x, relevance=relevance)
    assert bits(explanation.relevance) == bits(actual)
    (entry,) = explanation.audit
    size = expected.scale.sum(axis=-1) + np.abs(flat(relevance, 2)).sum(axis=-1)
    close = {"rtol": 1e-3, "atol": 1e-4 * size.max()} if dtype == np.float32 else {"rtol": 1e-9}
    for column in ("received", "bias", "stabiliser", "lost", "passed"):
        got, want = getattr(entry, column), getattr(expected, column)
        np.testing.assert_allclose(got, want, **({"atol": 1e-10 * size.max()} | close))
    assert (np.abs(entry.residual) <= 64 * np.finfo(dtype).eps * size).all()


@ALL
def test_padding_takes_nothing(case, dtype, rng):
    """ΣR is conserved wherever a neuron sees a pixel, and else R is lost, and booked so."""
    weight, _, layer = made(case, rng, dtype, biased=False)
    dense = case.dense(weight)
    x = inputs(case, rng, dtype) + dtype.type(LOW * 2)  # no zeros, negative: w+ and w- count
    box = dtd.ZB(3 * LOW, HIGH)
    relevance = rng.uniform(0.5, 1, (2, 1, *dense.outputs)).astype(dtype)
    blind = ~dense.there.any(axis=0)
    network = dtd.Network([layer], case.shape)
    for rule in (dtd.WSquare(), dtd.Flat(), box, dtd.ZPlus(), dtd.Z(bias=False)):
        x_of_rule = np.abs(x) if isinstance(rule, dtd.ZPlus) else x
        explanation = dtd.LRP(network, rule)(x_of_rule, relevance=relevance)
        (entry,) = explanation.audit
        z_is_0 = blind
        if isinstance(rule, dtd.ZPlus):
            z_is_0 = (ref.positive(dense.w) == 0).all(axis=0)
        lost = flat(relevance, 2)[..., z_is_0].sum(axis=-1, dtype=float)
        np.testing.assert_allclose(entry.lost, lost, rtol=1e-6)
        np.testing.assert_array_equal(entry.bias, 0)
        if not isinstance(rule, dtd.Z):
            rest = np.abs(entry.residual) / entry.received
            assert (rest <= 16 * np.finfo(dtype).eps).all(), rule
            assert (explanation.relevance >= 0).all()
    unseen = ~dense.there.any(axis=1)
    shares = flat(layer.redistribute(x, relevance, dtd.Flat()), 2)
    assert (shares[..., unseen] == 0).all()
    assert (shares[..., ~unseen] > 0).all()


@ALL
def test_forward_and_gradient(case, dtype, rng):
    weight, bias, layer = made(case, rng, dtype)
    dense = case.dense(weight)
    x = inputs(case, rng, dtype)
    g = rng.standard_normal((2, 2, *dense.outputs)).astype(dtype)
    a, gx = layer.forward(x), layer.gradient(x, g)
    assert a.shape[1:] == layer.output_shape(case.shape) == dense.outputs
    want, b = ref.dense(flat(x), dense.w, dense.bias(bias)), np.abs(dense.bias(bias))
    size = ref.dense(np.abs(flat(x)), np.abs(dense.w), b)
    assert (np.abs(flat(a) - want) <= ref.tolerance(dtype, len(dense.w)) * size).all()
    want = ref.dense_gradient(dense.w, flat(g, 2))
    size = ref.dense_gradient(np.abs(dense.w), np.abs(flat(g, 2)))
    error = np.abs(flat(gx, 2) - want)
    assert (error <= ref.tolerance(dtype, dense.w.shape[1]) * size + np.finfo(dtype).tiny).all()
    if dtype == np.float64:  # linear: a difference is the derivative, but for rounding
        d = rng.standard_normal(x.shape)
        change = ((layer.forward(x + d) - a)[:, None] * g).reshape(2, 2, -1).sum(axis=-1)
        np.testing.assert_allclose((gx * d[:, None]).reshape(2, 2, -1).sum(axis=-1), change, 1e-9)
    empty = x[:0]
    assert layer.forward(empty).shape == (0, *dense.outputs)
    assert layer.redistribute(empty, g[:0], dtd.ZPlus()).shape == (0, 2, *case.shape)
    assert layer.gradient(x, g[:, :0]).shape == (2, 0, *case.shape)


@pytest.mark.parametrize("name", ["WSquare bias", "Flat", "AlphaBeta", "ZB", "Epsilon"])
@ALL
def test_samples_and_targets_do_not_know_of_each_other(case, name, dtype, rng):
    _, _, layer = made(case, rng, dtype)
    x = inputs(case, rng, dtype, 4)
    x[1:3] = np.abs(x[1:3])
    shape = layer.output_shape(case.shape)
    relevance = rng.standard_normal((4, 3, *shape)).astype(dtype)
    rule = RULES[name][0]
    together = layer.redistribute(x, relevance, rule)
    for part in (slice(0, 1), slice(1, 3), slice(3, 4)):
        alone = layer.redistribute(x[part], relevance[part], rule)
        assert bits(alone) == bits(together[part])
    for target in range(3):
        alone = layer.redistribute(x, relevance[:, target], rule)
        assert bits(alone) == bits(together[:, target])


@ALL
def test_against_pytorch(case, rng):
    torch = pytest.importorskip("torch")
    if isinstance(case.options.get("padding"), tuple):
        pytest.skip("PyTorch pads alike on both sides")
    weight, bias, layer = made(case, rng, np.float64)
    x = inputs(case, rng, np.float64)
    axes = len(case.weight) - 2
    name = f"conv_transpose{axes}d" if case.transposed else f"conv{axes}d"
    t = torch.tensor(x, requires_grad=True)
    function = getattr(torch.nn.functional, name)
    a = function(t, torch.tensor(weight), torch.tensor(bias), **case.options)
    np.testing.assert_allclose(layer.forward(x), a.detach().numpy(), rtol=1e-10, atol=1e-12)
    g = rng.standard_normal(a.shape)
    a.backward(torch.tensor(g))
    np.testing.assert_allclose(layer.gradient(x, g), t.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "transposed"])
def test_one_by_one_is_dense(transposed, name, dtype, rng):
    """Each pixel is a sample of a dense layer."""
    rule, _, _ = RULES[name]
    w, b = rng.standard_normal((19, 7)).astype(dtype), rng.standard_normal(7).astype(dtype)
    kind = dtd.ConvTranspose if transposed else dtd.Conv
    layer = kind((w if transposed else w.T)[:, :, None, None], b)
    x = rng.uniform(LOW, HIGH, (2, 19, 3, 5)).astype(dtype)
    r = rng.uniform(0, 1, (2, 7, 3, 5)).astype(dtype)

    def rows(a):
        return np.moveaxis(a, 1, -1).reshape(-1, a.shape[1])

    dense = dtd.Dense(w, b)
    np.testing.assert_allclose(rows(layer.forward(x)), dense.forward(rows(x)), 1e-4, 1e-5)
    parts = RULES[name][1](rows(x).astype(float), w.astype(float), b.astype(float))
    scale = ref.redistribute(parts, rows(r)[:, None], RULES[name][2]).scale[:, 0]
    got, want = rows(layer.redistribute(x, r, rule)), dense.redistribute(rows(x), rows(r), rule)
    assert (np.abs(got - want) <= 2 * ref.tolerance(dtype, 19, 8) * scale + 1e-30).all()


# ------------------------------------------------------------------- whole networks


def chain(rng, dtype, bias=-0.1):
    """Two convolutions, a transposed one and a dense layer; with the oracle's layers."""
    cases = [
        Case(False, (3, 6, 5), (5, 3, 3, 3), {"padding": 1, "stride": (2, 1)}),
        Case(False, (5, 3, 5), (10, 1, 2, 2), {"groups": 5, "padding": ((1, 0), (0, 1))}),
        Case(True, (10, 3, 5), (10, 2, 2, 3), {"stride": 2, "groups": 2}),
    ]
    layers, oracle = [], []
    for case in cases:
        weight = (rng.standard_normal(case.weight) + 0.2).astype(dtype)
        b = (np.abs(rng.standard_normal(case.outputs)) * bias).astype(dtype)
        dense = case.dense(weight)
        layers += [case.layer(weight, b), dtd.ReLU()]
        oracle += [("Dense", dense.w, dense.bias(b)), ("ReLU",)]
    w = (rng.standard_normal((int(np.prod(dense.outputs)), 3)) + 0.5).astype(dtype)
    layers += [dtd.Flatten(), dtd.Dense(w, np.full(3, bias, dtype)), dtd.ReLU()]
    return layers, [*oracle, ("Dense", w, np.full(3, bias)), ("ReLU",)]


DOMAINS = {"reals": dtd.Reals(), "nonnegative": dtd.NonNegative(), (-1, 2): dtd.Box(-1, 2)}


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_deep_taylor_of_a_convolutional_network(domain, dtype, rng):
    layers, oracle = chain(rng, dtype)
    low, high = {"reals": (-1, 1), "nonnegative": (0, 2)}.get(domain, domain)
    x = rng.uniform(low, high, (3, 3, 6, 5)).astype(dtype)
    network = dtd.Network(layers, (3, 6, 5))
    explanation = dtd.DeepTaylor(network, DOMAINS[domain], strict=True)(x, [[0, 2]] * 3)
    f = ref.network_activations(oracle, flat(x))[-1]
    assert (f > 0).any()
    start = np.zeros((3, 2, 3))
    start[:, 0, 0], start[:, 1, 2] = f[:, 0], f[:, 2]
    steps = ref.network_redistribute(oracle, flat(x), start, ref.deep_taylor_shares(oracle, domain))
    tolerance = 2e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(
        flat(explanation.relevance, 2), steps[0].relevance, tolerance, tolerance * f.max()
    )
    assert explanation.is_consistent().all()


def test_boxes_by_channel(dtype, rng):
    """z^B with a box that differs by channel, where the first layer sees it turned or flat."""
    shape, low, high = (3, 4, 5), np.array([-1.0, 0, -3]), np.array([2.0, 1, 0])
    x = rng.uniform(low[:, None, None], high[:, None, None], (2, *shape)).astype(dtype)
    box = dtd.Box(low.reshape(3, 1, 1), high.reshape(3, 1, 1))
    w = rng.standard_normal((4, 3, 3, 3)).astype(dtype)
    first = dtd.Conv(w, padding=1)
    r = rng.uniform(0, 1, (2, 4, 4, 5)).astype(dtype)
    dense = Case(False, shape, w.shape, {"padding": 1}).dense(w)
    whole = [np.broadcast_to(b.reshape(3, 1, 1), shape).reshape(-1) for b in (low, high)]
    parts = ref.shares_z_box(flat(x), dense.w, low=whole[0], high=whole[1])
    want = ref.redistribute(parts, flat(r)[:, None])
    got = dtd.DeepTaylor(dtd.Network([first], shape), box)(x, relevance=r).relevance
    allowed = ref.tolerance(dtype, 36, 27) * want.scale[:, 0]
    assert (np.abs(flat(got) - want.relevance[:, 0]) <= allowed).all()
    # height, width, channels
    turned, back = np.moveaxis(x, 1, -1).copy(), dtd.Transpose((2, 0, 1))
    last = dtd.Box(low, high)
    network = dtd.Network([back, first], (4, 5, 3))
    again = dtd.DeepTaylor(network, last)(turned, relevance=r).relevance
    assert bits(np.moveaxis(again, -1, 1)) == bits(got)
    # the same as a dense layer
    network = dtd.Network([dtd.Flatten(), dtd.Dense(dense.w.astype(dtype))], shape)
    again = dtd.DeepTaylor(network, box)(x, relevance=flat(r)).relevance
    assert (np.abs(flat(again) - want.relevance[:, 0]) <= 2 * allowed).all()
    with pytest.raises(ValueError, match=r"low has shape \(2, 1, 1\).*\(3, 4, 5\)"):
        dtd.DeepTaylor(dtd.Network([first], shape), dtd.Box(-np.ones((2, 1, 1)), 1.0))
    rule = dtd.ZB(np.zeros((2, 1, 1)), 1.0)
    with pytest.raises(ValueError, match=r"low has shape \(2, 1, 1\).*\(3, 4, 5\)"):
        first.redistribute(x, r, rule)


@ALL
def test_save_and_load(case, tmp_path, dtype, rng):
    _, _, layer = made(case, rng, dtype)
    network = dtd.Network([layer, dtd.ReLU()], case.shape)
    loaded = dtd.load(network.save(tmp_path / "net.npz"))
    assert repr(loaded.layers[0]) == repr(layer)
    assert loaded.layers[0].options() == layer.options()
    x = inputs(case, rng, dtype)
    assert bits(loaded.forward(x)) == bits(network.forward(x))


@ALL
def test_scaled(case, dtype, rng):
    """A scale before or behind is one layer with the convolution, as BatchNorm asks."""
    *_, layer = made(case, rng, dtype)
    x = inputs(case, rng, dtype)
    ones = [1] * (len(case.shape) - 1)
    tolerance = 2e-4 if dtype == np.float32 else 1e-11
    for biased in (layer, case.layer(layer.weight)):
        scale, shift = rng.standard_normal((2, case.outputs))
        got = biased.scaled_outputs(scale, shift)
        assert got.dtype == dtype
        want = biased.forward(x.astype(float)) * scale.reshape(-1, *ones) + shift.reshape(-1, *ones)
        np.testing.assert_allclose(got.forward(x), want, tolerance, tolerance * 10)
        scale, shift = rng.standard_normal((2, case.shape[0]))
        padded = case.transposed or "padding" in case.options
        for move in (np.zeros_like(shift), shift):
            merged = biased.scaled_inputs(scale, move)
            if move.any() and padded:
                assert merged is None  # zeros around the image do not move
                continue
            moved = x * scale.reshape(-1, *ones) + move.reshape(-1, *ones)
            want = biased.forward(moved.astype(float))
            assert merged.dtype == dtype
            np.testing.assert_allclose(merged.forward(x), want, tolerance, tolerance * 10)
            assert (merged.bias is None) == (biased.bias is None and not move.any())


def test_threads_meet_a_new_layer_at_once(rng):
    """Weights are packed, and shapes remembered, when they are first needed."""
    weight = rng.standard_normal((20, 17, 3, 3))
    xs = [rng.standard_normal((1, 17, 3 + i % 9, 3 + i % 13)) for i in range(100)]
    alone = dtd.Conv(weight, padding=1)
    want = [bits(alone.redistribute(x, alone.forward(x), dtd.ZPlus())) for x in xs]
    for _ in range(3):
        layer = dtd.Conv(weight, padding=1)

        def run(x, layer=layer):
            return bits(layer.redistribute(x, layer.forward(x), dtd.ZPlus()))

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(run, xs)) == want


def test_far_taps_cost_nothing(rng):
    """Memory follows the image, not the dilation."""
    far = 2**30
    w, x = rng.standard_normal((2, 1, 3, 3)), rng.standard_normal((1, 1, 4, 5))
    layer = dtd.Conv(w, dilation=far, padding=far)
    assert np.allclose(layer.forward(x), w[:, 0, 1, 1].reshape(2, 1, 1) * x)
    assert np.allclose(layer.gradient(x, np.ones((1, 2, 4, 5))), w[:, 0, 1, 1].sum())
