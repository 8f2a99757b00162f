# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Region perturbation: against a plain loop, known curves, properties, and bits."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore.evaluate import Perturbation, Regions, band, compare, feature_groups, patches, perturb
from dtdcore.evaluate.fills import blur

BOX = dtd.Box(0, 1)
OPTIONS = {"patch": 4, "fill": "noise", "domain": BOX, "repeats": 3}


@pytest.fixture(scope="module")
def picture_net():
    rng = np.random.default_rng(5)
    layers = [
        dtd.Conv(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), padding=1),
        dtd.ReLU(),
        dtd.Flatten(),
        dtd.Dense(rng.normal(size=(4 * 12 * 10, 5)).astype(np.float32)),
    ]
    return dtd.Network(layers, input_shape=(3, 12, 10))


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(6).uniform(0, 1, (7, 3, 12, 10)).astype(np.float32)


def slow_curve(network, sample, relevance, filled, patch, filled_counts, target):
    """One picture (c, h, w), most relevant patches first; no two patches equally relevant."""
    _, height, width = sample.shape
    corners = [(i, j) for i in range(0, height, patch) for j in range(0, width, patch)]
    sums = [
        float(relevance[:, i : i + patch, j : j + patch].sum(dtype=np.float64)) for i, j in corners
    ]
    order = sorted(range(len(corners)), key=lambda region: -sums[region])
    scores = []
    for count in filled_counts:
        perturbed = sample.copy()
        for i, j in (corners[region] for region in order[:count]):
            perturbed[:, i : i + patch, j : j + patch] = filled[:, i : i + patch, j : j + patch]
        scores.append(network.forward(perturbed[None])[0, target])
    return scores


@pytest.mark.parametrize("fill", ["mean", "blur", 0.25, "array"])
def test_against_a_plain_loop(picture_net, pictures, fill, rng):
    relevance = rng.normal(size=pictures.shape)
    given = rng.uniform(0, 1, pictures.shape).astype(np.float32)
    target = rng.integers(0, 5, len(pictures))
    curve = perturb(
        picture_net,
        pictures,
        relevance,
        target,
        patch=5,
        fill=given if fill == "array" else fill,
        steps=4,
        fraction=0.8,
    )
    assert curve.regions == 6 and curve.filled.tolist() == [0, 1, 2, 4, 5]
    for sample, picture in enumerate(pictures):
        filled = {
            "mean": lambda p: np.broadcast_to(p.mean((1, 2), np.float64, keepdims=True), p.shape),
            "blur": lambda p: blur(p, (1, 2), np.sqrt(120 / 6)),
            0.25: lambda p: np.full_like(p, 0.25),
            "array": lambda p, sample=sample: given[sample],
        }[fill](picture)
        expected = slow_curve(
            picture_net, picture, relevance[sample], filled, 5, curve.filled, target[sample]
        )
        np.testing.assert_array_equal(curve.scores[sample], expected)
    mean_drop = [np.mean([row[0] - value for value in row]) for row in curve.scores]
    np.testing.assert_allclose(curve.aopc, mean_drop)


def test_a_linear_network_falls_by_its_terms(rng):
    w, x = rng.normal(size=(9, 1)), rng.normal(size=(20, 9))
    network = dtd.Network([dtd.Dense(w)])
    curve = perturb(network, x, dtd.GradientTimesInput(network), fill=0.0)
    falls = np.sort(x * w[:, 0], axis=1)[:, ::-1]
    np.testing.assert_allclose(-np.diff(curve.scores, axis=1), falls, rtol=1e-9, atol=1e-12)
    worst = perturb(network, x, dtd.GradientTimesInput(network), fill=0.0, order="least")
    np.testing.assert_allclose(-np.diff(worst.scores, axis=1), falls[:, ::-1], atol=1e-12)
    # x_i w_i is the best order there is: no other one falls faster at any step.
    for order in ("most", "least"):
        other = perturb(network, x, rng.normal(size=x.shape), fill=0.0, order=order)
        assert np.all(curve.scores <= other.scores + 1e-12)
        assert np.all(worst.scores >= other.scores - 1e-12)


def test_beginning_and_end_do_not_depend_on_the_order(picture_net, pictures):
    compared = compare(
        picture_net,
        pictures,
        {"deep Taylor": dtd.DeepTaylor(picture_net, BOX), "random": "random"},
        **OPTIONS,
    )
    curves = [curve for method in compared.curves.values() for curve in method.values()]
    assert [curve.order for curve in curves] == ["most", "least", "random"]
    f = picture_net.forward(pictures).max(axis=1)
    for curve in curves:
        np.testing.assert_array_equal(curve.scores[:, 0], f)
        np.testing.assert_allclose(curve.scores[:, -1], curves[0].scores[:, -1], rtol=1e-12)


@pytest.mark.parametrize("fill", ["mean", "blur", "noise"])
def test_bits_do_not_depend_on_batch_threads_or_company(picture_net, pictures, fill):
    methods = {"sensitivity": dtd.Sensitivity(picture_net), "random": "random"}

    def scores(x, batch):
        result = compare(picture_net, x, methods, **OPTIONS | {"fill": fill, "batch": batch})
        return [curve.scores for curves in result.curves.values() for curve in curves.values()]

    dtd.set_num_threads(1)
    first = scores(pictures, 1)
    dtd.set_num_threads(2)
    for batch in (2, 13, 500):
        for one, other in zip(first, scores(pictures, batch), strict=True):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(first, scores(pictures[:3], 5), strict=True):
        np.testing.assert_array_equal(one[:3], other)


def test_equal_inputs_run_once(picture_net, pictures, monkeypatch):
    ran = []
    forward = dtd.Network.forward

    def counting(self, x, node=None):
        ran.append(len(x))
        return forward(self, x, node)

    monkeypatch.setattr(dtd.Network, "forward", counting)
    x = pictures.copy()
    x[:, :, :, 4:] = 0.0  # two thirds of the patches are black already
    methods = {"heatmap": x, "random": "random"}
    compared = compare(picture_net, x, methods, target=0, patch=4, fill=0.0, batch=50, repeats=1)
    assert max(ran) <= 50
    # f(x) for the target; then 8 subsets of the 3 regions that change at most, of 3 * 10 inputs
    assert sum(ran) - len(x) <= 8 * len(x)
    scores = compared.curves["heatmap"]["most"].scores
    np.testing.assert_array_equal(scores[:, 3:], scores[:, 3:4].repeat(7, axis=1))


def test_layouts_and_flat_pictures_say_the_same(picture_net, pictures, rng):
    relevance = rng.normal(size=pictures.shape)
    expected = perturb(picture_net, pictures, relevance, patch=4, fill="blur").scores
    nodes = [(node.name, node.layer) for node in picture_net.nodes]
    last = dtd.Network([("to_first", dtd.Transpose((2, 0, 1))), *nodes], input_shape=(12, 10, 3))
    flat = dtd.Network([("to_picture", dtd.Reshape((3, 12, 10))), *nodes], input_shape=(360,))
    turned = [np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (pictures, relevance)]
    rows = [a.reshape(7, -1) for a in (pictures, relevance)]
    options = {"patch": 4, "fill": "blur"}
    np.testing.assert_array_equal(
        perturb(last, *turned, channels="last", **options).scores, expected
    )
    np.testing.assert_array_equal(
        perturb(flat, *rows, shape=(3, 12, 10), **options).scores, expected
    )
    regions = patches((3, 12, 10), 4)
    np.testing.assert_array_equal(
        perturb(flat, *rows, regions=regions, shape=(3, 12, 10), fill="blur").scores, expected
    )


def test_patches():
    assert patches((2, 3, 5), 2).tolist() == [[[0, 0, 1, 1, 2]] * 2 + [[3, 3, 4, 4, 5]]] * 2
    assert patches((3, 5), (3, 2)).tolist() == [[0, 0, 1, 1, 2]] * 3
    assert patches((2, 5), 2, "first").tolist() == [[0, 0, 1, 1, 2]] * 2
    assert patches((5, 2), 3, "last").tolist() == [[0, 0]] * 3 + [[1, 1]] * 2
    assert patches((4,), 1).tolist() == [0, 1, 2, 3]
    sums = Regions(patches((5,), 2)).reduce(np.array([[1.0, 2, 3, 4, 7]]))
    assert sums.tolist() == [[3, 7, 7]]
    assert Regions(patches((5,), 2)).reduce(np.array([[1.0, 2, 3, 4, 7]]), "mean").tolist() == [
        [1.5, 3.5, 7]
    ]


def test_tables_take_groups_and_the_mean_of_each_column(rng):
    regions, names = feature_groups(["age", "S", "C", "fare"], {"port": ["S", "C"]})
    assert names == ["age", "port", "fare"] and regions.tolist() == [0, 1, 1, 2]
    network = dtd.Network([dtd.Dense(np.array([[3.0], [1.0], [2.0], [-1.0]]))])
    x = rng.uniform(0, 1, (6, 4))
    relevance = np.tile([0.5, 0.3, 0.3, 0.1], (6, 1))  # the port has more than the age
    curve = perturb(network, x, relevance, regions=regions)
    mean, w = x.mean(axis=0), np.array([3.0, 1.0, 2.0, -1.0])
    step = ((x - mean) * w)[:, 1:3].sum(axis=1)
    np.testing.assert_allclose(curve.scores[:, 0] - curve.scores[:, 1], step)
    assert curve.regions == 3
    np.testing.assert_allclose(curve.scores[:, -1], mean @ w)


def test_least_first_is_the_reverse_and_ties_are_drawn(picture_net, pictures):
    """Without relevance an order is random, not from the top left to the bottom right."""
    prepared = Perturbation(patch=4, fill=0.0).prepare(picture_net, pictures)
    order = prepared.most_first(np.zeros_like(pictures))
    assert len({tuple(row) for row in order.tolist()}) > 1
    assert all(sorted(row) == list(range(9)) for row in order.tolist())
    # With f = Σ_p x_p and a fill of 0, what "most" has replaced after k steps and "least" after
    # 9 - k make up the picture.
    network = dtd.Network([dtd.Flatten(), dtd.Dense(np.ones((360, 1)))], (3, 12, 10))
    x = pictures.astype(np.float64)
    most, least = (
        perturb(network, x, x * 0, order=order, patch=4, fill=0.0) for order in ("most", "least")
    )
    total = x.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(most.scores + least.scores[:, ::-1], total[:, None].repeat(10, 1))


def test_scores(picture_net, pictures):
    options = {"patch": 4, "fill": 0.0, "repeats": 2}
    plain = perturb(picture_net, pictures, dtd.Sensitivity(picture_net), **options)
    relative = perturb(
        picture_net, pictures, dtd.Sensitivity(picture_net), score="relative", **options
    )
    np.testing.assert_allclose(relative.scores, plain.scores / plain.scores[:, :1], rtol=1e-12)
    share = perturb(
        picture_net, pictures, dtd.Sensitivity(picture_net), score="probability", **options
    )
    output = picture_net.forward(pictures).astype(np.float64)
    softmax = np.exp(output) / np.exp(output).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(share.scores[:, 0], softmax.max(axis=1), rtol=1e-6)
    black = np.zeros(5)  # no biases
    np.testing.assert_allclose(share.scores[:, -1], 1 / len(black))
    nodes = [(node.name, node.layer) for node in picture_net.nodes]
    ending = dtd.Network([*nodes, ("softmax", dtd.Softmax())], picture_net.input_shape)
    again = perturb(ending, pictures, dtd.Sensitivity(picture_net), score="probability", **options)
    np.testing.assert_allclose(again.scores, share.scores, rtol=1e-4)


def test_one_row_of_a_table_needs_another_fill(rng):
    network = dtd.Network([dtd.Dense(rng.normal(size=(6, 1)))])
    x = rng.normal(size=(2, 6))
    perturb(network, x, dtd.Sensitivity(network))
    with pytest.raises(ValueError, match="nothing would change"):
        perturb(network, x[:1], dtd.Sensitivity(network))
    perturb(network, x[:1], dtd.Sensitivity(network), fill=0.0, batch=10**9)


def test_a_good_order_beats_random_and_random_does_not_beat_itself(rng):
    network = dtd.Network([dtd.Dense(rng.normal(size=(30, 1)))])
    x = rng.normal(size=(200, 30))
    methods = {
        "right": dtd.GradientTimesInput(network),
        "wrong": rng.normal(size=x.shape),
        "random": "random",
    }
    compared = compare(network, x, methods, fill=0.0)
    assert compared.difference("right", "random", "most")[1] > 0
    assert compared.difference("right", "random", "least")[2] < 0
    assert compared.difference("right", "wrong")[1] > 0
    mean, low, high = compared.average("right")
    assert mean == pytest.approx(compared.area("right").mean())
    assert low < mean < high
    _, low, high = compared.difference("wrong", "random", "most")
    assert low < 0 < high
    assert compared.difference("random", "random") == (0.0, 0.0, 0.0)
    np.testing.assert_allclose(
        compared.area("right"),
        (compared.curve("right", "least").scores - compared.curve("right", "most").scores).mean(1),
    )


def test_bands_hold_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(8)
    held = 0
    for seed in range(100):
        _, low, high = band(rng.normal(size=40), 0.9, seed)
        held += low <= 0 <= high
    assert 80 <= held <= 97
    mean, low, high = band(np.array([[1.0, 2.0]]))
    assert mean.tolist() == [1, 2] and np.isnan([low, high]).all()


def test_results_can_be_read(picture_net, pictures, tmp_path):
    methods = {"a": pictures, "b": dtd.Sensitivity(picture_net)(pictures), "random": "random"}
    compared = compare(picture_net, pictures, methods, **OPTIONS)
    text = repr(compared)
    assert "AOPC, most first" in text and "most, minus random" in text and "too narrow" in text
    content = json.loads(json.dumps(compared.as_json(), allow_nan=False))
    assert content["methods"]["a"]["aopc"]["most"]["mean"] == pytest.approx(
        compared.aopc["a"]["most"].mean()
    )
    one = compare(picture_net, pictures[:1], methods={"a": pictures[:1]}, patch=4)
    assert one.as_json()["methods"]["a"]["aopc"]["most"]["low"] is None
    with np.load(compared.save(tmp_path / "curves.npz")) as saved:
        np.testing.assert_array_equal(saved["scores/b/least"], compared.curves["b"]["least"].scores)
    curve = compared.curves["random"]["random"]
    with np.load(curve.save(tmp_path / "curve.npz")) as saved:
        np.testing.assert_array_equal(saved["aopc"], curve.aopc)
    assert "random order, 7 samples" in repr(curve)


def test_figure(picture_net, pictures, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    methods = {"heatmap": pictures, "$x$": "random"}
    compared = compare(picture_net, pictures, methods, **OPTIONS)
    figure = compared.plot(title="seven pictures, $5 each, $7 in all")
    assert [axes.get_title() for axes in figure.axes] == [
        "most relevant first",
        "least relevant first",
    ]
    drawn = figure.axes[0].lines[0].get_xydata()
    curve = compared.curves["heatmap"]["most"]
    np.testing.assert_allclose(drawn, np.stack([100 * curve.fraction, curve.scores.mean(0)], 1))
    entries = figure.axes[0].get_legend().texts
    assert [text.get_text() for text in entries] == list(methods)
    assert not any(text.get_parse_math() for text in entries)
    figure.savefig(tmp_path / "curves.png")
    assert len(curve.plot().axes) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"patch": 0}, ValueError, "patch must be at least 1"),
        ({"patch": (2, 2, 2)}, ValueError, "patch must be one length or one for each of the 2"),
        ({"regions": np.zeros(5, int)}, ValueError, "regions has shape"),
        ({"regions": np.full(360, 2)}, ValueError, "is in region 0"),
        ({"regions": np.zeros(360)}, TypeError, "regions must hold whole numbers"),
        ({"patch": 2, "regions": np.zeros(360, int)}, ValueError, "patch or regions, not both"),
        ({"channels": "middle"}, ValueError, "channels must be one of auto, first, last, none"),
        ({"shape": (3, 5)}, ValueError, "shape .* must hold as many numbers"),
        ({"reduce": "max"}, ValueError, "reduce must be one of sum, mean"),
        ({"fill": "grey"}, ValueError, "fill must be one of mean, blur, noise"),
        ({"fill": np.zeros(7)}, ValueError, r"fill has shape \(7,\)"),
        ({"fill": np.nan}, ValueError, "fill = nan is not finite"),
        ({"fill": -1.0, "domain": BOX}, ValueError, "fill.* is outside the domain"),
        ({"fill": "noise"}, ValueError, "give one, such as domain=Box"),
        ({"fill": "noise", "domain": dtd.Reals()}, ValueError, "finite bounds"),
        ({"domain": dtd.Box(0, 0.5)}, ValueError, "x.* is outside the domain"),
        ({"domain": (0, 1)}, TypeError, "domain must be a dtdcore.Domain"),
        ({"steps": 0}, ValueError, "steps must be at least 1"),
        ({"steps": 7}, ValueError, "steps must be at most the 4 regions"),
        ({"fraction": 0}, ValueError, "fraction must be finite and > 0"),
        ({"fraction": 1.5}, ValueError, "fraction must be at most 1"),
        ({"repeats": 0}, ValueError, "repeats must be at least 1"),
        ({"batch": 0}, ValueError, "batch must be at least 1"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"score": "loss"}, ValueError, "score must be one of output, probability, relative"),
        ({"score": "relative", "target": 1}, ValueError, "must be above 0"),
        ({"order": "best"}, ValueError, "order must be one of most, least, random"),
        ({"order": "random"}, ValueError, "order='random' takes no relevance"),
        ({"target": 9}, ValueError, "target 9 is not among"),
        ({"target": [[0, 1]] * 7}, ValueError, "one output for each sample"),
        ({"relevance": None}, TypeError, "must be an explainer, relevance"),
        ({"relevance": "magic"}, TypeError, "must be an explainer, relevance"),
        ({"relevance": np.zeros((7, 3))}, ValueError, "must have the shape of x"),
        ({"relevance": np.full((7, 3, 12, 10), np.nan)}, ValueError, "is not finite"),
        ({"pach": 3}, TypeError, "pach"),
    ],
)
def test_errors_before_any_perturbed_input_runs(
    picture_net, pictures, options, error, message, monkeypatch
):
    if "steps" in options:
        options = options | {"patch": 6}
    monkeypatch.setattr(
        "dtdcore.evaluate.perturbation.Prepared.scores",
        lambda *arguments: pytest.fail("it began to work"),
    )
    with pytest.raises(error, match=message):
        perturb(picture_net, pictures, **{"relevance": pictures} | options)


def test_a_single_output_has_no_probability(rng):
    network = dtd.Network([dtd.Dense(rng.normal(size=(4, 1)))])
    with pytest.raises(ValueError, match="needs a network of several outputs"):
        perturb(network, rng.normal(size=(2, 4)), np.ones((2, 4)), score="probability")
    with pytest.raises(ValueError, match="needs pictures or signals"):
        perturb(network, rng.normal(size=(2, 4)), np.ones((2, 4)), fill="blur")
    with pytest.raises(ValueError, match="at least one sample"):
        perturb(network, np.zeros((0, 4)), np.ones((0, 4)))


def test_blur_keeps_constants_and_range(rng):
    constant = np.full((2, 9, 5), 0.3, np.float32)
    np.testing.assert_array_equal(blur(constant, (1, 2), 4.0), constant)
    picture = rng.uniform(-1, 1, (2, 9, 5))
    blurred = blur(picture, (1, 2), 4.0)
    assert blurred.std() < 0.3 * picture.std()
    assert blurred.min() >= picture.min() and blurred.max() <= picture.max()
    # a point far from all borders becomes the Gauss curve
    point = np.zeros((1, 41))
    point[0, 20] = 1.0
    bell = np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2)
    np.testing.assert_allclose(blur(point, (1,), 2.0)[0, 14:27], bell / bell.sum())


def test_import_is_lazy():
    import subprocess
    import sys

    code = "import sys, dtdcore; a = 'dtdcore.evaluate' in sys.modules; dtdcore.evaluate.perturb; "
    code += "print(a, 'matplotlib' in sys.modules, 'tqdm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]
