# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Regions of an input: patches of a picture, segments of a signal, columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dtdcore.arrays import check_count, rows
from dtdcore.tabular import Groups, feature_names, sum_groups

CHANNELS = ("auto", "first", "last", "none")
REDUCE = ("sum", "mean")


def spatial_axes(shape: tuple[int, ...], channels: str) -> tuple[int, ...]:
    """The axes of one input that are not its channels.

    Parameters
    ----------
    shape : tuple of int
        Of one input, without the batch axis.
    channels : "auto", "first", "last" or "none"
        "auto": the first of three or more axes, as in (channels, height, width); inputs of one
        axis (a table) or two (a picture without channels) have none. A signal (channels, length)
        needs "first".

    Raises
    ------
    ValueError
        If `channels` is something else, or no axis is left.
    """
    if channels not in CHANNELS:
        raise ValueError(f"channels must be one of {', '.join(CHANNELS)}, got {channels!r}")
    axes = tuple(range(len(shape)))
    if channels == "first" or (channels == "auto" and len(axes) > 2):
        axes = axes[1:]
    elif channels == "last":
        axes = axes[:-1]
    if not axes:
        raise ValueError(
            f"channels={channels!r} leaves no axis of an input of shape {shape}: a table has "
            "channels='none'"
        )
    return axes


def patches(
    shape: tuple[int, ...], patch: int | Sequence[int], channels: str = "auto"
) -> np.ndarray:
    """The region of each number of an input that is cut into patches, all channels together.

    Parameters
    ----------
    shape : tuple of int
        Of one input, without the batch axis.
    patch : int or one for each spatial axis
        Length of a patch; those at the end of an axis are shorter where it does not divide it.
    channels : "auto", "first", "last" or "none"
        See `spatial_axes`.

    Returns
    -------
    int array (*shape)
        Regions are counted from 0, row by row.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    """
    axes = spatial_axes(shape, channels)
    lengths = list(patch) if isinstance(patch, Sequence) else [patch] * len(axes)
    if len(lengths) != len(axes):
        raise ValueError(
            f"patch must be one length or one for each of the {len(axes)} spatial axes of {shape}, "
            f"got {patch!r}"
        )
    region = np.zeros((1,) * len(shape), np.intp)
    for axis, length in zip(axes, lengths, strict=True):
        place = np.arange(shape[axis]) // check_count(length, "patch")
        place = place.reshape([-1 if other == axis else 1 for other in range(len(shape))])
        region = region * (place.max(initial=-1) + 1) + place
    return np.ascontiguousarray(np.broadcast_to(region, shape))


def feature_groups(names: Sequence[str], groups: Groups) -> tuple[np.ndarray, list[str]]:
    """The region of each column of a table, where some columns belong together.

    Parameters
    ----------
    names : sequence of str, one per feature
    groups : mapping from the name of a group to its columns, by name or index
        As `dtdcore.plots.sum_groups` takes it; all other columns are regions of their own.

    Returns
    -------
    regions : int array (features,)
    names : list of str
        Of the regions.

    Raises
    ------
    ValueError
        If a column is unknown or in two groups, or names do not fit.
    """
    member, labels = sum_groups(np.eye(len(feature_names(names, len(names)))), names, groups)
    return member.argmax(axis=1), labels


class Regions:
    """A division of inputs into regions.

    Parameters
    ----------
    number : int array
        For each number of an input (in C order) its region, counted from 0, none left out.

    Raises
    ------
    TypeError
        If it does not hold whole numbers.
    ValueError
        If a region between 0 and the largest is empty.
    """

    def __init__(self, number: Any) -> None:
        number = np.asarray(number)
        if number.dtype.kind not in "iu":
            raise TypeError(f"regions must hold whole numbers, got dtype {number.dtype}")
        #: The region of each number of an input, (numbers,).
        self.number = number.reshape(-1).astype(np.intp)
        if self.number.size == 0 or self.number.min() < 0:
            raise ValueError("regions must be counted from 0 and not be empty")
        #: How many numbers each region has, (regions,).
        self.sizes = np.bincount(self.number)
        if not self.sizes.all():
            raise ValueError(f"regions: no number of an input is in region {self.sizes.argmin()}")
        self._order = np.argsort(self.number, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])

    def __len__(self) -> int:
        return len(self.sizes)

    def reduce(self, values: np.ndarray, how: str = "sum") -> np.ndarray:
        """Σ (or the mean) over each region, in float64: (n, ...) -> (n, regions).

        The mean is for patches of different size, as at ragged edges.
        """
        if how not in REDUCE:
            raise ValueError(f"reduce must be one of {', '.join(REDUCE)}, got {how!r}")
        result = np.empty((len(values), len(self)))
        for sample, value in enumerate(rows(values)):  # one at a time: a sum has one order
            result[sample] = np.add.reduceat(value[self._order], self._starts, dtype=np.float64)
        return result / self.sizes if how == "mean" else result

    def any(self, flags: np.ndarray) -> np.ndarray:
        """For each region: is one of its flags set? (numbers,) -> (regions,) bool."""
        return np.logical_or.reduceat(flags.reshape(-1)[self._order], self._starts)
