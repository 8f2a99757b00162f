# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The pictures of a run: one PNG for each input, and contact sheets of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.arrays import require
from dtdcore.files import whole_file
from dtdcore.jobs.batches import Batch
from dtdcore.jobs.findings import Finding
from dtdcore.jobs.job import Job
from dtdcore.jobs.output_folder import PER_SHEET, OutputFolder
from dtdcore.jobs.panels import (
    QUANTILE,
    Panel,
    above,
    grey,
    input_panel,
    plane,
    rgb,
    scale_of,
    sheet,
    sheet_tile,
)
from dtdcore.plot_bars import draw_bars
from dtdcore.volumes import chosen_slices

#: Method, R_p of one input ([k,] *input shape), and a finding for each target.
Explained = tuple[str, np.ndarray, list[Finding]]


class Gallery:
    """Draws each input when it is explained, and a contact sheet when it is full."""

    def __init__(self, job: Job, methods: Sequence[str], folder: OutputFolder) -> None:
        require("PIL", "explain")
        self.folder, self.methods = folder, list(methods)
        self.channels = job.channels
        self.written: list[Path] = []
        self._tiles: list[Panel] = []
        self._sheets, self._bars = 0, False

    def draw(self, batch: Batch, row: int, explained: Sequence[Explained]) -> None:
        """Draw one input by all methods that could explain it."""
        x, name = batch.x[row], batch.names[row]
        values = plane(x, self.channels, np.mean)
        if values is None:
            self._write(self.folder.picture(name), _bars(batch, row, explained))
            tile = _bars(batch, row, explained, small=True)
            self._bars = True
        else:
            picture = grey(values) if batch.pictures is None else rgb(batch.pictures[row])
            slices = _slices(x, self.channels)
            self._write(
                self.folder.picture(name),
                input_panel(picture, list(self._rows(explained)), name + slices),
            )
            found = explained[0][2][0]
            heatmaps = [
                (plane(_targets(heatmap, f)[0], self.channels), method)
                for method, heatmap, f in explained
            ]
            tile = sheet_tile(picture, heatmaps, [name, found.title])
        self._tiles.append(tile)
        if len(self._tiles) == PER_SHEET:
            self.finish()

    def _rows(self, explained: Sequence[Explained]) -> Any:
        """Heatmap, scale and text of each method and target; targets of a method share a scale."""
        for method, heatmap, found in explained:
            planes = [plane(part, self.channels) for part in _targets(heatmap, found)]
            limit = max(map(scale_of, planes))
            for part, finding in zip(planes, found, strict=True):
                numbers = f"{method}: {finding.sums}; red above 0, blue below, ends ±{limit:.3g}"
                yield part, limit, [finding.title, numbers]

    def finish(self) -> None:
        """Write the contact sheet that has been begun."""
        if self._tiles:
            note = ", ".join(self.methods)
            if not self._bars:
                note += (
                    ": R > 0 red, R < 0 blue, each heatmap on its own scale (end colours: the "
                    f"{QUANTILE} quantile of |R|)"
                )
            self._write(self.folder.sheet(self._sheets), sheet(self._tiles, note))
            self._tiles, self._sheets = [], self._sheets + 1

    def _write(self, path: Path, panel: Panel) -> None:
        from PIL import Image

        with whole_file(path) as file:
            Image.fromarray(panel).save(file, format="PNG", compress_level=3)
        self.written.append(path)


def _slices(x: np.ndarray, channels: str) -> str:
    """Which slices of a volume are drawn; nothing for other inputs."""
    if x.ndim < 4:
        return ""
    depth = x.shape[-4 if channels == "last" else -3]
    return f" (slices {', '.join(map(str, chosen_slices(depth)))} of {depth})"


def _targets(heatmap: np.ndarray, found: Sequence[Finding]) -> np.ndarray:
    """R_p with the axis of targets."""
    return heatmap.reshape(len(found), *heatmap.shape[-(heatmap.ndim - (len(found) > 1)) :])


def _bars(batch: Batch, row: int, explained: Sequence[Explained], small: bool = False) -> Panel:
    """Bars for an input of named numbers, by matplotlib."""
    backend = require("matplotlib.backends.backend_agg", "explain")
    panels = []
    for method, heatmap, found in explained:
        parts = _targets(heatmap, found)
        for part, finding in zip(parts[:1] if small else parts, found, strict=False):
            figure = draw_bars(
                part,
                batch.columns,
                inputs=batch.x[row],
                titles=["\n".join([batch.names[row], finding.title, f"{method}: {finding.sums}"])],
                most=10 if small else 20,
            )
            figure.set_dpi(80 if small else 120)
            canvas = backend.FigureCanvasAgg(figure)
            canvas.draw()
            panels.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return above(panels)
