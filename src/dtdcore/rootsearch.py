# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The search for a root of one output of a network near one sample: min ‖ξ - x‖² where f(ξ) = 0.

`dtdcore.taylor` asks for it. It knows networks; the quadratic program is in `projection`.
"""

# How. In a detection network f is a sum (or p-norm) of ReLU neurons, so f(ξ) = 0 says that every
# pre-activation a_j(ξ) <= 0. These are the constraints, not f itself. With one layer they are
# half-spaces, and projection.py solves the quadratic program exactly: on MNIST pairs (1568 inputs,
# 400 neurons) in 2 to 7 Newton steps on the 15 to 90 neurons that matter, 1 to 2 ms a sample.
# Methods that see only f and its gradient were tried on the same problem: Haugazeau's reached
# f(ξ) = 2e-4 f(x) in 100 steps and 7e-6 in 5000 (0.7 s); cutting planes, all kept, 1e-6 in 25
# steps (15 ms), without the gradient of each neuron that tells which ones are active.
# Deeper networks go the same way with a_j linearised again and again. A plain sequence of nearest
# points stalls there, at the kinks of the lower layers; so `Search` goes on with roots only: it
# linearises at a root, restores a root from the result, and keeps it if it is nearer. Networks
# without a ReLU at the end have the one constraint f itself.

from __future__ import annotations

import numpy as np

from dtdcore.arrays import rows
from dtdcore.class_labels import output_numbers
from dtdcore.layers import Dense, Flatten, Identity, NeuronPool, ReLU
from dtdcore.network import Network
from dtdcore.projection import Projection, norm, project, row_norms, row_products

# A search among roots ends when the next is nearer by less than this share.
_GAIN = 1e-3


class System:
    """The constraints c_j(ξ) ≤ 0 that say f(ξ) = 0 (on x's side), for each target.

    Seen from the output, as long as layers only gather non-negative numbers with non-negative
    weights, f is 0 exactly if all of those numbers are; at a ReLU that is: all its inputs are
    ≤ 0. Where no such ReLU stands at the end, f itself is the one constraint.
    """

    def __init__(self, network: Network, shape: tuple[int, ...], outputs: int) -> None:
        layers, shapes = network.layers, network.shapes(shape)
        chain = network.is_chain
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
        self.shape = shape
        #: The network whose outputs are the constraints.
        self.body = network
        if stop is not None:
            self.body = Network(layers[:stop] or [Identity()], shape)
        self.affine = chain and all(
            isinstance(layer, Dense | Flatten | Identity) for layer in self.body.layers
        )
        self._known: dict[tuple[int, float], Constraints] = {}

    def constraints(self, target: int, sign: float) -> Constraints:
        """Those for one target; `sign` is that of f(x), always 1 for a sum of ReLU neurons."""
        key = int(target), float(sign)
        if key not in self._known:
            which = np.flatnonzero(self.members[:, target])
            kind = Affine if self.affine else Constraints
            self._known[key] = kind(self.body, self.shape, which, sign)
        return self._known[key]


def _gathers(layer: Dense) -> bool:
    """Does 0 come out exactly where all inputs (≥ 0) with a weight are 0?"""
    return bool(np.all(layer.weight >= 0)) and (layer.bias is None or not np.any(layer.bias))


class Constraints:
    """c_j(ξ) ≤ 0: the outputs `which` of a network, times `sign`."""

    affine = False

    def __init__(
        self, body: Network, shape: tuple[int, ...], which: np.ndarray, sign: float
    ) -> None:
        self.body, self.shape, self.which, self.sign = body, shape, which, sign

    def values(self, point: np.ndarray) -> np.ndarray:
        """c_j (constraints,) at a point (inputs,), or (k, constraints) at several."""
        values = self.sign * rows(self.body.forward(point.reshape(-1, *self.shape)))[:, self.which]
        return values.reshape(*point.shape[:-1], len(self.which))

    def slopes(self, point: np.ndarray, index: np.ndarray) -> np.ndarray:
        """∂c_j/∂x_p at a point for some constraints, (len(index), inputs)."""
        if len(index) == 0:
            return np.empty((0, point.size))
        which = output_numbers(self.which[None, index])
        gradient = self.body.gradient(point.reshape(1, *self.shape), which)
        return self.sign * gradient.reshape(len(index), point.size)


class Affine(Constraints):
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
        """c_j at a point (inputs,): (constraints,)."""
        return row_products(self.weights, point) + self.offsets

    def slopes(self, point: np.ndarray, index: np.ndarray) -> np.ndarray:
        """w_pj, the same at every point, (len(index), inputs)."""
        return self.weights[index]


def nearest_point(
    x: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    constraints: Constraints,
    at: np.ndarray,
    soft: float = 0.0,
) -> Projection:
    """The point of the box nearest to x where the constraints, linearised at a point, hold.

    Only constraints that were violated on the way take part.
    """
    here = constraints.values(at)
    index = np.empty(0, np.intp)
    slopes = np.empty((0, len(x)))
    offsets, multipliers = np.empty(0), np.empty(0)
    new = np.flatnonzero(here > 0)
    gradients = constraints.slopes(at, new)
    steps = 0
    while True:
        size = row_norms(gradients)
        size[size == 0] = 1.0  # a constant constraint
        gradients = gradients / size[:, None]
        index = np.concatenate([index, new])
        slopes = np.concatenate([slopes, gradients])
        offsets = np.concatenate([offsets, here[new] / size - gradients @ at])
        multipliers = np.concatenate([multipliers, np.zeros(len(new))])
        result = project(x, low, high, slopes, offsets, multipliers, soft)
        multipliers = result.multipliers
        steps += result.steps
        new = np.setdiff1d(np.flatnonzero(constraints.values(result.point) > 0), index)
        gradients = constraints.slopes(at, new)
        if not constraints.affine:
            violated = here[new] + gradients @ (result.point - at) > 0
            new, gradients = new[violated], gradients[violated]
        if len(new) == 0 or not result.feasible:
            result.steps = steps
            return result


class Search:
    """A root on x's side of a network that is not affine below its constraints, for one sample."""

    def __init__(
        self,
        x: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        constraints: Constraints,
        tolerance: float,
    ) -> None:
        self.x, self.low, self.high, self.constraints = x, low, high, constraints
        self.start = self.excess(x)
        self.goal = 0.01 * tolerance * self.start

    def excess(self, point: np.ndarray) -> np.ndarray:
        """Σ_j max(0, c_j) at a point or at several: 0 at a root."""
        return np.sum(np.maximum(self.constraints.values(point), 0), axis=-1)

    def run(self, max_iterations: int) -> tuple[np.ndarray, int]:
        """The root and how many linearisations were moved to; x itself if none is found."""
        point, count = self._descend()
        # 0 lies in every domain without an origin and is a root of every network with b <= 0.
        zero = np.clip(np.zeros_like(self.x), self.low, self.high)
        for begin in (point, self.x, zero):
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
        result = nearest_point(x, self.low, self.high, self.constraints, at)
        if not result.feasible:
            result = nearest_point(x, self.low, self.high, self.constraints, at, soft=1e-3)
        return result.point

    def _restore(self, point: np.ndarray, attempts: int = 20) -> np.ndarray | None:
        """A root close to a point: the nearest points, linearised, of the point itself."""
        for _ in range(attempts):
            if self.excess(point) <= self.goal:
                return point
            point = self._linearised(point, point)
        return point if self.excess(point) <= self.goal else None

    def _pull(self, root: np.ndarray) -> np.ndarray:
        """The root nearest to x on the segment between them, as far as four finer grids see it."""
        near, width = 0.0, 1.0
        for _ in range(4):
            t = near + width * np.arange(1, 16) / 16
            roots = self.excess(root + t[:, None] * (self.x - root)) <= self.goal
            near = np.max(t[roots], initial=near)
            width /= 16
        return root + near * (self.x - root)

    def _refine(self, root: np.ndarray, count: int, max_iterations: int) -> tuple[np.ndarray, int]:
        """From root to nearer root: linearise there, in a box of trust, and restore."""
        distance = norm(root - self.x)
        reach = np.abs(root - self.x).max()
        trust = 0.5 * reach
        while count < max_iterations and trust > 1e-3 * reach:
            low, high = np.maximum(self.low, root - trust), np.minimum(self.high, root + trust)
            trial = nearest_point(self.x, low, high, self.constraints, root).point
            if norm(trial - self.x) > distance * (1 - _GAIN):
                break  # even the linearised network has no nearer one
            count += 1
            found = self._restore(trial, attempts=4)
            if found is not None:
                found = self._pull(found)
                shorter = norm(found - self.x)
                if shorter < distance * (1 - _GAIN):
                    root, distance, trust = found, shorter, 2 * trust
                    continue
            trust *= 0.25
        return root, count
