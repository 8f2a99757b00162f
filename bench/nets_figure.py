# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The figure of explain_nets.py's results: `python bench/nets_figure.py results/nets.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

#: What is drawn, from the cheapest to the dearest: (contender, operation), name, colour.
BARS = {
    ("onnxruntime", "forward"): ("ONNX Runtime, forward only", "#bbbbbb"),
    ("torch", "forward"): ("PyTorch, forward only", "#888888"),
    ("dtdcore", "explain"): ("dtdcore", "#c0392b"),
    ("byhand", "explain"): ("PyTorch by hand", "#7fb3d5"),
    ("captum", "explain"): ("Captum", "#5499c7"),
    ("innvestigate", "explain"): ("iNNvestigate", "#2e6da4"),
    ("zennit", "explain"): ("Zennit", "#1b4f72"),
}


def draw(path: Path) -> None:
    """Bars of the medians, a panel for each batch size, beside the JSON."""
    result = json.loads(path.read_text())
    batches = sorted({case["case"]["batch"] for case in result["cases"]})
    figure, panels = plt.subplots(
        len(batches), 1, figsize=(9, 3.2 * len(batches)), squeeze=False, layout="constrained"
    )
    for panel, batch in zip(panels[:, 0], batches, strict=True):
        cases = [case for case in result["cases"] if case["case"]["batch"] == batch]
        width = 0.85 / len(BARS)
        for number, ((label, op), (name, colour)) in enumerate(BARS.items()):
            heights = [
                case["seconds"].get(label, {}).get(op, {}).get("median", float("nan")) * 1e3
                for case in cases
            ]
            places = [place + number * width for place in range(len(cases))]
            panel.bar(places, heights, width, color=colour, label=name)
        panel.set_yscale("log")
        panel.set_ylabel("ms, median")
        panel.set_title(f"batch {batch}, {result['threads']} threads", fontsize=10)
        centres = [place + width * (len(BARS) - 1) / 2 for place in range(len(cases))]
        panel.set_xticks(centres, [case["case"]["net"] for case in cases])
        panel.spines[["top", "right"]].set_visible(False)
    panels[0, 0].legend(fontsize=8, ncols=2, frameon=False)
    figure.savefig(path.with_suffix(".png"), dpi=120)
    plt.close(figure)
    print(f"drew {path.with_suffix('.png')}")


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
