# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Region perturbation: in which order regions are replaced, and what the network then says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arrays import ArrayFields, check_count, check_number, rows
from dtdcore.columns import named_domain, named_point
from dtdcore.domains import Domain
from dtdcore.evaluate.fills import ORDER, TIES, Fill, generator, make_fill
from dtdcore.evaluate.regions import REDUCE, Regions, patches, spatial_axes
from dtdcore.layers import Softmax
from dtdcore.network import Network

SCORES = ("output", "probability", "relative")
#: Steps where the user asks for no number and there are more regions than that.
STEPS = 50
#: Side of a patch of pictures and signals where the user gives none.
PATCH = 8


@dataclass(frozen=True, eq=False, repr=False)
class Perturbation(ArrayFields):
    """How inputs are perturbed: the options of `perturb` and `compare`.

    Attributes
    ----------
    patch : int or tuple of int, optional
        Pixels of a side of a patch, or one number for each spatial axis; all channels of a patch
        are one region. Default: 8, and 1 for inputs of one axis: each column of a table by itself.
    regions : int array, optional
        Any other division: the region of each number of an input, counted from 0, as `patches` and
        `feature_groups` give it. Without it patches are cut.
    channels : "auto", "first", "last" or "none"
        Which axis of an input is that of the channels: see `patches`.
    shape : tuple of int, optional
        The shape of one input as a picture, where the network takes it as a row of numbers.
    reduce : "sum" or "mean"
        The relevance of a region is the sum of its R_p, or their mean, for regions of different
        size.
    fill : "mean", "blur", "noise", a number or an array
        What a region is replaced by. "mean": of each channel over the picture itself; for tables
        that of each column over all samples given. "blur": the picture blurred by a Gauss filter
        with σ of a patch's side (mirrored at the border). "noise": uniform in `domain`. Else a
        number, one input, or one for each sample.
    steps : int, optional
        Steps, spread evenly. Default: one region in each, but not more than 50 steps.
    fraction : float
        The share of the regions that is replaced in the end.
    repeats : int
        How many random orders the scores are averaged over.
    score : "output", "probability" or "relative"
        What is watched of the explained target: f(x) itself, its softmax probability among all
        outputs, or f(x⁽ᵏ⁾) / f(x).
    seed : int
        Of random orders, noise, and the order of regions of equal relevance. Each sample has random
        streams of its own.
    domain : Domain, optional
        Where inputs lie; x and given fills are checked, "noise" is drawn from it.
    batch : int
        How many perturbed inputs run at once. Results do not depend on it, to the bit.

    Raises
    ------
    ValueError, TypeError
        If an option is not as described.
    """

    patch: Any = None
    regions: Any = None
    channels: str = "auto"
    shape: tuple[int, ...] | None = None
    reduce: str = "sum"
    fill: Any = "mean"
    steps: int | None = None
    fraction: float = 1.0
    repeats: int = 10
    score: str = "output"
    seed: int = 0
    domain: Domain | None = None
    batch: int = 32

    def __post_init__(self) -> None:
        if self.patch is not None and self.regions is not None:
            raise ValueError("give patch or regions, not both")
        if self.steps is not None:
            check_count(self.steps, "steps")
        for name in ("repeats", "batch"):
            check_count(getattr(self, name), name)
        check_count(self.seed, "seed", 0)
        if check_number(self.fraction, "fraction", 0.0, strict=True) > 1.0:
            raise ValueError(f"fraction must be at most 1, got {self.fraction}")
        for name, known in (("score", SCORES), ("reduce", REDUCE)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if self.domain is not None and not isinstance(self.domain, Domain):
            raise TypeError(f"domain must be a dtdcore.Domain such as Box(0, 1), got {self.domain}")

    def prepare(self, network: Network, x: Any) -> Prepared:
        """Check inputs, cut regions, and make the fill; nothing runs yet.

        Raises
        ------
        ValueError, TypeError
            If x or an option does not fit the network.
        """
        if not isinstance(network, Network):
            raise TypeError(f"network must be a dtdcore.Network, got {type(network).__name__}")
        if len(network.inputs) > 1:
            raise ValueError(
                "perturbation takes networks of one input, this one has "
                f"{', '.join(network.inputs)}"
            )
        if network.encoder is not None:
            raise ValueError(
                "perturbation replaces numbers, and this network encodes the columns of a table: "
                "perturb network.behind_encoder at network.check_inputs(x)"
            )
        domain = named_domain(network, self.domain)
        x = network.check_inputs(x, domain)
        if len(x) == 0:
            raise ValueError("x must hold at least one sample")
        shape = x.shape[1:] if self.shape is None else tuple(self.shape)
        if math.prod(shape) != math.prod(x.shape[1:]):
            raise ValueError(
                f"shape {shape} must hold as many numbers as an input of shape {x.shape[1:]}"
            )
        axes = spatial_axes(shape, self.channels)
        if self.regions is None:
            patch = self.patch
            if patch is None:
                patch = 1 if len(shape) == 1 else PATCH
            regions = Regions(patches(shape, patch, self.channels))
        else:
            regions = Regions(self.regions)
            if regions.number.size != math.prod(shape):
                raise ValueError(
                    f"regions has shape {np.shape(self.regions)}, an input has {x.shape[1:]}: give "
                    "one region for each of its numbers, as patches() does"
                )
        side = (math.prod(shape[axis] for axis in axes) / len(regions)) ** (1 / len(axes))
        given = self.fill if isinstance(self.fill, str) else named_point(network, self.fill, "fill")
        fill = make_fill(given, x, shape, axes, max(side, 1.0), domain, self.seed)
        return Prepared(network, x, regions, fill, self._filled(len(regions)), self)

    def _filled(self, regions: int) -> np.ndarray:
        """How many regions are replaced after each step, from 0 on."""
        last = max(1, round(self.fraction * regions))
        steps = min(last, STEPS) if self.steps is None else self.steps
        if steps > last:
            raise ValueError(f"steps must be at most the {last} regions to replace, got {steps}")
        return np.rint(np.linspace(0, last, steps + 1)).astype(np.intp)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A perturbation of certain inputs."""

    network: Network
    x: np.ndarray
    regions: Regions
    fill: Fill
    filled: np.ndarray
    options: Perturbation

    def most_first(self, relevance: np.ndarray) -> np.ndarray:
        """Regions from the most to the least relevant, (n, regions).

        Equal ones come in an order drawn for each sample, the same for every method; "least
        relevant first" is the exact reverse.
        """
        sums = self.regions.reduce(relevance, self.options.reduce)
        ties = [
            generator(self.options.seed, sample, TIES).permutation(len(self.regions))
            for sample in range(len(sums))
        ]
        return np.stack([np.lexsort(keys) for keys in zip(ties, -sums, strict=True)])

    def random_order(self, repeat: int) -> np.ndarray:
        """A random order for each sample, (n, regions)."""
        return np.stack(
            [
                generator(self.options.seed, sample, ORDER + repeat).permutation(len(self.regions))
                for sample in range(len(self.x))
            ]
        )

    def scores(
        self,
        orders: list[np.ndarray],
        target: np.ndarray,
        advance: Callable[[int], object] | None = None,
    ) -> np.ndarray:
        """What the network says of `target` while regions are replaced in these orders.

        All samples, orders and steps are one stream of inputs, cut into batches. Inputs that are
        equal, since nothing or the same was replaced, run once.

        Parameters
        ----------
        orders : list of int arrays (n, regions)
        target : int array (n,)
        advance : callable, optional
            Is told how many more scores are known.

        Returns
        -------
        float64 array (n, orders, steps + 1)
        """
        steps = len(self.filled)
        most = len(self.x) * len(orders) * steps
        stream = _Stream(self.network, self.x, self.options, most, advance)
        result = np.empty((len(self.x), len(orders), steps))
        flat = rows(self.x)
        for sample, value in enumerate(flat):
            filled = self.fill(sample, value)
            rank = np.argsort(np.stack([order[sample] for order in orders]), axis=1)
            chosen = rank[:, None, :] < self.filled[:, None]
            chosen &= self.regions.any(filled != value)
            masks = chosen.reshape(-1, len(self.regions))
            stream.add(masks, self.regions, value, filled, target[sample], result[sample])
        stream.flush()
        if self.options.score == "relative":
            result /= result[:, :1, :1]
        return result


class _Stream:
    """Perturbed inputs that wait for a batch to be full, and where their scores go."""

    def __init__(
        self,
        network: Network,
        x: np.ndarray,
        options: Perturbation,
        most: int,
        advance: Callable[[int], object] | None,
    ) -> None:
        self.network, self.advance = network, advance
        self.softmax = not ends_in_softmax(network)  # else it gives probabilities itself
        self.probability = options.score == "probability"
        self.inputs = np.empty((min(options.batch, most), *x.shape[1:]), x.dtype)
        self.flat = rows(self.inputs)
        self.waiting: list[tuple[np.ndarray, np.ndarray, int]] = []

    def add(
        self,
        masks: np.ndarray,
        regions: Regions,
        value: np.ndarray,
        filled: np.ndarray,
        target: int,
        result: np.ndarray,
    ) -> None:
        """One sample with the regions of each mask replaced; scores go to `result`, in order."""
        packed = np.packbits(masks, axis=1)
        _, first, same = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        places = np.argsort(same.reshape(-1), kind="stable")
        ends = np.cumsum(np.bincount(same.reshape(-1)))
        for mask, where in zip(first, np.split(places, ends[:-1]), strict=True):
            row = self.flat[len(self.waiting)]
            np.copyto(row, value)
            np.copyto(row, filled, where=masks[mask][regions.number])
            self.waiting.append((result.reshape(-1), where, target))
            if len(self.waiting) == len(self.inputs):
                self.flush()

    def flush(self) -> None:
        """Run what waits."""
        if not self.waiting:
            return
        output = rows(self.network.forward(self.inputs[: len(self.waiting)]))
        for said, (result, where, target) in zip(output, self.waiting, strict=True):
            softmax = self.probability and self.softmax
            result[where] = _probability(said, target) if softmax else said[target]
        if self.advance is not None:
            self.advance(sum(len(where) for _, where, _ in self.waiting))
        self.waiting.clear()


def ends_in_softmax(network: Network) -> bool:
    """Are a network's outputs probabilities?"""
    return isinstance(network.nodes[network.output - len(network.inputs)].layer, Softmax)


def _probability(output: np.ndarray, target: int) -> float:
    """Softmax of one sample's outputs at the target."""
    powers = np.exp(output.astype(np.float64) - output.max())
    return powers[target] / powers.sum()
