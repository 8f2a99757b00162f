# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The curves of several methods on the same inputs, and which of them is better."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dtdcore.audit import format_table
from dtdcore.evaluate.curves import Curve, band, interval
from dtdcore.evaluate.perturbation import Perturbation
from dtdcore.files import write_npz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORDERS = ("most", "least", "random")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Curves of several methods on the same inputs.

    "Most relevant first" should fall fast (a large AOPC), "least relevant first" slowly (a small
    one); the area between both, mean over k of f(x⁽ᵏ⁾ least first) - f(x⁽ᵏ⁾ most first), is large
    for a good method and 0 on average for a random order. Which method is better is decided by the
    differences on the same inputs (`difference`), not by whether two bands overlap.
    """

    #: By method, then by order: "most", "least" or (of a random method) "random".
    curves: dict[str, dict[str, Curve]]
    #: Of all bands: the share of cases in which the mean lies in them.
    confidence: float
    #: How it was made.
    perturbation: Perturbation

    @property
    def orders(self) -> tuple[str, ...]:
        """The orders of the methods that are not random."""
        known = [order for curves in self.curves.values() for order in curves]
        return tuple(order for order in ORDERS if order in known and order != "random")

    def curve(self, method: str, order: str) -> Curve:
        """One curve; a random method has the same for each order.

        Raises
        ------
        ValueError
            If there is no such method or order.
        """
        if method not in self.curves:
            raise ValueError(f"there is no method {method!r}, only {', '.join(self.curves)}")
        curves = self.curves[method]
        if order not in curves and not ("random" in curves and order in ORDERS):
            raise ValueError(f"{method!r} has no order {order!r}, only {', '.join(curves)}")
        return curves.get(order, next(iter(curves.values())))

    @property
    def aopc(self) -> dict[str, dict[str, np.ndarray]]:
        """The AOPC of each sample, (n,), by method and order: see `Curve.aopc`."""
        return {
            name: {order: curve.aopc for order, curve in curves.items()}
            for name, curves in self.curves.items()
        }

    def area(self, method: str) -> np.ndarray:
        """Area between "least" and "most relevant first" of each sample, (n,); large is good."""
        return self.curve(method, "most").aopc - self.curve(method, "least").aopc

    def measure(self, method: str, what: str) -> np.ndarray:
        """(n,): AOPC for the order "most" or "least", or the "area" between both."""
        return self.area(method) if what == "area" else self.curve(method, what).aopc

    def average(self, method: str, what: str = "area") -> tuple[float, float, float]:
        """Mean, low and high: a measure averaged over samples, with its band (see `measure`)."""
        return self._band(self.measure(method, what))

    def difference(self, method: str, other: str, what: str = "area") -> tuple[float, float, float]:
        """How much larger the measure is than that of another method on the same samples.

        Parameters
        ----------
        method, other : str
        what : "area", "most" or "least"
            See `measure`.

        Returns
        -------
        mean, low, high : float
            Of the paired differences, with their band; one that does not hold 0 decides.
        """
        return self._band(self.measure(method, what) - self.measure(other, what))

    def _band(self, values: np.ndarray) -> tuple[float, float, float]:
        mean, low, high = band(values, self.confidence, self.perturbation.seed)
        return float(mean), float(low), float(high)

    @property
    def _measures(self) -> tuple[str, ...]:
        return (*self.orders, "area") if len(self.orders) == 2 else self.orders or ("random",)

    def table(self) -> str:
        """A row for each method: AOPCs, the area between them, and paired differences.

        The first column of differences is against the random method, where there is one, the last
        one against the first method.
        """
        names, measures = list(self.curves), self._measures
        heads = {what: f"AOPC, {what} first" for what in ORDERS} | {"area": "area between"}
        columns: list[tuple[str, str, str | None]] = [
            (heads[what], what, None) for what in measures
        ]
        random = next((name for name in names if "random" in self.curves[name]), None)
        for what, other in dict.fromkeys([(measures[0], random), (measures[-1], names[0])]):
            if other is not None and len(names) > 1:
                columns.append((f"{what}, minus {other}", what, other))
        lines = [["method", *(head for head, _, _ in columns)]]
        for name in names:
            lines.append([name])
            for _, what, other in columns:
                values = self.measure(name, what)
                if other is not None:
                    values = values - self.measure(other, what)
                lines[-1].append("-" if name == other else interval(*self._band(values)))
        curve = next(iter(self.curves[names[0]].values()))
        few = "; rough and rather too narrow, with so few samples" if len(curve) < 20 else ""
        return (
            f"{format_table(lines, left=1)}\n{len(curve)} samples, {curve.filled[-1]} of "
            f"{curve.regions} regions in {len(curve.filled) - 1} steps. In brackets "
            f"{self.confidence:.0%} bands by bootstrap over samples, of differences paired{few}."
        )

    def as_json(self) -> dict[str, Any]:
        """Settings, mean curves with bands, measures, and paired differences, as plain numbers."""
        first = next(iter(next(iter(self.curves.values())).values()))
        names = list(self.curves)
        return {
            "perturbation": repr(self.perturbation),
            "samples": len(first),
            "regions": first.regions,
            "filled": first.filled.tolist(),
            "confidence": self.confidence,
            "methods": {
                name: {
                    "curves": {
                        order: _triple(*curve.band(self.confidence))
                        for order, curve in self.curves[name].items()
                    },
                    "aopc": {
                        what: _triple(*self._band(self.measure(name, what)))
                        for what in self._measures
                    },
                }
                for name in names
            },
            "differences": [
                {"method": a, "minus": b, "of": what} | _triple(*self.difference(a, b, what))
                for k, a in enumerate(names)
                for b in names[k + 1 :]
                for what in self._measures
            ],
        }

    def save(self, path: str | os.PathLike) -> Path:
        """Write all curves to an .npz file, whole or not at all; returns its path.

        It holds scores/METHOD/ORDER (n, steps + 1), filled (steps + 1,), regions, target (n,) and
        the settings as text.
        """
        arrays: dict[str, Any] = {}
        for name, curves in self.curves.items():
            for order, curve in curves.items():
                arrays[f"scores/{name}/{order}"] = curve.scores
                common = curve
        return write_npz(
            path,
            **arrays,
            filled=common.filled,
            regions=np.array(common.regions),
            target=common.target,
            perturbation=np.array(repr(self.perturbation)),
        )

    def plot(self, **options: Any) -> Figure:
        """Draw mean curves with bands: see `dtdcore.evaluate.figure.draw_curves`."""
        from dtdcore.evaluate.figure import draw_curves

        panels = {
            order: {name: self.curve(name, order) for name in self.curves}
            for order in self.orders or ("random",)
        }
        return draw_curves(panels, confidence=self.confidence, **options)

    def __repr__(self) -> str:
        return self.table()


def _triple(mean: Any, low: Any, high: Any) -> dict[str, Any]:
    """Numbers or lists for JSON; bounds that do not exist (one sample) are null."""

    def plain(value: Any) -> Any:
        value = np.asarray(value)
        return None if np.isnan(value).any() else value.tolist()

    return {"mean": plain(mean), "low": plain(low), "high": plain(high)}
