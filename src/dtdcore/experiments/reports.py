# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What an experiment leaves behind: files in a folder, each whole or not at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dtdcore.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_figure(path: Path, figure: Figure, dpi: int = 150) -> Path:
    """Write a figure as a PNG file."""
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=dpi)
    return path


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write numbers and text as a JSON file; NaN and infinity are errors."""
    with whole_file(path) as file:
        file.write((to_json(content) + "\n").encode(errors="backslashreplace"))
    return path


def print_json(content: dict[str, Any]) -> None:
    """Print numbers and text as JSON, in letters that the standard output has."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(to_json(content, ascii_only=not unicode))


def to_json(content: dict[str, Any], ascii_only: bool = False) -> str:
    """JSON text, readable by people too."""
    return json.dumps(content, indent=2, ensure_ascii=ascii_only, allow_nan=False)
