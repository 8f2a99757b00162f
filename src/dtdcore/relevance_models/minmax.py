# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The min-max relevance model: trained to predict relevance from below and from above."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.arrays import cast, check_count, check_number
from dtdcore.audit import format_table
from dtdcore.files import read_npz, write_npz
from dtdcore.layers import Dense
from dtdcore.network import Network, load
from dtdcore.relevance_models.base import Planner, RelevanceModel
from dtdcore.relevance_models.minmax_layer import MinMaxLayer, Training, begin
from dtdcore.relevance_models.minmax_plan import MinMaxPlan
from dtdcore.relevance_models.report import explained_variance
from dtdcore.relevance_models.units import Unit, detection_units, same_network
from dtdcore.rules import ZPlus
from dtdcore.targets import single_outputs
from dtdcore.training import NotTrainedError
from dtdcore.training_options import training_bar
from dtdcore.training_state import Batches

#: Version of the file format of `MinMax.save`.
FORMAT = 1


@dataclass(frozen=True, eq=False)
class _Fitted:
    """What fitting leaves: never changed, so that explainers may share it."""

    network: Network
    units: tuple[Unit, ...]
    layers: tuple[MinMaxLayer, ...]
    losses: tuple[np.ndarray, ...]
    explained: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        """The layers that have a model, from the input."""
        return [unit.name for unit in self.units[:-1]]


class MinMax(RelevanceModel):
    """The min-max relevance model (Montavon et al. 2017): trained, and guided from above.

    A network of detection-pooling layers computes, in each of them,

        x_j = max(0, Σ_i x_i w_ij + b_j)        x_k = ‖x_group(k)‖_p

    To redistribute the relevance R_k of x_k onto the inputs x_i of the layer, deep Taylor
    decomposition needs R_k as a function of these x_i. `TrainingFree` takes R_k for x_k times a
    constant. The min-max model learns the function, for each layer but the last one:

        a_j = min(0, Σ_l R_l v_lj + d_j)
        y_j = max(0, Σ_i x_i v_ij + a_j)
        R̂_k = Σ_{j in group k} y_j                  v_ij, v_lj, d_j minimise ⟨(R̂_k - R_k)²⟩

    It has the form of the layer itself, but its bias a_j comes from above: R_l are the relevances
    of the detection neurons of the next layer (of the last layer, R_l is the share of neuron l in
    max(0, f)). The bias is never positive. It switches off a neuron whose feature is there, but
    serves nothing that the layers above have found, and leaves alone one whose feature is meant:
    min bounds it above by 0, so that relevance from above can permit an explanation from below,
    never invent one.

    Redistribution goes from the top down. The last layer needs no model: max(0, f) is the output
    of its own neurons, so that v = w and a = b are exact; it shares out the relevance as
    `TrainingFree` does. In every layer below

        R_j = y_j        R_i = Σ_j q_ij / Σ_i' q_i'j · R_j

    where q_ij is that of the rule of the layer's domain with v for w: v_ij² (w²), x_i v⁺_ij (z⁺, in
    all layers but the first) or x_i v_ij - l_i v⁺_ij - h_i v⁻_ij (z^B). The y_j are then the R_l of
    the layer below. As a_j ≤ 0, each y_j has its nearest root within the domain, as with b_j ≤ 0.

    Conservation. What goes down is R̂_k, not R_k, so that heatmaps are positive, but
    conservative only as far as the model is right: f(x) - Σ_p R_p is the sum of all that it did
    not predict, Σ_k (R_k - R̂_k), layer by layer. The audit has these sums (`AuditEntry.model`, in
    the table "not predicted") and closes with them. In the experiment `dtdcore mnist --depth 2`
    (with conservation=1, below) Σ_p R_p misses outputs near 100 by about two on held-out pairs.

    When to use it. When the spread in `TrainingFree().report(network, x)` is large, that is, when
    relevance does not follow the activation; when the layers above should decide where relevance
    may go; or to see how far the training-free model is from one that was fitted. It needs data
    like those to be explained, and it is as good as its fit: look at `summary()`, and at
    `score(x)` on data that `fit` has not seen. Outside the data that it knows, for another choice
    of targets, and for a starting `relevance` other than max(0, f), its predictions
    mean little; the audit shows it. In all other cases `TrainingFree` is simpler, and
    conservative.

    Training. From the top down: the relevances that arrive at a layer come from the models above
    it, as they do when explaining. It starts from the layer itself: v_ij = c_k w_ij with the
    constants that fit R_k best, and v_lj > 0 and d_j < 0 such that a_j is 0 at the usual relevance
    above and switches the neuron off where there is none. Then it takes `iterations` steps of Adam
    on mini-batches. The core computes the products; the result is the same to the bit for any
    number of threads. One iteration takes 2 batch_size · j (i + l) multiply-adds, about what an
    iteration of training the layer itself takes. Memory: x, and all activations and relevances
    for it.

    Parameters
    ----------
    iterations : int
        Of each layer.
    batch_size : int
        Samples of a mini-batch.
    learning_rate : float
        Relative to the scales of the data: the step of v_ij is at most about learning_rate ·
        rms(R_k) / rms(x_i), that of v_lj learning_rate · rms(R_k) / rms(R_l), that of d_j
        learning_rate · rms(R_k). It rises to this value in the first 1000 iterations (or the
        first tenth) and falls to 0 in the second half.
    conservation : float
        λ ≥ 0. The errors of the single R̂_k, which the method minimises (λ = 0), often have the same
        sign in one sample and add up in Σ_p R_p. With λ > 0 the loss is ⟨(R̂_k - R_k)²⟩ + λ ⟨(Σ_k
        (R̂_k - R_k))²⟩ / (number of k), so that heatmaps become more conservative, at the price of
        the single R̂_k. (An addition of this library, not of the paper.)
    seed : int
        Of the order of the samples; the same seed gives the same model.
    progress : "auto" or bool
        A progress bar by tqdm; "auto" shows it where tqdm is installed and stderr is a terminal.

    Attributes
    ----------
    network_ : Network
        The network that the model was fitted to.
    layers_ : dict of str to MinMaxLayer
        By the name of the layer's Dense: `lower.weight` is v_ij (inputs, neurons), `upper.weight`
        v_lj (neurons above, neurons) and `upper.bias` d_j.
    explained_variance_ : dict of str to float
        1 - Σ (R̂_k - R_k)² / Σ (R_k - ⟨R_k⟩)² on the data of `fit`.
    loss_curves_ : dict of str to array (iterations,)
        ⟨(R̂_k - R_k)²⟩ of each mini-batch before its step.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> model = dtd.MinMax().fit(network, x_train)
    >>> explain = dtd.DeepTaylor(network, dtd.Box(0, 1), relevance_model=model)
    >>> model.save("network-minmax.npz")            # the network and its relevance model
    >>> model = dtd.MinMax.load("network-minmax.npz")
    >>> explain = dtd.DeepTaylor(model.network_, dtd.Box(0, 1), relevance_model=model)
    """

    def __init__(
        self,
        *,
        iterations: int = 12_000,
        batch_size: int = 100,
        learning_rate: float = 2e-4,
        conservation: float = 0.0,
        seed: int = 0,
        progress: str | bool = "auto",
    ) -> None:
        self.iterations = check_count(iterations, "iterations", 0)
        self.batch_size = check_count(batch_size, "batch_size")
        self.learning_rate = check_number(learning_rate, "learning_rate", 0, strict=True)
        self.conservation = check_number(conservation, "conservation", 0)
        self.seed = check_count(seed, "seed", 0)
        if not isinstance(progress, (bool, np.bool_)) and progress != "auto":
            raise ValueError(f"progress must be True, False or 'auto', got {progress!r}")
        self.progress = progress
        self._fitted: _Fitted | None = None

    # ------------------------------------------------------------------ fitting

    def fit(self, network: Network, x: Any, target: Any = None) -> MinMax:
        """Train the model of every detection-pooling layer but the last, from the top down.

        Parameters
        ----------
        network : Network
            Dense -> ReLU -> [NeuronPool], again and again.
        x : array (n, *input shape)
            Data like those to be explained, such as the network's training data; thousands.
        target : None, int or (n,) ints
            The output to explain of each sample: None is the only one, or the largest. Choose it
            as you will when explaining: the model knows no other relevances.

        Returns
        -------
        MinMax
            The model itself. An exception, a KeyboardInterrupt too, leaves it as it was before.

        Raises
        ------
        TypeError, ValueError
            If the network is not of this kind, naming the layer, or x or target not as described.
        FloatingPointError
            If training diverges.
        ImportError
            If `progress` is True and tqdm is not installed.
        """
        if not isinstance(network, Network):
            raise TypeError(f"network must be a dtdcore.Network, got {type(network).__name__}")
        units = detection_units(network)
        x = _data(network, x)
        layers: dict[int, MinMaxLayer] = {}
        losses: dict[int, np.ndarray] = {}
        explained: dict[int, float] = {}
        total = self.iterations * (len(units) - 1)
        with training_bar(self.progress, total, 0) as advance:

            def train(place: int, signals: _Signals) -> MinMaxLayer:
                layers[place], losses[place] = self._train(units[place], signals, advance)
                explained[place] = _explained(layers[place], signals)
                return layers[place]

            _top_down(network, units, x, target, train)
        places = range(len(units) - 1)
        self._fitted = _Fitted(
            network,
            units,
            tuple(layers[place] for place in places),
            tuple(losses[place] for place in places),
            tuple(explained[place] for place in places),
        )
        return self

    def _train(
        self, unit: Unit, signals: _Signals, advance: Callable[[int, float], None] | None
    ) -> tuple[MinMaxLayer, np.ndarray]:
        start = begin(unit.layer, unit.size, signals.detected, signals.R_l, signals.R_k)
        batches = Batches(self.seed, np.arange(len(signals.x)), self.batch_size)
        training = Training(start, signals.x, signals.R_l, signals.R_k, batches, self.conservation)
        losses = training.run(self.iterations, self.learning_rate, advance)
        return training.model(), losses

    # ------------------------------------------------------------------ the fitted model

    def _ready(self) -> _Fitted:
        if self._fitted is None:
            raise NotTrainedError("this MinMax has not been fitted: call fit(network, x) first")
        return self._fitted

    @property
    def network_(self) -> Network:
        """The network that the model was fitted to."""
        return self._ready().network

    @property
    def layers_(self) -> dict[str, MinMaxLayer]:
        """The parameters of each layer, by the name of its Dense layer, from the input."""
        fitted = self._ready()
        return dict(zip(fitted.names, fitted.layers, strict=True))

    @property
    def loss_curves_(self) -> dict[str, np.ndarray]:
        """⟨(R̂_k - R_k)²⟩ of each mini-batch before its step, by layer: (iterations,)."""
        fitted = self._ready()
        return {k: v.copy() for k, v in zip(fitted.names, fitted.losses, strict=True)}

    @property
    def explained_variance_(self) -> dict[str, float]:
        """1 - Σ (R̂_k - R_k)² / Σ (R_k - ⟨R_k⟩)² on the data of `fit`, by layer."""
        fitted = self._ready()
        return dict(zip(fitted.names, fitted.explained, strict=True))

    def score(self, x: Any, target: Any = None) -> dict[str, float]:
        """The explained variance of R_k by R̂_k on other data, by layer.

        Parameters
        ----------
        x : array (n, *input shape)
        target : None, int or (n,) ints
            As for `fit`.

        Raises
        ------
        ValueError, TypeError
            If the model has not been fitted, or x or target is not as described.
        """
        fitted = self._ready()
        x = _data(fitted.network, x)
        result: dict[str, float] = {}

        def look(place: int, signals: _Signals) -> MinMaxLayer:
            result[fitted.units[place].name] = _explained(fitted.layers[place], signals)
            return fitted.layers[place]

        _top_down(fitted.network, fitted.units, x, target, look)
        return {name: result[name] for name in fitted.names}

    def planner(self, network: Network, pooling: str) -> Planner:
        """The network of `fit` only: see `RelevanceModel.planner`."""
        fitted = self._ready()
        if not same_network(fitted.network, network):
            raise ValueError(
                "relevance_model was fitted to another network: call relevance_model.fit(network, "
                "x), or explain relevance_model.network_"
            )
        if pooling != "proportional":
            raise ValueError(f"MinMax takes pooling='proportional', got {pooling!r}")
        return partial(MinMaxPlan, fitted.units, fitted.layers)

    # ------------------------------------------------------------------ files

    def save(self, path: str | os.PathLike) -> Path:
        """Write the network and its relevance model to one .npz file, without pickle.

        `MinMax.load` reads the model, with the network as `network_`; `dtdcore.load` reads the
        network alone from the same file. The file appears whole or not at all.

        Returns
        -------
        pathlib.Path
            The file, with the suffix .npz added if it has none.
        """
        fitted = self._ready()
        with tempfile.TemporaryDirectory() as folder:
            arrays = read_npz(fitted.network.save(Path(folder) / "network.npz"), "network")
        for place, (layer, losses) in enumerate(zip(fitted.layers, fitted.losses, strict=True)):
            arrays[f"minmax_{place}_v"] = layer.lower.weight
            arrays[f"minmax_{place}_u"] = layer.upper.weight
            arrays[f"minmax_{place}_d"] = layer.upper.bias
            arrays[f"minmax_{place}_losses"] = losses
        facts = {
            "format": FORMAT,
            "settings": self._settings(),
            "explained_variance": fitted.explained,
        }
        return write_npz(path, dtdcore_minmax=np.array(json.dumps(facts)), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> MinMax:
        """Read a model that `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged or holds something else.
        """
        content = read_npz(path, "relevance model")
        if "dtdcore_minmax" not in content:
            raise ValueError(f"{path} holds no min-max relevance model saved by dtdcore")
        network = load(path)
        try:
            facts = json.loads(str(content["dtdcore_minmax"]))
            if facts["format"] != FORMAT:
                raise ValueError(
                    f"it has the format {facts['format']}, this version reads {FORMAT}"
                )
            model = cls(**facts["settings"])
            units = detection_units(network)
            layers = [_read_layer(content, place, units) for place in range(len(units) - 1)]
            losses = [content[f"minmax_{place}_losses"] for place in range(len(layers))]
            explained = tuple(float(value) for value in facts["explained_variance"])
            if len(explained) != len(layers):
                raise ValueError("its parts do not fit")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"{path} holds no min-max relevance model saved by dtdcore: {error}"
            ) from None
        model._fitted = _Fitted(network, units, tuple(layers), tuple(losses), explained)
        return model

    def _settings(self) -> dict[str, Any]:
        names = ("iterations", "batch_size", "learning_rate", "conservation", "seed")
        return {name: getattr(self, name) for name in names}

    # ------------------------------------------------------------------ text

    def summary(self) -> str:
        """A table: layer, neurons, pool size, and how well the model fits."""
        fitted = self._ready()
        lines = [("layer", "neurons", "pooled", "first loss", "last loss", "expl. variance")]
        for name, layer, losses, explained in zip(
            fitted.names, fitted.layers, fitted.losses, fitted.explained, strict=True
        ):
            ends = (losses[:1], losses[-100:])
            lines.append(
                (
                    name,
                    str(layer.lower.outputs),
                    str(layer.size),
                    *(f"{end.mean():.4g}" if len(end) else "-" for end in ends),
                    f"{explained:.4f}",
                )
            )
        return format_table(lines, left=1)

    def __repr__(self) -> str:
        defaults = MinMax()._settings()
        changed = [f"{k}={v!r}" for k, v in self._settings().items() if v != defaults[k]]
        return f"MinMax({', '.join(changed)})"


# ---------------------------------------------------------------------------- walking down


@dataclass(frozen=True, eq=False)
class _Signals:
    """What one layer's model is trained on.

    x (n, i) its inputs, detected (n, j) its own detections x_j, R_l (n, l) the relevance of the
    detection neurons above, R_k (n, k) the relevance of its outputs.
    """

    x: np.ndarray
    detected: np.ndarray
    R_l: np.ndarray
    R_k: np.ndarray


def _data(network: Network, x: Any) -> np.ndarray:
    """`x` checked, in the dtype of the network."""
    x = cast(network.check_inputs(x), network.dtype, "x")
    if len(x) == 0:
        raise ValueError("x must hold at least one sample")
    return x


def _top_down(
    network: Network,
    units: tuple[Unit, ...],
    x: np.ndarray,
    target: Any,
    model: Callable[[int, _Signals], MinMaxLayer],
) -> None:
    """Go from the top to the input; `model` gives each layer's model from what arrives there."""
    values, wanted = {}, {unit.dense for unit in units} | {unit.dense + 1 for unit in units}
    value, top = x, units[-1]
    above: list[np.ndarray] = []
    for number, layer in enumerate(network.layers):
        if number in wanted:
            values[number] = value
        if number >= top.dense:
            above.append(value)
        value = layer.forward(value)
    values.setdefault(len(network.layers), value)
    targets = single_outputs(value, target, network.class_names)
    signal = targets.start(value, lambda f: np.maximum(f, 0))[0][:, 0]
    for number in range(len(network.layers) - 1, top.dense, -1):
        signal = network.layers[number].redistribute(above[number - top.dense], signal)
    R_l = signal
    if len(units) > 1:
        signal = top.layer.redistribute(values[top.dense], R_l, ZPlus())
    for place in range(len(units) - 2, -1, -1):
        unit = units[place]
        detected = np.maximum(values[unit.dense + 1], 0)
        signals = _Signals(values[unit.dense], detected, R_l, signal)
        layer = model(place, signals)
        if place > 0:
            R_l = _predict(layer, signals)
            signal = layer.lower.redistribute(signals.x, R_l, ZPlus())


def _predict(layer: MinMaxLayer, signals: _Signals) -> np.ndarray:
    """y_j (n, j)."""
    return layer.detect(layer.lower.forward(signals.x), signals.R_l[:, None])[:, 0]


def _explained(layer: MinMaxLayer, signals: _Signals) -> float:
    return explained_variance(layer.pool(_predict(layer, signals)), signals.R_k)


def _read_layer(content: dict[str, np.ndarray], place: int, units: tuple[Unit, ...]) -> MinMaxLayer:
    v, u, d = (content[f"minmax_{place}_{name}"] for name in "vud")
    layer, above = units[place].layer, units[place + 1].layer
    if v.shape != layer.weight.shape or u.shape != (above.outputs, layer.outputs):
        raise ValueError("its parts do not fit")
    return MinMaxLayer(Dense(v), Dense(u, d), units[place].size)
