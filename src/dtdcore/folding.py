# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Scales, shifts and frames of zeros folded into the linear layers around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dtdcore.arrays import TooLargeError, by_channel
from dtdcore.layers import ChannelAffine, Conv, Identity, Layer, Multiply, Pad
from dtdcore.layers.activations import Activation
from dtdcore.scaling import Scaling, pulled, pushed, scaling_of, sources_of
from dtdcore.wiring import Node, leading_values, passing_values

#: A note names no more layers than this.
NAMED = 8


@dataclass
class Folding:
    """The nodes of a network while scales, shifts and frames disappear from them.

    Each step is one of

        (w, b), then y = s a + t:      w_ij s_j, b_j s_j + t_j
        y = s x + t, then (w, b):      s_i w_ij, b_j + Σ_i t_i w_ij
        zeros around x, then (w, b):   the padding of a convolution

    Between the two there may be layers that only rearrange numbers. Scales of convolutions are
    those of channels; shifts may differ from pixel to pixel, and become a bias that does.

    Values keep their numbers until `items` counts anew; `moved` says by which value one that went
    is replaced.
    """

    nodes: Sequence[Node]
    inputs: int
    output: int
    keep: frozenset[str]
    #: The shape of every value; None where it is not known: then layers are folded that touch.
    shapes: Sequence[tuple[int, ...]] | None
    moved: dict[int, int] = field(default_factory=dict)
    #: For each folded layer the layers that hold it now.
    holders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: For each layer that went, but whose output is still computed, the layer that gives it.
    stands_in: dict[str, str] = field(default_factory=dict)
    #: Layers whose own outputs are computed no longer.
    lost: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._given = self.nodes
        self.nodes = [replace(node, layer=node.layer.simplified()) for node in self.nodes]
        self.layers: dict[int, Layer] = {
            value: node.layer for value, node in enumerate(self.nodes, self.inputs)
        }
        self.names = {value: node.name for value, node in enumerate(self.nodes, self.inputs)}
        self._stay = leading_values(self.nodes, self.inputs)

    @property
    def changed(self) -> bool:
        """Is anything else than it was?"""
        pairs = zip(self.nodes, self._given, strict=True)
        return bool(self.lost) or any(now.layer is not before.layer for now, before in pairs)

    def run(self) -> None:
        """Fold all that can be, in order: first into the layers before, else into those behind.

        Scales and shifts of the inputs themselves stay. Then activations go before maximum pools.
        """
        for value in list(self.layers):
            if self.names[value] in self.keep:
                continue
            layer = self.layers[value]  # with what was folded into it
            if isinstance(layer, Pad) and not np.any(layer.value):
                self._frame(value, layer)
            elif value not in self._stay:
                scaling = scaling_of(layer, self._shape(value))
                if scaling is not None:
                    self._into_before(value, scaling) or self._into_behind(
                        value, scaling
                    ) or self._shift_into_before(value, scaling)

        for value in list(self.layers):
            layer = self.layers[value]
            if isinstance(layer, Activation) and layer.grows and layer.nonnegative:
                self._activate_first(value)

    def _activate_first(self, value: int) -> None:
        """max(0, max_i x_i) = max_i max(0, x_i): as it is mostly written, and shares are of x ≥ 0.

        So for every activation that grows and is nowhere below 0, behind a maximum pool.
        """
        (source,) = self._sources(value)
        pool = self.layers.get(source)
        if (
            self.names[value] in self.keep
            or not self._changes_freely(source)
            or not (pool.pools and pool.grows)
            or self._users(source) != [value]
        ):
            return
        self._forget(source)
        self.stands_in[self.names[value]] = self.names[source]
        for table in (self.layers, self.names):
            table[source], table[value] = table[value], table[source]

    def _shape(self, value: int) -> tuple[int, ...] | None:
        return None if self.shapes is None else self.shapes[value]

    def _shapes(self, values: Sequence[int]) -> list[tuple[int, ...]]:
        return [self.shapes[value] for value in values]

    def _sources(self, value: int) -> list[int]:
        return [self._now(source) for source in self.nodes[value - self.inputs].sources]

    def _now(self, value: int) -> int:
        while value in self.moved:
            value = self.moved[value]
        return value

    def _users(self, value: int) -> list[int]:
        return [user for user in self.layers if value in self._sources(user)]

    def _changes_freely(self, value: int) -> bool:
        """May what a layer gives become something else?"""
        return value >= self.inputs and value != self.output and self.names[value] not in self.keep

    # ---- into the layers before

    def _into_before(self, value: int, scaling: Scaling) -> bool:
        (source,) = self._sources(value)
        layers = self._before(source, value, scaling)
        if layers is None:
            return False
        self._change(layers)
        self._remove(value, source, self._holders(layers))
        self.stands_in[self.names[value]] = self.names[source]
        return True

    def _shift_into_before(self, value: int, scaling: Scaling) -> bool:
        """Scales > 0 of single pixels pass relevance on as they are: only the shift is folded."""
        if not scaling.shifts or not np.all(scaling.scale > 0):
            return False
        scale = np.asarray(scaling.scale, np.float64)
        (source,) = self._sources(value)
        layers = self._before(source, value, Scaling(np.ones_like(scale), scaling.shift / scale))
        rest = _or_none(lambda: Scaling(scale, np.zeros_like(scale)).layer(self._dtype(value)))
        if layers is None or not isinstance(rest, Multiply):
            return False
        self._change(layers)
        self.layers[value] = rest
        self.holders[self.names[value]] = self._holders(layers)
        self.stands_in[self.names[value]] = self.names[value]
        return True

    def _dtype(self, value: int) -> np.dtype:
        return self.layers[value].dtype

    def _before(self, value: int, user: int, scaling: Scaling) -> dict[int, Layer | None] | None:
        """New layers (None: the same) that make a value a scaling of itself; None: there are none.

        `user` is the layer that asks; what others take of the value must not change.
        """
        #: For values that must change: who asks, by which of its sources, for which scaling.
        asked: dict[int, dict[tuple[int, int], Scaling]] = {value: {(user, 0): scaling}}
        layers: dict[int, Layer | None] = {}
        while asked:
            value = max(asked)  # all that use it have asked by now
            asking = asked.pop(value)
            together = self._together(value, asking)
            if together is None:
                return None
            together = self._completed(value, together)
            layer, sources = self.layers[value], self._sources(value)
            own = scaling_of(layer, self._shape(value))
            if own is not None and value in self._stay:
                return None
            if own is None and layer.rearranges:
                parts = self._parts(layer, together, sources)
            elif own is None and _commutes(layer, together):
                parts = [_spread(together, self._shape(sources[0]))]
            else:
                layers[value] = _or_none(lambda: self._scaled(layer, own, together))  # noqa: B023
                if layers[value] is None:
                    return None
                continue
            if parts is None:
                return None
            layers[value] = None
            for place, (source, part) in enumerate(zip(sources, parts, strict=True)):
                if part is not None:
                    asked.setdefault(source, {})[value, place] = part
        return layers

    @staticmethod
    def _scaled(layer: Layer, own: Scaling | None, scaling: Scaling) -> Layer | None:
        """A layer that gives the scaling of what `layer` gives, which may be a scaling itself."""
        if own is not None:
            return own.then(scaling).layer(layer.dtype)
        return layer.scaled_outputs(*_numbers(scaling, layer, "outputs"))

    def _parts(
        self, layer: Layer, scaling: Scaling, sources: list[int]
    ) -> list[Scaling | None] | None:
        if self.shapes is not None:
            return pulled(layer, scaling, self._shapes(sources))
        return [scaling] if isinstance(layer, Identity) else None

    def _together(self, value: int, asking: dict[tuple[int, int], Scaling]) -> Scaling | None:
        """The one scaling of a value that gives each of its users what it asks for.

        None where users take the same number and want it differently, or want nothing changed.
        """
        users = self._users(value)
        if not self._changes_freely(value):
            return None
        if len(asking) == 1:
            ((user, _), scaling), *_ = asking.items()
            if users == [user] and self._sources(user).count(value) == 1:
                return scaling
        if self.shapes is None:
            return None
        shape = self.shapes[value]
        scale, shift = np.ones(shape), np.zeros(shape)
        for scaling in asking.values():
            changes = scaling.changes
            scale[changes], shift[changes] = scaling.scale[changes], scaling.shift[changes]
        neutral = Scaling(np.ones(shape), np.zeros(shape))
        for user in users:
            sources = self._sources(user)
            for place, source in enumerate(sources):
                if source == value:
                    wanted = asking.get((user, place), neutral)
                    wrong = (wanted.scale != scale) | (wanted.shift != shift)
                    if np.any(wrong[self._taken_of(user, sources, place)]):
                        return None
        return Scaling(scale, shift)

    def _completed(self, value: int, scaling: Scaling) -> Scaling:
        """Numbers that no layer takes are scaled as the others of their channel are."""
        if self.shapes is None or by_channel(scaling.scale) is not None:
            return scaling
        taken = np.zeros(self.shapes[value], bool)
        for user in self._users(value):
            sources = self._sources(user)
            for place, source in enumerate(sources):
                if source == value:
                    taken |= self._taken_of(user, sources, place)
        rows = taken.reshape(len(taken), -1)
        first = rows.argmax(axis=1)[:, None]
        parts = []
        for numbers in (scaling.scale, scaling.shift):
            flat = numbers.reshape(rows.shape)
            own = np.take_along_axis(flat, first, axis=1)
            parts.append(np.where(rows, flat, own).reshape(numbers.shape))
        return Scaling(*parts)

    def _taken_of(self, user: int, sources: list[int], place: int) -> np.ndarray:
        """Which numbers of one of its sources a layer takes."""
        layer, shapes = self.layers[user], self._shapes(sources)
        if not layer.rearranges or scaling_of(layer, self._shape(user)) is not None:
            return np.ones(shapes[place], bool)
        start = sum(int(np.prod(shape)) for shape in shapes[:place])
        size = int(np.prod(shapes[place]))
        ids = sources_of(layer, shapes)
        taken = np.zeros(size, bool)
        taken[ids[(ids >= start) & (ids < start + size)] - start] = True
        return taken.reshape(shapes[place])

    # ---- into the layers behind

    def _into_behind(self, value: int, scaling: Scaling) -> bool:
        layers: dict[int, Layer | None] = {}
        if value == self.output or not self._behind(value, scaling, layers):
            return False
        self.lost.add(self.names[value])
        self._take(layers)
        self._remove(value, self._sources(value)[0], self._holders(layers))
        return True

    def _behind(self, value: int, scaling: Scaling, layers: dict[int, Layer | None]) -> bool:
        """Give all that use a value, which is no longer scaled, the scaling; adds to `layers`."""
        users = self._users(value)
        for user in users:
            sources = self._sources(user)
            for place, source in enumerate(sources):
                if source == value and not self._taken(user, sources, place, scaling, layers):
                    return False
        return bool(users)

    def _taken(
        self,
        user: int,
        sources: list[int],
        place: int,
        scaling: Scaling,
        layers: dict[int, Layer | None],
    ) -> bool:
        layer = layers.get(user) or self.layers[user]
        own = scaling_of(layer, self._shape(user))
        commutes = _commutes(layer, scaling)
        if own is None and (layer.rearranges or commutes):
            if not self._changes_freely(user):
                return False
            if commutes:
                scaling = _spread(scaling, self._shape(user))
            elif self.shapes is not None:
                scaling = pushed(layer, scaling, place, self._shapes(sources))
            elif not isinstance(layer, Identity):
                return False
            layers[user] = None
            return self._behind(user, scaling, layers)
        if own is not None:
            new = _or_none(lambda: scaling.then(own).layer(layer.dtype))
        else:
            new = _or_none(lambda: layer.scaled_inputs(*_numbers(scaling, layer, "inputs")))
        if new is None:
            return False
        layers[user] = new
        return True

    def _frame(self, value: int, pad: Pad) -> None:
        """A frame of zeros becomes the padding of the convolutions behind it."""
        users = self._users(value)
        if value == self.output or not users:
            return
        layers: dict[int, Layer | None] = {}
        for user in users:
            layer = self.layers[user]
            if not isinstance(layer, Conv):
                return
            layers[user] = layer.padded_inputs(pad.before, pad.after)
            if layers[user] is None:
                return
        self.lost.add(self.names[value])
        self._take(layers)
        self._remove(value, self._sources(value)[0], self._holders(layers))

    # ---- what changes

    def _holders(self, layers: dict[int, Layer | None]) -> tuple[str, ...]:
        return tuple(self.names[value] for value, layer in layers.items() if layer is not None)

    def _change(self, layers: dict[int, Layer | None]) -> None:
        """Take new layers in, whose outputs are other numbers than before."""
        self._take(layers)
        for value in layers:
            self._forget(value)

    def _take(self, layers: dict[int, Layer | None]) -> None:
        """Take new layers in; where there is none, the same layer rearranges other numbers."""
        for value, layer in layers.items():
            if layer is None:
                self._forget(value)
            else:
                self.layers[value] = layer

    def _forget(self, value: int) -> None:
        """What a value was is computed no longer, nor what stood for the same."""
        self.lost.add(self.names[value])
        self.lost.update(self.names[old] for old in self.moved if self._now(old) == value)

    def _remove(self, value: int, instead: int, holders: tuple[str, ...]) -> None:
        del self.layers[value]
        self.moved[value] = instead
        self.holders[self.names[value]] = holders
        if self.output == value:
            self.output = instead

    def notes(self) -> list[str]:
        """What is said of scales and shifts that are left between other layers."""
        numbers = {value: value for value in range(self.inputs)}
        numbers |= {value: number for number, value in enumerate(self.layers, self.inputs)}
        nodes = [
            Node(self.names[value], layer, tuple(numbers[s] for s in self._sources(value)))
            for value, layer in self.layers.items()
        ]
        passing = passing_values(nodes, self.inputs)
        left = [
            (numbers[value] in passing, self._place(value))
            for value, layer in self.layers.items()
            if isinstance(layer, ChannelAffine) and value not in self._stay
        ]
        hint = "" if self.shapes else "; give the network its input_shape, and more can be"
        return [
            "not folded into weights: "
            f"{_few([place for has, place in left if has == passes])}{hint}. "
            + (
                "Deep Taylor passes their relevance on unchanged, and counts their shifts as biases"
                if passes
                else "Under deep Taylor they take a rule of their own: relevance is lost where "
                "scale * x <= 0, and the audit says how much"
            )
            for passes in sorted({has for has, _ in left})
        ]

    def _place(self, value: int) -> str:
        (source,) = self._sources(value)
        users = [self.names[user] for user in self._users(value)]
        place = f"behind {self.names[source]}" if source in self.names else "at the inputs"
        return f"{self.names[value]} ({place}{f', before {_few(users)}' if users else ''})"

    def items(self, inputs: Sequence[str]) -> tuple[list[tuple[str, Layer, list[str]]], str]:
        """What is left, as items of a `Network` with these inputs, and the name of its output."""
        names = dict(enumerate(inputs)) | self.names
        items = [
            (names[value], layer, [names[source] for source in self._sources(value)])
            for value, layer in self.layers.items()
        ]
        return items, names[self.output]


def _few(texts: list[str]) -> str:
    """Texts one after the other, but not too many."""
    more = len(texts) - NAMED
    return ", ".join(texts[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _commutes(layer: Layer, scaling: Scaling) -> bool:
    """Can a layer that is no linear one with weights change places with a scaling?"""
    scale, shift = by_channel(scaling.scale), by_channel(scaling.shift)
    return scale is not None and shift is not None and layer.commutes(scale, shift)


def _spread(scaling: Scaling, shape: tuple[int, ...] | None) -> Scaling:
    """A scaling by channel, for images of another size."""
    if shape is None:
        return scaling
    vectors = [by_channel(part) for part in (scaling.scale, scaling.shift)]
    ones = [1] * (len(shape) - 1)
    return Scaling(*(np.broadcast_to(part.reshape(-1, *ones), shape) for part in vectors))


def _or_none(make: Callable[[], Layer | None]) -> Layer | None:
    """What `make` gives; None, too, where the dtype cannot hold the folded numbers."""
    try:
        return make()
    except TooLargeError:
        return None


def _numbers(scaling: Scaling, layer: Layer, side: str) -> list[np.ndarray]:
    """Scale and shift: of one number for all, one for each channel on that side of a layer."""
    channels = getattr(layer, side, scaling.scale.size)
    return [
        np.broadcast_to(array, (channels,)) if array.ndim == 1 else array
        for array in (scaling.scale, scaling.shift)
    ]
