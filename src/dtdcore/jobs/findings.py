# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What was found for each input: numbers for people, as a table, and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.arrays import rows
from dtdcore.audit import format_table
from dtdcore.evaluate.perturbation import ends_in_softmax
from dtdcore.explanation import Explanation
from dtdcore.jobs.job import Job
from dtdcore.network import Network

#: The share of f that may be lost without a word.
_SMALL = 0.01
#: Numbers of an input that are named.
_STRONGEST = 3
#: Cells of a table: yes, no, or nothing to be said.
_ANSWERS = {True: "yes", False: "no", None: "-"}


@dataclass(frozen=True)
class Finding:
    """One heatmap in numbers."""

    name: str
    file: str
    method: str
    #: Number and name of the class; the name is None without labels. Of a contrast its text.
    target: int | str
    label: str | None
    #: What the network said of the class (of a contrast: f), and with a softmax at its end how
    #: probable that is.
    score: float
    probability: float | None
    #: What is explained (max(0, f) for deep Taylor), and what of it arrived at the input.
    explained: float
    total: float
    #: Definitions 1 and 2; None where there is nothing to explain.
    conservative: bool | None
    positive: bool | None
    #: f is not above 0, so that nothing speaks for it and the heatmap is 0.
    nothing_to_explain: bool
    #: Absorbed by biases and stabilisers, and lost; None for methods without an audit.
    absorbed: float | None
    lost: float | None
    #: The layer that passed on least of what it received, where anything is missing.
    worst_layer: str | None
    #: R of the numbers of the input with the largest |R|, by their names, where these are known.
    strongest: dict[str, float] | None

    @property
    def missing(self) -> float | None:
        """(f - ΣR) / |f|; None where f = 0, and for methods without an audit."""
        if self.lost is None or self.explained == 0:
            return None
        return (self.explained - self.total) / abs(self.explained)

    @property
    def title(self) -> str:
        """Class and score."""
        name = f"class {self.target}" if self.label is None else f"{self.label} ({self.target})"
        if self.probability is None:
            return f"{name}: {self.score:.4g}"
        return f"{name}: {self.score:.4g}, p = {self.probability:.3f}"

    @property
    def sums(self) -> str:
        """The numbers f and ΣR, and what is missing."""
        if self.nothing_to_explain:
            return f"f = {self.score:.4g}: nothing to explain, f is not above 0"
        text = f"f = {self.explained:.4g}, ΣR = {self.total:.4g}"
        if self.missing is not None and self.missing > _SMALL:
            text += f" ({100 * self.missing:.0f} % not passed on)"
        return text


def probabilities(network: Network, output: np.ndarray) -> np.ndarray | None:
    """Probabilities of the classes (n, classes), where the network is made to give them."""
    if sum(size > 1 for size in output.shape[1:]) != 1:  # a map: the softmax is over its channels
        return None
    flat = rows(output).astype(np.float64)
    if ends_in_softmax(network):
        return flat
    whole = "are logits"  # as notes of importers end where all numbers of a softmax are there
    left_out = any("softmax" in text.lower() and text.endswith(whole) for text in network.notes)
    if not left_out:
        return None
    power = np.exp(flat - flat.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)


def findings(
    explanation: Explanation,
    place: int,
    method: str,
    name: str,
    path: Path,
    share: np.ndarray | None,
    job: Job,
    columns: Sequence[str] | None = None,
) -> list[Finding]:
    """One finding for each target of the sample at `place` of a batch.

    `columns` are the names of an input's numbers, where they are known.
    """
    targets = np.atleast_1d(explanation.target[place])
    output = rows(explanation.output)[place]

    def at(values: np.ndarray) -> np.ndarray:
        return np.atleast_1d(values[place])

    parts: list[np.ndarray] = []
    if explanation.audit is not None:
        parts = [
            np.array([at(part) for part in (e.received, e.passed, e.bias, e.stabiliser, e.lost)])
            for e in explanation.audit
        ]
    numbers = zip(
        targets.tolist(),
        at(explanation.explained).tolist(),
        at(explanation.total).tolist(),
        at(explanation.is_conservative()).tolist(),
        at(explanation.is_positive()).tolist(),
        at(explanation.nothing_to_explain).tolist(),
        strict=True,
    )
    heatmaps = explanation.relevance[place].reshape(len(targets), -1)
    result = []
    for k, (target, f, total, conservative, positive, nothing) in enumerate(numbers):
        absorbed = lost = worst = None
        if explanation.audit is not None:
            account = np.array([part[:, k] for part in parts]).reshape(-1, 5)
            absorbed, lost = float(account[:, 2:4].sum()), float(account[:, 4].sum())
            gaps = np.abs(account[:, 0] - account[:, 1])
            if not conservative and len(gaps):
                worst = explanation.audit.names[int(np.argmax(gaps))]
        result.append(
            Finding(
                name,
                str(path),
                method,
                target,
                *_said(target, f, output, None if share is None else share[place], job.labels),
                f,
                total,
                None if nothing else conservative,
                None if nothing else positive,
                nothing,
                absorbed,
                lost,
                worst,
                None if columns is None else _strongest(heatmaps[k], columns),
            )
        )
    return result


def _strongest(heatmap: np.ndarray, columns: Sequence[str]) -> dict[str, float]:
    order = np.argsort(-np.abs(heatmap), kind="stable")[:_STRONGEST]
    return {columns[i]: float(heatmap[i]) for i in order if heatmap[i] != 0}


def _said(
    target: int | str,
    f: float,
    output: np.ndarray,
    share: np.ndarray | None,
    labels: Sequence[str] | None,
) -> tuple[str | None, float, float | None]:
    """Name, score and probability of a target."""
    if isinstance(target, str):
        return None, f, None
    label = labels[target] if labels and target < len(labels) else None
    return label, float(output[target]), None if share is None else float(share[target])


def as_json(found: Finding) -> dict[str, Any]:
    """A finding as JSON takes it."""
    return asdict(found) | {"missing": found.missing}


def table(found: Sequence[Finding]) -> str:
    """One line a heatmap; the method where there are several."""
    several = len({f.method for f in found}) > 1
    shares = any(f.probability is not None for f in found)
    named = any(f.strongest for f in found)
    heading = ("input", "method", "class", "score", "p", "f", "ΣR", "lost", "conserv.", "positive")
    lines = [(*heading, "largest R")]
    for f in found:
        name = f"{f.target}" if f.label is None else f"{f.target} {_short(f.label)}"
        missing = "-" if f.missing is None else f"{round(100 * f.missing, 2) + 0.0:g} %"
        lines.append(
            (
                _short(f.name, 36),
                f.method,
                name,
                f"{f.score:.5g}",
                "-" if f.probability is None else f"{f.probability:.3f}",
                f"{f.score if f.nothing_to_explain else f.explained:.5g}",
                f"{f.total:.5g}",
                missing,
                _ANSWERS[f.conservative],
                _ANSWERS[f.positive],
                ", ".join(f"{_short(n)} {r:+.3g}" for n, r in (f.strongest or {}).items()),
            )
        )
    left_out = {c for c, there in ((1, several), (4, shares), (10, named)) if not there}
    kept = [c for c in range(len(lines[0])) if c not in left_out]
    return format_table([[line[c] for c in kept] for line in lines], left=2 + several)


def counts(found: Sequence[Finding]) -> list[str]:
    """How many heatmaps of each method are conservative, positive and both: Definitions 1 to 3.

    Those with nothing to explain are counted apart.
    """
    lines = []
    for method in dict.fromkeys(f.method for f in found):
        theirs = [f for f in found if f.method == method]
        some = [f for f in theirs if not f.nothing_to_explain]
        lines.append(
            f"{method}: {len(theirs)} heatmap{'s' * (len(theirs) != 1)}; "
            f"conservative {sum(bool(f.conservative) for f in some)}/{len(some)}, "
            f"positive {sum(bool(f.positive) for f in some)}/{len(some)}, "
            f"consistent {sum(bool(f.conservative and f.positive) for f in some)}/{len(some)}"
            + f"; nothing to explain in {len(theirs) - len(some)}"
            * (len(some) < len(theirs))
        )
    return lines


def hints(found: Sequence[Finding]) -> list[str]:
    """What to look at, where f and ΣR differ by more than 1 %."""
    texts = []
    for method in dict.fromkeys(f.method for f in found):
        theirs = [f for f in found if f.method == method]
        short = [f for f in theirs if (f.missing or 0.0) > _SMALL]
        if short:
            layers = [f.worst_layer for f in short]
            worst = max(set(layers), key=layers.count)
            absorbed = sum(abs(f.absorbed) for f in short) > sum(abs(f.lost) for f in short)
            why = (
                "biases and stabilisers, which count in z_j under this rule, took it"
                if absorbed
                else "no input speaks for its neurons: z_j = 0"
            )
            texts.append(
                f"{method}: in {len(short)} of {len(theirs)} heatmaps more than 1 % of f did not "
                f"arrive at the input, most of it in layer {worst} ({why}); such heatmaps explain "
                "the rest of f. heatmaps*.npz has the account of every layer (audit, audit_names)"
            )
        more = sum((f.missing or 0.0) < -_SMALL for f in theirs)
        if more:
            texts.append(
                f"{method}: in {more} of {len(theirs)} heatmaps ΣR is more than 1 % above f: under "
                "its rules biases give relevance, too"
            )
        silent = sum(f.nothing_to_explain for f in theirs)
        if silent:
            texts.append(
                f"{method}: nothing to explain in {silent} of {len(theirs)} heatmaps: f is not "
                "above 0 there, so that nothing speaks for the class and R is 0"
            )
    return texts


def _short(text: str, most: int = 28) -> str:
    """A text without its middle, where it is long: both ends tell names apart."""
    end = most // 3
    return text if len(text) <= most else f"{text[: most - end - 2]}..{text[-end:]}"
