# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that resize: each axis of the output is a fixed matrix times that of the input."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dtdcore.importers.onnx.call import Call
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import LARGEST_VALUE, Signal
from dtdcore.importers.windows import check_map, check_places, enlarged, mapped, picked

OPERATORS = Operators()

#: How nearest_mode rounds a coordinate.
ROUNDS = {
    "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True)
class Sampling:
    """How the numbers of an output follow from those of an input, along any axis."""

    mode: str
    transform: str
    rounding: str
    #: The constant a of cubic interpolation.
    cubic: float
    #: Do places outside have no weight? (Else those of the border count again.)
    inside: bool

    def places(self, size: int, new: int, scale: float) -> np.ndarray:
        """The numbers of an axis that are nearest."""
        at = self.coordinates(size, new, scale)
        return np.clip(ROUNDS[self.rounding](at), 0, size - 1).astype(np.int64)

    def matrix(self, size: int, new: int, scale: float) -> np.ndarray:
        """The weights (size, new) along an axis of linear and cubic resizing."""
        at = self.coordinates(size, new, scale)
        if self.mode == "linear":
            at = np.clip(at, 0, size - 1)
            first = np.floor(at)
            taps = [(first, 1 - (at - first)), (first + 1, at - first)]
        else:
            first = np.floor(at)
            taps = [(first + i, self._cubic(np.abs(at - first - i))) for i in (-1, 0, 1, 2)]
        inside = self.inside and self.mode == "cubic"
        result = np.zeros((size, new))
        for places, weights in taps:
            kept = np.where((places < 0) | (places >= size), 0, weights) if inside else weights
            border = np.clip(places, 0, size - 1).astype(np.int64)
            np.add.at(result, (border, np.arange(new)), kept)
        return result / result.sum(axis=0) if inside else result

    def coordinates(self, size: int, new: int, scale: float) -> np.ndarray:
        """Where each number of the output lies in the input: in float32, as runtimes compute it."""
        single = np.float32
        i, scale = np.arange(new, dtype=single), single(scale)
        centre = (i + single(0.5)) / scale - single(0.5)
        if self.transform == "align_corners":
            return i * single(size - 1) / single(max(new - 1, 1))
        if self.transform == "asymmetric":
            return i / scale
        if self.transform == "half_pixel_symmetric":
            off = single(size) / 2 * (1 - single(new) / (scale * single(size)))
            return off + centre
        if self.transform == "tf_half_pixel_for_nn":
            return (i + single(0.5)) / scale
        if self.transform == "pytorch_half_pixel" and new == 1:
            return np.zeros(1, single)
        return centre

    def _cubic(self, distance: np.ndarray) -> np.ndarray:
        """Weights by distance (Keys 1981)."""
        a, d = self.cubic, distance
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))


TRANSFORMS = (
    *("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners"),
    "tf_half_pixel_for_nn",
)


#: By the axis of a sample: its size, its new size and the scale that coordinates follow.
Resized = dict[int, tuple[int, int, float]]


@OPERATORS.add(
    "Upsample", "Resize", becomes="`Upsample` or `Take`; `AxisMap` for each axis: linear, cubic"
)
def resize(call: Call) -> Signal:
    """Nearest, linear or cubic, to any size."""
    x, sampling = call.signal(), _sampling(call)
    rank = len(x.shape) + 1
    scales, sizes = _scales(call)
    axes = call.integers("axes", tuple(range(rank))) if call.opset >= 18 else range(rank)
    axes = [axis + rank if axis < 0 else axis for axis in axes]
    given = sizes if scales is None else scales
    if len(given) != len(axes) or not set(axes) <= set(range(rank)):
        raise ValueError(f"it has {len(given)} scales or sizes for {len(axes)} axes")
    nearest, resized = sampling.mode == "nearest", {}
    for axis, number in zip(axes, given, strict=True):
        if axis == 0:
            if number not in ((1,) if sizes is None else (None, 1, call.batch)):
                raise ValueError("it resizes the batch axis")
            continue
        size = x.shape[axis - 1]
        scale = float(np.float32(number / size)) if scales is None else number
        if not (math.isfinite(scale) and 0 < scale < LARGEST_VALUE):
            raise ValueError(f"it scales axis {axis} by {scale:g}")
        new = number if scales is None else math.floor(size * scale)
        if new < 1 or new > LARGEST_VALUE:
            raise ValueError(f"axis {axis} of the size {size} would get the size {new}")
        resized[axis - 1] = (size, new, scale)
    return _nearest(call, x, sampling, resized) if nearest else _mapped(call, x, sampling, resized)


def _nearest(call: Call, x: Signal, sampling: Sampling, resized: Resized) -> Signal:
    """Places of each axis; where they only repeat it is one layer for all axes."""
    times, others = [1] * len(x.shape), {}
    for axis, (size, new, scale) in resized.items():
        check_places(new)
        places = sampling.places(size, new, scale)
        count = max(new // size, 1)
        if np.array_equal(places, np.repeat(np.arange(size), count)):
            times[axis] = count
        else:
            others[axis] = places
    x = enlarged(call, x, times)
    for axis, places in others.items():
        x = picked(call, x, axis, places)
    return x


def _mapped(call: Call, x: Signal, sampling: Sampling, resized: Resized) -> Signal:
    for axis, (size, new, scale) in resized.items():
        check_map(size, new)
        x = mapped(call, x, axis, sampling.matrix(size, new, scale).astype(call.dtype))
    return x


def _sampling(call: Call) -> Sampling:
    mode = call.text("mode", "nearest")
    plain = call.operator == "Upsample" or call.opset < 11
    transform = call.text("coordinate_transformation_mode", "half_pixel")
    sampling = Sampling(
        {"bilinear": "linear"}.get(mode, mode),
        "asymmetric" if plain else transform,
        "floor" if plain else call.text("nearest_mode", "round_prefer_floor"),
        call.number("cubic_coeff_a", -0.75),
        call.integer("exclude_outside", 0) != 0,
    )
    if sampling.mode not in ("nearest", "linear", "cubic"):
        raise ValueError(f"mode={mode!r} is unknown")
    if sampling.transform not in TRANSFORMS or sampling.rounding not in ROUNDS:
        raise ValueError(f"{sampling.transform} with {sampling.rounding} is not supported")
    if call.integer("antialias", 0):
        raise ValueError("antialias=1 is not supported: resize without it")
    if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise ValueError("keep_aspect_ratio_policy is not supported")
    return sampling


def _scales(call: Call) -> tuple[tuple[float, ...] | None, tuple[int | None, ...]]:
    """(scales, ()) or (None, sizes), for all axes."""
    if call.operator == "Upsample" and call.opset < 9:
        return call.numbers("scales") or (), ()
    index = 1 if call.operator == "Upsample" or call.opset < 11 else 2
    if call.has(index) and call.weights(index).size:
        return tuple(float(scale) for scale in call.weights(index).reshape(-1)), ()
    return None, call.sizes(3)
