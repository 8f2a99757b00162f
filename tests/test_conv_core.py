# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The core's convolutions against the oracle, in both directions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import reference as ref
import reference_conv as conv
from convolutions import CHANNELS, WIDTHS, Geometry, Packed
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import TERMS, THREADS, assert_close, bits, normal, sparse, tolerance

from dtdcore import _core


def ragged_cases():
    """Each width with kernels and strides, each number of channels with its neighbours."""
    kernels = itertools.cycle([(3, 3), (1, 1), (2, 5), (3, 3), (7, 7), (5, 1), (3, 2)])
    strides = itertools.cycle([(1, 1), (2, 2), (1, 1), (3, 2)])
    heights = itertools.cycle([3, 9, 1, 5, 12])
    paddings = itertools.cycle([((1, 1), (1, 1)), ((0, 2), (3, 0)), ((3, 3), (3, 3))])
    channels = itertools.cycle(itertools.pairwise((*CHANNELS, *CHANNELS[::3], *CHANNELS[::2])))
    for _, width in itertools.product(range(2), WIDTHS):
        geometry = Geometry(
            *next(channels), (next(heights), width), next(kernels), next(strides), next(paddings)
        )
        if min(geometry.results) > 0:
            yield geometry


CASES = [
    *ragged_cases(),
    # pointwise: one row of all pixels, with and without stride
    Geometry(17, 33, (7, 9), (1, 1)),
    Geometry(48, 16, (13, 13), (1, 1), (2, 2)),
    Geometry(3, 5, (4, 6), (1, 1), (1, 1), ((1, 2), (0, 3))),
    # few result channels, in either direction
    *(Geometry(c, 24, (5, 31), (3, 3), (1, 1), ((1, 1), (1, 1))) for c in (1, 2, 3, 4, 5)),
    *(Geometry(24, c, (6, 50), (3, 3)) for c in (1, 2, 3, 4)),
    Geometry(40, 1, (50,), (1,)),
    # groups: within, across and apart from blocks; multipliers
    Geometry(6, 4, (5, 7), (3, 3), groups=2, padding=((1, 1), (1, 1))),
    Geometry(48, 48, (4, 14), (3, 3), groups=3, padding=((1, 1), (1, 1))),
    Geometry(45, 30, (4, 7), (3, 3), (2, 2), groups=15),
    Geometry(34, 51, (3, 6), (2, 2), groups=17),
    Geometry(32, 64, (6, 6), (3, 3), (2, 1), ((1, 0), (2, 1)), groups=2),
    *(
        Geometry(c, c, (9, w), (3, 3), (s, s), ((1, 1), (1, 1)), groups=c)
        for c, w, s in ((2, 7, 1), (15, 13, 2), (16, 28, 1), (17, 29, 2), (48, 15, 3))
    ),
    Geometry(16, 16, (9, 9), (5, 5), padding=((4, 4), (4, 4)), dilation=(2, 2), groups=16),
    Geometry(17, 34, (6, 7), (3, 3), padding=((1, 1), (1, 1)), groups=17),
    Geometry(8, 24, (6, 7), (3, 3), (2, 2), groups=8),
    # dilation, with and without stride
    Geometry(5, 18, (9, 17), (3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2)),
    Geometry(7, 9, (11, 13), (3, 2), (2, 3), ((0, 4), (5, 1)), (3, 4)),
    Geometry(16, 16, (8, 28), (3, 3), (2, 2), ((2, 2), (2, 2)), (2, 2)),
    # padding larger than needed; results smaller than the padding; taps that meet no pixel
    Geometry(3, 17, (2, 3), (3, 3), (1, 1), ((5, 4), (6, 3))),
    Geometry(2, 3, (1, 1), (3, 3), (1, 1), ((1, 1), (1, 1))),
    Geometry(4, 20, (2, 2), (3, 3), (3, 3), ((7, 0), (0, 9))),
    Geometry(3, 4, (4, 4), (3, 3), (1, 1), ((9, 9), (9, 9)), (9, 9)),
    Geometry(3, 4, (4, 4), (2, 2), (1, 1), ((40, 60), (60, 40)), (100, 100)),
    # strides beyond the kernel: pixels that no tap meets
    Geometry(6, 19, (10, 11), (2, 1), (3, 3)),
    Geometry(1, 1, (9,), (2,), (5,)),
    # signals and volumes
    Geometry(3, 17, (61,), (5,), (2,), ((2, 1),)),
    Geometry(24, 24, (300,), (3,), (1,), ((2, 0),), (2,)),
    Geometry(3, 6, (250,), (1,), (2,)),
    Geometry(2, 17, (3, 4, 5), (2, 3, 3), (1, 2, 1), ((1, 0), (1, 1), (0, 2))),
    Geometry(17, 3, (4, 3, 7), (3, 3, 3), (2, 1, 2), ((1, 1), (1, 1), (1, 1)), (1, 2, 1)),
    Geometry(6, 6, (3, 5, 4), (3, 2, 3), (1, 1, 2), ((1, 1), (0, 0), (1, 1)), groups=6),
    # rows in pieces, and more images than one round of scratch memory holds
    Geometry(2, 3, (2, 225), (1, 3), (1, 1), ((0, 0), (1, 1))),
]
DIRECTIONS = pytest.mark.parametrize("transposed", [False, True], ids=["conv", "transposed"])
ALL = pytest.mark.parametrize("geometry", CASES, ids=str)


def values(rng, dtype, n, shape, nonnegative=False):
    x = normal(rng, dtype, n, *shape)
    x[rng.random(x.shape) < 0.2] = 0
    return np.abs(x) if nonnegative else x


def factors(term, x, low, high):
    """p and n of a term for inputs x, and the sums of the absolute values of their parts."""
    pp, pn, np_, nn = np.asarray(term, x.dtype).astype(np.float64)
    x = x.astype(np.float64)
    up, down = ref.positive(x), ref.negative(x)
    low, high = (0.0 if b is None else b.astype(np.float64) for b in (low, high))
    p, n = pp * up + pn * down - low, np_ * up + nn * down - high
    sizes = (np.abs(f * up) + np.abs(g * down) for f, g in ((pp, pn), (np_, nn)))
    return p, n, *(s + np.abs(b) for s, b in zip(sizes, (low, high), strict=True))


def box(x):
    low = np.minimum(x.min(axis=0, initial=0), 0) - x.dtype.type(0.5)
    return low, np.maximum(x.max(axis=0, initial=0), 0) + x.dtype.type(0.25)


@DIRECTIONS
@ALL
def test_forward_and_square(geometry, transposed, dtype, rng):
    weight = normal(rng, dtype, *geometry.weight_shape)
    x = values(rng, dtype, 2, geometry.image(transposed))
    channels = geometry.image(not transposed)[0]
    bias = normal(rng, dtype, channels)
    packed, w = Packed(geometry, transposed, weight), weight.astype(np.float64)
    allowed = tolerance(dtype, geometry.terms(transposed) + 4)
    a, size = geometry.sum(x, w, transposed), geometry.sum(np.abs(x), np.abs(w), transposed)
    assert np.abs(a).max() > 0 or geometry.dilation[0] == 100  # there all taps meet padding
    assert_close(packed.forward(x), a, size, allowed)
    per_channel = bias.astype(np.float64).reshape(-1, *[1] * (a.ndim - 2))
    a, size = a + per_channel, size + np.abs(per_channel)
    assert_close(packed.forward(x, bias), a, size, allowed)
    for ceiling in (0.0, 0.75, np.inf):
        assert_close(packed.forward(x, bias, ceiling), np.clip(a, 0, ceiling), size, allowed)
    a, size = (geometry.sum(y, w * w, transposed) for y in (x, np.abs(x)))
    assert_close(packed.square(x), a, size, allowed)


#: -1: not clamped.
CEILINGS = (-1.0, np.inf, 0.75)


@DIRECTIONS
@ALL
def test_forward_z(geometry, transposed, dtype, rng):
    weight = normal(rng, dtype, *geometry.weight_shape)
    w = weight.astype(np.float64)
    bias = normal(rng, dtype, geometry.image(not transposed)[0])
    packed = Packed(geometry, transposed, weight)
    allowed = tolerance(dtype, geometry.terms(transposed) + 4)
    for nonnegative in (False, True):
        x = values(rng, dtype, 2, geometry.image(transposed), nonnegative)
        forward = {ceiling: packed.forward(x, bias, ceiling) for ceiling in CEILINGS}
        for number, (name, (term, boxed)) in enumerate(TERMS.items()):
            bounds = box(x) if boxed else (None, None)
            p, n, p_size, n_size = factors(term, x, *bounds)
            z = geometry.sum(p, ref.positive(w), transposed)
            z += geometry.sum(n, ref.negative(w), transposed)
            size = geometry.sum(p_size, ref.positive(w), transposed)
            size += geometry.sum(n_size, np.abs(ref.negative(w)), transposed)
            ceiling = CEILINGS[number % 3]
            a, got = packed.forward_z(x, bias, ceiling, term, bounds, nonnegative)
            assert bits(a) == bits(forward[ceiling]), name
            assert_close(got, z, size, 2 * allowed)
            none, alone = packed.forward_z(x, None, ceiling, term, bounds, False, False)
            assert none is None
            assert bits(alone) == bits(got), name


@DIRECTIONS
@ALL
def test_redistribute(geometry, transposed, dtype, rng):
    weight = normal(rng, dtype, *geometry.weight_shape)
    w = weight.astype(np.float64)
    packed = Packed(geometry, transposed, weight)
    allowed = 2 * tolerance(dtype, geometry.terms(transposed) + 4)
    count, k = 2, 2
    s = sparse(rng, dtype, count, k, *geometry.image(transposed))
    if not s.any():
        s[:] = 1
    c = [geometry.sum(s, part, transposed) for part in (ref.positive(w), ref.negative(w))]
    sizes = [
        geometry.sum(np.abs(s), np.abs(part), transposed)
        for part in (ref.positive(w), ref.negative(w))
    ]
    for nonnegative in (False, True):
        x = values(rng, dtype, count, geometry.image(not transposed), nonnegative)
        start = normal(rng, dtype, count, k, *geometry.image(not transposed))
        for name, (term, boxed) in TERMS.items():
            bounds = box(x) if boxed else (None, None)
            p, n, p_size, n_size = (part[:, None] for part in factors(term, x, *bounds))
            r, scale = p * c[0] + n * c[1], p_size * sizes[0] + n_size * sizes[1]
            got = packed.redistribute(x, term, bounds, s, nonnegative)
            assert_close(got, r, scale, allowed)
            again = packed.redistribute(x, term, bounds, s, False)
            assert bits(again) == bits(got), name
            added = packed.redistribute(x, term, bounds, s, nonnegative, start)
            assert_close(added, start + r, np.abs(start) + scale, allowed)


@DIRECTIONS
def test_unit_inputs_give_the_matrix(transposed, dtype, rng):
    """The two directions of the oracle are one matrix, and so are those of the core."""
    for geometry in CASES[::7]:
        if np.prod(geometry.image(False)) * np.prod(geometry.image(True)) > 300_000:
            continue
        weight = rng.integers(-9, 9, geometry.weight_shape).astype(dtype)
        rest = geometry.stride, geometry.before, geometry.dilation, geometry.groups
        dense = conv.dense_convolution(
            weight, geometry.sizes, geometry.results, *rest, transposed=transposed
        )
        units = np.eye(len(dense.w), dtype=dtype).reshape(-1, *dense.inputs)
        rows = geometry.sum(units, weight, transposed).reshape(dense.w.shape)
        assert (rows == dense.w).all()
        rows = Packed(geometry, transposed, weight).forward(units).reshape(dense.w.shape)
        assert (rows == dense.w).all()  # whole numbers: exact


@st.composite
def geometries(draw):
    """Any geometry that has a result, small enough for the oracle."""
    axes, groups = draw(st.integers(1, 3)), draw(st.sampled_from((1, 1, 2, 3, 17)))
    each = st.integers(1, 3) if groups > 3 else st.sampled_from((1, 2, 3, 4, 5, 8, 11, 16, 17, 24))
    inputs, outputs = draw(each) * groups, draw(each) * groups

    def numbers(least, most):
        return tuple(draw(st.integers(least, most)) for _ in range(axes))

    most = (40, 9, 5)[axes - 1]
    kernel, dilation = numbers(1, 4), numbers(1, 3)
    padding = tuple(zip(numbers(0, 5), numbers(0, 5), strict=True))
    sizes = tuple(
        max(n, d * (k - 1) + 1 - b - a)
        for n, k, d, (b, a) in zip(numbers(1, most), kernel, dilation, padding, strict=True)
    )
    return Geometry(inputs, outputs, sizes, kernel, numbers(1, 4), padding, dilation, groups)


@settings(max_examples=300)
@given(geometries(), st.booleans(), st.sampled_from(("float32", "float64")), st.integers(0, 99))
def test_any_geometry(geometry, transposed, kind, seed):
    dtype, rng = np.dtype(kind), np.random.default_rng(seed)
    weight = normal(rng, dtype, *geometry.weight_shape)
    w = [part(weight.astype(np.float64)) for part in (ref.positive, ref.negative)]
    packed = Packed(geometry, transposed, weight)
    x = values(rng, dtype, 2, geometry.image(transposed))
    allowed = 2 * tolerance(dtype, geometry.terms(transposed) + 4)
    z = [geometry.sum(part, w[i], transposed) for i, part in enumerate((x, -2.0 * x))]
    size = geometry.sum(np.abs(x), w[0], transposed) + geometry.sum(
        2 * np.abs(x), -w[1], transposed
    )
    a, got = packed.forward_z(x, None, -1.0, (1, 1, -2, -2), (None, None))
    assert_close(got, sum(z), size, allowed)
    assert_close(a, geometry.sum(x, w[0] + w[1], transposed), size, allowed)
    other = values(rng, dtype, 2, geometry.image(not transposed))
    c = [geometry.sum(x[:, None], part, transposed) for part in w]
    sizes = [geometry.sum(np.abs(x[:, None]), np.abs(part), transposed) for part in w]
    p, n = (part(other.astype(np.float64))[:, None] for part in (ref.positive, ref.negative))
    r = packed.redistribute(other, (1, 0, 0, 1), (None, None), x[:, None].copy())
    assert_close(r, p * c[0] + n * c[1], p * sizes[0] - n * sizes[1], allowed)


@DIRECTIONS
def test_nothing_to_do(transposed, dtype):
    for sizes, n, k in itertools.product(((4, 5), (3,)), (0, 2), (0, 1, 3)):
        geometry = Geometry(17, 3, sizes, (2,) * len(sizes))
        packed = Packed(geometry, transposed, np.ones(geometry.weight_shape, dtype))
        x = np.ones((n, *geometry.image(transposed)), dtype)
        assert packed.forward(x).shape == (n, *geometry.image(not transposed))
        assert len(packed.square(x)) == n
        assert len(packed.forward_z(x, None, -1.0, (1, 0, 0, 1), [None] * 2)[1]) == n
        x = np.ones((n, *geometry.image(not transposed)), dtype)
        s = np.ones((n, k, *geometry.image(transposed)), dtype)
        assert packed.redistribute(x, (1, 0, 0, 1), [None] * 2, s).shape == (n, k, *x.shape[1:])


#: Work enough for threads; the last is cut into rounds of images and the first into rows.
BIG = [
    Geometry(24, 33, (29, 57), (3, 3), (1, 1), ((1, 1), (1, 1))),
    Geometry(24, 40, (28, 29), (3, 3), (2, 2), ((0, 1), (1, 1))),
    Geometry(48, 48, (29, 61), (3, 3), (1, 1), ((1, 1), (1, 1)), groups=48),
    Geometry(64, 96, (14, 15), (1, 1)),
    Geometry(3, 64, (33, 115), (3, 3), (1, 1), ((1, 1), (1, 1))),
    Geometry(40, 70, (4, 9, 11), (2, 3, 3), (1, 1, 1), ((0, 1), (1, 1), (1, 1))),
    Geometry(208, 208, (12, 13), (3, 3), (1, 1), ((1, 1), (1, 1))),
]


def everything(geometry, transposed, weight, x, other, s, bias):
    packed = Packed(geometry, transposed, weight)
    results = {"square": packed.square(x), "clamped": packed.forward(x, bias, 0.75)}
    low, high = box(np.ones_like(x[:1]))
    low_other, high_other = box(np.ones_like(other[:1]))
    for name in ("Z", "ZPlus", "ZB", "Gamma", "any"):
        term, boxed = TERMS[name]
        bounds = (low, high) if boxed else (None, None)
        a, z = packed.forward_z(x, bias, -1.0, term, bounds)
        results |= {f"a {name}": a, f"z {name}": z}
        bounds = (low_other, high_other) if boxed else (None, None)
        results[f"r {name}"] = packed.redistribute(other, term, bounds, s)
    return results


@DIRECTIONS
@pytest.mark.parametrize("geometry", BIG, ids=str)
def test_same_bits_for_threads_and_any_split(geometry, transposed, dtype, rng):
    n, k = 5, 2
    weight = normal(rng, dtype, *geometry.weight_shape)
    bias = normal(rng, dtype, geometry.image(not transposed)[0])
    x = values(rng, dtype, n, geometry.image(transposed))
    x[1:4] = np.abs(x[1:4])  # samples without negative inputs can take a shorter way
    other = values(rng, dtype, n, geometry.image(not transposed))
    other[2:] = np.abs(other[2:])
    s = sparse(rng, dtype, n, k, *geometry.image(transposed))
    _core.set_num_threads(1)
    expected = everything(geometry, transposed, weight, x, other, s, bias)
    for threads in THREADS[1:]:
        _core.set_num_threads(threads)
        for name, got in everything(geometry, transposed, weight, x, other, s, bias).items():
            assert bits(got) == bits(expected[name]), (name, threads)
    for part in (slice(0, 1), slice(1, 4), slice(4, 5)):
        results = everything(geometry, transposed, weight, x[part], other[part], s[part], bias)
        for name, got in results.items():
            assert bits(got) == bits(expected[name][part]), (name, part)
    one = Packed(geometry, transposed, weight)
    for target in range(k):
        got = one.redistribute(other, (1, 0, 0, 1), [None] * 2, s[:, target : target + 1].copy())
        assert bits(got[:, 0]) == bits(expected["r ZPlus"][:, target])


def test_many_images_in_rounds(dtype, rng):
    """More images with zeros around than the scratch memory of one round holds."""
    geometry = Geometry(16, 16, (2, 8, 56), (1, 3, 3), (1, 1, 1), ((0, 0), (1, 1), (1, 1)))
    weight = normal(rng, dtype, *geometry.weight_shape)
    x = normal(rng, dtype, 70, *geometry.image(False))
    packed = Packed(geometry, False, weight)
    a, z = packed.forward_z(x, None, -1.0, TERMS["any"][0], (None, None))
    for image in (0, 33, 47, 69):
        one = packed.forward_z(x[image : image + 1], None, -1.0, TERMS["any"][0], (None, None))
        assert bits(one[0][0]) == bits(a[image])
        assert bits(one[1][0]) == bits(z[image])
