# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`dtdcore explain` on numbers: tables, signals, volumes; what is said of their heatmaps."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import cli

Image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra explain)")


def pixels_of(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


def content(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_table_of_named_columns(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.random((200, 9))
    fitted = dtd.DetectionPoolingNet(units=[(5, None)], iterations=300, seed=0)
    fitted.fit(x, 100.0 * (x[:, 1] + x[:, 2] > 1.0)).network_.save("net.npz")
    header = "class,sex,age,siblings,parents,fare,Southampton,Cherbourg,Queenstown"
    np.savetxt("t.csv", x[:3], delimiter=",", header=header, comments="")
    assert cli.main(["explain", "net.npz", "t.csv", "--domain", "0,1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["results"]
    assert [f["name"] for f in found] == ["t-1", "t-2", "t-3"]
    assert [f["nothing_to_explain"] for f in found] == [f["score"] <= 0 for f in found]
    some = [f for f in found if not f["nothing_to_explain"]]
    assert some and all(f["conservative"] and f["positive"] for f in some)
    assert {f"t-{row}.png" for row in (1, 2, 3)} < set(os.listdir("heatmaps"))
    assert min(pixels_of("heatmaps/t-1.png").shape[:2]) > 200


@pytest.mark.parametrize("shape", [(1, 50), (2, 3, 9, 9)])
def test_signals_and_volumes(tmp_path, monkeypatch, shape):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    kernel = (3,) * (len(shape) - 1)
    layers = [
        dtd.Conv(rng.normal(size=(4, shape[0], *kernel)).astype(np.float32)),
        dtd.ReLU(),
        dtd.GlobalPool("average"),
        dtd.Flatten(),
    ]
    dtd.Network(layers, input_shape=shape).save("net.npz")
    np.save("x.npy", rng.random((2, *shape)).astype(np.float32))
    assert cli.main(["explain", "net.npz", "x.npy", "--domain", "0,1"]) == 0
    assert sorted(os.listdir("heatmaps")) == [
        "contact-sheet.png",
        "heatmaps.npz",
        "x-0.png",
        "x-1.png",
    ]
    assert min(pixels_of("heatmaps/x-0.png").shape[:2]) > 60


def test_a_long_signal_has_a_small_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layers = [dtd.Conv(np.ones((1, 1, 3), np.float32)), dtd.GlobalPool("average"), dtd.Flatten()]
    dtd.Network(layers, input_shape=(1, 20_000)).save("net.npz")
    np.save("x.npy", np.ones((1, 1, 20_000), np.float32))
    assert cli.main(["explain", "net.npz", "x.npy", "--domain", "0,1"]) == 0
    assert pixels_of("heatmaps/x-0.png").shape[1] < 3 * 2048 + 100


def test_dollars_in_names_are_no_mathematics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dtd.Network([dtd.Dense(np.eye(2, dtype=np.float32))], input_shape=(2,)).save("net.npz")
    Path("cost$_$.csv").write_text("a$_$,b\n1,2\n")
    Path("labels.txt").write_text("$_{\nb")
    arguments = ["--labels", "labels.txt", "--target", 0]
    assert cli.main(["explain", "net.npz", "cost$_$.csv", *map(str, arguments)]) == 0
    assert Path("heatmaps/cost$_$-1.png").exists()


def test_a_sample_that_overflows_is_one_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    weight = np.full((4, 3), 2.0, np.float32)
    dtd.Network([dtd.Dense(weight)], input_shape=(4,)).save("net.npz")
    np.save("x.npy", np.array([[1, 1, 1, 1], [3e38] * 4, [1, 2, 3, 4]], np.float32))
    for target in ("top1", "top2", "1"):
        arguments = ["--target", target, "--force", "--no-pictures"]
        assert cli.main(["explain", "net.npz", "x.npy", *arguments]) == 1
        assert "failed: x-1: the forward pass overflows float32" in capsys.readouterr().err
        assert content("heatmaps/heatmaps.npz")["files"].tolist() == ["x-0", "x-2"]


def test_more_than_f_is_said_with_its_sign(tmp_path, monkeypatch, capsys):
    """Under ε a negative bias takes less than nothing: ΣR is above f."""
    monkeypatch.chdir(tmp_path)
    layer = dtd.Dense(np.ones((2, 1), np.float32), np.array([-1], np.float32))
    dtd.Network([layer], input_shape=(2,)).save("net.npz")
    np.save("x.npy", np.ones((1, 2), np.float32))
    arguments = ["--method", "lrp:epsilon", "--no-pictures"]
    assert cli.main(["explain", "net.npz", "x.npy", *arguments]) == 0
    printed = capsys.readouterr()
    assert "-100 %" in printed.out
    assert "in 1 of 1 heatmaps ΣR is more than 1 % above f" in printed.err
