# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Ends of PyTorch modules: explanations start before softmaxes, whatever chooses or scales."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd

torch = pytest.importorskip("torch")
nn = torch.nn

#: The logits are (2 x_0, -3 x_1, 0) + BIAS.
WEIGHT = [[2.0, 0.0], [0.0, -3.0], [0.0, 0.0]]
BIAS = [0.25, 0.0, -0.5]
X = np.array([[1.0, 1.0], [-0.5, 2.0], [0.3, -0.7]], np.float32)
Z = X @ np.array(WEIGHT, np.float32).T + np.array(BIAS, np.float32)


class Ending(nn.Module):
    """Logits, and a function behind them."""

    def __init__(self, tail, weight=WEIGHT, bias=BIAS):
        super().__init__()
        self.classes = nn.Linear(2, len(weight))
        self.classes.weight.data = torch.tensor(weight)
        self.classes.bias.data = torch.tensor(bias)
        self.tail = tail

    def forward(self, x):
        return self.tail(self.classes(x))


def imported(tail, weight=WEIGHT, bias=BIAS):
    return dtd.from_torch(Ending(tail, weight, bias).eval(), torch.from_numpy(X))


def p(z):
    return torch.softmax(z, 1)


W = np.array([1.0, 2.0, 4.0], np.float32)

#: By name the tail, and what the network gives by hand.
SOFTMAX = {
    "softmax": (p, Z),
    "log_softmax": (lambda z: z.log_softmax(1), Z),
    "slice": (lambda z: p(z)[:, 1:2], Z[:, 1:2]),
    "select": (lambda z: p(z)[:, 1], Z[:, 1]),
    "flip": (lambda z: p(z).flip(1), Z[:, ::-1]),
    "percent": (lambda z: p(z) * 100, Z),
    "clamp": (lambda z: p(z).clamp(1e-6, 1 - 1e-6), Z),
    "log of clamp": (lambda z: torch.log(p(z).clamp(1e-7)), Z),
    "log plus": (lambda z: torch.log(p(z) + 1e-8), Z),
    "standardised": (lambda z: (p(z) - 0.3) / 0.1, Z),
    "minus": (lambda z: -p(z), -Z),
    "loss": (lambda z: -torch.log_softmax(z, 1), -Z),
    "against": (lambda z: 100 - 100 * p(z), -Z),
    "twice minus": (lambda z: 1 - (1 - p(z)), Z),
    "weights": (lambda z: p(z) * torch.from_numpy(W), Z + np.log(W)),
    "adjusted": (lambda z: z.log_softmax(1) + torch.from_numpy(W), Z + W),
    "again": (lambda z: torch.log_softmax(p(z) * 2, 1), Z),
    "parts": (lambda z: torch.cat([p(z)[:, 2:], p(z)[:, :1] * 1.0], 1), Z[:, [2, 0]]),
    "other shape": (lambda z: p(z)[:, None, :].transpose(1, 2), Z[:, :, None]),
    "two": (lambda z: torch.cat([p(z), p(2 * z)], 1), np.concatenate([Z, 2 * Z], 1)),
    "beside others": (lambda z: torch.cat([p(z), z * 2], 1), np.concatenate([Z, 2 * Z], 1)),
}


@pytest.mark.parametrize("name", SOFTMAX)
def test_a_softmax_at_the_end_is_left_out(name):
    tail, expected = SOFTMAX[name]
    net = imported(tail)
    assert not any(isinstance(layer, dtd.Softmax) for layer in net.layers)
    np.testing.assert_allclose(net.forward(X), expected, rtol=1e-5, atol=1e-6)
    assert "softmax at the end is left out" in net.notes[0] and net.notes[0] in net.summary()
    assert net.output_shape == expected.shape[1:]
    theirs = tail(torch.from_numpy(Z)).numpy()
    if theirs.ndim == 2 and theirs.shape[1] in (2, 3):  # one softmax: what wins there wins here
        np.testing.assert_array_equal(net.forward(X).argmax(1), theirs.argmax(1))


@pytest.mark.parametrize("name", ["slice", "percent", "clamp", "log plus", "other shape"])
def test_evidence_against_a_class_is_no_evidence_for_it(name):
    """The logit -3 x_1 of class 1 at x = (1, 1): f = -3, so that there is nothing to explain."""
    net = imported(SOFTMAX[name][0], bias=[0.0] * 3)
    x, target = X[:1], 0 if name == "slice" else 1
    explanation = dtd.DeepTaylor(net, dtd.Reals())(x, target=target)
    assert not explanation.relevance.any() and not explanation.explained.any()
    signed = dtd.LRP(net, dtd.Z())(x, target=target)
    np.testing.assert_allclose(signed.relevance, [[0, -3]], rtol=1e-6)
    np.testing.assert_allclose(signed.explained, [-3], rtol=1e-6)


def s(z):
    return torch.sigmoid(z)


#: The logit is z = 2 x_0 - 3 x_1 + 0.5.
ONE = {"weight": [[2.0, -3.0]], "bias": [0.5]}
F = X @ np.array([[2.0], [-3.0]], np.float32) + np.float32(0.5)
BOTH = np.concatenate([-F, F], 1)

SIGMOID = {
    "sides": (lambda z: torch.cat([1 - s(z), s(z)], 1), BOTH),
    "sides turned": (lambda z: torch.cat([s(z), 1 - s(z)], 1), BOTH[:, ::-1]),
    "stacked": (lambda z: torch.stack([1 - s(z[:, 0]), s(z[:, 0])], 1), BOTH),
    "one call": (lambda z: (lambda q: torch.cat((1 - q, q), 1))(s(z)), BOTH),
    "percent": (lambda z: torch.cat([1 - s(z), s(z)], 1) * 100, BOTH),
    "parts of a hundred": (lambda z: torch.cat([100 - 100 * s(z), 100 * s(z)], 1), BOTH),
    "clamped": (lambda z: torch.cat([1 - s(z), s(z)], 1).clamp(0.01, 0.99), BOTH),
    "logs": (lambda z: torch.cat([torch.log(1 - s(z)), torch.log(s(z))], 1), BOTH),
    "opposite": (lambda z: torch.cat([s(-z), s(z)], 1), BOTH),
    "against": (lambda z: 1 - s(z), -F),
    "log": (lambda z: torch.log(s(z)), F),
}


@pytest.mark.parametrize("name", SIGMOID)
def test_both_sides_of_a_sigmoid_are_minus_the_logit_and_the_logit(name):
    tail, expected = SIGMOID[name]
    net = imported(tail, **ONE)
    np.testing.assert_allclose(net.forward(X), expected, rtol=1e-5, atol=1e-6)
    assert "the sigmoid at the end is left out" in net.notes[0]
    # as from_sklearn: what speaks against class 1 speaks for class 0, by weights turned around
    turned = -1 if name == "sides turned" else 1
    if expected.shape[1] == 2:
        w = np.array([[-2.0, 2.0], [3.0, -3.0]], np.float32)[:, ::turned]
        b = np.array([-0.5, 0.5], np.float32)[::turned]
        by_hand = dtd.Network([dtd.Dense(w, b)])
        for domain in (dtd.Reals(), dtd.NonNegative(), dtd.Box(-3, 3)):
            x = np.abs(X)
            ours = dtd.DeepTaylor(net, domain)(x, target=[[0, 1]] * 3)
            theirs = dtd.DeepTaylor(by_hand, domain)(x, target=[[0, 1]] * 3)
            np.testing.assert_allclose(ours.relevance, theirs.relevance, rtol=1e-5, atol=1e-6)


def test_the_sign_is_turned_where_the_logit_is_made():
    """Behind batch normalisation, a pool and shapes: by weights, not by a layer behind them."""
    torch.manual_seed(0)
    parts = [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1)]
    body = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    body[3].running_mean[:] = 0.3

    class Sides(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body

        def forward(self, x):
            q = torch.sigmoid(self.body(x))
            return torch.cat([1 - q, q], 1)

    x = torch.randn(4, 2, 6, 6)
    net = dtd.from_torch(Sides(), x)
    minus = [layer for layer in net.merged().layers if isinstance(layer, dtd.ChannelAffine)]
    assert all(np.all(layer.scale > 0) for layer in minus)
    with torch.no_grad():
        z = body(x).numpy()
    np.testing.assert_allclose(net.forward(x.numpy()), np.hstack([-z, z]), rtol=1e-4, atol=1e-5)


LONE = {
    "sigmoid": s,
    "percent": lambda z: s(z) * 100,
    "clamp": lambda z: s(z).clamp(0.1, 0.9),
    "select": lambda z: s(z)[:, 0],
    "twice minus": lambda z: 1 - (1 - s(z)),
    "mean": lambda z: (s(z) + s(2 * z)) / 2,
}


@pytest.mark.parametrize("name", LONE)
def test_a_lone_sigmoid_stays_and_is_said(name):
    net = imported(LONE[name], **ONE)
    assert any(isinstance(layer, dtd.Sigmoid) for layer in net.layers)
    assert net.notes[0].startswith("it ends in a sigmoid (")
    theirs = LONE[name](torch.from_numpy(F)).numpy()
    np.testing.assert_allclose(net.forward(X), theirs, rtol=1e-5, atol=1e-6)


def test_several_axes():
    """The softmax over the classes of maps and sequences goes, that over rows stays."""
    x = torch.randn(2, 4, 5, 3)
    first, last = nn.Softmax(1), nn.Softmax(-1)
    for layer in (first, last):
        net = dtd.from_torch(nn.Sequential(nn.Conv2d(4, 6, 1), layer), x)
        assert [type(one) for one in net.layers] == [dtd.Conv]
        assert net.notes == ("the softmax at the end is left out: the output are logits",)
    net = dtd.from_torch(nn.Sequential(nn.Conv2d(4, 6, 1), nn.Softmax(2)), x)
    assert net.layers[-1].axis == 1
    assert net.notes[0].startswith("the softmax 1 stays")


STAYS = {
    "mean of two": lambda z: (p(z) + p(2 * z)) / 2,
    "mean": lambda z: p(z)[:, :2].mean(1, keepdim=True),
    "sides mixed up": lambda z: torch.cat([p(z)[:, :1], 1 - p(z)[:, 1:]], 1),
    "scaled apart": lambda z: torch.cat([p(z)[:, :1] * 3, p(z)[:, 1:]], 1),
    "some turned": lambda z: p(z) * torch.tensor([1.0, -1.0, 1.0]),
    "inside": lambda z: p(z).relu() @ torch.tensor([[1.0, 2.0], [0.5, -1.0], [0.1, 0.2]]),
}


@pytest.mark.parametrize("name", STAYS)
def test_a_softmax_that_has_to_stay_is_said_and_booked(name):
    net = imported(STAYS[name])
    inner = [node.name for node in net.nodes if isinstance(node.layer, dtd.Softmax)]
    assert inner
    notes = " ".join(net.notes)
    assert (
        all(f"the softmax {one} stays" in notes for one in inner) and net.notes[0] in net.summary()
    )
    theirs = STAYS[name](torch.from_numpy(Z)).numpy()
    np.testing.assert_allclose(net.forward(X), theirs, rtol=1e-5, atol=1e-6)
    explanation = dtd.LRP(net, dtd.Z())(X, target=0)
    assert set(inner) <= set(explanation.audit.names) and explanation.audit.closes()


def test_the_mean_of_two_softmaxes_by_hand():
    """R_i = z_i (R_i' - p_i ΣR') of each half; the logits are 2 x_0, -3 x_1 and 0."""
    tail = lambda z: (p(z) + p(2 * z)) / 2  # noqa: E731
    net = imported(tail, bias=[0.0] * 3)
    x = X[:1].astype(np.float64)
    explanation = dtd.LRP(net, dtd.Z())(x, target=1)
    z = np.array([[2.0, -3.0, 0.0]])
    expected = 0
    for times in (1, 2):
        start = np.array([[[0, ref.softmax(times * z)[0, 1] / 2, 0]]])
        expected = expected + ref.softmax_relevance(times * z, start)[0, 0]
    np.testing.assert_allclose(explanation.relevance[0], expected[:2], rtol=1e-5)
    assert explanation.relevance[0, 1] < 0 and explanation.relevance[0, 0] < 0


def test_a_gates_softmax_is_not_spoken_of():
    net = imported(lambda z: z * p(z))
    assert any(isinstance(layer, dtd.Gate) for layer in net.layers)
    assert not net.notes


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_the_batch_axis_is_refused(kind):
    layer = getattr(nn, kind)
    message = r"softmax.*'1'.*along the batch axis \(axis 0 of \('n', 3\)\) mixes the samples"
    for behind in ([], [nn.Linear(3, 2)]):
        module = nn.Sequential(nn.Linear(4, 3), layer(dim=0), *behind)
        with pytest.raises(ValueError, match=message):
            dtd.from_torch(module, torch.randn(3, 4))
    with pytest.raises(ValueError, match="along the batch axis"):
        dtd.from_torch(nn.Sequential(nn.Linear(4, 3), layer(dim=-2)), torch.randn(3, 4))


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_an_axis_that_pytorch_chooses():
    """With dim=None PyTorch takes the batch axis of values with three axes, and says nothing."""
    module = nn.Sequential(nn.Conv1d(4, 3, 1), nn.Softmax())
    with pytest.raises(ValueError, match="along the batch axis"):
        dtd.from_torch(module, torch.randn(2, 4, 5))
    net = dtd.from_torch(nn.Sequential(nn.Linear(4, 3), nn.Softmax()), torch.randn(2, 4))
    assert [type(layer) for layer in net.layers] == [dtd.Dense]


def test_logarithms_inside_are_refused():
    for tail in (
        lambda z: z.log_softmax(1).relu().sum(1),
        lambda z: torch.log(z.relu() + 1) @ z.new_ones(3, 1),
    ):
        with pytest.raises(ValueError, match=r"operator aten\.log.*at the end of a network only"):
            imported(tail)


def test_wrong_logits_are_found_behind_a_saturated_softmax(monkeypatch):
    """All of p is 0 or 1, so that only the logits show the error."""
    from dtdcore.importers.torch import linear

    right = linear.times_matrix
    monkeypatch.setattr(
        linear, "times_matrix", lambda call, x, w, b=None: right(call, x, w * 1.01, b)
    )
    with pytest.raises(ValueError, match=r"'classes'.*differs first from PyTorch"):
        imported(lambda z: p(1000 * z)[:, :1])
    with pytest.raises(ValueError, match=r"'classes'.*differs first from PyTorch"):
        imported(lambda z: torch.cat([1 - s(1000 * z), s(1000 * z)], 1), **ONE)


SATURATED = {
    "Sigmoid": (s, [[1e-3, 0.0]], [-45.0]),
    "HardSigmoid": (nn.functional.hardsigmoid, [[1e-3, 0.0]], [-45.0]),
    "Softmax": (lambda z: p(z)[:, 1:2], [[0.0, 0.0], [1e-3, 0.0]], [0.0, -45.0]),
    "Tanh": (torch.tanh, [[1e-9, 0.0]], [1e-9]),
}


@pytest.mark.parametrize("kind", SATURATED)
def test_verification_behind_a_saturated_activation(kind, monkeypatch):
    """Activations of libraries are off by some 1e-7 of their range, and so may ours be."""
    function, weight, bias = SATURATED[kind]
    layer = getattr(dtd, kind)
    right, off = layer._apply, [1e-7]
    monkeypatch.setattr(layer, "_apply", lambda self, x: right(self, x) + x.dtype.type(off[0]))

    def behind(z):
        y = function(z)
        return torch.cat([y, 1e-3 * y, y @ y.new_full((1, 1), 0.1), nn.functional.silu(y)], 1)

    imported(lambda z: (function(z) * 1.0).mean(1, keepdim=True), weight, bias)
    imported(behind, weight, bias)
    off[0] = 1e-3
    with pytest.raises(ValueError, match="differs first from PyTorch"):
        imported(behind, weight, bias)
