# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX Runtime, forward pass only."""

import tempfile
from pathlib import Path

import onnx
import onnxruntime

from contenders.cases import read_case
from zoo.to_onnx import to_onnx

THREADS = 1


def versions() -> dict:
    """What runs."""
    return {"onnxruntime": onnxruntime.__version__, "threads": THREADS}


def set_threads(threads: int) -> None:
    """Use so many threads."""
    global THREADS  # noqa: PLW0603 - a session takes it when it is made
    THREADS = threads


def prepare(net: str, inputs: str, targets: str | None) -> dict:
    """The forward pass."""
    case = read_case(net, inputs, targets)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        onnx.save(to_onnx(case.items, case.side), path)
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    feed = {"input": case.x}
    return {"forward": lambda: session.run(None, feed)[0]}
