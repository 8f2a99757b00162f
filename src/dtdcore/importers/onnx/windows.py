# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that pool."""

from __future__ import annotations

from dtdcore.importers.onnx.call import Call
from dtdcore.importers.onnx.spans import sliding
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Signal
from dtdcore.importers.windows import reduced
from dtdcore.layers import AvgPool, GlobalPool, LpPool, MaxPool

OPERATORS = Operators()


@OPERATORS.add("MaxPool", becomes="`MaxPool`")
def max_pool(call: Call) -> Signal:
    """Maxima over windows."""
    call.only_first()
    x = call.signal()
    span = sliding(call, x, None)
    ceil = call.integer("ceil_mode", 0) != 0
    return call.emit(MaxPool(span.kernel, span.stride, span.padding, span.dilation, ceil), x)


@OPERATORS.add("AveragePool", becomes="`AvgPool`")
def average_pool(call: Call) -> Signal:
    """Averages over windows."""
    x = call.signal()
    span = sliding(call, x, None)
    ceil = call.integer("ceil_mode", 0) != 0
    count = call.integer("count_include_pad", 0) != 0
    layer = AvgPool(span.kernel, span.stride, span.padding, span.dilation, ceil, count)
    return call.emit(layer, x)


@OPERATORS.add("LpPool", becomes="`LpPool`")
def lp_pool(call: Call) -> Signal:
    """p-norms over windows."""
    x = call.signal()
    span = sliding(call, x, None)
    ceil = call.integer("ceil_mode", 0) != 0
    p = call.integer("p", 2)
    return call.emit(LpPool(p, span.kernel, span.stride, span.padding, span.dilation, ceil), x)


@OPERATORS.add("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", becomes="`GlobalPool`")
def global_pool(call: Call) -> Signal:
    """Over all pixels."""
    kinds = {"GlobalAveragePool": "average", "GlobalMaxPool": "max", "GlobalLpPool": "lp"}
    return call.emit(GlobalPool(kinds[call.operator], call.integer("p", 2)), call.signal())


@OPERATORS.add("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", becomes="`GlobalPool`")
def reduce(call: Call) -> Signal:
    """Over all pixels, or over other axes that are brought to the place of pixels."""
    kind = call.operator.removeprefix("Reduce").lower()
    kind = "average" if kind == "mean" else kind
    x = call.signal()
    axes = call.axes(1, 12 if kind == "sum" else 17)
    if not axes:
        if axes == () and call.integer("noop_with_empty_axes", 0):
            return x
        raise ValueError("it reduces the batch axis too")
    over = {call.axis(axis, x) for axis in axes}
    return reduced(call, x, kind, over, call.integer("keepdims", 1) != 0)
