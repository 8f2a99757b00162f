# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Batches of inputs, read while the one before is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dtdcore.arrays import check_count
from dtdcore.domains import Domain, Reals
from dtdcore.jobs.checking import check_sample, what_fits
from dtdcore.jobs.inputs import Source
from dtdcore.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class Batch:
    """Some inputs, of one kind."""

    #: Unique names of the samples, usable as file names.
    names: list[str]
    #: (n, *input shape)
    x: np.ndarray
    #: What to draw, uint8 (n, h, w, 3) or (n, h, w, 1); None where nothing is known of it.
    pictures: np.ndarray | None
    #: Names of the numbers of an input of one axis, where they are known.
    columns: tuple[str, ...] | None
    #: The file of each sample.
    paths: list[Path]

    def one(self, row: int) -> Batch:
        """A batch of one of the inputs."""
        part = slice(row, row + 1)
        pictures = None if self.pictures is None else self.pictures[part]
        return Batch(self.names[part], self.x[part], pictures, self.columns, self.paths[part])


class Batches:
    """All inputs in batches: iterate once. A next batch is read while the caller works on one.

    No more than two batches are in memory, and one .npz file. A sample that cannot be read, that is
    of another shape, or that holds numbers that are not finite or outside the domain is a failure
    of its own.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        preprocessing: Preprocessing | None,
        shape: tuple[int, ...] | None,
        size: int,
        dtype: np.dtype,
        domain: Domain,
        names: Sequence[str] = (),
    ) -> None:
        self.sources, self.preprocessing, self.shape = sources, preprocessing, shape
        self.domain, self.names = domain, tuple(names)
        self.size, self.dtype = check_count(size, "size"), np.dtype(dtype)
        #: Samples in all.
        self.total = sum(source.count for source in sources)
        #: Name and reason of each sample that could not be read, so far.
        self.failures: list[tuple[str, str]] = []
        #: The source that is open, its numbers (or why it has none), and what would fit them.
        self._opened: tuple[Source, np.ndarray | None, str] | None = None
        self._hint: str | None = None
        self._sample_shape: tuple[int, ...] | None = None
        if preprocessing is None and any(source.holds_pictures for source in sources):
            raise ValueError("pictures need a preprocessing")

    def __len__(self) -> int:
        """The number of samples."""
        return self.total

    def __iter__(self) -> Iterator[Batch]:
        with ThreadPoolExecutor(1, "dtdcore-reader") as pool:
            pending = None
            for chunk in self._chunks():
                ready, pending = pending, pool.submit(self._read, chunk)
                if ready is not None:
                    yield from self._result(ready)
            if pending is not None:
                yield from self._result(pending)

    def _result(self, pending: Future) -> Iterator[Batch]:
        batch, failures = pending.result()
        self.failures += failures
        if batch is not None:
            yield batch

    def _chunks(self) -> Iterator[list[tuple[Source, int]]]:
        """Samples of one kind (and the same columns), at most `size` at a time."""
        chunk: list[tuple[Source, int]] = []
        for source in self.sources:
            if chunk and not _alike(chunk[-1][0], source):
                yield chunk
                chunk = []
            for index in range(source.count):
                chunk.append((source, index))
                if len(chunk) == self.size:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk

    def _read(self, chunk: list[tuple[Source, int]]) -> tuple[Batch | None, list[tuple[str, str]]]:
        """A batch of what can be read, and name and reason of what cannot."""
        read, failures = [], []
        for source, index in chunk:
            try:
                sample = self._sample(source, index)
                if self._sample_shape not in (None, sample.shape):
                    raise ValueError(
                        f"its shape is {sample.shape}, that of those before {self._sample_shape}: "
                        "inputs of one run must be alike"
                    )
                self._sample_shape = sample.shape
                read.append((source, index, sample))
            except (ValueError, TypeError, LookupError, OSError, MemoryError) as error:
                failures.append((source.sample_name(index), " ".join(str(error).split())))
        if not read:
            return None, failures
        samples = np.stack([sample for _, _, sample in read])
        first = read[0][0]
        pictures = None
        if first.holds_pictures:
            pictures, samples = samples, self.preprocessing.apply(samples, self.dtype)
        elif self.preprocessing is not None and samples.ndim == 4:
            pictures = self.preprocessing.invert(samples)
        names = [source.sample_name(index) for source, index, _ in read]
        x = np.ascontiguousarray(samples, self.dtype)
        paths = [source.path for source, _, _ in read]
        columns = first.columns or (self.names if x.shape[1:] == (len(self.names),) else None)
        return Batch(names, x, pictures, columns, paths), failures

    def _sample(self, source: Source, index: int) -> np.ndarray:
        if source.damage is None and source.kind == "picture":
            return self.preprocessing.picture(source.path)
        if index in source.problems:
            raise ValueError(source.problems[index])
        values = self._numbers(source)
        if source.kind == "pictures":
            return self.preprocessing.picture(np.asarray(values[index]))

        def hint() -> str:
            if self._hint is None:
                self._hint = what_fits(values)
            return self._hint

        sample = np.asarray(values[index])
        return check_sample(sample, self.domain, self.dtype, source.columns, hint)

    def _numbers(self, source: Source) -> np.ndarray:
        """All numbers of an array or table, read once; why there are none is said for each."""
        if self._opened is None or self._opened[0] is not source:
            try:
                self._opened = source, source.load(), ""
            except ValueError as error:
                self._opened = source, None, str(error)
            self._hint = None
        _, values, damage = self._opened
        if values is None:
            raise ValueError(damage)
        return values


def _alike(one: Source, other: Source) -> bool:
    return (one.holds_pictures, one.columns) == (other.holds_pictures, other.columns)


def batches(
    sources: Sequence[Source],
    preprocessing: Preprocessing | None,
    shape: tuple[int, ...] | None,
    size: int,
    dtype: np.dtype = np.float32,
    domain: Domain | None = None,
    names: Sequence[str] = (),
) -> Batches:
    """All inputs in batches of at most `size` samples, in order, read lazily.

    Parameters
    ----------
    sources : sequence of Source
        As `find_inputs` gives them.
    preprocessing : Preprocessing or None
        For pictures; of other inputs it says how they can be drawn. None: there are no pictures.
    shape : tuple of int or None
        Shape of one input of the network.
    size : int
    dtype : numpy.dtype
        What x comes in.
    domain : Domain, optional
        Where numbers lie; others are failures. Default: all reals.
    names : sequence of str, optional
        What the network calls the numbers of an input.

    Returns
    -------
    Batches
        Iterate over it once; `failures` then names what could not be read.
    """
    domain = Reals() if domain is None else domain
    return Batches(sources, preprocessing, shape, size, dtype, domain, names)
