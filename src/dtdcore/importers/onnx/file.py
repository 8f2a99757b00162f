# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX files: parsed, with data outside of the file read from its own folder only."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

EXTERNAL = 1  # TensorProto.DataLocation


def import_onnx() -> Any:
    """The package onnx, or an ImportError that says which extra installs it."""
    try:
        import onnx
        import onnx.numpy_helper
        import onnx.reference
    except ImportError as error:
        raise ImportError(
            f"reading ONNX models needs the package onnx ({error}): pip install 'dtdcore[onnx]'"
        ) from None
    return onnx


def read_model(path: str | os.PathLike) -> Any:
    """The ModelProto in a file, complete: external data are read into it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no ONNX model, or asks for data that are not in its folder.
    """
    onnx = import_onnx()
    from google.protobuf.message import DecodeError

    path = Path(path)
    content = path.read_bytes()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is no ONNX model, or a damaged one: {error}") from None
    for tensor in _tensors(model.graph):
        if tensor.data_location == EXTERNAL:
            _read_external(tensor, path)
    return model


def _tensors(graph: Any) -> Iterator[Any]:
    """All tensors of a graph that constants come from (those of subgraphs are never used)."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _read_external(tensor: Any, path: Path) -> None:
    """Read a tensor's data from a file in the model's folder into the tensor."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    what = f"{path}: the data of tensor {tensor.name!r}"
    location = entries.get("location", "")
    folder = path.resolve().parent
    try:
        file = (folder / location).resolve()
        inside = location and not Path(location).is_absolute() and file.is_relative_to(folder)
        if not inside or not file.is_file():
            raise ValueError(
                f"{what} should be in {location!r}; data are read from files in the model's own "
                "folder only, and there is no such file"
            )
        offset, size = int(entries.get("offset", 0)), file.stat().st_size
        length = int(entries["length"]) if "length" in entries else size - offset
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(error if str(error).startswith(what) else f"{what}: {error}") from None
    needed = math.prod(tensor.dims) * _item_size(tensor.data_type)
    if min(tensor.dims, default=0) < 0 or not (offset >= 0 and length == needed):
        raise ValueError(f"{what} have {length} bytes, its shape asks for {needed}")
    if offset + length > size:
        raise ValueError(f"{what} should end at byte {offset + length} of {file.name}: {size}")
    with open(file, "rb") as stream:
        stream.seek(offset)
        tensor.raw_data = stream.read(length)
    tensor.data_location = 0
    del tensor.external_data[:]


def _item_size(data_type: int) -> int:
    onnx = import_onnx()
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(data_type)).itemsize
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"tensors of the data type {data_type} cannot be read") from None


def to_array(tensor: Any) -> np.ndarray:
    """The numbers of a tensor.

    Raises
    ------
    ValueError
        If the tensor is broken or holds no numbers.
    """
    onnx = import_onnx()
    if tensor.data_location == EXTERNAL:
        raise ValueError(f"tensor {tensor.name!r} has its data outside of the model")
    if min(tensor.dims, default=0) < 0:
        raise ValueError(f"tensor {tensor.name!r} has the shape {tuple(tensor.dims)}")
    try:
        array = np.asarray(onnx.numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(f"tensor {tensor.name!r} is damaged: {error}") from None
    if array.shape != tuple(tensor.dims):
        raise ValueError(f"tensor {tensor.name!r} is damaged: shape {array.shape}")
    if array.dtype.kind not in "biuf":  # bfloat16 and its kin
        try:
            array = array.astype(np.float32)
        except (ValueError, TypeError):
            raise ValueError(f"tensor {tensor.name!r} holds {array.dtype}") from None
    return array
