# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Scales, shifts and frames of zeros merged into the linear layers beside them."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd


def norm(rng, dtype, channels):
    mean, weight, bias = rng.standard_normal((3, channels)).astype(dtype)
    return dtd.BatchNorm(mean, rng.random(channels).astype(dtype) + dtype.type(0.1), weight, bias)


def dense(rng, dtype, inputs, outputs, biased=True):
    b = rng.standard_normal(outputs).astype(dtype) if biased else None
    return dtd.Dense(rng.standard_normal((inputs, outputs)).astype(dtype), b)


@pytest.mark.parametrize("biased", [False, True], ids=["no b", "b"])
def test_dense_takes_scales(biased, dtype, rng):
    layer, x = dense(rng, dtype, 5, 4, biased), rng.standard_normal((3, 5)).astype(dtype)
    scale, shift = rng.standard_normal((2, 4)).astype(dtype)
    after = layer.scaled_outputs(scale, shift)
    assert after.dtype == dtype
    a = ref.dense(x, layer.weight, layer.bias) * scale.astype(float) + shift
    np.testing.assert_allclose(after.forward(x), a, rtol=1e-4, atol=1e-5)
    scale, shift = rng.standard_normal((2, 5)).astype(dtype)
    before = layer.scaled_inputs(scale, shift)
    a = ref.dense(x * scale.astype(float) + shift, layer.weight, layer.bias)
    np.testing.assert_allclose(before.forward(x), a, rtol=1e-4, atol=1e-5)
    none = layer.scaled_inputs(np.ones(5), np.zeros(5))
    assert (none.bias is None) == (not biased)
    assert (none.weight == layer.weight).all()


def chain(rng, dtype):
    return dtd.Network(
        [
            ("in", dtd.ReLU()),  # what comes next is hidden
            ("n0", norm(rng, dtype, 6)),
            ("a", dense(rng, dtype, 6, 5, biased=False)),
            ("n1", norm(rng, dtype, 5)),
            ("n2", norm(rng, dtype, 5)),
            dtd.ReLU(),
            ("n3", norm(rng, dtype, 5)),
            ("b", dense(rng, dtype, 5, 4)),
            ("out", dtd.ReLU()),
        ]
    )


def test_before_and_after(dtype, rng):
    network = chain(rng, dtype)
    merged = network.merged()
    assert [node.name for node in merged.nodes] == ["in", "a", "relu_2", "b", "out"]
    assert merged.holders == {"n0": ("a",), "n1": ("a",), "n2": ("a",), "n3": ("b",)}
    assert network.merged() is merged
    assert merged.merged() is merged
    x = rng.standard_normal((7, 6)).astype(dtype)
    y = network.forward(x)
    np.testing.assert_allclose(merged.forward(x), y, rtol=1e-4, atol=1e-5 * np.abs(y).max())
    text = dtd.LRP(network).summary()
    assert "n1 is merged into a" in text
    assert "n3 is merged into b" in text
    assert "BatchNorm" not in text
    assert dtd.LRP(network)(x).audit.names == ("b", "a")


def test_explainers_explain_the_merged_network(rng):
    """What is redistributed is the product of both layers: one layer by hand gives the same."""
    w, scale, shift = rng.standard_normal((6, 4)), rng.standard_normal(4), rng.standard_normal(4)
    network = dtd.Network([("w", dtd.Dense(w)), dtd.ChannelAffine(scale, shift), dtd.ReLU()])
    by_hand = dtd.Network([dtd.Dense(w * scale, shift), dtd.ReLU()])
    x = rng.random((5, 6))
    for rule in (dtd.ZPlus(), dtd.Epsilon(), dtd.Gamma(), dtd.AlphaBeta(), dtd.WSquare()):
        one, other = (dtd.LRP(net, rule)(x, 2).relevance for net in (network, by_hand))
        np.testing.assert_allclose(one, other, rtol=1e-12)
    gradients = [dtd.Sensitivity(net)(x, 2).relevance for net in (network, by_hand)]
    np.testing.assert_allclose(*gradients, rtol=1e-12)


def test_what_is_not_merged(dtype, rng):
    """Where somebody else needs the value, or no linear layer is near."""
    layers = [
        ("a", dense(rng, dtype, 6, 6)),
        ("n1", norm(rng, dtype, 6)),  # a's own output is used below
        ("sum", dtd.Add(), ["a", "n1"]),
        ("relu", dtd.ReLU()),
        ("n2", norm(rng, dtype, 6)),  # used by a layer that is not linear as well
        ("b", dense(rng, dtype, 6, 6)),
        ("sum2", dtd.Add(), ["b", "n2"]),
        ("relu2", dtd.ReLU()),
        ("n3", norm(rng, dtype, 6)),  # the output
    ]
    network = dtd.Network(layers)
    assert network.merged() is network
    x = rng.standard_normal((3, 6)).astype(dtype)
    explanation = dtd.LRP(network, {"Dense": dtd.Epsilon()})(x)
    assert explanation.audit["n2"].rule == dtd.Z(bias=False)
    assert explanation.audit.closes()
    assert not isinstance(dtd.DeepTaylor(network).rules[0], dtd.ZPlus)
    assert dtd.DeepTaylor(network).rules[1] == dtd.ZPlus()
    # Two linear layers that both want it take it both.
    layers = [
        dtd.ReLU(),
        ("n", norm(rng, dtype, 6)),
        ("a", dense(rng, dtype, 6, 6), "n"),
        ("b", dense(rng, dtype, 6, 6), "n"),
        ("sum", dtd.Add(), ["a", "b"]),
    ]
    network = dtd.Network(layers)
    assert network.merged().holders == {"n": ("a", "b")}
    y = network.forward(x)
    np.testing.assert_allclose(network.merged().forward(x), y, rtol=1e-4, atol=1e-4)


def test_a_shared_layer_is_merged_where_the_scale_is(dtype, rng):
    layer = dense(rng, dtype, 6, 6)
    network = dtd.Network([("a", layer), ("n", norm(rng, dtype, 6)), dtd.ReLU(), ("b", layer)])
    merged = network.merged()
    assert merged.layers[0] is not layer
    assert merged.layers[2] is layer
    x = rng.standard_normal((3, 6)).astype(dtype)
    np.testing.assert_allclose(merged.forward(x), network.forward(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["n0", "a", "n1", "n2", "relu_2", "n3", "b", "out"])
def test_every_node_can_be_explained(name, dtype, rng):
    """At a layer that merging changed or took away, as at any other."""
    network = chain(rng, dtype)
    x = rng.standard_normal((5, 6)).astype(dtype)
    hidden = network.forward(x, node=name)
    explanation = dtd.LRP(network, dtd.Epsilon())(x, 1, node=name)
    atol = 1e-5 * np.abs(hidden).max()
    np.testing.assert_allclose(explanation.output, hidden, rtol=1e-4, atol=atol)
    gradient = network.gradient(x, 1, node=name)
    product = dtd.GradientTimesInput(network)(x, 1, node=name)
    scale = np.abs(gradient).max() + 1e-30
    np.testing.assert_allclose(product.relevance, x * gradient, rtol=1e-3, atol=1e-4 * scale)
    assert explanation.audit.closes(1e-3)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("shifted", [False, True])
def test_convolutions(padding, shifted, dtype, rng):
    """Behind always; before, unless zeros around the image would have to be shifted."""
    w, after = rng.standard_normal((6, 4, 3, 3)).astype(dtype), norm(rng, dtype, 6)
    before = dtd.ChannelAffine(rng.random(4).astype(dtype) + 1, rng.random(4) * shifted)
    conv = dtd.Conv(w, rng.standard_normal(6).astype(dtype), padding=padding)
    network = dtd.Network(
        [dtd.ReLU(), ("n0", before), ("c", conv), ("n1", after), dtd.ReLU(), dtd.Flatten()]
    )
    merged = network.merged()
    stays = bool(padding and shifted)
    assert ("n0" not in merged.holders) == stays
    assert merged.holders["n1"] == ("c",)
    x = rng.standard_normal((2, 4, 5, 6)).astype(dtype)
    y = network.forward(x)
    np.testing.assert_allclose(merged.forward(x), y, rtol=1e-4, atol=1e-4 * np.abs(y).max())
    explanation = dtd.LRP(network, {"Conv": dtd.ZPlus()})(x, 3)
    assert explanation.audit.names == (("c", "n0") if stays else ("c",))
    assert explanation.audit.closes(1e-3)
    by_name = dtd.LRP(network, {"Conv": dtd.ZPlus()})(x, 3, node="n1")
    np.testing.assert_allclose(by_name.output, network.forward(x, node="n1"), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layer", ["Dense", "Conv", "depthwise", "ConvTranspose"])
def test_one_number_for_all_channels(layer, rng):
    make = {
        "Dense": lambda: dtd.Dense(rng.random((4, 4))),
        "Conv": lambda: dtd.Conv(rng.random((4, 4, 1))),
        "depthwise": lambda: dtd.Conv(rng.random((4, 1, 1)), groups=4),
        "ConvTranspose": lambda: dtd.ConvTranspose(rng.random((4, 4, 1))),
    }
    # Of a transposed convolution fewer weights reach the border: a shift is not the same there.
    one = dtd.ChannelAffine([2.0], [0.0 if layer == "ConvTranspose" else 0.5])
    network = dtd.Network([dtd.ReLU(), one, make[layer](), dtd.ChannelAffine(-1.0)])
    assert len(network.merged().nodes) == 2
    x = rng.random((3, 4) if layer == "Dense" else (3, 4, 5))
    np.testing.assert_allclose(network.merged().forward(x), network.forward(x))


def test_keep(rng):
    network = chain(rng, np.dtype(float))
    kept = network.merged(keep=["n1"])
    assert kept.holders == {"n0": ("a",), "n3": ("b",)}
    x = rng.standard_normal((3, 6))
    np.testing.assert_allclose(kept.forward(x, node="n1"), network.forward(x, node="n1"))
    np.testing.assert_allclose(kept.forward(x), network.forward(x))


def test_rules_for_what_is_merged_are_refused_with_the_reason(rng):
    network = chain(rng, np.dtype(float))
    with pytest.raises(ValueError, match=r"no layer took the rule for \['n1'\].*n1 into a"):
        dtd.LRP(network, {"Dense": dtd.Z(), "n1": dtd.Z()})


@pytest.mark.parametrize("hidden", [False, True], ids=["input", "hidden"])
def test_a_frame_of_zeros_is_the_padding_of_convolutions(hidden, dtype, rng):
    """Also under w² and flat, which would give relevance to the frame."""
    w, v = (rng.standard_normal((4, 3, 3, 2)).astype(dtype) for _ in range(2))
    b = -rng.random(4).astype(dtype)
    front = [("in", dtd.ReLU())] if hidden else []
    end = [
        ("sum", dtd.Add(), ["one", "two"]),
        dtd.ReLU(),
        dtd.GlobalPool("sum"),
        dtd.Flatten(),
    ]
    source = "in" if hidden else "input"
    framed = [
        *front,
        ("pad", dtd.Pad((2, 1), (0, 3))),
        ("one", dtd.Conv(w, b, stride=2, padding=1), ["pad"]),
        ("two", dtd.Conv(v, b, stride=2, padding=((1, 1), (0, 2))), ["pad"]),
        *end,
    ]
    padded = [
        *front,
        ("one", dtd.Conv(w, b, stride=2, padding=((3, 1), (2, 4))), [source]),
        ("two", dtd.Conv(v, b, stride=2, padding=((3, 1), (1, 5))), [source]),
        *end,
    ]
    framed, padded = (dtd.Network(layers, (3, 5, 6)) for layers in (framed, padded))
    assert framed.merged().holders == {"pad": ("one", "two")}
    x = rng.random((4, 3, 5, 6)).astype(dtype)
    y = padded.forward(x)
    np.testing.assert_allclose(framed.forward(x), y, rtol=1e-5)
    for make in (
        dtd.DeepTaylor,
        lambda network: dtd.DeepTaylor(network, dtd.Box(0, 1)),
        lambda network: dtd.LRP(network, "epsilon-plus-flat"),
    ):
        one, other = make(framed)(x, 1), make(padded)(x, 1)
        assert one.relevance.any()
        assert (one.relevance == other.relevance).all()
    assert dtd.DeepTaylor(framed)(x, 1).is_consistent().all()
    shown = dtd.DeepTaylor(framed)(x, 40, node="pad").output
    assert shown.shape == (4, 3, 7, 10) and (shown[:, :, :2] == 0).all()


def test_frames_that_stay(rng):
    w = rng.standard_normal((4, 3, 3, 3))
    for pad, behind in (
        (dtd.Pad((1, 1), (1, 1), 0.5), dtd.Conv(w)),
        (dtd.Pad((1, 0, 0), (0, 0, 0)), dtd.Conv(rng.standard_normal((4, 4, 3, 3)))),
        (dtd.Pad((1, 1), (1, 1)), dtd.MaxPool(2)),
    ):
        network = dtd.Network([pad, behind], (3, 6, 6))
        assert network.merged() is network


def test_what_the_dtype_cannot_hold_stays_apart(rng):
    """Weights of 1e30 and scales of 1e20 are numbers of float32, their products are not."""
    w = np.full((3, 2), 1e30, np.float32)
    for layers in (
        [("in", dtd.ReLU()), ("n", dtd.ChannelAffine(np.float32([1e20] * 3))), ("a", dtd.Dense(w))],
        [("in", dtd.ReLU()), ("a", dtd.Dense(w)), ("n", dtd.ChannelAffine(np.float32([1e20] * 2)))],
    ):
        network = dtd.Network(layers, (3,))
        assert network.merged() is network
        assert np.isfinite(network.forward(rng.random((2, 3)).astype(np.float32) * 1e-20)).all()
