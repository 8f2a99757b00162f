# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a command is to do: a network and inputs, all checked."""

from __future__ import annotations

from dataclasses import dataclass

from dtdcore.domains import Domain
from dtdcore.jobs.batches import Batches, batches
from dtdcore.jobs.inputs import Source
from dtdcore.jobs.labels import Target
from dtdcore.network import Network
from dtdcore.preprocessing import Preprocessing


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

    def batches(self) -> Batches:
        """The inputs, read lazily; each call begins anew."""
        shape = self.network.input_shape
        return batches(self.sources, self.preprocessing, shape, self.batch, self.network.dtype)
