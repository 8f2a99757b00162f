# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX Runtime on trained networks from ONNX files, forward pass only."""

import numpy as np
import onnxruntime

from contenders import onnxruntime_nets
from contenders.onnxruntime_nets import set_threads, versions  # noqa: F401 - the same as there


def prepare(net: str, model: str, inputs: str) -> dict:
    """The forward pass; sample after sample where the file fixes a batch of 1."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = onnxruntime_nets.THREADS
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    x = np.load(inputs)
    parts = [x[i : i + 1] for i in range(len(x))] if source.shape[0] == 1 else [x]
    return {"forward": lambda: [session.run(None, {source.name: part})[0] for part in parts]}
