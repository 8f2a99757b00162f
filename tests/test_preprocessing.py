# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Pictures to inputs and back: the formulas, the domain, and files of all kinds."""

from __future__ import annotations

import io

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore.jobs.producers import preset_of_producer
from dtdcore.preprocessing import (
    PRESETS,
    Preprocessing,
    default_size,
    fitting,
    preset,
)

Image = pytest.importorskip("PIL.Image", reason="the package pillow is not installed")

# Written from the definitions of the presets: pixels (n, h, w, 3) in float64, RGB.
FORMULAS = {
    "caffe": lambda p: p[..., ::-1] - np.array([104, 117, 123]),
    "torchvision": lambda p: (
        (p / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    ),
    "minus1-1": lambda p: p / 127.5 - 1,
    "unit": lambda p: p / 255,
    "none": lambda p: p,
}


def pixels(*shape):
    result = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    result[0, 0, 0], result[0, 0, 1] = 0, 255
    return result


@pytest.mark.parametrize("shape", [(3, 8, 9), (8, 9, 3)])
@pytest.mark.parametrize("name", PRESETS)
def test_apply_domain_and_invert(name, shape):
    taken = preset(name, shape)
    pictures = pixels(4, 8, 9, 3)
    x = taken.apply(pictures)
    assert x.shape == (4, *shape) and x.dtype == np.float32
    expected = FORMULAS[name](pictures.astype(np.float64))
    expected = expected.transpose(0, 3, 1, 2) if shape[0] == 3 else expected
    np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-6)
    domain = taken.domain()
    domain.check(x)  # the ends to the bit: 0 and 255 are among the pixels
    domain.check(taken.apply(pictures, np.float64))
    low, high = domain.bounds(shape, np.dtype(np.float32))
    assert x.min() == low.min() and x.max() == high.max()
    assert np.ndim(domain.low) == (3 if name in ("caffe", "torchvision") else 0)
    np.testing.assert_array_equal(taken.invert(x), pictures)
    assert taken.fits(x) and not taken.fits(x * 1.01) and name in fitting(x)


def test_fitting_tells_presets_apart():
    assert fitting(np.full((1, 3, 2, 2), 200.0)) == ["none"]
    assert fitting(np.full((1, 3, 2, 2), -100.0)) == ["caffe"]
    assert fitting(np.full((1, 7), -0.5)) == ["minus1-1"]
    assert fitting(np.full((1, 7), 300.0)) == []


def test_grey_networks():
    taken = preset("unit", (1, 28, 28))
    assert taken.order == "gray" and taken.channels == 1 and taken.size == 28
    grey = taken.picture(Image.new("RGB", (28, 28), (255, 0, 0)))
    assert grey.shape == (28, 28, 1) and grey[0, 0, 0] == 76  # 0.299 of red
    assert taken.invert(taken.apply(grey[None])).shape == (1, 28, 28, 3)
    with pytest.raises(ValueError, match="preset caffe has a mean for each of 3 colours"):
        preset("caffe", (1, 28, 28))


@pytest.mark.parametrize(("crop", "size"), [(32, 32), (64, 64), (65, 256), (224, 256), (299, 342)])
def test_default_size(crop, size):
    assert default_size((crop, crop)) == size


@pytest.mark.parametrize(
    ("shape", "parts", "message"),
    [
        ((9,), {}, "no pictures"),
        ((4, 8, 8), {}, "no pictures"),
        ((3, 8, 8), {"layout": "hwc"}, "with the layout hwc"),
        ((3, 8, 8), {"crop": (7, 8)}, "takes inputs of \\(8, 8\\)"),
        ((3, 8, 8), {"order": "gray"}, "takes 3 channels"),
        ((3, 8, 8), {"size": 7}, "size must be at least the crop"),
        ((3, 8, 8), {"mean": (1, 2)}, "mean must hold 1 or 3 numbers"),
        ((3, 8, 8), {"std": (0.0,)}, "std must be finite and > 0"),
        ((3, 8, 8), {"depth": 1}, "has no depth"),
        (None, {}, "give a crop"),
    ],
)
def test_wrong_parts(shape, parts, message):
    with pytest.raises(ValueError, match=message):
        preset("unit", shape, **parts)


def test_domain_must_hold_zero():
    with pytest.raises(ValueError, match="0 is not among them"):
        Preprocessing(mean=(-1.0,)).domain()
    with pytest.raises(ValueError, match="there is no preset 'vgg'; there are caffe: x = pixel -"):
        preset("vgg", (3, 8, 8))


@pytest.mark.parametrize(
    ("producer", "name"),
    [
        ("assembled-from-caffejs-weights", "caffe"),
        ("pytorch", "torchvision"),
        ("tf2onnx", "minus1-1"),
        ("from TF.js layers model", "minus1-1"),
        ("keras2onnx", "minus1-1"),
        ("CNTK", None),
        ("", None),
    ],
)
def test_preset_of_producer(producer, name):
    assert preset_of_producer(producer) == name


def test_producer_is_kept(tmp_path):
    network = dtd.Network([dtd.Dense(np.ones((2, 1)))])
    network.producer = "pytorch"
    assert dtd.load(network.save(tmp_path / "n.npz")).producer == "pytorch"


# ------------------------------------------------------------------- picture files

PLAIN = preset("none", (3, 8, 8))


def saved(tmp_path, image, suffix="png", **options):
    path = tmp_path / f"picture.{suffix}"
    image.save(path, **options)
    return path


def test_short_side_and_centre(tmp_path):
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, 8:24] = 200  # the middle half
    path = saved(tmp_path, Image.fromarray(image))
    taken = preset("none", (3, 8, 8))
    picture = taken.picture(path)
    assert picture.shape == (8, 8, 3)
    assert np.all(picture[:, 1:-1] == 200)
    np.testing.assert_array_equal(taken.picture(image), picture)  # arrays as files


def test_orientation(tmp_path):
    image = np.zeros((8, 8, 3), np.uint8)
    image[0] = 250  # bright at the top
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    picture = PLAIN.picture(saved(tmp_path, Image.fromarray(image), exif=exif))
    assert np.all(picture[:, -1] == 250) and np.all(picture[:, :-1] == 0)


def test_transparent_is_white(tmp_path):
    clear = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    assert np.all(PLAIN.picture(saved(tmp_path, clear)) == 255)
    half = Image.new("LA", (8, 8), (0, 128))
    assert np.all(np.abs(PLAIN.picture(saved(tmp_path, half)).astype(int) - 127) <= 1)
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([9, 8, 7] * 256)
    assert np.all(PLAIN.picture(saved(tmp_path, palette)) == (9, 8, 7))
    assert np.all(PLAIN.picture(saved(tmp_path, palette, transparency=0)) == 255)


def test_other_kinds(tmp_path):
    deep = Image.fromarray(np.full((8, 8), 257 * 77, np.uint16))
    assert np.all(PLAIN.picture(saved(tmp_path, deep)) == 77)
    assert np.all(PLAIN.picture(saved(tmp_path, deep, transparency=257 * 77)) == 255)
    assert np.all(PLAIN.picture(saved(tmp_path, deep, transparency=257 * 77 + 1)) == 77)
    cmyk = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert np.all(PLAIN.picture(saved(tmp_path, cmyk, "tif")) == (0, 255, 255))
    assert np.all(PLAIN.picture(saved(tmp_path, Image.new("1", (8, 8), 1))) == 255)
    with pytest.raises(ValueError, match="floating-point"):
        PLAIN.picture(saved(tmp_path, Image.new("F", (8, 8)), "tif"))


def test_damaged_and_hostile_files(tmp_path, monkeypatch):
    whole = io.BytesIO()
    Image.fromarray(pixels(40, 40, 3)).save(whole, "png")
    path = tmp_path / "cut.png"
    for length in (0, 10, 60, len(whole.getvalue()) // 2):
        path.write_bytes(whole.getvalue()[:length])
        with pytest.raises(ValueError, match="cannot be read as a picture"):
            PLAIN.picture(path)
    path.write_bytes(whole.getvalue())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="decompression bomb"):
        PLAIN.picture(path)
    thin = saved(tmp_path, Image.new("RGB", (1, 90)), "bmp")
    with pytest.raises(ValueError, match="too long and thin"):
        PLAIN.picture(thin)
    with pytest.raises(FileNotFoundError):
        PLAIN.picture(tmp_path / "none.png")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="smaller than the 8 x 8"):
        preset("none", (3, 8, 8), size=None).picture(np.zeros((5, 9, 3), np.uint8))
