# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explanations written one after the other into one .npz file, without keeping their heatmaps."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from dtdcore.audit import Audit
from dtdcore.explanation import Explanation
from dtdcore.explanation_file import FORMAT, audit_arrays, name_arrays
from dtdcore.files import whole_file


class HeatmapFile:
    """An .npz file in the format of `Explanation.save`, and in it `files` and `preprocessing`.

    Heatmaps and inputs wait in unnamed temporary files of the same folder, which vanish whatever
    happens; the file takes its name when all is in it. Its bytes depend on its content alone.

    Parameters
    ----------
    path : Path
    preprocessing : str
        How the inputs came to be.
    """

    def __init__(self, path: Path, preprocessing: str) -> None:
        self.path, self.preprocessing = path, preprocessing
        self._spools = {name: _Spool(path.parent) for name in ("relevance", "inputs")}
        self._names: list[str] = []
        self._small: dict[str, list[np.ndarray]] = {"output": [], "explained": [], "target": []}
        self._audits: list[Audit] = []
        self._method = ""
        self._known: dict[str, np.ndarray] = {}

    def add(self, names: Sequence[str], explanation: Explanation) -> None:
        """Append a batch."""
        self._spools["relevance"].add(explanation.relevance)
        self._spools["inputs"].add(explanation.inputs)
        for name, parts in self._small.items():
            parts.append(getattr(explanation, name))
        if explanation.audit is not None:
            self._audits.append(explanation.audit)
        self._method = explanation.method
        self._known = name_arrays(explanation)
        self._names += names

    def write(self) -> Path | None:
        """Write the file, whole or not at all; returns its path, None where nothing was added."""
        if not self._names:
            return None
        arrays: dict[str, Any] = {
            "format": np.array(FORMAT),
            "method": np.array(self._method),
            "files": np.array(self._names, dtype=np.str_),
            "preprocessing": np.array(self.preprocessing),
        } | {name: np.concatenate(parts) for name, parts in self._small.items()}
        arrays |= self._known
        if self._audits:
            arrays |= audit_arrays(Audit.join(self._audits))
        with whole_file(self.path) as file, zipfile.ZipFile(file, "w") as archive:
            for name, spool in self._spools.items():
                with _member(archive, name) as member:
                    spool.write(member)
            for name, array in arrays.items():
                with _member(archive, name) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        return self.path

    def close(self) -> None:
        """Give the temporary files back."""
        for spool in self._spools.values():
            spool.file.close()


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    # With ZipInfo the time in the file is 1980, as np.savez has it.
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


class _Spool:
    """The rows of one array, in a temporary file until their number is known."""

    def __init__(self, folder: Path) -> None:
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self.count, self.shape, self.dtype = 0, (), np.dtype(np.float32)

    def add(self, rows: np.ndarray) -> None:
        self.file.write(np.ascontiguousarray(rows).data)
        self.count, self.shape, self.dtype = self.count + len(rows), rows.shape[1:], rows.dtype

    def write(self, member: IO[bytes]) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.count, *self.shape),
        }
        np.lib.format.write_array_header_1_0(member, header)
        self.file.seek(0)
        shutil.copyfileobj(self.file, member, 2**20)
