# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explainers that need nothing but the gradient: sensitivity, Taylor expansion, path methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from dtdcore.arrays import all_finite, as_float, check_count, check_finite, check_number
from dtdcore.domains import Domain, Reals
from dtdcore.explainers import Explainer
from dtdcore.explanation import Explanation
from dtdcore.network import Network
from dtdcore.targets import choose_targets, pick
from dtdcore.taylor import nearest_root


class GradientExplainer(Explainer):
    """Base of the explainers that ask for gradients. None of them accounts for relevance."""

    def _relevance(self, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """R_p (n, k, *input shape) for targets (n, k)."""
        raise NotImplementedError  # every explainer below answers this

    def __call__(self, x: Any, target: Any = None, *, relevance: None = None) -> Explanation:
        """Explain a batch.

        Parameters
        ----------
        x : array (n, *input shape)
        target : None, int, (n,) ints or (n, k) ints
            The output to explain: None is the only one, or the largest of each sample. With k
            targets the result has an axis k.
        relevance : None
            Only explainers that redistribute relevance take a starting relevance.

        Returns
        -------
        Explanation
            Its `explained` is f_target(x); its `audit` is None.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as described.
        FloatingPointError
            If a gradient or a heatmap overflows.
        """
        if relevance is not None:
            raise ValueError(
                f"{type(self).__name__} redistributes no relevance: `relevance` is for DeepTaylor "
                "and LRP; choose an output by `target`"
            )
        x = self.network.check_inputs(x)
        output = self.network.forward(x)
        targets, single = choose_targets(output, target)
        with np.errstate(over="ignore", invalid="ignore"):
            heatmaps = self._relevance(x, targets)
        if not all_finite(np.ascontiguousarray(heatmaps)):
            raise FloatingPointError(f"the heatmaps of {self!r} overflow {x.dtype}; try float64")
        explained = pick(output, targets)
        if single:
            heatmaps, explained, targets = heatmaps[:, 0], explained[:, 0], targets[:, 0]
        return Explanation(repr(self), x.copy(), output, targets, explained, heatmaps, None)


class Sensitivity(GradientExplainer):
    """Sensitivity analysis: R_p = (∂f/∂x_p)² at x (Montavon et al. 2017).

    Positive, but not conservative: Σ_p R_p = ‖∇f‖², which explains a variation of f, not f.
    """

    def _relevance(self, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return self.network.gradient(x, targets) ** 2


class GradientTimesInput(GradientExplainer):
    """Gradient × input: R_p = x_p ∂f/∂x_p.

    For a ReLU network without biases the Taylor expansion at a root next to 0, and LRP-0.
    """

    def _relevance(self, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return x[:, None] * self.network.gradient(x, targets)


class Taylor(GradientExplainer):
    """First-order Taylor expansion at a root: R_p = ∂f/∂x_p at x̃ · (x_p - x̃_p), f(x̃) = 0.

    (Montavon et al. 2017, Taylor decomposition.) What the expansion leaves out is the
    residual ε = f(x) - f(x̃) - Σ_p R_p.

    Parameters
    ----------
    network : Network
    root : "nearest" or array
        "nearest": `dtdcore.nearest_root` finds the root of each sample in the domain. Else the
        point to expand at, (n, *input shape) or one for all, (*input shape); that f is 0 there is
        not asked. Right on the hinge of a ReLU its slope counts as 0: give a point a little on
        the side of x.
    domain : Domain
        Where roots may lie.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind; when called, if there is no root in the domain.
    """

    def __init__(
        self, network: Network, root: Any = "nearest", domain: Domain | None = None
    ) -> None:
        super().__init__(network)
        self.domain = Reals() if domain is None else domain
        if not isinstance(self.domain, Domain):
            raise TypeError(
                f"domain must be Reals(), NonNegative() or Box(low, high), got {domain!r}"
            )
        if isinstance(root, str):
            if root != "nearest":
                raise ValueError(f"root must be 'nearest' or an array, got {root!r}")
        else:
            root = as_float(root, "root").copy()
            root.flags.writeable = False
            check_finite(root, "root")
        self.root = root

    def _relevance(self, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        if isinstance(self.root, str):
            return nearest_root(self.network, x, self.domain, target=targets).require().relevance
        try:
            root = np.array(np.broadcast_to(self.root, x.shape), x.dtype, order="C")
        except ValueError:
            raise ValueError(
                f"root has shape {self.root.shape}, x has {x.shape}: give one root for each "
                "sample, or one for all"
            ) from None
        self.domain.check(root, "root")
        return self.network.gradient(root, targets) * (x - root)[:, None]

    def __repr__(self) -> str:
        root = repr(self.root) if isinstance(self.root, str) else "given"
        return f"Taylor(root={root}, domain={self.domain!r})"


class IntegratedGradients(GradientExplainer):
    """R_p = (x_p - x̄_p) · mean over t in (0, 1) of ∂f/∂x_p at x̄ + t (x - x̄).

    (Sundararajan et al. 2017; midpoint rule.) Σ_p R_p tends to f(x) - f(x̄) as `steps` grows.

    Parameters
    ----------
    network : Network
    baseline : float or array
        x̄: a number, one input (*input shape), or one for each sample; 0 by default.
    steps : int
        Gradients for each sample.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or size.
    """

    def __init__(self, network: Network, baseline: Any = 0.0, steps: int = 64) -> None:
        super().__init__(network)
        self.baseline = as_float(baseline, "baseline").copy()
        self.baseline.flags.writeable = False
        check_finite(self.baseline, "baseline")
        self.steps = check_count(steps, "steps")

    def _relevance(self, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        try:
            baseline = np.broadcast_to(self.baseline, x.shape).astype(x.dtype)
        except ValueError:
            raise ValueError(
                f"baseline has shape {self.baseline.shape}, x has {x.shape}: give a number, one "
                "input, or one for each sample"
            ) from None
        path = x - baseline
        total = np.zeros((*targets.shape, *x.shape[1:]), np.float64)
        for step in range(self.steps):
            t = x.dtype.type((step + 0.5) / self.steps)
            total += self.network.gradient(baseline + t * path, targets)
        return path[:, None] * (total / self.steps).astype(x.dtype)

    def __repr__(self) -> str:
        return f"IntegratedGradients(steps={self.steps})"


class SmoothGrad(GradientExplainer):
    """R_p = mean of ∂f/∂x_p at x + noise (Smilkov et al. 2017).

    Parameters
    ----------
    network : Network
    samples : int
        Noisy copies of each sample.
    noise : float
        Standard deviation of the noise over the range max(x) - min(x) of each sample.
    seed : int
        Seed of the noise. All samples get the same noise (times their range), so that no heatmap
        depends on the batch it came in.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or size.
    """

    def __init__(
        self, network: Network, samples: int = 50, noise: float = 0.15, seed: int = 0
    ) -> None:
        super().__init__(network)
        self.samples = check_count(samples, "samples")
        self.noise = check_number(noise, "noise", 0)
        self.seed = check_count(seed, "seed", 0)

    def _relevance(self, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        axes = tuple(range(1, x.ndim))
        spread = x.max(axis=axes, keepdims=True, initial=-np.inf) - x.min(
            axis=axes, keepdims=True, initial=np.inf
        )
        generator = np.random.default_rng(self.seed)
        total = np.zeros((*targets.shape, *x.shape[1:]), np.float64)
        for _ in range(self.samples):
            noise = self.noise * generator.standard_normal(x.shape[1:])
            noisy = x + (spread * noise).astype(x.dtype)
            total += self.network.gradient(noisy, targets)
        return (total / self.samples).astype(x.dtype)

    def __repr__(self) -> str:
        return f"SmoothGrad(samples={self.samples}, noise={self.noise:g}, seed={self.seed})"
