# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Region perturbation of heatmaps of trained networks: `python bench/evaluate_nets.py`.

GoogLeNet and SqueezeNet on the photographs, ResNet-20 on CIFAR-10, by several methods and fills.
The area is the mean over steps of f, least relevant regions first, minus f, most relevant first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import dtdcore as dtd
from harness import RESULTS, environment, write_result
from real_inputs import parse_with_data, preprocessing, read_inputs

#: The network -> inputs, side of a region, steps.
CASES = {"bvlc_googlenet": (8, 16, 25), "squeezenet_v1.1": (8, 16, 25), "resnet20": (200, 4, 32)}
FILLS = ("mean", "blur", "noise")
METHODS = ("deep Taylor", "deep Taylor, winner", "sensitivity", "gradient × input", "random")


def compare(net: str, data: Path, fill: str, batch: int) -> dtd.evaluate.Comparison:
    """All methods on one network's inputs."""
    count, patch, steps = CASES[net]
    network = dtd.load(data / "models" / f"{net}.onnx", verify=False)
    domain = preprocessing(net).domain()
    x, _ = read_inputs(net, data, count)
    explainers = (
        dtd.DeepTaylor(network, domain),
        dtd.DeepTaylor(network, domain, pooling="winner"),
        dtd.Sensitivity(network),
        dtd.GradientTimesInput(network),
        "random",
    )
    methods = dict(zip(METHODS, explainers, strict=True))
    return dtd.evaluate.compare(
        network, x, methods, patch=patch, steps=steps, repeats=3, fill=fill, domain=domain,
        batch=batch, progress="auto",
    )  # fmt: skip


def main() -> None:
    """Perturb, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--json", type=Path, default=RESULTS / "evaluate-nets.json")
    options = parse_with_data(parser)
    dtd.set_num_threads(options.threads)
    result = {}
    print(
        f"| network, inputs | fill | {' | '.join(METHODS[:-1])} "
        "| deep Taylor − random, most first |\n|---|---|" + "---|" * len(METHODS)
    )
    for net in options.nets:
        for fill in FILLS:
            compared = compare(net, options.data, fill, options.batch)
            result[f"{net}, {fill}"] = compared.as_json()
            areas = [compared.average(method) for method in METHODS[:-1]]
            ahead = compared.difference("deep Taylor", "random", "most")
            cells = [f"{m:.2f} [{low:.2f}, {high:.2f}]" for m, low, high in (*areas, ahead)]
            print(f"| {net}, {CASES[net][0]} | {fill} | {' | '.join(cells)} |", flush=True)
    write_result(options.json, environment(options.threads) | {"comparisons": result})


if __name__ == "__main__":
    main()
