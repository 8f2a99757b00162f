# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Scales, shifts and frames of zeros merged into the linear layers beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dtdcore.arrays import TooLargeError
from dtdcore.layers import ChannelAffine, Conv, Layer, Pad
from dtdcore.wiring import Node, leading_values


@dataclass
class Merging:
    """The nodes of a network while scales, shifts and frames disappear from them.

    Each merge is one of

        (w, b), then y = s a + t:      w_ij s_j, b_j s_j + t_j
        y = s x + t, then (w, b):      s_i w_ij, b_j + Σ_i t_i w_ij
        zeros around x, then (w, b):   the padding of a convolution

    Values keep their numbers until `result` counts anew; `moved` says by which value one that went
    is replaced.
    """

    nodes: Sequence[Node]
    inputs: int
    output: int
    keep: frozenset[str]
    moved: dict[int, int] = field(default_factory=dict)
    #: For each merged layer the layers that hold it now.
    holders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Layers whose own outputs are computed no longer.
    lost: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.layers: dict[int, Layer] = {
            value: node.layer for value, node in enumerate(self.nodes, self.inputs)
        }
        self.names = {value: node.name for value, node in enumerate(self.nodes, self.inputs)}

    def run(self) -> None:
        """Merge all that can be, in order: first into the layer before, else into those behind.

        Scales and shifts of the inputs themselves stay.
        """
        stay = leading_values(self.nodes, self.inputs)
        for value, layer in list(self.layers.items()):
            if self.names[value] in self.keep:
                continue
            if isinstance(layer, Pad) and layer.value == 0:
                self._into_behind(value, lambda user, pad=layer: _padded(pad, user))
            elif isinstance(layer, ChannelAffine) and value not in stay:
                self._into_before(value, layer) or self._into_behind(
                    value, lambda user, affine=layer: _scaled(affine, user)
                )

    def _sources(self, value: int) -> list[int]:
        return [self._now(source) for source in self.nodes[value - self.inputs].sources]

    def _now(self, value: int) -> int:
        while value in self.moved:
            value = self.moved[value]
        return value

    def _users(self, value: int) -> list[int]:
        return [user for user in self.layers if value in self._sources(user)]

    def _into_before(self, value: int, affine: ChannelAffine) -> bool:
        (source,) = self._sources(value)
        before = self.layers.get(source)
        if (
            before is None
            or self.names[source] in self.keep
            or source == self.output
            or self._users(source) != [value]
        ):
            return False
        layer = _or_none(lambda: before.scaled_outputs(*_numbers(affine, before, "outputs")))
        if layer is None:
            return False
        self.layers[source] = layer
        self.lost.add(self.names[source])
        self.lost.update(self.names[old] for old in self.moved if self._now(old) == source)
        self._remove(value, source, [source])
        return True

    def _into_behind(self, value: int, taken: Callable[[Layer], Layer | None]) -> bool:
        """Merge a layer into all that use it; `taken` gives them with it, None where it cannot."""
        users = self._users(value)
        if value == self.output or not users:
            return False
        layers = {}
        for user in users:
            merged = _or_none(lambda layer=self.layers[user]: taken(layer))
            if merged is None:
                return False
            layers[user] = merged
        self.layers.update(layers)
        self.lost.add(self.names[value])
        self._remove(value, self._sources(value)[0], users)
        return True

    def _remove(self, value: int, instead: int, holders: list[int]) -> None:
        del self.layers[value]
        self.moved[value] = instead
        self.holders[self.names[value]] = tuple(self.names[holder] for holder in holders)
        if self.output == value:
            self.output = instead

    def items(self, name_of: Callable[[int], str]) -> list[tuple[str, Layer, list[str]]]:
        """What is left, as items of a `Network`."""
        return [
            (self.names[value], layer, [name_of(source) for source in self._sources(value)])
            for value, layer in self.layers.items()
        ]


def _or_none(merge: Callable[[], Layer | None]) -> Layer | None:
    """What `merge` gives; None, too, where the dtype cannot hold the merged numbers."""
    try:
        return merge()
    except TooLargeError:
        return None


def _scaled(affine: ChannelAffine, layer: Layer) -> Layer | None:
    return layer.scaled_inputs(*_numbers(affine, layer, "inputs"))


def _padded(pad: Pad, layer: Layer) -> Layer | None:
    return layer.padded_inputs(pad.before, pad.after) if isinstance(layer, Conv) else None


def _numbers(affine: ChannelAffine, layer: Layer, side: str) -> list[np.ndarray]:
    """Scale and shift, one for each channel on that side of a linear layer."""
    channels = getattr(layer, side, len(affine.scale))
    return [np.broadcast_to(array, (channels,)) for array in (affine.scale, affine.shift)]
