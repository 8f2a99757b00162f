# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Damaged and hostile ONNX files: a network or a ValueError, in bounded time and memory.

    python tests/fuzz_onnx.py --cases 10000 [--seed 1] [--verify]

Mutates a small network, and the models in the folder DTDCORE_DATA/models where that is set: bytes,
and, knowing the structure, operators, names, attributes, shapes, types and numbers. Ends with the
status 1 at anything else than a network or a ValueError; --verify runs ONNX Runtime too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from onnx_models import small_network

import dtdcore as dtd
from dtdcore.importers.onnx.folding import FOLDED
from dtdcore.importers.onnx.operators import table

SECONDS = 20  # for one case
MEMORY = 4 * 2**30  # beyond what the process has at the start
NUMBERS = [0, 1, -1, 2, 3, 7, 64, 1000, 2**31 - 1, -(2**31), 2**40, 2**62, -(2**63), 2**63 - 1]
FLOATS = [0.0, -1.0, 0.5, 1e30, -1e30, float("inf"), float("-inf"), float("nan"), 1e-40]


def sources():
    """(model, weight): the small ones are mutated more often."""
    found = [(small_network(opset), 8) for opset in (7, 11, 13, 18)]
    folder = os.environ.get("DTDCORE_DATA")
    if folder:
        for path in sorted(Path(folder, "models").glob("*.onnx")):
            found.append((onnx.load(path), 8 if path.stat().st_size < 2**21 else 1))
    return found


def mutate_bytes(rng, content):
    content = bytearray(content)
    kind = rng.integers(5)
    if kind == 0:
        return bytes(content[: rng.integers(len(content))])
    for _ in range(rng.integers(1, 4)):
        # half of them near the ends, where the structure is
        place = int(rng.integers(len(content)))
        if rng.integers(2):
            place = int(rng.integers(min(4000, len(content))))
            place = place if rng.integers(2) else len(content) - 1 - place
        if kind == 1:
            content[place] = int(rng.integers(256))
        elif kind == 2:
            content[place] ^= 1 << int(rng.integers(8))
        elif kind == 3:
            del content[place : place + int(rng.integers(1, 50))]
        else:
            content[place:place] = rng.bytes(int(rng.integers(1, 50)))
        if not content:
            break
    return bytes(content)


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def some_tensor(rng, graph):
    names = [t.name for t in graph.initializer] + [i.name for i in graph.input] + ["", "nobody"]
    names += [name for node in graph.node for name in node.output]
    return pick(rng, names)


def mutate_attribute(rng, node):
    if not node.attribute or rng.integers(4) == 0:
        names = [
            "axis",
            "axes",
            "pads",
            "strides",
            "kernel_shape",
            "group",
            "dilations",
            "ceil_mode",
            "auto_pad",
        ]
        name, number = pick(rng, names), pick(rng, NUMBERS)
        value = pick(rng, [number, [number] * int(rng.integers(5)), 0.5, "x"])
        if value == []:
            value = 1
        node.attribute.append(helper.make_attribute(name, value))
        return
    attribute = pick(rng, node.attribute)
    kind = rng.integers(5)
    if kind == 0:
        node.attribute.remove(attribute)
    elif kind == 1:
        attribute.type = int(rng.integers(15))
    elif attribute.ints:
        if kind == 2:
            attribute.ints.append(pick(rng, NUMBERS))
        else:
            attribute.ints[int(rng.integers(len(attribute.ints)))] = pick(rng, NUMBERS)
    else:
        attribute.i = pick(rng, NUMBERS)
        attribute.f = pick(rng, FLOATS)
        attribute.s = pick(rng, [b"SAME_UPPER", b"\xff\xfe", b"", b"nearest"])


def mutate_constant(rng, tensor):
    kind = rng.integers(6)
    if kind == 0:
        tensor.dims.append(pick(rng, NUMBERS))
    elif kind == 1 and tensor.dims:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = pick(rng, NUMBERS)
    elif kind == 2:
        tensor.data_type = int(rng.integers(26))
    elif kind == 3:
        tensor.raw_data = tensor.raw_data[: int(rng.integers(len(tensor.raw_data) + 1))]
    elif kind == 4:
        tensor.data_location = 1
        for key in ("location", "offset", "length"):
            value = pick(rng, ["..", "/etc/passwd", "\0", "model.onnx", "1", "-1", str(2**62)])
            tensor.external_data.add(key=key, value=value)
    elif tensor.raw_data:
        fills = [np.float32(pick(rng, FLOATS)).tobytes(), np.int64(pick(rng, NUMBERS)).tobytes()]
        fill = pick(rng, fills)
        count = len(tensor.raw_data) // len(fill)
        tensor.raw_data = fill * count + tensor.raw_data[count * len(fill) :]


def mutate_structure(rng, proto):
    graph = proto.graph
    node = pick(rng, graph.node)
    kind = rng.integers(12)
    if kind == 0:
        node.op_type = pick(rng, [*table(), *FOLDED, "Loop", "If", "Nothing"])
    elif kind == 1 and node.input:
        node.input[int(rng.integers(len(node.input)))] = some_tensor(rng, graph)
    elif kind == 2:
        node.input.append(some_tensor(rng, graph))
    elif kind == 3 and node.output:
        node.output[0] = some_tensor(rng, graph)
    elif kind == 4:
        graph.node.remove(node)
    elif kind == 5:
        graph.node.append(node)
    elif kind == 6 and graph.input[0].type.tensor_type.shape.dim:
        pick(rng, graph.input[0].type.tensor_type.shape.dim).dim_value = pick(rng, NUMBERS)
    elif kind == 7:
        proto.opset_import[0].version = pick(rng, [*NUMBERS, *range(6, 27)])
    elif kind == 8:  # a constant that asks for memory
        op = pick(rng, sorted(FOLDED))
        ins = [some_tensor(rng, graph) for _ in range(int(rng.integers(3)))]
        graph.node.append(helper.make_node(op, ins, ["new"]))
        node.input.append("new")
    elif kind == 9 and graph.initializer:
        mutate_constant(rng, pick(rng, graph.initializer))
    else:
        mutate_attribute(rng, node)


def mutated(rng, proto):
    if rng.integers(3) == 0:
        return mutate_bytes(rng, proto.SerializeToString())
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for _ in range(1 + int(rng.integers(4)) // 2):
        if copy.graph.node:
            mutate_structure(rng, copy)
    return copy.SerializeToString()


def bound_memory():
    """Allocations beyond the bound fail; gives False where that cannot be had."""
    try:
        import resource
    except ImportError:
        return False
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    return True


def run(cases, seed, verify):
    found = sources()
    weights = np.array([weight for _, weight in found], float)
    counts = {"network": 0, "error": 0}
    slowest = 0.0
    if sys.platform == "linux":
        bound_memory()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        for case in range(cases):
            rng = np.random.default_rng([seed, case])
            proto, _ = found[rng.choice(len(found), p=weights / weights.sum())]
            path.write_bytes(mutated(rng, proto))
            begin = time.perf_counter()
            try:
                network = dtd.load(path, verify=verify)
                counts["network"] += 1
                if len(network.inputs) == 1:
                    shapes = network.shapes(network.input_shape)
                    if sum(int(np.prod(shape)) for shape in shapes) < 10**6:
                        with contextlib.suppress(FloatingPointError):  # numbers that overflow
                            network.forward(np.ones((2, *network.input_shape), np.float32))
            except ValueError as error:
                counts["error"] += 1
                if str(path) not in str(error):
                    raise AssertionError(f"case {case} does not name the file: {error}") from error
            except BaseException:
                print(f"case {case} of seed {seed}", file=sys.stderr)
                raise
            took = time.perf_counter() - begin
            slowest = max(slowest, took)
            if took > SECONDS:
                raise AssertionError(f"case {case} of seed {seed} took {took:.0f} s")
    print(
        f"{cases} cases: {counts['network']} networks, {counts['error']} errors; "
        f"slowest {slowest:.1f} s"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verify", action="store_true")
    arguments = parser.parse_args()
    run(arguments.cases, arguments.seed, arguments.verify)
