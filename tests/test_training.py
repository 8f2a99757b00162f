# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Training: the loop against the formulas, b ≤ 0, resuming to the bit, learning, errors."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import _core
from dtdcore.training import DetectionPoolingNet
from dtdcore.training_options import learning_rates
from dtdcore.training_state import Batches

DIGITS_ACCURACY = 0.95


# ----------------------------------------------------------------- the formulas once more


def pool(h, size, p):
    """Values (n, groups) of p-norm pools, and their gradient with respect to h, (n, neurons)."""
    groups = h.reshape(len(h), -1, size)
    if np.isinf(p):
        y = groups.max(axis=2)
        slope = np.zeros_like(groups)
        n, g = np.indices(y.shape)
        slope[n, g, groups.argmax(axis=2)] = y > 0
    else:
        y = (groups**p).sum(axis=2) ** (1 / p)
        share = np.divide(groups, y[:, :, None], where=y[:, :, None] > 0, out=np.zeros_like(groups))
        slope = np.where(groups > 0, share ** (p - 1), 0)
    return y, slope.reshape(h.shape)


def descend(x, y, sizes, p, weights, biases, velocities, order, rates, momentum):
    """The loop from the formulas, in float64; changes the lists, returns the losses."""
    losses = []
    for rows, rate in zip(order, rates, strict=True):
        values, slopes = [x[rows]], []
        for w, b, size in zip(weights, biases, sizes, strict=True):
            a = values[-1] @ w.T + b
            pooled, slope = pool(np.maximum(a, 0), size, p)
            values.append(pooled)
            slopes.append(slope * (a > 0))
        error = values[-1] - y[rows]
        losses.append(np.mean(error**2))
        g = 2 * error / error.size
        for k in reversed(range(len(weights))):
            gh = np.repeat(g, sizes[k], axis=1) * slopes[k]
            g = gh @ weights[k]
            for own, moving, change in (
                (weights, velocities, gh.T @ values[k]),
                (biases, velocities[len(weights) :], gh.sum(axis=0)),
            ):
                moving[k][...] = momentum * moving[k] + change
                own[k][...] -= rate * moving[k]
            np.minimum(biases[k], 0, out=biases[k])
    return np.array(losses)


def problem(rng, dtype, inputs=13, outputs=1, n=37):
    x = rng.random((n, inputs)) * (rng.random((n, inputs)) < 0.7)
    y = rng.random((n, outputs)) * 3
    return x.astype(dtype), y.astype(dtype)


def parameters(rng, dtype, inputs, units):
    weights, biases = [], []
    for neurons, size in units:
        weights.append((rng.standard_normal((neurons, inputs)) / np.sqrt(inputs)).astype(dtype))
        biases.append((-0.1 * rng.random(neurons)).astype(dtype))
        inputs = neurons // size
    return weights, biases


def train(x, y, sizes, p, weights, biases, velocities, order, rates, momentum):
    """The core's loop on copies: weights, biases, velocities, losses, iterations done."""
    units, losses = len(weights), np.full(len(order), np.nan)
    arrays = [a.copy() for a in (*weights, *biases, *(velocities or ()))]
    moves = velocities is not None
    done = getattr(_core, f"train_f{8 * x.itemsize}")(
        x, y, tuple(sizes), p, tuple(arrays[:units]), tuple(arrays[units : 2 * units]),
        tuple(arrays[2 * units : 3 * units]) if moves else None,
        tuple(arrays[3 * units :]) if moves else None,
        order.astype(np.uintp), np.asarray(rates, np.float64), momentum, losses,
    )  # fmt: skip
    return arrays, losses, done


UNITS = {
    "one": ([(6, 6)], 1),
    "primes": ([(7, 1), (11, 11)], 1),
    "outputs": ([(12, 4)], 3),
    "three": ([(12, 3), (10, 2), (8, 4)], 2),
    "one neuron": ([(1, 1)], 1),
    "wide": ([(61, 61)], 1),
}


@pytest.mark.parametrize("p", [1, 2, 3.5, np.inf])
@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("inputs", [1, 13, 150])
def test_loop_is_the_formulas(rng, dtype, name, p, inputs):
    units, outputs = UNITS[name]
    x, y = problem(rng, dtype, inputs, outputs)
    sizes = [size for _, size in units]
    weights, biases = parameters(rng, dtype, inputs, units)
    order = rng.integers(0, len(x), (20, 5))
    rates = 1e-2 / inputs * (1 + rng.random(20))
    for momentum in (0.0, 0.9):
        own = [a.astype(np.float64) for a in (*weights, *biases)]
        moving = [np.zeros_like(a) for a in own]
        expected = descend(
            x.astype(np.float64), y.astype(np.float64), sizes, p, own[: len(units)],
            own[len(units) :], moving, order, rates, momentum,
        )  # fmt: skip
        start = [np.zeros_like(a) for a in (*weights, *biases)] if momentum else None
        arrays, losses, done = train(x, y, sizes, p, weights, biases, start, order, rates, momentum)
        assert done == 20
        tolerance = 1e-10 if dtype == np.float64 else 2e-4
        np.testing.assert_allclose(losses, expected, rtol=tolerance)
        for actual, wanted in zip(arrays, own + (moving if momentum else []), strict=True):
            scale = np.abs(wanted).max(initial=1e-3)
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * scale)


def test_velocities_of_zero_are_no_velocities(rng, dtype):
    """Without momentum the loop with and without velocities gives the same weights to the bit."""
    x, y = problem(rng, dtype)
    weights, biases = parameters(rng, dtype, 13, [(6, 6)])
    order, rates = rng.integers(0, len(x), (30, 4)), np.full(30, 0.01)
    zeros = [np.zeros_like(a) for a in (*weights, *biases)]
    with_them, _, _ = train(x, y, [6], 1.0, weights, biases, zeros, order, rates, 0.0)
    without, _, _ = train(x, y, [6], 1.0, weights, biases, None, order, rates, 0.0)
    for a, b in zip(with_them, without, strict=False):
        np.testing.assert_array_equal(a, b)


def test_velocities_do_not_become_denormal(dtype):
    x, y = np.zeros((1, 1), dtype), np.zeros((1, 1), dtype)
    w, b, tiny = np.ones((1, 1), dtype), np.zeros(1, dtype), np.finfo(dtype).tiny
    start = [np.full((1, 1), 1.5 * tiny, dtype), np.full(1, 1.5 * tiny, dtype)]
    arrays, _, _ = train(x, y, [1], 1.0, [w], [b], start, np.zeros((1, 1)), [1.0], 0.5)
    assert arrays[2].item() == 0
    assert arrays[3].item() == 0


# ----------------------------------------------------------------- contracts


@pytest.mark.parametrize("units", [[(150, None)], [(96, 2), (40, None)]])
def test_threads_do_not_change_a_bit(rng, dtype, units):
    x, y = problem(rng, dtype, inputs=400, n=60)
    results = []
    for threads in (1, 2, 3):
        dtd.set_num_threads(threads)
        net = DetectionPoolingNet(units, iterations=25, seed=3).fit(x, y)
        results.append(state_arrays(net))
    for other in results[1:]:
        assert other == results[0]


def state_arrays(net):
    state = net._state
    groups = (state.weights, state.biases, state.velocities or (), state.best or ())
    return [a.tobytes() for group in groups for a in group] + [
        state.losses.tobytes(), state.looks.tobytes(),
    ]  # fmt: skip


class TestBiases:
    def test_never_above_zero_at_any_iteration(self, rng, dtype):
        x, y = problem(rng, dtype)
        seen = []

        def look(net, iteration):
            seen.append(iteration)
            assert all((b <= 0).all() for b in net._state.biases)
            dense = [layer for layer in net.network_.layers if isinstance(layer, dtd.Dense)]
            assert all((layer.bias <= 0).all() for layer in dense)

        net = DetectionPoolingNet([(6, 3), (8, None)], iterations=150, report_every=1)
        net.fit(x, y, callback=look)
        assert seen == list(range(1, 151))
        assert any((b < 0).any() for b in net._state.biases)  # else the test says nothing

    def test_projection_is_needed_here(self, rng):
        """Targets far above the outputs push biases up: unprojected they would be above 0."""
        x, y = problem(rng, np.float64)
        net = DetectionPoolingNet([(6, None)], iterations=50, learning_rate=1e-5).fit(x, y + 50)
        assert all((b == 0).all() for b in net._state.biases)

    def test_explanations_are_consistent(self, rng):
        x, y = problem(rng, np.float64)
        net = DetectionPoolingNet([(12, 3), (8, None)], iterations=300).fit(x, y)
        explanation = dtd.DeepTaylor(net.network_, domain=dtd.NonNegative())(x)
        assert explanation.is_positive().all()


class TestResume:
    settings = {"units": [(12, 2), (6, None)], "iterations": 90, "report_every": 20, "seed": 5}  # noqa: RUF012

    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    @pytest.mark.parametrize("stopping", [False, True])
    def test_saved_training_goes_on_to_the_bit(self, rng, dtype, tmp_path, momentum, stopping):
        x, y = problem(rng, dtype)
        settings = self.settings | {"momentum": momentum, "early_stopping": stopping}
        whole = DetectionPoolingNet(**settings).fit(x, y)
        part = DetectionPoolingNet(**settings)
        part.fit(x, y, callback=lambda net, iteration: iteration >= 40)
        assert part.n_iter_ == 40
        assert part.stopped_by_ == "callback"
        path = part.save(tmp_path / "state")
        loaded = DetectionPoolingNet.load(path).fit(x, y, resume=True)
        assert loaded.n_iter_ == 90
        assert state_arrays(loaded) == state_arrays(whole)
        np.testing.assert_array_equal(loaded.predict(x), whole.predict(x))

    @pytest.mark.parametrize("seconds", [1, 33, 89])
    def test_interrupted_anywhere(self, rng, dtype, monkeypatch, seconds):
        """Ctrl-C between any two iterations leaves a usable net that can go on."""
        from dtdcore import training

        monkeypatch.setattr(training, "MOST_ITERATIONS", 1)
        x, y = problem(rng, dtype)
        whole = DetectionPoolingNet(**self.settings).fit(x, y)
        net = DetectionPoolingNet(**self.settings)
        advance = training.TrainingState.advance

        def interrupted(state, *arguments):
            if state.iteration == seconds:
                raise KeyboardInterrupt
            return advance(state, *arguments)

        monkeypatch.setattr(training.TrainingState, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            net.fit(x, y)
        assert net.n_iter_ == seconds
        assert np.isfinite(net.predict(x)).all()
        monkeypatch.setattr(training.TrainingState, "advance", advance)
        assert state_arrays(net.fit(x, y, resume=True)) == state_arrays(whole)

    def test_resuming_needs_what_was_before(self, rng):
        x, y = problem(rng, np.float64)
        with pytest.raises(ValueError, match="call fit first"):
            DetectionPoolingNet().fit(x, y, resume=True)
        net = DetectionPoolingNet([(6, None)], iterations=3).fit(x, y)
        with pytest.raises(ValueError, match="units and p must be those of before"):
            net.set_params(units=[(8, None)]).fit(x, y, resume=True)
        net.set_params(units=[(6, None)])
        with pytest.raises(ValueError, match="must have the 1 outputs of before"):
            net.fit(x, np.hstack([y, y]), resume=True)
        with pytest.raises(ValueError, match=r"x must have shape \(n, 13\)"):
            net.fit(x[:, :5], y, resume=True)

    def test_files(self, rng, tmp_path):
        x, y = problem(rng, np.float32, outputs=2)
        rate = [(0, 1e-3), (5, 1e-4)]
        net = DetectionPoolingNet([(6, None)], p=np.inf, iterations=9, learning_rate=rate, seed=7)
        net.fit(x, y)
        other = DetectionPoolingNet.load(net.save(tmp_path / "a.npz"))
        assert (other.p, other.seed, other.iterations) == (np.inf, 7, 9)
        np.testing.assert_array_equal(other.predict(x), net.predict(x))
        np.testing.assert_array_equal(other.loss_curve_, net.loss_curve_)
        net.set_params(learning_rate=lambda i: 1e-3).save(tmp_path / "b.npz")
        other = DetectionPoolingNet.load(tmp_path / "b.npz")
        with pytest.raises(ValueError, match="a callable is not saved"):
            other.set_params(iterations=20).fit(x, y, resume=True)
        dtd.Network([dtd.ReLU()]).save(tmp_path / "c.npz")
        (tmp_path / "d.npz").write_bytes(b"nothing")
        for name in "cd":
            with pytest.raises(ValueError, match="is no training saved by dtdcore"):
                DetectionPoolingNet.load(tmp_path / f"{name}.npz")
        with pytest.raises(FileNotFoundError):
            DetectionPoolingNet.load(tmp_path / "e.npz")
        with pytest.raises(ValueError, match="call fit first"):
            DetectionPoolingNet().save(tmp_path / "f.npz")


# ----------------------------------------------------------------- learning


def test_a_small_net_learns_pairs_of_real_digits():
    pytest.importorskip("sklearn")
    from dtdcore.datasets import digit_pairs, digits

    images, labels = digits()
    train = digit_pairs(images[:1300], labels[:1300], 0, 4000, 1)
    test = digit_pairs(images[1300:], labels[1300:], 0, 1000, 2)
    net = DetectionPoolingNet([(60, None)], iterations=4000).fit(train.images, train.outputs())
    assert isinstance(net.network_.layers[0], dtd.Flatten)
    assert ((net.predict(test.images) > 50) == test.present).mean() > DIGITS_ACCURACY
    assert net.score(train.images, train.outputs()) > 0.8
    assert net.loss_curve_[-500:].mean() < 0.2 * net.loss_curve_[:50].mean()


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e4])
def test_the_defaults_do_not_depend_on_the_scale_of_y(rng, factor):
    x = rng.random((200, 10))
    y = np.maximum(0, x[:, 0] - x[:, 1]) * factor
    net = DetectionPoolingNet([(20, None)], iterations=3000).fit(x, y)
    assert net.score(x, y) > 0.9


def test_several_outputs_and_units(rng):
    x = rng.random((200, 10))
    y = np.stack([np.maximum(0, x[:, 0] - x[:, 1]), x[:, 2]], axis=1)
    net = DetectionPoolingNet([(24, 4), (20, None)], iterations=4000).fit(x, y)
    assert net.predict(x).shape == (200, 2)
    assert net.network_.layers[-1].size == 10
    assert net.score(x, y) > 0.85


def test_score_is_the_coefficient_of_determination(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    x, y = problem(rng, np.float64, outputs=2)
    net = DetectionPoolingNet([(6, None)], iterations=50).fit(x, y)
    assert net.score(x, y) == pytest.approx(metrics.r2_score(y, net.predict(x)))
    with pytest.raises(ValueError, match="y must have shape"):
        net.score(x, y[:, 0])


# ----------------------------------------------------------------- rates, order, stopping


def test_batches_take_every_sample_equally_often():
    batches = Batches(4, np.arange(7), 3)
    order = batches.take(0, 14)
    assert order.shape == (14, 3)
    for epoch in order.reshape(-1, 7):
        assert sorted(epoch) == list(range(7))
    np.testing.assert_array_equal(Batches(4, np.arange(7), 3).take(5, 4), order[5:9])
    assert len({tuple(epoch) for epoch in order.reshape(-1, 7)}) > 1


def test_batches_over_the_edge_of_a_block():
    rows = np.arange(40_000)
    batches = Batches(1, rows, 1000)
    order = batches.take(30, 100)
    np.testing.assert_array_equal(Batches(1, rows, 1000).take(75, 20), order[45:65])
    assert sorted(batches.take(0, 40).reshape(-1)) == list(range(40_000))


def test_learning_rates():
    assert learning_rates(0.5, 3, 2, 10, 1.0).tolist() == [0.5, 0.5]
    assert learning_rates(lambda i: i / 10, 3, 2, 10, 1.0).tolist() == [0.3, 0.4]
    steps = [(0, 1.0), (2, 0.5), (4, 0.25)]
    assert learning_rates(steps, 1, 5, 9, 1.0).tolist() == [1.0, 0.5, 0.5, 0.25, 0.25]
    auto = learning_rates("auto", 0, 100, 100, 3.0)
    assert auto[0] == pytest.approx(0.3)
    assert auto[9:51].tolist() == [3.0] * 42
    assert all(b < a for a, b in pairwise(auto[50:]))
    assert auto[-1] == pytest.approx(0.06)
    assert learning_rates("auto", 0, 1, 1, 3.0).tolist() == [3.0]


def test_schedules_are_applied(rng):
    x, y = problem(rng, np.float64)
    settings = {"units": [(6, None)], "iterations": 20, "seed": 2}
    nets = [
        DetectionPoolingNet(learning_rate=rate, **settings).fit(x, y)
        for rate in ([(0, 1e-3), (10, 0.0)], lambda i: 1e-3 if i < 10 else 0)
    ]
    half = DetectionPoolingNet(learning_rate=1e-3, **settings | {"iterations": 10}).fit(x, y)
    for net in nets:
        np.testing.assert_array_equal(net._state.weights[0], half._state.weights[0])


def test_callback_and_its_iterations(rng):
    x, y = problem(rng, np.float64)
    seen = []
    net = DetectionPoolingNet([(6, None)], iterations=100, report_every=30)
    net.fit(x, y, callback=lambda net, iteration: seen.append((iteration, net.n_iter_)))
    assert seen == [(30, 30), (60, 60), (90, 90)]
    assert (net.n_iter_, net.stopped_by_) == (100, "iterations")
    net.fit(x, y, callback=lambda net, iteration: True)
    assert (net.n_iter_, net.stopped_by_) == (30, "callback")
    with pytest.raises(TypeError, match="callback must be callable"):
        net.fit(x, y, callback=1)


def test_early_stopping_takes_the_best(rng):
    x = rng.random((60, 8))
    y = rng.random(60)  # noise: soon nothing more can be learned
    net = DetectionPoolingNet(
        [(20, None)], iterations=20_000, early_stopping=True, patience=3, report_every=50,
        validation_fraction=0.3, learning_rate=3e-3,
    ).fit(x, y)  # fmt: skip
    curve = net.validation_curve_
    assert net.stopped_by_ == "early stopping"
    assert net.n_iter_ < 20_000
    best = int(np.argmin(curve[:, 1]))
    assert len(curve) == best + 1 + 3
    assert curve[:, 0].tolist() == [50.0 * (k + 1) for k in range(len(curve))]
    _, validation = net._split(60, 0)
    assert len(validation) == 18
    assert np.mean((net.predict(x[validation]) - y[validation]) ** 2) == pytest.approx(
        curve[best, 1]
    )
    again = net.n_iter_
    assert net.fit(x, y, resume=True).n_iter_ == again


# ----------------------------------------------------------------- diverging, dying, progress


def test_divergence_is_an_error_and_leaves_the_net_usable(rng, dtype):
    x, y = problem(rng, dtype)
    net = DetectionPoolingNet([(6, None)], iterations=40, learning_rate=1e-3).fit(x, y)
    before = net.predict(x)
    largest = float(np.finfo(dtype).max)
    net.set_params(iterations=80, learning_rate=[(0, 1e-3), (60, largest)])
    with pytest.raises(FloatingPointError, match=r"diverged in iteration 6\d.*rate below \d"):
        net.fit(x, y + 50, resume=True)
    assert net.n_iter_ == 40
    np.testing.assert_array_equal(net.predict(x), before)


def test_overflow_of_one_step_is_seen_at_once(dtype):
    largest = float(np.finfo(dtype).max)
    x, y = np.full((1, 1), 1e10, dtype), np.ones((1, 1), dtype)
    net = DetectionPoolingNet([(1, None)], iterations=1, batch_size=1, learning_rate=largest)
    net.set_params(weight_scale=1e-5, seed=_seed_with_positive_weight(), momentum=0)
    with pytest.raises(FloatingPointError, match="not finite"):
        net.fit(x, y)


def _seed_with_positive_weight():
    x = np.ones((1, 1))
    for seed in range(20):
        net = DetectionPoolingNet([(1, None)], iterations=0, seed=seed).fit(x, x)
        if net._state.weights[0].item() > 0:
            return seed
    raise AssertionError("no such seed")


def test_a_dead_net_is_told(rng):
    x, y = problem(rng, np.float64)
    net = DetectionPoolingNet(
        [(6, None)], iterations=50, learning_rate=5.0, momentum=0, weight_scale=50
    )
    with pytest.warns(RuntimeWarning, match="answers 0 everywhere"):
        net.fit(x, y * 1e-3)


def test_progress(rng, capsys, monkeypatch):
    x, y = problem(rng, np.float64)
    DetectionPoolingNet([(6, None)], iterations=5).fit(x, y)  # "auto": stderr is no terminal here
    assert capsys.readouterr().err == ""
    if find_spec("tqdm") is not None:
        DetectionPoolingNet([(6, None)], iterations=5, progress=True).fit(x, y)
        assert "5/5" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"pip install 'dtdcore\[train\]'"):
        DetectionPoolingNet([(6, None)], iterations=5, progress=True).fit(x, y)
