# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What training takes and what it refuses: parameters, data, the arguments of the core's loop."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from test_training import parameters, problem, state_arrays, train

from dtdcore.training import DetectionPoolingNet


def test_parameters_as_in_scikit_learn():
    net = DetectionPoolingNet([(6, None)], seed=4)
    assert net.get_params()["seed"] == 4
    assert net.set_params(momentum=0.5) is net
    assert net.momentum == 0.5
    with pytest.raises(ValueError, match="'units_' is no parameter"):
        net.set_params(units_=1)
    with pytest.raises(ValueError, match="momentum must be below 1"):
        net.set_params(seed=9, momentum=1)
    assert (net.seed, net.momentum) == (4, 0.5)
    assert repr(net) == "DetectionPoolingNet(units=[(6, None)], momentum=0.5, seed=4)"
    assert not hasattr(net, "network_")
    base = pytest.importorskip("sklearn.base")
    copy = base.clone(net)
    assert copy.get_params() == net.get_params()


def test_seeds(rng):
    x, y = problem(rng, np.float64)
    settings = {"units": [(6, None)], "iterations": 5}
    first, second = (DetectionPoolingNet(seed=None, **settings).fit(x, y) for _ in range(2))
    assert first.seed_ != second.seed_
    same = DetectionPoolingNet(seed=first.seed_, **settings).fit(x, y)
    assert state_arrays(same) == state_arrays(first)


def test_first_weights(rng):
    x, y = rng.random((50, 1568)), rng.random(50)
    net = DetectionPoolingNet([(400, None)], iterations=0, weight_scale=2).fit(x, y)
    (w,) = net._state.weights
    assert w.std() == pytest.approx(0.0505, rel=0.01)
    assert abs(w.mean()) < 3e-4
    assert not net._state.biases[0].any()
    net = DetectionPoolingNet([(400, None)], iterations=0).fit(x, 7 * y)
    wanted = 0.5 * np.sqrt(np.mean((7 * y) ** 2))
    assert net.predict(x).mean() == pytest.approx(wanted)
    bound = 1 / (400 * (np.square(x).sum(axis=1) + 1).mean())
    assert net.learning_rate_ == pytest.approx(bound)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"units": 400}, TypeError, "units must be a list"),
        ({"units": []}, ValueError, "units must have 1 to 64 entries"),
        ({"units": [400]}, TypeError, r"units\[0\] must be \(neurons, size\)"),
        ({"units": [(0, None)]}, ValueError, r"units\[0\]\[0\], the neurons, must be at least 1"),
        ({"units": [(4.0, None)]}, TypeError, "must be a whole number"),
        ({"units": [(4, 3)]}, ValueError, "3 does not divide 4 neurons"),
        ({"units": [(4, None), (4, None)]}, ValueError, "only the last unit may have None"),
        ({"p": 0.5}, ValueError, "p must be finite and >= 1"),
        ({"p": "2"}, TypeError, "p must be a number"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be finite and > 0"),
        ({"learning_rate": "fast"}, ValueError, "learning_rate must be 'auto'"),
        ({"learning_rate": [(1, 0.1)]}, ValueError, "must begin at iteration 0"),
        ({"learning_rate": [(0, 0.1), (0, 0.2)]}, ValueError, "and ascend"),
        ({"learning_rate": [0.1]}, ValueError, "must list pairs"),
        ({"momentum": 1.0}, ValueError, "momentum must be below 1"),
        ({"momentum": -0.1}, ValueError, "momentum must be finite and >= 0"),
        ({"iterations": -1}, ValueError, "iterations must be at least 0"),
        ({"iterations": 1.5}, TypeError, "iterations must be a whole number"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"weight_scale": 0}, ValueError, "weight_scale must be finite and > 0"),
        ({"weight_scale": "he"}, TypeError, "weight_scale must be a number"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"early_stopping": 1}, TypeError, "early_stopping must be True or False"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction must be below 1"),
        ({"patience": 0}, ValueError, "patience must be at least 1"),
        ({"report_every": 0}, ValueError, "report_every must be at least 1"),
        ({"progress": "always"}, ValueError, "progress must be True, False or 'auto'"),
    ],
)
def test_wrong_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        DetectionPoolingNet(**arguments)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones(5), np.ones(5), "x must have shape"),
        (np.ones((0, 3)), np.ones(0), "x must have shape"),
        (np.ones((5, 0)), np.ones(5), "x must have shape"),
        (np.full((5, 3), np.nan), np.ones(5), r"x\[0, 0\] = nan is not finite"),
        (np.ones((5, 3)), np.ones(4), r"y must have shape \(5,\) or \(5, outputs\)"),
        (np.ones((5, 3)), np.ones((5, 1, 1)), "y must have shape"),
        (np.ones((5, 3)), np.ones((5, 0)), "y must have shape"),
        (np.ones((5, 3)), [0, 1, np.inf, 0, 0], r"y\[2\] = inf is not finite"),
        (np.ones((5, 3)), [0, 1, -1, 0, 0], r"y\[2\] = -1.0 is below 0"),
        (np.ones((5, 3), np.float32), [0, 1e300, 1, 0, 0], r"y\[1, 0\] = inf is not finite"),
        (np.ones((5, 3)), np.ones((5, 4)), "6 neurons in pools of one size do not make the 4"),
    ],
)
def test_wrong_data(x, y, message):
    with (
        warnings.catch_warnings(action="ignore"),  # NumPy's own, of the cast that overflows
        pytest.raises(ValueError, match=message),
    ):
        DetectionPoolingNet([(6, None)], iterations=3).fit(x, y)


def test_wrong_pool_for_the_outputs():
    with pytest.raises(ValueError, match="6 neurons in pools of 3 do not make the 1 outputs"):
        DetectionPoolingNet([(6, 3)]).fit(np.ones((5, 3)), np.ones(5))


def test_wrong_validation_fraction_for_the_samples():
    net = DetectionPoolingNet([(6, None)], early_stopping=True, validation_fraction=0.01)
    with pytest.raises(ValueError, match="leaves none for validation"):
        net.fit(np.ones((5, 3)), np.ones(5))


class TestCoreErrors:
    """What the binding refuses before any work."""

    def call(self, rng, **changes):
        x, y = problem(rng, np.float64)
        weights, biases = parameters(rng, np.float64, 13, [(6, 6)])
        arguments = {
            "x": x, "y": y, "sizes": (6,), "p": 1.0, "weights": weights, "biases": biases,
            "velocities": None, "order": np.zeros((2, 3)), "rates": [0.1, 0.1], "momentum": 0.0,
        }  # fmt: skip
        return train(**arguments | changes)

    def test_good(self, rng):
        assert self.call(rng)[2] == 2

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"sizes": (4,)}, "size must divide the 6 neurons"),
            ({"sizes": ()}, "pools must have 1 to 64 entries"),
            ({"sizes": (3,)}, "y must have shape"),
            ({"p": 0.5}, "out of its range"),
            ({"order": np.full((2, 3), 37)}, "out of its range"),
            ({"rates": [0.1]}, "rates must have shape"),
            ({"weights": [np.ones((6, 5))]}, r"weights\[0\] must have shape"),
            ({"biases": [np.ones(5)]}, r"biases\[0\] must have shape"),
            ({"velocities": [np.ones((6, 5)), np.ones(6)]}, r"weight_velocities\[0\] must have"),
            ({"velocities": [np.ones((6, 13)), np.ones(5)]}, r"bias_velocities\[0\] must have"),
        ],
    )
    def test_bad(self, rng, changes, message):
        with pytest.raises(ValueError, match=message):
            self.call(rng, **changes)
