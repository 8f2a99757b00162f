# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explain many inputs: batch by batch, each input by itself where something is wrong with one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.explainers import Explainer
from dtdcore.explanation import Explanation
from dtdcore.jobs.batches import Batch
from dtdcore.jobs.findings import Finding, findings, probabilities
from dtdcore.jobs.heatmap_file import HeatmapFile
from dtdcore.jobs.job import Job
from dtdcore.jobs.output_folder import OutputFolder
from dtdcore.jobs.pictures import Gallery
from dtdcore.progress import progress_bar

#: What explainers raise where something is wrong with an input.
_WRONG = (ValueError, ArithmeticError)


@dataclass
class Outcome:
    """What a run found, what failed, and what it wrote."""

    findings: list[Finding] = field(default_factory=list)
    #: Name (with the method, where one of several failed) and reason.
    failures: list[tuple[str, str]] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)


def run(
    job: Job,
    explainers: dict[str, Explainer],
    folder: OutputFolder,
    *,
    pictures: bool = True,
    progress: bool | str = "auto",
) -> Outcome:
    """Explain all inputs of a job and write the results; no heatmap is kept in memory.

    Parameters
    ----------
    job : Job
    explainers : dict
        Explainers by the names of their methods.
    folder : OutputFolder
        Checked already.
    pictures : bool
        Draw them; else only numbers are written.
    progress : bool or "auto"
        A progress bar by tqdm; "auto" shows it where tqdm is installed and stderr is a terminal.

    Returns
    -------
    Outcome
    """
    outcome = Outcome()
    with ExitStack() as stack:
        files = {}
        for name in explainers:
            files[name] = HeatmapFile(folder.heatmaps(name), repr(job.preprocessing))
            stack.callback(files[name].close)
        gallery = Gallery(job, list(explainers), folder) if pictures else None
        bar = stack.enter_context(progress_bar(progress, job.total, "input", "explaining"))
        batches, done = job.batches(), 0
        for batch in batches:
            _explain_batch(job, batch, explainers, files, gallery, outcome)
            done += len(batch.names)
            if bar is not None:
                bar.update(done + len(batches.failures) - bar.n)
        outcome.failures += batches.failures
        if gallery is not None:
            gallery.finish()
            outcome.written += gallery.written
        outcome.written += [path for f in files.values() if (path := f.write()) is not None]
    folder.remove_old(outcome.written)
    return outcome


def _explain_batch(
    job: Job,
    batch: Batch,
    explainers: dict[str, Explainer],
    files: dict[str, HeatmapFile],
    gallery: Gallery | None,
    outcome: Outcome,
) -> None:
    """Explain one batch by each method; draw each input when all methods have seen it."""
    try:
        target = job.target.of(job.network, batch.x)
    except _WRONG as error:
        if len(batch.names) == 1:
            outcome.failures.append((batch.names[0], _reason(error)))
            return
        for row in range(len(batch.names)):
            _explain_batch(job, batch.one(row), explainers, files, gallery, outcome)
        return
    drawn: dict[int, list[tuple[str, np.ndarray, list[Finding]]]] = {}
    for method, explainer in explainers.items():
        for rows, explanation in _explanations(explainer, batch.x, target):
            if isinstance(explanation, Exception):
                name = batch.names[rows[0]]
                label = f"{name} ({method})" if len(explainers) > 1 else name
                outcome.failures.append((label, _reason(explanation)))
                continue
            files[method].add([batch.names[row] for row in rows], explanation)
            share = probabilities(job.network, explanation.output)
            for place, row in enumerate(rows):
                found = findings(
                    explanation,
                    place,
                    method,
                    batch.names[row],
                    batch.paths[row],
                    share,
                    job,
                    batch.columns,
                )
                outcome.findings += found
                heatmap = explanation.relevance[place]
                drawn.setdefault(row, []).append((method, heatmap, found))
    if gallery is not None:
        for row, parts in sorted(drawn.items()):
            try:
                gallery.draw(batch, row, parts)
            except Exception as error:  # noqa: BLE001  any library; the numbers are right
                reason = f"its picture cannot be drawn: {_reason(error)}"
                outcome.failures.append((batch.names[row], reason))


def _explanations(
    explainer: Explainer, x: np.ndarray, target: Any
) -> Iterator[tuple[Sequence[int], Explanation | Exception]]:
    """The explanation of a batch; where that fails, of each sample, or what is wrong with it."""
    if len(x) > 1:
        try:
            yield range(len(x)), explainer(x, target)
            return
        except _WRONG:
            pass  # said below, of the samples that it holds for
    for row in range(len(x)):
        one = target if target is None or target.ndim == 0 else target[row : row + 1]
        try:
            result: Explanation | Exception = explainer(x[row : row + 1], one)
        except _WRONG as error:
            result = error
        yield [row], result


def _reason(error: Exception) -> str:
    """What is wrong with a sample, in one line, without its number in a batch of one."""
    text = str(error).replace(" for sample 0, target number 0", "").replace(" for sample 0", "")
    return " ".join(text.split())
