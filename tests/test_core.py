# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The dense kernels against tests/reference.py: every function x dtype x ragged size.

CI runs the suite once for each ISA level (DTDCORE_ISA); the bounds are stated in kernels.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref
from kernels import (
    TERMS,
    VECTORS,
    assert_close,
    bits,
    case,
    core,
    normal,
    ragged,
    run_quotient,
    sparse,
    tolerance,
)

from dtdcore import _core


def share_factors(x, coefficients, low, high):
    """p_i and n_i of the kernel's term, in float64."""
    pp, pn, np_, nn = coefficients
    x = x.astype(np.float64)
    p = pp * ref.positive(x) + pn * ref.negative(x) - (0 if low is None else low.astype(float))
    n = np_ * ref.positive(x) + nn * ref.negative(x) - (0 if high is None else high.astype(float))
    return p, n


def shares(x, w, coefficients, low, high):
    """q (n, i, j) of the kernel's term; w (outputs, inputs) as in the core."""
    p, n = share_factors(x, coefficients, low, high)
    w = w.T.astype(np.float64)
    return p[:, :, None] * ref.positive(w) + n[:, :, None] * ref.negative(w)


def test_core_states_its_isa_level():
    config = _core.config()
    assert config["isa"] in config["isa_levels"]
    assert set(VECTORS) >= set(config["isa_levels"])


# ------------------------------------------------------------------- forward and z


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 14])
def test_forward(dtype, rng, n):
    for outputs in ragged(dtype):
        for inputs in ragged(dtype):
            x, w, b, _, _ = case(rng, dtype, n, outputs, inputs)
            for bias in (None, b):
                a = np.full((n, outputs), np.nan, dtype)
                core("dense_forward", dtype)(x, w, bias, a)
                size = np.abs(x.astype(float)) @ np.abs(w.T.astype(float)) + (
                    0 if bias is None else np.abs(b)
                )
                assert_close(a, ref.dense(x, w.T, bias), size, tolerance(dtype, inputs + 1))


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 14])
def test_forward_z(dtype, rng, term, n):
    """a and z in one pass, and z alone; the z is the same to the bit."""
    coefficients, boxed = TERMS[term]
    for outputs in ragged(dtype):
        for inputs in ragged(dtype):
            x, w, b, low, high = case(rng, dtype, n, outputs, inputs)
            low, high = (low, high) if boxed else (None, None)
            a, z = np.full((2, n, outputs), np.nan, dtype)
            core("dense_forward_z", dtype)(x, w, b, coefficients, low, high, a, z)
            alone = np.full((n, outputs), np.nan, dtype)
            core("dense_forward_z", dtype)(x, w, None, coefficients, low, high, None, alone)
            assert bits(alone) == bits(z)
            q = shares(x, w, coefficients, low, high)
            allowed = tolerance(dtype, inputs + 1)
            # The kernel may form x - low first, whose rounding counts with |x| + |low|.
            assert_close(z, q.sum(axis=1), np.abs(q).sum(axis=1), 2 * allowed)
            size = np.abs(x.astype(float)) @ np.abs(w.T.astype(float)) + np.abs(b)
            assert_close(a, ref.dense(x, w.T, b), size, allowed)


def test_forward_z_agrees_with_forward_to_the_bit(dtype, rng):
    """The fused pass and the plain one may not tell different stories of the same network."""
    x, w, b, _, _ = case(rng, dtype, 9, 61, 67)
    plain, fused, z = np.empty((3, 9, 61), dtype)
    core("dense_forward", dtype)(x, w, b, plain)
    core("dense_forward_z", dtype)(x, w, b, (1, 0, 0, 1), None, None, fused, z)
    assert bits(plain) == bits(fused)


@pytest.mark.parametrize(
    ("n", "k", "outputs", "inputs"),
    [(1, 1, 300, 9001), (150, 1, 37, 2053), (3, 50, 131, 1030), (9, 1, 1500, 67)],
)
def test_sizes_beyond_the_blocks_of_the_kernels(dtype, rng, n, k, outputs, inputs):
    """Each size longer than any tile, panel or block; the oracle by matrix products in float64."""
    x, w, b, low, high = case(rng, dtype, n, outputs, inputs)
    s = sparse(rng, dtype, n, k, outputs)
    positive, negative = ref.positive(w.astype(float)), ref.negative(w.astype(float))
    for coefficients, boxed in TERMS.values():
        bounds = (low, high) if boxed else (None, None)
        a, z = np.full((2, n, outputs), np.nan, dtype)
        core("dense_forward_z", dtype)(x, w, b, coefficients, *bounds, a, z)
        p, q = share_factors(x, coefficients, *bounds)
        size = np.abs(p) @ positive.T - np.abs(q) @ negative.T
        allowed = 2 * tolerance(dtype, inputs + 1)
        assert_close(z, p @ positive.T + q @ negative.T, size, allowed)
        a_size = np.abs(x).astype(float) @ np.abs(w.T) + np.abs(b)
        assert_close(a, x.astype(float) @ w.T.astype(float) + b, a_size, allowed)
        r = np.full((n, k, inputs), np.nan, dtype)
        core("dense_redistribute", dtype)(x, w, coefficients, *bounds, s, 0, r)
        p, q, t = p[:, None], q[:, None], s.astype(float)
        size = np.abs(p) * (np.abs(t) @ positive) - np.abs(q) * (np.abs(t) @ negative)
        expected = p * (t @ positive) + q * (t @ negative)
        assert_close(r, expected, size, 2 * tolerance(dtype, outputs + 1))


def test_square_sums(dtype, rng):
    for outputs in ragged(dtype):
        for inputs in ragged(dtype):
            w = normal(rng, dtype, outputs, inputs)
            z = np.full(outputs, np.nan, dtype)
            core("dense_square_sums", dtype)(w, z)
            expected = (w.astype(float) ** 2).sum(axis=1)
            assert_close(z, expected, expected, tolerance(dtype, inputs))


@pytest.mark.parametrize("data", ["signed", "same sign", "constant"])
def test_float32_error_grows_no_faster_than_the_square_root(rng, data):
    """The stated float32 bound over K; sums of one sign and of equal terms are the hard ones."""
    dtype = np.dtype(np.float32)
    for inputs in (16, 61, 256, 1009, 4096, 16384, 65537):
        shape = {"constant": lambda *s: np.full(s, 0.1, dtype)}.get(
            data, lambda *s: normal(rng, dtype, *s)
        )
        x, w = shape(3, inputs), shape(8, inputs)
        if data == "same sign":
            x, w = np.abs(x), np.abs(w)
        z = np.empty((3, 8), dtype)
        core("dense_forward", dtype)(x, w, None, z)
        size = np.abs(x.astype(float)) @ np.abs(w.T.astype(float))
        expected = x.astype(float) @ w.T.astype(float)
        assert_close(z, expected, size, tolerance(dtype, inputs))
        # The other way round: K outputs send their relevance to a few inputs.
        s = np.ascontiguousarray(w[:3].reshape(3, 1, inputs))
        weights = np.ascontiguousarray(w.T)
        ones = np.ones((3, 8), dtype)
        r = np.empty((3, 1, 8), dtype)
        core("dense_redistribute", dtype)(ones, weights, (1, 1, 1, 1), None, None, s, 0, r)
        size = np.abs(s.astype(float)) @ np.abs(weights.astype(float))
        assert_close(r, s.astype(float) @ weights.astype(float), size, tolerance(dtype, inputs))


# ------------------------------------------------------------------- relevance pass


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize(("n", "k"), [(0, 1), (1, 1), (1, 3), (2, 1), (5, 2), (15, 1)])
def test_redistribute(dtype, rng, term, n, k):
    coefficients, boxed = TERMS[term]
    for outputs in ragged(dtype):
        for inputs in ragged(dtype):
            x, w, _, low, high = case(rng, dtype, n, outputs, inputs)
            low, high = (low, high) if boxed else (None, None)
            s = sparse(rng, dtype, n, k, outputs)
            q = shares(x, w, coefficients, low, high)
            products = q[:, None] * s[:, :, None, :].astype(float)
            expected, scale = products.sum(axis=-1), np.abs(products).sum(axis=-1)
            r = np.full((n, k, inputs), np.nan, dtype)
            core("dense_redistribute", dtype)(x, w, coefficients, low, high, s, 0, r)
            assert_close(r, expected, scale, 2 * tolerance(dtype, outputs + 1))
            start = normal(rng, dtype, n, k, inputs)
            r = start.copy()
            core("dense_redistribute", dtype)(x, w, coefficients, low, high, s, 1, r)
            assert_close(
                r, start + expected, np.abs(start) + scale, 2 * tolerance(dtype, outputs + 1)
            )


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 15])
def test_redistribute_square_and_gradient(dtype, rng, rows):
    for outputs in ragged(dtype):
        for inputs in ragged(dtype):
            w = normal(rng, dtype, outputs, inputs)
            s = sparse(rng, dtype, rows, outputs)
            for name, matrix in (
                ("dense_redistribute_square", w.astype(float) ** 2),
                ("dense_gradient", w.astype(float)),
            ):
                r = np.full((rows, inputs), np.nan, dtype)
                core(name, dtype)(w, s, r)
                products = s.astype(float)[:, :, None] * matrix
                assert_close(
                    r,
                    products.sum(axis=1),
                    np.abs(products).sum(axis=1),
                    2 * tolerance(dtype, outputs + 1),
                )


@pytest.mark.parametrize("n", [0, 1, 2, 7, 20])
def test_weight_gradient(dtype, rng, n):
    for outputs in ragged(dtype):
        for inputs in ragged(dtype):
            x, g = normal(rng, dtype, n, inputs), sparse(rng, dtype, n, outputs)
            gw, gb = np.full((outputs, inputs), np.nan, dtype), np.full(outputs, np.nan, dtype)
            core("dense_weight_gradient", dtype)(x, g, gw, gb)
            weight, bias = ref.dense_weight_gradient(x, g)
            scale, bias_scale = ref.dense_weight_gradient(np.abs(x), np.abs(g))
            assert_close(gw, weight.T, scale.T, tolerance(dtype, n))
            assert_close(gb, bias, bias_scale, tolerance(dtype, n))
            without = np.full_like(gw, np.nan)
            core("dense_weight_gradient", dtype)(x, g, without, None)
            assert bits(without) == bits(gw)


# ------------------------------------------------------------------- quotient and sums


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 0.25])
@pytest.mark.parametrize("biased", [False, True])
def test_quotient(dtype, rng, shared, epsilon, biased):
    for n, k in ((0, 1), (1, 1), (3, 2)):
        for outputs in ragged(dtype):
            relevance = normal(rng, dtype, n, k, outputs)
            z = normal(rng, dtype, outputs) if shared else normal(rng, dtype, n, outputs)
            bias = normal(rng, dtype, outputs) if biased else None
            if outputs > 2:
                z[..., 1] = 0
                if biased:
                    bias[1] = 0
            s, account = run_quotient(dtype, relevance, z, bias, epsilon)
            q_bias = np.zeros(outputs) if bias is None else bias.astype(float)
            full = np.broadcast_to(z.astype(float), (n, outputs))
            expected, push, lost = ref.quotient(relevance, full, q_bias, epsilon)
            condition = (np.abs(full) + np.abs(q_bias) + epsilon) / np.maximum(
                np.abs(full + q_bias + push), np.finfo(dtype).tiny
            )
            eps = np.finfo(dtype).eps
            allowed = 4 * eps * condition[:, None, :] * np.abs(expected)
            assert (np.abs(s - expected) <= allowed).all()
            # The account books what the kernel did: against its own s, in double.
            double = s.astype(float)
            for column, booked in enumerate(
                (relevance.astype(float), q_bias * double, push[:, None, :] * double, lost)
            ):
                size = np.abs(booked).sum(axis=-1)
                total = booked.sum(axis=-1)
                assert (np.abs(account[..., column] - total) <= 8 * eps * size + 1e-300).all()


def test_quotient_adds_to_the_account(dtype, rng):
    relevance, z = normal(rng, dtype, 2, 1, 5), normal(rng, dtype, 2, 5)
    _, fresh = run_quotient(dtype, relevance, z)
    s, account = np.empty_like(relevance), np.full((2, 1, 4), 100.0)
    limit = float(np.finfo(dtype).max)
    core("quotient", dtype)(relevance, z, None, 0.0, limit, s, account)
    np.testing.assert_allclose(account, fresh + 100, rtol=1e-14)


def test_quotient_books_what_cannot_be_passed(dtype):
    """z = 0, a denormal z and an s that overflows: nothing passed, R_j lost, never NaN."""
    info = np.finfo(dtype)
    denormal = float(info.smallest_subnormal)
    z = np.array([[0.0, -0.0, denormal, info.tiny, 1.0, denormal, 0.0]], dtype)
    relevance = np.array([[[3.0, -2.0, 5.0, info.max, 7.0, 0.0, 0.0]]], dtype)
    s, account = run_quotient(dtype, relevance, z)
    assert np.isfinite(s).all()
    assert (s[0, 0] == [0, 0, 0, 0, 7, 0, 0]).all()
    lost = 3.0 - 2.0 + 5.0 + float(info.max)
    assert account[0, 0, 3] == pytest.approx(lost, rel=1e-12)
    assert account[0, 0, 1] == account[0, 0, 2] == 0


def test_quotient_books_what_an_infinite_z_receives(dtype):
    z = np.array([[np.inf, -np.inf, 2.0]], dtype)
    s, account = run_quotient(dtype, np.array([[[3.0, 4.0, 8.0]]], dtype), z)
    assert s[0, 0].tolist() == [0, 0, 4]
    assert account[0, 0].tolist() == [15, 0, 0, 7]


def test_quotient_books_what_vanishes(dtype):
    """Quotients too small for a normal number: s = 0 and R_j lost, not forgotten."""
    info = np.finfo(dtype)
    z = np.array([[info.max / 2, info.max / 2, 4.0, 1.0]], dtype)
    relevance = np.array([[[info.tiny, -info.tiny * 16, info.tiny * 2, info.tiny]]], dtype)
    s, account = run_quotient(dtype, relevance, z)
    assert s[0, 0].tolist() == [0, 0, 0, info.tiny]
    assert account[0, 0, 0] == relevance.astype(float).sum()
    assert account[0, 0, 3] == relevance[..., :3].astype(float).sum()


def test_quotient_limit(dtype):
    """|s_j| beyond the limit is not passed on, |s_j| equal to it is."""
    relevance = np.array([[[8.0, -8.0, 8.5, -8.5]]], dtype)
    s, account = run_quotient(dtype, relevance, np.ones((1, 4), dtype), limit=8.0)
    assert s[0, 0].tolist() == [8.0, -8.0, 0.0, 0.0]
    assert account[0, 0].tolist() == [0.0, 0.0, 0.0, 0.0]  # 8.5 - 8.5 lost
    s, account = run_quotient(dtype, relevance[:, :, :3], np.ones((1, 3), dtype), limit=8.0)
    assert account[0, 0].tolist() == [8.5, 0.0, 0.0, 8.5]


def test_quotient_sign_of_zero_is_positive(dtype):
    """The stabiliser pushes z = 0 (and -0) to +epsilon."""
    z = np.array([[0.0, -0.0, -1.0]], dtype)
    s, account = run_quotient(dtype, np.ones((1, 1, 3), dtype), z, epsilon=0.5)
    assert s[0, 0].tolist() == [2.0, 2.0, pytest.approx(-1 / 1.5)]
    assert account[0, 0, 2] == pytest.approx(1 + 1 + 0.5 / 1.5, rel=1e-6)
    assert account[0, 0, 3] == 0


def test_redistribute_never_makes_nan_from_huge_numbers(dtype):
    """Products that underflow or are huge but finite stay finite."""
    info = np.finfo(dtype)
    tiny, root = float(info.smallest_subnormal), float(np.sqrt(info.max) / 8)
    x = np.array([[tiny, root, 0.0]], dtype)
    w = np.array([[root, root, -root], [tiny, 1.0, 0.0]], dtype)
    for coefficients, _ in TERMS.values():
        z = np.empty((1, 2), dtype)
        core("dense_forward_z", dtype)(x, w, None, coefficients, None, None, None, z)
        s, _ = run_quotient(dtype, np.ones((1, 1, 2), dtype), z)
        r = np.empty((1, 1, 3), dtype)
        core("dense_redistribute", dtype)(x, w, coefficients, None, None, s, 0, r)
        assert np.isfinite(z).all()
        assert np.isfinite(r).all()


def test_row_sums(dtype, rng):
    """Sums in double: exact to double precision for float32 rows too."""
    for rows in (0, 1, 3):
        for columns in [*ragged(dtype), 4099]:
            x = normal(rng, dtype, rows, columns)
            sums = np.full(rows, np.nan)
            core("row_sums", dtype)(x, sums)
            assert_close(sums, x.astype(float).sum(axis=1), np.abs(x).sum(axis=1) + 1.0, 1e-13)


# ------------------------------------------------------------------- errors of the border

WRONG = {
    "dense_forward": [(0, "x"), (1, "w"), (2, "b"), (3, "a")],
    "dense_gradient": [(0, "w"), (1, "g"), (2, "gx")],
    "dense_square_sums": [(1, "z")],
}


@pytest.mark.parametrize(("name", "index"), [(f, i) for f, w in WRONG.items() for i, _ in w])
def test_wrong_shapes_are_refused(dtype, name, index):
    """Each argument one too large in its last axis."""
    n, outputs, inputs = 3, 4, 5
    arguments = {
        "dense_forward": [(n, inputs), (outputs, inputs), (outputs,), (n, outputs)],
        "dense_gradient": [(outputs, inputs), (n, outputs), (n, inputs)],
        "dense_square_sums": [(outputs, inputs), (outputs,)],
    }[name]
    core(name, dtype)(*(np.zeros(shape, dtype) for shape in arguments))
    arguments[index] = (*arguments[index][:-1], arguments[index][-1] + 1)
    with pytest.raises(ValueError, match=r"."):
        core(name, dtype)(*(np.zeros(shape, dtype) for shape in arguments))


def test_wrong_dtype_is_refused(dtype):
    other = np.float64 if dtype == np.float32 else np.float32
    with pytest.raises((TypeError, ValueError)):
        core("dense_forward", dtype)(
            np.zeros((1, 2), other), np.zeros((3, 2), dtype), None, np.zeros((1, 3), dtype)
        )


def test_none_is_refused_where_an_array_is_needed(dtype):
    with pytest.raises(TypeError):
        core("dense_forward", dtype)(None, np.zeros((3, 2), dtype), None, np.zeros((1, 3), dtype))
