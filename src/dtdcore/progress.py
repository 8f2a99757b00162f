# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A progress bar for long work, where tqdm is installed and somebody looks."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dtdcore.arrays import require


@contextmanager
def progress_bar(
    progress: bool | str, total: int, unit: str, description: str, initial: int = 0
) -> Iterator[Any]:
    """A bar of tqdm (`update(count)` moves it), or None where none is shown.

    Parameters
    ----------
    progress : bool or "auto"
        "auto" shows it where tqdm is installed and stderr is a terminal.
    total, initial : int
        How much there is to do, and how much is done already.
    unit, description : str

    Raises
    ------
    ImportError
        If `progress` is True and tqdm is not installed.
    """
    if progress == "auto":
        progress = importlib.util.find_spec("tqdm") is not None and sys.stderr.isatty()
    if not progress:
        yield None
        return
    tqdm = require("tqdm", "train").tqdm
    with tqdm(total=total, initial=initial, unit=unit, desc=description) as bar:
        yield bar
