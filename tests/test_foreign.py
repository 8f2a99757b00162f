# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Byte orders, masked arrays, numbers of other libraries: what becomes of them, or a clear error.

The network is f = x_0 + 10 x_1 + 100 x_2, in float32.
"""

from __future__ import annotations

import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import dtdcore as dtd

X = np.array([[1.5, 2.0, 3.0]])
THIRD = np.array([[1 / 3, 0.0, 0.0]])


@pytest.fixture
def net():
    return dtd.Network([dtd.Dense(np.array([[1.0], [10.0], [100.0]], np.float32))])


@pytest.mark.parametrize("code", ["f8", "f4", "f2", "i8", "i4", "i2", "u2", "u1", "?"])
def test_byte_order_changes_nothing(code, net):
    x = np.array([[1, 2, 3]]).astype(code) if code != "f8" else THIRD
    there, back = x.astype(x.dtype.newbyteorder(">")), x.astype(x.dtype.newbyteorder("<"))
    explain = dtd.LRP(net, dtd.Z())
    for one, other in ((explain(there), explain(back)), (explain(there), explain(x))):
        assert one.relevance.dtype == (np.float64 if code == "f8" else np.float32)
        assert one.relevance.dtype == other.relevance.dtype
        assert one.relevance.dtype.isnative
        assert (one.relevance == other.relevance).all()
    if code == "f8":
        assert explain(there).explained[0] == 1 / 3


def test_weights_keep_their_precision_in_any_byte_order():
    for weight in (THIRD.astype(">f8"), THIRD.astype(">f4")):
        layer = dtd.Dense(weight.T)
        assert layer.weight.dtype == weight.dtype.newbyteorder("=")
        assert layer.forward(np.array([[1, 0, 0]]))[0, 0] == weight[0, 0]


def test_masked_arrays(net):
    assert net.forward(np.ma.array(X)).tolist() == [[321.5]]
    assert net.forward(np.ma.array(X, mask=[[False] * 3])).tolist() == [[321.5]]
    masked = np.ma.array(X, mask=[[False, True, False]])
    for call in (net.forward, net.gradient, dtd.LRP(net), dtd.DeepTaylor(net), dtd.Taylor(net)):
        with pytest.raises(ValueError, match=r"x\[0, 1\] is masked: .*Fill them first"):
            call(masked)
    with pytest.raises(ValueError, match="high"):
        dtd.Box(0, np.ma.array([1.0, 2.0], mask=[True, False]))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X.astype(np.longdouble), "float128; .astype\\(np.float64\\)|longdouble|float96"),
        (X.astype(complex), "complex128; choose .real"),
        (X.astype(str), "got dtype <U"),
        (np.zeros(1, [("a", "f4"), ("b", "f4")]), r"pandas.DataFrame\(x\)"),
        (X.astype("M8[s]"), "divide by a unit of time"),
        ([[1, None, 2]], r"x\[0, 1\] is missing \(None\)"),
        (np.array([[1, "a", 2]], object), r"got 'a' at x\[0, 1\]"),
    ],
)
def test_what_is_no_real_number(x, message, net):
    if x is not None and getattr(x, "dtype", None) == np.float64:
        pytest.skip("here a long double is a double")
    with pytest.raises(TypeError, match=message):
        net.forward(x)


def test_matrices_and_objects_that_are_numbers(net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.asmatrix(X)
    assert type(net.forward(matrix)) is np.ndarray
    assert net.forward(matrix).tolist() == [[321.5]]
    said = net.forward(X.astype(object))
    assert said.dtype == np.float64
    assert said.tolist() == [[321.5]]
    assert net.forward(np.array([[1, True, np.int8(3)]], object)).dtype == np.float32
    assert net.forward(np.array([[np.float32(1.5), 2, 3]], object)).dtype == np.float32
    mixed = np.array([[Decimal("1.5"), Fraction(4, 2), np.bool_(True)]], object)
    assert net.forward(mixed).tolist() == [[121.5]]


def test_bfloat16(net):
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    said = net.forward(X.astype(ml_dtypes.bfloat16))
    assert said.dtype == np.float32
    assert said.tolist() == [[321.5]]
    assert net.forward(X.astype(ml_dtypes.int4)).tolist() == [[321]]


class Tensor:
    """What a tensor of PyTorch shows: NumPy takes it on the CPU and without a graph only."""

    def __init__(self, values, device="cpu", requires_grad=True):
        self.values, self.requires_grad = values, requires_grad
        self.device = type("Device", (), {"type": device, "__str__": lambda self: f"{device}:0"})()

    def detach(self):
        return Tensor(self.values, self.device.type, False)

    def is_floating_point(self):
        return True

    def element_size(self):
        return self.values.itemsize

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        return self.values


def test_tensors_with_a_graph_and_elsewhere(net):
    assert net.forward(Tensor(X)).tolist() == [[321.5]]
    with pytest.raises(TypeError, match=r"x lies on the device cuda:0: give a copy on the CPU"):
        net.forward(Tensor(X, "cuda"))
