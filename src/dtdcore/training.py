# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Training of detection-pooling networks, the networks of the method's paper."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.arrays import as_batch, as_float, check_count, check_finite, check_number, rows
from dtdcore.frames import is_frame, labels_of, numbers_of
from dtdcore.network import Network
from dtdcore.training_options import (
    LearningRate,
    Units,
    check_learning_rate,
    check_units,
    learning_rates,
    pooled_units,
    training_bar,
)
from dtdcore.training_state import (
    PROBES,
    VALIDATION,
    Batches,
    TrainingState,
    begin,
    generator,
    load_state,
)

#: Multiply-adds of one call into the core, about: a fraction of a second, then signals are seen.
WORK = 1e10
#: Iterations of one call into the core at most.
MOST_ITERATIONS = 10_000


class NotTrainedError(ValueError, AttributeError):
    """The net has not been trained yet."""


class DetectionPoolingNet:
    """A network of detection neurons and pools with b ≤ 0, trained by gradient descent.

        h_j = max(0, Σ_i x_i w_ij + b_j)        f_k = ‖h_group(k)‖_p        b_j ≤ 0

    for one unit; the outputs of a unit are the inputs of the next (Montavon et al. 2017, sections
    3 and 5.3; its network is the default, trained for 300 000 iterations there). On such networks
    `DeepTaylor` is conservative and positive. The loss is the mean of (f - y)² over a mini-batch
    and the outputs; one iteration is

        v ← momentum · v + ∂loss/∂w        w ← w - rate · v        b alike, then b ← min(0, b)

    The loop runs in the core. Results are the same to the bit for any number of threads, and for
    training that was saved or interrupted and goes on.

    Parameters
    ----------
    units : sequence of (neurons, size)
        For each unit the detection neurons and how many consecutive ones a pool takes. None in
        the last unit makes as many pools as `y` has outputs.
    p : float
        Norm of the pools, p ≥ 1: 1 sum pooling, inf maximum pooling.
    learning_rate : "auto", float, callable or sequence of (iteration, rate)
        "auto" is rate = 1 / (neurons · mean(‖x‖² + 1)) for one unit and one output, and from the
        same bound of the curvature for others (`learning_rate_`); it rises to that value in the
        first 1000 iterations (or the first tenth), since early jumps can turn neurons off for
        ever, and falls to 0 in the second half. A callable gets the iteration, from 0; a sequence
        such as [(0, 2e-5), (10000, 1e-5)] changes the rate at those iterations.
    momentum : float
        0 ≤ momentum < 1.
    iterations : int
        How many, in all.
    batch_size : int
        Samples of a mini-batch.
    weight_scale : "auto" or float
        Weights begin normal with mean 0 and standard deviation weight_scale / √(inputs of the
        unit), biases at 0. 2 is the paper's 0.05 for 28x56 pixels. "auto" is 2 times the factor
        that makes the mean output half the root mean square of `y`, so that the scale of `y` does
        not matter.
    seed : int or None
        The same seed gives the same network; None takes a new one each time (`seed_`).
    early_stopping : bool
        Keep `validation_fraction` of the samples out, look at the loss on them every
        `report_every` iterations, stop when `patience` looks in a row were no better than the
        best one, and take the weights of that.
    validation_fraction : float
    patience : int
    report_every : int
        Iterations between two calls of the callback, and between two looks.
    progress : "auto" or bool
        A progress bar by tqdm; "auto" shows it where tqdm is installed and stderr is a terminal.

    Attributes
    ----------
    network_ : Network
        The trained network, for explainers.
    n_iter_ : int
        Iterations done.
    loss_curve_ : array (n_iter_,)
        The loss of each mini-batch before its step.
    validation_curve_ : array (m, 2)
        Iteration and validation loss of each look.
    learning_rate_, seed_ : float, int
        What "auto" and None stand for.
    stopped_by_ : str
        "iterations", "callback" or "early stopping".

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    ImportError
        If `progress` is True and tqdm is not installed.
    """

    def __init__(
        self,
        units: Units = ((400, None),),
        *,
        p: float = 1,
        learning_rate: LearningRate = "auto",
        momentum: float = 0.9,
        iterations: int = 20_000,
        batch_size: int = 20,
        weight_scale: str | float = "auto",
        seed: int | None = 0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        report_every: int = 500,
        progress: str | bool = "auto",
    ) -> None:
        self.units = units
        self.p = p
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.iterations = iterations
        self.batch_size = batch_size
        self.weight_scale = weight_scale
        self.seed = seed
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.report_every = report_every
        self.progress = progress
        self._state: TrainingState | None = None
        self._stopped_by = "iterations"
        self._network: tuple[TrainingState, Network] | None = None
        self._check()

    # ------------------------------------------------------------------ parameters

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name. (`deep` is there for scikit-learn.)"""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> DetectionPoolingNet:
        """Change arguments of the constructor; returns the net itself.

        Raises
        ------
        TypeError, ValueError
            If a name is unknown or a value not as described; then nothing is changed.
        """
        for name in params:
            if name not in self._names():
                raise ValueError(f"{name!r} is no parameter; there are {', '.join(self._names())}")
        type(self)(**self.get_params() | params)
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def _check(self) -> None:
        check_units(self.units)
        if self.p not in (np.inf, "inf"):
            check_number(self.p, "p", 1)
        check_learning_rate(self.learning_rate)
        if check_number(self.momentum, "momentum", 0) >= 1:
            raise ValueError(f"momentum must be below 1, got {self.momentum}")
        check_count(self.iterations, "iterations", 0)
        for name in ("batch_size", "patience", "report_every"):
            check_count(getattr(self, name), name)
        if self.weight_scale != "auto":
            check_number(self.weight_scale, "weight_scale", 0, strict=True)
        if self.seed is not None:
            check_count(self.seed, "seed", 0)
        if not isinstance(self.early_stopping, (bool, np.bool_)):
            raise TypeError(f"early_stopping must be True or False, got {self.early_stopping!r}")
        if check_number(self.validation_fraction, "validation_fraction", 0, strict=True) >= 1:
            raise ValueError(f"validation_fraction must be below 1, got {self.validation_fraction}")
        if not isinstance(self.progress, (bool, np.bool_)) and self.progress != "auto":
            raise ValueError(f"progress must be True, False or 'auto', got {self.progress!r}")

    # ------------------------------------------------------------------ training

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        resume: bool = False,
        callback: Callable[[DetectionPoolingNet, int], Any] | None = None,
    ) -> DetectionPoolingNet:
        """Train until `iterations` are done.

        Parameters
        ----------
        x : array (n, *input shape), or table
            With more than one axis in the input shape the network begins with a Flatten. The
            columns of a table give `network_.feature_names`.
        y : array (n,) or (n, outputs)
            Targets ≥ 0.
        resume : bool
            Go on from the state of this net, trained before or loaded, instead of anew. With the
            same data and parameters the result is, to the bit, that of training in one go.
        callback : callable, optional
            callback(net, iteration), called every `report_every` iterations with this net, which
            may be used and saved. Training stops when it returns True.

        Returns
        -------
        DetectionPoolingNet
            The net itself.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        FloatingPointError
            If training diverges; the message says what to do. This and any other exception, a
            KeyboardInterrupt too, leaves the net as it was a fraction of a second before.
        """
        self._check()
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable, got {callback!r}")
        state = self._trained() if resume else None
        names = tuple(map(str, labels_of(x, "x"))) if is_frame(x) else ()
        x, y, single = self._data(x, y, state)
        shape, x = x.shape[1:], rows(x)
        units = pooled_units(self.units, y.shape[1])
        if state is None:
            seed = np.random.SeedSequence().entropy if self.seed is None else int(self.seed)
        else:
            self._check_resumed(state, units)
            seed = state.seed
        training, validation = self._split(len(x), seed)
        if state is None:
            state = begin(
                x[training[:: -(-len(training) // PROBES)]],
                y[training],
                units,
                p=float(self.p),
                seed=seed,
                weight_scale=None if self.weight_scale == "auto" else float(self.weight_scale),
                input_shape=shape,
                single=single,
                feature_names=names,
            )
        self._state, self._stopped_by = state, "iterations"
        self._run(x, y, Batches(seed, training, self.batch_size), validation, callback)
        self._warn_where_off(x, y)
        return self

    def _data(
        self, x: Any, y: Any, state: TrainingState | None
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """x (n, *shape) and y (n, outputs) in one dtype, and whether y was (n,)."""
        if state is not None and is_frame(x):
            x = numbers_of(x, "x", state.dtype, state.feature_names or None)
        x = as_batch(x, None if state is None else state.input_shape)
        if x.ndim < 2 or x.size == 0:
            raise ValueError(f"x must have shape (n, *input shape), none of them 0, got {x.shape}")
        x = x if state is None else x.astype(state.dtype, copy=False)
        y = as_float(y, "y")
        single = y.ndim == 1
        if y.ndim not in (1, 2) or len(y) != len(x) or y.size == 0:
            raise ValueError(f"y must have shape ({len(x)},) or ({len(x)}, outputs), got {y.shape}")
        check_finite(y, "y")
        if y.min() < 0:
            where = np.unravel_index(np.argmin(y), y.shape)
            place = ", ".join(str(int(i)) for i in where)
            raise ValueError(f"y[{place}] = {y[where]} is below 0: no sum of neurons can be")
        y = (y[:, None] if single else y).astype(x.dtype, copy=False)
        check_finite(y, "y")  # float64 may not fit the float32 of x
        if state is not None and y.shape[1] != state.outputs:
            raise ValueError(f"y must have the {state.outputs} outputs of before, got {y.shape[1]}")
        return x, np.ascontiguousarray(y), single

    def _check_resumed(self, state: TrainingState, units: list[tuple[int, int]]) -> None:
        before = [(len(b), pool) for b, pool in zip(state.biases, state.pools, strict=True)]
        if units != before or float(self.p) != state.p:
            raise ValueError(
                f"units and p must be those of before to go on: {before} and {state.p:g}, "
                f"got {units} and {float(self.p):g}"
            )

    def _split(self, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The samples for training and for validation, by number, ascending."""
        kept = round(samples * self.validation_fraction) if self.early_stopping else 0
        if self.early_stopping and not 0 < kept < samples:
            raise ValueError(
                f"validation_fraction = {self.validation_fraction} of {samples} samples leaves "
                f"none for validation or none for training"
            )
        order = generator(seed, VALIDATION).permutation(samples)
        return np.sort(order[kept:]), np.sort(order[:kept])

    def _run(
        self,
        x: np.ndarray,
        y: np.ndarray,
        batches: Batches,
        validation: np.ndarray,
        callback: Callable[[DetectionPoolingNet, int], Any] | None,
    ) -> None:
        state, momentum = self._trained(), float(self.momentum)
        most = int(WORK / (self.batch_size * state.multiplications)) + 1
        stops = callback is not None or self.early_stopping
        x_kept, y_kept = x[validation], y[validation]
        with training_bar(self.progress, self.iterations, state.iteration) as advance:
            while state.iteration < self.iterations and not self._is_over(state):
                first = state.iteration
                count = min(most, MOST_ITERATIONS, self.iterations - first)
                if stops:
                    count = min(count, self.report_every - first % self.report_every)
                rates = learning_rates(
                    self.learning_rate, first, count, self.iterations, state.rate
                )
                state = state.advance(x, y, batches.take(first, count), rates, momentum)
                reports = state.iteration % self.report_every == 0
                if reports and self.early_stopping:
                    f = state.now().forward(x_kept.reshape(-1, *state.input_shape))
                    state = state.look(float(np.mean(np.square(f - y_kept, dtype=np.float64))))
                self._state = state  # one assignment: an interrupt finds all of it or the last
                if advance is not None:
                    advance(count, float(state.losses[first:].mean()))
                if reports and callback is not None and callback(self, state.iteration):
                    self._stopped_by = "callback"
                    return
        if self._is_over(state):
            self._stopped_by = "early stopping"

    def _is_over(self, state: TrainingState) -> bool:
        return bool(self.early_stopping) and state.looks_since_best() >= self.patience

    def _warn_where_off(self, x: np.ndarray, y: np.ndarray) -> None:
        probes = np.arange(0, len(x), -(-len(x) // PROBES))
        if self.n_iter_ and not self.predict(self._shaped(x[probes])).any() and y[probes].any():
            warnings.warn(
                "the trained network answers 0 everywhere: all its neurons are off for good. Use "
                "a lower learning_rate, or one that rises slowly, or another seed",
                RuntimeWarning,
                stacklevel=3,
            )

    def _shaped(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(-1, *self._trained().input_shape)

    # ------------------------------------------------------------------ the trained net

    def _trained(self) -> TrainingState:
        if self._state is None:
            raise NotTrainedError("this DetectionPoolingNet has not been trained: call fit first")
        return self._state

    @property
    def network_(self) -> Network:
        """The trained network; after early stopping that of the best look."""
        state = self._trained()
        if self._network is None or self._network[0] is not state:
            self._network = (state, state.network())
        return self._network[1]

    @property
    def n_iter_(self) -> int:
        """Iterations done."""
        return self._trained().iteration

    @property
    def loss_curve_(self) -> np.ndarray:
        """The loss of each mini-batch before its step, (n_iter_,)."""
        return self._trained().losses.copy()

    @property
    def validation_curve_(self) -> np.ndarray:
        """Iteration and validation loss of each look, (m, 2)."""
        return self._trained().looks.copy()

    @property
    def learning_rate_(self) -> float:
        """What the learning rate "auto" rises to."""
        return self._trained().rate

    @property
    def seed_(self) -> int:
        """The seed in use."""
        return self._trained().seed

    @property
    def stopped_by_(self) -> str:
        """What ended training: "iterations", "callback" or "early stopping"."""
        self._trained()
        return self._stopped_by

    def predict(self, x: Any) -> np.ndarray:
        """The outputs f(x): (n,) if `y` was (n,), else (n, outputs).

        Raises
        ------
        ValueError
            If x (n, *input shape) has another shape or holds a value that is not finite.
        """
        f = self.network_.forward(x)
        return f[:, 0] if self._trained().single else f

    def score(self, x: Any, y: Any) -> float:
        """The coefficient of determination, 1 - Σ(y - f)² / Σ(y - ⟨y⟩)², mean over the outputs.

        For an output whose y is constant it is 1 if f = y everywhere, else 0.

        Raises
        ------
        ValueError
            If x or y has a wrong shape or holds a value that is not finite.
        """
        f = np.asarray(self.predict(x), np.float64)
        y = as_float(y, "y").astype(np.float64)
        if y.shape != f.shape or len(y) == 0:
            raise ValueError(f"y must have shape {f.shape} and samples, got {y.shape}")
        check_finite(y, "y")
        rest, spread = np.sum((y - f) ** 2, axis=0), np.sum((y - y.mean(axis=0)) ** 2, axis=0)
        safe = np.where(spread > 0, spread, 1.0)
        return float(np.mean(np.where(spread > 0, 1 - rest / safe, rest == 0)))

    def save(self, path: str | os.PathLike) -> Path:
        """Write parameters and the state of training to an .npz file, without pickle.

        `DetectionPoolingNet.load` reads it, and `fit(x, y, resume=True)` goes on from there as if
        nothing had been in between. A callable learning rate is not saved: set it again by
        `set_params`. (For the network alone: `network_.save`.)

        Returns
        -------
        pathlib.Path
            The file, with the suffix .npz added if it has none.
        """
        settings = {k: v.item() if isinstance(v, np.generic) else v for k, v in self._plain()}
        return self._trained().save(path, settings | {"stopped_by": self._stopped_by})

    def _plain(self) -> list[tuple[str, Any]]:
        values = self.get_params() | {"p": str(float(self.p)), "units": check_units(self.units)}
        rate = self.learning_rate
        if callable(rate):
            values["learning_rate"] = None
        elif not isinstance(rate, str) and np.ndim(rate):
            values["learning_rate"] = [(int(start), float(value)) for start, value in rate]
        return list(values.items())

    @classmethod
    def load(cls, path: str | os.PathLike) -> DetectionPoolingNet:
        """Read a net that `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged or holds something else.
        """
        state, settings = load_state(path)
        try:
            stopped_by, rate = settings.pop("stopped_by"), settings.pop("learning_rate")
            net = cls(**settings | {"p": float(settings["p"])})
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is no training saved by dtdcore: {error!r}") from None
        net.learning_rate, net._state, net._stopped_by = rate, state, stopped_by
        return net

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default and value != defaults[name].default
        ]
        return f"DetectionPoolingNet({', '.join(changed)})"
