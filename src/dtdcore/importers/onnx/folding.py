# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Constant parts of an ONNX graph, computed by onnx's own reference evaluator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dtdcore.importers.onnx.file import import_onnx

#: What the reference evaluator may raise on nodes that make no sense.
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)

Arrays = Sequence[np.ndarray]


def _broadcast(xs: Arrays) -> int:
    return math.prod(np.broadcast_shapes(*(x.shape for x in xs)))


def _total(xs: Arrays) -> int:
    return sum(x.size for x in xs)


def _product(xs: Arrays) -> int:
    return math.prod(int(size) for size in xs[0].reshape(-1)) if xs else 1


def _expand(xs: Arrays) -> int:
    return math.prod(np.broadcast_shapes(xs[0].shape, tuple(int(s) for s in xs[1].reshape(-1))))


def _tile(xs: Arrays) -> int:
    return xs[0].size * math.prod(int(size) for size in xs[1].reshape(-1))


def _range(xs: Arrays) -> int:
    start, stop, step = (float(x.reshape(-1)[0]) for x in xs)
    return math.ceil(abs((stop - start) / step)) + 1


def _gather(xs: Arrays) -> int:  # each index takes at most all of the data
    return xs[0].size * max(xs[1].size, 1)


def _matmul(xs: Arrays) -> int:
    a, b = xs[0], xs[1]
    return (a.size // max(a.shape[-1], 1)) * (b.size // max(b.shape[0], 1)) * (1 + a.shape[-1])


def _by(size: Callable[[Arrays], int], names: str) -> dict[str, Callable[[Arrays], int]]:
    return dict.fromkeys(names.split(), size)


#: Operators that are folded, with a bound on the numbers (or steps) that they take: a file can ask
#: for more than any machine has.
FOLDED: dict[str, Callable[[Arrays], int]] = (
    _by(
        _broadcast,
        "Add Sub Mul Div Mod Pow Min Max Sum Mean And Or Xor Equal Less Greater LessOrEqual "
        "GreaterOrEqual Where",
    )
    | _by(
        _total,
        "Constant Identity Cast Neg Abs Sqrt Exp Log Floor Ceil Round Sign Not Reciprocal Relu "
        "Sigmoid Tanh Clip Concat Reshape Flatten Squeeze Unsqueeze Transpose Slice Split "
        "CastLike DequantizeLinear QuantizeLinear NonZero IsNaN IsInf Trilu DepthToSpace "
        "SpaceToDepth ReduceSum ReduceProd ReduceMean ReduceMax ReduceMin Shape Size Dropout",
    )
    | _by(_product, "ConstantOfShape")
    | _by(_expand, "Expand")
    | _by(_tile, "Tile")
    | _by(_range, "Range")
    | _by(_gather, "Gather")
    | _by(_matmul, "MatMul Gemm")
)


#: The evaluator knows these from an opset on that gives the same numbers as those before.
QUANTIZING = {"DequantizeLinear": 21, "QuantizeLinear": 21}


class Folder:
    """Computes constant nodes, within a budget of numbers for a whole model."""

    def __init__(self, opset: int, budget: int) -> None:
        self._opset, self._budget = opset, budget

    def fold(self, node: Any, inputs: list[np.ndarray | None]) -> list[np.ndarray]:
        """The outputs of a node whose inputs are constants (None: left out).

        Raises
        ------
        ValueError
            If it cannot be computed, or asks for too much memory.
        """
        onnx = import_onnx()
        given = [array for array in inputs if array is not None]
        names = [name for name in node.input if name]
        try:
            size = FOLDED[node.op_type](given)
            self._budget -= max(size, 0)
            if self._budget < 0:
                raise ValueError(f"constants would have {size} numbers, more than fit the model")
            graph = onnx.helper.make_graph(
                [node],
                "constant",
                [
                    onnx.helper.make_tensor_value_info(
                        name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
                    )
                    for name, array in dict(zip(names, given, strict=True)).items()
                ],
                [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
            )
            opset = max(self._opset, QUANTIZING.get(node.op_type, 0))
            opsets = [onnx.helper.make_opsetid("", opset)]
            model = onnx.helper.make_model(graph, opset_imports=opsets)
            with np.errstate(all="ignore"):
                evaluator = onnx.reference.ReferenceEvaluator(model)
                results = evaluator.run(None, dict(zip(names, given, strict=True)))
        except FAILURES as error:
            text = str(error) or type(error).__name__
            raise ValueError(f"this constant cannot be computed: {text}") from None
        named = iter(results)
        arrays = [np.asarray(next(named)) if name else np.zeros(0) for name in node.output]
        if any(array.dtype.kind not in "biuf" for array in arrays):
            raise ValueError("this constant does not hold numbers")
        return arrays
