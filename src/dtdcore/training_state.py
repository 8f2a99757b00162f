# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The state of a training run: how it begins, takes steps, and is kept in a file.

A state is never changed. A step makes the next state, so that an error or an interrupt at any
moment leaves the one before, whole. All that is random is a function of the seed and of the place
where it is used (weights of unit k, block k of the order of the samples): there is no generator
whose state could be lost, and training that was interrupted goes on bit by bit as it would have.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.arrays import finite_range, kernels
from dtdcore.files import read_npz, write_npz
from dtdcore.layers import Dense, Flatten, NeuronPool, ReLU
from dtdcore.network import Network

Arrays = tuple[np.ndarray, ...]

#: Version of the file format of `TrainingState.save`.
FORMAT = 1

# Streams of random numbers: numpy.random.SeedSequence(seed, spawn_key=(stream, k)).
WEIGHTS, VALIDATION, ORDER = range(3)

#: Samples of which the scale of the weights and the learning rate are made, at most.
PROBES = 1000
#: Indices of samples that are drawn at once, about.
BLOCK = 1 << 16


def generator(seed: int, *key: int) -> np.random.Generator:
    """The generator of a stream of random numbers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


class Batches:
    """Which samples each iteration takes: all of them in random order, again and again.

    Mini-batches are cut from the row of these orders one after the other, so that all have the
    same size and over time all samples come equally often.
    """

    def __init__(self, seed: int, rows: np.ndarray, batch_size: int) -> None:
        self.seed, self.rows, self.batch_size = seed, rows.astype(np.uintp), batch_size
        self.repeats = -(-BLOCK // len(rows))
        self._block, self._indices = -1, rows[:0]

    def _indices_of(self, block: int) -> np.ndarray:
        if block != self._block:
            orders = np.broadcast_to(self.rows, (self.repeats, len(self.rows)))
            mixed = generator(self.seed, ORDER, block).permuted(orders, axis=1)
            self._block, self._indices = block, mixed.reshape(-1)
        return self._indices

    def take(self, first: int, count: int) -> np.ndarray:
        """Rows of x for the iterations first .. first + count - 1, (count, batch size)."""
        size = self.repeats * len(self.rows)
        position, end = first * self.batch_size, (first + count) * self.batch_size
        parts = [np.empty(0, np.uintp)]
        while position < end:
            block, offset = divmod(position, size)
            part = self._indices_of(block)[offset : offset + end - position]
            parts.append(part)
            position += len(part)
        return np.concatenate(parts).reshape(count, self.batch_size)


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything that training needs to go on.

    Attributes
    ----------
    input_shape : tuple of int
        Of one sample.
    single : bool
        The targets were given as (n,), not (n, outputs).
    pools : tuple of int
        Neurons that each unit pools.
    p : float
    seed : int
    rate : float
        The learning rate that "auto" stands for.
    iteration : int
        Iterations done.
    weights, biases : tuple of array
        (neurons, inputs of the unit) and (neurons,) for each unit.
    velocities : tuple of array or None
        In the order of weights + biases; None without momentum.
    losses : array (iteration,)
    looks : array (m, 2)
        Iteration and validation loss.
    best : tuple of array or None
        weights + biases of the look with the smallest validation loss.
    feature_names : tuple of str
        The columns of the table that x was; empty where it was none.
    """

    input_shape: tuple[int, ...]
    single: bool
    pools: tuple[int, ...]
    p: float
    seed: int
    rate: float
    iteration: int
    weights: Arrays
    biases: Arrays
    velocities: Arrays | None
    losses: np.ndarray
    looks: np.ndarray
    best: Arrays | None
    feature_names: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Outputs of the network."""
        return len(self.biases[-1]) // self.pools[-1]

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self.weights[0].dtype

    @property
    def multiplications(self) -> float:
        """Multiply-adds for one sample in one iteration."""
        return 3.0 * sum(w.size for w in self.weights)

    def network(self) -> Network:
        """The network: of the best look at the validation loss if there was one, else of now."""
        return self._network(self.best or self.weights + self.biases)

    def now(self) -> Network:
        """The network as it is after the last iteration."""
        return self._network(self.weights + self.biases)

    def _network(self, arrays: Arrays) -> Network:
        half = len(arrays) // 2
        layers: list[Any] = [] if len(self.input_shape) == 1 else [Flatten()]
        for w, b, pool in zip(arrays[:half], arrays[half:], self.pools, strict=True):
            layers += [Dense(w.T, b), ReLU(), NeuronPool(pool, self.p)]
        network = Network(layers, self.input_shape)
        network.feature_names = self.feature_names
        return network

    def advance(
        self, x: np.ndarray, y: np.ndarray, order: np.ndarray, rates: np.ndarray, momentum: float
    ) -> TrainingState:
        """The state after len(order) more iterations on rows of x (n, inputs), y (n, outputs).

        Raises
        ------
        FloatingPointError
            If the loss or a weight is no longer finite.
        """
        weights, biases = (tuple(a.copy() for a in group) for group in (self.weights, self.biases))
        velocities: Arrays | None = None
        if momentum and self.velocities is None:
            velocities = tuple(np.zeros_like(a) for a in weights + biases)
        elif momentum:
            velocities = tuple(a.copy() for a in self.velocities or ())
        units, losses = len(weights), np.empty(len(order))
        done = kernels(self.dtype).train(
            x,
            y,
            self.pools,
            self.p,
            weights,
            biases,
            None if velocities is None else velocities[:units],
            None if velocities is None else velocities[units:],
            order,
            rates,
            momentum,
            losses,
        )
        if done < len(order) or not all(map(_finite, weights + biases + (velocities or ()))):
            raise FloatingPointError(
                f"training diverged in iteration {self.iteration + done} or just before: the loss "
                f"or a weight is not finite. Give a learning rate below {rates.max(initial=0):.3g}"
            )
        return replace(
            self,
            iteration=self.iteration + done,
            weights=weights,
            biases=biases,
            velocities=velocities,
            losses=np.concatenate([self.losses, losses]),
        )

    def look(self, loss: float) -> TrainingState:
        """The state that has noted a validation loss, and its weights if none was smaller."""
        is_best = not len(self.looks) or loss < self.looks[:, 1].min()
        return replace(
            self,
            looks=np.concatenate([self.looks, [[self.iteration, loss]]]),
            best=self.weights + self.biases if is_best else self.best,
        )

    def looks_since_best(self) -> int:
        """Looks at the validation loss after the best one."""
        return len(self.looks) - 1 - int(np.argmin(self.looks[:, 1])) if len(self.looks) else 0

    def save(self, path: str | os.PathLike, settings: dict[str, Any]) -> Path:
        """Write the state and settings (as JSON can hold them), whole or not at all."""
        arrays = {"losses": self.losses, "looks": self.looks}
        groups = {"weight": self.weights, "bias": self.biases, "velocity": self.velocities or ()}
        for name, group in (groups | {"best": self.best or ()}).items():
            arrays |= {f"{name}_{k}": array for k, array in enumerate(group)}
        plain = ("input_shape", "feature_names", "single", "pools", "seed", "rate", "iteration")
        facts = {name: getattr(self, name) for name in plain} | {"format": FORMAT}
        facts |= {"p": str(self.p), "settings": settings}
        facts |= {"moves": self.velocities is not None, "has_best": self.best is not None}
        return write_npz(path, dtdcore_training=np.array(json.dumps(facts)), **arrays)


def _finite(array: np.ndarray) -> bool:
    matrix = array.reshape(len(array), -1)
    first = kernels(array.dtype).first_outside(matrix, *finite_range(array.dtype))
    return bool(first == array.size)


def load_state(path: str | os.PathLike) -> tuple[TrainingState, dict[str, Any]]:
    """The state and settings that `TrainingState.save` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds something else.
    """
    content = read_npz(path, "training")
    try:
        facts = json.loads(str(content["dtdcore_training"]))
        if facts.pop("format") != FORMAT:
            raise ValueError(f"{path} has another file format than {FORMAT}, which is read here")
        settings, moves = facts.pop("settings"), facts.pop("moves")
        has_best, units = facts.pop("has_best"), len(facts["pools"])

        def group(name: str, count: int) -> Arrays:
            return tuple(content[f"{name}_{k}"] for k in range(count))

        state = TrainingState(
            weights=group("weight", units),
            biases=group("bias", units),
            velocities=group("velocity", 2 * units) if moves else None,
            losses=content["losses"],
            looks=content["looks"],
            best=group("best", 2 * units) if has_best else None,
            **facts
            | {
                "input_shape": tuple(facts["input_shape"]),
                "feature_names": tuple(facts.get("feature_names", ())),
                "pools": tuple(facts["pools"]),
                "p": float(facts["p"]),
            },
        )
        _check_arrays(state)
    except (KeyError, TypeError, AttributeError, IndexError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no training saved by dtdcore: {error!r}") from None
    return state, settings


def _check_arrays(state: TrainingState) -> None:
    own = [a.shape for a in state.weights + state.biases]
    for group in (state.velocities, state.best):
        if group is not None and [a.shape for a in group] != own:
            raise ValueError("the arrays of a saved training do not fit")
    if state.losses.shape != (state.iteration,) or state.looks.shape[1:] != (2,):
        raise ValueError("the histories of a saved training do not fit")
    state.network()  # checks that weights, biases and pools fit


def begin(
    probes: np.ndarray,
    y: np.ndarray,
    units: list[tuple[int, int]],
    *,
    p: float,
    seed: int,
    weight_scale: float | None,
    input_shape: tuple[int, ...],
    single: bool,
    feature_names: tuple[str, ...] = (),
) -> TrainingState:
    """The state before the first iteration: random weights, biases 0.

    Weights are normal with mean 0 and standard deviation weight_scale / √(inputs of the unit).
    None stands for 2, and then for one common factor that makes the mean output on the `probes`,
    some of the samples, half the root mean square of the targets y. See `learning_rate`.
    """
    weights, inputs, dtype = [], probes.shape[1], probes.dtype
    for k, (neurons, pool) in enumerate(units):
        normal = generator(seed, WEIGHTS, k).standard_normal((neurons, inputs))
        scale = 2.0 if weight_scale is None else weight_scale
        weights.append((normal * (scale / np.sqrt(inputs))).astype(dtype))
        inputs = neurons // pool
    pools = tuple(pool for _, pool in units)
    if weight_scale is None:
        size = float(_values(probes, weights, pools, p)[-1].mean(dtype=np.float64))
        wanted = 0.5 * float(np.sqrt(np.mean(np.square(y, dtype=np.float64))))
        if size > 0 and wanted > 0:
            factor = (wanted / size) ** (1 / len(units))  # the net is homogeneous while b = 0
            weights = [w * dtype.type(factor) for w in weights]
    return TrainingState(
        input_shape=input_shape,
        single=single,
        pools=pools,
        p=p,
        seed=seed,
        rate=learning_rate(probes, weights, pools, p),
        iteration=0,
        weights=tuple(weights),
        biases=tuple(np.zeros(len(w), dtype) for w in weights),
        velocities=None,
        losses=np.empty(0),
        looks=np.empty((0, 2)),
        best=None,
        feature_names=feature_names,
    )


def _values(
    x: np.ndarray, weights: list[np.ndarray], pools: tuple[int, ...], p: float
) -> list[np.ndarray]:
    """The inputs of every unit and the outputs of the last, without biases."""
    core, values = kernels(x.dtype), [x]
    for w, pool in zip(weights, pools, strict=True):
        a = np.empty((len(x), len(w)), x.dtype)
        core.dense_forward(values[-1], w, None, a)
        y = np.empty((len(x), len(w) // pool), x.dtype)
        core.pool_forward(np.maximum(a, 0), pool, p, y)
        values.append(y)
    return values


def learning_rate(
    x: np.ndarray, weights: list[np.ndarray], pools: tuple[int, ...], p: float
) -> float:
    """1 / S, where 2 S bounds the mean curvature of the loss while all neurons count as active.

    For one unit and one output, S = neurons · mean(‖x‖² + 1) with sum pooling: |∂f/∂w_ij| ≤ |x_i|
    and |∂f/∂b_j| ≤ 1. Lower units add what the chain rule gives for the weights as they are.
    """
    core, values = kernels(x.dtype), _values(x, weights, pools, p)
    outputs = values[-1].shape[1]
    g, total = np.eye(outputs, dtype=x.dtype), 0.0
    for k in range(len(weights) - 1, -1, -1):
        # ‖∂y/∂h‖² of a p-norm over s neurons is at most s^max(0, 2/p - 1), spread over all of them
        spread = float(pools[k]) ** (0.5 * (max(0.0, 2 / p - 1) - 1))
        gh = np.repeat(g, pools[k], axis=1) * x.dtype.type(spread)
        norm = float(np.square(values[k], dtype=np.float64).sum()) / len(x) + 1
        share = outputs**2 if k == len(weights) - 1 else outputs  # outputs share the lower units
        total += float(np.square(gh, dtype=np.float64).sum()) * norm / share
        g = np.empty((outputs, weights[k].shape[1]), x.dtype)
        core.dense_gradient(weights[k], gh, g)
    return 1 / total
