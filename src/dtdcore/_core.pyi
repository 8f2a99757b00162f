# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Types of the native core; see csrc/dtd.h for what each function computes."""

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Coefficients = tuple[float, float, float, float]
Normalisation = tuple[int, int, float, float, float]  # before, after, alpha, beta, k
Window = tuple[int, ...]  # 24 numbers: `window_of` in _image.pxi

def set_num_threads(threads: int) -> None: ...
def get_num_threads() -> int: ...
def select_isa(name: str | None) -> None: ...
def config() -> dict[str, object]: ...
def dense_forward_f32(x: F32, w: F32, b: F32 | None, a: F32) -> None: ...
def dense_forward_z_f32(
    x: F32,
    w: F32,
    b: F32 | None,
    coefficients: Coefficients,
    low: F32 | None,
    high: F32 | None,
    a: F32 | None,
    z: F32,
) -> None: ...
def dense_square_sums_f32(w: F32, z: F32) -> None: ...
def dense_redistribute_f32(
    x: F32,
    w: F32,
    coefficients: Coefficients,
    low: F32 | None,
    high: F32 | None,
    s: F32,
    accumulate: bool,
    r: F32,
) -> None: ...
def dense_redistribute_square_f32(w: F32, s: F32, r: F32) -> None: ...
def dense_gradient_f32(w: F32, g: F32, gx: F32) -> None: ...
def dense_weight_gradient_f32(x: F32, g: F32, gw: F32, gb: F32 | None) -> None: ...
def quotient_f32(
    relevance: F32,
    z: F32,
    bias: F32 | None,
    epsilon: float,
    limit: float,
    s: F32,
    account: F64,
) -> None: ...
def row_sums_f32(x: F32, sums: F64) -> None: ...
def pool_forward_f32(x: F32, size: int, p: float, y: F32) -> None: ...
def pool_gradient_f32(x: F32, y: F32, size: int, p: float, g: F32, gx: F32) -> None: ...
def pool_redistribute_f32(
    x: F32,
    size: int,
    winner: bool,
    relevance: F32,
    r: F32,
    account: F64,
) -> None: ...
def first_outside_f32(x: F32, low: F32, high: F32) -> int: ...
def dense_forward_f64(x: F64, w: F64, b: F64 | None, a: F64) -> None: ...
def dense_forward_z_f64(
    x: F64,
    w: F64,
    b: F64 | None,
    coefficients: Coefficients,
    low: F64 | None,
    high: F64 | None,
    a: F64 | None,
    z: F64,
) -> None: ...
def dense_square_sums_f64(w: F64, z: F64) -> None: ...
def dense_redistribute_f64(
    x: F64,
    w: F64,
    coefficients: Coefficients,
    low: F64 | None,
    high: F64 | None,
    s: F64,
    accumulate: bool,
    r: F64,
) -> None: ...
def dense_redistribute_square_f64(w: F64, s: F64, r: F64) -> None: ...
def dense_gradient_f64(w: F64, g: F64, gx: F64) -> None: ...
def dense_weight_gradient_f64(x: F64, g: F64, gw: F64, gb: F64 | None) -> None: ...
def quotient_f64(
    relevance: F64,
    z: F64,
    bias: F64 | None,
    epsilon: float,
    limit: float,
    s: F64,
    account: F64,
) -> None: ...
def row_sums_f64(x: F64, sums: F64) -> None: ...
def pool_forward_f64(x: F64, size: int, p: float, y: F64) -> None: ...
def pool_gradient_f64(x: F64, y: F64, size: int, p: float, g: F64, gx: F64) -> None: ...
def pool_redistribute_f64(
    x: F64,
    size: int,
    winner: bool,
    relevance: F64,
    r: F64,
    account: F64,
) -> None: ...
def first_outside_f64(x: F64, low: F64, high: F64) -> int: ...
def train_f32(
    x: F32,
    y: F32,
    pools: tuple[int, ...],
    p: float,
    weights: tuple[F32, ...],
    biases: tuple[F32, ...],
    weight_velocities: tuple[F32, ...] | None,
    bias_velocities: tuple[F32, ...] | None,
    order: NDArray[np.uintp],
    rates: F64,
    momentum: float,
    loss: F64,
) -> int: ...
def train_f64(
    x: F64,
    y: F64,
    pools: tuple[int, ...],
    p: float,
    weights: tuple[F64, ...],
    biases: tuple[F64, ...],
    weight_velocities: tuple[F64, ...] | None,
    bias_velocities: tuple[F64, ...] | None,
    order: NDArray[np.uintp],
    rates: F64,
    momentum: float,
    loss: F64,
) -> int: ...
def image_block_f32(plain: F32, blocked: F32) -> None: ...
def image_unblock_f32(blocked: F32, plain: F32) -> None: ...
def window_pool_f32(window: Window, kind: int, p: float, x: F32, y: F32) -> None: ...
def window_pool_gradient_f32(
    window: Window, kind: int, p: float, x: F32 | None, g: F32, gx: F32
) -> None: ...
def window_winner_f32(
    window: Window, absolute: bool, x: F32, relevance: F32, r: F32, account: F64
) -> None: ...
def window_redistribute_f32(
    window: Window,
    kind: int,
    factor: tuple[float, float, float],
    low: F32 | None,
    epsilon: float,
    x: F32,
    relevance: F32,
    accumulate: bool,
    r: F32,
    account: F64,
) -> None: ...
def image_block_f64(plain: F64, blocked: F64) -> None: ...
def image_unblock_f64(blocked: F64, plain: F64) -> None: ...
def window_pool_f64(window: Window, kind: int, p: float, x: F64, y: F64) -> None: ...
def window_pool_gradient_f64(
    window: Window, kind: int, p: float, x: F64 | None, g: F64, gx: F64
) -> None: ...
def window_winner_f64(
    window: Window, absolute: bool, x: F64, relevance: F64, r: F64, account: F64
) -> None: ...
def window_redistribute_f64(
    window: Window,
    kind: int,
    factor: tuple[float, float, float],
    low: F64 | None,
    epsilon: float,
    x: F64,
    relevance: F64,
    accumulate: bool,
    r: F64,
    account: F64,
) -> None: ...
def lrn_forward_f32(channels: int, numbers: Normalisation, x: F32, y: F32) -> None: ...
def lrn_gradient_f32(
    channels: int, targets: int, numbers: Normalisation, x: F32, g: F32, gx: F32
) -> None: ...
def lrn_forward_f64(channels: int, numbers: Normalisation, x: F64, y: F64) -> None: ...
def lrn_gradient_f64(
    channels: int, targets: int, numbers: Normalisation, x: F64, g: F64, gx: F64
) -> None: ...

Sizes3 = tuple[int, int, int]

class ConvShape:
    def __init__(
        self,
        inputs: int,
        outputs: int,
        groups: int,
        in_: Sizes3,
        out: Sizes3,
        kernel: Sizes3,
        stride: Sizes3,
        dilation: Sizes3,
        before: Sizes3,
    ) -> None: ...
    def packed_size(self, transposed: bool, real_size: int) -> int: ...

def conv_pack_f32(shape: ConvShape, transposed: bool, w: F32, packed: F32) -> None: ...
def conv_forward_f32(
    shape: ConvShape,
    transposed: bool,
    images: int,
    x: F32,
    w: F32,
    b: F32 | None,
    ceiling: float,
    a: F32,
) -> None: ...
def conv_square_f32(
    shape: ConvShape, transposed: bool, images: int, x: F32, w: F32, a: F32
) -> None: ...
def conv_forward_z_f32(
    shape: ConvShape,
    transposed: bool,
    images: int,
    x: F32,
    w: F32,
    b: F32 | None,
    ceiling: float,
    coefficients: tuple[float, float, float, float],
    low: F32 | None,
    high: F32 | None,
    nonnegative: bool,
    a: F32 | None,
    z: F32,
) -> None: ...
def conv_redistribute_f32(
    shape: ConvShape,
    transposed: bool,
    samples: int,
    targets: int,
    x: F32,
    w: F32,
    coefficients: tuple[float, float, float, float],
    low: F32 | None,
    high: F32 | None,
    nonnegative: bool,
    s: F32,
    accumulate: bool,
    r: F32,
    next_z: F32 | None = None,
    next_bias: F32 | None = None,
    next_epsilon: float = 0,
    next_limit: float = 0,
    next_account: F64 | None = None,
) -> None: ...
def add_f32(x: F32, y: F32, ceiling: float, sum: F32) -> None: ...
def share_f32(
    x: list[F32],
    p_positive: float,
    p_negative: float,
    epsilon: float,
    limit: float,
    relevance: F32,
    r: list[F32],
    account: F64,
) -> None: ...
def conv_pack_f64(shape: ConvShape, transposed: bool, w: F64, packed: F64) -> None: ...
def conv_forward_f64(
    shape: ConvShape,
    transposed: bool,
    images: int,
    x: F64,
    w: F64,
    b: F64 | None,
    ceiling: float,
    a: F64,
) -> None: ...
def conv_square_f64(
    shape: ConvShape, transposed: bool, images: int, x: F64, w: F64, a: F64
) -> None: ...
def conv_forward_z_f64(
    shape: ConvShape,
    transposed: bool,
    images: int,
    x: F64,
    w: F64,
    b: F64 | None,
    ceiling: float,
    coefficients: tuple[float, float, float, float],
    low: F64 | None,
    high: F64 | None,
    nonnegative: bool,
    a: F64 | None,
    z: F64,
) -> None: ...
def conv_redistribute_f64(
    shape: ConvShape,
    transposed: bool,
    samples: int,
    targets: int,
    x: F64,
    w: F64,
    coefficients: tuple[float, float, float, float],
    low: F64 | None,
    high: F64 | None,
    nonnegative: bool,
    s: F64,
    accumulate: bool,
    r: F64,
    next_z: F64 | None = None,
    next_bias: F64 | None = None,
    next_epsilon: float = 0,
    next_limit: float = 0,
    next_account: F64 | None = None,
) -> None: ...
def add_f64(x: F64, y: F64, ceiling: float, sum: F64) -> None: ...
def share_f64(
    x: list[F64],
    p_positive: float,
    p_negative: float,
    epsilon: float,
    limit: float,
    relevance: F64,
    r: list[F64],
    account: F64,
) -> None: ...
