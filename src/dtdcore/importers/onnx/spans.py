# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""How windows slide: kernel, strides, dilations and pads of ONNX operators."""

from __future__ import annotations

from dataclasses import dataclass

from dtdcore.importers.onnx.call import Call
from dtdcore.importers.record import Signal
from dtdcore.importers.windows import reached, same


@dataclass(frozen=True)
class Span:
    """How a window slides, one entry for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]


def sliding(
    call: Call, x: Signal, kernel: tuple[int, ...] | None, transposed: bool = False
) -> Span:
    """The window of a node, its pads as numbers whatever `auto_pad` says.

    `kernel` is that of the weights; None for pools. With `transposed` the caller finds the pads of
    SAME.
    """
    axes = len(x.shape) - 1
    if axes not in (1, 2, 3):
        raise ValueError(f"inputs with {axes} spatial axes are not supported, 1, 2 or 3 are")
    stated = call.integers("kernel_shape", kernel)
    if kernel is not None and stated != kernel:
        raise ValueError(f"kernel_shape is {stated}, the weights have {kernel}")
    stride = call.integers("strides", (1,) * axes)
    dilation = call.integers("dilations", (1,) * axes)
    pads = call.integers("pads", (0,) * (2 * axes))
    for name, numbers, count, least in (
        ("kernel_shape", stated, axes, 1),
        ("strides", stride, axes, 1),
        ("dilations", dilation, axes, 1),
        ("pads", pads, 2 * axes, 0),
    ):
        if numbers is None or len(numbers) != count or min(numbers) < least:
            raise ValueError(f"{name} must be {count} whole numbers >= {least}, got {numbers}")
    auto_pad = call.text("auto_pad", "NOTSET")
    if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad={auto_pad!r} is unknown")
    padding = tuple(zip(pads[:axes], pads[axes:], strict=True))
    if auto_pad != "NOTSET":
        padding = ((0, 0),) * axes
    if auto_pad.startswith("SAME") and not transposed:
        spans = zip(x.shape[1:], stated, stride, dilation, strict=True)
        padding = tuple(same(*span, auto_pad == "SAME_LOWER") for span in spans)
    if kernel is None and not call.integer("ceil_mode", 0):
        spans = zip(x.shape[1:], stated, stride, dilation, padding, strict=True)
        padding = tuple(reached(*span) for span in spans)
    return Span(stated, stride, dilation, padding)
