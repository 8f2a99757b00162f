# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The min-max relevance model of one detection-pooling layer, and its training by Adam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dtdcore.arrays import all_finite, cast, kernels
from dtdcore.layers import Dense
from dtdcore.training_options import learning_rates
from dtdcore.training_state import Batches

# Constants of Adam, with a shorter memory than usual; how many numbers are updated at once, few
# enough to stay in the cache.
BETA_1, BETA_2, EPSILON = 0.9, 0.99, 1e-8
CHUNK = 16384


@dataclass(frozen=True, eq=False)
class MinMaxLayer:
    """Parameters of the model of one detection-pooling layer.

        a_j = min(0, Σ_l R_l v_lj + d_j)
        y_j = max(0, Σ_i x_i v_ij + a_j)        R̂_k = Σ_{j in group k} y_j

    Attributes
    ----------
    lower : Dense
        v_ij, (inputs i, detection neurons j), no bias.
    upper : Dense
        v_lj, (detection neurons l of the layer above, j), and the bias d_j.
    size : int
        Neurons in a group; 1 where the layer has no pool.
    """

    lower: Dense
    upper: Dense
    size: int

    def to(self, dtype: np.dtype) -> MinMaxLayer:
        """The same parameters in another dtype."""
        if self.lower.dtype == dtype:
            return self
        lower, upper = (
            Dense(
                cast(layer.weight, dtype, "v"),
                None if layer.bias is None else cast(layer.bias, dtype, "d"),
            )
            for layer in (self.lower, self.upper)
        )
        return MinMaxLayer(lower, upper, self.size)

    def bias(self, R_l: np.ndarray) -> np.ndarray:
        """a_j ≤ 0, (..., j), from the relevances of the layer above (..., l)."""
        a = np.empty((*R_l.shape[:-1], self.upper.outputs), R_l.dtype)
        columns = (self.upper.inputs, self.upper.outputs)
        step = self.upper.step(None, R_l.dtype)
        a[...] = step.forward(R_l.reshape(-1, columns[0])).reshape(a.shape)
        return np.minimum(a, 0, out=a)

    def detect(self, h: np.ndarray, R_l: np.ndarray) -> np.ndarray:
        """y_j (n, k, j) from h_j = Σ_i x_i v_ij (n, j) and R_l (n, k, l) for k targets."""
        y = self.bias(R_l)
        y += h[:, None]
        return np.maximum(y, 0, out=y)

    def pool(self, y: np.ndarray) -> np.ndarray:
        """R̂_k (..., k) from y_j (..., j)."""
        return y.reshape(*y.shape[:-1], y.shape[-1] // self.size, self.size).sum(axis=-1)


def begin(
    layer: Dense, size: int, detected: np.ndarray, R_l: np.ndarray, R_k: np.ndarray
) -> MinMaxLayer:
    """Where training begins: the layer itself in the right size, switched on from above.

    v_ij = c_k w_ij with c_k = Σ R_k x_k G / Σ x_k² G, where x_k = Σ_j x_j, G = Σ_l R_l and the sums
    run over the samples: the training-free model with its best constants. s_j is twice the root
    mean square of c_k x_j where x_j > 0, d_j = min(0, c_k b_j) - s_j and v_lj = s_j / ⟨G⟩ with
    ⟨G⟩ = Σ G² / Σ G: so a_j rises from -s_j, where nothing arrives from above, to 0 at the
    relevance that is usual there. (From v_lj = 0 the errors after the same training are about
    twice as large.)

    Parameters
    ----------
    layer : Dense
    size : int
        Neurons in a group.
    detected : array (n, j)
        x_j ≥ 0.
    R_l, R_k : array (n, l), (n, k)
    """
    above = R_l.sum(axis=1, dtype=np.float64)
    total = float(above.sum())
    usual = float(above @ above) / total if total > 0 else 1.0
    groups = detected.reshape(*R_k.shape, size).sum(axis=-1, dtype=np.float64)
    square, product = above @ (groups * groups), above @ (groups * R_k)
    c = np.divide(product, square, out=np.zeros_like(square), where=square > 0).repeat(size)
    active = np.maximum(np.count_nonzero(detected, axis=0), 1)
    s = 2 * c * np.sqrt(np.square(detected, dtype=np.float64).sum(axis=0) / active)
    bias = 0.0 if layer.bias is None else np.minimum(layer.bias, 0)
    dtype = layer.dtype
    upper = np.broadcast_to(s / usual, (R_l.shape[1], layer.outputs))
    return MinMaxLayer(
        Dense((layer.weight * c).astype(dtype)),
        Dense(upper.astype(dtype), (c * bias - s).astype(dtype)),
        size,
    )


class Training:
    """Training of one `MinMaxLayer` by Adam.

        loss = ⟨(R̂_k - R_k)²⟩ + conservation · ⟨(Σ_k (R̂_k - R_k))²⟩ / (number of k)

    with means over the samples and, in the first term, over k.

    Learning rates are relative: in units of rms(R_k) / rms(x_i) for v_ij, rms(R_k) / rms(R_l) for
    v_lj and rms(R_k) for d_j, so that the scales of inputs and outputs do not matter.

    Parameters
    ----------
    model : MinMaxLayer
        Where to begin.
    x, R_l, R_k : array (n, i), (n, l), (n, k)
        Inputs of the layer, relevances above it and at its outputs, in the dtype of the model.
    batches : Batches
    conservation : float
    """

    def __init__(
        self,
        model: MinMaxLayer,
        x: np.ndarray,
        R_l: np.ndarray,
        R_k: np.ndarray,
        batches: Batches,
        conservation: float = 0.0,
    ) -> None:
        self.conservation = conservation
        self.x, self.R_l, self.R_k, self.batches = x, R_l, R_k, batches
        self.size, dtype = model.size, model.lower.dtype
        self.core = kernels(dtype)
        j, i, l = model.lower.outputs, model.lower.inputs, model.upper.inputs  # noqa: E741
        self.shapes = [(j, i), (j, l), (j,)]
        self.spans = np.cumsum([0, j * i, j * l, j]).tolist()
        total = self.spans[-1]
        # One row of numbers for all parameters, and views of it.
        self.parameters, self.gradient = np.empty(total, dtype), np.empty(total, dtype)
        self.first, self.second = np.zeros(total, dtype), np.zeros(total, dtype)
        self.v, self.u, self.d = self._views(self.parameters)
        self.gv, self.gu, self.gd = self._views(self.gradient)
        self.v[:], self.u[:], self.d[:] = (
            model.lower.weight.T,
            model.upper.weight.T,
            model.upper.bias,
        )
        self.scale = _rms(R_k)
        self.units = [_rms(x), _rms(R_l), 1.0]  # of the gradients of v, u, d
        self.steps = 0

    def _views(self, row: np.ndarray) -> list[np.ndarray]:
        ends = zip(self.spans, self.spans[1:], self.shapes, strict=False)
        return [row[start:end].reshape(shape) for start, end, shape in ends]

    def model(self) -> MinMaxLayer:
        """The parameters as they are now."""
        return MinMaxLayer(Dense(self.v.T), Dense(self.u.T, self.d), self.size)

    def step(self, rows: np.ndarray, rate: float) -> float:
        """One step of Adam on these samples; returns ⟨(R̂_k - R_k)²⟩ before it."""
        loss = self.differentiate(rows)
        self._adam(rate)
        return loss

    def differentiate(self, rows: np.ndarray) -> float:
        """⟨(R̂_k - R_k)²⟩ on these samples.

        The gradient of the loss by v, u = v_lj and d, divided by rms(R_k), goes into `gv`, `gu`
        and `gd`.
        """
        x, R_l, R_k = self.x[rows], self.R_l[rows], self.R_k[rows]
        a = np.empty((len(rows), len(self.d)), x.dtype)
        h = np.empty_like(a)
        self.core.dense_forward(R_l, self.u, self.d, a)
        self.core.dense_forward(x, self.v, None, h)
        h += np.minimum(a, 0)
        y = np.maximum(h, 0)
        error = y.reshape(*R_k.shape, self.size).sum(axis=-1)
        error -= R_k
        loss = float(np.mean(np.square(error, dtype=np.float64)))
        if self.conservation:
            error += x.dtype.type(self.conservation) * error.sum(axis=1, keepdims=True)
        error *= x.dtype.type(2 / (self.scale * error.size))
        g = np.repeat(error, self.size, axis=1)
        g *= h > 0
        self.core.dense_weight_gradient(x, g, self.gv, None)
        g *= a <= 0  # at the kink too: else d_j = 0, where training may begin, could not move
        self.core.dense_weight_gradient(R_l, g, self.gu, self.gd)
        return loss

    def _adam(self, rate: float) -> None:
        self.steps += 1
        dtype = self.parameters.dtype.type
        correction_1 = 1 - BETA_1**self.steps
        correction_2 = np.sqrt(1 - BETA_2**self.steps)
        for start, end, unit in zip(self.spans, self.spans[1:], self.units, strict=False):
            factor = dtype(rate * self.scale / unit * correction_2 / correction_1)
            epsilon = dtype(EPSILON * unit * correction_2)
            for low in range(start, end, CHUNK):
                part = slice(low, min(low + CHUNK, end))
                g, m, s = self.gradient[part], self.first[part], self.second[part]
                m *= dtype(BETA_1)
                m += dtype(1 - BETA_1) * g
                g *= g
                s *= dtype(BETA_2)
                s += dtype(1 - BETA_2) * g
                np.sqrt(s, out=g)
                g += epsilon
                np.divide(m, g, out=g)
                g *= factor
                self.parameters[part] -= g

    def run(
        self, iterations: int, rate: float, advance: Callable[[int, float], None] | None
    ) -> np.ndarray:
        """All iterations; the rate rises at first and falls to 0 in the second half.

        Returns the loss of each mini-batch before its step.

        Raises
        ------
        FloatingPointError
            If training diverges.
        """
        losses = np.zeros(iterations)
        rates = learning_rates("auto", 0, iterations, iterations, rate)
        with np.errstate(over="ignore", invalid="ignore"):  # an error is raised for it below
            for number in range(iterations):
                losses[number] = self.step(self.batches.take(number, 1)[0], float(rates[number]))
                if advance is not None:
                    advance(1, losses[number])
                if not np.isfinite(losses[number]):
                    break
        if not (all_finite(losses) and all_finite(self.parameters)):
            raise FloatingPointError(
                f"training of the relevance model diverges: use a learning_rate below {rate:g}"
            )
        return losses


def _rms(array: np.ndarray) -> float:
    """√⟨a²⟩, or 1 where all is 0."""
    square = float(np.mean(np.square(array, dtype=np.float64))) if array.size else 0.0
    return float(np.sqrt(square)) if square > 0 else 1.0
