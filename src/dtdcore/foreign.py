# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of other libraries, and of unusual dtypes, as plain NumPy arrays of real numbers."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any

import numpy as np

#: What to do about numbers of a kind that no network takes.
HINTS = {
    "f": "; .astype(np.float64) rounds them",
    "c": "; choose .real, .imag or abs()",
    "M": "; subtract a day to count from, and divide by a unit of time",
    "m": "; divide by a unit of time, such as np.timedelta64(1, 's')",
    "V": "; pandas.DataFrame(x) is a table with its fields as columns",
}


def plain(x: Any, name: str, whole: np.dtype) -> np.ndarray:
    """`x` as a NumPy array of real numbers in native byte order, and of a dtype that holds them.

    Object arrays that hold nothing but real numbers become float64, or `whole` where these are
    whole numbers; bfloat16 and narrower floating-point numbers become float32. Tensors of PyTorch
    are detached.

    Raises
    ------
    TypeError
        If it holds something else, or does not lie in the memory of the CPU.
    ValueError
        If it is a ragged list, or a value is masked.
    """
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        where = np.argwhere(np.ma.getmaskarray(x))[0].tolist()
        raise ValueError(
            f"{name}{where or ''} is masked: a network takes no masked values. Fill them first "
            f"(np.ma.filled), or leave such samples out"
        )
    if _is_tensor(x):
        x = _detached(x, name)
    elif isinstance(x, (list, tuple)) and x and all(map(_is_tensor, x)):
        x = [_detached(tensor, name) for tensor in x]
    elif hasattr(x, "toarray"):
        raise TypeError(f"{name} is a sparse matrix: give {name}.toarray()")
    try:
        array = np.asarray(x)
    except ValueError as error:  # a ragged list
        raise ValueError(f"{name} must be an array: {error}") from None
    except (TypeError, RuntimeError) as error:  # tensors elsewhere, or in a list
        raise TypeError(f"{name} cannot be made a NumPy array: {error}") from None
    dtype = array.dtype
    if dtype.kind == "O":
        return _numbers(array, name, whole)
    if dtype.kind == "V" and dtype.names is None and dtype.type is not np.void:  # ml_dtypes
        floating = "float" in dtype.name
        return array.astype(np.float32 if floating else whole)
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise TypeError(
            f"{name} must hold real numbers (float32, float64 or integers), got dtype {dtype}"
            + HINTS.get(dtype.kind, "")
        )
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _is_tensor(x: Any) -> bool:
    """Is it a tensor of PyTorch?"""
    return hasattr(x, "requires_grad") and hasattr(x, "detach")


def _detached(tensor: Any, name: str) -> Any:
    """A tensor of PyTorch without its graph, in a dtype that NumPy has."""
    if tensor.device.type != "cpu":
        raise TypeError(
            f"{name} lies on the device {tensor.device}: give a copy on the CPU, .cpu()"
        )
    tensor = tensor.detach()
    narrow = tensor.is_floating_point() and tensor.element_size() < 4
    return tensor.float() if narrow else tensor


def is_missing(value: Any) -> bool:
    """Is it None, or pandas' NA or NaT?"""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def is_number(value: Any) -> bool:
    """Is it a real number, or a bool?"""
    return isinstance(value, (numbers.Real, np.bool_, Decimal))


def _numbers(array: np.ndarray, name: str, whole: np.dtype) -> np.ndarray:
    """An object array of nothing but real numbers."""
    wide = narrow = False
    for place, value in enumerate(array.reshape(-1)):
        if is_number(value):
            floating = not isinstance(value, (numbers.Integral, np.bool_))
            narrow |= floating
            wide |= floating and not isinstance(value, (np.float32, np.float16))
            continue
        where = [int(index) for index in np.unravel_index(place, array.shape)]
        if is_missing(value):
            raise TypeError(f"{name}{where or ''} is missing ({value!r}), which is no number")
        raise TypeError(
            f"{name} must hold real numbers (float32, float64 or integers), got {value!r} at "
            f"{name}{where or ''} in an array of dtype object"
        )
    dtype = np.float64 if wide else np.float32 if narrow else whole
    return array.astype(np.float64).astype(dtype)
