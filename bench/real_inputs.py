# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Trained networks of others and real inputs for them, from the folder with the real data."""

from __future__ import annotations

import argparse
import csv
import gzip
import os
from pathlib import Path

import numpy as np

from dtdcore.preprocessing import Preprocessing, preset

#: The model's file -> its preprocessing, the shape of an input, and the tensor of the logits.
NETS = {
    "bvlc_googlenet": ("caffe", (3, 224, 224), "loss3/classifier"),
    "squeezenet_v1.1": ("caffe", (3, 227, 227), "logits"),
    "mobilenet_v1_0.75_224": ("minus1-1", (3, 224, 224), "logits"),
    "resnet20": ("torchvision", (3, 32, 32), "logits"),
    "mnist-8": ("none", (1, 28, 28), "Plus214_Output_0"),
}


def parse_with_data(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line, with the folder of the real data as --data."""
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("DTDCORE_DATA"),
        help="folder with models, photos, cifar10 and mnist (default: $DTDCORE_DATA)",
    )
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data, or set DTDCORE_DATA")
    options.data = Path(options.data)
    return options


def preprocessing(net: str) -> Preprocessing:
    """What pictures go through."""
    name, shape, _ = NETS[net]
    return preset(name, shape)


def read_inputs(net: str, data: Path, count: int) -> tuple[np.ndarray, list[list[int]]]:
    """At most `count` inputs (n, *shape), and for each the classes that count as right."""
    how = preprocessing(net)
    if net == "mnist-8":
        with gzip.open(data / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
            pictures = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 28, 28, 1)[:count]
        with gzip.open(data / "mnist" / "t10k-labels-idx1-ubyte.gz") as file:
            classes = np.frombuffer(file.read()[8:], np.uint8)[:count, None].tolist()
    elif net == "resnet20":
        with np.load(data / "cifar10" / "cifar10_test_first1000.npz") as content:
            pictures, classes = content["images"][:count], content["labels"][:count, None].tolist()
    else:
        with open(data / "photos" / "labels.csv", newline="") as file:
            rows = list(csv.DictReader(file))[:count]
        pictures = np.stack([how.picture(data / "photos" / row["file"]) for row in rows])
        classes = [[int(n) for n in row["accepted_class_indices"].split()] for row in rows]
    return how.apply(pictures), classes
