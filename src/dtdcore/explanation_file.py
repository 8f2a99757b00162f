# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explanations in files: arrays in an .npz, no pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dtdcore.audit import Audit
from dtdcore.class_labels import output_numbers
from dtdcore.files import read_npz, write_npz
from dtdcore.steps.base import BIAS, LOST, RECEIVED, STABILISER

if TYPE_CHECKING:
    from dtdcore.explanation import Explanation

#: Version of the file format. Files of this version may lack what later releases add.
FORMAT = 1

#: The columns of `audit` in a file; None: what was passed on.
COLUMNS = (RECEIVED, None, BIAS, STABILISER, LOST)

#: Dicts of arrays by name in a file: "inputs/left" is that of the input "left".
DICTS = ("relevance", "inputs", "at")


def write(explanation: Explanation, path: str | os.PathLike) -> Path:
    """Write an explanation to an .npz file: see `Explanation.save`."""
    arrays: dict[str, Any] = {"format": np.array(FORMAT), "method": np.array(explanation.method)}
    for name in (*DICTS, "output", "explained", "target"):
        value = getattr(explanation, name, None)
        if isinstance(value, dict):
            arrays |= {f"{name}/{part}": array for part, array in value.items()}
        elif value is not None and value.dtype.kind == "O":  # columns of a table, texts among them
            arrays[f"{name}_json"] = np.array(json.dumps(value.tolist(), default=_plain))
        elif value is not None:
            arrays[name] = value
    arrays |= name_arrays(explanation)
    if explanation.audit is not None:
        arrays |= audit_arrays(explanation.audit)
    return write_npz(path, **arrays)


def name_arrays(explanation: Explanation) -> dict[str, np.ndarray]:
    """Names of features and classes as `write` has them, where they are known."""
    known = {name: getattr(explanation, name) for name in ("feature_names", "class_names")}
    return {name: np.array(names, dtype=np.str_) for name, names in known.items() if names}


def read(path: str | os.PathLike) -> dict[str, Any]:
    """The fields of an explanation that `write` wrote, or `dtdcore explain`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds something else.
    """
    content = read_npz(path, "explanation")
    if "dtdcore_network" in content:
        raise ValueError(f"{path} is no explanation: it holds a network, which dtdcore.load reads")
    fields: dict[str, Any] = {"target": None, "audit": None}
    try:
        if int(content["format"]) != FORMAT:
            raise ValueError(
                f"{path} has the file format {content['format']}, this version reads {FORMAT}"
            )
        if "inputs_json" in content:
            shape = content["relevance"].shape
            cells = np.array(json.loads(str(content["inputs_json"])), object)
            content["inputs"] = cells.reshape(shape[0], shape[-1])
        for name in ("relevance", "inputs"):
            fields[name] = content[name] if name in content else _dict(content, name)
        fields |= {name: content[name] for name in ("output", "explained")}
        fields["method"] = str(content["method"])
        if "target" in content:
            target = content["target"]
            fields["target"] = output_numbers(target) if target.dtype.kind in "iu" else target
        if any(name.startswith("at/") for name in content):
            fields["at"] = _dict(content, "at")
        for name in ("feature_names", "class_names"):
            fields[name] = tuple(content[name].tolist()) if name in content else ()
        if "audit" in content:
            fields["audit"] = _audit(content)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{path} is no explanation saved by dtdcore: {error!r}") from None
    return fields


def _plain(value: Any) -> Any:
    """A cell of a table as JSON takes it."""
    return value.item() if isinstance(value, np.generic) else None if value is None else str(value)


def _dict(content: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The arrays "name/..." by what stands behind the stroke."""
    parts = {
        key.removeprefix(f"{name}/"): array
        for key, array in content.items()
        if key.startswith(f"{name}/")
    }
    if not parts:
        raise KeyError(name)
    return parts


def audit_arrays(audit: Audit) -> dict[str, np.ndarray]:
    """An audit as arrays: names and rules of its layers, and their accounts."""
    arrays = {
        "audit_names": np.array(audit.names, dtype=np.str_),
        "audit_rules": np.array([str(e.rule) for e in audit], dtype=np.str_),
        "audit": np.array(
            [np.stack([e.received, e.passed, e.bias, e.stabiliser, e.lost], axis=-1) for e in audit]
        ),
    }
    if audit.has_model:
        arrays["audit_model"] = np.array([e.model for e in audit])
    return arrays


def _audit(content: dict[str, np.ndarray]) -> Audit:
    """The audit of a file; its rules are texts."""
    table = content["audit"]
    accounts = np.empty((*table.shape[:-1], 4))
    for column, place in enumerate(COLUMNS):
        if place is not None:
            accounts[..., place] = table[..., column]
    names, rules = content["audit_names"].tolist(), content["audit_rules"].tolist()
    passed = np.ascontiguousarray(table[..., COLUMNS.index(None)])
    return Audit(names, rules, accounts, passed, content.get("audit_model"))
