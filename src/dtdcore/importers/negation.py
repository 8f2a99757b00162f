# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Minus a value, made where the value is made: by weights of the other sign.

A layer behind that turns the sign would not do: rules of the weights below would still look for
what speaks for the value.
"""

from __future__ import annotations

import numpy as np

from dtdcore.importers.record import Record, Signal
from dtdcore.layers import Add, ChannelAffine, Concat, Layer, Multiply


class Negation:
    """Makes minus a value, once for each."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._made: dict[Signal, Signal] = {}

    def root(self, signal: Signal) -> tuple[bool, Signal]:
        """Is it minus another value, and which?"""
        minus = False
        layer, sources = self._record.makers.get(signal, (None, ()))
        while layer is not None and _is_minus(layer):
            minus, (signal,) = not minus, sources
            layer, sources = self._record.makers.get(signal, (None, ()))
        return minus, signal

    def of(self, signal: Signal) -> Signal:
        """Minus a value."""
        if signal not in self._made:
            self._made[signal] = self._make(signal)
        return self._made[signal]

    def _make(self, signal: Signal) -> Signal:
        layer, sources = self._record.makers.get(signal, (None, ()))
        if layer is not None and _is_minus(layer):
            return sources[0]
        turned = None if layer is None else _turned(layer)
        if turned is not None:
            return self._record.copy(signal, turned, sources)
        if layer is None or not _is_odd(layer):
            return self._record.copy(signal, ChannelAffine(np.array([-1], np.float32)), [signal])
        if isinstance(layer, ChannelAffine):
            layer = ChannelAffine(layer.scale, -layer.shift)
        return self._record.copy(signal, layer, [self.of(source) for source in sources])


def _is_minus(layer: Layer) -> bool:
    """Does a layer do nothing but turn the sign?"""
    if isinstance(layer, Multiply):
        return bool(np.all(layer.constant == -1))
    affine = isinstance(layer, ChannelAffine)
    return affine and bool(np.all(layer.scale == -1)) and not np.any(layer.shift)


def _is_odd(layer: Layer) -> bool:
    """Is it g with g(-x) = -g(x), but for a shift?"""
    if isinstance(layer, (Add, ChannelAffine, Concat)):
        return True
    pools = layer.takes_rule and not layer.needs_rule
    return pools or (layer.rearranges and not getattr(layer, "value", 0))


def _turned(layer: Layer) -> Layer | None:
    """The layer with weights of the other sign; None where it has none."""
    if not layer.needs_rule:
        return None
    count = layer.outputs
    return layer.scaled_outputs(np.full(count, -1.0), np.zeros(count))
