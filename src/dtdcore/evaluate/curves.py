# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The curve of a perturbation, its area, and how sure one can be of their means."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dtdcore.arrays import as_float, check_count, check_finite
from dtdcore.evaluate.perturbation import Perturbation
from dtdcore.files import write_npz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Resamples of a bootstrap, and how many are worked on at once.
RESAMPLES, _BLOCK = 2000, 100


def band(
    values: Any, confidence: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over samples, and its confidence band by the percentile bootstrap.

    The mean of 2000 resamples (n samples drawn with replacement, whole rows at once) lies between
    the bounds in the given share of cases. With few samples, below about twenty, such bands are
    rather too narrow; with one sample there is none (NaN).

    Parameters
    ----------
    values : array (n, ...)
    confidence : float
        Between 0 and 1.
    seed : int
        Of the resampling.

    Returns
    -------
    mean, low, high : float64 arrays (...)

    Raises
    ------
    ValueError, TypeError
        If there is no sample, or an argument is not as described.
    """
    values = as_float(values, "values").astype(np.float64)
    check_finite(values, "values")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}")
    n = len(values) if values.ndim else 0
    if n == 0:
        raise ValueError("values must hold at least one sample, batch axis first")
    mean = values.mean(axis=0)
    if n == 1:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    means = np.empty((RESAMPLES, mean.size))
    flat = values.reshape(n, -1)
    for start, counts in enumerate(_resamples(n, check_count(seed, "seed", 0))):
        rows = slice(start * _BLOCK, (start + 1) * _BLOCK)
        # Not a matrix product, whose bits may depend on the number of threads.
        np.einsum("bn,nk->bk", counts.astype(np.float64), flat, out=means[rows], optimize=False)
    means = (means / n).reshape(RESAMPLES, *mean.shape)
    outside = (1.0 - confidence) / 2
    low, high = np.quantile(means, [outside, 1.0 - outside], axis=0)
    return mean, low, high


@lru_cache(maxsize=1)
def _resamples(n: int, seed: int) -> list[np.ndarray]:
    """How often each of n samples is drawn in each resample: blocks of uint16 (resamples, n)."""
    rng = np.random.default_rng(seed)
    shares = np.full(n, 1.0 / n)
    return [
        rng.multinomial(n, shares, _BLOCK).astype(np.uint16) for _ in range(RESAMPLES // _BLOCK)
    ]


@dataclass(frozen=True, eq=False, repr=False)
class Curve:
    """What the network said while regions were replaced, for each sample."""

    #: "most" relevant first, "least" relevant first, or "random".
    order: str
    #: f of the explained target after each step, (n, steps + 1), float64; [:, 0] is f(x).
    scores: np.ndarray
    #: How many regions are replaced after each step, (steps + 1,): from 0 on.
    filled: np.ndarray
    #: How many regions an input has.
    regions: int
    #: The output that was explained, (n,).
    target: np.ndarray
    #: How it was made.
    perturbation: Perturbation

    @property
    def fraction(self) -> np.ndarray:
        """Share of the regions that are replaced after each step, (steps + 1,)."""
        return self.filled / self.regions

    @property
    def aopc(self) -> np.ndarray:
        """Area over the perturbation curve of each sample, (n,): mean over k of f(x⁽⁰⁾) - f(x⁽ᵏ⁾).

        The mean is over k = 0 ... steps, as in Samek et al. 2017: AOPC = 1/(L + 1) ⟨Σ_{k=0}^{L}
        f(x⁽⁰⁾) - f(x⁽ᵏ⁾)⟩. For "most" relevant first a large one is good, for "least" a small one.
        """
        return (self.scores[:, :1] - self.scores).mean(axis=1)

    def band(self, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean curve and its confidence band, (steps + 1,) each: see `dtdcore.evaluate.band`."""
        return band(self.scores, confidence, self.perturbation.seed)

    def save(self, path: str | os.PathLike) -> Path:
        """Write scores, filled, target, aopc and settings to an .npz file; returns its path."""
        return write_npz(
            path,
            order=np.array(self.order),
            scores=self.scores,
            filled=self.filled,
            regions=np.array(self.regions),
            target=self.target,
            aopc=self.aopc,
            perturbation=np.array(repr(self.perturbation)),
        )

    def plot(self, **options: Any) -> Figure:
        """Draw the mean curve and its band: see `dtdcore.evaluate.figure.draw_curves`."""
        from dtdcore.evaluate.figure import draw_curves

        return draw_curves({self.order: {"": self}}, **options)

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        n, steps = len(self), len(self.filled) - 1
        text = f"Curve: {order_name(self.order)}, {n} samples, {steps} steps to "
        text += f"{self.filled[-1]} of {self.regions} regions"
        if n:
            mean, low, high = band(self.aopc, seed=self.perturbation.seed)
            text += f", AOPC {interval(mean, low, high)}"
        return text


def order_name(order: str) -> str:
    """An order in words."""
    return "random order" if order == "random" else f"{order} relevant first"


def interval(mean: Any, low: Any, high: Any) -> str:
    """A mean and its band as text: 1.23 [1.01, 1.44], with three digits of the widest number."""
    numbers = [float(number) for number in (mean, low, high)]
    largest = max((abs(number) for number in numbers if np.isfinite(number)), default=0.0)
    digits = int(np.clip(2 - np.floor(np.log10(largest)), 0, 6)) if largest > 0 else 2
    text = [f"{number:.{digits}f}" for number in numbers]
    return text[0] if np.isnan(numbers[1]) else f"{text[0]} [{text[1]}, {text[2]}]"
