# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Taylor expansion at a root point, and the search for the nearest root.

    f(x) = f(ξ) + Σ_p R_p + ε        R_p = ∂f/∂x_p at ξ · (x_p - ξ_p)

(Montavon et al. 2017, section 3, equations 1-3.) The nearest root is

    min ‖ξ - x‖²    subject to    f(ξ) = 0,  ξ in the input domain.
"""

# How. In a detection network f is a sum (or p-norm) of ReLU neurons, so f(ξ) = 0 says that every
# pre-activation a_j(ξ) <= 0. These are the constraints, not f itself. With one layer they are
# half-spaces, and projection.py solves the quadratic program exactly: on MNIST pairs (1568 inputs,
# 400 neurons) in 2 to 7 Newton steps on the 15 to 90 neurons that matter, 1 to 2 ms a sample.
# Methods that see only f and its gradient were tried on the same problem: Haugazeau's reached
# f(ξ) = 2e-4 f(x) in 100 steps and 7e-6 in 5000 (0.7 s); cutting planes, all kept, 1e-6 in 25
# steps (15 ms). Deeper networks go the same way with a_j linearised again and again; networks
# without a ReLU at the end have the one constraint f itself.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arrays import check_count, check_number, rows
from dtdcore.domains import Domain, Reals
from dtdcore.layers import Dense, Flatten, Identity, NeuronPool, ReLU
from dtdcore.network import Network
from dtdcore.projection import Projection, project
from dtdcore.targets import choose_targets

# Rounding errors of f(x), relative to ‖x‖ ‖∇f(x)‖: what lies below counts as 0.
_NOISE = 1e-13


# A search among roots ends when the next is nearer by less than this share.
_GAIN = 1e-3


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
            nearest = _nearest(points[row], low, high, constraints, points[row])
            points[row], bound[row], iterations[row] = nearest.point, nearest.bound, nearest.steps
        else:
            search = _Search(points[row], low, high, constraints, tolerance)
            points[row], iterations[row] = search.run(max_iterations)
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


def _nearest(
    x: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    constraints: _Constraints,
    at: np.ndarray,
    soft: float = 0.0,
) -> Projection:
    """The point of the box nearest to x where the constraints, linearised at a point, hold.

    Only constraints that were violated on the way take part.
    """
    here = constraints.values(at)
    slopes = np.empty((0, len(x)))
    offsets, multipliers = np.empty(0), np.empty(0)
    index = np.empty(0, np.intp)
    new = np.flatnonzero(here > 0)
    steps = 0
    while True:
        added = constraints.slopes(at, new)
        norm = _norms(added)
        norm[norm == 0] = 1.0  # a constant constraint
        added = added / norm[:, None]
        index = np.concatenate([index, new])
        slopes = np.concatenate([slopes, added])
        offsets = np.concatenate([offsets, here[new] / norm - added @ at])
        multipliers = np.concatenate([multipliers, np.zeros(len(new))])
        result = project(x, low, high, slopes, offsets, multipliers, soft)
        multipliers = result.multipliers
        steps += result.steps
        new = np.setdiff1d(np.flatnonzero(constraints.values(result.point) > 0), index)
        if len(new) and not constraints.affine:
            change = constraints.slopes(at, new) @ (result.point - at)
            new = new[here[new] + change > 0]
        if len(new) == 0 or not result.feasible:
            result.steps = steps
            return result


class _Search:
    """A root on x's side of a network that is not affine below its constraints, for one sample."""

    def __init__(
        self,
        x: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        constraints: _Constraints,
        tolerance: float,
    ) -> None:
        self.x, self.low, self.high, self.constraints = x, low, high, constraints
        self.start = self.excess(x)
        self.goal = 0.01 * tolerance * self.start

    def excess(self, point: np.ndarray) -> float:
        """Σ_j max(0, c_j): 0 at a root."""
        return float(np.sum(np.maximum(self.constraints.values(point), 0)))

    def run(self, max_iterations: int) -> tuple[np.ndarray, int]:
        """The root and how many linearisations were moved to; x itself if none is found."""
        point, count = self._descend()
        # 0 lies in every domain and is a root of every network with b <= 0.
        for begin in (point, self.x, np.zeros_like(self.x)):
            root = self._restore(begin)
            if root is not None:
                return self._refine(self._pull(root), count, max_iterations)
        return self.x, count

    def _descend(self) -> tuple[np.ndarray, int]:
        """Nearest points of x under constraints linearised where the last one ended."""
        point, excess = self.x, self.start
        for count in range(8):
            trial = self._linearised(self.x, point)
            now = self.excess(trial)
            if now > 0.7 * excess:  # kinks of the network in the way: they make it zigzag
                return point, count
            point, excess = trial, now
            if excess <= self.goal:
                break
        return point, count + 1

    def _linearised(self, x: np.ndarray, at: np.ndarray) -> np.ndarray:
        result = _nearest(x, self.low, self.high, self.constraints, at)
        if not result.feasible:
            result = _nearest(x, self.low, self.high, self.constraints, at, soft=1e-3)
        return result.point

    def _restore(self, point: np.ndarray, attempts: int = 20) -> np.ndarray | None:
        """A root close to a point: the nearest points, linearised, of the point itself."""
        for _ in range(attempts):
            if self.excess(point) <= self.goal:
                return point
            point = self._linearised(point, point)
        return point if self.excess(point) <= self.goal else None

    def _pull(self, root: np.ndarray) -> np.ndarray:
        """The root moved towards x, as far as bisection of the segment finds roots."""
        near, far = 0.0, 1.0
        for _ in range(20):
            middle = 0.5 * (near + far)
            if self.excess(root + middle * (self.x - root)) <= self.goal:
                near = middle
            else:
                far = middle
        return root + near * (self.x - root)

    def _refine(self, root: np.ndarray, count: int, max_iterations: int) -> tuple[np.ndarray, int]:
        """From root to nearer root: linearise there, in a box of trust, and restore."""
        distance = _norm(root - self.x)
        reach = np.abs(root - self.x).max()
        trust = 0.5 * reach
        while count < max_iterations and trust > 1e-3 * reach:
            low, high = np.maximum(self.low, root - trust), np.minimum(self.high, root + trust)
            trial = _nearest(self.x, low, high, self.constraints, root).point
            if _norm(trial - self.x) > distance * (1 - _GAIN):
                break  # even the linearised network has no nearer one
            count += 1
            found = self._restore(trial, attempts=8)
            if found is not None:
                found = self._pull(found)
                shorter = _norm(found - self.x)
                if shorter < distance * (1 - _GAIN):
                    root, distance, trust = found, shorter, 2 * trust
                    continue
            trust *= 0.25
        return root, count


def _norm(vector: np.ndarray) -> float:
    return float(np.sqrt(vector @ vector))
