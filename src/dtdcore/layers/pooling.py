# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Pools over windows of signals, images and volumes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from dtdcore.arrays import check_number
from dtdcore.layers.base import Layer, Shape
from dtdcore.layers.convolution import paddings, per_axis
from dtdcore.rules import Rule, SearchDirection, Z, ZPlus
from dtdcore.steps.base import Step
from dtdcore.steps.pooling import (
    AVERAGE,
    AVERAGE_PADDED,
    EQUAL_AT_0,
    MAX,
    NORM,
    SUM,
    ChoicePoolStep,
    LinearPoolStep,
    PickStep,
    PoolStep,
    PoolWindow,
)

#: How maxima and norms pass relevance on.
POOLING = tuple(way + at_0 for way in ("proportional", "winner") for at_0 in ("", EQUAL_AT_0))

#: Arguments of windows that hold one number, or one for each spatial axis.
AXES = (1, 2, 3)


class _Pool(Layer):
    """What pools over images share: inputs (channels, *pixels) with 1, 2 or 3 spatial axes."""

    kind: int
    p = 1.0

    @property
    def takes_maximum(self) -> bool:
        """Of maxima, and of norms with p = inf: see `Layer.takes_maximum`."""
        return self.kind == MAX or (self.kind == NORM and np.isinf(self.p))

    @property
    def grows(self) -> bool:
        """Sums, averages and maxima do; norms do not."""
        return self.kind != NORM

    @property
    def averages(self) -> bool:
        """Averages and maxima do; sums and norms do not."""
        return self.kind not in (SUM, NORM)

    def window(self, sizes: tuple[int, ...]) -> PoolWindow:
        """The windows over an image with these spatial sizes."""
        raise NotImplementedError  # every pool answers this

    def output_shape(self, input_shape: Shape) -> Shape:
        """(channels, *windows): see `Layer.output_shape`."""
        axes = self._axes()
        if len(input_shape) - 1 not in axes or 0 in input_shape[1:]:
            sizes = " or ".join(map(str, axes))
            raise ValueError(
                f"{self!r} takes inputs of shape (channels, *pixels) with {sizes} spatial axes, "
                f"none of size 0, got {input_shape}"
            )
        results = self.window(input_shape[1:]).results(input_shape[1:])
        if min(results) < 1:
            raise ValueError(f"{self!r} has no output for inputs of shape {input_shape}")
        return (input_shape[0], *results)

    def _axes(self) -> tuple[int, ...]:
        """The numbers of spatial axes that fit."""
        return AXES

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        if rule is None and not self.pools:
            return PoolStep(self.kind, self.p, self.window, dtype)
        return self._rule_step("proportional" if rule is None else rule, dtype)

    def _rule_step(self, rule: Rule | str, dtype: np.dtype) -> Step:
        raise NotImplementedError  # every pool answers this


def _linear_step(layer: _Pool, rule: Rule | str, dtype: np.dtype) -> Step:
    """Of pools that are linear layers with the weight 1 or 1 / count."""
    if rule == "proportional":
        rule = ZPlus()
    if not isinstance(rule, Rule) or isinstance(rule, SearchDirection):
        raise TypeError(f"{layer!r} cannot take the rule {rule!r}")
    return LinearPoolStep(layer.kind, layer.window, rule, dtype)


def _choice_step(layer: _Pool, rule: Rule | str, dtype: np.dtype) -> Step:
    """Of pools that pass relevance on in proportion, or to the winner."""
    name = "proportional" if type(rule) in (Z, ZPlus) else rule
    if name in POOLING:
        winner, at_0 = name.startswith("winner"), name.endswith(EQUAL_AT_0)
        return ChoicePoolStep(layer.kind, layer.p, layer.window, winner, dtype, at_0)
    raise TypeError(f"{layer!r} takes the rule 'proportional' or 'winner', got {rule!r}")


def _power(p: float) -> float:
    infinite = isinstance(p, (str, float)) and p in (np.inf, "inf")
    return np.inf if infinite else check_number(p, "p", 1)


def _frozen(value: Any) -> Any:
    """Lists, as JSON gives them, as tuples."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(_frozen(part) for part in value)
    return value


def _listed(value: Any) -> Any:
    """Tuples as lists and numbers of NumPy as plain ones, as JSON takes them."""
    return [_listed(part) for part in value] if isinstance(value, tuple) else int(value)


class _Windows(_Pool):
    """The arguments of windows that slide."""

    def __init__(self, size: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> None:
        super().__init__()
        if not isinstance(ceil, (bool, np.bool_)):
            raise TypeError(f"ceil must be True or False, got {ceil!r}")
        if isinstance(padding, str):
            raise TypeError(f"padding must be numbers, got {padding!r}")
        self.ceil = bool(ceil)
        stride = size if stride is None else stride
        given = {"size": size, "stride": stride, "padding": padding, "dilation": dilation}
        self._given = {name: _frozen(value) for name, value in given.items()}
        counts = {len(value) for value in self._given.values() if isinstance(value, tuple)}
        if len(counts) > 1 or not counts <= set(AXES):
            raise ValueError(
                f"size, stride, padding and dilation must be numbers, or have an entry for each of "
                f"1, 2 or 3 spatial axes, got {', '.join(f'{k}={v}' for k, v in given.items())}"
            )
        self._dimensions = tuple(counts) or AXES
        self._sliding = {axes: self._window_of(axes) for axes in self._dimensions}

    def _window_of(self, axes: int) -> PoolWindow:
        given = self._given
        size, stride, dilation = (
            per_axis(given[name], name, axes) for name in ("size", "stride", "dilation")
        )
        pairs = paddings(given["padding"], size, stride, dilation)
        for pair, k, d in zip(pairs, size, dilation, strict=True):
            if max(pair) > d * (k - 1):
                raise ValueError(
                    f"padding must be smaller than the window, which spans {d * (k - 1) + 1} "
                    f"pixels, got {max(pair)}"
                )
        before, after = zip(*pairs, strict=True)
        return PoolWindow(size, stride, dilation, before, after, self.ceil)

    def window(self, sizes: tuple[int, ...]) -> PoolWindow:
        """The windows over an image with these spatial sizes."""
        return self._sliding[len(sizes)]

    def _axes(self) -> tuple[int, ...]:
        return self._dimensions

    def simplified(self) -> Layer:
        """Windows of one pixel pool nothing: see `Layer.simplified`."""
        if self.kind == NORM or not all(window.takes_one for window in self._sliding.values()):
            return self
        return _Pick(*self._given.values(), self.ceil)

    def options(self) -> dict[str, Any]:
        """`size`, `stride`, `padding`, `dilation` and `ceil`."""
        return {name: _listed(value) for name, value in self._given.items()} | {"ceil": self.ceil}

    def __repr__(self) -> str:
        """The call that makes it, without what is as it is by default."""
        usual = {"stride": self._given["size"], "padding": 0, "dilation": 1, "ceil": False}
        usual["count_padding"] = True
        given = {name: _frozen(value) for name, value in self.options().items()}
        parts = [f"{n}={v!r}" for n, v in given.items() if n not in usual or v != usual[n]]
        return f"{type(self).__name__}({', '.join(parts)})"


class _Pick(_Windows):
    """Windows of one pixel: each output is one of the inputs, and relevance goes back to it."""

    rearranges = True
    kind = MAX

    def _make_step(self, rule: Rule | str | None, dtype: np.dtype) -> Step:
        return PickStep(self.kind, self.p, self.window, dtype)


class _LinearWindows(_Windows):
    takes_rule = True
    default_rule: ClassVar[Rule] = Z(bias=False)

    def _rule_step(self, rule: Rule | str, dtype: np.dtype) -> Step:
        return _linear_step(self, rule, dtype)


class _ChoiceWindows(_Windows):
    pools = True

    def commutes(self, scale: np.ndarray, shift: np.ndarray) -> bool:
        """Maxima, with scales above 0: see `Layer.commutes`."""
        return self.kind == MAX and bool(np.all(scale > 0))

    def _rule_step(self, rule: Rule | str, dtype: np.dtype) -> Step:
        return _choice_step(self, rule, dtype)


class SumPool(_LinearWindows):
    """The sum over a window: y_j = Σ_{i in window(j)} x_i, a linear layer with weights 1.

    Each pixel gets its share under the rule, z_j = Σ_i q_ij, R_i = Σ_j q_ij / z_j · R_j, with
    q_ij = p_i: x⁺_i for z⁺, x_i for z (in a network the default), ε and γ, x_i - l_i for z^B,
    1 for w² and flat; αβ has a sum each for x⁺ and x⁻. All of R_j is lost where
    z_j = 0. Padding has no part.

    Parameters
    ----------
    size : int or one for each spatial axis
        Of the window; the input has 1, 2 or 3 spatial axes after the channels.
    stride : int or one for each axis, optional
        From window to window: `size` by default.
    padding : int, or for each axis an int or (before, after)
        Zeros around the image, fewer than the window spans.
    dilation : int or one for each axis
        From pixel to pixel of a window.
    ceil : bool
        Add a last window that reaches beyond the padding, if pixels would be left out and it
        begins inside the image or the padding before it.

    Raises
    ------
    TypeError, ValueError
        If an argument is no whole number, or too small or too large.
    """

    kind = SUM

    def __init__(
        self, size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False
    ) -> None:
        super().__init__(size, stride, padding, dilation, ceil)


class AvgPool(_LinearWindows):
    """The average over a window: y_j = Σ_{i in window(j)} x_i / count_j.

    A linear layer with the weight 1 / count_j; relevance as in `SumPool`, with q_ij = p_i / count_j
    (for w² and flat: equal shares to the pixels inside the image).

    Parameters
    ----------
    size, stride, padding, dilation, ceil
        As for `SumPool`.
    count_padding : bool
        count_j is the number of pixels in the image and its padding; False: in the image alone.
        What a window has beyond the padding (`ceil`) never counts.

    Raises
    ------
    TypeError, ValueError
        If an argument is no whole number, or too small or too large.
    """

    kind = AVERAGE

    def __init__(
        self,
        size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil: bool = False,
        count_padding: bool = True,
    ) -> None:
        super().__init__(size, stride, padding, dilation, ceil)
        if not isinstance(count_padding, (bool, np.bool_)):
            raise TypeError(f"count_padding must be True or False, got {count_padding!r}")
        self.count_padding = bool(count_padding)
        self.kind = AVERAGE_PADDED if self.count_padding else AVERAGE

    def commutes(self, scale: np.ndarray, shift: np.ndarray) -> bool:
        """Unless padding counts, which would have to be shifted: see `Layer.commutes`."""
        padded = any(any(w.before) or any(w.after) for w in self._sliding.values())
        return not (self.count_padding and padded and np.any(shift))

    def options(self) -> dict[str, Any]:
        """The arguments of the window, and `count_padding`."""
        return super().options() | {"count_padding": self.count_padding}


class MaxPool(_ChoiceWindows):
    """The maximum over a window: y_j = max_{i in window(j)} x_i.

    Relevance goes to the pixels in proportion to their activation, as for any p-norm pool:
    R_i = Σ_j |x_i| / Σ_{i' in window(j)} |x_i'| · R_j (Montavon et al. 2017, training-free
    relevance model). With rule="winner" the largest x_i takes all, the first on ties. Where the
    denominator (for the winner: its x_i) is 0, R_j is lost; with "proportional, also at 0" or
    "winner, also at 0", which `DeepTaylor` takes for pools of inputs, such as black pixels, x_i
    that are all 0 have equal shares, and the winner takes all that is 0 itself. Padding never wins
    and has no part.

    Parameters
    ----------
    size, stride, padding, dilation, ceil
        As for `SumPool`; padding counts as -∞.

    Raises
    ------
    TypeError, ValueError
        If an argument is no whole number, or too small or too large.
    """

    kind = MAX

    def __init__(
        self, size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False
    ) -> None:
        super().__init__(size, stride, padding, dilation, ceil)


class LpPool(_ChoiceWindows):
    """The p-norm over a window: y_j = (Σ_{i in window(j)} |x_i|^p)^(1/p).

    Relevance as in `MaxPool`; the winner is the first with the largest |x_i|.

    Parameters
    ----------
    p : float
        p ≥ 1, or inf: the largest |x_i|.
    size, stride, padding, dilation, ceil
        As for `SumPool`.

    Raises
    ------
    TypeError, ValueError
        If p is not a number ≥ 1, or another argument no whole number, too small or too large.
    """

    kind = NORM

    def __init__(
        self,
        p: float,
        size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil: bool = False,
    ) -> None:
        super().__init__(size, stride, padding, dilation, ceil)
        self.p = _power(p)

    def options(self) -> dict[str, Any]:
        """`p` and the arguments of the window."""
        return {"p": "inf" if np.isinf(self.p) else self.p} | super().options()


class GlobalPool(_Pool):
    """A pool over all pixels of each channel; every spatial axis becomes 1.

    `kind="average"` and `"sum"` are linear layers that take a rule (`AvgPool`, `SumPool`), `"max"`
    and `"lp"` pass relevance on in proportion or to the winner (`MaxPool`, `LpPool`).

    Parameters
    ----------
    kind : "average", "sum", "max" or "lp"
    p : float
        p ≥ 1 or inf, of kind "lp".

    Raises
    ------
    TypeError, ValueError
        If `kind` is none of these or `p` not a number ≥ 1.
    """

    KINDS: ClassVar[dict[str, int]] = {"average": AVERAGE, "sum": SUM, "max": MAX, "lp": NORM}

    def __init__(self, kind: str = "average", p: float = 2) -> None:
        super().__init__()
        if kind not in self.KINDS:
            raise ValueError(f"kind must be one of {', '.join(self.KINDS)}, got {kind!r}")
        self.name, self.kind, self.p = kind, self.KINDS[kind], _power(p)
        self.takes_rule = self.kind in (AVERAGE, SUM)
        self.pools = not self.takes_rule
        self.default_rule = Z(bias=False) if self.takes_rule else None

    def _rule_step(self, rule: Rule | str, dtype: np.dtype) -> Step:
        return (_linear_step if self.takes_rule else _choice_step)(self, rule, dtype)

    def commutes(self, scale: np.ndarray, shift: np.ndarray) -> bool:
        """Averages, and maxima with scales above 0: see `Layer.commutes`."""
        return self.kind == AVERAGE or (self.kind == MAX and bool(np.all(scale > 0)))

    def options(self) -> dict[str, Any]:
        """`kind`, and `p` of kind "lp"."""
        p = {"p": "inf" if np.isinf(self.p) else self.p} if self.kind == NORM else {}
        return {"kind": self.name} | p

    def window(self, sizes: tuple[int, ...]) -> PoolWindow:
        """The one window over an image with these spatial sizes."""
        ones, zeros = (1,) * len(sizes), (0,) * len(sizes)
        return PoolWindow(sizes, ones, ones, zeros, zeros)
