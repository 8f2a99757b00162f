# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks: forward and gradient against the oracle, shapes and names, save and load."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import pytest
import reference as ref

import dtdcore as dtd


def normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


def chain(rng, dtype, outputs=4):
    """One layer of every kind, as oracle layers and as a Network."""
    w1, b1 = normal(rng, dtype, 12, 24), normal(rng, dtype, 24)
    w2, w3 = normal(rng, dtype, 12, 10), normal(rng, dtype, 5, outputs)
    b3 = normal(rng, dtype, outputs)
    oracle = [
        ("Dense", w1, b1),
        ("LeakyReLU", 0.1),
        ("NeuronPool", 2, 2),
        ("Dense", w2),
        ("ReLU",),
        ("Tanh",),
        ("NeuronPool", 2, np.inf),
        ("Sigmoid",),
        ("Dense", w3, b3),
        ("Clip", -2.0, 3.0),
        ("Softmax",),
    ]
    network = dtd.Network(
        [
            dtd.Flatten(),
            dtd.Dense(w1, b1),
            dtd.LeakyReLU(0.1),
            dtd.NeuronPool(2, 2),
            dtd.Dense(w2),
            dtd.ReLU(),
            dtd.Identity(),
            dtd.Tanh(),
            dtd.NeuronPool(2, np.inf),
            dtd.Sigmoid(),
            dtd.Dense(w3, b3),
            dtd.Clip(-2, 3),
            dtd.Softmax(),
        ],
        input_shape=(3, 4),
    )
    return oracle, network


def test_forward(dtype, rng):
    oracle, network = chain(rng, dtype)
    x = normal(rng, dtype, 7, 3, 4)
    y = network.forward(x)
    assert y.dtype == dtype
    assert y.shape == (7, 4)
    expected = ref.network_activations(oracle, x.reshape(7, 12))[-1]
    np.testing.assert_allclose(y, expected, rtol=5e3 * np.finfo(dtype).eps)
    assert network.forward(x[:0]).shape == (0, 4)


def test_gradient(dtype, rng):
    oracle, network = chain(rng, dtype)
    x = normal(rng, dtype, 7, 3, 4)
    targets = rng.integers(0, 4, (7, 3))
    g = np.eye(4)[targets]
    expected = ref.network_gradient(oracle, x.reshape(7, 12), g).reshape(7, 3, 3, 4)
    tolerance = 1e4 * np.finfo(dtype).eps * np.abs(expected).max()
    actual = network.gradient(x, targets)
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)
    for k in range(3):
        assert (network.gradient(x, targets[:, k]) == actual[:, k]).all()
    assert (network.gradient(x, 2) == network.gradient(x, np.full(7, 2))).all()
    largest = network.forward(x).argmax(axis=1)
    assert (network.gradient(x) == network.gradient(x, largest)).all()


def test_gradient_is_the_derivative(rng):
    """Central differences of forward itself."""
    _, network = chain(rng, np.float64)
    x = rng.standard_normal((5, 3, 4))
    step = 1e-6
    gradient = network.gradient(x, 1)
    for i, j in np.ndindex(3, 4):
        d = np.zeros((3, 4))
        d[i, j] = step
        numeric = (network.forward(x + d) - network.forward(x - d))[:, 1] / (2 * step)
        np.testing.assert_allclose(gradient[:, i, j], numeric, rtol=1e-4, atol=1e-8)


def test_one_output_is_the_default_target(rng):
    network = dtd.Network([dtd.Dense(rng.standard_normal((3, 5))), dtd.ReLU(), dtd.NeuronPool()])
    x = rng.standard_normal((4, 3))
    assert (network.gradient(x) == network.gradient(x, 0)).all()
    assert network.gradient(x).shape == (4, 3)
    assert network.gradient(x, np.zeros((4, 1), int)).shape == (4, 1, 3)


def test_network_describes_itself(rng):
    _, network = chain(rng, np.float32)
    assert network.input_shape == (3, 4)
    assert network.output_shape == (4,)
    assert network.dtype == np.float32
    assert len(network.layers) == 13
    text = network.summary()
    for name in ("dense_1", "dense_3", "neuronpool_2", "softmax_1", "NeuronPool(size=2", "24"):
        assert name in text
    parameters = 12 * 24 + 24 + 12 * 10 + 5 * 4 + 4
    assert f"{parameters:,} parameters" in text
    assert "Dense" in repr(network)


def test_shapes_that_depend_on_the_input():
    """Without weights nothing fixes the input's shape: it may differ from call to call."""
    network = dtd.Network([dtd.ReLU(), dtd.Flatten(), dtd.NeuronPool(2)])
    assert network.input_shape is None
    assert network.output_shape is None
    assert network.forward(np.ones((1, 4))).tolist() == [[2, 2]]
    assert network.forward(np.ones((1, 2, 3))).tolist() == [[2, 2, 2]]
    with pytest.raises(ValueError, match="neuronpool_1"):
        network.forward(np.ones((1, 3)))
    assert "relu_1" in network.summary()


def test_names(rng):
    w = rng.standard_normal((3, 3))
    network = dtd.Network([("first", dtd.Dense(w)), dtd.ReLU(), dtd.Dense(w), ("last", dtd.ReLU())])
    names = [node.name for node in network.nodes]
    assert names[0] == "first"
    assert names[3] == "last"
    assert len(set(names)) == 4
    explanation = dtd.DeepTaylor(network)(np.ones((1, 3)))
    assert explanation.audit["first"].name == "first"


def test_a_layer_may_be_used_twice(rng):
    """Layers hold no state of a run."""
    layer = dtd.Dense(rng.standard_normal((4, 4)))
    twice = dtd.Network([layer, dtd.ReLU(), layer])
    copies = dtd.Network([layer, dtd.ReLU(), dtd.Dense(layer.weight)])
    x = rng.random((3, 4))
    assert (twice.forward(x) == copies.forward(x)).all()
    one, other = (dtd.LRP(net, dtd.ZPlus())(x).relevance for net in (twice, copies))
    assert (one == other).all()


def test_forward_does_not_change_its_input(dtype, rng):
    _, network = chain(rng, dtype)
    x = normal(rng, dtype, 2, 3, 4)
    before = x.copy()
    network.forward(x)
    network.gradient(x)
    dtd.DeepTaylor(network)(x)
    assert (x == before).all()


@pytest.mark.parametrize(
    "layers", [[dtd.Identity()], [dtd.Flatten()], [dtd.Identity(), dtd.Flatten()]]
)
def test_results_share_no_memory_with_the_input(layers):
    network = dtd.Network(layers)
    x = np.ones((2, 3))
    network.forward(x)[:] = 7
    dtd.LRP(network)(x, target=0).relevance[:] = 7
    relevance = np.ones((2, 3))
    dtd.LRP(network)(x, relevance=relevance).relevance[:] = 7
    assert (x == 1).all()
    assert (relevance == 1).all()


# ------------------------------------------------------------------- errors


def test_layers_that_do_not_fit_are_named():
    w = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"dense_2.*\(3,\).*\(2,\)"):
        dtd.Network([dtd.Dense(w), dtd.Dense(w)])
    with pytest.raises(ValueError, match="pool"):
        dtd.Network([dtd.Dense(np.ones((3, 5))), ("pool", dtd.NeuronPool(2))])
    with pytest.raises(ValueError, match="dense_1"):
        dtd.Network([dtd.Dense(w)], input_shape=(1, 3))
    with pytest.raises(ValueError, match="name 'a'"):
        dtd.Network([("a", dtd.ReLU()), ("a", dtd.ReLU())])
    with pytest.raises(ValueError, match="at least one layer"):
        dtd.Network([])


@pytest.mark.parametrize("wrong", [np.ones((3, 2)), "ReLU", dtd.ReLU, None, 3])
def test_what_is_no_layer_is_refused(wrong):
    with pytest.raises(TypeError, match="layers"):
        dtd.Network([dtd.ReLU(), wrong])


def test_a_name_is_a_text():
    with pytest.raises(TypeError, match="name"):
        dtd.Network([(3, dtd.ReLU())])


@pytest.mark.parametrize("shape", [(3.5,), (-1,), "34", 3])
def test_input_shape_is_a_tuple_of_sizes(shape):
    with pytest.raises((TypeError, ValueError), match="input_shape"):
        dtd.Network([dtd.ReLU()], input_shape=shape)


def test_a_single_layer_instead_of_a_list():
    with pytest.raises(TypeError, match="layers"):
        dtd.Network(dtd.ReLU())


# ------------------------------------------------------------------- save and load


def test_save_and_load(tmp_path, dtype, rng):
    _, network = chain(rng, dtype)
    path = network.save(tmp_path / "net.npz")
    assert path == tmp_path / "net.npz"
    loaded = dtd.load(path)
    assert loaded.input_shape == (3, 4)
    assert loaded.dtype == dtype
    assert [node.name for node in loaded.nodes] == [node.name for node in network.nodes]
    assert [repr(layer) for layer in loaded.layers] == [repr(layer) for layer in network.layers]
    x = normal(rng, dtype, 3, 3, 4)
    assert loaded.forward(x).tobytes() == network.forward(x).tobytes()
    one, other = (dtd.LRP(net, dtd.Gamma())(x) for net in (network, loaded))
    assert one.relevance.tobytes() == other.relevance.tobytes()
    for layer in loaded.layers:
        if isinstance(layer, dtd.Dense):
            assert not layer.weight.flags.writeable


def test_names_survive_saving(tmp_path, rng):
    layers = [("a/b", dtd.Dense(rng.random((2, 2)), rng.random(2))), ("ü", dtd.ReLU())]
    network = dtd.Network(layers)
    loaded = dtd.load(network.save(tmp_path / "net.npz"))
    assert [node.name for node in loaded.nodes] == ["a/b", "ü"]
    assert (loaded.layers[0].bias == network.layers[0].bias).all()


def test_the_file_holds_no_pickle(tmp_path, rng):
    _, network = chain(rng, np.float32)
    path = network.save(tmp_path / "net.npz")
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)  # would raise for objects
    assert all(array.dtype.kind in "fU" for array in arrays.values())
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_a_suffix_is_added(tmp_path):
    network = dtd.Network([dtd.ReLU()])
    assert network.save(tmp_path / "net").name == "net.npz"
    assert network.save(tmp_path / "net.v2").name == "net.v2.npz"
    assert network.save(str(tmp_path / "text")).exists()


def test_saving_is_whole_or_not_at_all(tmp_path, monkeypatch, rng):
    """When writing fails the old file stays, and no half one."""
    network = dtd.Network([dtd.Dense(rng.random((2, 2)))])
    path = network.save(tmp_path / "net.npz")
    before = path.read_bytes()

    def fail(*_args, **_options):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            dtd.Network([dtd.Dense(rng.random((3, 3)))]).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net.npz"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        network.save(tmp_path / "nowhere" / "net.npz")


def test_files_that_are_no_network_are_refused(tmp_path, rng):
    with pytest.raises(FileNotFoundError):
        dtd.load(tmp_path / "missing.npz")
    wrong = tmp_path / "wrong.npz"
    for content in (b"", b"PK\x03\x04 no zip", b"\x93NUMPY", b"\x80\x04K\x01."):
        wrong.write_bytes(content)
        with pytest.raises(ValueError, match=r"wrong\.npz"):
            dtd.load(wrong)
    np.savez(wrong, weight=np.ones(3))
    with pytest.raises(ValueError, match="no network"):
        dtd.load(wrong)
    np.savez(wrong, dtdcore_network=np.array("{"))
    with pytest.raises(ValueError, match="no network"):
        dtd.load(wrong)
    np.savez(wrong, dtdcore_network=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"wrong\.npz"):
        dtd.load(wrong)
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"array\.npy"):
        dtd.load(tmp_path / "array.npy")
    whole = dtd.Network([dtd.Dense(rng.random((50, 50)))]).save(tmp_path / "whole.npz").read_bytes()
    wrong.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"wrong\.npz"):
        dtd.load(wrong)


def test_damaged_files_are_refused(tmp_path, rng):
    """One byte wrong, anywhere: an error that names the file, or a byte that says nothing."""
    network = dtd.Network([dtd.Dense(np.round(rng.random((20, 20)), 1))])
    path = network.save(tmp_path / "net.npz")
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        try:
            loaded = dtd.load(path)
        except ValueError as error:
            assert "net.npz" in str(error)
            refused += 1
        else:
            assert (loaded.layers[0].weight == network.layers[0].weight).all()
    assert refused > 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "99"),
        ({"layers": [{"name": "a", "type": "Evil", "options": {}, "arrays": []}]}, "Evil"),
        ({"layers": [{"name": "a", "type": "Layer", "options": {}, "arrays": []}]}, "Layer"),
        ({"layers": [{"name": "a", "type": "np", "options": {}, "arrays": []}]}, "np"),
        ({"layers": [{"name": "a", "type": "ReLU", "options": {"x": 1}, "arrays": []}]}, "x"),
        ({"layers": [{"name": "a", "type": "Dense", "options": {}, "arrays": ["weight"]}]}, "a/w"),
        ({"layers": []}, "layer"),
        ({"layers": 7}, "no network"),
    ],
)
def test_files_from_elsewhere_are_checked(tmp_path, change, message):
    """Unknown versions, types and options are named; nothing is guessed."""
    path = dtd.Network([dtd.ReLU()]).save(tmp_path / "net.npz")
    with np.load(path) as file:
        structure = json.loads(str(file["dtdcore_network"]))
    np.savez(path, dtdcore_network=np.array(json.dumps({**structure, **change})))
    with pytest.raises(ValueError, match=message):
        dtd.load(path)
