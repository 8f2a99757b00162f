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
    layers = MLPClassifier(hidden_layer_sizes=(64,), max_iter=400, random_state=0)
    pipeline = make_pipeline(MinMaxScaler(), layers).fit(x, y)
    network = dtd.from_sklearn(pipeline)
    right = pipeline.predict(x_test) == y_test
    chosen = [np.flatnonzero((y_test == digit) & right)[0] for digit in range(10)]
    images = x_test[chosen]
    deep = dtd.DeepTaylor(network, dtd.Box(0, 16))(images)
    sensitivity = dtd.Sensitivity(network)(images)
    everything = dtd.DeepTaylor(network, dtd.Box(0, 16))(x_test)
    shares = everything.total / everything.explained
    print(f"accuracy on {len(x_test)} held-out digits: {right.mean():.3f}")
    print(f"deep Taylor: sum of R / f {shares.min():.4f} to {shares.max():.4f}")
    print(f"consistent: {everything.is_consistent().mean():.1%}")
    _draw(images, deep, sensitivity)
    print(f"wrote {FIGURE}")


def _draw(images: np.ndarray, deep: dtd.Explanation, sensitivity: dtd.Explanation) -> None:
    figure, axes = pyplot.subplots(3, 10, figsize=(10, 3.3), layout="constrained")
    titles = ("digit", "deep Taylor", "sensitivity")
    rows = (images, deep.relevance, sensitivity.relevance)
    for row, (title, numbers) in enumerate(zip(titles, rows, strict=True)):
        for column, square in enumerate(numbers.reshape(-1, 8, 8)):
            ax = axes[row, column]
            if row == 0:
                ax.imshow(square, cmap="gray_r", vmin=0, vmax=16)
                ax.set_title(f"f = {deep.explained[column]:.1f}", fontsize=9)
            else:
                ax.imshow(colorize(square))
            ax.set_xticks([])
            ax.set_yticks([])
        axes[row, 0].set_ylabel(title, fontsize=10)
    figure.savefig(FIGURE, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
