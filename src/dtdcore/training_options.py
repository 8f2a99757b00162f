# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a user may ask of training: units, learning rates, a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from dtdcore.arrays import check_count, check_number
from dtdcore.progress import progress_bar

LearningRate = float | str | Callable[[int], float] | Sequence[tuple[int, float]]
Units = Sequence[tuple[int, int | None]]

#: Iterations in which the rate "auto" rises to its value.
WARM_UP = 1000
#: Units of a network at most.
MOST_UNITS = 64


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def check_units(units: Units) -> list[tuple[int, int | None]]:
    """The units as pairs of int.

    Raises
    ------
    TypeError, ValueError
        If they are not (neurons, size) with a size that divides the neurons, or None at the end.
    """
    if not _is_list(units):
        raise TypeError(f"units must be a list such as [(400, None)], got {units!r}")
    if not 1 <= len(units) <= MOST_UNITS:
        raise ValueError(f"units must have 1 to {MOST_UNITS} entries, got {len(units)}")
    checked: list[tuple[int, int | None]] = []
    for k, unit in enumerate(units):
        if not _is_list(unit) or len(unit) != 2:
            raise TypeError(f"units[{k}] must be (neurons, size), got {unit!r}")
        neurons, size = check_count(unit[0], f"units[{k}][0], the neurons,"), unit[1]
        if size is not None:
            size = check_count(size, f"units[{k}][1], the pool size,")
            if neurons % size:
                raise ValueError(f"units[{k}]: {size} does not divide {neurons} neurons")
        elif k < len(units) - 1:
            raise ValueError(f"units[{k}] needs a pool size: only the last unit may have None")
        checked.append((neurons, size))
    return checked


def pooled_units(units: Units, outputs: int) -> list[tuple[int, int]]:
    """The units with the pool size that gives the last one so many outputs.

    Raises
    ------
    ValueError
        If there is none, or another size was asked for.
    """
    checked = check_units(units)
    neurons, size = checked[-1]
    if neurons % outputs or size not in (None, neurons // outputs):
        pools = "pools of one size" if size is None else f"pools of {size}"
        raise ValueError(
            f"units[-1]: {neurons} neurons in {pools} do not make the {outputs} outputs of y"
        )
    checked[-1] = (neurons, neurons // outputs)
    return [(neurons, 1 if size is None else size) for neurons, size in checked]


def check_learning_rate(rate: LearningRate) -> None:
    """Raise if `rate` is none of "auto", a number > 0, a callable, pairs (iteration, rate)."""
    if not (isinstance(rate, str) and rate == "auto"):
        learning_rates(rate, 0, 0, 1, 1.0)


def learning_rates(
    rate: LearningRate, first: int, count: int, iterations: int, auto: float
) -> np.ndarray:
    """The learning rates of the iterations first .. first + count - 1, float64.

    Parameters
    ----------
    rate : "auto", float, callable or sequence of (iteration, rate)
    iterations : int
        How many there are in all.
    auto : float
        What "auto" rises to in the first 1000 iterations, or the first tenth; in the second half
        it falls to 0.

    Raises
    ------
    TypeError, ValueError
        If `rate` is not as described, or a callable returns no number ≥ 0.
    """
    steps = np.arange(first, first + count, dtype=np.float64)
    if isinstance(rate, str) and rate == "auto":
        rise = np.minimum(1, (steps + 1) / min(WARM_UP, max(1, iterations // 10)))
        return auto * rise * np.clip(2 * (1 - steps / max(1, iterations)), 0, 1)
    if callable(rate):
        numbers = range(first, first + count)
        values = [check_number(rate(i), f"learning_rate({i})", 0) for i in numbers]
        return np.array(values, np.float64)
    if _is_list(rate):
        if not rate or not all(_is_list(pair) and len(pair) == 2 for pair in rate):
            raise ValueError(f"learning_rate must list pairs (iteration, rate), got {rate!r}")
        starts = [check_count(pair[0], "learning_rate: an iteration", 0) for pair in rate]
        values = [check_number(pair[1], "learning_rate: a rate", 0) for pair in rate]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError(f"learning_rate must begin at iteration 0 and ascend, got {starts}")
        return np.array(values)[np.searchsorted(starts, steps, side="right") - 1]
    if rate is None or isinstance(rate, str):
        raise ValueError(
            f"learning_rate must be 'auto', a number, a callable or (iteration, rate) pairs, "
            f"got {rate!r}; a callable is not saved with a net: set it again by set_params"
        )
    return np.full(count, check_number(rate, "learning_rate", 0, strict=True))


@contextmanager
def training_bar(
    progress: bool | str, total: int, initial: int
) -> Iterator[Callable[[int, float], None] | None]:
    """A function advance(iterations, loss) that moves a progress bar, or None without one.

    Raises
    ------
    ImportError
        If `progress` is True and tqdm is not installed.
    """
    with progress_bar(progress, total, "it", "training", initial) as bar:

        def advance(iterations: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
            bar.update(iterations)

        yield None if bar is None else advance
