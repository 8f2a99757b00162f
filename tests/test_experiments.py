# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The experiments: what they claim of the four methods and of the passengers, and their figures."""

from __future__ import annotations

import dataclasses
import json
import os

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import datasets
from dtdcore.experiments import deep_pairs, pairs, reports, titanic

real_data = pytest.mark.skipif(
    not os.environ.get("DTDCORE_DATA"),
    reason="environment variable DTDCORE_DATA is not set: no folder with the real data",
)


# ---------------------------------------------------------------------------------------------
# Pairs of digits

SMALL = pairs.Setting(
    data="8x8 digits",
    digit=0,
    neurons=40,
    iterations=3000,
    learning_rate=1e-4,
    train_pairs=3000,
    test_pairs=400,
    explained_pairs=60,
)


@pytest.fixture(scope="module")
def parts():
    pytest.importorskip("sklearn")
    images, labels = datasets.digits()
    return (images[600:], labels[600:]), (images[:600], labels[:600])


@pytest.fixture(scope="module")
def result(parts):
    return pairs.run(*parts, SMALL)


def method(result, name):
    (found,) = [each for each in result.methods if name in each.name]
    return found


def test_the_network_learns_to_detect(result):
    assert result.accuracy > 0.95
    assert result.mean_absent < 20 < 80 < result.mean_present < 120
    assert result.iterations == SMALL.iterations
    biases = result.network.layers[0].bias
    assert (biases <= 0).all()


def test_deep_taylor_is_consistent_and_the_others_are_not(result):
    for name in ("w²", "z^B"):
        deep = method(result, name)
        assert deep.conservative.all() and deep.positive.all() and deep.consistent.all()
        assert deep.error < 1e-3 and deep.mean_negative == 0.0
    sensitivity = method(result, "Sensitivity")
    assert sensitivity.positive.all() and not sensitivity.conservative.all()
    nearest = method(result, "nearest root")
    assert nearest.error > 1.0 and not nearest.positive.all()
    np.testing.assert_array_less(nearest.total, nearest.f + 1e-3)


def test_numbers_follow_from_the_heatmaps(result):
    x = result.pairs.images.reshape(60, -1)
    f = result.network.forward(x).reshape(-1)
    for each in result.methods:
        assert each.heatmaps.shape == result.pairs.images.shape == (60, 8, 16)
        np.testing.assert_allclose(each.f, f, rtol=1e-5, atol=1e-4)
        sums = each.heatmaps.sum(axis=(1, 2), dtype=np.float64)
        np.testing.assert_allclose(each.total, sums, rtol=1e-6)
        assert each.error == pytest.approx(np.abs(each.f - sums).mean(), rel=1e-6)
        below = np.where(each.heatmaps < 0, each.heatmaps, 0).sum(dtype=np.float64) / 60
        assert each.mean_negative == pytest.approx(below, rel=1e-6)
        np.testing.assert_array_equal(each.consistent, each.conservative & each.positive)


def test_relevance_lies_on_the_digit(result):
    for each in result.methods:
        assert 0.52 < each.on_digit < 1.0  # 0.5 would be no better than an even heatmap
    shown = np.flatnonzero(result.pairs.present)
    deep = method(result, "z^B")
    own = sum(
        np.split(deep.heatmaps[i], 2, axis=1)[result.pairs.sides[i]].sum(dtype=np.float64)
        for i in shown
    )
    assert deep.on_digit == pytest.approx(own / deep.heatmaps[shown].sum(dtype=np.float64))


def test_training_and_held_out_pairs_differ(parts, result):
    """A pair that is explained is built of images that training has not seen."""
    halves = np.concatenate(np.split(result.pairs.images, 2, axis=2)).reshape(120, -1)
    seen = {image.tobytes() for image in parts[0][0].reshape(-1, 64)}
    fresh = {image.tobytes() for image in parts[1][0].reshape(-1, 64)} - seen
    assert all(half.tobytes() in fresh for half in halves)


def test_same_seed_same_result(parts, result):
    again = pairs.run(*parts, SMALL)
    other = pairs.run(*parts, dataclasses.replace(SMALL, seed=1))
    for one, two in zip(result.methods, again.methods, strict=True):
        np.testing.assert_array_equal(one.heatmaps, two.heatmaps)
    assert not np.array_equal(result.methods[0].heatmaps, other.methods[0].heatmaps)


def test_table_and_json_say_the_same(result):
    content = json.loads(reports.to_json(pairs.as_json(result)))
    text = pairs.table(result)
    assert content["accuracy"] == result.accuracy and f"{result.accuracy:.4f}" in text
    assert content["setting"]["digit"] == 0
    assert [each["name"] for each in content["methods"]] == [m.name for m in result.methods]
    for row, each in zip(content["methods"], result.methods, strict=True):
        assert row["mean_abs_f_minus_sum"] == each.error
        (line,) = [line for line in text.splitlines() if line.startswith(each.name)]
        assert f"{each.error:.4f}" in line and f"{each.positive.mean():.1%}" in line


def test_pairs_figure(result):
    pytest.importorskip("matplotlib")
    from dtdcore.experiments import pairs_figure

    figure = pairs_figure.draw(result, rows=3)
    upper, lower = figure.subfigs
    assert len(upper.axes) == 3 * 5 + 1  # input and four methods, and the colour bar
    scatter, histogram = lower.axes[:4], lower.axes[4:]
    assert "\\langle|f - \\sum R|\\rangle" in scatter[1].get_title()
    assert "= 0.0" in scatter[2].get_title() and "= 0.0" in scatter[3].get_title()
    assert all("\\min(0, R)" in axes.get_title() for axes in histogram)
    points = sum(len(each.get_offsets()) for each in scatter[3].collections)
    assert points == len(result.pairs)
    for axes, each in zip(histogram, result.methods, strict=True):
        bars = sum(bar.get_height() for bar in axes.patches)
        assert bars == each.heatmaps.size
        assert any(bar.get_x() == 0.0 for bar in axes.patches)  # no bar mixes the signs


@pytest.mark.parametrize("present", [True, False])
def test_pairs_figure_of_one_kind_without_relevance(result, present):
    """All pairs with the digit, or none; nothing to see in any heatmap."""
    pytest.importorskip("matplotlib")
    from dtdcore.experiments import pairs_figure

    kept = result.pairs.present == present
    blank = dataclasses.replace(
        result,
        pairs=datasets.DigitPairs(
            result.pairs.images[kept],
            result.pairs.digits[kept],
            result.pairs.distractors[kept],
            result.pairs.sides[kept],
            result.pairs.target,
        ),
        methods=tuple(
            dataclasses.replace(
                each,
                heatmaps=np.zeros_like(each.heatmaps[kept]),
                f=np.zeros(kept.sum()),
                total=np.zeros(kept.sum()),
                negative=np.zeros(kept.sum()),
            )
            for each in result.methods
        ),
    )
    figure = pairs_figure.draw(blank)
    figure.draw_without_rendering()
    assert "= 0.0" in figure.subfigs[1].axes[0].get_title()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-1e-9, "0.0"),
        (24.46, "24.5"),
        (-0.8, "−0.8"),
        (0.0123, "0.012"),
        (17800.3, "17800"),
    ],
)
def test_numbers_in_the_figure(value, text):
    from dtdcore.experiments.pairs_figure import _number

    assert _number(value) == text


# ---------------------------------------------------------------------------------------------
# Pairs of digits, two layers

SMALL_DEEP = deep_pairs.DeepSetting(
    data="8x8 digits",
    digit=0,
    neurons=40,
    iterations=4000,
    model_iterations=2000,
    model_batch_size=50,
    train_pairs=3000,
    model_pairs=2000,
    test_pairs=400,
    explained_pairs=100,
)


@pytest.fixture(scope="module")
def deep_result(parts):
    return deep_pairs.run(*parts, SMALL_DEEP)


def test_both_relevance_models(deep_result):
    assert deep_result.accuracy > 0.95
    assert deep_result.mean_absent < 20 < 80 < deep_result.mean_present < 120
    assert 0.9 < deep_result.explained_variance < 1
    for rule in ("z^B", "w²"):
        free = method(deep_result, f"Training-free, {rule}")
        assert free.consistent.all() and free.error < 1e-3 and free.mean_negative == 0.0
        trained = method(deep_result, f"Min-max, {rule}")
        assert trained.positive.all() and trained.mean_negative == 0.0
        assert not trained.conservative.all() and 0.01 < trained.error < 10
        assert 0.6 < trained.on_digit < 1.0
        count, error = deep_result.near(trained)
        near = np.abs(trained.f - 100) <= 10
        assert count == near.sum() > 10
        assert error == pytest.approx(np.abs(trained.f - trained.total)[near].mean())
    assert deep_result.report["dense_2"].spread == pytest.approx(0, abs=1e-5)
    assert deep_result.report["dense_1"].spread > 0.01


def test_table_json_and_figure_of_two_layers(deep_result):
    content = json.loads(reports.to_json(deep_pairs.as_json(deep_result)))
    text = deep_pairs.table(deep_result)
    assert f"{content['explained_variance']:.4f}" in text and f"{content['accuracy']:.4f}" in text
    for row, each in zip(content["methods"], deep_result.methods, strict=True):
        lines = [line for line in text.splitlines() if line.startswith(each.name)]
        assert f"{each.error:.4f}" in lines[0]
        assert f"{row['mean_abs_f_minus_sum_near_output']:.4f}" in lines[1]
    pytest.importorskip("matplotlib")
    from dtdcore.experiments import pairs_figure

    figure = pairs_figure.draw(deep_result, rows=2)
    figure.draw_without_rendering()
    assert "min-max model: explained variance" in figure.get_suptitle()
    assert len(figure.subfigs[1].axes) == 8


# ---------------------------------------------------------------------------------------------
# Titanic

FEW = titanic.Setting(splits=2, iterations=800, restarts=2, test_fraction=0.3)


@pytest.fixture(scope="module")
def table():
    """Two hundred invented passengers: women and children survive."""
    random = np.random.default_rng(3)
    rows = 200
    age = random.uniform(1, 70, rows).round()
    female = random.random(rows) < 0.4
    survived = (female | (age < 10)) ^ (random.random(rows) < 0.05)
    age[::9] = np.nan
    port = random.choice(["C", "Q", "S"], rows, p=[0.2, 0.1, 0.7])
    port[5] = ""
    return {
        "PassengerId": np.arange(1, rows + 1),
        "Survived": survived.astype(int),
        "Pclass": random.integers(1, 4, rows),
        "Name": np.array([f"Passenger {row}" for row in range(rows)]),
        "Sex": np.where(female, "female", "male"),
        "Age": age,
        "SibSp": random.integers(0, 4, rows),
        "Parch": random.integers(0, 3, rows),
        "Fare": random.uniform(5, 200, rows),
        "Embarked": port,
    }


@pytest.fixture(scope="module")
def voyage(table):
    return titanic.run(table, FEW)


def test_folds(voyage, table):
    assert [fold.seed for fold in voyage.folds] == [0, 1]
    for fold in voyage.folds:
        assert fold.test_accuracy > 0.75 and fold.train_accuracy > 0.75
        assert fold.network.layers[0].weight.shape == (9, 5)
        assert (fold.network.layers[0].bias <= 0).all()
        f = fold.network.forward(fold.split.x_test).reshape(-1)
        assert fold.test_accuracy == np.mean((f > 0.5) == (fold.split.y_test > 0.5))
        women = table["Sex"][fold.split.test] == "female"
        assert fold.women_accuracy == np.mean(women == (table["Survived"][fold.split.test] == 1))


def test_passenger(voyage, table):
    passenger = voyage.passenger
    assert passenger.held_out and passenger.survived and passenger.f > 0.5
    assert passenger.number == table["PassengerId"][passenger.row]
    assert passenger.name == f"Passenger {passenger.row}"
    for relevance in passenger.relevance.values():
        assert (relevance >= 0).all()
        assert relevance.sum() == pytest.approx(passenger.f, rel=1e-5)
    fold = voyage.folds[0]
    for place, row in enumerate(fold.split.test):  # nobody younger would have done
        f = fold.network.forward(fold.split.x_test[[place]]).item()
        if table["Survived"][row] and f > 0.5 and not np.isnan(table["Age"][row]):
            assert table["Age"][row] >= table["Age"][passenger.row]


def test_a_chosen_passenger(table):
    chosen = titanic.run(table, dataclasses.replace(FEW, splits=1), passenger=6).passenger
    assert chosen.number == 6 and chosen.row == 5
    values = dict(zip(chosen.features, chosen.values, strict=True))
    assert values["sex"] == table["Sex"][5]
    assert values["Southampton"] == "yes (imputed)" and values["Cherbourg"] == "no (imputed)"
    assert values["class"] == {1: "1st", 2: "2nd", 3: "3rd"}[table["Pclass"][5]]
    unknown = titanic.run(table, dataclasses.replace(FEW, splits=1), passenger=1).passenger
    assert unknown.values[2].endswith(" (imputed)")


def test_an_unknown_passenger(table):
    with pytest.raises(ValueError, match="passenger must be a PassengerId of the table, got 999"):
        titanic.run(table, FEW, passenger=999)


@pytest.mark.parametrize("name", ["splits", "restarts"])
def test_counts_are_at_least_one(table, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        titanic.run(table, dataclasses.replace(FEW, **{name: 0}))


def test_means(voyage):
    assert voyage.mean_features[-1] == "port" and len(voyage.mean_features) == 7
    for rule, domain in titanic.RULES.items():
        sums = {True: [], False: []}
        for fold in voyage.folds:
            explanation = dtd.DeepTaylor(fold.network, domain)(fold.split.x_test)
            for relevance, y in zip(explanation.relevance, fold.split.y_test, strict=True):
                sums[bool(y)].append([*relevance[:6], relevance[6:].sum()])
        np.testing.assert_allclose(
            voyage.means[rule]["survivors"], np.mean(sums[True], axis=0), rtol=1e-5, atol=1e-7
        )
        np.testing.assert_allclose(
            voyage.means[rule]["others"], np.mean(sums[False], axis=0), rtol=1e-5, atol=1e-7
        )


def test_percent():
    assert titanic.percent(np.array([1.0, 3.0])) == [25.0, 75.0]
    assert titanic.percent(np.zeros(3)) == [None, None, None]


def test_a_passenger_without_relevance(voyage):
    nobody = dataclasses.replace(
        voyage.passenger, f=0.0, relevance={rule: np.zeros(9) for rule in titanic.RULES}
    )
    last = titanic.passenger_table(nobody).splitlines()[-1].split()
    assert last == ["sum", "0.0000", "-", "0.0000", "-"]
    content = titanic.as_json(dataclasses.replace(voyage, passenger=nobody))
    assert content["passenger"]["percent"]["z⁺"] == [None] * 9
    reports.to_json(content)


def test_report_and_json_say_the_same(voyage):
    content = json.loads(reports.to_json(titanic.as_json(voyage)))
    text = titanic.report(voyage)
    accuracies = [fold.test_accuracy for fold in voyage.folds]
    assert content["accuracy"]["test_accuracy"] == {
        "mean": np.mean(accuracies),
        "min": min(accuracies),
        "max": max(accuracies),
    }
    assert f"{min(accuracies):.3f}-{max(accuracies):.3f}" in text
    assert voyage.passenger.name in text
    for rule, relevance in voyage.passenger.relevance.items():
        assert content["passenger"]["relevance"][rule] == relevance.tolist()
        assert sum(content["passenger"]["percent"][rule]) == pytest.approx(100)
    (row,) = [line.split() for line in text.splitlines() if line.startswith("port")]
    assert row[1] == f"{voyage.means['z⁺']['survivors'][-1]:.4f}"


def test_titanic_figure(voyage):
    pytest.importorskip("matplotlib")
    from dtdcore.experiments import titanic_figure

    figure = titanic_figure.draw(voyage)
    left, middle, right = figure.axes
    assert voyage.passenger.name in left.get_title()
    assert [len(axes.patches) for axes in figure.axes] == [18, 14, 14]
    widths = [bar.get_width() for bar in middle.patches[:7]]
    np.testing.assert_allclose(widths, voyage.means["z⁺"]["survivors"])
    assert middle.get_xlim() == right.get_xlim()


@real_data
def test_the_real_passengers():
    """Accuracy on hold-out rows at least 0.80 over five splits, as five neurons can do."""
    result = titanic.run(datasets.titanic(), titanic.Setting(splits=5))
    accuracies = [fold.test_accuracy for fold in result.folds]
    assert np.mean(accuracies) >= 0.80
    assert min(accuracies) > 0.72
    assert all(len(fold.split.test) == 178 for fold in result.folds)
    assert result.means["z⁺"]["survivors"].sum() > 2 * result.means["z⁺"]["others"].sum()


# ---------------------------------------------------------------------------------------------
# Files


def test_figures_are_written_whole_or_not_at_all(tmp_path):
    class Broken:
        def savefig(self, file, **options):
            file.write(b"half")
            raise RuntimeError("no more")

    (tmp_path / "figure.png").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="no more"):
        reports.write_figure(tmp_path / "figure.png", Broken())
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    assert (tmp_path / "figure.png").read_bytes() == b"old"


def test_json_holds_numbers_only(tmp_path):
    path = reports.write_json(tmp_path / "a.json", {"z⁺": [1, 2.5, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"z⁺": [1, 2.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        reports.write_json(tmp_path / "b.json", {"a": float("nan")})
    assert not (tmp_path / "b.json").exists()
