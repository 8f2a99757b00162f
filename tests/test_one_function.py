# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""One function, one heatmap: however the scales, shifts and biases of a network are written."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd

TOKENS, WIDTH, HIDDEN = 3, 4, 5
RULES = [
    dtd.ZPlus(),
    dtd.ZPlus(bias=True),
    dtd.WSquare(bias=True),
    dtd.Epsilon(1e-3),
    dtd.Gamma(),
    dtd.AlphaBeta(),
]


def matrix_of(linear, shape):
    """The dense matrix (inputs, outputs) of a linear layer without bias, from unit inputs."""
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    return linear(units).reshape(len(units), -1)


def by_matrix(w, b, v):
    """The network as dense layers on all numbers of a sample, in one order: what must come out."""
    return dtd.Network([dtd.Flatten(), dtd.Dense(w, b), dtd.ReLU(), dtd.Dense(v)])


def same(networks, x, wanted, tolerance):
    for rule in RULES:
        right = dtd.LRP(wanted, rule)(x, [[0, 1]] * len(x)).relevance
        scale = np.abs(right).max()
        for network in networks:
            explanation = dtd.LRP(network, rule)(x, [[0, 1]] * len(x))
            np.testing.assert_allclose(explanation.relevance, right, atol=tolerance * scale)
            assert explanation.audit.closes(100 * tolerance)
    for domain in (dtd.Reals(), dtd.Box(-3, 3)):
        right = dtd.DeepTaylor(wanted, domain)(x, 1)
        scale = np.abs(right.relevance).max() + 1e-30
        for network in networks:
            found = dtd.DeepTaylor(network, domain)(x, 1)
            np.testing.assert_allclose(found.relevance, right.relevance, atol=tolerance * scale)


class Tokens:
    """A linear layer on each of some tokens, a bias by token and unit, ReLU, a linear layer."""

    def __init__(self, rng, dtype, by_token, scaled):
        self.w = rng.standard_normal((WIDTH, HIDDEN)).astype(dtype)
        self.b = rng.standard_normal((TOKENS, HIDDEN)).astype(dtype)
        self.s = np.ones(HIDDEN, dtype)
        if scaled:
            self.s = rng.standard_normal(HIDDEN).astype(dtype)
        if not by_token:
            self.b[:] = self.b[0]
        self.v = rng.standard_normal((TOKENS * HIDDEN, 2)).astype(dtype)
        w = matrix_of(lambda x: (x @ self.w.astype(float)) * self.s, (TOKENS, WIDTH)).astype(dtype)
        self.wanted = by_matrix(w, self.b.reshape(-1), self.v)

    def linear(self):
        return [
            dtd.Transpose((1, 0)),
            dtd.Conv(np.ascontiguousarray(self.w.T)[:, :, None]),
            dtd.Transpose((1, 0)),
        ]

    def shift(self, where):
        """s y + b for y (tokens, units), at once or on numbers in another order."""
        flat_s, flat_b = np.tile(self.s, TOKENS), self.b.reshape(-1)
        if where == "flat":
            return [dtd.Flatten(), dtd.ChannelAffine(flat_s, flat_b), dtd.Reshape((TOKENS, HIDDEN))]
        if where == "transposed":
            return [
                dtd.Transpose((1, 0)),
                dtd.Reshape((HIDDEN * TOKENS,)),
                dtd.ChannelAffine(np.repeat(self.s, TOKENS), self.b.T.reshape(-1)),
                dtd.Reshape((HIDDEN, TOKENS)),
                dtd.Transpose((1, 0)),
            ]
        assert where == "multiplied"
        return [
            dtd.Multiply(self.s),
            dtd.Reshape((TOKENS * HIDDEN, 1)),
            dtd.ChannelAffine(np.ones_like(flat_b), flat_b),
            dtd.Reshape((TOKENS, HIDDEN)),
        ]

    def network(self, where):
        end = [dtd.ReLU(), dtd.Flatten(), dtd.Dense(self.v)]
        return dtd.Network([*self.linear(), *self.shift(where), *end], (TOKENS, WIDTH))

    def in_parts(self):
        """Each token apart, its own shift, and one after the other again."""
        layers = [(f"l{i}", layer) for i, layer in enumerate(self.linear())]
        for t in range(TOKENS):
            layers += [
                (f"cut{t}", dtd.Slice(0, t, t + 1), "l2"),
                (f"flat{t}", dtd.Flatten()),
                (f"shift{t}", dtd.ChannelAffine(self.s, self.b[t])),
            ]
        names = [f"shift{t}" for t in range(TOKENS)]
        layers += [("all", dtd.Concat(), names), dtd.ReLU(), dtd.Dense(self.v)]
        return dtd.Network(layers, (TOKENS, WIDTH))

    def rolled(self):
        """The tokens in another order, shifted there, and back: two parts that meet again."""
        last, rest = dtd.Slice(0, TOKENS - 1, TOKENS), dtd.Slice(0, 0, TOKENS - 1)
        roll = [TOKENS - 1, *range(TOKENS - 1)]
        shift = dtd.ChannelAffine(np.tile(self.s, TOKENS), self.b[roll].reshape(-1))
        layers = [(f"l{i}", layer) for i, layer in enumerate(self.linear())]
        layers += [
            ("last", last, "l2"),
            ("rest", rest, "l2"),
            ("rolled", dtd.Concat(), ["last", "rest"]),
            ("flat", dtd.Flatten()),
            ("shift", shift),
            ("tokens", dtd.Reshape((TOKENS, HIDDEN))),
            ("back", dtd.Take(0, np.argsort(roll))),
            ("relu", dtd.ReLU()),
            dtd.Flatten(),
            dtd.Dense(self.v),
        ]
        return dtd.Network(layers, (TOKENS, WIDTH))

    def behind_the_parts(self):
        """Each token by a layer of its own, and one shift of all of them."""
        layers = []
        for t in range(TOKENS):
            layers += [
                (f"cut{t}", dtd.Slice(0, t, t + 1), "input"),
                (f"flat{t}", dtd.Flatten()),
                (f"w{t}", dtd.Dense(self.w)),
            ]
        names = [f"w{t}" for t in range(TOKENS)]
        layers += [
            ("all", dtd.Concat(), names),
            dtd.ChannelAffine(np.tile(self.s, TOKENS), self.b.reshape(-1)),
            dtd.ReLU(),
            dtd.Dense(self.v),
        ]
        return dtd.Network(layers, (TOKENS, WIDTH))


@pytest.mark.parametrize("by_token", [False, True], ids=["one bias", "bias by token"])
@pytest.mark.parametrize("scaled", [False, True], ids=["", "scaled"])
def test_a_bias_behind_what_rearranges(by_token, scaled, dtype, rng):
    tokens = Tokens(rng, dtype, by_token, scaled)
    networks = [tokens.network(where) for where in ("flat", "transposed", "multiplied")]
    networks += [tokens.behind_the_parts(), tokens.rolled()]
    if not scaled:  # a scale of one token alone is none of a convolution over all
        networks.append(tokens.in_parts())
    for network in networks:
        left = [type(layer).__name__ for layer in network.merged().layers]
        assert not {"ChannelAffine", "Multiply"}.intersection(left)
        assert not [note for note in network.notes if "not folded" in note]
    x = rng.standard_normal((6, TOKENS, WIDTH)).astype(dtype)
    same(networks, x, tokens.wanted, 3e-5 if dtype == np.float32 else 1e-12)


def test_a_scale_by_token_before_a_shift_by_number(dtype, rng):
    """The scale goes into the shift behind it, which then is folded with what it took in."""
    tokens = Tokens(rng, dtype, by_token=True, scaled=False)
    scale = (0.5 + rng.random(TOKENS)).astype(dtype)
    layers = [
        *tokens.linear(),
        dtd.ChannelAffine(scale),
        dtd.Flatten(),
        dtd.ChannelAffine(np.ones_like(tokens.b.reshape(-1)), tokens.b.reshape(-1)),
        dtd.ReLU(),
        dtd.Dense(tokens.v),
    ]
    x = rng.standard_normal((6, TOKENS, WIDTH)).astype(dtype)
    hidden = (x.astype(float) @ tokens.w) * scale[:, None] + tokens.b
    wanted = np.maximum(hidden, 0).reshape(6, -1) @ tokens.v
    found = dtd.Network(layers, (TOKENS, WIDTH)).forward(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_scale_behind_what_takes_a_part_only(dtype, rng):
    """A crop of an image: pixels that nobody takes do not keep a scale out of the weights."""
    w = rng.standard_normal((3, 2, 1, 1)).astype(dtype)
    s, t = (rng.standard_normal(3).astype(dtype) for _ in range(2))
    v = rng.standard_normal((12, 2)).astype(dtype)
    layers = [dtd.Conv(w), dtd.Slice(1, 1, 3), dtd.Slice(2, 0, 2), dtd.ChannelAffine(s, t)]
    network = dtd.Network([*layers, dtd.ReLU(), dtd.Flatten(), dtd.Dense(v)], (2, 4, 4))
    c = s.reshape(3, 1, 1)
    scaled = dtd.Conv(w.astype(float))
    matrix = matrix_of(lambda x: (scaled.forward(x) * c)[:, :, 1:3, :2], (2, 4, 4)).astype(dtype)
    assert not [note for note in network.notes if "not folded" in note]
    x = rng.standard_normal((4, 2, 4, 4)).astype(dtype)
    wanted = by_matrix(matrix, np.repeat(t, 4), v)
    same([network], x, wanted, 3e-5 if dtype == np.float32 else 1e-12)


def test_a_scale_of_the_inputs_stays_before_a_scale_behind_a_pool(rng):
    layers = [dtd.Multiply(2.0), dtd.Reshape((4, 2)), dtd.MaxPool(2), dtd.Multiply(0.5)]
    network = dtd.Network([*layers, dtd.Flatten()], (2, 4))
    x = rng.standard_normal((3, 2, 4))
    np.testing.assert_allclose(network.forward(x), x.reshape(3, 4, 2).max(axis=2))


@pytest.mark.parametrize("name", ["m", "t", "affine", "back", "relu"])
def test_every_value_around_a_folded_one_is_still_there(name, rng):
    """Also those between, which are computed no longer once the shift has gone through them."""
    layers = [
        ("m", dtd.Conv(rng.standard_normal((5, 4, 1)))),
        ("t", dtd.Transpose((1, 0))),
        ("affine", dtd.BatchNorm(*rng.random((2, 3)) + 0.1)),
        ("back", dtd.Transpose((1, 0))),
        ("relu", dtd.ReLU()),
    ]
    network = dtd.Network(layers, (4, 3))
    x = rng.standard_normal((2, 4, 3))
    values = {"m": layers[0][1].forward(x)}
    for (before, _), (after, layer) in itertools.pairwise(layers):
        values[after] = layer.forward(values[before])
    np.testing.assert_allclose(network.forward(x, node=name), values[name], rtol=1e-12, atol=1e-12)
    explanation = dtd.LRP(network, dtd.Z())(x, 2, node=name)
    np.testing.assert_allclose(explanation.output, values[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["conv", "stride", "transposed"])
def test_a_shift_before_zeros_around_an_image(kind, dtype, rng):
    """s x + t, then a convolution that pads with zeros: its bias differs at the border."""
    scale, shift = (rng.standard_normal(2).astype(dtype) for _ in range(2))
    w = rng.standard_normal((2, 2, 3, 3)).astype(dtype)
    b = rng.standard_normal(2).astype(dtype)
    conv = {
        "conv": dtd.Conv(w, b, padding=1),
        "stride": dtd.Conv(w, b, stride=2, padding=((1, 0), (1, 2))),
        "transposed": dtd.ConvTranspose(w, b, stride=2, padding=1),
    }[kind]
    shape = (2, 4, 5)
    outputs = int(np.prod(conv.output_shape(shape)))
    v = rng.standard_normal((outputs, 2)).astype(dtype)
    network = dtd.Network(
        [
            ("in", dtd.ReLU()),
            dtd.ChannelAffine(scale, shift),
            conv,
            dtd.ReLU(),
            dtd.Flatten(),
            dtd.Dense(v),
        ],
        shape,
    )
    bare = type(conv)(w.astype(float), None, **conv.options())
    c = scale.astype(float).reshape(2, 1, 1)
    matrix = matrix_of(lambda x: bare.forward(x * c), shape).astype(dtype)
    image = np.broadcast_to(shift.reshape(2, 1, 1), shape).astype(float)
    image = bare.forward(image[None]) + b.reshape(2, 1, 1)
    wanted = dtd.Network(
        [dtd.ReLU(), *by_matrix(matrix, image.astype(dtype).reshape(-1), v).layers]
    )
    assert "channelaffine_1" in network.merged().holders
    x = rng.random((4, *shape)).astype(dtype)
    y = wanted.forward(x)
    np.testing.assert_allclose(network.forward(x), y, rtol=1e-4, atol=1e-4 * np.abs(y).max())
    same([network], x, wanted, 3e-5 if dtype == np.float32 else 1e-12)


def test_a_bias_by_pixel_in_a_layer_alone(dtype, rng):
    """Public: forward, with and without ReLU, under rules that count the bias, saved and loaded."""
    w = rng.standard_normal((3, 2, 2)).astype(dtype)
    b = rng.standard_normal((3, 4)).astype(dtype)
    layer = dtd.Conv(w, b)
    assert "bias by pixel" in repr(layer)
    x = rng.standard_normal((2, 2, 5)).astype(dtype)
    a = dtd.Conv(w.astype(float)).forward(x.astype(float)) + b
    np.testing.assert_allclose(layer.forward(x), a, rtol=1e-4, atol=1e-5)
    matrix = matrix_of(dtd.Conv(w.astype(float)).forward, (2, 5))
    relevance = rng.random((2, 3, 4)).astype(dtype)
    shares = ref.shares_z(x.reshape(2, -1), matrix, b.reshape(-1).astype(float))
    wanted = ref.redistribute(shares, relevance.reshape(2, 1, -1)).relevance[:, 0]
    found = layer.redistribute(x, relevance, dtd.Z()).reshape(2, -1)
    np.testing.assert_allclose(found, wanted, rtol=2e-2 if dtype == np.float32 else 1e-9)
    with pytest.raises(ValueError, match=r"a bias for \(4,\) pixels, inputs of shape \(2, 6\)"):
        layer.forward(np.zeros((1, 2, 6), dtype))
    with pytest.raises(ValueError, match=r"\(3, \*pixels\) with one for each"):
        dtd.Conv(w, np.zeros((3, 4, 4)))


def test_a_bias_by_pixel_is_saved(tmp_path, rng):
    layer = dtd.Conv(rng.standard_normal((3, 2, 2)), rng.standard_normal((3, 4)))
    network = dtd.Network([layer, dtd.ReLU()], (2, 5))
    again = dtd.load(network.save(tmp_path / "net"))
    x = rng.standard_normal((2, 2, 5))
    assert (again.forward(x) == network.forward(x)).all()


def test_relu_behind_a_maximum_pool_is_relu_before_it(dtype, rng):
    """max(0, max x) = max max(0, x): relevance goes to what is above 0, however it is written."""
    w = rng.standard_normal((4, 2, 3, 3)).astype(dtype)
    b = -rng.random(4).astype(dtype)
    v = rng.random((16, 2)).astype(dtype)
    end = [dtd.Flatten(), ("v", dtd.Dense(v))]
    orders = [
        [("relu", dtd.ReLU()), ("pool", dtd.MaxPool(2))],
        [("pool", dtd.MaxPool(2)), ("relu", dtd.ReLU())],
    ]
    first, second = (dtd.Network([("c", dtd.Conv(w, b)), *o, *end], (2, 6, 6)) for o in orders)
    x = rng.standard_normal((5, 2, 6, 6)).astype(dtype)
    for make in (dtd.DeepTaylor, lambda n: dtd.LRP(n, dtd.Epsilon())):
        one, other = make(first)(x, 1), make(second)(x, 1)
        assert one.relevance.any()
        assert (one.relevance == other.relevance).all()
        assert (one.output == other.output).all()
    assert dtd.DeepTaylor(second)(x, 1).is_consistent().all()
    before = dtd.LRP(second, dtd.Z())(x, 3, node="pool")  # what is asked for is still there
    np.testing.assert_allclose(before.output, second.forward(x, node="pool"), rtol=1e-5)
    assert (before.output < 0).any()
    after = dtd.LRP(second, dtd.Z())(x, 3, node="relu")
    np.testing.assert_allclose(after.output, np.maximum(before.output, 0), rtol=1e-5)


@pytest.mark.parametrize("kind", ["average", "global", "max", "resized"])
def test_a_norm_behind_a_pool_is_one_before_it(kind, dtype, rng):
    """Averages take any scale by channel past them, maxima those above 0."""
    pool = {
        "average": dtd.AvgPool(2),
        "global": dtd.GlobalPool(),
        "max": dtd.MaxPool(2),
        "resized": dtd.AxisMap([[1.0, 0.25], [0.0, 0.75], [0.0, 0.5], [0.0, -0.5]], 1),
    }[kind]
    scale = rng.random(4) + 0.1 if kind == "max" else rng.standard_normal(4)
    norm = dtd.ChannelAffine(scale.astype(dtype), rng.standard_normal(4).astype(dtype))
    conv = dtd.Conv(rng.standard_normal((4, 2, 3, 3)).astype(dtype))
    pixels = pool.output_shape((4, 4, 4))
    end = [
        dtd.ReLU(),
        dtd.Flatten(),
        dtd.Dense(rng.random((int(np.prod(pixels)), 2)).astype(dtype)),
    ]
    before = dtd.Network([conv, norm, pool, *end], (2, 6, 6))
    behind = dtd.Network([conv, pool, norm, *end], (2, 6, 6))
    assert not behind.merged().unfolded
    x = rng.standard_normal((5, 2, 6, 6)).astype(dtype)
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    for make in (dtd.DeepTaylor, lambda n: dtd.LRP(n, dtd.Epsilon(1e-3))):
        one, other = make(before)(x, 1).relevance, make(behind)(x, 1).relevance
        np.testing.assert_allclose(one, other, atol=tolerance * np.abs(one).max())


@pytest.mark.parametrize("way", ["sum", "used twice", "average"])
def test_shifts_of_sums_that_cannot_be_folded_pass_relevance_on(way, dtype, rng):
    """Deep Taylor counts no bias, so that a shift behind a sum changes nothing: scales are > 0."""
    w, u = (rng.standard_normal((4, 5)).astype(dtype) for _ in range(2))
    v = rng.random((5, 2)).astype(dtype)
    s, t = rng.random(5).astype(dtype) + 0.5, rng.random(5).astype(dtype)
    x = rng.standard_normal((6, 4)).astype(dtype)
    shift = ("shift", dtd.ChannelAffine(s, t))
    if way == "sum":
        layers = [
            ("w", dtd.Dense(w), "input"),
            ("u", dtd.Dense(u), "input"),
            ("sum", dtd.Add(), ["w", "u"]),
            (*shift, "sum"),
            ("relu", dtd.ReLU()),
            ("v", dtd.Dense(v)),
        ]
        h = np.maximum((x @ w + x @ u) * s + t, 0).astype(float)
        parts = [np.maximum(x @ m, 0).astype(float) for m in (w, u)]
        weights = [w.astype(float), u.astype(float)]
    else:
        layers = [
            ("w", dtd.Dense(w)),
            shift,
            ("relu", dtd.ReLU()),
            ("other", dtd.ReLU(), "w"),
            ("both", dtd.Add(), ["relu", "other"]),
            ("v", dtd.Dense(v)),
        ]
    network = dtd.Network(layers, (4,))
    (note,) = network.notes
    assert "not folded into weights: shift (behind" in note
    assert "passes their relevance on unchanged" in note
    assert note in network.summary()
    explain = dtd.DeepTaylor(network)
    explanation = explain(x, 1)
    assert "shift" not in explanation.audit.names
    if way == "sum":
        f = np.maximum(h @ v.astype(float), 0)[:, 1]
        R = h * v[:, 1]
        R = np.where(parts[0] + parts[1] > 0, R, 0)
        shares = [p / np.where(parts[0] + parts[1] > 0, parts[0] + parts[1], 1) for p in parts]
        right = sum(
            (R * share) @ (m**2 / (m**2).sum(0)).T for share, m in zip(shares, weights, strict=True)
        )
        np.testing.assert_allclose(explanation.explained, f, rtol=1e-4)
        np.testing.assert_allclose(explanation.relevance, right, rtol=1e-3, atol=1e-4 * right.max())
    else:  # as with a layer of its own for each of the two
        apart = [
            ("w1", dtd.Dense((w.astype(float) * s).astype(dtype), t)),
            ("relu", dtd.ReLU()),
            ("w2", dtd.Dense(w), "input"),
            ("other", dtd.ReLU()),
            ("both", dtd.Add(), ["relu", "other"]),
            ("v", dtd.Dense(v)),
        ]
        right = dtd.DeepTaylor(dtd.Network(apart, (4,)))(x, 1).relevance
        np.testing.assert_allclose(explanation.relevance, right, atol=1e-5 * np.abs(right).max())


def test_parts_that_others_take_as_they_are(rng):
    """Half of what a layer gives is shifted, the other half, or all of it, is used elsewhere."""
    w, v = rng.standard_normal((4, 6)), rng.random((3, 1))
    shift = dtd.ChannelAffine(np.ones(3), rng.random(3))
    for first, second, folded in ((0, 3, True), (0, 2, False)):
        layers = [
            ("w", dtd.Dense(w)),
            ("one", dtd.Slice(0, first, first + 3), "w"),
            ("shift", shift),
            ("two", dtd.Slice(0, second, second + 3), "w"),
            ("sum", dtd.Add(), ["shift", "two"]),
            ("relu", dtd.ReLU()),
            ("v", dtd.Dense(v)),
        ]
        network = dtd.Network(layers, (4,))
        assert ("shift" in network.merged().holders) == folded
        x = rng.standard_normal((5, 4))
        np.testing.assert_allclose(network.merged().forward(x), network.forward(x), rtol=1e-12)
        y = np.maximum((x @ w)[:, :3] + shift.shift + (x @ w)[:, second : second + 3], 0) @ v
        np.testing.assert_allclose(network.forward(x), y, rtol=1e-12)


def test_what_stays_is_named_with_what_it_takes(rng):
    """Behind a ReLU and before one: a neuron of one input, whose shift no rule gives to it."""
    layers = [
        dtd.Dense(rng.standard_normal((4, 3))),
        dtd.ReLU(),
        ("norm", dtd.ChannelAffine([1.0, 2.0, -1.0], [0.5, 0.0, 3.0])),
        dtd.ReLU(),
        dtd.Dense(rng.random((3, 1))),
    ]
    network = dtd.Network(layers)
    (note,) = network.notes
    assert note == (
        "not folded into weights: norm (behind relu_1, before relu_2). Under deep Taylor they take "
        "a rule of their own: relevance is lost where scale * x <= 0, and the audit says how much"
    )
    assert note in network.summary() and note in dtd.DeepTaylor(network).summary()
    explanation = dtd.DeepTaylor(network)(rng.standard_normal((50, 4)))
    assert explanation.audit["norm"].lost.sum() > 0
    assert explanation.audit.closes()
    network.notes = ["said by somebody"]
    assert network.notes == ("said by somebody", note)


def test_the_shape_of_the_inputs_is_asked_for_where_it_is_needed(rng):
    conv = dtd.Conv(rng.standard_normal((3, 3, 3, 3)), padding=1)
    layers = [dtd.ReLU(), ("norm", dtd.ChannelAffine(rng.random(3), rng.random(3))), conv]
    (note,) = dtd.Network(layers).notes
    assert "give the network its input_shape" in note
    assert dtd.Network(layers, (3, 5, 5)).notes == ()
