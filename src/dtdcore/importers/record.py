# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What an importer has translated so far, whatever the model came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dtdcore.layers import Identity, Layer
from dtdcore.network import Network

Shape = tuple[int, ...]

#: More numbers than this in one value of one sample: a broken or hostile file.
LARGEST_VALUE = 2**28


@dataclass(eq=False)
class Signal:
    """A value that depends on the input: `shape` is that of one sample, without the batch axis."""

    name: str
    shape: Shape


@dataclass
class Record:
    """The layers translated so far: each the output, the layer and what comes in."""

    items: list[tuple[Signal, Layer, tuple[Signal, ...]]] = field(default_factory=list)
    #: For each output its layer and what comes in.
    makers: dict[Signal, tuple[Layer, tuple[Signal, ...]]] = field(default_factory=dict)
    #: Outputs that stand in the place of another, under its name where it is not needed.
    copies: set[Signal] = field(default_factory=set)

    def emit(self, name: str, layer: Layer, sources: Sequence[Signal]) -> Signal:
        """Add a layer; gives its output."""
        shape = layer.output_shape(*(source.shape for source in sources))
        size = 1
        for part in shape:
            size *= part
        if size > LARGEST_VALUE or min(shape, default=1) < 1:
            raise ValueError(f"{layer!r} would have the output shape {shape}")
        signal = Signal(name, shape)
        self.items.append((signal, layer, tuple(sources)))
        self.makers[signal] = layer, tuple(sources)
        return signal

    def copy(self, signal: Signal, layer: Layer, sources: Sequence[Signal]) -> Signal:
        """Add a layer whose output stands in the place of another; gives its output."""
        copied = self.emit(signal.name, layer, sources)
        self.copies.add(copied)
        return copied

    def network(
        self, inputs: Mapping[str, Shape], output: Signal, names: Collection[str] = ()
    ) -> Network:
        """The network that gives `output`, of the layers that it needs.

        Signals whose names are in `names` keep them; others get a number where theirs is taken.
        """
        if output not in self.makers:  # an input itself
            output = self.emit("output", Identity(), [output])
        needed = {id(output)}
        items = []
        for signal, layer, sources in reversed(self.items):
            if id(signal) in needed:
                needed.update(map(id, sources))
                items.append((signal, layer, sources))
        kept = {s for s, _, _ in items if s.name in names and s not in self.copies}
        taken = {*inputs, *(signal.name for signal in kept)}
        for signal, _, _ in reversed(items):
            if signal not in kept:
                others = taken if signal in self.copies else taken.union(names)
                base, count = signal.name, 1
                while signal.name in others:
                    count += 1
                    signal.name = f"{base}_{count}"
                taken.add(signal.name)
        layers = [(s.name, layer, [p.name for p in parts]) for s, layer, parts in reversed(items)]
        return Network(layers, dict(inputs), output.name)
