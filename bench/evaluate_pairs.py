# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Region perturbation of heatmaps of MNIST pairs by several methods: `bench/evaluate_pairs.py`.

Trains the one-layer network of `dtdcore mnist` with fewer iterations and explains held-out pairs
that show the digit. Regions of 4x4 pixels are replaced by three fills. MNIST is read from the
folder of DTDCORE_DATA, or downloaded.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import dtdcore as dtd
from dtdcore.datasets import digit_pairs, mnist
from dtdcore.experiments.pair_methods import flat
from dtdcore.experiments.pairs import explainers
from harness import RESULTS, environment, write_result

PIXELS = (28, 56)
PATCH = 4
DIGIT = 3
FILLS: dict[str, Any] = {"black": 0.0, "blur": "blur", "noise": "noise"}


def trained(iterations: int) -> dtd.Network:
    """400 detection neurons, one sum, as in `dtdcore mnist`."""
    pairs = digit_pairs(*mnist(None, "train"), DIGIT, 60_000, 0)
    model = dtd.DetectionPoolingNet(
        units=[(400, None)], iterations=iterations, batch_size=20, seed=0, progress="auto"
    )
    return model.fit(flat(pairs.images), pairs.outputs(100.0)).network_


def main() -> None:
    """Train, explain, perturb, print tables, write JSON and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=60_000)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=RESULTS / "evaluate-pairs.json")
    options = parser.parse_args()
    dtd.set_num_threads(options.threads)
    network = trained(options.iterations)
    held_out = digit_pairs(*mnist(None, "test"), DIGIT, 10_000, 1)
    found = network.forward(flat(held_out.images))[:, 0] > 50
    accuracy = float(np.mean(found == held_out.present))
    x = flat(held_out.images)[held_out.present & found][: options.pairs]
    methods = {
        **dict(reversed(explainers(network).items())),  # deep Taylor, z^B first
        "Gradient × input": dtd.GradientTimesInput(network),
    }
    relevances = {name: explain(x).relevance for name, explain in methods.items()}
    relevances["random"] = "random"
    result = {"accuracy": accuracy, "iterations": options.iterations, "fills": {}}
    print(f"accuracy {accuracy:.4f}; {len(x)} held-out pairs in which the {DIGIT} was found")
    figure = Figure(figsize=(9.2, 3.6 * len(FILLS)), dpi=100, layout="constrained")
    parts = figure.subfigures(len(FILLS), 1)
    for (name, fill), part in zip(FILLS.items(), parts, strict=True):
        compared = dtd.evaluate.compare(
            network,
            x,
            relevances,
            shape=PIXELS,
            patch=PATCH,
            fill=fill,
            domain=dtd.Box(0, 1),
            batch=256,
            progress="auto",
        )
        print(f"\nregions of {PATCH}x{PATCH} pixels, fill: {name}\n{compared.table()}")
        compared.plot(title=f"pairs of MNIST digits, fill: {name}", figure=part)
        result["fills"][name] = compared.as_json()
    write_result(options.json, environment(options.threads) | result)
    figure.savefig(options.json.with_suffix(".png"))


if __name__ == "__main__":
    main()
