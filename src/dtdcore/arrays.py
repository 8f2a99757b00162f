# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The one place where a user's array becomes what the core takes, or a clear error."""

from __future__ import annotations

import importlib
import math
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from dtdcore import _core
from dtdcore.foreign import plain
from dtdcore.frames import is_frame, listed, numbers_of, point_labels

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

#: Numbers whose largest is beyond 2^±20 are scaled before they are multiplied with each other,
#: where their scale does not matter.
SAFE_EXPONENT = 20


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package, or say which extra of dtdcore brings it.

    Raises
    ------
    ImportError
        If `module` is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise ImportError(
            f"this needs {module.split('.')[0]}: pip install 'dtdcore[{extra}]'"
        ) from error


@cache
def kernels(dtype: np.dtype) -> SimpleNamespace:
    """The core's functions for one dtype, without the suffix `_f32` or `_f64`."""
    suffix = {"f": "_f32", "d": "_f64"}[dtype.char]
    names = [name for name in dir(_core) if name.endswith(suffix)]
    return SimpleNamespace(**{name.removesuffix(suffix): getattr(_core, name) for name in names})


@cache
def finite_range(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest finite number of a dtype, as bounds for `first_outside`."""
    limits = np.finfo(dtype)
    return np.array([limits.min], dtype), np.array([limits.max], dtype)


def as_float(x: Any, name: str, default: np.dtype = DTYPES[1]) -> np.ndarray:
    """`x` as a C-contiguous float32 or float64 array.

    Whole numbers and bools become `default`, float16 and bfloat16 become float32; numbers keep
    their precision whatever their byte order. Tables (pandas, polars, pyarrow) are read column by
    column, tensors of PyTorch are detached. A masked array may have no masked values.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers.
    ValueError
        If it is a ragged list, or a value is masked, or a hole in a table.
    """
    if type(x) is np.ndarray and x.dtype in DTYPES:
        array = x
    elif is_frame(x):
        array = numbers_of(x, name, default)
    else:
        array = plain(x, name, default)
        if array.dtype not in DTYPES:
            array = array.astype(np.float32 if array.dtype == np.float16 else default)
    # Not np.ascontiguousarray: that turns a 0-d array into a 1-d one.
    return array if array.flags.c_contiguous else array.copy(order="C")


def as_batch(
    x: Any,
    shape: tuple[int, ...] | None,
    name: str = "x",
    default: np.dtype = DTYPES[1],
    finite: bool = True,
) -> np.ndarray:
    """`x` as a finite batch of shape (n, *shape); `shape=None` takes any shape but a scalar's.

    `finite=False` leaves the look at the values to the caller.

    Raises
    ------
    ValueError
        If the shape differs or a value is not finite.
    TypeError
        If `x` does not hold real numbers.
    """
    array = as_float(x, name, default)
    if shape is None:
        if array.ndim < 1:
            raise ValueError(f"{name} must be a batch (batch axis first), got a single number")
    elif array.shape[1:] != shape or array.ndim == 0:
        expected = ", ".join(["n", *map(str, shape)])
        hint = f"; for one sample give {name}[None]" if array.shape == shape else ""
        raise ValueError(
            f"{name} must have shape ({expected}), batch axis first, got {array.shape}{hint}"
        )
    if finite:
        check_finite(array, name)
    return array


def as_channels(value: Any, name: str) -> np.ndarray:
    """Finite numbers, one a channel, as a read-only copy (channels,).

    Raises
    ------
    ValueError
        If they are no vector or not finite.
    TypeError
        If `value` does not hold real numbers.
    """
    array = np.atleast_1d(as_float(value, name))
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (channels,), got {array.shape}")
    check_finite(array, name)
    array = array.copy()
    array.flags.writeable = False
    return array


def rows(array: np.ndarray) -> np.ndarray:
    """A batch as a matrix, one row a sample: (n, *shape) -> (n, prod(shape))."""
    if array.ndim == 2:
        return array
    return array.reshape(array.shape[0], math.prod(array.shape[1:]))


def largest_of(x: np.ndarray) -> np.ndarray:
    """max |x_p| of each sample, (n,)."""
    return np.abs(rows(x)).max(axis=1, initial=0.0)


def by_channel(numbers: np.ndarray) -> np.ndarray | None:
    """The numbers of a value as one for each channel (axis 0); None where pixels differ."""
    if numbers.ndim < 2:
        return numbers
    first = numbers[(slice(None), *[slice(0, 1)] * (numbers.ndim - 1))]
    repeated = not any(numbers.strides[1:])  # one number in memory for all pixels
    same = repeated or np.array_equal(np.broadcast_to(first, numbers.shape), numbers)
    return first.reshape(-1) if same else None


class TooLargeError(ValueError):
    """A dtype cannot hold a number."""


def cast(array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """A finite array in another dtype.

    Raises
    ------
    TooLargeError
        If the dtype cannot hold one of its numbers.
    """
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        result = array.astype(dtype)
    if not all_finite(result):
        raise TooLargeError(
            f"{name} holds {np.abs(array).max():g}, too large for {dtype}: use float64 throughout"
        )
    return result


def moderate(array: np.ndarray) -> np.ndarray:
    """An array times a power of two: itself, or so that its largest number is about 1.

    See `SAFE_EXPONENT`.
    """
    exponent = math.frexp(float(np.abs(array).max(initial=0.0)))[1]
    return np.ldexp(array, -exponent) if abs(exponent) > SAFE_EXPONENT else array


def own(result: np.ndarray, argument: np.ndarray) -> np.ndarray:
    """`result`, copied if it is the caller's own array or a view of it."""
    return result.copy() if np.may_share_memory(result, argument) else result


def as_signal(
    signal: Any, name: str, n: int, shape: tuple[int, ...], dtype: np.dtype
) -> tuple[np.ndarray, bool]:
    """A finite signal at outputs of `shape`, as (n, k, *shape), and whether it came without k.

    Raises
    ------
    ValueError
        If its shape is neither (n, *shape) nor (n, k, *shape), or a value is not finite or too
        large for `dtype`.
    TypeError
        If it does not hold real numbers.
    """
    array = as_float(signal, name)
    check_finite(array, name)
    array = cast(array, dtype, name)
    if array.shape == (n, *shape):
        return array[:, None], True
    if array.ndim == len(shape) + 2 and array.shape[0] == n and array.shape[2:] == shape:
        return array, False
    raise ValueError(
        f"{name} must have shape {(n, *shape)}, or {(n, 'k', *shape)} for k targets, "
        f"got {array.shape}"
    )


def check_finite(array: np.ndarray, name: str) -> None:
    """Raise a ValueError that names the first value of `array` that is NaN or infinite."""
    check_range(array, name, *finite_range(array.dtype))


def all_finite(array: np.ndarray) -> bool:
    """Is no value of a C-contiguous array NaN or infinite?"""
    dtype, size = array.dtype, array.size
    return kernels(dtype).first_outside(array.reshape(1, size), *finite_range(dtype)) == size


def all_within(array: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Is every value of a batch finite and in [low, high]? `low` and `high` as in `check_range`."""
    return kernels(array.dtype).first_outside(rows(array), low, high) == array.size


def check_range(
    array: np.ndarray, name: str, low: np.ndarray, high: np.ndarray, domain: Any = None
) -> None:
    """Raise a ValueError naming the first value that is not finite or not in [low, high].

    `low` and `high` hold one number, or one for each number of a sample (flattened).
    """
    matrix = rows(array) if array.ndim else array.reshape(1, 1)
    first = kernels(array.dtype).first_outside(matrix, low, high)
    if first < array.size:
        where = np.unravel_index(first, array.shape)
        place = f"[{', '.join(str(int(i)) for i in where)}]" if where else ""
        value = array[where]
        finite = np.isfinite(value)
        complaint = f"is outside the domain {domain!r}" if finite else "is not finite"
        raise ValueError(f"{name}{place} = {value} {complaint}")


def as_bound(value: Any, name: str) -> float | np.ndarray:
    """A bound of a box: a finite number, or a read-only float64 array of finite numbers."""
    labels = point_labels(value)
    if labels is not None:
        raise TypeError(
            f"{name} goes by the names {listed(labels)}, which is for a domain: "
            "DeepTaylor(network, Box(low, high)). Give an array in the order of the columns"
        )
    array = as_float(value, name).astype(np.float64)
    check_finite(array, name)
    if array.ndim == 0:
        return float(array)
    array.flags.writeable = False
    return array


def check_number(value: Any, name: str, minimum: float, *, strict: bool = False) -> float:
    """`value` as a finite float that is at least (with `strict`: above) `minimum`.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ValueError
        If it is not finite or too small.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    number = float(value)
    if not np.isfinite(number) or number < minimum or (strict and number == minimum):
        sign = ">" if strict else ">="
        raise ValueError(f"{name} must be finite and {sign} {minimum:g}, got {value}")
    return number


def check_count(value: Any, name: str, minimum: int = 1) -> int:
    """`value` as an int that is at least `minimum`.

    Raises
    ------
    TypeError
        If `value` is not a whole number.
    ValueError
        If it is too small.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def lacking(thing: Any, base: str, method: str) -> TypeError:
    """The error for an instance of a user's own class that misses a method of its base."""
    return TypeError(f"the class {type(thing).__name__}, a dtdcore.{base}, lacks {method}")


def _short(value: Any) -> str:
    """A value as text; of an array its numbers where they are few, such as one for each channel."""
    if not isinstance(value, np.ndarray):
        return repr(value)
    if not 0 < value.size <= 4:
        return f"array{value.shape}"
    return f"[{', '.join(f'{number:g}' for number in value.reshape(-1))}]"


class ArrayFields:
    """Equality, hash and a short repr for frozen dataclasses whose fields may be arrays."""

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        parts = [
            f"{name}={_short(value)}" for name, value in values if name != "_" and value is not None
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def _key(self) -> tuple:
        values = (getattr(self, name) for name in self.__dataclass_fields__)
        return tuple(
            (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
            for value in values
        )

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))
