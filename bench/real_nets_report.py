# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Trained networks on real inputs, in numbers: `python bench/real_nets_report.py`.

For each network: logits against ONNX Runtime's, classes against the right ones, whether the audit
closes, ΣR / f, what the biases would absorb (bias=True), and how like each other the heatmaps of
proportional pooling, winner pooling and sensitivity are (pixels, relevance summed over channels).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import dtdcore as dtd
from harness import RESULTS, environment, write_result
from real_inputs import NETS, parse_with_data, preprocessing, read_inputs

#: Row of the table -> key of the numbers.
ROWS = {
    "inputs": "inputs",
    "max relative difference of logits to ONNX Runtime": "logits_off_by",
    "same top class": "same_top",
    "right class": "right",
    "ΣR / f, proportional: mean": "total",
    "ΣR / f, winner: mean": "total_winner",
    "largest residual of the audit / f": "residual",
    "lost at z = 0 / f: mean": "lost",
    "with bias=True, absorbed by biases / f: mean": "bias",
    "... smallest": "bias_min",
    "... largest": "bias_max",
    "... lost / f: mean": "bias_lost",
    "cosine, proportional and winner": "cosine_winner",
    "rank correlation, proportional and winner": "rank_winner",
    "cosine, proportional and sensitivity": "cosine_sensitivity",
    "rank correlation, proportional and sensitivity": "rank_sensitivity",
}


def their_logits(path: Path, tensor: str, x: np.ndarray) -> np.ndarray:
    """What ONNX Runtime computes, sample after sample (mnist-8 fixes a batch of 1)."""
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (source,) = session.get_inputs()
    return np.concatenate([session.run(None, {source.name: one[None]})[0] for one in x])


def by_pixel(relevance: np.ndarray) -> np.ndarray:
    """Heatmaps (n, pixels), summed over channels."""
    return relevance.sum(axis=1, dtype=np.float64).reshape(len(relevance), -1)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over the heatmaps of the cosine of their angle."""
    products = np.sum(a * b, axis=1)
    return float(np.mean(products / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over the heatmaps of Spearman's ρ."""
    ranks = [np.argsort(np.argsort(h, axis=1, kind="stable"), axis=1) for h in (a, b)]
    a, b = (rank - (rank.shape[1] - 1) / 2 for rank in ranks)
    return cosine(a, b)


def share(entries: Any, part: str, f: np.ndarray) -> np.ndarray:
    """Σ over the layers of one column of the audit, over f: (n,)."""
    return sum(getattr(entry, part) for entry in entries) / f


def measure(net: str, data: Path, count: int) -> dict[str, Any]:
    """All numbers of one network; heatmaps of at most 8 inputs, logits of `count`."""
    path = data / "models" / f"{net}.onnx"
    network = dtd.load(path, verify=False)
    domain = preprocessing(net).domain()
    x, classes = read_inputs(net, data, count)
    ours, theirs = network.forward(x), their_logits(path, NETS[net][2], x)
    top = ours.argmax(axis=1)
    some = x[:8]
    proportional, winner = (
        dtd.DeepTaylor(network, domain, pooling=pooling)(some)
        for pooling in ("proportional", "winner")
    )
    f = proportional.explained.astype(np.float64)
    first = dtd.ZB(domain.low, domain.high, bias=True)
    rules = {"first": first, "*": dtd.ZPlus(bias=True)}
    with_bias = dtd.LRP(network, rules)(some).audit
    biases = share(with_bias, "bias", f)
    maps = by_pixel(proportional.relevance)
    winners = by_pixel(winner.relevance)
    gradients = by_pixel(dtd.Sensitivity(network)(some).relevance)
    residuals = [
        np.abs(entry.residual) / f for one in (proportional, winner) for entry in one.audit
    ]
    return {
        "net": net,
        "inputs": len(x),
        "explained": len(some),
        "logits_off_by": float(np.max(np.abs(ours - theirs).max(1) / np.abs(theirs).max(1))),
        "same_top": int(np.sum(top == theirs.argmax(axis=1))),
        "right": sum(int(t) in known for t, known in zip(top, classes, strict=True)),
        "total": float(np.mean(proportional.total / f)),
        "total_winner": float(np.mean(winner.total / f)),
        "residual": float(np.max(residuals)),
        "lost": float(np.mean(share(proportional.audit, "lost", f))),
        "bias": float(biases.mean()),
        "bias_min": float(biases.min()),
        "bias_max": float(biases.max()),
        "bias_lost": float(np.mean(share(with_bias, "lost", f))),
        "cosine_winner": cosine(maps, winners),
        "rank_winner": rank_correlation(maps, winners),
        "cosine_sensitivity": cosine(maps, gradients),
        "rank_sensitivity": rank_correlation(maps, gradients),
    }


def main() -> None:
    """Measure, print a markdown table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--count", type=int, default=1000, help="inputs where there are so many")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=RESULTS / "real-nets-report.json")
    options = parse_with_data(parser)
    dtd.set_num_threads(options.threads)
    results = [measure(net, options.data, options.count) for net in options.nets]
    print(f"| | {' | '.join(options.nets)} |\n|{'---|' * (len(results) + 1)}")
    for title, key in ROWS.items():
        cells = [r[key] if isinstance(r[key], int) else f"{r[key]:.3g}" for r in results]
        print(f"| {title} | {' | '.join(map(str, cells))} |")
    versions = {"dtdcore": dtd.__version__, "onnxruntime": onnxruntime.__version__}
    head = environment(options.threads) | {"versions": versions}
    write_result(options.json, head | {"networks": results})


if __name__ == "__main__":
    main()
