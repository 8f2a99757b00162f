# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of layers that only rearrange numbers, or scale each by a constant."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.arrays import rows
from dtdcore.steps.base import LOST, RECEIVED, Step


class FlattenStep(Step):
    """(n, *shape) -> (n, prod(shape)), and back."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return rows(x)

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return rows(x), x.shape[1:]

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        return relevance.reshape(*relevance.shape[:2], *saved)

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return gradient.reshape(*gradient.shape[:2], *saved)


class ReshapeStep(FlattenStep):
    """(n, *shape) -> (n, *new shape), and back; `shape` may hold one -1."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        size = int(np.prod(x.shape[1:], dtype=np.int64))  # -1 cannot be found of empty batches
        known = -int(np.prod(self.shape, dtype=np.int64))
        return x.reshape(len(x), *(size // max(known, 1) if s == -1 else s for s in self.shape))

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return self.forward(x), x.shape[1:]


class TransposeStep(Step):
    """The axes of one sample in another order, and back."""

    remembers = False

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = (0, *(axis + 1 for axis in axes))
        self.back = (0, 1, *(int(axis) + 2 for axis in np.argsort(axes)))

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x.transpose(self.axes).copy(order="C")

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return self.forward(x), None

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        return relevance.transpose(self.back).copy(order="C")

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return self.redistribute(saved, gradient, None)


class SliceStep(Step):
    """A range of an axis, and back between zeros."""

    def __init__(self, axis: int, part: slice) -> None:
        self.axis, self.part = axis, part

    def _index(self, lead: int) -> tuple[slice, ...]:
        return (*[slice(None)] * (lead + self.axis), self.part)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x[self._index(1)].copy(order="C")

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return self.forward(x), x.shape[1:]

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        result = np.zeros((*relevance.shape[:2], *saved), relevance.dtype)
        result[self._index(2)] = relevance
        return result

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return self.redistribute(saved, gradient, None)


class PadStep(Step):
    """A frame of constants; what relevance it gets is lost."""

    redistributes = True
    remembers = False

    def __init__(self, before: tuple[int, ...], after: tuple[int, ...], value: np.ndarray) -> None:
        self.widths = list(zip(before, after, strict=True))
        self.value = value
        self.inside = tuple(slice(b, -a if a else None) for b, a in self.widths)

    def forward(self, x: np.ndarray) -> np.ndarray:
        widths = [(0, 0)] * (x.ndim - len(self.widths)) + self.widths
        shape = [size + sum(pair) for size, pair in zip(x.shape, widths, strict=True)]
        result = np.empty(shape, x.dtype)
        result[...] = self.value
        result[(..., *self.inside)] = x
        return result

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return self.forward(x), None

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        inside = (..., *self.inside)
        axes = tuple(range(2, relevance.ndim))
        account[:, :, RECEIVED] += np.sum(relevance, axis=axes, dtype=np.float64)
        frame = relevance.copy()
        frame[inside] = 0
        account[:, :, LOST] += np.sum(frame, axis=axes, dtype=np.float64)
        return relevance[inside].copy(order="C")

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return gradient[(..., *self.inside)].copy(order="C")


class UpsampleStep(Step):
    """Each number repeated along the last axes: y_j = x_i; what flows back is added."""

    remembers = False

    def __init__(self, scale: tuple[int, ...]) -> None:
        self.scale = scale

    def forward(self, x: np.ndarray) -> np.ndarray:
        for axis, times in enumerate(self.scale, x.ndim - len(self.scale)):
            x = np.repeat(x, times, axis=axis)
        return x

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return self.forward(x), None

    def redistribute(self, saved: Any, relevance: np.ndarray, account: np.ndarray) -> np.ndarray:
        lead = relevance.shape[: relevance.ndim - len(self.scale)]
        sizes = relevance.shape[len(lead) :]
        cut = [part for s, t in zip(sizes, self.scale, strict=True) for part in (s // t, t)]
        axes = tuple(len(lead) + 2 * i + 1 for i in range(len(self.scale)))
        return relevance.reshape(*lead, *cut).sum(axis=axes)

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return self.redistribute(saved, gradient, None)


class MultiplyStep(Step):
    """y = c x with constants c; relevance passes through unchanged."""

    remembers = False

    def __init__(self, constant: np.ndarray) -> None:
        self.constant = constant

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * self.constant

    def trace(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return self.forward(x), None

    def gradient(self, saved: Any, gradient: np.ndarray) -> np.ndarray:
        return gradient * self.constant
