# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The operator of convolutions and transposed convolutions: blocked images, packed weights."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore import _core
from dtdcore.adding import NO_CEILING, clamp
from dtdcore.arena import empty, using
from dtdcore.arrays import kernels
from dtdcore.blocked import Blocked, block_size, to_blocked, to_plain
from dtdcore.rules import Flat, Rule, WSquare
from dtdcore.steps.linear import Ahead, Fixed, Operator, ReadyTerm
from dtdcore.terms import Term

Sizes = tuple[int, ...]

#: Sizes of images that an operator remembers.
SHAPES_KEPT = 64


@dataclass(frozen=True)
class Window:
    """Where the taps of a convolution lie, one number for each spatial axis.

    Result pixel v reads the input pixels v · stride + t · dilation - before, t = 0 … kernel - 1.
    """

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    before: Sizes
    after: Sizes
    #: Of a transposed convolution: pixels that its output has beyond what the taps reach.
    grow: Sizes | None = None

    def results(self, sizes: Sizes) -> Sizes:
        """Pixels of the layer's output for an input of these sizes; below 1 where nothing fits."""
        axes = zip(self.kernel, self.stride, self.dilation, self.before, self.after, strict=True)
        if self.grow is None:
            return tuple(
                (n + b + a - d * (k - 1) - 1) // s + 1
                for n, (k, s, d, b, a) in zip(sizes, axes, strict=True)
            )
        return tuple(
            (n - 1) * s + d * (k - 1) + 1 - b - a + more
            for n, more, (k, s, d, b, a) in zip(sizes, self.grow, axes, strict=True)
        )


class ConvOperator(Operator):
    """The sums of a convolution, or with `transposed` of its transpose.

    Parameters
    ----------
    weight : array (outputs, inputs / groups, *kernel)
        Of the convolution: of its transpose the inputs are the outputs.
    bias : array (channels,), (channels, *pixels) or None
        Of the layer's output.
    window : Window
    groups : int
    transposed : bool
    """

    plain = False
    looks_ahead = True

    def __init__(
        self,
        weight: np.ndarray,
        bias: np.ndarray | None,
        window: Window,
        groups: int,
        transposed: bool,
    ) -> None:
        self.core = kernels(weight.dtype)
        self.weight, self.bias = weight, bias
        #: What the core adds itself, and what is added to what it gives: a bias that differs from
        #: pixel to pixel, as a blocked image.
        self._bias, self._by_pixel = bias, None
        if bias is not None and bias.ndim > 1:
            with using(None):  # kept beyond the run
                self._bias, self._by_pixel = None, to_blocked(bias[None]).array
        self.window, self.groups, self.transposed = window, groups, transposed
        outputs, inputs = weight.shape[0], weight.shape[1] * groups
        self.channels = (outputs, inputs) if transposed else (inputs, outputs)
        reached = self.channels[1] // groups
        self.fan_out = reached * math.prod(window.kernel)
        self._packed: dict[bool, np.ndarray] = {}
        self._shapes: dict[Hashable, _core.ConvShape] = {}

    # ---- geometry and packed weights

    def packed(self, shape: _core.ConvShape, transposed: bool) -> np.ndarray:
        """The weights in the order of one direction, for images of any size; made once.

        Threads that need them at once may each make them: they are the same.
        """
        packed = self._packed.get(transposed)
        if packed is None:
            size = shape.packed_size(transposed, self.weight.itemsize)
            packed = np.empty(size, self.weight.dtype)
            self.core.conv_pack(shape, transposed, self.weight.reshape(-1), packed)
            self._packed[transposed] = packed
        return packed

    def shape(self, sizes: Sizes) -> _core.ConvShape:
        """The core's description of the convolution for an input of these sizes."""
        shape = self._shapes.get(sizes)
        if shape is None:
            results = self.window.results(sizes)
            first, last = (results, sizes) if self.transposed else (sizes, results)
            window, ends = self.window, self.channels[::-1] if self.transposed else self.channels
            shape = _core.ConvShape(
                *ends,
                self.groups,
                _three(first, 1),
                _three(last, 1),
                _three(window.kernel, 1),
                _three(window.stride, 1),
                _three(window.dilation, 1),
                _three(window.before, 0),
            )
            if len(self._shapes) >= SHAPES_KEPT:
                self._shapes.clear()
            self._shapes[sizes] = shape
        return shape

    def _room(self, lead: Sizes, output: bool, sizes: Sizes) -> np.ndarray:
        block = block_size(self.weight.dtype)
        pixels = self.window.results(sizes) if output else sizes
        blocks = -(-self.channels[output] // block)
        return empty((*lead, blocks, *pixels, block), self.weight.dtype)

    # ---- what linear steps ask

    def scaled(self, exponent: int) -> ConvOperator:
        bias = None if self.bias is None else np.ldexp(self.bias, exponent)
        weight = np.ldexp(self.weight, exponent)
        return ConvOperator(weight, bias, self.window, self.groups, self.transposed)

    def take(self, x: Any) -> Blocked:
        return to_blocked(x)

    def geometry(self, x: Blocked) -> Sizes:
        return x.spatial

    def forward(self, x: Blocked, ceiling: float | None) -> np.ndarray:
        a = self._room((len(x),), True, x.spatial)
        shape = self.shape(x.spatial)
        self.core.conv_forward(
            shape,
            self.transposed,
            len(x),
            x.array.reshape(-1),
            self.packed(shape, self.transposed),
            self._bias,
            self._ceiling(ceiling),
            a.reshape(-1),
        )
        return self._shifted(a, ceiling)

    def _ceiling(self, ceiling: float | None) -> float:
        """Where the core clamps its sums."""
        return NO_CEILING if ceiling is None or self._by_pixel is not None else ceiling

    def _shifted(self, a: np.ndarray, ceiling: float | None) -> np.ndarray:
        """What the core gives, with a bias that differs from pixel to pixel."""
        if self._by_pixel is None:
            return a
        np.add(a, self._by_pixel, out=a)
        return a if ceiling is None else clamp(a, ceiling, a)

    def forward_z(
        self, x: Blocked, term: ReadyTerm, ceiling: float | None, want_a: bool
    ) -> tuple[np.ndarray | None, np.ndarray]:
        z = self._room((len(x),), True, x.spatial)
        a = empty(z.shape, z.dtype) if want_a else None
        shape = self.shape(x.spatial)
        self.core.conv_forward_z(
            shape,
            self.transposed,
            len(x),
            x.array.reshape(-1),
            self.packed(shape, self.transposed),
            self._bias,
            self._ceiling(ceiling),
            term.coefficients,
            term.low,
            term.high,
            x.nonnegative,
            None if a is None else a.reshape(-1),
            z.reshape(-1),
        )
        return None if a is None else self._shifted(a, ceiling), z

    def value(self, a: np.ndarray, clamped: bool) -> Blocked:
        return Blocked(a, self.channels[1], clamped)

    def signal(self, signal: Any) -> np.ndarray:
        return to_blocked(signal, 2).array

    def inputs(self, n: int, k: int, geometry: Hashable) -> np.ndarray:
        return self._room((n, k), False, geometry)

    def leave(self, signal: np.ndarray) -> Blocked:
        return Blocked(signal, self.channels[0], lead=2)

    def ready(self, term: Term, bias: bool, geometry: Hashable) -> ReadyTerm:
        dtype = self.weight.dtype
        shape = (self.channels[0], *geometry)
        low, high = (
            None if bound is None else to_blocked(bound.reshape(1, *shape)).array.reshape(-1)
            for bound in term.bounds(shape, dtype)
        )
        share = term.of_bias(self.bias) if bias and self.bias is not None else None
        return ReadyTerm(term.coefficients, low, high, self._map(share, geometry))

    def _map(self, numbers: np.ndarray | None, geometry: Sizes) -> np.ndarray | None:
        """Numbers for the channels (and pixels) of the output as a flat blocked image."""
        if numbers is None:
            return None
        sizes = self.window.results(geometry)
        if numbers.ndim == 1:
            numbers = numbers.reshape(-1, *[1] * len(sizes))
        plain = np.broadcast_to(numbers, (1, len(numbers), *sizes))
        return to_blocked(plain.astype(self.weight.dtype)).array.reshape(-1)

    def spread(
        self,
        x: Blocked,
        term: ReadyTerm,
        s: np.ndarray,
        accumulate: bool,
        result: np.ndarray,
        ahead: Ahead | None = None,
    ) -> None:
        back = not self.transposed
        following: tuple[Any, ...] = ()
        if ahead is not None:
            z, account = ahead.z.reshape(-1), ahead.account
            following = (z, ahead.bias, ahead.epsilon, ahead.limit, account)
        shape = self.shape(x.spatial)
        self.core.conv_redistribute(
            shape,
            back,
            *s.shape[:2],
            x.array.reshape(-1),
            self.packed(shape, back),
            term.coefficients,
            term.low,
            term.high,
            x.nonnegative,
            s.reshape(-1),
            accumulate,
            result.reshape(-1),
            *following,
        )

    def gradient(self, signal: np.ndarray, geometry: Hashable) -> np.ndarray:
        n, k = signal.shape[:2]
        result = self.inputs(n, k, geometry)
        back = not self.transposed
        shape = self.shape(geometry)
        self.core.conv_forward(
            shape, back, n * k, signal.reshape(-1), self.packed(shape, back), None, NO_CEILING,
            result.reshape(-1),
        )  # fmt: skip
        return result

    # ---- rules whose q_ij does not depend on x

    def fixed(self, rule: Rule, geometry: Hashable) -> Fixed:
        match rule:
            case WSquare():
                return self._square(rule, geometry)
            case Flat():
                return self._flat(geometry)
        raise TypeError(f"a convolution cannot take the rule {rule!r}")

    def _square(self, rule: WSquare, geometry: Sizes) -> Fixed:
        shape = self.shape(geometry)
        # z_j depends on the place: at the border the padding has no share.
        ones = to_blocked(np.ones((1, self.channels[0], *geometry), self.weight.dtype))
        z = self._room((1,), True, geometry)
        forward, back = self.transposed, not self.transposed
        self.core.conv_square(
            shape, forward, 1, ones.array.reshape(-1), self.packed(shape, forward), z.reshape(-1)
        )
        bias = self.bias * self.bias if rule.bias and self.bias is not None else None

        def spread(s: np.ndarray) -> np.ndarray:
            n, k = s.shape[:2]
            result = self.inputs(n, k, geometry)
            self.core.conv_square(
                shape, back, n * k, s.reshape(-1), self.packed(shape, back), result.reshape(-1)
            )
            return result

        largest = self.largest() ** 2
        return Fixed(z[0], self._map(bias, geometry), largest, spread)

    def _flat(self, geometry: Sizes) -> Fixed:
        # Σ_j s_j over the channels of a group, then over the taps: a depthwise kernel of ones.
        n_in, n_out = self.channels
        groups, dtype = self.groups, self.weight.dtype
        ones = np.ones((groups, 1, *self.window.kernel), dtype)
        taps = ConvOperator(ones, None, self.window, groups, self.transposed)
        image = to_blocked(np.ones((1, groups, *geometry), dtype))
        counts = to_plain(taps.value(taps.forward(image, None), False)) * (n_in // groups)
        z = np.repeat(counts, n_out // groups, axis=1)

        def spread(s: np.ndarray) -> np.ndarray:
            plain = to_plain(Blocked(s, n_out, lead=2))
            n, k, _, *sizes = plain.shape
            summed = plain.reshape(n, k, groups, n_out // groups, *sizes).sum(axis=3)
            shares = taps.gradient(to_blocked(summed, 2).array, geometry)
            result = np.repeat(to_plain(taps.leave(shares)), n_in // groups, axis=2)
            return to_blocked(result, 2).array

        return Fixed(to_blocked(z).array[0], None, 1.0, spread)


def _three(sizes: Sizes, missing: int) -> tuple[int, int, int]:
    """The core always sees three axes."""
    first, second, third = (*[missing] * (3 - len(sizes)), *sizes)
    return first, second, third
