# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Scales and shifts directly at the inputs: relevance passes, the domain is mapped with them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd

SCALE = np.array([0.5, -2.0, 3.0, 0.25, -1.0])
SHIFT = np.array([0.3, 1.0, -0.4, -2.0, 0.0])
LOW = np.array([-1.0, -0.5, -2.0, 0.0, -3.0])
HIGH = np.array([0.5, 2.0, 1.0, 9.0, 0.25])


def layers(rng, dtype, inputs=5):
    w1, b1 = rng.normal(size=(inputs, 7)), -rng.random(7)
    w2, b2 = rng.normal(0.5, 1, (7, 3)), -rng.random(3)
    return [
        ("one", dtd.Dense(w1.astype(dtype), b1.astype(dtype))),
        ("relu", dtd.ReLU()),
        ("two", dtd.Dense(w2.astype(dtype), b2.astype(dtype))),
    ]


def scaled(rest, dtype, shape=(5,)):
    first = ("scale", dtd.ChannelAffine(SCALE.astype(dtype), SHIFT.astype(dtype)))
    return dtd.Network([first, *rest], shape)


def inside(rng, n=20, low=LOW, high=HIGH):
    return rng.uniform(low, high, (n, *np.shape(low)))


def test_z_box_is_that_of_weights_that_were_merged_by_hand(rng):
    """Negative scales change the ends of the box; the formulas once more, in NumPy."""
    rest = layers(rng, float)
    one, two = rest[0][1], rest[2][1]
    w, b = SCALE[:, None] * one.weight, one.bias + SHIFT @ one.weight
    x = inside(rng)
    explanation = dtd.DeepTaylor(scaled(rest, float), dtd.Box(LOW, HIGH))(x, 1)
    a = ref.dense(x, w, b)
    y = ref.dense(np.maximum(a, 0), two.weight, two.bias)
    np.testing.assert_allclose(explanation.output, y, rtol=1e-12, atol=1e-12)
    start = np.zeros_like(y)
    start[:, 1] = np.maximum(y[:, 1], 0)
    assert np.count_nonzero(start) > 3
    hidden = ref.redistribute(ref.shares_z_plus(np.maximum(a, 0), two.weight), start[:, None])
    shares = ref.shares_z_box(x, w, low=LOW, high=HIGH)
    wanted = ref.redistribute(shares, hidden.relevance).relevance[:, 0]
    np.testing.assert_allclose(explanation.relevance, wanted, rtol=1e-10, atol=1e-13)
    assert explanation.audit.closes()


RULES = ["epsilon", "z-plus", "epsilon-plus-flat", dtd.WSquare(), dtd.AlphaBeta(), dtd.Gamma()]


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_relevance_is_that_of_the_network_behind_on_scaled_inputs(rules, dtype, rng):
    rest = layers(rng, dtype)
    network, behind = scaled(rest, dtype), dtd.Network(rest)
    x = inside(rng).astype(dtype)
    x_scaled = network.forward(x, node="scale")
    explain = dtd.LRP(network, rules)
    assert explain.rules[0] is None
    assert "scale" not in explain(x).audit.names
    there = dtd.LRP(behind, rules)(x_scaled, 2)
    assert (explain(x, 2).relevance == there.relevance).all()
    for domain, mapped in (
        (dtd.Reals(), dtd.Reals()),
        (dtd.NonNegative(), dtd.Reals()),
        (dtd.Box(LOW, HIGH), dtd.Box(np.minimum(*ends(dtype)), np.maximum(*ends(dtype)))),
    ):
        points = np.abs(x) if isinstance(domain, dtd.NonNegative) else x
        one = dtd.DeepTaylor(network, domain)(points, 2)
        two = dtd.DeepTaylor(behind, mapped)(network.forward(points, node="scale"), 2)
        assert (one.relevance == two.relevance).all()
        assert np.any(one.relevance)


def ends(dtype):
    """The mapped ends of the box, as floating-point numbers of a dtype give them."""
    scale, shift, *bounds = (array.astype(dtype) for array in (SCALE, SHIFT, LOW, HIGH))
    return [bound * scale + shift for bound in bounds]


def test_nothing_is_lost_where_an_input_is_zero_or_at_its_bound(dtype, rng):
    """As pixels are: a rule of its own for the scale would pass on nothing from there."""
    box = dtd.Box(LOW, HIGH)
    network = scaled(layers(rng, dtype), dtype)
    x = np.stack([LOW, HIGH, 0 * LOW, np.where(rng.random(5) < 0.5, LOW, HIGH)]).astype(dtype)
    for target in range(3):
        explanation = dtd.DeepTaylor(network, box)(x, target)
        assert set(explanation.audit.names) == {"one", "two"}
        assert explanation.is_positive().all()
        assert explanation.audit.closes()


def test_no_value_falls_out_of_the_box_by_rounding(dtype, rng):
    """Random scales of any size: what lies in the box has no negative share, to the bit."""
    for _ in range(40):
        scale, shift = rng.normal(size=(2, 5)) * 10.0 ** rng.integers(-3, 4, (2, 5))
        centre = -shift / scale
        width = rng.random((2, 5)) * 10.0 ** rng.integers(-2, 3, 5)
        low, high = centre - width[0], centre + width[1]
        affine = dtd.ChannelAffine(scale.astype(dtype), shift.astype(dtype))
        network = dtd.Network([affine, *layers(rng, dtype)])
        box = dtd.Box(low, high, origin=centre)
        x = np.where(rng.random((30, 5)) < 0.5, low, high)
        x[::3] = inside(rng, 10, low, high)
        low, high = box.bounds((5,), dtype)
        explanation = dtd.DeepTaylor(network, box)(np.clip(x.astype(dtype), low, high), 0)
        assert explanation.is_positive().all()
    # whole numbers, and numbers of another dtype than the weights
    other = np.dtype(np.float32 if dtype == np.float64 else np.float64)
    network = scaled(layers(rng, dtype), dtype)
    x = np.where(rng.random((30, 5)) < 0.5, LOW, HIGH).astype(other)
    assert dtd.DeepTaylor(network, dtd.Box(LOW, HIGH))(x, 0).is_positive().all()


@pytest.mark.parametrize("padding", [0, 1])
def test_images(padding, dtype, rng):
    """BatchNorm before a convolution, padded or not: black pixels keep their relevance."""
    mean, variance = rng.uniform(90, 130, 3), rng.uniform(2000, 4000, 3)
    norm = dtd.BatchNorm(mean.astype(dtype), variance.astype(dtype), epsilon=0)
    w = rng.normal(size=(4, 3, 3, 3)).astype(dtype)
    rest = [dtd.Conv(w, padding=padding), dtd.ReLU(), dtd.GlobalPool("average"), dtd.Flatten()]
    network = dtd.Network([("norm", norm), *rest], (3, 6, 5))
    x = rng.integers(0, 256, (4, 3, 6, 5)).astype(dtype)
    x[:, :, 2:] = 0
    explanation = dtd.DeepTaylor(network, dtd.Box(0, 255))(x, 1)
    behind = dtd.Network(rest, (3, 6, 5))
    low, high = ((np.array([end]) - mean) / np.sqrt(variance) for end in (0, 255))
    box = dtd.Box(low.reshape(3, 1, 1), (high + 1e-4).reshape(3, 1, 1))
    other = dtd.DeepTaylor(behind, dtd.Box(box.low - 1e-4, box.high))
    other = other(network.forward(x, node="norm"), 1)
    largest = np.abs(other.relevance).max()
    np.testing.assert_allclose(explanation.relevance, other.relevance, atol=2e-3 * largest)
    assert explanation.is_consistent().all()
    assert np.any(explanation.relevance[:, :, 3:] > 0)
    with pytest.raises(ValueError, match=r"x\[0, 0, 0, 0\] = 256"):
        dtd.DeepTaylor(network, dtd.Box(0, 255))(x * 0 + 256)


def test_scales_in_a_row_in_branches_and_behind_a_frame(rng):
    """x + 5 - 5: no 0 on the way, and 0 where the weights are met."""
    rest = layers(rng, float)
    box = dtd.Box(0, 2)
    plain = dtd.DeepTaylor(dtd.Network(rest), box)
    x = rng.uniform(0, 2, (6, 5))
    there_and_back = [dtd.ChannelAffine([1.0], [5.0]), dtd.ChannelAffine([1.0], [-5.0])]
    for first in (
        there_and_back,
        [dtd.Reshape((5, 1)), *there_and_back, dtd.Flatten()],
        [dtd.ChannelAffine([0.25]), dtd.Multiply(4.0)],
        [
            ("left", dtd.Slice(0, 0, 2), "input"),
            ("left_on", dtd.ChannelAffine([1.0, 2.0], [0.0, 1.0])),
            ("left_back", dtd.ChannelAffine([1.0, 0.5], [0.0, -0.5])),
            ("right", dtd.Slice(0, 2, 5), "input"),
            ("all", dtd.Concat(), ["left_back", "right"]),
        ],
    ):
        network = dtd.Network([*first, *rest], (5,))
        relevance = dtd.DeepTaylor(network, box)(x, 0).relevance
        np.testing.assert_allclose(relevance, plain(x, 0).relevance, rtol=1e-9, atol=1e-12)


def test_a_domain_without_zero_names_the_columns(rng):
    rest = layers(rng, float)
    network = dtd.Network([dtd.ChannelAffine([1, 2, 1, 1, 1], [0, 0.5, 0, 0.2, -9]), *rest])
    with pytest.raises(ValueError, match=r"layer one: the scaled domain of column 3 is \[0.2, 1.4"):
        dtd.DeepTaylor(network, dtd.Box([-1, -1, 0, 0, 0], [1, 1, 1, 1.2, 10]))
    with pytest.raises(ValueError, match=r"column 1 is \[0.5, 2.5\], of column 3 is .*column 4 is"):
        dtd.DeepTaylor(network, dtd.Box(0, 1))
    many = dtd.Network([dtd.ChannelAffine([1.0], [1.0]), *layers(rng, float, 9)])
    with pytest.raises(ValueError, match=r"and of 4 more, without 0.*origin"):
        dtd.DeepTaylor(many, dtd.Box(0, 1))
    image = [dtd.ChannelAffine([1.0], [1.0]), dtd.Conv(rng.normal(size=(2, 3, 1, 1)))]
    with pytest.raises(ValueError, match=r"number \(0, 0, 0\) is"):
        dtd.DeepTaylor(dtd.Network(image, (3, 1, 2)), dtd.Box([0, -1], 1))


def test_a_box_that_ends_at_zero_but_for_rounding(dtype, rng):
    """As scaling to [0, 1] gives it: (x - 1900) / 131."""
    scale = np.full(5, 1 / 131).astype(dtype)
    network = dtd.Network([dtd.ChannelAffine(scale, -1900 * scale), *layers(rng, dtype)])
    explain = dtd.DeepTaylor(network, dtd.Box(0, 2031))
    assert explain(np.full((1, 5), 1950, dtype), 0).audit.closes()
    years = dtd.Box(1900.0, 2031.0, origin=1900.0)
    x = rng.integers(1900, 2032, (50, 5)).astype(dtype)
    assert dtd.DeepTaylor(network, years)(x, 0).is_positive().all()


def test_a_box_elsewhere_has_an_origin(dtype, rng):
    """Ages from 18 to 80: z^B is the same formula, and needs no 0."""
    w = rng.normal(size=(5, 4))
    network = dtd.Network([dtd.Dense(w.astype(dtype), (-50 * w.sum(0)).astype(dtype)), dtd.ReLU()])
    low, high = np.array([18, 18, 18, -90, 40.0]), np.array([80, 80, 80, -1, 60.0])
    box = dtd.Box(low, high, origin=[50, 50, 50, -50, 50])
    x = rng.uniform(low, high, (9, 5)).astype(dtype)
    explain = dtd.DeepTaylor(network, box)
    assert explain.rules[0] == dtd.ZB(low, high, origin=[50.0, 50, 50, -50, 50])
    explanation = explain(x, 2)
    shares = ref.shares_z_box(x, network.layers[0].weight, None, low=low, high=high)
    start = np.zeros((9, 1, 4))
    start[:, 0, 2] = explanation.explained
    wanted = ref.redistribute(shares, start).relevance[:, 0]
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(explanation.relevance, wanted, rtol=1e-4, atol=1e-5 * scale)
    assert explanation.is_consistent().all()
    # through a scaler the same heatmap as without
    mean, deviation = (low + high) / 2, (high - low) / 4
    behind = dtd.Dense(w * deviation[:, None], mean @ w - 50 * w.sum(0))
    standard = dtd.Network([dtd.ChannelAffine(1 / deviation, -mean / deviation), behind])
    one = dtd.DeepTaylor(standard, box)(x.astype(float), 2).relevance
    two = dtd.DeepTaylor(standard, dtd.Box(low, high, mean))(x.astype(float), 2).relevance
    assert (one == two).all()
    np.testing.assert_allclose(one, wanted, rtol=1e-3, atol=1e-4 * scale)


def test_z_box_without_zero_at_the_border_of_an_image(dtype, rng):
    """The zeros around the image are no inputs: they have no share, also where the box has no 0."""
    w = rng.normal(size=(2, 1, 3, 3)).astype(dtype)
    conv = dtd.Conv(w, padding=1)
    matrix = conv.forward(np.eye(12, dtype=dtype).reshape(12, 1, 3, 4)).reshape(12, -1)
    x = rng.uniform(5, 9, (3, 1, 3, 4)).astype(dtype)
    rule = dtd.ZB(5, 9, origin=7)
    relevance = rng.random((3, 2, 3, 4)).astype(dtype)
    one = conv.redistribute(x, relevance, rule)
    two = dtd.Dense(matrix).redistribute(x.reshape(3, -1), relevance.reshape(3, -1), rule)
    np.testing.assert_allclose(one.reshape(3, -1), two, rtol=1e-3, atol=1e-5)


def test_origins_are_checked():
    for origin in (1.0, 3.5):
        with pytest.raises(ValueError, match="low <= origin <= high"):
            dtd.Box(2, 3, origin=origin)
    with pytest.raises(ValueError, match=r"origin\[1\] = 9 and \[0, 4\]"):
        dtd.Box(0, [2, 4, 9], origin=[1, 9, 5])
    with pytest.raises(ValueError, match="fit each other"):
        dtd.Box(0, [2, 4, 9], origin=[1, 2])
    with pytest.raises(ValueError, match=r"needs low <= 0 <= high.*origin"):
        dtd.Box(18, 80)
    with pytest.raises(ValueError, match="origin"):
        dtd.Box(18, 80, origin=np.nan)
    box = dtd.Box(18, 80, origin=40)
    assert repr(box) == "Box(low=18.0, high=80.0, origin=40.0)"
    assert repr(dtd.Box(0, 1)) == "Box(low=0.0, high=1.0)"
    assert copy.deepcopy(box) == box != dtd.Box(18, 80, origin=41)
    with pytest.raises(ValueError, match=r"x\[0, 1\] = 17.0 is outside the domain"):
        dtd.DeepTaylor(dtd.Network([dtd.Dense(np.ones((2, 1)))]), box)(np.array([[20.0, 17.0]]))


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (dtd.ChannelAffine([2.0], [0.0]), dtd.ZPlus()),
        (dtd.ChannelAffine([2.0], [1.0]), dtd.ZPlus()),
        (dtd.ChannelAffine([2.0], [-1.0]), dtd.WSquare()),
        (dtd.ChannelAffine([-2.0], [0.0]), dtd.WSquare()),
    ],
)
def test_inputs_that_are_not_negative(layer, wanted, rng):
    network = dtd.Network([layer, *layers(rng, float)])
    assert dtd.DeepTaylor(network, dtd.NonNegative()).rules[1] == wanted
    assert dtd.DeepTaylor(network, dtd.Reals()).rules[1] == dtd.WSquare()


def test_shapes_are_found_behind_scales(rng):
    network = dtd.Network(
        [dtd.ChannelAffine([2.0]), dtd.BatchNorm([0.0], [1.0]), *layers(rng, float)]
    )
    assert network.input_shape == (5,)
    conv = dtd.Network([dtd.ChannelAffine([2.0]), dtd.Conv(rng.normal(size=(2, 3, 1, 1)))])
    with pytest.raises(ValueError, match=r"scale in a box.*known input shape"):
        dtd.DeepTaylor(conv, dtd.Box(0, 1))


def test_rules_for_scales_of_the_inputs_are_refused(rng):
    with pytest.raises(ValueError, match=r"'scale'.*pass relevance on unchanged: scale"):
        dtd.LRP(scaled(layers(rng, float), float), {"scale": dtd.Z(), "Dense": dtd.Z()})


def test_explainers_through_scales_can_be_copied_and_draw_their_table(rng):
    explain = dtd.DeepTaylor(scaled(layers(rng, float), float), dtd.Box(LOW, HIGH))
    x = inside(rng)
    assert (copy.deepcopy(explain)(x, 0).relevance == explain(x, 0).relevance).all()
    line = next(line for line in explain.summary().splitlines() if line.startswith("scale"))
    assert line.rstrip().endswith("-")
    hidden = explain(x, 1, node="scale")
    assert np.count_nonzero(hidden.relevance) == np.count_nonzero(hidden.explained)


def test_the_nearest_root_lies_in_the_box_with_an_origin(rng):
    network = scaled([*layers(rng, float)[:2], dtd.NeuronPool()], float)
    box = dtd.Box(LOW + 10, HIGH + 10, origin=LOW + 10.1)
    shifted = dtd.Network([dtd.ChannelAffine(np.ones(5), np.full(5, -10.0)), *network.layers])
    x = inside(rng, 5) + 10
    found = dtd.nearest_root(shifted, x, box)
    there = dtd.nearest_root(network, x - 10, dtd.Box(LOW, HIGH))
    np.testing.assert_allclose(found.root - 10, there.root, atol=1e-6)
    assert box.contains(found.root, 1e-9).all()


def test_onnx_models_that_normalise_pixels(rng):
    """Sub and Div at the front, a padded convolution behind: pixels of 0 to 255 are explained."""
    pytest.importorskip("onnx", reason="the package onnx is not installed (extra onnx)")
    from onnx import helper
    from onnx_models import model

    mean = np.array([123.7, 116.3, 103.5], np.float32).reshape(1, 3, 1, 1)
    std = np.array([58.4, 57.1, 57.4], np.float32).reshape(3, 1, 1)
    w = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    v = rng.normal(size=(4, 2)).astype(np.float32)
    node = helper.make_node
    nodes = [
        node("Conv", ["z", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("MatMul", ["f", "v"], ["y"]),
    ]
    front = [node("Sub", ["x", "mean"], ["d"]), node("Div", ["d", "std"], ["z"])]
    constants = {"mean": mean, "std": std, "w": w, "v": v}
    network = dtd.from_onnx(model([*front, *nodes], (3, 8, 7), constants))
    behind = [helper.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    behind[0].input[0] = "x"
    rest = dtd.from_onnx(model(behind, (3, 8, 7), {"w": w, "v": v}))
    pixels = rng.integers(0, 256, (3, 3, 8, 7)).astype(np.float32)
    pixels[0] = 0
    one = dtd.DeepTaylor(network, dtd.Box(0, 255))
    assert isinstance(one.rules[2], dtd.ZB)
    low, high = (((end - mean) / std)[0] for end in (0, 255))
    two = dtd.DeepTaylor(rest, dtd.Box(low, high))
    x = np.clip((pixels - mean) / std, low, high)
    for target in (0, 1):
        explanation, other = one(pixels, target), two(x, target)
        scale = np.abs(other.relevance).max()
        np.testing.assert_allclose(explanation.relevance, other.relevance, atol=1e-4 * scale)
        assert explanation.audit.closes()
        assert not [entry for entry in explanation.audit if entry.name in ("d", "z")]


def test_a_frame_is_told_from_constant_inputs(rng):
    """An input that can have one value only gets nothing, with a frame around it, too."""
    low, high = np.zeros((2, 1, 1)), np.ones((2, 1, 1))
    low[0] = high[0] = 0.7
    box = dtd.Box(low, high, origin=0.7 * (low > 0))
    x = np.concatenate([np.full((3, 1, 4, 4), 0.7), rng.random((3, 1, 4, 4))], axis=1)
    w = rng.normal(size=(2 * 36, 3))
    framed = [("pad", dtd.Pad((1, 1), (1, 1))), dtd.Flatten(), dtd.Dense(w), dtd.ReLU()]
    relevance = dtd.DeepTaylor(dtd.Network(framed, (2, 4, 4)), box)(x).relevance
    assert relevance[:, 1].any() and not relevance[:, 0].any()


def test_sums_of_inputs_in_boxes_of_arrays(rng):
    """One summand scaled, the other not: the weights behind meet the sum of their boxes."""
    layers = [
        ("scaled", dtd.ChannelAffine([2.0, 0.5]), ["a"]),
        ("sum", dtd.Add(), ["scaled", "b"]),
        ("dense", dtd.Dense(rng.normal(size=(2, 3)))),
    ]
    network = dtd.Network(layers, {"a": (2,), "b": (2,)})
    _, of_sum, rule = dtd.DeepTaylor(network, dtd.Box(-1, 1)).rules
    assert of_sum == dtd.WSquare()
    assert rule.low.tolist() == [-3, -1.5] and rule.high.tolist() == [3, 1.5]


BODY = ("flat", "dense", "relu", "out")


def body(rng, dtype, inputs):
    w, v = rng.standard_normal((inputs, 6)), rng.standard_normal((6, 2))
    b = -rng.random(6)
    layers = [dtd.Flatten(), dtd.Dense(w.astype(dtype), b.astype(dtype)), dtd.ReLU()]
    return list(zip(BODY, [*layers, dtd.Dense(v.astype(dtype))], strict=True))


@pytest.mark.parametrize(
    "domain", [dtd.Box(-1, 2), dtd.Box(0, 1), dtd.NonNegative(), dtd.Reals()], ids=str
)
def test_what_changes_nothing_in_front_changes_no_heatmap(domain, dtype, rng):
    """Pools of one pixel, and activations where they are the identity; black pixels among them."""
    low, high = np.clip(domain.bounds((), dtype), -1, 2)
    x = rng.uniform(low, high, (20, 2, 3, 3)).astype(dtype)
    x[:, :, 0] = np.clip(0, low, high)
    x[:, :, 1] = low
    rest = body(rng, dtype, 18)
    fronts = [
        [dtd.AvgPool(1)],
        [dtd.MaxPool(1)],
        [dtd.SumPool(1), dtd.Identity()],
        [dtd.Transpose((1, 2, 0)), dtd.Transpose((2, 0, 1)), dtd.MaxPool(1)],
    ]
    if low >= 0:
        fronts += [[dtd.ReLU()], [dtd.LeakyReLU(0.2)], [dtd.PReLU([0.1, 0.5])], [dtd.ELU()]]
    if isinstance(domain, dtd.Box):
        fronts += [[dtd.Clip(domain.low, domain.high)], [dtd.AvgPool(1), dtd.Clip(-5, 5)]]
    plain = dtd.DeepTaylor(dtd.Network(rest, (2, 3, 3)), domain)
    for front in fronts:
        network = dtd.Network([*front, *rest], (2, 3, 3))
        for method in (
            dtd.DeepTaylor(network, domain),
            dtd.DeepTaylor(network, domain, pooling="winner"),
        ):
            for target in (0, 1):
                found, wanted = method(x, target), plain(x, target)
                scale = np.abs(wanted.relevance).max()
                np.testing.assert_allclose(found.relevance, wanted.relevance, atol=1e-5 * scale)
                assert found.is_consistent().all()


@pytest.mark.parametrize(
    ("front", "shape", "rule"),
    [
        (dtd.AvgPool(3), (1, 6, 6), dtd.ZB(-1, 2)),
        (dtd.MaxPool(2), (1, 4, 4), dtd.ZB(-1, 2)),
        (dtd.GlobalPool("max"), (4, 3, 3), dtd.ZB(-1, 2)),
        (dtd.SumPool(2), (1, 4, 4), dtd.ZB(-np.full((1, 2, 2), 4.0), np.full((1, 2, 2), 8.0))),
        (dtd.Clip(0, 1), (1, 2, 2), dtd.ZB(0, 1)),
        (dtd.ReLU(), (1, 2, 2), dtd.ZB(0, 2)),
        (dtd.LeakyReLU(0.5), (1, 2, 2), dtd.ZB(-0.5, 2)),
        (dtd.PReLU([0.5]), (1, 2, 2), None),
        (dtd.HardSigmoid(0.25, 0.5), (1, 2, 2), dtd.ZB(0, 1)),
        (dtd.HardSwish(), (1, 2, 2), dtd.ZPlus()),
        (dtd.AxisMap([[0.75, 0.25], [0.25, 0.75]], 1), (1, 2, 2), dtd.ZB(-1, 2)),
        (dtd.AxisMap([[1.5, -0.5], [-0.5, 1.5]], 1), (1, 2, 2), dtd.WSquare()),
        (dtd.LpPool(2, 2), (1, 4, 4), dtd.ZPlus()),
    ],
    ids=repr,
)
def test_boxes_pass_through_pools_and_activations(front, shape, rule, rng):
    """Unchanged through averages and maxima; mapped through sums and what grows; else hidden."""
    rest = body(rng, np.dtype(float), 4)
    network = dtd.Network([("front", front), *rest], shape)
    rules = dict(
        zip(
            (n.name for n in network.nodes),
            dtd.DeepTaylor(network, dtd.Box(-1, 2)).rules,
            strict=True,
        )
    )
    if rule is None:
        assert isinstance(rules["dense"], dtd.ZB) and rules["dense"].low.min() == -0.5
    elif isinstance(rule, dtd.ZB):
        found = rules["dense"]
        assert (np.ravel(found.low) == np.ravel(rule.low)).all()
        assert (np.ravel(found.high) == np.ravel(rule.high)).all()
    else:
        assert rules["dense"] == rule


@pytest.mark.parametrize(
    "domain", [dtd.Box(0, 1), dtd.Box(-1, 2), dtd.NonNegative(), dtd.Reals()], ids=str
)
@pytest.mark.parametrize(
    "pool", [dtd.AvgPool(2), dtd.SumPool(2), dtd.GlobalPool("average")], ids=repr
)
def test_averages_in_front_by_hand(pool, domain, rng):
    """The rule of the domain on averages, then equal shares (in proportion for x ≥ 0)."""
    rest = body(rng, np.dtype(float), 4 if not isinstance(pool, dtd.GlobalPool) else 1)
    network = dtd.Network([pool, *rest], (1, 4, 4))
    low, high = np.clip(domain.bounds((), np.dtype(float)), -1, 2)
    x = rng.uniform(low, high, (5, 1, 4, 4))
    x[0] = low
    pooled = pool.forward(x)
    found = dtd.DeepTaylor(network, domain)(x, 1)
    times = 4 if isinstance(pool, dtd.SumPool) else 1
    inner = (
        dtd.Box(times * domain.low, times * domain.high) if isinstance(domain, dtd.Box) else domain
    )
    behind = dtd.DeepTaylor(dtd.Network(rest, pooled.shape[1:]), inner)(pooled, 1)
    size = 4 // pooled.shape[-1]
    repeat = lambda r: r.repeat(size, axis=2).repeat(size, axis=3)  # noqa: E731
    if isinstance(domain, dtd.NonNegative):
        share = x / (repeat(pool.forward(x)) * (1 if times == 4 else size * size) + (x == 0))
    else:
        share = np.full(x.shape, 1 / size**2)
    np.testing.assert_allclose(found.relevance, repeat(behind.relevance) * share, atol=1e-12)
    assert found.is_consistent().all()
