# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Targets that `dtdcore.targets` has read: f = Σ_o c_o y_o for each sample, and its relevance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dtdcore.arrays import rows


@dataclass(eq=False, slots=True)
class Targets:
    """k targets for each of n samples, checked."""

    #: (n, k): `OutputNumbers`, outputs counted in order; else texts that say what each target is.
    labels: np.ndarray
    #: c_o, (n, k, outputs); None where each target is one output.
    coefficients: np.ndarray | None = None
    #: Whether results go without the axis k.
    single: bool = False

    @property
    def one_each(self) -> bool:
        """Is it one output for each sample?"""
        return self.single and self.coefficients is None

    @property
    def shape(self) -> tuple[int, int]:
        """(n, k)."""
        return self.labels.shape

    def __getitem__(self, piece: slice) -> Targets:
        """The targets of some samples."""
        part = None if self.coefficients is None else self.coefficients[piece]
        return Targets(self.labels[piece], part, self.single)

    def each(self) -> Targets:
        """One row for each sample and target: (n · k, 1)."""
        part = self.coefficients
        if part is not None:
            part = part.reshape(-1, 1, part.shape[2])
        return Targets(self.labels.reshape(-1, 1), part, single=True)

    def start(
        self, output: np.ndarray, function: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Starting relevance c_o y_o (n, k, *output shape), and its sums, what is explained.

        `function` is made of the outputs first: for deep Taylor decomposition max(0, y_o).
        """
        if self.coefficients is None:
            values = function(pick(output, self.labels))
            return self._one_hot(output, values), values
        # in the dtype of the output
        start = np.multiply(self.coefficients, function(rows(output)[:, None]), order="C")
        explained = start.sum(axis=2, dtype=np.float64)
        return start.reshape(*self.shape, *output.shape[1:]), explained

    def gradient(self, output: np.ndarray) -> np.ndarray:
        """∂f/∂y_o = c_o, (n, k, *output shape)."""
        if self.coefficients is None:
            return self._one_hot(output, np.ones(self.shape, output.dtype))
        gradient = self.coefficients.astype(output.dtype, order="C")
        return gradient.reshape(*self.shape, *output.shape[1:])

    def of(self, output: np.ndarray) -> np.ndarray:
        """f, (n, k): the outputs themselves, copied, or sums in float64."""
        flat = rows(output)
        if self.coefficients is not None:
            return (self.coefficients * flat[:, None]).sum(axis=2, dtype=np.float64)
        return pick(flat, self.labels)

    def _one_hot(self, output: np.ndarray, values: np.ndarray) -> np.ndarray:
        n, k = self.labels.shape
        columns = rows(output).shape[1]
        if columns > 1:
            result = np.zeros((n * k, columns), output.dtype)
            result[np.arange(n * k), self.labels.reshape(-1)] = values.reshape(-1)
            values = result
        return values.reshape(n, k, *output.shape[1:])


def pick(output: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The numbers of the output at these places (n, k), copied: (n, k)."""
    flat = rows(output)
    if flat.shape == numbers.shape == (len(flat), 1):
        return flat.copy()
    return np.take_along_axis(flat, np.asarray(numbers), axis=1)
