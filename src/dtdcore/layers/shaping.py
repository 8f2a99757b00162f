# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers that only rearrange numbers, or scale each by a constant.

Axes and shapes are those of one input, without the batch axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from dtdcore.arrays import as_float, cast, check_count, check_finite, check_number
from dtdcore.layers.base import Layer, Shape
from dtdcore.rules import Rule
from dtdcore.steps.base import Step
from dtdcore.steps.shaping import (
    FlattenStep,
    MultiplyStep,
    PadStep,
    ReshapeStep,
    SliceStep,
    TransposeStep,
    UpsampleStep,
)


class Flatten(Layer):
    """(n, *shape) -> (n, prod(shape)); relevance goes back into place."""

    rearranges = True

    def output_shape(self, input_shape: Shape) -> Shape:
        """(prod(input_shape),): see `Layer.output_shape`."""
        return (int(np.prod(input_shape, dtype=np.int64)),)

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return FlattenStep()


class Reshape(Layer):
    """(n, *input shape) -> (n, *shape), in order; relevance goes back into place.

    Parameters
    ----------
    shape : tuple of int
        Shape of one output; one size may be -1: what remains.

    Raises
    ------
    TypeError, ValueError
        If `shape` is no tuple of whole numbers, or holds -1 twice.
    """

    rearranges = True

    def __init__(self, shape: Iterable[int]) -> None:
        super().__init__()
        self.shape = _counts(shape, "shape", -1)
        if self.shape.count(-1) > 1:
            raise ValueError(f"shape may hold one -1, got {self.shape}")

    def options(self) -> dict[str, Any]:
        """`shape`."""
        return {"shape": list(self.shape)}

    def output_shape(self, input_shape: Shape) -> Shape:
        """`shape`, with its size for -1: see `Layer.output_shape`."""
        size, known = math.prod(input_shape), math.prod(s for s in self.shape if s != -1)
        open_size = -1 in self.shape
        if not (known > 0 and size % known == 0 if open_size else size == known):
            raise ValueError(f"{self!r} cannot take inputs of shape {input_shape}")
        return tuple(size // known if s == -1 else s for s in self.shape)

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return ReshapeStep(self.shape)


class Transpose(Layer):
    """The axes of one input in another order; relevance goes back into place.

    Parameters
    ----------
    axes : tuple of int
        For each axis of an output the axis of an input that it was: (1, 2, 0) makes (height,
        width, channels) of (channels, height, width).

    Raises
    ------
    TypeError, ValueError
        If `axes` does not hold each of 0, 1, … once.
    """

    rearranges = True

    def __init__(self, axes: Iterable[int]) -> None:
        super().__init__()
        self.axes = _counts(axes, "axes", 0)
        if sorted(self.axes) != list(range(len(self.axes))):
            raise ValueError(f"axes must hold each of 0, 1, ... once, got {self.axes}")

    def options(self) -> dict[str, Any]:
        """`axes`."""
        return {"axes": list(self.axes)}

    def output_shape(self, input_shape: Shape) -> Shape:
        """The sizes in the new order: see `Layer.output_shape`."""
        if len(input_shape) != len(self.axes):
            raise ValueError(f"{self!r} takes inputs with {len(self.axes)} axes, got {input_shape}")
        return tuple(input_shape[axis] for axis in self.axes)

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return TransposeStep(self.axes)


class Slice(Layer):
    """The numbers start, start + step, … below stop along an axis; relevance goes back into place.

    What is left out has no share: R_i = 0 there.

    Parameters
    ----------
    axis : int
        An axis of one input, without the batch axis: 0 are the channels (or the features).
    start, stop : int
        0 ≤ start < stop ≤ the size of that axis.
    step : int
        ≥ 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is no whole number or out of range.
    """

    rearranges = True

    def __init__(self, axis: int, start: int, stop: int, step: int = 1) -> None:
        super().__init__()
        self.axis = check_count(axis, "axis", 0)
        self.start = check_count(start, "start", 0)
        self.stop = check_count(stop, "stop", self.start + 1)
        self.slice_step = check_count(step, "step")

    def options(self) -> dict[str, Any]:
        """`axis`, `start`, `stop` and `step`."""
        return {
            "axis": self.axis,
            "start": self.start,
            "stop": self.stop,
            "step": self.slice_step,
        }

    def output_shape(self, input_shape: Shape) -> Shape:
        """The axis with so many numbers as are taken: see `Layer.output_shape`."""
        if self.axis >= len(input_shape) or self.stop > input_shape[self.axis]:
            raise ValueError(f"{self!r} cannot take inputs of shape {input_shape}")
        size = len(range(self.start, self.stop, self.slice_step))
        return (*input_shape[: self.axis], size, *input_shape[self.axis + 1 :])

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return SliceStep(self.axis, slice(self.start, self.stop, self.slice_step))


class Pad(Layer):
    """A frame of a constant around an input.

    A frame of zeros before convolutions becomes their padding when an explainer is made. Elsewhere,
    relevance that the layer above gives to the frame is lost, and booked so. (z, z⁺ and z^B give
    none to a frame of zeros; w² and flat do.)

    Parameters
    ----------
    before, after : tuple of int
        Widths for each axis of one input, or for the last axes: (1, 1) pads height and width.
    value : float or array
        What the frame holds. An array broadcasts to one output; what it has inside of the frame
        does not matter. So constants are put before and behind a value: class tokens, coordinates.

    Raises
    ------
    TypeError, ValueError
        If a width is no whole number ≥ 0, the tuples differ in length, or `value` is not finite;
        in a network or a call, if an array does not broadcast to the output.
    """

    rearranges = True

    def __init__(self, before: Iterable[int], after: Iterable[int], value: Any = 0) -> None:
        super().__init__()
        self.before, self.after = _counts(before, "before", 0), _counts(after, "after", 0)
        if len(self.before) != len(self.after):
            raise ValueError(
                f"before and after must be of one length, got {self.before} and {self.after}"
            )
        #: A float, or an array.
        self.value: Any = value
        if isinstance(value, (np.ndarray, list, tuple)) and np.ndim(value):
            self.value = as_float(value, "value").copy()
            check_finite(self.value, "value")
            self.value.flags.writeable = False
        else:
            self.value = check_number(value, "value", -np.inf)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of an array of values."""
        return getattr(self.value, "dtype", super().dtype)

    @property
    def parameters(self) -> int:
        """0: nothing was learned."""
        return 0

    def arrays(self) -> dict[str, np.ndarray]:
        """`value`, if it is an array."""
        return {"value": self.value} if np.ndim(self.value) else {}

    def options(self) -> dict[str, Any]:
        """`before` and `after`, and `value` if it is one number."""
        widths: dict[str, Any] = {"before": list(self.before), "after": list(self.after)}
        return widths if np.ndim(self.value) else widths | {"value": self.value}

    def output_shape(self, input_shape: Shape) -> Shape:
        """The sizes with the frame: see `Layer.output_shape`."""
        rest = len(input_shape) - len(self.before)
        if rest < 0:
            raise ValueError(f"{self!r} pads {len(self.before)} axes, got {input_shape}")
        widths = zip(input_shape[rest:], self.before, self.after, strict=True)
        shape = (*input_shape[:rest], *(size + b + a for size, b, a in widths))
        if np.ndim(self.value) and not _broadcasts(self.value.shape, shape):
            raise ValueError(
                f"{self!r} makes {shape} of {input_shape}: its values do not broadcast to that"
            )
        return shape

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return PadStep(self.before, self.after, cast(np.asarray(self.value), dtype, "value"))

    def __repr__(self) -> str:
        value = f"array{self.value.shape}" if np.ndim(self.value) else self.value
        return f"Pad(before={list(self.before)}, after={list(self.after)}, value={value})"


class Upsample(Layer):
    """Nearest-neighbour upsampling: each number is repeated along the last axes, y_j = x_i.

    Every output has one input, so that R_i = Σ_j R_j over its copies, whatever the rule.

    Parameters
    ----------
    scale : tuple of int
        How often, for each of the last axes: (2, 2) doubles height and width.

    Raises
    ------
    TypeError, ValueError
        If a scale is no whole number ≥ 1.
    """

    rearranges = True

    def __init__(self, scale: Iterable[int]) -> None:
        super().__init__()
        self.scale = _counts(scale, "scale", 1)

    def options(self) -> dict[str, Any]:
        """`scale`."""
        return {"scale": list(self.scale)}

    def output_shape(self, input_shape: Shape) -> Shape:
        """The sizes times their scale: see `Layer.output_shape`."""
        rest = len(input_shape) - len(self.scale)
        if rest < 0:
            raise ValueError(f"{self!r} scales {len(self.scale)} axes, got {input_shape}")
        sizes = zip(input_shape[rest:], self.scale, strict=True)
        return (*input_shape[:rest], *(size * times for size, times in sizes))

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return UpsampleStep(self.scale)


class Multiply(Layer):
    """y_i = c_i x_i with constants c. Relevance passes through unchanged: R_i = R_j.

    (Each output has one input, so that every rule gives it all relevance.)

    Parameters
    ----------
    constant : float or array
        c, broadcast to one input.

    Raises
    ------
    TypeError, ValueError
        If `constant` does not hold finite real numbers.
    """

    rearranges = True

    def __init__(self, constant: Any) -> None:
        super().__init__()
        self.constant = as_float(constant, "constant").copy()
        check_finite(self.constant, "constant")
        self.constant.flags.writeable = False

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the constants."""
        return self.constant.dtype

    @property
    def parameters(self) -> int:
        """0: nothing was learned."""
        return 0

    def arrays(self) -> dict[str, np.ndarray]:
        """`constant`."""
        return {"constant": self.constant}

    def output_shape(self, input_shape: Shape) -> Shape:
        """The same: see `Layer.output_shape`."""
        if not _broadcasts(self.constant.shape, input_shape):
            raise ValueError(f"{self!r} cannot take inputs of shape {input_shape}")
        return input_shape

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return MultiplyStep(cast(self.constant, dtype, "constant"))

    def __repr__(self) -> str:
        shape = self.constant.shape
        return f"Multiply({f'array{shape}' if shape else float(self.constant)})"


def _broadcasts(own: Shape, shape: Shape) -> bool:
    """Does an array of one shape broadcast to another?"""
    try:
        return np.broadcast_shapes(own, shape) == shape
    except ValueError:
        return False


def _counts(values: Any, name: str, minimum: int) -> tuple[int, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a tuple of whole numbers, got {values!r}")
    return tuple(check_count(value, name, minimum) for value in values)
