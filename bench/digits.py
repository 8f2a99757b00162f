# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Deep Taylor beside sensitivity on scikit-learn's digits: trains, imports, explains, draws.

    python bench/digits.py

Writes bench/results/digits.png (extras sklearn and plot). The same figure on every run.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.feature_selection import VarianceThreshold
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import dtdcore as dtd
from dtdcore.colours import colorize

matplotlib.use("Agg")
from matplotlib import pyplot

FIGURE = Path(__file__).parent / "results" / "digits.png"


def main() -> None:
    """Train on 70 % of the digits, explain one held-out digit of each class."""
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, random_state=0)
    # Pixels at the border that are nearly always empty are left out: a scaler to [0, 1] would make
    # much of the little that is there, and the domain of 0 to 16 would reach far beyond.
    front = VarianceThreshold(4.0), MinMaxScaler()
    layers = MLPClassifier(hidden_layer_sizes=(64,), alpha=1.0, max_iter=400, random_state=0)
    pipeline = make_pipeline(*front, layers).fit(x, y)
    network = dtd.from_sklearn(pipeline)
    right = pipeline.predict(x_test) == y_test
    chosen = [np.flatnonzero((y_test == digit) & right)[0] for digit in range(10)]
    images = x_test[chosen]
    methods = {
        "deep Taylor, z⁺": dtd.DeepTaylor(network, dtd.NonNegative()),
        "deep Taylor, z^B": dtd.DeepTaylor(network, dtd.Box(0, 16)),
        "sensitivity": dtd.Sensitivity(network),
    }
    print(f"accuracy on {len(x_test)} held-out digits: {right.mean():.3f}")
    for name, explain in methods.items():
        everything = explain(x_test)
        shares = everything.total / everything.explained
        print(
            f"{name}: sum of R / f {shares.min():.4g} to {shares.max():.4g}, "
            f"consistent {everything.is_consistent().mean():.1%}"
        )
    _draw(images, {name: explain(images) for name, explain in methods.items()})
    print(f"wrote {FIGURE}")


def _draw(images: np.ndarray, explanations: dict[str, dtd.Explanation]) -> None:
    figure, axes = pyplot.subplots(
        1 + len(explanations), 10, figsize=(10, 4.6), layout="constrained"
    )
    rows = {"digit": images} | {name: one.relevance for name, one in explanations.items()}
    f = next(iter(explanations.values())).explained
    for row, (title, numbers) in enumerate(rows.items()):
        for column, square in enumerate(numbers.reshape(-1, 8, 8)):
            ax = axes[row, column]
            if row == 0:
                ax.imshow(square, cmap="gray_r", vmin=0, vmax=16)
                ax.set_title(f"f = {f[column]:.1f}", fontsize=9)
            else:
                ax.imshow(colorize(square))
            ax.set_xticks([])
            ax.set_yticks([])
        axes[row, 0].set_ylabel(title.replace("z⁺", "$z^+$").replace("z^B", "$z^B$"), fontsize=9)
    figure.savefig(FIGURE, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
