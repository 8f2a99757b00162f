# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Resize and Upsample of ONNX: nearest, linear and cubic, against ONNX Runtime at import."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import helper
from onnx_cases import floats, numbers, whole
from onnx_models import model

import dtdcore as dtd


@pytest.mark.parametrize("opset", [8, 9])
def test_upsample(opset):
    scales = [1.0, 1.0, 2.0, 3.0]
    if opset == 8:
        node = helper.make_node("Upsample", ["x"], ["y"], scales=scales)
    else:
        node = helper.make_node("Upsample", ["x", "s"], ["y"])
    proto = model([node], (2, 3, 2), {"s": floats(*scales)} if opset == 9 else {}, opset)
    x = numbers(2, 2, 3, 2)
    got = dtd.from_onnx(proto).forward(x)
    np.testing.assert_array_equal(got, x.repeat(2, axis=2).repeat(3, axis=3))


@pytest.mark.parametrize("opset", [11, 13, 19])
@pytest.mark.parametrize("how", ["scales", "sizes"])
@pytest.mark.parametrize(
    ("transform", "rounds"),
    [
        ("half_pixel", "round_prefer_floor"),
        ("pytorch_half_pixel", "round_prefer_ceil"),
        ("asymmetric", "floor"),
    ],
)
def test_resize(opset, how, transform, rounds):
    ins = ["x", "", "s"] if how == "scales" else ["x", "", "", "s"]
    if opset == 11:
        ins[1] = "roi"
    constants = {"s": floats(1, 1, 3, 2) if how == "scales" else whole(3, 2, 9, 4)}
    constants |= {"roi": floats()} if opset == 11 else {}
    if how == "sizes" and opset == 11:
        ins[2], constants["none"] = "none", floats()
    node = helper.make_node(
        "Resize",
        ins,
        ["y"],
        mode="nearest",
        coordinate_transformation_mode=transform,
        nearest_mode=rounds,
    )
    batch = "n" if how == "scales" else 3
    x = numbers(3, 2, 3, 2)
    got = dtd.from_onnx(model([node], (2, 3, 2), constants, opset, batch=batch)).forward(x)
    np.testing.assert_array_equal(got, x.repeat(3, axis=2).repeat(2, axis=3))


def resize(target, **attributes):
    """A Resize to scales (floats) or sizes (whole numbers) of the axes behind the first two."""
    scales = target.dtype == np.float32
    full = np.concatenate([np.ones(2, target.dtype), target])
    if not scales:
        full[:2] = 3, 2
    ins = ["x", "", "s"] if scales else ["x", "", "", "s"]
    node = helper.make_node("Resize", ins, ["y"], "resize", **attributes)
    return model([node], (2, 6, 5), {"s": full}, 19, batch="n" if scales else 3)


TARGETS = [floats(2, 2), floats(1.5, 0.6), floats(0.5, 2.3), whole(9, 4), whole(1, 11), whole(3, 5)]


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize(
    "transform",
    [
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "asymmetric",
        "align_corners",
        "tf_half_pixel_for_nn",
    ],
)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic", "cubic inside"])
def test_as_onnx_runtime_does(mode, transform, target):
    """Verified at import: all modes, up and down, by scales that are no whole numbers, too."""
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    if transform == "tf_half_pixel_for_nn" and mode != "nearest":
        pytest.skip("for nearest only")
    more = {"coordinate_transformation_mode": transform}
    if mode == "cubic inside":
        more |= {"exclude_outside": 1, "cubic_coeff_a": -0.5}
    proto = resize(target, mode=mode.split()[0], **more)
    network = dtd.from_onnx(proto)
    assert not network.notes
    names = {type(layer).__name__ for layer in network.layers}
    assert names <= {"Upsample", "Take", "Slice", "AxisMap", "Identity"}
    assert ("AxisMap" in names) <= (mode != "nearest")


@pytest.mark.parametrize("rounds", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_roundings(target, rounds):
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    for transform in ("half_pixel", "asymmetric"):
        proto = resize(
            target, mode="nearest", nearest_mode=rounds, coordinate_transformation_mode=transform
        )
        assert not dtd.from_onnx(proto).notes


@pytest.mark.parametrize("axes", [[2], [-1], [3, 2]])
def test_some_axes(axes):
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear", axes=axes)
    scales = floats(1.5, 0.5)[: len(axes)]
    network = dtd.from_onnx(model([node], (2, 6, 4), {"s": scales}, 18))
    sizes = [6, 4]
    for axis, scale in zip(axes, scales, strict=True):
        sizes[axis - 2 if axis > 0 else axis] *= scale
    assert network.output_shape == (2, *sizes)


def test_sizes_of_one_sample_are_verified_with_one():
    """Sizes that hold a batch of 1 make one sample of two: such a model is run on one."""
    node = helper.make_node("Resize", ["x", "", "", "s"], ["y"])
    network = dtd.from_onnx(model([node], (2, 3, 4), {"s": np.array([1, 2, 6, 8])}, 18))
    assert network.output_shape == (2, 6, 8)


def linear_maps(proto):
    return dtd.from_onnx(proto, verify=False).layers


def test_weights_by_hand():
    """Twice as many of 3 numbers: centres at -1/4, 1/4, …; aligned: at 0, 2/3, 4/3, 2."""
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")
    (layer,) = linear_maps(model([node], (1, 3), {"s": floats(1, 1, 2)}, 13))
    rows = [[4, 3, 1, 0, 0, 0], [0, 1, 3, 3, 1, 0], [0, 0, 0, 1, 3, 4]]
    np.testing.assert_allclose(layer.weight, np.array(rows) / 4, atol=1e-6)
    more = {"coordinate_transformation_mode": "align_corners"}
    node = helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="linear", **more)
    (layer,) = linear_maps(model([node], (1, 3), {"s": whole(1, 1, 4)}, 13, batch=1))
    rows = [[3, 1, 0, 0], [0, 2, 2, 0], [0, 0, 1, 3]]
    np.testing.assert_allclose(layer.weight, np.array(rows) / 3, atol=1e-6)
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="cubic", cubic_coeff_a=-0.5)
    (layer,) = linear_maps(model([node], (1, 8), {"s": floats(1, 1, 0.5)}, 13))
    np.testing.assert_allclose(layer.weight[:, 1] * 16, [0, -1, 9, 9, -1, 0, 0, 0], atol=1e-5)


def test_relevance_of_a_linear_resize():
    """R_i = Σ_j x_i w_ij / z_j R_j, by hand."""
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")
    network = dtd.from_onnx(model([node], (1, 2), {"s": floats(1, 1, 2)}, 13))
    x = np.array([[[1.0, 3.0]]])
    explanation = dtd.LRP(network, dtd.Z())(x, relevance=np.array([[[1.0, 1.5, 2.5, 3.0]]]))
    # y = 1, 1.5, 2.5, 3 with the weights (1, 0), (3/4, 1/4), (1/4, 3/4), (0, 1)
    np.testing.assert_allclose(explanation.relevance, [[[2.0, 6.0]]], rtol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "target", "message"),
    [
        ({"mode": "linear", "antialias": 1}, floats(0.5, 0.5), "antialias=1 is not supported"),
        (
            {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"},
            floats(2, 2),
            "tf_crop_and_resize",
        ),
        ({"mode": "area"}, floats(2, 2), "mode='area' is unknown"),
        ({"keep_aspect_ratio_policy": "not_larger"}, whole(3, 3), "keep_aspect_ratio_policy"),
        ({}, floats(0.1, 1), "would get the size 0"),
        ({}, floats(1e8, 1), "would get the size"),
        ({}, floats(1e6, 1), "6000000 places of an axis are more than"),
        ({"mode": "linear"}, floats(1e7, 1), "along an axis: its matrix"),
        ({}, floats(-1, 1), "it scales axis 2 by -1"),
    ],
)
def test_refused(attributes, target, message):
    proto = resize(target, **attributes)
    with pytest.raises(ValueError, match=f"Resize, node 'resize': .*{message}"):
        dtd.from_onnx(proto)
