# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Deep Taylor decomposition on CPUs: explain what a trained network decided.

    import dtdcore as dtd

    net = dtd.Network([dtd.Dense(w, b), dtd.ReLU(), dtd.NeuronPool()])
    explain = dtd.DeepTaylor(net, domain=dtd.Box(0, 1))
    explanation = explain(x)

The mathematics is that of Montavon, Lapuschkin, Binder, Samek, Müller: "Explaining nonlinear
classification decisions with deep Taylor decomposition", Pattern Recognition 65, 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dtdcore._version import __version__
from dtdcore.audit import Audit, AuditEntry, ConservationError
from dtdcore.convenience import explain, load
from dtdcore.deep_taylor import DeepTaylor
from dtdcore.domains import Box, Domain, NonNegative, Reals
from dtdcore.explanation import Explanation
from dtdcore.gradients import (
    GradientTimesInput,
    IntegratedGradients,
    Sensitivity,
    SmoothGrad,
    Taylor,
)
from dtdcore.importers import from_keras, from_onnx, from_sklearn, from_torch
from dtdcore.layers import (
    ELU,
    LRN,
    Add,
    AvgPool,
    AxisMap,
    BatchNorm,
    ChannelAffine,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Gate,
    GlobalPool,
    HardSigmoid,
    HardSwish,
    Identity,
    Layer,
    LeakyReLU,
    LpPool,
    MaxPool,
    Multiply,
    NeuronPool,
    Pad,
    PReLU,
    ReLU,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    SumPool,
    Take,
    Tanh,
    Threshold,
    Transpose,
    Upsample,
)
from dtdcore.lrp import LRP
from dtdcore.network import Network
from dtdcore.relevance_models import MinMax, TrainingFree
from dtdcore.rules import (
    ZB,
    AlphaBeta,
    Epsilon,
    Flat,
    Gamma,
    GeneralizedGamma,
    Rule,
    SearchDirection,
    WSquare,
    Z,
    ZPlus,
)
from dtdcore.runtime import get_num_threads, set_num_threads, show_config
from dtdcore.runtime import read_environment as _read_environment
from dtdcore.taylor import NearestRoot, nearest_root
from dtdcore.terms import Term
from dtdcore.training import DetectionPoolingNet

if TYPE_CHECKING:
    from types import ModuleType

    from dtdcore import datasets, domains, evaluate, layers, plots, preprocessing, rules, targets

_read_environment()

#: Modules that are public, and imported when first used.
_SUBMODULES = (
    "datasets",
    "domains",
    "evaluate",
    "layers",
    "plots",
    "preprocessing",
    "rules",
    "targets",
)


def __getattr__(name: str) -> ModuleType:
    """Import a public module when it is first used."""
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module(f"dtdcore.{name}")
    hint = ""
    if not name.startswith("_"):
        from difflib import get_close_matches

        by_lower = {known.lower(): known for known in __all__}
        close = [by_lower[match] for match in get_close_matches(name.lower(), by_lower)]
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise AttributeError(f"module 'dtdcore' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    """The public names: `__all__`."""
    return list(__all__)


__all__ = [
    "ELU",
    "LRN",
    "LRP",
    "ZB",
    "Add",
    "AlphaBeta",
    "Audit",
    "AuditEntry",
    "AvgPool",
    "AxisMap",
    "BatchNorm",
    "Box",
    "ChannelAffine",
    "Clip",
    "Concat",
    "ConservationError",
    "Conv",
    "ConvTranspose",
    "DeepTaylor",
    "Dense",
    "DetectionPoolingNet",
    "Domain",
    "Epsilon",
    "Explanation",
    "Flat",
    "Flatten",
    "Gamma",
    "Gate",
    "GeneralizedGamma",
    "GlobalPool",
    "GradientTimesInput",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IntegratedGradients",
    "Layer",
    "LeakyReLU",
    "LpPool",
    "MaxPool",
    "MinMax",
    "Multiply",
    "NearestRoot",
    "Network",
    "NeuronPool",
    "NonNegative",
    "PReLU",
    "Pad",
    "ReLU",
    "Reals",
    "Reshape",
    "Rule",
    "SearchDirection",
    "Sensitivity",
    "Sigmoid",
    "Slice",
    "SmoothGrad",
    "Softmax",
    "SumPool",
    "Take",
    "Tanh",
    "Taylor",
    "Term",
    "Threshold",
    "TrainingFree",
    "Transpose",
    "Upsample",
    "WSquare",
    "Z",
    "ZPlus",
    "__version__",
    "datasets",
    "domains",
    "evaluate",
    "explain",
    "from_keras",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "get_num_threads",
    "layers",
    "load",
    "nearest_root",
    "plots",
    "preprocessing",
    "rules",
    "set_num_threads",
    "show_config",
    "targets",
]
