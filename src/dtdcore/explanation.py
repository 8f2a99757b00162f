# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What an explainer returns: heatmaps, what they explain, and the proof of what was lost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dtdcore import explanation_file, explanation_table
from dtdcore.audit import Audit
from dtdcore.chosen import pick
from dtdcore.explanation_html import explanation_html
from dtdcore.naming import explained_classes, names_of
from dtdcore.steps.base import overflowing

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Heatmaps of a batch. With k targets all but `inputs` and `output` have an axis k."""

    #: How it was made, such as "DeepTaylor(Box(low=0.0, high=1.0))".
    method: str
    #: A copy of x, (n, *input shape): float32 or float64. (float16 becomes float32, whole numbers
    #: the dtype of the network's weights.) A dict by name where the network has several inputs; the
    #: original values (n, columns), of dtype object, where it encodes the columns of a table.
    inputs: Any
    #: What the network said, (n, *output shape).
    output: np.ndarray
    #: Which output was explained, its number, (n,) or (n, k); where outputs have several axes they
    #: are counted in order. Texts, such as "3-7", where a target is a contrast or a region. None
    #: where the call gave `relevance`.
    target: np.ndarray | None
    #: f(x), the number that a conservative heatmap sums to: the starting relevance. (n,) or (n, k).
    explained: np.ndarray
    #: R_p, (n, *input shape) or (n, k, *input shape), in the dtype of `inputs`; a dict likewise.
    relevance: Any
    #: The account of every layer; None for methods that do not redistribute relevance.
    audit: Audit | None
    #: Names of the numbers of an input (of one axis), where the network knows them; else empty.
    feature_names: tuple[str, ...] = ()
    #: Names of the outputs, likewise.
    class_names: tuple[str, ...] = ()
    #: Relevance at the outputs of hidden layers, by name, as asked for by `layers`: (n, *shape) or
    #: (n, k, *shape). Layers whose relevance is the same may share an array.
    at: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.output)

    def _by_input(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Inputs and relevance by the input's name."""
        if isinstance(self.inputs, dict):
            return {name: (self.inputs[name], self.relevance[name]) for name in self.inputs}
        return {"input": (self.inputs, self.relevance)}

    @property
    def dtype(self) -> np.dtype:
        """The dtype of inputs and relevance."""
        return next(relevance.dtype for _, relevance in self._by_input().values())

    @property
    def total(self) -> np.ndarray:
        """Σ_p R_p in float64, (n,) or (n, k)."""
        with overflowing():
            sums = self._per_heatmap(np.sum, dtype=np.float64)
            return sum(sums[1:], start=sums[0])

    @property
    def score(self) -> np.ndarray:
        """f(x), what the network said of the target, also where it is below 0. (n,) or (n, k).

        `explained` where the call gave `relevance`, and where a target is a region or a contrast.
        """
        if self.target is None or self.target.dtype.kind == "U":
            return self.explained
        targets = self.target if self.target.ndim > 1 else self.target[:, None]
        return pick(self.output, targets).reshape(self.explained.shape)

    @property
    def nothing_to_explain(self) -> np.ndarray:
        """Is no relevance there to be redistributed? (n,) or (n, k) bool.

        Deep Taylor decomposition explains what speaks for an output: where f(x) ≤ 0 nothing does,
        and the heatmap is 0. That is conservative by `explained` = max(0, f), and says nothing.
        Never true of methods that redistribute no relevance.
        """
        if self.audit is None:
            return np.zeros(self.explained.shape, bool)
        largest = self._per_heatmap(lambda part, axis: np.abs(part).max(axis=axis, initial=0.0))
        return (self.explained == 0) & (np.max(largest, axis=0) == 0)

    def _per_heatmap(self, reduce: Any, **options: Any) -> list[np.ndarray]:
        """Numbers (n,) or (n, k) for each input."""
        lead = self.explained.ndim
        return [
            reduce(relevance, axis=tuple(range(lead, relevance.ndim)), **options)
            for _, relevance in self._by_input().values()
        ]

    @property
    def target_names(self) -> np.ndarray | None:
        """What was explained in words, such as "zebra", "output (1, 22)", "3-7": (n,) or (n, k).

        None where the call gave `relevance`.
        """
        if self.target is None:
            return None
        return names_of(self.target, self.output.shape[1:], self.class_names)

    def is_conservative(self, rtol: float | None = None, atol: float = 0.0) -> np.ndarray:
        """Definition 1: Σ_p R_p = f(x). (n,) or (n, k) bool.

        Parameters
        ----------
        rtol, atol : float
            True where |Σ_p R_p - f(x)| ≤ atol + rtol · |f(x)|; rtol is 1e-4 for float32 and 1e-9
            for float64 by default.
        """
        if rtol is None:
            rtol = default_tolerance(self.dtype)
        with overflowing():
            missing = np.abs(self.total - self.explained)
            return missing <= atol + rtol * np.abs(self.explained)

    def is_positive(self, atol: float = 0.0) -> np.ndarray:
        """Definition 2: R_p ≥ 0 for all p (R_p ≥ -atol). (n,) or (n, k) bool."""
        return np.min(self._per_heatmap(np.min, initial=0.0), axis=0) >= -atol

    def is_consistent(self, rtol: float | None = None, atol: float = 0.0) -> np.ndarray:
        """Definition 3: conservative and positive. (n,) or (n, k) bool.

        It is no measure of quality: the uniform heatmap R_p = f(x) / d is consistent.
        """
        return self.is_conservative(rtol, atol) & self.is_positive(atol)

    def __getitem__(self, key: Any) -> Explanation:
        """The explanation of some samples: of one (a batch of one), a slice, a mask or numbers.

        Raises
        ------
        IndexError
            If there is no such sample.
        """
        chosen = np.atleast_1d(np.arange(len(self))[key])
        if chosen.ndim > 1:
            raise IndexError(f"samples have one axis, got an index of shape {chosen.shape}")

        def pick_samples(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: pick_samples(part) for name, part in value.items()}
            if isinstance(value, Audit):
                return value.samples(chosen)
            return value[chosen] if isinstance(value, np.ndarray) else value

        return replace(self, **{f.name: pick_samples(getattr(self, f.name)) for f in fields(self)})

    def save(self, path: str | os.PathLike) -> Path:
        """Write all arrays to an .npz file (no pickle), whole or not at all; returns its path.

        `Explanation.load` reads it. It holds format, relevance, inputs, output, explained, method,
        target (where there is one), feature_names and class_names (where they are known), and the
        audit as `audit_names`, `audit_rules` and `audit` (layers, n[, k], 5): received, passed on,
        absorbed by the bias, absorbed by the stabiliser, lost. Where a trained relevance model took
        part, `audit_model` (layers, n[, k]) holds what it did not predict. Of several inputs it
        holds relevance/NAME and inputs/NAME; of hidden layers at/NAME.
        """
        return explanation_file.write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Explanation:
        """Read an explanation that `save` wrote, or `dtdcore explain`.

        All is as it was, but that the rules in the audit are texts.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged or holds something else.
        """
        return cls(**explanation_file.read(path))

    def to_frame(self, library: str | None = None) -> Any:
        """A table with one row for each sample, target and number of the input.

        Its columns are sample, target (what was explained, where it was a target), class (its name,
        where that is known), input (where there are several), feature, value (x_p) and relevance
        (R_p). With pandas

            frame.pivot(index="sample", columns="feature", values="relevance")

        is the wide form, and the sum of relevance by sample and target is `total`.

        Parameters
        ----------
        library : "pandas" or "polars", optional
            By default the first of them that is installed.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame

        Raises
        ------
        ImportError
            If none is installed.
        ValueError
            If the library is another.
        """
        return explanation_table.to_frame(self, library)

    def to_dict(self) -> dict[str, Any]:
        """Method, inputs, outputs, targets and heatmaps as plain numbers, lists and texts."""
        return explanation_table.to_dict(self)

    def plot(
        self,
        names: Sequence[str] | None = None,
        layer: str | Sequence[str] | None = None,
        **options: Any,
    ) -> Figure | SubFigure:
        """Draw the inputs and heatmaps, or bars for tabular inputs; see `dtdcore.plots`.

        In a notebook the figure appears as the last expression of a cell; `figure.show()` shows it
        anywhere, also from a script in a window.

        Parameters
        ----------
        names : sequence of str, optional
            Feature names, for inputs of shape (features,). Default: `feature_names`.
        layer : str or sequence of str, optional
            Draw the relevance at these hidden layers, which `explain(x, layers=...)` keeps; "all"
            for all that it kept.
        **options
            For `dtdcore.plots.plot_explanation`, or with `layer` for `dtdcore.plots.plot_layers`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ValueError
            If there is no heatmap, or an option does not fit.
        ImportError
            If matplotlib is missing (extra `plot`).
        """
        from dtdcore import plots

        if layer is not None:
            return plots.plot_layers(self, layer, **options)
        if isinstance(self.inputs, dict):
            raise ValueError(
                "there are several inputs: plot each with dtdcore.plots.plot_explanation("
                "explanation.inputs[name], explanation.relevance[name])"
            )
        if self.relevance.size == 0:
            raise ValueError("there is no heatmap to plot: the batch is empty")
        if names is None and self.inputs.ndim == 2 and options.get("image_shape") is None:
            names = self.feature_names or None
        options = {"explained": self.score, "labels": explained_classes(self)} | options
        return plots.plot_explanation(self.inputs, self.relevance, names=names, **options)

    def __repr__(self) -> str:
        audit = [] if self.audit is None else [repr(self.audit)]
        return "\n".join([*self._summary(), *audit])

    def _summary(self) -> list[str]:
        """Lines of text: the method, and what Definitions 1 to 3 say."""
        heatmaps = self.explained.size
        lines = [
            f"{self.method}: {heatmaps} heatmap{'s' * (heatmaps != 1)} of shape "
            f"{self._shapes()}, {self.dtype}"
        ]
        nothing = self.nothing_to_explain
        if heatmaps and self.target is not None and self.output[0].size > 1:
            several = list(dict.fromkeys(self.target_names.reshape(-1).tolist()))
            lines.append(f"of {', '.join(several[:5])}{', …' * (len(several) > 5)}")
        if heatmaps and np.all(nothing):
            lines.append(
                f"f(x) {_range(self.score)}: nothing to explain, for f(x) is not above 0, so that "
                "nothing speaks for it; R is 0"
            )
        elif heatmaps:
            some = ~nothing
            with overflowing():
                difference = np.mean(np.abs(self.total - self.explained)[some])
            lines += [
                f"f(x) {_range(self.score)}, sum of R {_range(self.total)}, "
                f"mean |f - sum of R| {difference:.4g}",
                f"conservative {_share(self.is_conservative()[some])}, "
                f"positive {_share(self.is_positive()[some])}, "
                f"consistent {_share(self.is_consistent()[some])}",
            ]
            if np.any(nothing):
                lines.append(
                    f"nothing to explain in {_share(nothing)}: f(x) is not above 0 there, so that "
                    "nothing speaks for it; R is 0"
                )
        return lines

    def _repr_html_(self) -> str:
        """For notebooks: text, the audit as a table, and the first heatmaps as pictures."""
        return explanation_html(self, self._summary())

    def _shapes(self) -> str:
        if isinstance(self.inputs, dict):
            return ", ".join(f"{name} {part.shape[1:]}" for name, part in self.inputs.items())
        return str(self.inputs.shape[1:])


def default_tolerance(dtype: np.dtype) -> float:
    """The relative tolerance of conservation: 1e-4 for float32, 1e-9 for float64."""
    return 1e-4 if dtype == np.float32 else 1e-9


def _share(flags: np.ndarray) -> str:
    return f"{np.count_nonzero(flags)}/{flags.size}"


def _range(values: np.ndarray) -> str:
    low, high = f"{values.min():.4g}", f"{values.max():.4g}"
    return low if low == high else f"{low} to {high}"
