# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The point of a polyhedron and a box nearest to a given point: a convex quadratic program.

    min ½‖ξ - x‖²    subject to    c_j(ξ) = Σ_p w_jp ξ_p + b_j ≤ 0 for all j,  l ≤ ξ ≤ h

NumPy only; it knows nothing of networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# In an unbounded box: a point farther away than this many times the size of the problem (norm of
# x plus the largest violation) counts as none.
_FAR = 1e5

# Shares of the inputs at their bounds that join the Hessian: none is Newton's step, all of them
# make a step that never overshoots, since q is nowhere more curved than that model.
_DAMPING = (0.0, 1e-6, 1e-4, 1e-2, 0.1, 1.0)


@dataclass
class Projection:
    """The solution of a quadratic program, and what proves it."""

    #: ξ, always in the box.
    point: np.ndarray
    #: λ_j ≥ 0, the dual variables.
    multipliers: np.ndarray
    #: Every point of the polyhedron is at least as far from x: √(2 q(λ)), by weak duality.
    bound: float
    #: False: the polyhedron has no point in the box, or none within reach.
    feasible: bool
    #: Newton steps.
    steps: int


def project(
    x: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    slopes: np.ndarray,
    offsets: np.ndarray,
    multipliers: np.ndarray,
    soft: float = 0.0,
) -> Projection:
    """The nearest point of the polyhedron and the box, by the dual problem

        max over λ ≥ 0 of  q(λ) = min over the box of ½‖ξ - x‖² + Σ_j λ_j c_j(ξ)

    whose inner minimum is at ξ(λ) = min(max(x - Σ_j λ_j w_j, l), h) and whose gradient is c(ξ(λ)).
    q is concave and piecewise quadratic with the Hessian -W D Wᵀ, D = 1 where ξ is strictly in the
    box. Newton's method: maximise the quadratic of the piece over λ ≥ 0, then a line search on q.
    In ℝ^d there is one piece, so one step. √(2 q(λ)) bounds the distance of every feasible point,
    for any λ; q beyond ½ (size of the box)² proves that there is none.

    Parameters
    ----------
    x : array (d,)
    low, high : array (d,) or (1,)
        The box; may be infinite.
    slopes : array (m, d)
        w_jp, each row of norm 1 (or 0), so that violations are distances.
    offsets : array (m,)
        b_j.
    multipliers : array (m,)
        Where to start, ≥ 0.
    soft : float
        With soft > 0, q loses ½ soft ‖λ‖²: constraints may be violated by soft · λ_j, so that
        there always is a solution.
    """

    def at(multipliers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        free = x - np.einsum("j,jp->p", multipliers, slopes)
        point = np.clip(free, low, high)
        values = row_products(slopes, point) + offsets
        q = 0.5 * np.sum((point - x) ** 2) + multipliers @ values
        q -= 0.5 * soft * (multipliers @ multipliers)
        return (free > low) & (free < high), point, values - soft * multipliers, q

    inside, point, values, q = at(multipliers)
    accuracy = 1e-14 * (norm(x) + np.abs(offsets).max(initial=0.0))
    size = np.sqrt(np.sum(np.maximum(x - low, high - x) ** 2))
    bounded = bool(np.isfinite(size))
    if not bounded:
        size = _FAR * (norm(x) + np.abs(values).max(initial=0.0))
    feasible = True
    steps = stalled = 0
    piece = None  # where the Hessian at hand is Newton's
    while steps < 500 and stalled < 3:
        if not soft and q > 0.5 * size * size * (1 + 1e-6):
            feasible = False
            break
        wrong = np.where(values > 0, values, np.minimum(multipliers, -values))
        if wrong.max(initial=0.0) <= accuracy:
            break
        steps += 1
        rounding = 1e-15 * abs(q)
        for damping in _DAMPING:
            if damping or piece is None or np.any(inside != piece):
                hessian = _gram(slopes, inside, damping)
                hessian[np.diag_indices(len(hessian))] += soft + 1e-12  # neurons may be parallel
                piece = None if damping else inside
            step = _non_negative(hessian, values, multipliers, accuracy) - multipliers
            rise = values @ step
            t = 1.0
            tried = at(multipliers + step)
            while tried[3] < q + 1e-4 * t * rise - rounding and t > 0.1:
                t *= 0.5
                tried = at(multipliers + t * step)
            if tried[3] >= q + 1e-4 * t * rise - rounding:
                break
        else:
            break  # as exact as rounding allows
        falls = step < 0
        farthest = np.min(-multipliers[falls] / step[falls], initial=np.inf)
        while t < min(farthest, 1e9) and tried[2] @ step > 0.5 * rise:
            longer = min(2 * t, farthest)
            further = at(np.maximum(multipliers + longer * step, 0))
            if further[3] <= tried[3]:
                break
            t, tried = longer, further
        multipliers = np.maximum(multipliers + t * step, 0)
        stalled = 0 if tried[3] > q + 1e-12 * abs(q) else stalled + 1
        inside, point, values, q = tried
    bound = np.inf if bounded and not feasible else np.sqrt(2 * max(q, 0.0))
    return Projection(point, multipliers, bound, feasible, steps)


def _non_negative(
    hessian: np.ndarray, gradient: np.ndarray, start: np.ndarray, accuracy: float
) -> np.ndarray:
    """The λ ≥ 0 that maximises gradient · (λ - start) - ½ (λ - start)ᵀ hessian (λ - start).

    Active-set method of Lawson and Hanson (1974, chapter 23), for a positive definite Hessian.
    """
    constant = gradient + hessian @ start
    # Exchange all at once what has the wrong sign. Nearly always this ends after a few solves.
    passive = (start > 0) | (gradient > 0)
    for _ in range(12):
        index = np.flatnonzero(passive)
        best = np.zeros(len(start))
        best[index] = np.linalg.solve(hessian[np.ix_(index, index)], constant[index])
        slope = constant - hessian @ best
        wrong = np.where(passive, best < 0, slope > accuracy)
        if not wrong.any():
            return best
        passive ^= wrong
    # Otherwise one by one, which always ends.
    best = start.copy()
    passive = best > 0
    refused = np.zeros(len(start), bool)
    entering = -1
    for _ in range(3 * len(start) + 10):
        while True:
            index = np.flatnonzero(passive)
            solution = np.linalg.solve(hessian[np.ix_(index, index)], constant[index])
            falling = solution <= 0
            if not falling.any():
                break
            old = best[index]
            ratio = old[falling] / (old[falling] - solution[falling])
            best[index] = np.maximum(old + ratio.min() * (solution - old), 0)
            best[index[falling][ratio <= ratio.min()]] = 0
            passive[index[best[index] == 0]] = False
        best[index] = solution
        if entering >= 0:  # by rounding errors, one may come in below 0 and fall out at once
            refused = (refused | (np.arange(len(start)) == entering)) & ~passive[entering]
        slope = np.where(passive | refused, 0, constant - hessian @ best)
        if slope.max(initial=0.0) <= accuracy:
            break
        entering = int(np.argmax(slope))
        passive[entering] = True
    return best


# A thread that BLAS wakes for a millisecond of work can cost a hundred on a busy machine, and here
# are many such works. These stay below the sizes at which OpenBLAS wakes one.


def _gram(slopes: np.ndarray, inside: np.ndarray, damping: float) -> np.ndarray:
    """W D Wᵀ with D = 1 inside the box, `damping` on its boundary."""
    weights = np.where(inside, 1.0, damping)
    scaled = (slopes * np.sqrt(weights))[:, weights > 0]
    neurons, inputs = scaled.shape
    result = np.zeros((neurons, neurons))
    tile = -(-neurons // -(-neurons // 96))  # equal tiles of at most 96
    width = 200_000 // tile**2
    for i in range(0, neurons, tile):
        for j in range(0, i + 1, tile):
            part = result[i : i + tile, j : j + tile]
            for p in range(0, inputs, width):
                part += scaled[i : i + tile, p : p + width] @ scaled[j : j + tile, p : p + width].T
            result[j : j + tile, i : i + tile] = part.T
    return result


def row_products(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Matrix times vector, row by row."""
    return np.matmul(matrix[:, None, :], vector[:, None])[:, 0, 0]


def norm(vector: np.ndarray) -> float:
    """The Euclidean norm."""
    return float(np.sqrt(vector @ vector))


def row_norms(matrix: np.ndarray) -> np.ndarray:
    """The Euclidean norm of each row, the same whatever the other rows are."""
    return np.sqrt(np.sum(matrix * matrix, axis=1))
