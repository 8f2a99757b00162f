# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions of signals, images and volumes, and their transposes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dtdcore.arrays import as_float, by_channel, cast, check_count, check_finite
from dtdcore.layers.base import Layer, Shape
from dtdcore.rules import Rule, SearchDirection
from dtdcore.steps.base import Step
from dtdcore.steps.convolution import ConvOperator, Window
from dtdcore.steps.linear import LinearStep, linear_step

#: Of strides, dilations and paddings: sums of their products are whole numbers of 64 bits.
LARGEST = 2**31 - 1


class _Convolution(Layer):
    """What convolutions and their transposes share. `weight` and `bias` are read-only."""

    takes_rule = True
    clamps = True
    transposed = False

    def __init__(
        self, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
    ) -> None:
        super().__init__()
        weight = as_float(weight, "weight")
        if weight.ndim not in (3, 4, 5) or 0 in weight.shape:
            first = "inputs, outputs" if self.transposed else "outputs, inputs"
            raise ValueError(
                f"weight must have shape ({first} / groups, *kernel) with a kernel of 1, 2 or 3 "
                f"axes and no size 0, got {weight.shape}"
            )
        check_finite(weight, "weight")
        self.groups = check_count(groups, "groups")
        if weight.shape[0] % self.groups:
            raise ValueError(
                f"groups={self.groups} must divide the {weight.shape[0]} channels of weight axis 0"
            )
        self.weight = weight.copy()
        self.weight.flags.writeable = False
        ends = weight.shape[0], weight.shape[1] * self.groups
        self.inputs, self.outputs = ends if self.transposed else ends[::-1]
        kernel = weight.shape[2:]
        axes = len(kernel)
        self.bias: np.ndarray | None = None
        if bias is not None:
            bias = as_float(bias, "bias")
            if bias.shape[:1] != (self.outputs,) or bias.ndim not in (1, 1 + axes):
                by_pixel = f", or ({self.outputs}, *pixels) with one for each pixel"
                raise ValueError(
                    f"bias must have shape ({self.outputs},){by_pixel * (bias.ndim > 1)}, "
                    f"got {bias.shape}"
                )
            check_finite(bias, "bias")
            self.bias = cast(bias, weight.dtype, "bias").copy()
            self.bias.flags.writeable = False
        self.stride = per_axis(stride, "stride", axes)
        self.dilation = per_axis(dilation, "dilation", axes)
        self.padding = paddings(padding, kernel, self.stride, self.dilation)
        before, after = zip(*self.padding, strict=True)
        self._window = Window(kernel, self.stride, self.dilation, before, after)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the weights."""
        return self.weight.dtype

    def arrays(self) -> dict[str, np.ndarray]:
        """`weight` and, where there is one, `bias`."""
        return {"weight": self.weight} | ({} if self.bias is None else {"bias": self.bias})

    def options(self) -> dict[str, Any]:
        """`stride`, `padding` (before and after each axis), `dilation` and `groups`."""
        return {
            "stride": list(self.stride),
            "padding": [list(pair) for pair in self.padding],
            "dilation": list(self.dilation),
            "groups": self.groups,
        }

    def _operator(self, dtype: np.dtype) -> ConvOperator:
        bias = None if self.bias is None else cast(self.bias, dtype, "bias")
        weight = cast(self.weight, dtype, "weight")
        return ConvOperator(weight, bias, self._window, self.groups, self.transposed)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(outputs, *pixels): see `Layer.output_shape`."""
        axes = len(self._window.kernel)
        if len(input_shape) != axes + 1 or input_shape[0] != self.inputs:
            sizes = ("length", "height, width", "depth, height, width")[axes - 1]
            raise ValueError(
                f"{self!r} takes inputs of shape ({self.inputs}, {sizes}), got {input_shape}"
            )
        results = self._window.results(input_shape[1:])
        if 0 in input_shape or min(results) < 1:
            raise ValueError(f"{self!r} has no output for inputs of shape {input_shape}")
        if self.bias is not None and self.bias.shape[1:] not in ((), results):
            raise ValueError(
                f"{self!r} has a bias for {self.bias.shape[1:]} pixels, inputs of shape "
                f"{input_shape} give {results}"
            )
        return (self.outputs, *results)

    def scaled_outputs(self, scale: np.ndarray, shift: np.ndarray) -> Layer | None:
        """w_ij s_j and b_j s_j + t_j: see `Layer.scaled_outputs`."""
        scale, by_place = by_channel(scale), by_channel(shift)
        if scale is None:
            return None
        shift = shift if by_place is None else by_place
        weight = np.asarray(self.weight, np.float64) * self._by_output(scale)
        if self.bias is None:
            return self._remade(weight, np.asarray(shift, np.float64))
        bias, scale, shift = _alike(np.asarray(self.bias, np.float64), scale, shift)
        return self._remade(weight, bias * scale + shift)

    def scaled_inputs(self, scale: np.ndarray, shift: np.ndarray) -> Layer | None:
        """s_i w_ij and b_j + Σ_i t_i w_ij: see `Layer.scaled_inputs`."""
        scale = by_channel(scale)
        if scale is None:
            return None
        bias = None if self.bias is None else np.asarray(self.bias, np.float64)
        if np.any(shift):
            added = self._of_shift(shift)
            if added is None:
                return None
            bias = added if bias is None else np.add(*_alike(bias, added))
        return self._remade(np.asarray(self.weight, np.float64) * self._by_input(scale), bias)

    def _of_shift(self, shift: np.ndarray) -> np.ndarray | None:
        """Σ_i t_i w_ij, (outputs,), or (outputs, *pixels) where it differs from pixel to pixel.

        None where the border makes it differ, and the number of pixels is not known.
        """
        weight, by_place = np.asarray(self.weight, np.float64), by_channel(shift)
        if by_place is not None and not self.transposed and not any(map(any, self.padding)):
            shifts = self._by_input(by_place)
            return np.sum(weight * shifts, axis=tuple(range(1, weight.ndim)))
        if shift.ndim == 1:
            return None
        added = self._remade(weight, None, np.float64).forward(shift[None].astype(np.float64))[0]
        whole = by_channel(added)
        return added if whole is None else whole

    def _by_output(self, numbers: np.ndarray) -> np.ndarray:
        """One number for each output, to broadcast against the weights."""
        ones = [1] * len(self._window.kernel)
        if not self.transposed:
            return numbers.reshape(-1, 1, *ones)
        # (inputs, outputs / groups): each group of inputs has its own outputs
        by_group = np.repeat(numbers.reshape(self.groups, -1), self.inputs // self.groups, axis=0)
        return by_group.reshape(*self.weight.shape[:2], *ones)

    def _by_input(self, numbers: np.ndarray) -> np.ndarray:
        """One number for each input, to broadcast against the weights."""
        ones = [1] * len(self._window.kernel)
        if self.transposed:
            return numbers.reshape(-1, 1, *ones)
        by_group = np.repeat(numbers.reshape(self.groups, -1), self.outputs // self.groups, axis=0)
        return by_group.reshape(*self.weight.shape[:2], *ones)

    def _remade(
        self, weight: np.ndarray, bias: np.ndarray | None, dtype: Any = None
    ) -> _Convolution:
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        bias = None if bias is None else cast(bias, dtype, "bias")
        return type(self)(cast(weight, dtype, "weight"), bias, **self.options())

    def _make_step(
        self, rule: Rule | str | None, dtype: np.dtype, ceiling: float | None = None
    ) -> Step:
        if rule is None and ceiling is None:
            return LinearStep(self._operator(dtype))
        if isinstance(rule, SearchDirection):
            raise TypeError(f"{self!r} cannot take the rule {rule!r}: it is for dense layers")
        # the plain step's weights, packed once, serve all others
        return linear_step(self.step(None, dtype).operator, rule, ceiling)

    def __repr__(self) -> str:
        kernel = "x".join(map(str, self._window.kernel))
        parts = [f"{self.inputs} -> {self.outputs}", kernel]
        if set(self.stride) != {1}:
            parts.append(f"stride {_short(self.stride)}")
        if any(map(any, self.padding)):
            parts.append(f"padding {_short([b if b == a else (b, a) for b, a in self.padding])}")
        if set(self.dilation) != {1}:
            parts.append(f"dilation {_short(self.dilation)}")
        if self.groups != 1:
            parts.append(f"groups {self.groups}")
        if self.bias is not None:
            parts.append("bias" if self.bias.ndim == 1 else "bias by pixel")
        return f"{type(self).__name__}({', '.join(parts)}, {self.dtype})"


class Conv(_Convolution):
    """A convolution: a_j(v) = Σ_i Σ_t w_jit x_i(v · stride + t · dilation - padding) + b_j.

    x is 0 outside of the image: padding has no share in q_ij, and no relevance goes there, whatever
    the input domain. Under the w²- and flat rule z_j is smaller at the border, where fewer inputs
    reach a neuron.

    Parameters
    ----------
    weight : array (outputs, inputs / groups, *kernel)
        w_jit, copied; one, two or three axes of the kernel make a convolution of signals, images
        or volumes. float32 or float64; whole numbers become float64.
    bias : array (outputs,) or (outputs, *pixels), optional
        b_j; with pixels of the output b_j(v), which differs from pixel to pixel. The method's own
        networks have b_j ≤ 0.
    stride, dilation : int or sequence of int
        For all axes, or one for each.
    padding : int, "valid", "same" or sequence
        Zeros around the image: for all axes, or for each axis a number or (before, after).
        "valid": none. "same": the output has ceil(size / stride) pixels, the odd zero at the end;
        asks for stride 1 (else give numbers).
    groups : int
        The channels fall into so many groups that do not see each other; as many as channels:
        depthwise.

    Raises
    ------
    ValueError
        If a shape does not fit or a number is not finite or out of range.
    TypeError
        If an argument does not hold numbers of the right kind.
    """

    def __init__(
        self,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(weight, bias, stride, padding, dilation, groups)

    def padded_inputs(self, before: Sequence[int], after: Sequence[int]) -> Conv | None:
        """The layer behind a frame of zeros, as one layer; None where channels are framed, too."""
        axes = len(self.padding)
        if any(before[:-axes]) or any(after[:-axes]):
            return None
        frame = [(0,) * (axes - len(widths)) + tuple(widths[-axes:]) for widths in (before, after)]
        padding = [
            (own_before + b, own_after + a)
            for (own_before, own_after), b, a in zip(self.padding, *frame, strict=True)
        ]
        return Conv(self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class ConvTranspose(_Convolution):
    """A transposed convolution: a_j(u) = Σ_i Σ_t w_ijt x_i(v) + b_j.

    The sum runs over the pixels v and taps t with u = v · stride + t · dilation - padding.

    Parameters
    ----------
    weight : array (inputs, outputs / groups, *kernel)
        w_ijt, copied; axes of the kernel as for `Conv`.
    bias : array (outputs,) or (outputs, *pixels), optional
    stride, dilation : int or sequence of int
    padding : int or sequence
        So many pixels are cut off the output: for all axes, or for each axis a number or
        (before, after).
    output_padding : int or sequence of int
        So many pixels more at the end of each axis, smaller than stride or dilation.
    groups : int

    Raises
    ------
    ValueError
        If a shape does not fit or a number is not finite or out of range.
    TypeError
        If an argument does not hold numbers of the right kind.
    """

    transposed = True

    def __init__(
        self,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        output_padding: Any = 0,
    ) -> None:
        super().__init__(weight, bias, stride, padding, dilation, groups)
        self.output_padding = per_axis(
            output_padding, "output_padding", len(self._window.kernel), 0
        )
        for more, stride_, dilation_ in zip(
            self.output_padding, self.stride, self.dilation, strict=True
        ):
            if more >= max(stride_, dilation_):
                raise ValueError(
                    f"output_padding must be smaller than stride or dilation, got {more} with "
                    f"stride {stride_} and dilation {dilation_}"
                )
        self._window = replace(self._window, grow=self.output_padding)

    def options(self) -> dict[str, Any]:
        """Those of `Conv` and `output_padding`."""
        return super().options() | {"output_padding": list(self.output_padding)}


def _alike(*arrays: np.ndarray) -> list[np.ndarray]:
    """Numbers by channel with axes for the pixels, where others differ from pixel to pixel."""
    axes = max(array.ndim for array in arrays)
    return [array.reshape(*array.shape, *[1] * (axes - array.ndim)) for array in arrays]


def per_axis(value: Any, name: str, axes: int, minimum: int = 1) -> tuple[int, ...]:
    """One whole number for each axis, from one for all or a sequence.

    Raises
    ------
    TypeError, ValueError
        If it is neither, or a number is below `minimum`.
    """
    if isinstance(value, Iterable) and not isinstance(value, str):
        numbers = tuple(_number(part, name, minimum) for part in value)
        if len(numbers) != axes:
            raise ValueError(f"{name} must be one number or {axes}, got {len(numbers)}")
        return numbers
    return (_number(value, name, minimum),) * axes


def _number(value: Any, name: str, minimum: int) -> int:
    number = check_count(value, name, minimum)
    if number > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST}, got {number}")
    return number


def paddings(
    padding: Any, kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[tuple[int, int], ...]:
    """(before, after) for each axis, from what `Conv` takes as padding.

    Raises
    ------
    TypeError, ValueError
        If it is none of these.
    """
    axes = len(kernel)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * axes
        if padding != "same":
            raise ValueError(f"padding must be numbers, 'valid' or 'same', got {padding!r}")
        if set(stride) != {1}:
            raise ValueError(f"padding='same' asks for stride 1, got {stride}: give numbers")
        reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((all_ // 2, all_ - all_ // 2) for all_ in reach)
    if not isinstance(padding, Iterable):
        padding = [padding] * axes
    padding = list(padding)
    if len(padding) != axes:
        raise ValueError(
            f"padding must be one number or one (or (before, after)) for each of {axes} axes, "
            f"got {padding!r}"
        )
    pairs = []
    for part in padding:
        if isinstance(part, Iterable) and not isinstance(part, str):
            pair = tuple(_number(number, "padding", 0) for number in part)
            if len(pair) != 2:
                raise ValueError(f"padding of an axis must be (before, after), got {pair}")
            pairs.append(pair)
        else:
            number = _number(part, "padding", 0)
            pairs.append((number, number))
    return tuple(pairs)


def _short(numbers: Any) -> str:
    numbers = list(numbers)
    return str(numbers[0]) if len(set(map(str, numbers))) == 1 else str(tuple(numbers))
