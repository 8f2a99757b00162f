# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What an importer has translated so far, whatever the model came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dtdcore.layers import Identity, Layer, Sigmoid
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
        taken = {*inputs, *names}
        for signal, _, _ in reversed(items):
            if signal.name not in names:
                base, count = signal.name, 1
                while signal.name in taken:
                    count += 1
                    signal.name = f"{base}_{count}"
                taken.add(signal.name)
        layers = [(s.name, layer, [p.name for p in parts]) for s, layer, parts in reversed(items)]
        return Network(layers, dict(inputs), output.name)


def sigmoid_notes(network: Network, way: str) -> list[str]:
    """What `network.notes` says of a sigmoid at the end: one note, or none where there is none.

    `way` says how an explanation starts before it; {before} in it becomes the name of that value.
    """
    names = [*network.inputs, *(node.name for node in network.nodes)]
    value, first = network.output, len(network.inputs)
    while value >= first:
        node = network.nodes[value - first]
        if isinstance(node.layer, Sigmoid):
            (source,) = node.sources
            return [
                f"it ends in a sigmoid ({node.name}): explanations start at its value, which is "
                f"above 0 even for 'no'; {way.format(before=names[source])}"
            ]
        if not node.layer.rearranges or len(node.sources) > 1:
            break
        (value,) = node.sources
    return []
