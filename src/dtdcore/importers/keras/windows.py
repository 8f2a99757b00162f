# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Keras layers that pool, pad, cut or repeat pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.importers.keras.call import Call, Value
from dtdcore.importers.keras.graph import import_keras
from dtdcore.importers.operators import Operators
from dtdcore.importers.windows import cut, enlarged, framed, picked, reduced, same
from dtdcore.layers import AvgPool, MaxPool

OPERATORS = Operators()


def _sliding(call: Call, sizes: Sequence[int]) -> dict[str, Any]:
    """Size, stride and padding of a pool."""
    size, stride = (_each(call.option(name), len(sizes)) for name in ("pool_size", "strides"))
    padding = [(0, 0)] * len(sizes)
    if call.option("padding") == "same":
        spans = zip(sizes, size, stride, strict=True)
        padding = [same(*span, dilation=1) for span in spans]
    return {"size": size, "stride": stride, "padding": padding}


def _each(number: Any, axes: int) -> tuple[int, ...]:
    """One number for each axis."""
    return tuple(number) if isinstance(number, (tuple, list)) else (number,) * axes


@OPERATORS.add("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", becomes="`MaxPool`")
def max_pooling(call: Call) -> Value:
    """Maxima over windows."""
    x, order = call.image()
    return Value(call.emit(MaxPool(**_sliding(call, x.shape[1:])), x), order)


@OPERATORS.add("AveragePooling1D", "AveragePooling2D", "AveragePooling3D", becomes="`AvgPool`")
def average_pooling(call: Call) -> Value:
    """Averages over the pixels of the image in windows.

    Where "same" takes more pixels at the end than at the start, PyTorch repeats those at the edges.
    """
    x, order = call.image()
    sliding = _sliding(call, x.shape[1:])
    uneven = any(before != after for before, after in sliding["padding"])
    if uneven and import_keras().backend.backend() == "torch":
        for axis, pair in enumerate(sliding["padding"], 1):
            x = picked(call, x, axis, np.pad(np.arange(x.shape[axis]), pair, "edge"))
        sliding["padding"] = [(0, 0)] * len(sliding["padding"])
    return Value(call.emit(AvgPool(**sliding, count_padding=False), x), order)


@OPERATORS.add(
    *(f"Global{kind}Pooling{axes}D" for kind in ("Average", "Max") for axes in (1, 2, 3)),
    becomes="`GlobalPool`",
)
def global_pooling(call: Call) -> Value:
    """Over all pixels."""
    x, order = call.image()
    kind = "max" if "Max" in type(call.layer).__name__ else "average"
    keep = bool(call.option("keepdims"))
    y = reduced(call, x, kind, range(1, len(order)), keep)
    return Value(y, order if keep else None)


def _pairs(option: Any, axes: int) -> list[tuple[int, int]]:
    """(before, after) for each spatial axis."""
    pairs = [option] if axes == 1 and isinstance(option[0], int) else option
    return [(int(before), int(after)) for before, after in pairs]


@OPERATORS.add("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", becomes="`Pad`")
def zero_padding(call: Call) -> Value:
    """A frame of zeros."""
    x, order = call.image()
    before, after = zip(*_pairs(call.option("padding"), len(order) - 1), strict=True)
    return Value(framed(call, x, (0, *before), (0, *after), 0.0), order)


@OPERATORS.add("Cropping1D", "Cropping2D", "Cropping3D", becomes="`Slice`")
def cropping(call: Call) -> Value:
    """Without pixels at the border."""
    x, order = call.image()
    for axis, (before, after) in enumerate(_pairs(call.option("cropping"), len(order) - 1), 1):
        x = cut(call, x, axis, slice(before, x.shape[axis] - after))
    return Value(x, order)


@OPERATORS.add("UpSampling1D", "UpSampling2D", "UpSampling3D", becomes="`Upsample`: nearest")
def up_sampling(call: Call) -> Value:
    """Each pixel repeated."""
    if call.option("interpolation", "nearest") != "nearest":
        raise ValueError(
            f"interpolation={call.option('interpolation')!r} is not supported, only 'nearest'"
        )
    x, order = call.image()
    return Value(enlarged(call, x, (1, *_each(call.option("size"), len(order) - 1))), order)
