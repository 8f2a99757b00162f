# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Functions written in several ways in PyTorch: the heatmap is that of a network by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")

import torch
from torch import nn

import dtdcore as dtd


class Behind(nn.Module):
    """A function of what a linear layer gives, and a linear layer behind it."""

    def __init__(self, function, outputs=5):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.function, self.last = nn.Linear(4, 5), function, nn.Linear(outputs, 3)

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def by_hand(model, *between):
    """The network of a model, with these layers in the place of the function."""
    dense = [
        dtd.Dense(layer.weight.detach().numpy().T, layer.bias.detach().numpy())
        for layer in (model.first, model.last)
    ]
    return dtd.Network([dense[0], *between, dense[1]], (4,))


def assert_same_heatmaps(model, network, rng, shape=(4,)):
    x = rng.normal(size=(3, *shape)).astype(np.float32)
    imported = dtd.from_torch(model, x)
    for explain in (
        lambda net: dtd.DeepTaylor(net, dtd.Box(-5, 5)),
        lambda net: dtd.LRP(net, "epsilon"),
    ):
        one, other = (explain(net)(x, relevance=np.ones((3, 3))) for net in (imported, network))
        assert np.any(other.relevance)
        np.testing.assert_allclose(one.relevance, other.relevance, rtol=1e-4, atol=1e-5)
        lost = [sum(e.lost for e in explanation.audit) for explanation in (one, other)]
        np.testing.assert_allclose(*lost, rtol=1e-4, atol=1e-5)


WRITINGS = {
    "clip": (lambda h: torch.clip(h, min=0), [dtd.ReLU()]),
    "maximum": (lambda h: torch.maximum(torch.zeros(()), h), [dtd.ReLU()]),
    "in place": (lambda h: (h + 0).relu_(), [dtd.ReLU()]),
    "einsum": (
        lambda h: torch.einsum("ni,oi->no", h.relu(), torch.eye(5) - 0.5),
        [dtd.ReLU(), dtd.Dense(np.eye(5) - 0.5)],
    ),
    "tensordot": (
        lambda h: torch.tensordot(h.relu(), torch.eye(5) - 0.5, dims=1),
        [dtd.ReLU(), dtd.Dense(np.eye(5) - 0.5)],
    ),
    "matrices": (
        lambda h: torch.bmm(h.relu()[:, None], (torch.eye(5) - 0.5).expand(len(h), 5, 5))[:, 0],
        [dtd.ReLU(), dtd.Dense(np.eye(5) - 0.5)],
    ),
    "written into": (
        lambda h: torch.select_scatter(h.relu(), torch.zeros(len(h)), 1, 0),
        [dtd.ReLU(), dtd.Slice(0, 1, 5), dtd.Pad((1,), (0,))],
    ),
    "rolled": (
        lambda h: torch.column_stack([h.relu()[:, 4:], h.relu()[:, :4]]),
        [dtd.ReLU(), dtd.Dense(np.roll(np.eye(5), 1, axis=1))],
    ),
}


@pytest.mark.parametrize("name", WRITINGS)
def test_writing(name, rng):
    function, layers = WRITINGS[name]
    model = Behind(function)
    assert_same_heatmaps(model, by_hand(model, *layers), rng)


CLASS = np.array([0.5, -2.0, 3.0], np.float32)
CONSTANTS = {
    "behind": (lambda h, c: torch.cat([h, c], 1), dtd.Pad((0,), (3,), [0] * 5 + [*CLASS])),
    "before": (lambda h, c: torch.hstack([c, h]), dtd.Pad((3,), (0,), [*CLASS] + [0] * 5)),
    "both": (
        lambda h, c: torch.concat([c[:, :1], h, c[:, 1:]], -1),
        dtd.Pad((1,), (2,), [0.5] + [0] * 5 + [-2, 3]),
    ),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_among_what_is_joined(name, rng):
    """Their share is lost, and booked: R = Σ_i x_i w_i / z of what comes in."""
    function, layer = CONSTANTS[name]
    constant = torch.from_numpy(CLASS)[None]
    model = Behind(lambda h: function(h.relu(), constant.expand(len(h), -1)), 8)
    assert_same_heatmaps(model, by_hand(model, dtd.ReLU(), layer), rng)
    x = rng.normal(size=(2, 4)).astype(np.float32)
    explanation = dtd.LRP(dtd.from_torch(model, x), dtd.Z(bias=False))(x, 1)
    weight = model.last.weight.detach().numpy()[1]
    padded = layer.forward(model.first(torch.from_numpy(x)).relu().detach().numpy())
    frame = layer.forward(np.zeros((1, 5)))
    share = (padded * weight * (frame != 0)).sum(axis=1) / (padded @ weight)
    lost = sum(entry.lost for entry in explanation.audit if entry.lost.any())
    np.testing.assert_allclose(lost, share * explanation.output[:, 1], rtol=1e-4)


def test_constants_between_and_of_several_axes(rng):
    """Maps of coordinates as channels, and a constant between two values."""
    rows = torch.linspace(-1, 1, 6)[:, None].expand(6, 5)

    class Coordinates(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(6, 3, 3)

        def forward(self, x):
            maps = torch.stack([rows, rows.flip(0)]).expand(len(x), 2, 6, 5)
            return self.conv(torch.cat([x, maps, x.relu()], 1)).sum((2, 3))

    model = Coordinates()
    x = rng.normal(size=(3, 2, 6, 5)).astype(np.float32)
    network = dtd.from_torch(model, x)
    with torch.no_grad():
        theirs = model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(network.forward(x), theirs, rtol=1e-4, atol=1e-4)
    explanation = dtd.LRP(network, dtd.Z(bias=False))(x, 0)
    lost = sum(entry.lost for entry in explanation.audit)
    np.testing.assert_allclose(explanation.total + lost, explanation.output[:, 0], rtol=1e-3)
    assert np.abs(lost).min() > 0


def test_a_constant_that_differs_between_samples_is_refused():
    constant = torch.arange(2.0)[:, None]
    model = Behind(lambda h: torch.cat([h, constant], 1), 6)
    with pytest.raises(ValueError, match="differs along the batch axis"):
        dtd.from_torch(model, torch.rand(2, 4))


class Tokens(nn.Module):
    def __init__(self, view):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.norm, self.view = nn.Linear(5, 8), nn.BatchNorm1d(8), view

    def forward(self, x):
        return self.view(self.norm(self.linear(x).transpose(1, 2)).transpose(1, 2))


LAYOUTS = {
    "flatten": lambda h: h.flatten(1),
    "reshape": lambda h: h.reshape(len(h), -1),
    "view of what is contiguous": lambda h: h.contiguous().view(len(h), -1),
    "unflatten": lambda h: h.flatten(1).unflatten(1, (8, 7)).permute(0, 2, 1).flatten(1),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_views_are_verified_whatever_the_order_of_memory(name, rng):
    model = Tokens(LAYOUTS[name])
    x = rng.normal(size=(3, 7, 5)).astype(np.float32)
    network = dtd.from_torch(model, x)
    with torch.no_grad():
        theirs = model.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(network.forward(x), theirs, rtol=1e-5, atol=1e-5)


class Pixels(nn.Module):
    """It needs x with the channels last in memory, as `view` has no other way."""

    def __init__(self, needs_it):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.linear, self.needs_it = nn.Conv2d(4, 4, 1), nn.Linear(4, 2), needs_it

    def forward(self, x):
        y = x if self.needs_it else self.conv(x)
        y = y.permute(0, 2, 3, 1)
        return self.linear(y.view(len(x), -1, 4) if self.needs_it else y.reshape(len(x), -1, 4))


@pytest.mark.parametrize("needs_it", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("last", [False, True], ids=["weights", "weights and example"])
def test_channels_last(needs_it, batch, last, rng):
    if needs_it and not last:
        pytest.skip("the module cannot run on such an example")
    model = Pixels(needs_it).to(memory_format=torch.channels_last)
    x = torch.from_numpy(rng.normal(size=(batch, 4, 3, 5)).astype(np.float32))
    example = x.contiguous(memory_format=torch.channels_last) if last else x
    network = dtd.from_torch(model, example)
    with torch.no_grad():
        theirs = model(example).numpy()
    np.testing.assert_allclose(network.forward(x.numpy()), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "example",
    [
        torch.rand(4, 6, 7).transpose(1, 2)[::2],
        torch.rand(2, 7, 12)[..., ::2],
        torch.rand(7, 6).expand(2, 7, 6),
    ],
    ids=["transposed", "stepped", "expanded"],
)
def test_examples_that_are_not_contiguous(example):
    model = nn.Sequential(nn.Flatten(), nn.Linear(42, 3))
    network = dtd.from_torch(model, example)
    assert network.input_shape == (7, 6)
