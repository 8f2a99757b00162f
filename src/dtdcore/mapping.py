# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Where inputs lie after layers that rearrange, scale, pool or activate them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from dtdcore.domains import Box, Domain, NonNegative, Reals
from dtdcore.layers import AxisMap, ChannelAffine, Layer, Multiply, Pad
from dtdcore.layers.activations import Activation

Shape = tuple[int, ...]

#: An error names no more numbers than this.
NAMED = 5


@dataclass(frozen=True, eq=False, repr=False)
class Image(Box):
    """Where a box lies after scales and shifts: perhaps not around 0, until weights are met."""

    def __post_init__(self) -> None:
        """Nothing to check: the box that was mapped is valid."""


def is_mapped(layer: Layer) -> bool:
    """Are the outputs of a layer the inputs still, at most moved, scaled, pooled or activated?"""
    return layer.rearranges or layer.grows or isinstance(layer, AxisMap | ChannelAffine)


def mapped(
    layer: Layer, domains: list[Domain], shapes: list[Shape] | None, dtype: np.dtype
) -> Domain:
    """Where the outputs of a layer lie (`is_mapped`) for inputs in some domains.

    The layer itself maps the ends of a box, in the dtype of the values: as the operations of
    floating-point numbers are monotonic, no value falls out of the box by rounding. Pools give
    their box the whole range of their inputs; the range of an activation is widened to hold 0.
    """
    if isinstance(layer, Activation) and not layer.rearranges:
        return _activated(layer, domains[0], shapes, dtype)
    if isinstance(layer, AxisMap) and not layer.grows:
        return Reals()
    same = all(domain == domains[0] for domain in domains)
    boxes = all(isinstance(domain, Box) for domain in domains)
    moves = layer.rearranges and not isinstance(layer, Pad | Multiply)
    if moves and same and not (boxes and has_arrays(domains[0])):
        return domains[0]
    if boxes and layer.grows and not any(map(has_arrays, domains)):
        if layer.averages:
            return _pooled(layer, domains[0], shapes, dtype)
        if layer.joins:  # a sum, number by number
            shapes = [()] * len(domains)
        elif shapes is None:  # sums over who knows how many
            return Reals()
    if boxes:
        return _image(layer, domains, known(shapes), dtype)
    holds_all = hull(domains)
    if isinstance(holds_all, NonNegative):
        return holds_all if keeps_sign(layer) else Reals()
    return holds_all


def _pooled(layer: Layer, box: Box, shapes: list[Shape] | None, dtype: np.dtype) -> Box:
    """A box of one range for all: that of averages and maxima too, but for their rounding."""
    if shapes is None:
        return box
    image = _image(layer, [box], shapes, dtype)
    ends = float(np.min(image.low, initial=box.low)), float(np.max(image.high, initial=box.high))
    return box if ends == (box.low, box.high) else Image(*ends, box.origin)


def _activated(
    layer: Activation, domain: Domain, shapes: list[Shape] | None, dtype: np.dtype
) -> Domain:
    """Where an activation that grows lies, number by number."""
    if isinstance(domain, Box):
        if has_arrays(domain):
            image = _image(layer, [domain], known(shapes), dtype)
        else:
            image = _image(layer, [domain], [()], dtype)
        if image.origin is None:
            return Image(_bound(np.minimum(image.low, 0)), _bound(np.maximum(image.high, 0)))
        return image
    with np.errstate(all="ignore"):
        ends = np.array([0 if isinstance(domain, NonNegative) else -np.inf, np.inf], dtype)
        low, high = (float(end) for end in layer._apply(ends))
    if np.isfinite([low, high]).all():
        return Image(min(low, 0.0), max(high, 0.0))
    return NonNegative() if low >= 0 else Reals()


def keeps_sign(layer: Layer) -> bool:
    """Are outputs ≥ 0 where inputs are?"""
    if isinstance(layer, ChannelAffine):
        return bool(np.all(layer.scale >= 0) and np.all(layer.shift >= 0))
    if isinstance(layer, Pad | Multiply):
        numbers = layer.value if isinstance(layer, Pad) else layer.constant
        return bool(np.all(np.asarray(numbers) >= 0))
    return True


def _image(layer: Layer, boxes: list[Box], shapes: list[Shape], dtype: np.dtype) -> Image:
    def through(points: list[np.ndarray]) -> np.ndarray:
        return layer.forward(points if layer.joins else points[0])[0]

    corners = [_corners(*pair, dtype) for pair in zip(boxes, shapes, strict=True)]
    ends = [through(list(points)) for points in zip(*corners, strict=True)]
    low, high = np.minimum(*ends), np.maximum(*ends)
    if isinstance(layer, Pad):  # a frame that is no 0 itself lies between 0 and what it holds
        frame = Pad(layer.before, layer.after, 1).forward(np.zeros((1, *shapes[0])))[0] == 1
        low, high = (
            np.where(frame, np.minimum(low, 0), low),
            np.where(frame, np.maximum(high, 0), high),
        )
    origin = None
    if any(box.origin is not None for box in boxes):
        origins = [_point(*pair, dtype) for pair in zip(boxes, shapes, strict=True)]
        origin = np.clip(through(origins), low, high)
    return Image(_bound(low), _bound(high), None if origin is None else _bound(origin))


def _bound(numbers: Any) -> float | np.ndarray:
    result = np.array(numbers, np.float64)
    result.flags.writeable = False
    return result if result.ndim else float(result)


def _corners(box: Box, shape: Shape, dtype: np.dtype) -> list[np.ndarray]:
    """The lowest and the highest point of a box, as batches of one."""
    size = int(np.prod(shape))
    return [np.broadcast_to(b, (size,)).reshape(1, *shape) for b in box.bounds(shape, dtype)]


def _point(box: Box, shape: Shape, dtype: np.dtype) -> np.ndarray:
    """The origin of a box, 0 where none is given, as a batch of one."""
    origin = np.asarray(0 if box.origin is None else box.origin, dtype)
    return np.broadcast_to(origin, shape)[None]


def meets_weights(box: Box, name: str, dtype: np.dtype) -> Box:
    """A box where it meets the weights of a layer: with its origin, or with 0 in it.

    A box that begins (or ends) at 0 but for rounding does so then.

    Raises
    ------
    ValueError
        If it does not hold 0, and no origin is given, naming the columns.
    """
    if box.origin is not None or not isinstance(box, Image):
        return box
    low, high = np.broadcast_arrays(box.low, box.high)
    slack = 1000 * np.finfo(dtype).eps * (high - low)
    outside = np.argwhere((low > slack) | (high < -slack))
    if len(outside):
        places = [tuple(map(int, place)) for place in outside[:NAMED]]
        parts = [
            f"{f'column {place[0]}' if len(place) == 1 else f'number {place}'} is "
            f"[{low[place]:g}, {high[place]:g}]"
            for place in places
        ]
        more = f", and of {len(outside) - NAMED} more" if len(outside) > NAMED else ""
        raise ValueError(
            f"layer {name}: the scaled domain of {', of '.join(parts)}{more}, without 0, which the "
            "z^B-rule needs; widen the box, or say which input means nothing: "
            "Box(low, high, origin=...)"
        )
    return Image(_bound(np.minimum(low, 0)), _bound(np.maximum(high, 0)))


def hull(domains: list[Domain]) -> Domain:
    """A domain that holds all of some domains of values of one shape."""
    if all(domain == domains[0] for domain in domains):
        return domains[0]
    boxes = [domain for domain in domains if isinstance(domain, Box)]
    if len(boxes) == len(domains):
        try:
            low = reduce(np.minimum, [box.low for box in boxes])
            high = reduce(np.maximum, [box.high for box in boxes])
        except ValueError:
            raise ValueError(f"the boxes of values that meet do not fit: {boxes}") from None
        first, *others = [box.origin for box in boxes]
        alike = first is not None and all(np.array_equal(first, origin) for origin in others)
        return Image(*map(_bound, (low, high)), _bound(first) if alike else None)
    positive = all(
        isinstance(domain, NonNegative) or (isinstance(domain, Box) and np.all(domain.low >= 0))
        for domain in domains
    )
    return NonNegative() if positive else Reals()


def has_arrays(box: Box) -> bool:
    """Does a box hold arrays, which fit some shapes only?"""
    return any(np.ndim(bound) > 0 for bound in (box.low, box.high, box.origin))


def known(shape: Any) -> Any:
    """A shape, or shapes, unless unknown.

    Raises
    ------
    ValueError
        If it is None.
    """
    if shape is None:
        raise ValueError(
            "a box with arrays (or a frame or a scale in a box) needs a network of known input "
            "shape: Network(layers, input_shape)"
        )
    return shape
