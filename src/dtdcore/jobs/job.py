# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a command is to do: a network and inputs, all checked."""

from __future__ import annotations

from dataclasses import dataclass

from dtdcore.domains import Domain
from dtdcore.jobs.batches import Batches, batches
from dtdcore.jobs.inputs import Source
from dtdcore.jobs.labels import Target
from dtdcore.layers import ChannelAffine, Conv, ConvTranspose, Multiply, Transpose
from dtdcore.network import Network
from dtdcore.preprocessing import Preprocessing, picture_axes

_BY_LAYOUT = {"chw": "first", "hwc": "last"}
_SCALES = (ChannelAffine, Multiply)


@dataclass(frozen=True, eq=False)
class Job:
    """A network and the inputs to run it on, all checked."""

    network: Network
    sources: list[Source]
    #: What pictures go through; None where there are only numbers and no preset was named.
    preprocessing: Preprocessing | None
    #: Where the inputs lie: `DeepTaylor` takes it.
    domain: Domain
    labels: list[str] | None
    target: Target
    #: Samples of a batch.
    batch: int
    #: Bytes; None: no bound.
    max_memory: int | None

    @property
    def total(self) -> int:
        """Samples in all."""
        return sum(source.count for source in self.sources)

    @property
    def channels(self) -> str:
        """Which axis of an input is that of the channels: "first", "last" or "none"."""
        if self.preprocessing is not None:
            return _BY_LAYOUT[self.preprocessing.layout]
        shape = self.network.input_shape
        layers = [node.layer for node in self.network.nodes]
        first = next((layer for layer in layers if not isinstance(layer, _SCALES)), None)
        if isinstance(first, Transpose):  # importers put it before what has channels last
            return "last" if first.axes[0] == len(first.axes) - 1 else "first"
        if shape is None or isinstance(first, (Conv, ConvTranspose)):
            return "first"
        if len(shape) < 3:
            return "none"
        try:
            return _BY_LAYOUT[picture_axes(shape)[0]]
        except ValueError:  # no pictures
            return "first"

    def batches(self) -> Batches:
        """The inputs, read lazily; each call begins anew."""
        shape = self.network.input_shape
        return batches(
            self.sources,
            self.preprocessing,
            shape,
            self.batch,
            self.network.dtype,
            self.domain,
            self.network.feature_names,
        )
