# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Arguments of Conv and ConvTranspose: padding by name, what is shown, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import dtdcore as dtd


def test_same_and_valid(rng):
    for kernel, dilation in (((3, 3), 1), ((2, 5), 1), ((4, 1), (3, 2))):
        w = rng.standard_normal((2, 3, *kernel))
        same = dtd.Conv(w, padding="same", dilation=dilation)
        assert same.output_shape((3, 7, 9)) == (2, 7, 9)
        for before, after in same.padding:
            assert after - before in (0, 1)
        valid = dtd.Conv(w, padding="valid", dilation=dilation)
        assert valid.padding == ((0, 0), (0, 0))
        x = rng.standard_normal((1, 3, 20, 21))
        (top, bottom), (left, right) = same.padding
        inner = same.forward(x)[:, :, top : 20 - bottom, left : 21 - right]
        np.testing.assert_allclose(inner, valid.forward(x), rtol=1e-12, atol=1e-12)


def test_repr():
    w = np.ones((4, 3, 3, 3), np.float32)
    assert repr(dtd.Conv(w)) == "Conv(3 -> 4, 3x3, float32)"
    assert repr(dtd.Conv(w, np.zeros(4), stride=2, padding=1)) == (
        "Conv(3 -> 4, 3x3, stride 2, padding 1, bias, float32)"
    )
    many = dtd.Conv(np.ones((6, 1, 3)), padding=[(0, 2)], dilation=3, groups=6)
    assert repr(many) == "Conv(6 -> 6, 3, padding (0, 2), dilation 3, groups 6, float64)"
    up = dtd.ConvTranspose(w, stride=(1, 2), padding=(0, 1))
    assert repr(up) == "ConvTranspose(4 -> 3, 3x3, stride (1, 2), padding (0, 1), float32)"


W = np.ones((4, 2, 3, 3))
ERRORS = {
    "axes": (lambda: dtd.Conv(np.ones((4, 2))), r"weight must have shape.*\(4, 2\)"),
    "too many axes": (lambda: dtd.Conv(np.ones((1,) * 6)), r"weight must have shape.*1, 2 or 3"),
    "empty": (lambda: dtd.Conv(np.ones((4, 0, 3))), r"weight must have shape.*no size 0"),
    "nan": (lambda: dtd.Conv(W * np.nan), "weight"),
    "text": (lambda: dtd.Conv("weights"), "weight"),
    "bias": (lambda: dtd.Conv(W, np.ones(3)), r"bias must have shape \(4,\), got \(3,\)"),
    "bias, transposed": (
        lambda: dtd.ConvTranspose(W, np.ones(4)),
        r"bias must have shape \(2,\), got \(4,\)",
    ),
    "bias inf": (lambda: dtd.Conv(W, np.full(4, np.inf)), "bias"),
    "groups": (lambda: dtd.Conv(W, groups=3), "groups=3 must divide the 4 channels"),
    "groups 0": (lambda: dtd.Conv(W, groups=0), "groups must be at least 1, got 0"),
    "stride 0": (lambda: dtd.Conv(W, stride=0), "stride must be at least 1, got 0"),
    "stride half": (lambda: dtd.Conv(W, stride=1.5), "stride must be a whole number, got 1.5"),
    "strides": (lambda: dtd.Conv(W, stride=(1, 2, 3)), "stride must be one number or 2, got 3"),
    "stride large": (lambda: dtd.Conv(W, stride=2**70), "stride must be at most 2147483647"),
    "dilation": (lambda: dtd.Conv(W, dilation=(1, 0)), "dilation must be at least 1, got 0"),
    "dilation large": (lambda: dtd.Conv(W, dilation=2**40), "dilation must be at most"),
    "padding": (lambda: dtd.Conv(W, padding=-1), "padding must be at least 0, got -1"),
    "padding large": (lambda: dtd.Conv(W, padding=[(0, 2**31), 0]), "padding must be at most"),
    "padding name": (lambda: dtd.Conv(W, padding="full"), "padding must be.*'valid'.*'full'"),
    "paddings": (lambda: dtd.Conv(W, padding=(1, 1, 1)), "padding must be one number.*2 axes"),
    "padding triple": (lambda: dtd.Conv(W, padding=((1, 2, 3), 0)), r"\(before, after\), got"),
    "same": (lambda: dtd.Conv(W, padding="same", stride=2), "padding='same' asks for stride 1"),
    "more": (
        lambda: dtd.ConvTranspose(W, stride=2, output_padding=2),
        "output_padding must be smaller than stride or dilation, got 2 with stride 2",
    ),
    "channels": (
        lambda: dtd.Conv(W).forward(np.ones((1, 3, 5, 5))),
        r"takes inputs of shape \(2, height, width\), got \(3, 5, 5\)",
    ),
    "input axes": (
        lambda: dtd.Conv(W).forward(np.ones((1, 2, 5))),
        r"takes inputs of shape \(2, height, width\), got \(2, 5\)",
    ),
    "too small": (
        lambda: dtd.Conv(W).forward(np.ones((1, 2, 2, 5))),
        r"no output for inputs of shape \(2, 2, 5\)",
    ),
    "no pixels": (
        lambda: dtd.Conv(W, padding=3).forward(np.ones((1, 2, 0, 5))),
        r"no output for inputs of shape \(2, 0, 5\)",
    ),
    "cut to nothing": (
        lambda: dtd.ConvTranspose(W, padding=2).forward(np.ones((1, 4, 2, 5))),
        r"no output for inputs of shape \(4, 2, 5\)",
    ),
    "in a network": (lambda: dtd.Network([dtd.Conv(W)], (3, 5, 5)), r"\(3, 5, 5\)"),
    "x nan": (lambda: dtd.Conv(W).forward(np.full((1, 2, 5, 5), np.nan)), "x"),
    "relevance": (
        lambda: dtd.Conv(W).redistribute(np.ones((1, 2, 5, 5)), np.ones((1, 4, 2, 3)), dtd.Z()),
        "relevance",
    ),
    "no rule": (
        lambda: dtd.Conv(W).redistribute(np.ones((1, 2, 5, 5)), np.ones((1, 4, 3, 3))),
        "needs a rule",
    ),
    "direction": (
        lambda: dtd.LRP(dtd.Network([dtd.Conv(W)], (2, 5, 5)), dtd.SearchDirection([1.0, 2.0])),
        r"Conv\(2 -> 4, 3x3, float64\) cannot take the rule SearchDirection",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_was_expected(name):
    call, text = ERRORS[name]
    with pytest.raises((ValueError, TypeError), match=text):
        call()


def test_overflow_is_said_and_not_returned():
    w = np.full((1, 1, 2), 3e38, np.float32)
    x = np.full((1, 1, 4), 3e38, np.float32)
    with pytest.raises(FloatingPointError, match=r"overflows float32 in Conv\(1 -> 1"):
        dtd.Conv(w).forward(x)
    r = np.ones((1, 1, 3), np.float32)  # z overflows: nothing can be passed on
    with pytest.raises(FloatingPointError, match="float32"):
        dtd.LRP(dtd.Network([dtd.Conv(w)], (1, 4)), dtd.Z())(x, relevance=r)


def test_weights_are_a_copy_and_read_only(rng):
    weight = rng.standard_normal((2, 3, 3))
    layer = dtd.Conv(weight)
    before = layer.weight.copy()
    weight[:] = 0
    assert (layer.weight == before).all()
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0] = 0
