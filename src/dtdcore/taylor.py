# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Taylor expansion at a root point, and the search for the nearest root.

    f(x) = f(ξ) + Σ_p R_p + ε        R_p = ∂f/∂x_p at ξ · (x_p - ξ_p)

(Montavon et al. 2017, Taylor decomposition.) The nearest root is

    min ‖ξ - x‖²    subject to    f(ξ) = 0,  ξ in the input domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arrays import check_count, check_number, rows
from dtdcore.chosen import Targets
from dtdcore.columns import named_domain
from dtdcore.domains import Domain, Reals
from dtdcore.layers import Dense, Flatten
from dtdcore.network import Network
from dtdcore.projection import row_norms
from dtdcore.rootsearch import Search, System, nearest_point
from dtdcore.targets import choose_targets

# Rounding errors of f(x), relative to ‖x‖ ‖∇f(x)‖: what lies below counts as 0.
_NOISE = 1e-13


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
    target : array (n,) of int or str
        The output that was expanded; a text where it is a region or a contrast.
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
    - Every other network: *a* root on x's side, no more. From the first one found, the search moves
      to nearer roots until none is nearer in the network linearised there (by 0.1 %), or for
      `max_iterations`; another root may be nearer (`certified` is False), and one may be missed
      (`converged` is False). For detection networks with b ≤ 0 a root is always found: 0 is one.

    At a root the active neurons sit on their hinge, where the gradient jumps. ξ is therefore the
    point just before the root on the segment from x, where f(ξ) is between 0 and tolerance · f(x),
    so that its gradient is that of the neurons that are still active on x's side. What the
    neurons add that are active at x but not there is what ε = f(x) - f(ξ) - Σ_p R_p leaves
    unexplained: on pairs of MNIST digits 60 % of f for one layer, and nearly all of f for two.

    Samples are solved one by one and do not affect each other: no bit depends on the batch. (It may
    depend on the number of threads of NumPy's own linear algebra.)

    Parameters
    ----------
    network : Network
    x : array (n, *input shape)
    domain : Domain, optional
        Where root points may lie; `Reals()` by default.
    target : None, int, str, tuple, Region, Contrast, array or list, optional
        The output f, as explainers take it: None is the only one, or the largest of each sample.
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
    system = System(f.network, f.shape, f.output.shape[1])
    low, high = f.domain.bounds(f.shape, np.dtype(np.float64))
    points = f.x.copy()
    bound = np.zeros(len(points))
    iterations = np.zeros(len(points), np.intp)
    for row in np.flatnonzero(f.alive):
        constraints = system.constraints(f.targets[row], f.sign[row])
        if constraints.affine:
            nearest = nearest_point(points[row], low, high, constraints, points[row])
            points[row], bound[row], iterations[row] = nearest.point, nearest.bound, nearest.steps
        else:
            search = Search(points[row], low, high, constraints, tolerance)
            points[row], iterations[row] = search.run(max_iterations)
    certified = (bound > 0) & (row_norms(f.x - points) <= bound * (1 + 1e-6)) | ~f.alive
    return f.expand(_step_back(f, points), bound, certified, iterations)


class _Function:
    """f_target for a batch, in float64: one row for each sample and target."""

    def __init__(
        self, network: Network, x: Any, domain: Domain, target: Any, tolerance: float
    ) -> None:
        if not isinstance(domain, Domain):
            raise TypeError(f"domain must be a dtdcore domain such as Reals(), got {domain!r}")
        domain = named_domain(network, domain)
        x, network = domain.check(network.check_inputs(x)), network.behind_encoder
        self.domain, self.dtype, self.shape = domain, x.dtype, x.shape[1:]
        output = network.forward(x.astype(np.float64))
        targets = choose_targets(output, target, network.class_names)
        #: What was expanded, in words or numbers.
        self.labels = targets.labels.reshape(-1)
        #: The network whose outputs are the functions, and which of them each row has.
        self.network, self.targets = _outputs_for(network, targets)
        self.output = rows(output)
        if self.network is not network:
            self.output = self.network.forward(x.astype(np.float64))
        #: The leading axes of every result: (n,) or (n, k).
        self.lead = targets.shape[:1] if targets.single else targets.shape
        self.x = np.repeat(rows(x).astype(np.float64), targets.shape[1], axis=0)
        self.value = np.take_along_axis(
            self.output, self.targets.reshape(targets.shape), 1
        ).reshape(-1)
        self.sign = np.where(self.value < 0, -1.0, 1.0)
        #: |f(x)|. `at` turns the sign of f likewise: roots are always approached from above.
        self.start = self.sign * self.value
        noise = _NOISE * row_norms(self.x) * row_norms(self.gradient(self.x))
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
            distance=row_norms(self.x - points).reshape(self.lead),
            bound=bound.reshape(self.lead),
            certified=(certified & converged).reshape(self.lead),
            converged=converged.reshape(self.lead),
            iterations=iterations.reshape(self.lead),
            target=self.labels.reshape(self.lead),
        )


def _outputs_for(network: Network, targets: Targets) -> tuple[Network, np.ndarray]:
    """A network that has each target as an output, and the number of that of each row (n · k,).

    Where targets are sums of outputs Σ_o c_o y_o it is the network with one more layer.
    """
    if targets.coefficients is None:
        return network, targets.labels.reshape(-1)
    sums, which = np.unique(
        targets.coefficients.reshape(-1, targets.coefficients.shape[2]), axis=0, return_inverse=True
    )
    names = [*network.inputs, *(node.name for node in network.nodes)]
    items = [
        (node.name, node.layer, [names[source] for source in node.sources])
        for node in network.nodes
    ]
    flat, last = (_new_name(name, names) for name in ("outputs", "targets"))
    items += [
        (flat, Flatten(), [names[network.output]]),
        (last, Dense(sums.T.astype(np.float64)), [flat]),
    ]
    shapes = network.input_shape
    return Network(items, {names[0]: shapes}, last), which.reshape(-1)


def _new_name(name: str, names: Sequence[str]) -> str:
    while name in names:
        name += "_"
    return name


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
