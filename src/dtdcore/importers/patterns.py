# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers that PyTorch spells out in several operators: found by what their last node depends on.

Nodes are those of a graph that torch.export gives, or look like them: `args` and `kwargs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dtdcore.layers import LRN, Layer, LpPool, SumPool

#: Operators that only give samples another shape.
SHAPING = ("view", "reshape", "squeeze", "unsqueeze")

#: A layer, and the node whose value comes into it.
Found = tuple[Layer, Any]


class Pattern:
    """Looks at nodes by the names of their operators."""

    def __init__(self, operator_of: Callable[[Any], str]) -> None:
        self._operator = operator_of

    def find(self, node: Any) -> Found | None:
        """The layer that ends in a node, if it is one of those that are spelled out."""
        if self._is(node, "div"):
            return self._response_norm(node)
        if self._is(node, "pow"):
            return self._norm_pool(node)
        return None

    def _is(self, node: Any, *operators: str) -> bool:
        return hasattr(node, "args") and self._operator(node) in operators

    def _through(self, node: Any) -> Any:
        while self._is(node, *SHAPING):
            node = node.args[0]
        return node

    def _number(self, node: Any, operator: str) -> tuple[Any, float] | None:
        """(what comes in, the number) of an operator with a number."""
        if not self._is(node, operator) or len(node.args) != 2 or node.kwargs:
            return None
        what, number = node.args
        return (what, float(number)) if isinstance(number, (int, float)) else None

    def _response_norm(self, node: Any) -> Found | None:
        """x / (k + alpha · average of x² over channels)^beta."""
        x, below = node.args[:2]
        numbers = []
        for operator in ("pow", "add", "mul"):
            step = self._number(below, operator)
            if step is None:
                return None
            below, number = step
            numbers.append(number)
        beta, k, alpha = numbers
        pool = self._through(below)
        if not self._is(pool, "avg_pool2d", "avg_pool3d"):
            return None
        size, *ones = pool.args[1]
        framed = pool.args[0]
        if set(ones) | set(pool.args[2]) != {1} or len(pool.args) > 3:
            return None
        if not self._is(framed, "pad", "constant_pad_nd"):
            return None
        *zeros, before, after = framed.args[1]
        square = self._through(framed.args[0])
        if any(zeros) or (before, after) != (size // 2, (size - 1) // 2):
            return None
        if not self._is(square, "mul") or set(square.args) != {x}:
            return None
        if size % 2 == 0:
            raise ValueError(f"a local response norm over {size} channels: only odd numbers")
        return LRN(size, alpha, beta, k), x

    def _norm_pool(self, node: Any) -> Found | None:
        """(sign(a) relu(|a|) · count)^(1/p), where a is the average of x^p."""
        root = self._number(node, "pow")
        times = self._number(root[0], "mul") if root else None
        if times is None or not self._is(times[0], "mul"):
            return None
        sign, positive = times[0].args
        if not (self._is(sign, "sign") and self._is(positive, "relu")):
            return None
        pool, size = sign.args[0], positive.args[0]
        if not (self._is(size, "abs") and size.args[0] == pool):
            return None
        if not self._is(pool, "avg_pool1d", "avg_pool2d", "avg_pool3d"):
            return None
        power = self._number(pool.args[0], "pow")
        if power is None or abs(power[1] * root[1] - 1) > 1e-6:
            return None
        x, p = power
        window = pool.args[1]
        stride = (pool.args[2] if len(pool.args) > 2 else None) or window
        padding = pool.args[3] if len(pool.args) > 3 else [0]
        ceil = pool.args[4] if len(pool.args) > 4 else False
        if any(padding) or ceil:
            return None  # the count is that of a whole window
        if p == 1:
            return SumPool(tuple(window), tuple(stride)), x
        if p % 2:
            raise ValueError(f"a pool by the norm p = {p:g}: only 1 and even numbers are supported")
        return LpPool(p, tuple(window), tuple(stride)), x
