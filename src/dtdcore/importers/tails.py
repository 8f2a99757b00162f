# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The end of an imported network, where probabilities become what a model gives.

A probability says little of what speaks for a class: it is above 0 even where all evidence speaks
against it. So explanations start at the logits. Behind a softmax there may stand what chooses
numbers (slices, other shapes, concatenations), which stays, and what maps each number alike
(scales, shifts, clips, logarithms), which is left out with it: the order of the numbers of one
softmax is that of their logits.

    a · softmax(z) + b, a > 0   →  z          softmax(z) · w, w > 0 by class  →  z + log w
    a · softmax(z) + b, a < 0   →  -z         log_softmax(z) + b by class     →  z + b

A sigmoid p = 1 / (1 + exp(-z)) at the end stays, and `ending_notes` says so; but 1 - p becomes -z,
and (1 - p, p) becomes (-z, z).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dtdcore.importers.building import affine
from dtdcore.importers.logarithms import Log, Logarithm, LogSoftmax
from dtdcore.importers.negation import Negation
from dtdcore.importers.record import Record, Signal
from dtdcore.layers import (
    ChannelAffine,
    Clip,
    Concat,
    Flatten,
    Identity,
    Layer,
    Multiply,
    ReLU,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    Take,
    Transpose,
    Upsample,
)

#: Layers that give each number as it came, in another place; and those of them that give each once.
PLACES = (Identity, Reshape, Flatten, Transpose)
CHOICES = (*PLACES, Slice, Take, Upsample)

#: One function for all numbers: ("affine", a, b), ("clip", low, high) or ("log",).
Map = tuple


@dataclass(frozen=True)
class Part:
    """Numbers that are functions of those of one value: `maps`, the first nearest to it.

    `maps` is None where the numbers are something else.
    """

    base: Signal
    maps: tuple[Map, ...] | None = ()

    @property
    def sign(self) -> int:
        """1 where the functions increase, -1 where they decrease."""
        factors = [math.copysign(1, m[1]) for m in self.maps or () if m[0] == "affine"]
        return int(math.prod(factors))


class Tail:
    """What stands behind the softmaxes and sigmoids at the end of what makes a value."""

    def __init__(self, record: Record, output: Signal) -> None:
        self.record, self.output = record, output
        self._negation = Negation(record)
        self._parts: dict[Signal, list[Part]] = {}
        #: For each softmax (and sigmoid) the first one that was found of the same value.
        self._bases: dict[Signal, Signal] = {}
        #: Values that `maps` made, from the end on, and what each adds to the logits by number.
        self._mapped: dict[Signal, np.ndarray | None] = {}
        parts = self._find(output)
        self._by_base: dict[Signal, list[Part]] = {}
        for part in parts:
            self._by_base.setdefault(part.base, []).append(part)
        #: The outputs of the softmaxes and sigmoids that are left out.
        self.left_out: list[Signal] = [base for base in self._by_base if self._can_go(base)]
        while mixed := self._mixed():  # one function serves what goes and what stays
            self.left_out = [base for base in self.left_out if base not in mixed]
        self._made: dict[tuple[Signal, int], Signal] = {}

    @property
    def starts(self) -> list[Signal]:
        """Where explanations start: the logits, or the output itself."""
        return [self._source(base) for base in self.left_out] or [self.output]

    def reduced(self) -> Signal:
        """The output without what is left out; new layers are added to the record."""
        return self._rebuilt(self.output, 1)

    def check(self, title: Callable[[Signal], str]) -> None:
        """Raise a ValueError if a logarithm would stay; `title` says who makes a value."""
        found, todo = set(), [self.reduced()]
        while todo:
            signal = todo.pop()
            layer, sources = self.record.makers.get(signal, (None, ()))
            if isinstance(layer, Logarithm):
                raise ValueError(
                    f"{title(signal)}: it is supported at the end of a network only, behind a "
                    "softmax (over the axis of the classes) and what chooses or scales its numbers"
                )
            todo += [source for source in sources if source not in found]
            found.update(sources)

    def notes(self, called: Callable[[Signal], str]) -> list[str]:
        """What is left out, and where explanations start; `called` says "the softmax ... (y)"."""
        return [self._note(base, called(base)) for base in self.left_out]

    # what there is

    def _source(self, base: Signal) -> Signal:
        (source,) = self.record.makers[base][1]
        return source

    def _find(self, signal: Signal) -> list[Part]:
        """The parts that a value consists of."""
        if signal not in self._parts:
            layer, sources = self.record.makers.get(signal, (None, ()))
            other = [Part(signal, None)]
            if isinstance(layer, Sigmoid):
                found = [Part(self._first(signal))]
            elif isinstance(layer, (Softmax, LogSoftmax)):
                maps = (("log",),) if isinstance(layer, LogSoftmax) else ()
                found = self._again(signal, layer, sources[0])
                found = found or [Part(self._first(signal), maps)]
            elif isinstance(layer, CHOICES):
                found = self._find(sources[0])
            elif isinstance(layer, Concat):
                found = [part for source in sources for part in self._find(source)]
            elif isinstance(layer, (Multiply, ChannelAffine, Clip, ReLU, Log)):
                found = self._map(signal, layer, self._find(sources[0])) or other
            else:
                found = other
            self._parts[signal] = list(dict.fromkeys(found))
        return self._parts[signal]

    def _first(self, base: Signal) -> Signal:
        """The first softmax (or sigmoid) that was found of the same value."""

        def key(signal: Signal) -> tuple:
            layer, (source,) = self.record.makers[signal]
            path = [repr(layer)]
            while isinstance(self.record.makers.get(source, (None, ()))[0], CHOICES):
                layer, (source,) = self.record.makers[source]
                path += [type(layer).__name__, repr(layer.options())]
            return tuple(path), source

        alike = [first for first in self._bases.values() if key(first) == key(base)]
        self._bases[base] = alike[0] if alike else base
        return self._bases[base]

    def _again(self, signal: Signal, layer: Softmax | LogSoftmax, source: Signal) -> list[Part]:
        """The parts of a softmax of a softmax, which keeps the order, too; none if it is another.

        (Models that end in a softmax, and are given a second one, are not rare.)
        """
        parts, base = self._find(source), source
        while base in self._mapped:
            (base,) = self.record.makers[base][1]
        below, _ = self.record.makers.get(base, (None, ()))
        same = isinstance(below, (Softmax, LogSoftmax)) and below.axis == layer.axis
        if not same or len(parts) != 1 or parts[0].sign < 0:
            return []
        self._mapped[signal] = None
        return [Part(part.base, (*part.maps, ("softmax",))) for part in parts]

    def _map(self, signal: Signal, layer: Layer, parts: list[Part]) -> list[Part] | None:
        """The parts of a value that a layer makes of others; None where it is no map of them."""
        if any(part.maps is None for part in parts):
            return None
        function = _function(layer)
        shift = None
        if function is None:
            shift = _by_number(layer, parts, self.record, len(signal.shape))
            if shift is None:
                return None
        self._mapped[signal] = shift
        if function is None:
            return parts
        return [Part(part.base, _after(part.maps, function)) for part in parts]

    def _can_go(self, base: Signal) -> bool:
        layer, _ = self.record.makers.get(base, (None, ()))
        parts = self._by_base[base]
        if isinstance(layer, (Softmax, LogSoftmax)):
            rank = len(base.shape)
            return layer.axis % rank in (0, rank - 1) and len(parts) == 1 and _known(parts)
        if not isinstance(layer, Sigmoid) or not _known(parts):
            return False
        if len(parts) == 1:
            logarithm = ("log",) in parts[0].maps
            return parts[0].sign < 0 or logarithm or self._has_opposite(base)
        return len(parts) == 2 and _are_sides(*(part.maps for part in parts))

    def _has_opposite(self, base: Signal) -> bool:
        """Is there sigmoid(-z) beside sigmoid(z), with the same functions behind?"""
        (part,) = self._by_base[base]
        minus, root = self._negation.root(self._source(base))
        return any(
            isinstance(self.record.makers.get(other, (None, ()))[0], Sigmoid)
            and self._negation.root(self._source(other)) == (not minus, root)
            and parts == [Part(other, part.maps)]
            for other, parts in self._by_base.items()
        )

    def _mixed(self) -> set[Signal]:
        """The values, among those that go, that share a function with one that stays."""
        gone, found = set(self.left_out), set()
        for signal in self._mapped:
            bases = {part.base for part in self._parts[signal]}
            if not bases <= gone:
                found |= bases & gone
        return found

    # what becomes of it

    def _rebuilt(self, signal: Signal, sign: int) -> Signal:
        """A value without what is left out, times a sign."""
        bases = {part.base for part in self._parts[signal]}
        if bases.isdisjoint(self.left_out):
            return signal
        if signal in self._bases:
            minus, source = False, self._source(signal)
            if isinstance(self.record.makers[signal][0], Sigmoid):
                minus, source = self._negation.root(source)
            return source if minus == (sign < 0) else self._negation.of(source)
        if (signal, sign) not in self._made:
            layer, sources = self.record.makers[signal]
            if signal in self._mapped:
                function, shift = _function(layer), self._mapped[signal]
                falls = function is not None and function[0] == "affine" and function[1] < 0
                made = self._rebuilt(sources[0], -sign if falls else sign)
                if shift is not None:
                    made = affine(_Call(self.record, signal), made, None, shift)
            else:
                made = self.record.copy(signal, layer, [self._rebuilt(s, sign) for s in sources])
            self._made[signal, sign] = made
        return self._made[signal, sign]

    def _between(self, base: Signal) -> list[Signal]:
        """The values behind one that is left out, from the output on."""
        found, todo = [], [self.output]
        while todo:
            signal = todo.pop(0)
            if signal not in self._bases and base in {part.base for part in self._parts[signal]}:
                found.append(signal)
                todo += [s for s in self.record.makers[signal][1] if s not in (*found, *todo)]
        return found

    def _note(self, base: Signal, called: str) -> str:
        layer, start = self.record.makers[base][0], self._source(base).name
        behind = self._between(base)
        mapped = [signal for signal in reversed(behind) if signal in self._mapped]
        weights = [signal.name for signal in mapped if self._mapped[signal] is not None]
        others = [signal.name for signal in mapped if self._mapped[signal] is None]
        text = f"{called} is left out"
        if others:
            text += f", with what maps its numbers one by one behind it ({', '.join(others)})"
        falls = any(part.sign < 0 for part in self._by_base[base])
        if isinstance(layer, Sigmoid):
            minus, root = self._negation.root(self._source(base))
            turned = ", with the sign turned where the output is 1 - p" if falls or minus else ""
            return f"{text}: explanations start at its logit ({root.name}){turned}"
        if falls:
            return f"{text}: explanations start at minus its logits ({start})"
        if weights:
            names = ", ".join(weights)
            return f"{text}: explanations start at its logits ({start}) with {names} added to them"
        places = (Softmax, Logarithm, *PLACES)
        if all(s in self._mapped or isinstance(self.record.makers[s][0], places) for s in behind):
            return f"{text}: the output are logits"
        return f"{text}: explanations start at its logits ({start}), chosen as its numbers are"


def _known(parts: list[Part]) -> bool:
    return all(part.maps is not None for part in parts)


def _function(layer: Layer) -> Map | None:
    """What a layer does to every number; None where it is not the same for all, or constant."""
    if isinstance(layer, Clip):
        return ("clip", layer.low, layer.high) if layer.low < layer.high else None
    if isinstance(layer, ReLU):
        return ("clip", 0.0, math.inf)
    if isinstance(layer, Logarithm):
        return ("log",)
    if isinstance(layer, Softmax):
        return ("softmax",)
    scale, shift = _affine(layer)
    if np.ptp(scale) or np.ptp(shift) or not scale.flat[0]:
        return None
    return "affine", float(scale.flat[0]), float(shift.flat[0])


def _affine(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(layer, Multiply):
        return layer.constant, np.zeros(1)
    return layer.scale, layer.shift


def _after(maps: tuple[Map, ...], function: Map) -> tuple[Map, ...]:
    """The functions with another behind them; affine ones become one."""
    if function[0] == "affine":
        _, scale, shift = function
        if maps and maps[-1][0] == "affine":
            _, first, offset = maps[-1]
            scale, shift, maps = scale * first, scale * offset + shift, maps[:-1]
        return maps if (scale, shift) == (1, 0) else (*maps, ("affine", scale, shift))
    return (*maps, function)


def _by_number(layer: Layer, parts: list[Part], record: Record, rank: int) -> np.ndarray | None:
    """What is added to the logits where a layer maps each number of a softmax in its own way.

    softmax(z) · w is proportional to softmax(z + log w), and log_softmax(z) + b is log_softmax(z
    + b) up to a number that is the same for all. None where it is something else.
    """
    if not isinstance(layer, (Multiply, ChannelAffine)):
        return None
    if any(isinstance(record.makers[part.base][0], Sigmoid) for part in parts):
        return None
    scale, shift = _affine(layer)
    if isinstance(layer, ChannelAffine):  # by channel: the first axis of a sample
        scale, shift = (array.reshape(-1, *[1] * (rank - 1)) for array in (scale, shift))
    scaled = all(_is_scaled(part.maps) for part in parts)
    if scaled and np.all(scale > 0) and not np.any(shift):
        return np.log(scale)
    shifted = all(part.maps[:1] == (("log",),) and _is_shifted(part.maps[1:]) for part in parts)
    return shift if shifted and np.all(scale == 1) else None


def _is_scaled(maps: tuple[Map, ...]) -> bool:
    return all(m[0] == "affine" and m[1] > 0 and m[2] == 0 for m in maps)


def _is_shifted(maps: tuple[Map, ...]) -> bool:
    return all(m[0] == "affine" and m[1] == 1 for m in maps)


def _are_sides(one: tuple[Map, ...], other: tuple[Map, ...]) -> bool:
    """Are they functions of p that rise and fall, alike at p = 1/2, as p and 1 - p?"""
    (rising, *rest), (falling, *behind) = (
        maps if maps and maps[0][0] == "affine" else (("affine", 1.0, 0.0), *maps)
        for maps in (one, other)
    )
    middle = [scale / 2 + shift for _, scale, shift in (rising, falling)]
    return rest == behind and rising[1] * falling[1] < 0 and math.isclose(*middle, abs_tol=1e-6)


@dataclass
class _Call:
    """Where a value is made anew, as `building` has it."""

    record: Record
    like: Signal

    def emit(self, layer: Layer, *sources: Signal) -> Signal:
        """Add a layer; gives its output."""
        return self.record.copy(self.like, layer, sources)

    def maker(self, signal: Signal) -> tuple[Layer | None, tuple[Signal, ...]]:
        """The layer that gives a signal (None: it is an input), and what comes into it."""
        return self.record.makers.get(signal, (None, ()))
