# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""iNNvestigate's deep_taylor.bounded on TensorFlow, as a graph: it cannot run eagerly.

Its conventions are its own: sums pass the whole relevance to every summand, averages equal parts.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from importlib.metadata import version

import numpy as np
import tensorflow as tf
from innvestigate.analyzer import BoundedDeepTaylor

from contenders.cases import read_case
from zoo import HIGH, LOW
from zoo.items import merge_batchnorm
from zoo.to_keras import to_keras

tf.compat.v1.disable_eager_execution()


def versions() -> dict:
    """What runs."""
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return {
        "innvestigate": version("innvestigate"),
        "tensorflow": tf.__version__,
        "threads": threads,
    }


def set_threads(threads: int) -> None:
    """Use so many threads."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def prepare(net: str, inputs: str, targets: str | None) -> dict:
    """The forward pass and the whole explanation."""
    case = read_case(net, inputs, targets)
    model = to_keras(merge_batchnorm(case.items), case.side)
    low, high = (bound.transpose(1, 2, 0) for bound in (LOW, HIGH))
    analyzer = BoundedDeepTaylor(model, low=low, high=high, neuron_selection_mode="index")
    x = np.ascontiguousarray(case.x.transpose(0, 2, 3, 1))
    chosen = [int(target) for target in case.targets]
    return {"explain": lambda: analyzer.analyze(x, chosen).transpose(0, 3, 1, 2)}
