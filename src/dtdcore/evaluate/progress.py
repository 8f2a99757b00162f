# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A progress bar of perturbed inputs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dtdcore.arrays import require


@contextmanager
def progress_bar(progress: bool | str, total: int) -> Iterator[Callable[[int], object]]:
    """A function that is told how many more inputs are done.

    Raises
    ------
    ImportError
        If `progress` is True and tqdm is not installed.
    """
    if progress == "auto":
        progress = importlib.util.find_spec("tqdm") is not None and sys.stderr.isatty()
    if not progress:
        yield lambda done: None
        return
    tqdm = require("tqdm", "train")
    with tqdm.tqdm(total=total, unit="input", desc="perturbing") as bar:
        yield bar.update
