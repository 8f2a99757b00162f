# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers alone: forward, gradient and redistribution of plain arrays against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd

ACTIVATIONS = {
    "ReLU": (dtd.ReLU(), ()),
    "LeakyReLU": (dtd.LeakyReLU(), (0.01,)),
    "LeakyReLU 0.25": (dtd.LeakyReLU(0.25), (0.25,)),
    "Clip": (dtd.Clip(-0.5, 1.25), (-0.5, 1.25)),
    "ELU": (dtd.ELU(), (1.0,)),
    "ELU 0.3": (dtd.ELU(0.3), (0.3,)),
    "HardSigmoid": (dtd.HardSigmoid(), (1 / 6, 0.5)),
    "HardSigmoid 0.2": (dtd.HardSigmoid(0.2, 0.5), (0.2, 0.5)),
    "HardSwish": (dtd.HardSwish(), ()),
    "Tanh": (dtd.Tanh(), ()),
    "Threshold": (dtd.Threshold(0.3), (0.3, 0)),
    "Threshold value": (dtd.Threshold(-0.2, -1), (-0.2, -1)),
    "Sigmoid": (dtd.Sigmoid(), ()),
    "Softmax": (dtd.Softmax(), ()),
    "Identity": (dtd.Identity(), ()),
}
POOLS = [(None, 1), (4, 1), (3, 2), (6, 3.5), (None, np.inf), (2, np.inf), (1, 2)]


def normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


# ------------------------------------------------------------------- activations


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, dtype, rng):
    layer, arguments = ACTIVATIONS[name]
    kind = name.split()[0]
    x = 3 * normal(rng, dtype, 5, 7)
    x[0, 0], x[1, 1], x[2, 2], x[3, :] = 0, -0.5, 1.25, 40  # kinks, and where exp is large
    y = layer.forward(x)
    assert y.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(y, ref.activation(kind, x, *arguments), rtol=64 * eps, atol=8 * eps)
    for shape in ((5, 7), (5, 3, 7)):
        g = normal(rng, dtype, *shape)
        expected = ref.activation_gradient(kind, x, g.reshape(5, -1, 7), *arguments)
        actual = layer.gradient(x, g)
        assert actual.shape == shape
        assert actual.dtype == dtype
        np.testing.assert_allclose(actual, expected.reshape(shape), rtol=256 * eps, atol=64 * eps)
        # The neuron's own layer redistributes; the activation passes relevance through.
        for rule in (None, dtd.ZPlus(), dtd.Epsilon()):
            if kind != "Softmax":  # its outputs have many inputs: test_softmax.py
                assert (layer.redistribute(x, g, rule) == g).all()


def test_activations_take_any_shape_of_input(rng):
    x = rng.standard_normal((2, 3, 4, 5))
    for layer, _ in ACTIVATIONS.values():
        assert layer.forward(x).shape == x.shape
        assert layer.gradient(x, np.ones((2, 6, 3, 4, 5))).shape == (2, 6, 3, 4, 5)


def test_saturated_activations_are_finite(dtype):
    x = np.array([[-1e30, -100.0, 100.0, 1e30]], dtype)
    with np.errstate(over="raise", invalid="raise"):
        assert dtd.Sigmoid().forward(x).tolist() == [[0, pytest.approx(0, abs=1e-30), 1, 1]]
        assert dtd.Tanh().forward(x).tolist() == [[-1, -1, 1, 1]]
        assert dtd.Softmax().forward(x).tolist() == [[0, 0, 0, 1]]


# ------------------------------------------------------------------- dense


@pytest.mark.parametrize("biased", [False, True], ids=["no b", "b"])
def test_dense(dtype, biased, rng):
    for n, inputs, outputs in ((1, 1, 1), (4, 9, 5), (3, 61, 33), (0, 4, 3), (2, 0, 3), (2, 3, 0)):
        x, w = normal(rng, dtype, n, inputs), normal(rng, dtype, inputs, outputs)
        b = normal(rng, dtype, outputs) if biased else None
        layer = dtd.Dense(w, b)
        a = layer.forward(x)
        assert a.dtype == dtype
        assert a.shape == (n, outputs)
        scale = np.abs(x) @ np.abs(w) + (np.abs(b) if biased else 0)
        error = np.abs(a - ref.dense(x, w, b))
        assert (error <= ref.tolerance(dtype, inputs) * scale).all()
        for shape in ((n, outputs), (n, 2, outputs)):
            g = normal(rng, dtype, *shape)
            actual = layer.gradient(x, g)
            assert actual.shape == (*shape[:-1], inputs)
            error = np.abs(actual - ref.dense_gradient(w, g))
            assert (error <= ref.tolerance(dtype, outputs) * (np.abs(g) @ np.abs(w.T))).all()


def test_dense_describes_itself(dtype):
    w, b = np.arange(6, dtype=dtype).reshape(3, 2), np.array([1, -1], dtype)
    layer = dtd.Dense(w, b)
    assert (layer.weight == w).all()
    assert (layer.bias == b).all()
    assert (layer.inputs, layer.outputs) == (3, 2)
    assert layer.parameters == 8
    assert dtd.Dense(w).bias is None
    assert dtd.Dense(w).parameters == 6
    assert "3" in repr(layer)
    assert "2" in repr(layer)


def test_dense_keeps_its_own_copy_of_the_weights(rng):
    for order in "CF":
        w, b = np.array(rng.standard_normal((4, 3)), order=order), rng.standard_normal(3)
        layer, x = dtd.Dense(w, b), rng.standard_normal((2, 4))
        before = layer.forward(x)
        w[:], b[:] = 0, 0
        assert (layer.forward(x) == before).all()
        for array in (layer.weight, layer.bias):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def test_dtype_of_the_input_rules(rng):
    """Results have the dtype of x, whatever the weights have."""
    w64 = rng.standard_normal((6, 4))
    x64 = rng.standard_normal((3, 6))
    w32, x32 = w64.astype(np.float32), x64.astype(np.float32)
    assert dtd.Dense(w64).forward(x32).dtype == np.float32
    assert (dtd.Dense(w64).forward(x32) == dtd.Dense(w32).forward(x32)).all()
    result = dtd.Dense(w32).forward(x64)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, x64 @ w32.astype(float), rtol=1e-12, atol=1e-14)
    relevance = dtd.Dense(w32).redistribute(x64, np.ones((3, 4)), dtd.WSquare())
    assert relevance.dtype == np.float64
    assert dtd.Dense(w64).forward(np.ones((1, 6), int)).dtype == np.float64


@pytest.mark.parametrize("name", ["list", "Fortran", "strided", "reversed", "swapped", "read-only"])
def test_any_layout_of_input_gives_the_same(name, rng):
    layer = dtd.Dense(rng.standard_normal((6, 4)), rng.standard_normal(4))
    x, r = rng.standard_normal((5, 6)), rng.standard_normal((5, 4))

    def change(a):
        if name == "list":
            return a.tolist()
        if name == "Fortran":
            return np.asfortranarray(a)
        if name == "strided":
            return np.repeat(a, 2, axis=1)[:, ::2]
        if name == "reversed":
            return np.ascontiguousarray(a[::-1])[::-1]
        if name == "swapped":
            return a.astype(a.dtype.newbyteorder())
        a = a.copy()
        a.flags.writeable = False
        return a

    assert (layer.forward(change(x)) == layer.forward(x)).all()
    for rule in (dtd.ZPlus(), dtd.WSquare(), dtd.Flat(), dtd.AlphaBeta()):
        expected = layer.redistribute(x, r, rule)
        assert (layer.redistribute(change(x), change(r), rule) == expected).all()


# ------------------------------------------------------------------- pools


@pytest.mark.parametrize(("size", "p"), POOLS)
def test_neuron_pool(size, p, dtype, rng):
    layer, neurons = dtd.NeuronPool(size, p), 12
    group = neurons if size is None else size
    x = normal(rng, dtype, 4, neurons)
    x[0, :group] = 0
    eps = np.finfo(dtype).eps
    y = layer.forward(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, ref.pool(x, group, p), rtol=64 * eps)
    g = normal(rng, dtype, 4, 3, neurons // group)
    np.testing.assert_allclose(
        layer.gradient(x, g), ref.pool_gradient(x, group, p, g), rtol=256 * eps, atol=16 * eps
    )
    for rule, winner in ((None, False), ("proportional", False), ("winner", True)):
        expected = ref.pool_redistribute(x, group, g, winner).relevance
        actual = layer.redistribute(x, g, rule)
        np.testing.assert_allclose(actual, expected, rtol=64 * eps, atol=eps)


def test_sum_pool_is_the_default_and_is_a_sum():
    x = np.array([[1.0, 2.0, 0.0, 5.0]])
    assert dtd.NeuronPool().forward(x).tolist() == [[8.0]]
    assert dtd.NeuronPool(2).forward(x).tolist() == [[3.0, 5.0]]
    assert dtd.NeuronPool(2, np.inf).forward(x).tolist() == [[2.0, 5.0]]
    assert dtd.NeuronPool(2, 2).redistribute(x, [[6.0, 4.0]]).tolist() == [[2.0, 4.0, 0.0, 4.0]]
    assert dtd.NeuronPool(p="inf").p == np.inf


def test_pool_refuses_rules_of_weights():
    layer, x = dtd.NeuronPool(), np.ones((1, 4))
    for rule in (dtd.WSquare(), dtd.AlphaBeta(), "loser"):
        with pytest.raises(TypeError, match="NeuronPool"):
            layer.redistribute(x, np.ones((1, 1)), rule)


# ------------------------------------------------------------------- flatten


def test_flatten(dtype, rng):
    layer, x = dtd.Flatten(), normal(rng, dtype, 2, 3, 4, 5)
    assert (layer.forward(x) == x.reshape(2, 60)).all()
    for k in ((), (3,)):
        r = normal(rng, dtype, 2, *k, 60)
        for back in (layer.gradient(x, r), layer.redistribute(x, r)):
            assert (back == r.reshape(2, *k, 3, 4, 5)).all()
    assert dtd.Flatten().forward(np.zeros((0, 3, 4))).shape == (0, 12)
    assert dtd.Flatten().forward(np.zeros((2, 3))).shape == (2, 3)
    assert dtd.Flatten().forward(np.zeros(2)).shape == (2, 1)


# ------------------------------------------------------------------- results belong to the caller

LAYERS = {
    "Dense": dtd.Dense(np.ones((4, 4))),
    "NeuronPool": dtd.NeuronPool(1),
    "Flatten": dtd.Flatten(),
    **{name: layer for name, (layer, _) in ACTIVATIONS.items()},
}


@pytest.mark.parametrize("name", LAYERS)
def test_results_share_no_memory_with_the_arguments(name, dtype):
    """Writing into a result may not change x or the relevance that the caller still holds."""
    layer, rule = LAYERS[name], dtd.ZPlus() if name == "Dense" else None
    x, r = np.full((2, 4), 2, dtype), np.full((2, 4), 3, dtype)
    results = [
        layer.forward(x),
        layer.gradient(x, r),
        layer.redistribute(x, r, rule),
        layer.redistribute(x, r[:, None], rule),
    ]
    for result in results:
        assert result.flags.writeable
        result[...] = 77
    assert (x == 2).all()
    assert (r == 3).all()


@pytest.mark.parametrize("name", LAYERS)
def test_empty_batches_and_no_targets(name, dtype):
    layer, rule = LAYERS[name], dtd.ZPlus() if name == "Dense" else None
    empty, two = np.zeros((0, 4), dtype), np.ones((2, 4), dtype)
    assert layer.forward(empty).shape == (0, 4)
    assert layer.redistribute(empty, empty, rule).shape == (0, 4)
    assert layer.redistribute(empty, np.zeros((0, 3, 4)), rule).shape == (0, 3, 4)
    assert layer.redistribute(two, np.zeros((2, 0, 4)), rule).shape == (2, 0, 4)
    assert layer.gradient(two, np.zeros((2, 0, 4))).shape == (2, 0, 4)
