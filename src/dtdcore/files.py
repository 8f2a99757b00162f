# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Files: written whole or not at all, read with a clear error where they are damaged."""

from __future__ import annotations

import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

# What reading a damaged zip file can raise; one flipped byte is enough for each.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    TypeError,
    EOFError,
    OSError,
    RuntimeError,  # with NotImplementedError: an unknown compression, an encrypted entry
    MemoryError,
)


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """A binary file that takes its name only when all has been written.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into")
    # As open() makes a new file, so that the system gives it the permissions of one: mkstemp's are
    # the owner's alone, and to read the umask means to set it, for all threads.
    temporary = path.with_name(f".dtdcore-{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_npz(path: str | os.PathLike, **arrays: Any) -> Path:
    """Write arrays to an .npz file, whole or not at all; returns the file's path."""
    path = Path(path)
    if path.suffix != ".npz":
        path = path.with_name(path.name + ".npz")
    with whole_file(path) as file:
        np.savez(file, **arrays)
    return path


def read_npz(path: str | os.PathLike, what: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, without pickle.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or no .npz file; it is said to be no `what` saved by dtdcore.
    """
    with open(path, "rb") as raw:
        try:
            content = np.load(raw, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array (.npy)")
            with content:
                return dict(content)
        except DAMAGE as error:
            raise ValueError(f"{path} is no {what} saved by dtdcore: {error}") from None
