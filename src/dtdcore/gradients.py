# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Explainers that need nothing but the gradient: sensitivity, Taylor expansion, path methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dtdcore.arrays import all_finite, as_float, check_count, check_finite, check_number
from dtdcore.chosen import Targets
from dtdcore.columns import feature_names, named_domain, named_point, on_originals
from dtdcore.domains import Domain, Reals
from dtdcore.explainers import Explainer
from dtdcore.explanation import Explanation
from dtdcore.frames import point_labels
from dtdcore.network import Network, dtype_of
from dtdcore.targets import choose_targets, target_of
from dtdcore.taylor import nearest_root

#: (x, targets) -> ∂f/∂x_p (n, k, *input shape), or a dict by input.
Gradient = Callable[[Any, Targets], Any]


class GradientExplainer(Explainer):
    """Base of the explainers that ask for gradients. None of them accounts for relevance."""

    def _relevance(self, x: Any, targets: Targets, gradient: Gradient) -> Any:
        """R_p (n, k, *input shape) for targets (n, k); dicts in, dict out."""
        raise NotImplementedError  # every explainer below answers this

    def __call__(
        self, x: Any, target: Any = None, *, relevance: None = None, node: str | None = None
    ) -> Explanation:
        """Explain a batch.

        Parameters
        ----------
        x : array (n, *input shape), or dict of arrays by input
        target : None, int, str, tuple, Region, Contrast, array or list, optional
            The output to explain, as `DeepTaylor` and `LRP` take it: None is the only one, or the
            largest of each sample. With k targets the result has an axis k.
        relevance : None
            Only explainers that redistribute relevance take a starting relevance.
        node : str, optional
            The layer whose outputs are explained: targets are among them. The network's by
            default.

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
        target, relevance = target_of(target, relevance)
        if relevance is not None:
            raise ValueError(
                f"{type(self).__name__} redistributes no relevance: `relevance` is for DeepTaylor "
                "and LRP; choose an output by `target`"
            )
        names, table = feature_names(self.network, x), x
        x = self.network.check_inputs(x)
        running = self._running(node)
        output = running.forward(x, node)
        classes = self._class_names(node)
        targets = choose_targets(output, target, classes)

        def gradient(x: Any, targets: Targets) -> Any:
            return running.gradient(x, targets, node)

        with np.errstate(over="ignore", invalid="ignore"):
            heatmaps = self._relevance(x, replace(targets, single=False), gradient)
        for part in heatmaps.values() if isinstance(heatmaps, dict) else (heatmaps,):
            if not all_finite(np.ascontiguousarray(part)):
                raise FloatingPointError(
                    f"the heatmaps of {self!r} overflow {dtype_of(x)}; try float64"
                )
        explained, labels = targets.of(output), targets.labels
        if targets.single:
            heatmaps = each(lambda part: part[:, 0], heatmaps)
            explained, labels = explained[:, 0], labels[:, 0]
        x, heatmaps = on_originals(self.network, table, each(np.copy, x), heatmaps)
        return Explanation(
            repr(self),
            x,
            output,
            labels,
            explained,
            heatmaps,
            None,
            feature_names=names,
            class_names=classes,
        )


def each(function: Callable[..., Any], *values: Any) -> Any:
    """A function of arrays; of dicts of arrays, input by input."""
    if isinstance(values[0], dict):
        return {name: function(*(value[name] for value in values)) for name in values[0]}
    return function(*values)


class Sensitivity(GradientExplainer):
    """Sensitivity analysis: R_p = (∂f/∂x_p)² at x (Montavon et al. 2017).

    Positive, but not conservative: Σ_p R_p = ‖∇f‖², which explains a variation of f, not f.
    """

    def _relevance(self, x: Any, targets: Targets, gradient: Gradient) -> Any:
        return each(np.square, gradient(x, targets))


class GradientTimesInput(GradientExplainer):
    """Gradient × input: R_p = x_p ∂f/∂x_p.

    For a ReLU network without biases the Taylor expansion at a root next to 0, and LRP-0.
    """

    def _relevance(self, x: Any, targets: Targets, gradient: Gradient) -> Any:
        return each(lambda x, g: x[:, None] * g, x, gradient(x, targets))


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
        if len(network.inputs) > 1:
            raise ValueError(
                f"Taylor takes networks of one input, this one has {', '.join(network.inputs)}"
            )
        self.domain = Reals() if domain is None else named_domain(network, domain)
        if not isinstance(self.domain, Domain):
            raise TypeError(
                f"domain must be Reals(), NonNegative() or Box(low, high), got {domain!r}"
            )
        if isinstance(root, str):
            if root != "nearest":
                raise ValueError(f"root must be 'nearest' or an array, got {root!r}")
        else:
            root = as_float(named_point(network, root, "root"), "root").copy()
            root.flags.writeable = False
            check_finite(root, "root")
        self.root = root

    def __call__(
        self, x: Any, target: Any = None, *, relevance: None = None, node: str | None = None
    ) -> Explanation:
        """Explain a batch: see `GradientExplainer`; a `node` only with a given root."""
        if node is not None and isinstance(self.root, str):
            raise ValueError("node needs a given root: the nearest root is that of an output")
        return super().__call__(x, target, relevance=relevance, node=node)

    def _relevance(self, x: Any, targets: Targets, gradient: Gradient) -> Any:
        if isinstance(self.root, str):
            network = self.network.behind_encoder
            return nearest_root(network, x, self.domain, target=targets).require().relevance
        try:
            root = np.array(np.broadcast_to(self.root, x.shape), x.dtype, order="C")
        except ValueError:
            raise ValueError(
                f"root has shape {self.root.shape}, x has {x.shape}: give one root for each "
                "sample, or one for all"
            ) from None
        root = self.domain.check(root, "root")
        return gradient(root, targets) * (x - root)[:, None]

    def __repr__(self) -> str:
        root = repr(self.root) if isinstance(self.root, str) else "given"
        return f"Taylor(root={root}, domain={self.domain!r})"


class IntegratedGradients(GradientExplainer):
    """R_p = (x_p - x̄_p) · mean over t in (0, 1) of ∂f/∂x_p at x̄ + t (x - x̄).

    (Sundararajan et al. 2017; midpoint rule.) Σ_p R_p tends to f(x) - f(x̄) as `steps` grows.

    Parameters
    ----------
    network : Network
    baseline : float, array or dict
        x̄: a number, one input (*input shape), or one for each sample; 0 by default. A dict by
        name where inputs differ.
    steps : int
        Gradients for each sample.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or size.
    """

    def __init__(self, network: Network, baseline: Any = 0.0, steps: int = 64) -> None:
        super().__init__(network)
        if len(network.inputs) == 1 and set(network.inputs) != set(point_labels(baseline) or ()):
            baseline = named_point(network, baseline, "baseline")
        if isinstance(baseline, Mapping):
            if set(baseline) != set(network.inputs):
                raise ValueError(
                    f"baseline must hold each input ({', '.join(network.inputs)}), "
                    f"got {sorted(map(str, baseline))}"
                )
            self.baseline: Any = {name: _constant(baseline[name]) for name in network.inputs}
        elif len(network.inputs) > 1:
            self.baseline = dict.fromkeys(network.inputs, _constant(baseline))
        else:
            self.baseline = _constant(baseline)
        self.steps = check_count(steps, "steps")

    def _relevance(self, x: Any, targets: Targets, gradient: Gradient) -> Any:
        if isinstance(self.baseline, dict) and not isinstance(x, dict):
            (start,) = self.baseline.values()
        else:
            start = self.baseline
        start = each(_baseline, x, start)
        path = each(np.subtract, x, start)
        total = each(lambda x: np.zeros((*targets.shape, *x.shape[1:]), np.float64), x)
        for step in range(self.steps):
            t = dtype_of(x).type((step + 0.5) / self.steps)
            point = each(lambda start, path, t=t: start + t * path, start, path)
            total = each(np.add, total, gradient(point, targets))
        return each(
            lambda path, total: path[:, None] * (total / self.steps).astype(path.dtype), path, total
        )

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

    def _relevance(self, x: Any, targets: Targets, gradient: Gradient) -> Any:
        spread = each(_spread, x)
        generator = np.random.default_rng(self.seed)

        def noisy(x: np.ndarray, spread: np.ndarray) -> np.ndarray:
            noise = self.noise * generator.standard_normal(x.shape[1:])
            return x + (spread * noise).astype(x.dtype)

        total = each(lambda x: np.zeros((*targets.shape, *x.shape[1:]), np.float64), x)
        for _ in range(self.samples):
            total = each(np.add, total, gradient(each(noisy, x, spread), targets))
        return each(lambda x, total: (total / self.samples).astype(x.dtype), x, total)

    def __repr__(self) -> str:
        return f"SmoothGrad(samples={self.samples}, noise={self.noise:g}, seed={self.seed})"


def _constant(baseline: Any) -> np.ndarray:
    baseline = as_float(baseline, "baseline").copy()
    baseline.flags.writeable = False
    check_finite(baseline, "baseline")
    return baseline


def _baseline(x: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    try:
        return np.broadcast_to(baseline, x.shape).astype(x.dtype)
    except ValueError:
        raise ValueError(
            f"baseline has shape {baseline.shape}, x has {x.shape}: give a number, one "
            "input, or one for each sample"
        ) from None


def _spread(x: np.ndarray) -> np.ndarray:
    """max(x) - min(x) of each sample."""
    axes = tuple(range(1, x.ndim))
    high = x.max(axis=axes, keepdims=True, initial=-np.inf)
    return high - x.min(axis=axes, keepdims=True, initial=np.inf)
