# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch operators that pool, pad or resize images."""

from __future__ import annotations

import math

import numpy as np

from dtdcore.arrays import require
from dtdcore.importers.building import affine, reshaped, transposed
from dtdcore.importers.operators import Operators
from dtdcore.importers.record import Signal
from dtdcore.importers.torch.call import Call
from dtdcore.importers.torch.elementwise import bounded
from dtdcore.importers.windows import (
    adaptive,
    check_map,
    check_places,
    enlarged,
    mapped,
    padded,
    picked,
    reduced,
    to_depth,
    to_space,
)
from dtdcore.layers import AvgPool, MaxPool, SumPool

OPERATORS = Operators()

#: What np.pad calls PyTorch's modes of padding.
MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@OPERATORS.add(
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    becomes="`MaxPool`",
)
def max_pool(call: Call) -> Signal:
    """Maxima over windows."""
    x = call.x
    axes = len(x.shape) - 1
    size = call.wholes("kernel_size", axes)
    stride, padding = call.wholes("stride", axes, size), call.wholes("padding", axes, 0)
    dilation = call.wholes("dilation", axes, 1)
    return call.emit(MaxPool(size, stride, padding, dilation, call.flag("ceil_mode")), x)


@OPERATORS.add(
    "avg_pool1d", "avg_pool2d", "avg_pool3d", becomes="`AvgPool`; `SumPool` with divisor_override"
)
def avg_pool(call: Call) -> Signal:
    """Averages over windows."""
    x = call.x
    axes = len(x.shape) - 1
    size = call.wholes("kernel_size", axes)
    stride, padding = call.wholes("stride", axes, size), call.wholes("padding", axes, 0)
    ceil = call.flag("ceil_mode")
    if call.has("divisor_override"):
        y = call.emit(SumPool(size, stride, padding, ceil=ceil), x)
        return affine(call, y, np.array(1 / call.whole("divisor_override"), call.dtype), None)
    count = call.flag("count_include_pad", True)
    return call.emit(AvgPool(size, stride, padding, ceil=ceil, count_padding=count), x)


@OPERATORS.add(
    *(f"adaptive_{kind}_pool{axes}d" for kind in ("avg", "max") for axes in (1, 2, 3)),
    becomes="`GlobalPool`, `AvgPool`, `MaxPool`; `Take` where sizes do not divide",
)
def adaptive_pool(call: Call) -> Signal:
    """Windows that follow from the size of the output."""
    return adaptive(call, call.x, call.shape[1:], "avg" in call.operator)


@OPERATORS.add(
    "mean", "sum", "amax", "max", "amin", "min", becomes="`GlobalPool`; of -x for minima"
)
def reduce(call: Call) -> Signal:
    """Over all pixels, or over other axes that are brought to the place of pixels."""
    if call.has("other"):
        return bounded(call)
    x, dims = call.x, call.value("dim")
    if dims is None or dims == []:
        raise ValueError("it reduces the batch axis too")
    dims = dims if isinstance(dims, (list, tuple)) else [dims]
    over = {call.axis(dim, x) for dim in dims}
    kind = {"mean": "average", "amax": "max", "amin": "min"}.get(call.operator, call.operator)
    return reduced(call, x, kind, over, call.flag("keepdim"))


@OPERATORS.add("pad", "constant_pad_nd", becomes="`Pad`; `Take` in other modes")
def pad(call: Call) -> Signal:
    """A frame of a constant, or of the numbers of the image; negative widths cut."""
    x, widths, mode = call.x, call.value("pad"), call.value("mode", "constant")
    if not all(type(width) is int for width in widths) or len(widths) > 2 * len(x.shape):
        raise ValueError(f"pad must be two whole numbers for each axis of a sample, got {widths}")
    rank = len(x.shape)
    before, after = [0] * rank, [0] * rank
    for i in range(len(widths) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = widths[2 * i : 2 * i + 2]
    if mode not in MODES:
        raise ValueError(f"mode={mode!r} is unknown")
    return padded(call, x, before, after, MODES[mode], call.number("value", 0.0))


@OPERATORS.add(
    *(
        f"{name}{axes}d"
        for name in ("upsample_nearest", "_upsample_nearest_exact")
        for axes in "123"
    ),
    becomes="`Upsample`; `Take` where it is not by whole numbers",
)
def upsample(call: Call) -> Signal:
    """Each number repeated, or left out."""
    times = [new / size for new, size in zip(call.shape, call.x.shape, strict=True)]
    scales = [1.0, *_scales(call, len(times) - 1)]
    if all(t == int(t) and s in (None, t) for t, s in zip(times, scales, strict=True)):
        return enlarged(call, call.x, list(map(int, times)))
    return resampled(call)


@OPERATORS.add(
    "upsample_linear1d",
    "upsample_bilinear2d",
    "upsample_trilinear3d",
    "upsample_bicubic2d",
    becomes="`AxisMap` for each axis",
)
def resampled(call: Call) -> Signal:
    """PyTorch's own weights (or places) along each axis: what it makes of unit inputs."""
    torch = require("torch", "torch")
    x = call.x
    axes = len(x.shape) - 1
    align = [call.flag("align_corners")] if call.has("align_corners") else []
    nearest, scales = "nearest" in call.operator, _scales(call, axes)
    operator = getattr(torch.ops.aten, call.operator).default
    for axis, (size, new) in enumerate(zip(x.shape[1:], call.shape[1:], strict=True)):
        shape, sizes, factors = [1] * axes, [1] * axes, [None] * axes
        shape[axis], sizes[axis], factors[axis] = size, new, scales[axis]
        if nearest:
            check_places(new)
            units = torch.arange(size, dtype=torch.float64).reshape(1, 1, *shape)
        else:
            check_map(size, new)
            dtype = torch.float64 if call.dtype == np.float64 else torch.float32
            units = torch.eye(size, dtype=dtype).reshape(1, size, *shape)
        rows = operator(units, sizes, *align, *factors).reshape(-1, new).numpy()
        x = (picked if nearest else mapped)(call, x, 1 + axis, rows[0] if nearest else rows)
    return x


@OPERATORS.add(
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", becomes="an error: without antialias only"
)
def antialiased(call: Call) -> Signal:
    """There is no layer for it."""
    raise ValueError("antialias=True is not supported: resize with antialias=False")


def _scales(call: Call, axes: int) -> list[float | None]:
    """The scales that a node states, which its coordinates follow; None: as the sizes say."""
    if call.has("scale_factors"):
        return list(call.value("scale_factors"))
    names = ["scales"] if axes == 1 else ["scales_d", "scales_h", "scales_w"][-axes:]
    return [call.value(name) for name in names]


@OPERATORS.add("pixel_shuffle", "pixel_unshuffle", becomes="`Reshape` and `Transpose`")
def pixel_shuffle(call: Call) -> Signal:
    """Channels to pixels, or pixels to channels."""
    if call.operator == "pixel_shuffle":
        return to_space(call, call.x, call.whole("upscale_factor"), True)
    return to_depth(call, call.x, call.whole("downscale_factor"), True)


@OPERATORS.add("channel_shuffle", "native_channel_shuffle", becomes="`Reshape` and `Transpose`")
def channel_shuffle(call: Call) -> Signal:
    """The channels of groups in turn."""
    x, groups = call.x, call.whole("groups")
    y = reshaped(call, x, (groups, x.shape[0] // groups, math.prod(x.shape[1:])))
    return reshaped(call, transposed(call, y, (1, 0, 2)), x.shape)
