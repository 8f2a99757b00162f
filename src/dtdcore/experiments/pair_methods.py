# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Heatmaps of pairs of digits by one method, and what Definitions 1-3 of the paper say of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.audit import format_table
from dtdcore.datasets import DigitPairs
from dtdcore.explainers import Explainer
from dtdcore.explanation import Explanation


@dataclass(frozen=True, eq=False)
class Method:
    """One method's heatmaps of the held-out pairs, and what Definitions 1-3 say of them.

    Attributes
    ----------
    name : str
    heatmaps : ndarray, shape (n, h, 2 w), float32
        R_p.
    f, total, negative : ndarray, shape (n,), float64
        f(x), Σ_p R_p and Σ_p min(0, R_p).
    conservative, positive, consistent : ndarray, shape (n,), bool
    on_digit : float
        Share of Σ_p max(0, R_p) that lies on the half of the digit of 0-3, over all pairs that
        show the digit to be detected. An even heatmap has 0.5, and so has one without relevance.
    seconds : float
        How long explaining took.
    """

    name: str
    heatmaps: np.ndarray
    f: np.ndarray
    total: np.ndarray
    negative: np.ndarray
    conservative: np.ndarray
    positive: np.ndarray
    consistent: np.ndarray
    on_digit: float
    seconds: float

    @property
    def error(self) -> float:
        """⟨|f(x) - Σ_p R_p|⟩ over the pairs."""
        return float(np.abs(self.f - self.total).mean())

    @property
    def mean_negative(self) -> float:
        """⟨Σ_p min(0, R_p)⟩ over the pairs."""
        return float(self.negative.mean())


def explain_pairs(name: str, explainer: Explainer, pairs: DigitPairs) -> Method:
    """One method's heatmaps of these pairs, and what Definitions 1-3 say of them."""
    start = time.perf_counter()
    explanation: Explanation = explainer(flat(pairs.images))
    seconds = time.perf_counter() - start
    heatmaps = explanation.relevance.reshape(pairs.images.shape)
    positive = np.maximum(heatmaps, 0.0)
    everywhere = positive[pairs.present].sum(dtype=np.float64)
    on_digit = pairs.digit_half(positive)[pairs.present].sum(dtype=np.float64)
    return Method(
        name=name,
        heatmaps=heatmaps,
        f=explanation.explained.astype(np.float64),
        total=explanation.total,
        negative=np.minimum(heatmaps, 0.0).sum(axis=(1, 2), dtype=np.float64),
        conservative=explanation.is_conservative(),
        positive=explanation.is_positive(),
        consistent=explanation.is_consistent(),
        on_digit=float(on_digit / everywhere) if everywhere > 0 else 0.5,
        seconds=seconds,
    )


def flat(images: np.ndarray) -> np.ndarray:
    """Images as rows of pixels."""
    return images.reshape(len(images), -1)


def method_table(methods: Sequence[Method]) -> str:
    """A row for each method: what Definitions 1-3 say of its heatmaps, on average."""
    lines: list[tuple[str, ...]] = [
        (
            "method",
            "<|f - sum R|>",
            "<sum min(0,R)>",
            "conservative",
            "positive",
            "consistent",
            "on the digit",
            "ms/image",
        )
    ]
    for method in methods:
        lines.append(
            (
                method.name,
                f"{method.error:.4f}",
                f"{method.mean_negative:.4f}",
                *(
                    f"{flags.mean():.1%}"
                    for flags in (method.conservative, method.positive, method.consistent)
                ),
                f"{method.on_digit:.1%}",
                f"{1e3 * method.seconds / max(len(method.f), 1):.3f}",
            )
        )
    return format_table(lines, left=1)


def method_json(method: Method) -> dict[str, Any]:
    """A method's averages as plain numbers."""
    return {
        "name": method.name,
        "mean_abs_f_minus_sum": method.error,
        "mean_sum_negative": method.mean_negative,
        "conservative": float(method.conservative.mean()),
        "positive": float(method.positive.mean()),
        "consistent": float(method.consistent.mean()),
        "share_on_digit": method.on_digit,
        "seconds": method.seconds,
    }
