# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A model and inputs on the command line: for `dtdcore explain` and `dtdcore evaluate`."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.arrays import require
from dtdcore.commands.arguments import note, positive, whole
from dtdcore.convenience import load
from dtdcore.domains import Box, Domain, NonNegative, Reals
from dtdcore.jobs import UserError, user_errors
from dtdcore.jobs.columns import parse_columns
from dtdcore.jobs.inputs import Source, find_inputs
from dtdcore.jobs.job import Job
from dtdcore.jobs.labels import parse_target, read_labels
from dtdcore.jobs.producers import preset_of_producer
from dtdcore.jobs.side_by_side import side_by_side
from dtdcore.network import Network
from dtdcore.preprocessing import (
    LAYOUTS,
    ORDERS,
    PRESETS,
    Preprocessing,
    describe_presets,
    preset,
)
from dtdcore.runtime import set_num_threads
from dtdcore.targets import resolve

#: Numbers of a default batch: 13 pictures of 224 pixels.
_NUMBERS = 2**21


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL, INPUTS, and how these become inputs of the network."""
    parser.add_argument(
        "model", metavar="MODEL", type=Path, help="an ONNX model, or an .npz of Network.save"
    )
    parser.add_argument(
        "inputs",
        metavar="INPUTS",
        nargs="+",
        help="pictures; folders of them, with the folders inside (their names are part of the "
        "results' names, and no labels); globs; .npy, .npz, .csv or .tsv files",
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help="names of classes, one a line")
    parser.add_argument(
        "--target",
        default="top1",
        help="top1, top5, the number or (with --labels) the name of a class, the place of an "
        "output on each axis such as 1,22, or a contrast, 3-7 or zebra-horse (default: top1)",
    )
    known = parser.add_argument_group("preprocessing")
    known.add_argument(
        "--preset",
        choices=["auto", *PRESETS],
        default="auto",
        help="auto: for pictures what the producer of the model file suggests, for numbers none. "
        + describe_presets().replace("%", "%%"),
    )
    known.add_argument("--size", type=_size, help="scale the short side to it; none: do not scale")
    known.add_argument("--crop", type=_crop, metavar="H[,W]", help="cut out of the middle")
    known.add_argument("--mean", type=_numbers, metavar="A[,B,C]", help="x = (pixel/scale - mean)")
    known.add_argument("--std", type=_numbers, metavar="A[,B,C]", help="... / std, by channel")
    known.add_argument("--scale", type=positive, help="what pixels are divided by")
    known.add_argument("--order", choices=ORDERS, help="the network's channels")
    known.add_argument("--layout", choices=LAYOUTS, help="channels first (chw) or last (hwc)")
    known.add_argument(
        "--domain",
        type=_domain,
        metavar="reals|nonnegative|LOW,HIGH",
        help="where inputs lie (default: what the pixels 0..255 become, or all reals). A low end "
        "below 0 needs the form --domain=-1,1",
    )
    known.add_argument("--array", metavar="NAME", help="the array to take from .npz files")
    known.add_argument(
        "--columns",
        type=parse_columns,
        metavar="A,B,C",
        help="columns of .csv and .tsv files, in the order of the network's inputs: names, globs "
        "such as 'pixel*', or numbers from 0, alone or as in Python (1:5 are the second to the "
        "fifth column). Default: by name where the network knows names, else all columns, which "
        "must be numbers and as many as the network takes",
    )
    work = parser.add_argument_group("work")
    work.add_argument(
        "--output-tensor", metavar="NAME", help="the tensor of an ONNX model to explain"
    )
    work.add_argument(
        "--input-tensor",
        type=_tensor,
        metavar="NAME[=SHAPE]",
        help="the tensor of an ONNX model that the inputs are, such as data=3,224,224",
    )
    work.add_argument("--batch", type=whole(1), help="samples at a time (default: by their size)")
    work.add_argument("--threads", type=whole(1), help="threads (default: as dtdcore info says)")
    work.add_argument(
        "--max-memory",
        type=memory,
        metavar="BYTES",
        help="for the arrays of deep-taylor and lrp, such as 500M or 2G (default: no bound)",
    )


def open_job(arguments: argparse.Namespace, out: Path | None = None) -> Job:
    """Read the model, find the inputs and check the options, before any work.

    Sets the number of threads. What globs and folders find in the folder of results, `out`, is left
    out.

    Raises
    ------
    UserError, OSError, ImportError
        If something does not fit, in a line that says what to do.
    """
    if arguments.threads is not None:
        with user_errors("argument --threads: "):
            set_num_threads(arguments.threads)
    options: dict[str, Any] = {}
    if arguments.output_tensor is not None:
        options["outputs"] = arguments.output_tensor
    if arguments.input_tensor is not None:
        options["inputs"] = arguments.input_tensor
    try:
        with user_errors():
            network = load(arguments.model, **options)
    except UserError as error:
        if "puts=" not in str(error):
            raise
        hint = "inputs= is --input-tensor NAME=3,224,224 here, outputs= is --output-tensor NAME"
        raise UserError(f"{error} ({hint})") from None
    with user_errors(f"{arguments.model}: "):
        network = side_by_side(network)
    shape = network.input_shape
    classes = None if network.output_shape is None else math.prod(network.output_shape)
    labels = list(network.class_names) or None
    with user_errors():
        if arguments.labels is not None:
            labels = read_labels(arguments.labels)
            if classes is not None and len(labels) != classes:
                raise UserError(
                    f"{arguments.labels} names {len(labels)} classes, the network has {classes}"
                )
        target = parse_target(arguments.target, labels, classes)
        if target.other is not None and network.output_shape is not None:
            resolve(target.other, 1, network.output_shape)  # before any input is read
        sources = find_inputs(
            arguments.inputs,
            shape,
            array=arguments.array,
            columns=arguments.columns,
            known=network.feature_names,
            out=out,
            note=note,
        )
        tables = {source.columns for source in sources if source.columns is not None}
        if len(tables) == 1 and not network.feature_names:
            (network.feature_names,) = tables  # explanations and their files keep them
        if any(source.kind == "picture" for source in sources):
            require("PIL", "explain")
        preprocessing = _preprocessing(arguments, network, sources)
        domain = _choose_domain(arguments.domain, preprocessing, sources)
    size = math.prod(shape) if shape is not None else _NUMBERS
    batch = arguments.batch or max(1, min(256, _NUMBERS // max(1, size)))
    return Job(network, sources, preprocessing, domain, labels, target, batch, arguments.max_memory)


def _preprocessing(
    arguments: argparse.Namespace, network: Network, sources: list[Source]
) -> Preprocessing | None:
    """What pictures go through, as the user said or as the model's producer suggests."""
    names = ("size", "crop", "mean", "std", "scale", "order", "layout")
    parts = {n: getattr(arguments, n) for n in names if getattr(arguments, n) is not None}
    if parts.get("size") == 0:
        parts["size"] = None
    pictures = any(source.holds_pictures for source in sources)
    name, suggested = arguments.preset, False
    if name == "auto":
        if not pictures and not parts:
            return None
        name = preset_of_producer(network.producer)
        complete = {"mean", "std", "scale"} & set(parts)
        if name is None and complete:
            name = "none"  # all that is said is said by the parts
        elif name is None:
            who = (
                f"the model file names {network.producer!r} as its producer"
                if network.producer
                else "the model file does not say who made it"
            )
            raise UserError(
                f"{who}, which says nothing about the preprocessing of pictures: choose it with "
                f"--preset; there are {describe_presets()}"
            )
        else:
            suggested = True
    if not pictures and network.input_shape is not None and len(network.input_shape) != 3:
        raise UserError(
            f"a preprocessing is for pictures; the network takes inputs of shape "
            f"{network.input_shape}: say where they lie with --domain"
        )
    preprocessing = preset(name, network.input_shape, **parts)
    if suggested:
        note(
            f"preprocessing {name} ({preprocessing.formula()}), as the producer of the model file "
            f"is {network.producer!r}; --preset chooses another"
        )
    return preprocessing


def _choose_domain(
    domain: Domain | None, preprocessing: Preprocessing | None, sources: list[Source]
) -> Domain:
    if domain is None:
        return Reals() if preprocessing is None else preprocessing.domain()
    if any(source.holds_pictures for source in sources):
        ends = preprocessing.ends()
        low, high = domain.bounds((1,), np.dtype(np.float64))
        if ends.min() < low[0] or ends.max() > high[0]:
            raise UserError(
                f"argument --domain: with {preprocessing.formula()} pictures become numbers from "
                f"{ends.min():g} to {ends.max():g}, which are not all in {domain!r}"
            )
    return domain


def memory(text: str) -> int:
    """Parse a number of bytes, such as 500M or 2G (multiples of 1000; 2GiB: of 1024)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([kmgt]?)(i?)b?", text.strip(), re.IGNORECASE)
    size = 0.0
    if match:
        power = " kmgt".index(match[2].lower() or " ")
        size = min(float(match[1]) * (1024 if match[3] else 1000) ** power, 2.0**62)
    if size < 1:
        raise argparse.ArgumentTypeError(f"expected bytes such as 500M or 2G, got {text!r}")
    return int(size)


def _size(text: str) -> int:
    """Pixels; 0 for "none"."""
    return 0 if text == "none" else whole(1)(text)


def _crop(text: str) -> tuple[int, int]:
    sides = [whole(1)(part) for part in text.split(",")]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"expected HEIGHT,WIDTH or one number, got {text!r}")
    return sides[0], sides[-1]


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 1,2,3, got {text!r}") from None


def _tensor(text: str) -> str | dict[str, tuple[int, ...]]:
    name, separator, shape = text.rpartition("=")
    if not separator:
        return text
    return {name: tuple(whole(1)(part) for part in shape.split(","))}


def _domain(text: str) -> Domain:
    known = {"reals": Reals(), "nonnegative": NonNegative()}
    if text in known:
        return known[text]
    numbers = _numbers(text) if "," in text else ()
    if len(numbers) != 2:
        raise argparse.ArgumentTypeError(
            f"expected reals, nonnegative or LOW,HIGH such as 0,1, got {text!r}"
        )
    try:
        return Box(*numbers)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
