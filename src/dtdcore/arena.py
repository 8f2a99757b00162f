# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Memory for the arrays of one run: one block, parts of which are free again when arrays die.

The system clears every page that it gives, which costs as much as filling the array. So a plan
keeps the memory of a run for the next one. An array taken from an arena is free when nothing refers
to it or to a view of it; lifetimes are those of the Python objects, and nobody counts them twice.
"""

from __future__ import annotations

import math
import threading
from bisect import insort
from collections import deque

import numpy as np

#: Smaller arrays come from the allocator of NumPy: the system's keeps their pages, too.
SMALL = 1 << 17
_ALIGNMENT = 64


class _Region:
    """Bytes of an arena that one array (and its views) stands on; free when it dies."""

    __slots__ = ("__array_interface__", "_arena", "_buffer", "_place")

    def __init__(
        self, arena: Arena, place: tuple[int, int], shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self._arena, self._buffer, self._place = arena, arena._buffer, place
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (arena._address + place[0], False),
        }

    def __del__(self) -> None:
        self._arena._dead.append((self._buffer, self._place))


class Arena:
    """Memory for one run at a time.

    It learns how much a run needs: what does not fit comes from NumPy, and the next run finds
    enough.
    """

    def __init__(self, smallest: int = SMALL) -> None:
        #: Arrays of fewer bytes come from NumPy, uncounted.
        self.smallest = smallest
        self._buffer: np.ndarray | None = None
        self._address = 0
        self._free: list[tuple[int, int]] = []  # (begin, end), sorted
        #: Places of arrays that died, by their blocks (None: outside). The run takes them in when
        #: it needs memory: an array may die in any thread, and the garbage collector may come in
        #: the middle of any statement here.
        self._dead: deque[tuple[np.ndarray | None, tuple[int, int]]] = deque()
        self._live = self._outside = 0
        #: Bytes of the arrays that lived at once, at most, since `start`.
        self.peak = 0
        self._most = 0

    def start(self) -> None:
        """Begin a run: take as much memory as the last ones needed."""
        self._bury()
        if self._live == 0 and self._most > self._size():
            self._buffer = None  # gives the old block back first
            buffer = np.empty(self._most + _ALIGNMENT, np.uint8)
            self._address = -(-buffer.ctypes.data // _ALIGNMENT) * _ALIGNMENT
            self._buffer = buffer
            self._free = [(0, self._most)]
        self.peak = self._live

    def _size(self) -> int:
        return 0 if self._buffer is None else self._buffer.size - _ALIGNMENT

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array with nothing written, as `numpy.empty` gives it."""
        size = -(-math.prod(shape) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
        self._bury()
        self._live += size
        self.peak = max(self.peak, self._live)
        place = self._take(size)
        if place is None:
            # Fragments may make a run need more than its arrays do.
            self._outside += size
            self._most = max(self._most, self.peak, self._size() + self._outside)
            array = np.empty(size, np.uint8)
            return np.asarray(_Outside(self, array, shape, dtype))
        return np.asarray(_Region(self, place, shape, dtype))

    def _take(self, size: int) -> tuple[int, int] | None:
        for number, (begin, end) in enumerate(self._free):
            if end - begin >= size:
                if end - begin == size:
                    del self._free[number]
                else:
                    self._free[number] = begin + size, end
                return begin, begin + size
        return None

    def _bury(self) -> None:
        """Take in what died since."""
        while self._dead:
            buffer, place = self._dead.popleft()
            self._live -= place[1] - place[0]
            if buffer is None:
                self._outside -= place[1]
            elif buffer is self._buffer:
                self._give_back(place)

    def _give_back(self, place: tuple[int, int]) -> None:
        free = self._free
        insort(free, place)
        number = free.index(place)
        if number + 1 < len(free) and free[number + 1][0] == place[1]:
            free[number] = place[0], free.pop(number + 1)[1]
        if number and free[number - 1][1] == free[number][0]:
            free[number - 1] = free[number - 1][0], free.pop(number)[1]


class _Outside:
    """An array that the arena had no room for."""

    __slots__ = ("__array_interface__", "_arena", "_array")

    def __init__(
        self, arena: Arena, array: np.ndarray, shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self._arena, self._array = arena, array
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (array.ctypes.data, False),
        }

    def __del__(self) -> None:
        self._arena._dead.append((None, (0, self._array.size)))


class _Current(threading.local):
    arena: Arena | None = None


_current = _Current()


class using:  # noqa: N801 - read as a word: with using(arena)
    """Inside, `empty` of this thread takes memory from the arena; None: from NumPy."""

    __slots__ = ("_arena", "_before")

    def __init__(self, arena: Arena | None) -> None:
        self._arena = arena

    def __enter__(self) -> None:
        self._before, _current.arena = _current.arena, self._arena

    def __exit__(self, *_: object) -> None:
        _current.arena = self._before


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array with nothing written, from the arena that this thread uses, if it uses one."""
    arena = _current.arena
    if arena is not None and math.prod(shape) * 8 >= arena.smallest:
        dtype = np.dtype(dtype)
        if math.prod(shape) * dtype.itemsize >= arena.smallest:
            return arena.empty(shape, dtype)
    return np.empty(shape, dtype)


def independent(array: np.ndarray) -> np.ndarray:
    """The array itself, or a copy if it stands on an arena: for results that leave a run."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    return array.copy() if isinstance(base, (_Region, _Outside)) else array
