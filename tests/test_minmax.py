# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The min-max relevance model: formulas, training, explanations, files, errors."""

from __future__ import annotations

import json

import nets
import numpy as np
import pytest
import reference

import dtdcore as dtd
from dtdcore.relevance_models.minmax_layer import EPSILON, MinMaxLayer, Training
from dtdcore.training_state import Batches

DOMAINS = {"reals": dtd.Reals(), "nonnegative": dtd.NonNegative(), (-1, 1): dtd.Box(-1, 1)}
DEEP = [name for name in nets.DEPTHS if not name.startswith("1")]


def random_layer(rng, dtype, n=30, i=7, above=5, groups=4, size=3):
    """Random data and parameters of a model, some biases at and above 0."""
    x = np.maximum(rng.standard_normal((n, i)), 0).astype(dtype)
    R_l = np.maximum(rng.standard_normal((n, above)), 0).astype(dtype)
    R_k = rng.uniform(0, 2, (n, groups)).astype(dtype)
    v = rng.standard_normal((i, groups * size)).astype(dtype)
    u = rng.standard_normal((above, groups * size)).astype(dtype)
    d = rng.standard_normal(groups * size).astype(dtype)
    return x, R_l, R_k, v, u, d, size


def fitted(rng, dtype, name, iterations=60, **options):
    oracle, net = nets.build(rng, dtype, nets.DEPTHS[name])
    x = nets.inputs_in(rng, dtype, (0, 1), n=80)
    model = dtd.MinMax(iterations=iterations, batch_size=16, progress=False, **options)
    return oracle, net, x, model.fit(net, x)


def parameters(model):
    return [
        (layer.lower.weight, layer.upper.weight, layer.upper.bias)
        for layer in model.layers_.values()
    ]


def assert_same(one, two):
    for a, b in zip(parameters(one), parameters(two), strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_array_equal(left, right)
            assert left.dtype == right.dtype


# ---------------------------------------------------------------------------- formulas


@pytest.mark.parametrize("conservation", [0.0, 0.7])
def test_the_oracles_gradient_is_that_of_finite_differences(rng, conservation):
    x, R_l, R_k, *arrays, size = random_layer(rng, np.float64)
    gradients = reference.minmax_gradient(x, R_l, R_k, *arrays, size, conservation)
    h = 1e-6
    for number, gradient in enumerate(gradients):
        for place in np.ndindex(gradient.shape):
            ends = []
            for sign in (1, -1):
                moved = [array.copy() for array in arrays]
                moved[number][place] += sign * h
                ends.append(reference.minmax_loss(x, R_l, R_k, *moved, size, conservation))
            assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-7)
        assert np.abs(gradient).max() > 1e-3


@pytest.mark.parametrize("conservation", [0.0, 0.7])
def test_forward_and_gradient_agree_with_the_oracle(rng, dtype, conservation):
    x, R_l, R_k, v, u, d, size = random_layer(rng, dtype)
    layer = MinMaxLayer(dtd.Dense(v), dtd.Dense(u, d), size)
    tolerance = {"rtol": 1e-12 if dtype == np.float64 else 1e-5, "atol": 1e-12}
    tolerance["atol"] = 1e-12 if dtype == np.float64 else 1e-5
    a, y, predicted = reference.minmax_forward(x, R_l, v, u, d, size)
    np.testing.assert_allclose(layer.bias(R_l), a, **tolerance)
    detected = layer.detect(layer.lower.forward(x), R_l[:, None])
    np.testing.assert_allclose(detected[:, 0], y, **tolerance)
    np.testing.assert_allclose(layer.pool(detected)[:, 0], predicted, **tolerance)
    training = Training(layer, x, R_l, R_k, Batches(0, np.arange(30), 30), conservation)
    rows = np.array([4, 0, 17, 29, 4])
    loss = training.differentiate(rows)
    part = (x[rows], R_l[rows], R_k[rows], v, u, d, size)
    assert loss == pytest.approx(reference.minmax_loss(*part), rel=tolerance["rtol"])
    scale = np.sqrt(np.mean(np.square(R_k, dtype=np.float64)))
    gv, gu, gd = reference.minmax_gradient(*part, conservation)
    for ours, theirs in ((training.gv, gv.T), (training.gu, gu.T), (training.gd, gd)):
        np.testing.assert_allclose(ours, theirs / scale, **tolerance)


def test_the_first_step_of_adam_has_the_length_of_the_rate(rng):
    """m / sqrt(s) is the sign of the gradient then, in the units of each kind of parameter."""
    x, R_l, R_k, v, u, d, size = random_layer(rng, np.float64)
    training = Training(
        MinMaxLayer(dtd.Dense(v), dtd.Dense(u, d), size), x, R_l, R_k, Batches(0, np.arange(30), 30)
    )
    training.step(np.arange(30), 1e-3)
    gv, gu, gd = reference.minmax_gradient(x, R_l, R_k, v, u, d, size)
    rms = [np.sqrt(np.mean(array**2)) for array in (R_k, x, R_l)]
    for new, old, g, unit in (
        (training.v.T, v, gv, rms[1]),
        (training.u.T, u, gu, rms[2]),
        (training.d, d, gd, 1.0),
    ):
        relative = g / rms[0] / unit
        expected = old - 1e-3 * rms[0] / unit * relative / (np.abs(relative) + EPSILON)
        np.testing.assert_allclose(new, expected, rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------------------- training


@pytest.mark.parametrize("name", DEEP)
def test_fitting_lowers_the_loss_and_keeps_the_bias_negative(rng, dtype, name):
    _, net, x, model = fitted(rng, dtype, name, iterations=400, learning_rate=0.01)
    assert (
        list(model.layers_)
        == [node.name for node in net.nodes if isinstance(node.layer, dtd.Dense)][:-1]
    )
    for layer, losses in zip(model.layers_.values(), model.loss_curves_.values(), strict=True):
        assert losses.shape == (400,) and losses[-40:].mean() < 0.7 * losses[:10].mean()
        R_l = 10 * rng.standard_normal((50, layer.upper.inputs)).astype(dtype)
        assert (layer.bias(R_l) <= 0).all() and (layer.bias(R_l) < 0).any()
    assert model.score(x) == model.explained_variance_
    assert all(value <= 1 for value in model.score(x[:20]).values())


def test_the_scales_of_inputs_and_outputs_do_not_matter(rng):
    """Powers of 2 scale without rounding, so the models agree to the bit, as do the heatmaps."""
    _, net = nets.build(rng, np.float64, nets.DEPTHS["2 layers"])
    (w1, b1), (w2, b2) = [(layer.weight, layer.bias) for layer in net.layers[::2]]
    x = nets.inputs_in(rng, np.float64, (0, 1), n=60)
    make = lambda w, b: [dtd.Dense(w, b), dtd.ReLU()]  # noqa: E731
    scaled = dtd.Network([*make(w1 / 8, b1), *make(w2 * 1024, b2 * 1024)])
    explanations = []
    for network, inputs in ((net, x), (scaled, x * 8)):
        model = dtd.MinMax(iterations=50, progress=False).fit(network, inputs)
        explanations.append(dtd.DeepTaylor(network, dtd.NonNegative(), model)(inputs).relevance)
    np.testing.assert_allclose(explanations[0] * 1024, explanations[1], rtol=1e-9, atol=1e-9)


def test_same_seed_same_model_whatever_the_threads(rng):
    _, net = nets.build(rng, np.float32, [(300, 120, (4, 1)), (30, 60, (None, 1))])
    x = rng.uniform(0, 1, (200, 300)).astype(np.float32)
    models = []
    for threads, seed in ((1, 0), (3, 0), (1, 1)):
        dtd.set_num_threads(threads)
        models.append(dtd.MinMax(iterations=20, seed=seed, progress=False).fit(net, x))
    assert_same(models[0], models[1])
    assert not np.array_equal(parameters(models[0])[0][0], parameters(models[2])[0][0])


def test_a_net_of_one_layer_is_its_own_model(rng, dtype):
    _, net, x, model = fitted(rng, dtype, "1 layer, pool")
    assert model.layers_ == {} and model.score(x) == {}
    plain, explanation = (
        dtd.DeepTaylor(net, dtd.Box(0, 1), relevance_model=each)(x) for each in (None, model)
    )
    np.testing.assert_array_equal(plain.relevance, explanation.relevance)
    assert not explanation.audit.has_model and explanation.is_consistent().all()


def test_an_interrupted_fit_leaves_the_model_as_it_was(rng, monkeypatch):
    _, net, x, model = fitted(rng, np.float64, "2 layers")
    before = parameters(model)

    def interrupted(self, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "differentiate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(net, x)
    for left, right in zip(before[0], parameters(model)[0], strict=True):
        np.testing.assert_array_equal(left, right)


def test_conservation_makes_sums_better_and_single_predictions_worse(rng):
    errors, variances = [], []
    _, net = nets.build(rng, np.float64, nets.DEPTHS["2 layers"])
    x = nets.inputs_in(rng, np.float64, (0, 1), n=80)
    for conservation in (0.0, 20.0):
        model = dtd.MinMax(
            iterations=1500, learning_rate=0.005, conservation=conservation, progress=False
        ).fit(net, x)
        explanation = dtd.DeepTaylor(net, dtd.Box(0, 1), relevance_model=model)(x)
        errors.append(np.square(explanation.total - explanation.explained).mean())
        variances.append(model.explained_variance_["dense_1"])
    assert errors[1] < errors[0] and variances[1] < variances[0]


def test_training_that_diverges_says_so(rng):
    with pytest.raises(FloatingPointError, match="learning_rate below"):
        fitted(rng, np.float32, "2 layers", learning_rate=1e38)


# ---------------------------------------------------------------------------- explaining


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("name", DEEP)
def test_explanations_agree_with_the_oracle(rng, dtype, name, domain):
    oracle, net, _, model = fitted(rng, dtype, name)
    x = nets.inputs_in(rng, dtype, domain)
    explanation = dtd.DeepTaylor(net, DOMAINS[domain], relevance_model=model)(x)
    f = reference.network_activations(oracle, x)[-1]
    start = np.where(np.arange(f.shape[1]) == f.argmax(axis=1)[:, None], reference.positive(f), 0)
    steps = reference.minmax_redistribute(
        oracle, parameters(model), x, start[:, None], reference.deep_taylor_shares(oracle, domain)
    )
    scale = np.abs(start).max()
    bound = 1e-11 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(
        explanation.relevance, steps[0][0].relevance[:, 0], rtol=0, atol=bound * scale
    )
    assert explanation.is_positive().all()
    assert len(explanation.audit) == len(steps)
    for entry, (step, missed) in zip(explanation.audit, steps[::-1], strict=True):
        for ours, theirs in (
            (entry.received, step.received),
            (entry.passed, step.passed),
            (entry.lost, step.lost),
            (entry.model, missed),
        ):
            np.testing.assert_allclose(ours, theirs[:, 0], rtol=0, atol=10 * bound * scale)


@pytest.mark.parametrize("name", DEEP)
def test_the_audit_closes_and_shows_what_was_not_predicted(rng, dtype, name):
    _, net, x, model = fitted(rng, dtype, name)
    explanation = dtd.DeepTaylor(net, dtd.Box(0, 1), relevance_model=model)(x)
    audit = explanation.audit
    assert audit.closes(1e-4 if dtype == np.float32 else 1e-12)
    assert audit.has_model and "not predicted" in repr(audit)
    missed = sum(entry.model for entry in audit)
    lost = sum(entry.lost for entry in audit)
    assert np.abs(missed).max() > 1e-3
    np.testing.assert_allclose(
        explanation.total, explanation.explained - missed - lost, rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(audit[1:][0].model, audit[1].model)
    with pytest.raises(dtd.ConservationError, match="not predicted"):
        dtd.DeepTaylor(net, dtd.Box(0, 1), model, strict=True)(x)


def test_targets_share_a_pass_and_batches_may_be_split(rng, dtype):
    _, net, x, model = fitted(rng, dtype, "4 layers")
    explain = dtd.DeepTaylor(net, dtd.Box(0, 1), relevance_model=model)
    targets = np.array([[0, 1]] * len(x))
    both = explain(x, targets)
    for k in range(2):
        one = explain(x, k)
        np.testing.assert_array_equal(both.relevance[:, k], one.relevance)
        np.testing.assert_array_equal(both.audit[2].model[:, k], one.audit[2].model)
    parts = [explain(part, 0).relevance for part in np.array_split(x, 3)]
    np.testing.assert_array_equal(np.concatenate(parts), both.relevance[:, 0])
    empty = explain(x[:0], 0)
    assert empty.relevance.shape == (0, 12) and len(empty.audit) == len(both.audit)


def test_images_and_layers_that_rearrange(rng):
    """A Flatten in front changes nothing but shapes; so does an Identity between layers."""
    _, net, x, model = fitted(rng, np.float64, "3 layers, pools")
    longer = dtd.Network(
        [dtd.Flatten(), *net.layers[:3], dtd.Identity(), *net.layers[3:]], input_shape=(3, 4)
    )
    images = x.reshape(-1, 3, 4)
    again = dtd.MinMax(iterations=60, batch_size=16, progress=False).fit(longer, images)
    assert_same(again, model)
    box = dtd.Box(np.zeros((3, 4)), np.ones((3, 4)))
    ours = dtd.DeepTaylor(longer, box, relevance_model=again)(images)
    plain = dtd.DeepTaylor(net, dtd.Box(0, 1), relevance_model=model)(x)
    np.testing.assert_allclose(ours.relevance.reshape(x.shape), plain.relevance, atol=1e-12)


def test_float64_inputs_of_a_float32_network(rng):
    _, net, x, model = fitted(rng, np.float32, "2 layers")
    explain = dtd.DeepTaylor(net, dtd.Box(0, 1), relevance_model=model)
    wide = explain(x.astype(np.float64))
    assert wide.relevance.dtype == np.float64
    np.testing.assert_allclose(wide.relevance, explain(x).relevance, rtol=1e-3, atol=1e-4)


def test_an_explainer_keeps_the_model_that_it_was_made_with(rng):
    _, net, x, model = fitted(rng, np.float32, "2 layers")
    explain = dtd.DeepTaylor(net, dtd.Box(0, 1), relevance_model=model)
    before = explain(x).relevance
    model.fit(net, x[:20])
    np.testing.assert_array_equal(explain(x).relevance, before)
    after = dtd.DeepTaylor(net, dtd.Box(0, 1), relevance_model=model)(x).relevance
    assert not np.array_equal(after, before)


# ---------------------------------------------------------------------------- files


def test_saved_with_the_network(rng, dtype, tmp_path):
    _, net, x, model = fitted(rng, dtype, "4 layers", seed=3, learning_rate=2e-3)
    path = model.save(tmp_path / "both")
    assert path == tmp_path / "both.npz"
    again, alone = dtd.MinMax.load(path), dtd.load(path)
    assert_same(again, model)
    assert repr(again) == repr(model) and "seed=3" in repr(model)
    assert again.summary() == model.summary()
    assert again.explained_variance_ == model.explained_variance_
    np.testing.assert_array_equal(again.loss_curves_["dense_2"], model.loss_curves_["dense_2"])
    wanted = dtd.DeepTaylor(net, dtd.Box(0, 1), relevance_model=model)(x)
    for network in (again.network_, alone, net):
        explanation = dtd.DeepTaylor(network, dtd.Box(0, 1), relevance_model=again)(x)
        np.testing.assert_array_equal(explanation.relevance, wanted.relevance)
    saved = np.load(wanted.save(tmp_path / "heatmaps"), allow_pickle=False)
    np.testing.assert_array_equal(saved["audit_model"], [entry.model for entry in wanted.audit])


def test_files_that_hold_something_else(rng, tmp_path):
    _, net, _, model = fitted(rng, np.float64, "2 layers")
    with pytest.raises(ValueError, match="no min-max relevance model"):
        dtd.MinMax.load(net.save(tmp_path / "network"))
    with pytest.raises(FileNotFoundError):
        dtd.MinMax.load(tmp_path / "missing.npz")
    content = dict(np.load(model.save(tmp_path / "model")))
    facts = json.loads(str(content["dtdcore_minmax"]))
    for change in (
        {"minmax_0_v": content["minmax_0_v"][:-1]},
        {"minmax_0_d": content["minmax_0_d"] * np.nan},
        {"dtdcore_minmax": np.array(json.dumps(facts | {"format": 99}))},
        {"dtdcore_minmax": np.array(json.dumps(facts | {"explained_variance": []}))},
        {"dtdcore_minmax": np.array("{")},
    ):
        np.savez(tmp_path / "damaged.npz", **content | change)
        with pytest.raises(ValueError, match=r"damaged\.npz holds no min-max relevance model"):
            dtd.MinMax.load(tmp_path / "damaged.npz")


# ---------------------------------------------------------------------------- errors


def small_net(*layers):
    return dtd.Network([dtd.Dense(np.ones((3, 4)), -np.ones(4)), *layers])


WRONG_NETWORKS = [
    ([dtd.Dense(np.ones((4, 1)))], "the ReLU of dense_1 was expected"),
    ([dtd.Tanh(), dtd.Dense(np.ones((4, 1)))], r"tanh_1 .* where the ReLU of dense_1"),
    ([dtd.ReLU(), dtd.NeuronPool(2), dtd.ReLU()], r"relu_2 .* where a Dense layer was expected"),
]


@pytest.mark.parametrize(("layers", "message"), WRONG_NETWORKS)
def test_networks_of_another_kind(layers, message):
    with pytest.raises(ValueError, match=message):
        dtd.MinMax(progress=False).fit(small_net(*layers), np.ones((5, 3)))


def test_no_layer_with_weights():
    with pytest.raises(ValueError, match="got none"):
        dtd.MinMax(progress=False).fit(dtd.Network([dtd.Flatten()]), np.ones((5, 3)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"iterations": -1}, ValueError, "iterations must be at least 0"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be finite and > 0"),
        ({"learning_rate": "auto"}, TypeError, "learning_rate must be a number"),
        ({"conservation": -1}, ValueError, "conservation must be finite and >= 0"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number"),
        ({"progress": "yes"}, ValueError, "progress must be True, False or 'auto'"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        dtd.MinMax(**options)


def test_models_that_do_not_fit(rng):
    _, net, x, model = fitted(rng, np.float64, "2 layers")
    with pytest.raises(ValueError, match="has not been fitted: call fit"):
        dtd.DeepTaylor(net, relevance_model=dtd.MinMax())
    with pytest.raises(ValueError, match="has not been fitted"):
        dtd.MinMax().save("nowhere.npz")
    _, other = nets.build(rng, np.float64, nets.DEPTHS["2 layers"])
    with pytest.raises(ValueError, match="fitted to another network"):
        dtd.DeepTaylor(other, relevance_model=model)
    _, other = nets.build(rng, np.float64, nets.DEPTHS["4 layers"])
    with pytest.raises(ValueError, match="fitted to another network"):
        dtd.DeepTaylor(other, relevance_model=model)
    with pytest.raises(ValueError, match="pooling='proportional'"):
        dtd.DeepTaylor(net, relevance_model=model, pooling="winner")
    with pytest.raises(ValueError, match="at least one sample"):
        model.fit(net, x[:0])
    with pytest.raises(ValueError, match="one output of each sample"):
        model.fit(net, x, np.zeros((len(x), 2), int))
    with pytest.raises(TypeError, match="network must be a dtdcore"):
        model.fit([net], x)
    with pytest.raises(ValueError, match="x must have shape"):
        model.fit(net, x[:, :-1])
    assert dtd.DeepTaylor(net, relevance_model=model)(x).audit.has_model
