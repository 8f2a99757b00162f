# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Taylor expansion at a root point, and the search for the nearest root.

    f(x) = f(ξ) + Σ_p R_p + ε        R_p = ∂f/∂x_p at ξ · (x_p - ξ_p)

(Montavon et al. 2017, section 3, equations 1-3.) The nearest root is

    min ‖ξ - x‖²    subject to    f(ξ) = 0,  ξ in the input domain.
"""

# How. In a detection network f is a sum (or p-norm) of ReLU neurons, so that f(ξ) = 0 says:
# every pre-activation a_j(ξ) <= 0. These are the constraints, not f itself. With one layer they
# are half-spaces and the problem is a convex quadratic program; the dual has one multiplier λ_j
# per neuron, its point is ξ(λ) = project(x - Σ_j λ_j w_j), and a projected Newton method solves it
# exactly: some 7 steps on the 20 to 90 neurons that matter, 1 to 2 ms a sample at 1568 inputs and
# 400 neurons. Methods that see only f and its gradient (Haugazeau, successive half-spaces) fold
# all neurons into one half-space a step; they need hundreds of steps for a root that is good to
# some digits, and give no certificate. Deeper networks go the same way with a_j linearised again
# and again; networks without a ReLU at the end have the one constraint f itself.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arrays import check_count, check_number, rows
from dtdcore.domains import Domain, Reals
from dtdcore.layers import Dense, Flatten, Identity, NeuronPool, ReLU
from dtdcore.network import Network
from dtdcore.targets import choose_targets

# Rounding errors of f(x), relative to ‖x‖ ‖∇f(x)‖: what lies below counts as 0.
_NOISE = 1e-13
# A search that is farther from x than this many times the input's own size finds no root.
_FAR = 1e5


@dataclass(frozen=True, eq=False)
class NearestRoot:
    """One root point ξ of f_target per sample, and the Taylor expansion there.

        f(x) = f(ξ) + Σ_p R_p + ε

    All sums are taken in float64, at ξ before it is rounded to the dtype of x. With (n, k)
    targets every array has the axis k after the first.

    Attributes
    ----------
    root : array (n, *input shape)
        ξ, in the domain.
    gradient : array (n, *input shape)
        ∂f/∂x_p at ξ. Use this one: where ReLU neurons sit on their hinge, the gradient changes
        with the last digits of ξ.
    relevance : array (n, *input shape)
        R_p = ∂f/∂x_p at ξ · (x_p - ξ_p).
    output : array (n,) of float64
        f(x).
    value : array (n,) of float64
        f(ξ).
    residual : array (n,) of float64
        ε = f(x) - f(ξ) - Σ_p R_p.
    distance : array (n,) of float64
        ‖ξ - x‖.
    bound : array (n,) of float64
        No root in the domain is nearer to x than this: proven, up to rounding, by the dual
        problem. inf: there is none at all. 0: nothing is known.
    certified : array (n,) of bool
        ξ is the global nearest root: the root it stands for is no farther than `bound`, to a
        relative 1e-6.
    converged : array (n,) of bool
        |f(ξ)| ≤ tolerance · |f(x)| (or rounding errors): ξ is a root.
    iterations : array (n,) of int
        Newton steps of the one quadratic program, or linearisations of a deeper network.
    target : array (n,) of int
        The output that was expanded.
    """

    root: np.ndarray
    gradient: np.ndarray
    relevance: np.ndarray
    output: np.ndarray
    value: np.ndarray
    residual: np.ndarray
    distance: np.ndarray
    bound: np.ndarray
    certified: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray
    target: np.ndarray

    def require(self) -> NearestRoot:
        """The result itself, if every ξ is a root.

        Raises
        ------
        ValueError
            If one is not, naming the samples and what is known.
        """
        wrong = np.argwhere(~self.converged)
        if len(wrong) == 0:
            return self
        first = tuple(wrong[0])
        bound = self.bound[first]
        known = (
            "the domain holds none"
            if np.isinf(bound)
            else f"none is nearer to x than {bound:.3g}"
            if bound > 0
            else "there may be one elsewhere"
        )
        raise ValueError(
            f"no root point found for {len(wrong)} of {self.converged.size} explanations; the "
            f"first is sample {first[0]}, target {self.target[first]}: f(x) = "
            f"{self.output[first]:.6g}, reached {self.value[first]:.6g}; {known}"
        )


def nearest_root(
    network: Network,
    x: Any,
    domain: Domain | None = None,
    target: Any = None,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 50,
) -> NearestRoot:
    """The root of f_target nearest to each sample, and the Taylor expansion there.

        min ‖ξ - x‖²    subject to    f(ξ) = 0,  ξ in the domain

    What is guaranteed:

    - One layer of neurons, f(x) = ‖max(0, a_1), …, max(0, a_m)‖_p or a non-negative combination of
      such (also an affine f): the *global* nearest root, with a certificate: `bound` is the value
      of the dual problem, a lower bound on the distance of every root in the domain. With b ≤ 0
      there always is a root, since every domain contains 0. Where there is none, `converged` is
      False, and `bound` proves it for a bounded domain (inf) or says how far away a root must be.
    - Every other network: *a* root on x's side, no more. It comes from a sequence of nearest
      roots of the network linearised where the last one ended, so it is nearest among its
      neighbours where that sequence settles; another root may be nearer, and a root may be missed
      (`converged` False). For networks with b ≤ 0 a root is always found: on the way from x to 0
      there is one.

    At a root the active neurons sit on their hinge, where the gradient jumps. ξ is therefore the
    point just before the root on the segment from x, where f(ξ) is between 0 and tolerance · f(x),
    so that its gradient is that of the neurons that are still active on x's side.

    Samples are solved one by one and do not affect each other.

    Parameters
    ----------
    network : Network
    x : array (n, *input shape)
    domain : Domain, optional
        Where root points may lie; `Reals()` by default.
    target : None, int, (n,) ints or (n, k) ints
        The output f: None is the only one, or the largest of each sample.
    tolerance : float
        How small |f(ξ)| must be, relative to |f(x)|; between 1e-9 and 0.1. (Up to the rounding
        errors of f(x), taken as 1e-13 ‖x‖ ‖∇f(x)‖, every point counts as a root.)
    max_iterations : int
        Linearisations of a network with more than one layer of neurons.

    Returns
    -------
    NearestRoot
        In the dtype of x, computed in float64. Samples with f(x) = 0 have ξ = x, R = 0.

    Raises
    ------
    ValueError
        If x has another shape, is not finite or not in the domain, or an argument is not as
        described. Not if a root is missing: see `NearestRoot.require`.
    TypeError
        If an argument has the wrong type.
    """
    tolerance = check_number(tolerance, "tolerance", 1e-9)
    if tolerance > 0.1:
        raise ValueError(f"tolerance must be at most 0.1, got {tolerance:g}")
    max_iterations = check_count(max_iterations, "max_iterations")
    f = _Function(network, x, Reals() if domain is None else domain, target, tolerance)
    system = _System(network, f.shape, f.output.shape[1])
    low, high = f.domain.bounds(f.shape, np.dtype(np.float64))
    points = f.x.copy()
    bound = np.zeros(len(points))
    iterations = np.zeros(len(points), np.intp)
    for row in np.flatnonzero(f.alive):
        constraints = system.constraints(f.targets[row], f.sign[row])
        if constraints.affine:
            nearest = _program(points[row], low, high, constraints, points[row])
            points[row], bound[row], iterations[row] = nearest.point, nearest.bound, nearest.steps
        else:
            points[row], iterations[row] = _linearise(
                points[row], low, high, constraints, max_iterations
            )
    if not system.affine:
        # A fallback: many networks say 0 at 0, which every domain contains.
        missed = np.flatnonzero(f.alive & (f.at(points) > 0.1 * f.level))
        zero = np.zeros_like(points[missed])
        points[missed[f.at(zero, missed) <= 0.1 * f.level[missed]]] = 0
    certified = (bound > 0) & (_norms(f.x - points) <= bound * (1 + 1e-6)) | ~f.alive
    return f.expand(_step_back(f, points), bound, certified, iterations)


class _Function:
    """f_target for a batch, in float64: one row for each sample and target."""

    def __init__(
        self, network: Network, x: Any, domain: Domain, target: Any, tolerance: float
    ) -> None:
        if not isinstance(domain, Domain):
            raise TypeError(f"domain must be a dtdcore domain such as Reals(), got {domain!r}")
        x = network.check_inputs(x)
        domain.check(x)
        self.network, self.domain, self.dtype, self.shape = network, domain, x.dtype, x.shape[1:]
        self.output = rows(network.forward(x.astype(np.float64)))
        targets, single = choose_targets(self.output, target)
        self.targets = targets.reshape(-1)
        #: The leading axes of every result: (n,) or (n, k).
        self.lead = targets.shape[:1] if single else targets.shape
        self.x = np.repeat(rows(x).astype(np.float64), targets.shape[1], axis=0)
        self.value = np.take_along_axis(self.output, targets, 1).reshape(-1)
        self.sign = np.where(self.value < 0, -1.0, 1.0)
        #: |f(x)|. `at` turns the sign of f likewise: roots are always approached from above.
        self.start = self.sign * self.value
        noise = _NOISE * _norms(self.x) * _norms(self.gradient(self.x))
        #: |f| up to which a point counts as a root.
        self.level = np.maximum(tolerance * self.start, noise)
        #: Samples that are no roots already.
        self.alive = self.start > noise

    def at(self, points: np.ndarray, which: np.ndarray | None = None) -> np.ndarray:
        """sign(f(x)) · f at one point for each of the rows `which` (all of them)."""
        which = np.arange(len(self.x)) if which is None else which
        output = rows(self.network.forward(points.reshape(-1, *self.shape)))
        return self.sign[which] * output[np.arange(len(which)), self.targets[which]]

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """∂f/∂x_p at one point for each row."""
        return rows(self.network.gradient(points.reshape(-1, *self.shape), self.targets))

    def expand(
        self, points: np.ndarray, bound: np.ndarray, certified: np.ndarray, iterations: np.ndarray
    ) -> NearestRoot:
        """The Taylor expansion at one point for each row, rounded to the dtype of x."""
        gradient = self.gradient(points)
        relevance = gradient * (self.x - points)
        value = self.sign * self.at(points)
        converged = np.abs(value) <= self.level
        rounded = self.domain.project(points.astype(self.dtype).reshape(-1, *self.shape))

        def inputs(array: np.ndarray) -> np.ndarray:
            return array.astype(self.dtype).reshape(*self.lead, *self.shape)

        return NearestRoot(
            root=inputs(rounded),
            gradient=inputs(gradient),
            relevance=inputs(relevance),
            output=self.value.reshape(self.lead),
            value=value.reshape(self.lead),
            residual=(self.value - value - relevance.sum(axis=1)).reshape(self.lead),
            distance=_norms(self.x - points).reshape(self.lead),
            bound=bound.reshape(self.lead),
            certified=(certified & converged).reshape(self.lead),
            converged=converged.reshape(self.lead),
            iterations=iterations.reshape(self.lead),
            target=self.targets.reshape(self.lead),
        )


def _norms(matrix: np.ndarray) -> np.ndarray:
    """The Euclidean norm of each row."""
    return np.sqrt(np.sum(matrix * matrix, axis=1))


def _step_back(f: _Function, roots: np.ndarray) -> np.ndarray:
    """From each root towards x, to the first point found with 0.1 level ≤ f ≤ 0.9 level.

    There f is far above rounding errors, so it is clear which neurons are active. For a convex f,
    t = tolerance on the segment already has f ≤ tolerance · f(x). Points that are no roots stay.
    """
    points = roots.copy()
    left = np.flatnonzero(f.alive & (f.at(roots) <= f.level))
    near, far = np.zeros(len(roots)), np.ones(len(roots))
    t = f.level / np.where(f.alive, f.start, 1)
    for _ in range(200):
        if len(left) == 0:
            break
        points[left] = roots[left] + t[left, None] * (f.x[left] - roots[left])
        ratio = f.at(points[left], left) / f.level[left]
        far[left[ratio > 0.9]] = t[left[ratio > 0.9]]
        near[left[ratio < 0.1]] = t[left[ratio < 0.1]]
        left = left[(ratio > 0.9) | (ratio < 0.1)]
        t = np.where((near > 0) & (far > 4 * near), np.sqrt(near * far), 0.5 * (near + far))
    return points


class _System:
    """The constraints c_j(ξ) ≤ 0 that say f(ξ) = 0 (on x's side), for each target.

    Seen from the output, as long as layers only gather non-negative numbers with non-negative
    weights, f is 0 exactly if all of those numbers are; at a ReLU that is: all its inputs are
    ≤ 0. Where no such ReLU stands at the end, f itself is the one constraint.
    """

    def __init__(self, network: Network, shape: tuple[int, ...], outputs: int) -> None:
        layers, shapes = network.layers, network.shapes(shape)
        chain = all(node.source == number for number, node in enumerate(network.nodes))
        stop, self.members = None, np.eye(outputs, dtype=bool)
        members = self.members
        for number in range(len(layers) - 1, -1, -1) if chain else ():
            layer = layers[number]
            if isinstance(layer, ReLU):
                stop, self.members = number, members
            elif isinstance(layer, NeuronPool):
                members = np.repeat(members, shapes[number][0] // shapes[number + 1][0], axis=0)
            elif isinstance(layer, Dense) and _gathers(layer):
                members = (layer.weight > 0) @ members
            elif not isinstance(layer, Flatten | Identity):
                break
        self.hinges = stop is not None
        self.shape = shape
        self.body = network
        if self.hinges:
            self.body = Network(layers[:stop] or [Identity()], shape)
        self.affine = chain and all(
            isinstance(layer, Dense | Flatten | Identity) for layer in self.body.layers
        )
        self._known: dict[tuple[int, float], _Constraints] = {}

    def constraints(self, target: int, sign: float) -> _Constraints:
        """Those for one target; `sign` is that of f(x), always 1 for a sum of ReLU neurons."""
        key = int(target), float(sign)
        if key not in self._known:
            which = np.flatnonzero(self.members[:, target])
            kind = _Affine if self.affine else _Constraints
            self._known[key] = kind(self.body, self.shape, which, sign)
        return self._known[key]


def _gathers(layer: Dense) -> bool:
    """Does 0 come out exactly where all inputs (≥ 0) with a weight are 0?"""
    return bool(np.all(layer.weight >= 0)) and (layer.bias is None or not np.any(layer.bias))


class _Constraints:
    """c_j(ξ) ≤ 0: the outputs `which` of a network, times `sign`."""

    affine = False

    def __init__(
        self, body: Network, shape: tuple[int, ...], which: np.ndarray, sign: float
    ) -> None:
        self.body, self.shape, self.which, self.sign = body, shape, which, sign

    def values(self, point: np.ndarray) -> np.ndarray:
        """c_j at a point, (constraints,)."""
        return self.sign * rows(self.body.forward(point.reshape(1, *self.shape)))[0, self.which]

    def slopes(self, point: np.ndarray, index: np.ndarray) -> np.ndarray:
        """∂c_j/∂x_p at a point for some constraints, (len(index), inputs)."""
        if len(index) == 0:
            return np.empty((0, point.size))
        gradient = self.body.gradient(point.reshape(1, *self.shape), self.which[None, index])
        return self.sign * gradient.reshape(len(index), point.size)


class _Affine(_Constraints):
    """c_j(ξ) = Σ_p w_pj ξ_p + b_j, read off the network once."""

    affine = True

    def __init__(
        self, body: Network, shape: tuple[int, ...], which: np.ndarray, sign: float
    ) -> None:
        super().__init__(body, shape, which, sign)
        zero = np.zeros(int(np.prod(shape, dtype=np.int64)))
        self.offsets = super().values(zero)
        self.weights = super().slopes(zero, np.arange(len(which)))

    def values(self, point: np.ndarray) -> np.ndarray:
        return self.weights @ point + self.offsets

    def slopes(self, point: np.ndarray, index: np.ndarray) -> np.ndarray:
        return self.weights[index]


@dataclass
class _Nearest:
    """Solution of a quadratic program."""

    point: np.ndarray
    multipliers: np.ndarray  # of the constraints that took part
    values: np.ndarray  # c_j at the point, linearised
    bound: float  # lower bound on the distance
    feasible: bool  # or proven not to be
    steps: int


def _program(
    x: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    constraints: _Constraints,
    at: np.ndarray,
    soft: float = 0.0,
) -> _Nearest:
    """min ½‖ξ - x‖² with the constraints linearised at a point, low ≤ ξ ≤ high.

    Only constraints that were violated on the way take part. Each is divided by the norm of its
    slope, so that its value is a distance. With soft > 0 they may be violated at a price, so that
    there always is a solution.
    """
    here = constraints.values(at)
    slopes = np.empty((0, len(x)))
    norms, offsets, multipliers = np.empty(0), np.empty(0), np.empty(0)
    index = np.empty(0, np.intp)
    new = np.flatnonzero(here > 0)
    steps = 0
    while True:
        added = constraints.slopes(at, new)
        norm = _norms(added)
        norm[norm == 0] = 1.0  # a constant constraint
        added = added / norm[:, None]
        offset = here[new] / norm - added @ at
        index = np.concatenate([index, new])
        slopes = np.concatenate([slopes, added])
        norms = np.concatenate([norms, norm])
        offsets = np.concatenate([offsets, offset])
        multipliers = np.concatenate([multipliers, np.zeros(len(new))])
        result = _dual(x, low, high, slopes, offsets, multipliers, soft)
        multipliers = result.multipliers.copy()
        steps += result.steps
        new = np.setdiff1d(np.flatnonzero(constraints.values(result.point) > 0), index)
        if len(new) and not constraints.affine:
            change = constraints.slopes(at, new) @ (result.point - at)
            new = new[here[new] + change > 0]
        if len(new) == 0 or not result.feasible:
            result.multipliers /= norms
            result.values *= norms
            result.steps = steps
            return result


# Shares of the inputs at their bounds that join the Hessian: none is Newton's step, all of them
# make a step that never overshoots, since q is nowhere more curved than that model.
_DAMPING = (0.0, 1e-6, 1e-4, 1e-2, 0.1, 1.0)


def _dual(
    x: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    slopes: np.ndarray,
    offsets: np.ndarray,
    multipliers: np.ndarray,
    soft: float,
) -> _Nearest:
    """min ½‖ξ - x‖² subject to slopes · ξ + offsets ≤ 0, low ≤ ξ ≤ high, by its dual

        max over λ ≥ 0 of  q(λ) = min over the box of ½‖ξ - x‖² + Σ_j λ_j c_j(ξ)

    whose inner minimum is at ξ(λ) = min(max(x - Σ_j λ_j w_j, l), h) and whose gradient is c(ξ(λ)).
    q is concave and piecewise quadratic with the Hessian -W D Wᵀ, D = 1 where ξ is strictly in the
    box. Newton's method: maximise the quadratic of the piece over λ ≥ 0, then a line search on q.
    In ℝ^d there is one piece, so one step. √(2 q(λ)) bounds the distance of every feasible point,
    for any λ. With soft > 0, q loses ½ soft ‖λ‖²: constraints may be violated by soft · λ_j.
    """

    def at(multipliers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        free = x - multipliers @ slopes
        point = np.clip(free, low, high)
        values = slopes @ point + offsets
        q = 0.5 * np.sum((point - x) ** 2) + multipliers @ values
        q -= 0.5 * soft * (multipliers @ multipliers)
        return (free > low) & (free < high), point, values - soft * multipliers, q

    inside, point, values, q = at(multipliers)
    accuracy = 1e-14 * (np.sqrt(x @ x) + np.abs(offsets).max(initial=0.0))
    size = np.sqrt(np.sum(np.maximum(x - low, high - x) ** 2))
    bounded = bool(np.isfinite(size))
    if not bounded:
        size = _FAR * (np.sqrt(x @ x) + np.abs(values).max(initial=0.0))
    feasible = True
    steps = stalled = 0
    while steps < 500 and stalled < 3:
        wrong = np.abs(np.maximum(multipliers + values, 0) - multipliers).max(initial=0.0)
        if wrong <= accuracy:
            break
        if not soft and q > 0.5 * size * size * (1 + 1e-6):
            feasible = False
            break
        steps += 1
        rounding = 1e-15 * abs(q)
        for damping in _DAMPING:
            scaled = slopes * np.sqrt(np.where(inside, 1.0, damping))
            hessian = scaled @ scaled.T
            hessian[np.diag_indices(len(hessian))] += soft + 1e-12  # neurons may be parallel
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
    values = values + soft * multipliers
    bound = np.inf if bounded and not feasible else np.sqrt(2 * max(q, 0.0))
    return _Nearest(point, multipliers, values, bound, feasible, steps)


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


def _linearise(
    x: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    constraints: _Constraints,
    max_iterations: int,
) -> tuple[np.ndarray, int]:
    """A root of a network that is not affine below its constraints: point, linearisations.

    Sequential quadratic programming: linearise the constraints at the last point, take the nearest
    point of x that satisfies them, and go there as far as

        ½‖ξ - x‖² + penalty · Σ_j max(0, c_j(ξ))

    falls (exact for a penalty above all multipliers). Of all points met, the nearest root of the
    constraints is kept; without one, the point with the smallest violation.
    """
    here = constraints.values(x)
    largest = here.max()
    best, best_key = x, (largest, 0.0)
    point, penalty = x, 0.0

    def cost(at: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        return 0.5 * np.sum((at - x) ** 2), np.sum(np.maximum(values, 0))

    for iteration in range(1, max_iterations + 1):
        nearest = _program(x, low, high, constraints, point)
        if not nearest.feasible:
            nearest = _program(x, low, high, constraints, point, 1e-3)
        move = nearest.point - point
        penalty = max(penalty, 2 * nearest.multipliers.max(initial=0.0))
        before, after = cost(point, here), cost(nearest.point, nearest.values)
        fall = before[0] - after[0] + penalty * (before[1] - after[1])
        if fall <= 1e-10 * (before[0] + penalty * before[1]):
            break
        t = 1.0
        while t > 1e-6:
            trial = point + t * move
            values = constraints.values(trial)
            length, excess = cost(trial, values)
            key = (max(values.max(), 1e-9 * largest), length)
            if key < best_key:
                best, best_key = trial, key
            if length + penalty * excess <= before[0] + penalty * before[1] - 1e-4 * t * fall:
                break
            t *= 0.5
        else:
            break
        point, here = trial, values
    return best, iteration
