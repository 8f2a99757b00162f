# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Trained networks of others, on real photographs and digits."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed")

import onnx
from onnx import helper

import dtdcore as dtd

pytestmark = pytest.mark.skipif(
    not os.environ.get("DTDCORE_DATA"),
    reason="environment variable DTDCORE_DATA is not set: no folder with the real data",
)

FOLDER = Path(os.environ.get("DTDCORE_DATA", ""))
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
CAFFE_MEAN = np.array([104, 117, 123], np.float32)[:, None, None]

#: size, logits, the domain
NETWORKS = {
    "bvlc_googlenet": (224, "loss3/classifier", dtd.Box(-CAFFE_MEAN, 255 - CAFFE_MEAN)),
    "squeezenet_v1.1": (227, "logits", dtd.Box(-CAFFE_MEAN, 255 - CAFFE_MEAN)),
    "mobilenet_v1_0.75_224": (224, "logits", dtd.Box(-1, 1)),
    "mnist-8": (None, "Plus214_Output_0", dtd.Box(0, 255)),
    "resnet20": (
        None,
        "logits",
        dtd.Box(-IMAGENET_MEAN / IMAGENET_STD, (1 - IMAGENET_MEAN) / IMAGENET_STD),
    ),
}


def photos(size):
    """(3, size, size) pixels 0..255, RGB, and the classes that count as right, of each photo."""
    image = pytest.importorskip("PIL.Image", reason="the package pillow is not installed")
    with open(FOLDER / "photos" / "labels.csv", newline="") as file:
        for row in csv.DictReader(file):
            photo = image.open(FOLDER / "photos" / row["file"]).convert("RGB")
            scale = 256 / min(photo.size)
            photo = photo.resize((round(photo.width * scale), round(photo.height * scale)))
            left, top = (photo.width - size) // 2, (photo.height - size) // 2
            photo = photo.crop((left, top, left + size, top + size))
            classes = [int(number) for number in row["accepted_class_indices"].split()]
            yield np.asarray(photo, np.float32).transpose(2, 0, 1), classes


def inputs(name, count=100):
    """A batch, and for each of it the classes that count as right."""
    if name == "mnist-8":
        with gzip.open(FOLDER / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
            pixels = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 1, 28, 28)
        with gzip.open(FOLDER / "mnist" / "t10k-labels-idx1-ubyte.gz") as file:
            labels = np.frombuffer(file.read()[8:], np.uint8)
        return pixels[:count].astype(np.float32), labels[:count, None].tolist()
    if name == "resnet20":
        with np.load(FOLDER / "cifar10" / "cifar10_test_first1000.npz") as content:
            parts = list(content.values())
        images = next(part for part in parts if part.ndim == 4)[:count]
        labels = next(part for part in parts if part.ndim == 1)[:count, None].tolist()
        images = images if images.shape[1] == 3 else images.transpose(0, 3, 1, 2)
        x = (images / np.float32(255) - IMAGENET_MEAN) / IMAGENET_STD
        return np.ascontiguousarray(x, np.float32), labels
    pixels, classes = zip(*photos(NETWORKS[name][0]), strict=True)
    x = np.stack(pixels)
    x = x / np.float32(127.5) - 1 if name.startswith("mobilenet") else x[:, ::-1] - CAFFE_MEAN
    return np.ascontiguousarray(x, np.float32), list(classes)


def their_logits(name, x):
    runtime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    model = onnx.load(FOLDER / "models" / f"{name}.onnx")
    del model.graph.output[:]
    model.graph.output.append(helper.make_empty_tensor_value_info(NETWORKS[name][1]))
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (source,) = session.get_inputs()
    return np.concatenate([session.run(None, {source.name: one[None]})[0] for one in x])


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_and_classes(name):
    network = dtd.load(FOLDER / "models" / f"{name}.onnx")
    x, classes = inputs(name)
    ours, theirs = network.forward(x), their_logits(name, x)
    difference = np.abs(ours - theirs).max(axis=1) / np.abs(theirs).max(axis=1)
    assert difference.max() < 1e-5
    np.testing.assert_array_equal(ours.argmax(axis=1), theirs.argmax(axis=1))
    right = [top in known for top, known in zip(ours.argmax(axis=1), classes, strict=True)]
    assert np.mean(right) >= (0.9 if len(x) == 100 else 1)


@pytest.mark.parametrize("pooling", ["proportional", "winner"])
@pytest.mark.parametrize("name", NETWORKS)
def test_deep_taylor_accounts_for_everything(name, pooling):
    network = dtd.load(FOLDER / "models" / f"{name}.onnx", verify=False)
    x, _ = inputs(name, 4)
    explanation = dtd.DeepTaylor(network, NETWORKS[name][2], pooling=pooling)(x[:4])
    f = explanation.output.max(axis=1)
    assert np.all(f > 0) and np.all(explanation.is_positive())
    for entry in explanation.audit:
        assert np.all(np.abs(entry.residual) <= 1e-5 * f)
    lost = sum(entry.lost for entry in explanation.audit)
    passed = explanation.relevance.sum(axis=(1, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(passed + lost, f, rtol=1e-5, atol=1e-5)
    # MobileNet's depthwise filters without a positive weight: neurons that only their bias fires.
    assert np.all(lost > 0.9 * f) if name.startswith("mobilenet") else np.all(lost < 1e-5 * f)
