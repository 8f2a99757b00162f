# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`dtdcore explain`: real runs on generated pictures, and on trained networks where there are."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed (extra onnx)")
pytest.importorskip("PIL", reason="pillow is not installed (extra explain)")

import onnx
from onnx import helper
from onnx_models import model
from PIL import Image

import dtdcore as dtd
from dtdcore import cli
from dtdcore.jobs import heatmap_file, panels

real_data = pytest.mark.skipif(
    not os.environ.get("DTDCORE_DATA"),
    reason="environment variable DTDCORE_DATA is not set: no folder with the real data",
)
FOLDER = Path(os.environ.get("DTDCORE_DATA", ""))
LABELS = ["circle", "square", "star, asterisk"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with net.onnx (biases <= 0, softmax), leaky.onnx and pictures.

    In leaky.onnx nothing but the bias speaks for a class, so that all of f is lost.
    """
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    for name, sign in (("net", -1), ("leaky", 1)):
        w1, w2 = rng.normal(size=(6, 3, 3, 3)), np.abs(rng.normal(size=(3, 6)))
        constants = {
            "w1": w1.astype(np.float32),
            "b1": np.full(6, -0.5, np.float32),
            "w2": (-sign * w2).astype(np.float32),
            "b2": np.full(3, max(0, 50 * sign), np.float32),
        }
        node = helper.make_node
        nodes = [
            node("Conv", ["x", "w1", "b1"], ["c"], "conv", pads=[1, 1, 1, 1]),
            node("Relu", ["c"], ["r"], "relu"),
            node("GlobalAveragePool", ["r"], ["g"], "gap"),
            node("Flatten", ["g"], ["f"], "flat"),
            node("Gemm", ["f", "w2", "b2"], ["l"], "dense", transB=1),
            node("Softmax", ["l"], ["y"], "softmax", axis=1),
        ]
        onnx.save(model(nodes, (3, 8, 8), constants), f"{name}.onnx")
    Path("labels.txt").write_text("\n".join(LABELS))
    Path("photos").mkdir()
    for name in "abc":
        pixels = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{name}.png")
    return tmp_path


def run(*arguments):
    """The exit status of the command, with the preprocessing that net.onnx was made for."""
    return cli.main(["explain", *map(str, arguments), "--preset", "unit"])


def pixels_of(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


def content(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_everything_is_written(place, capsys):
    assert run("net.onnx", "photos", "--labels", "labels.txt") == 0
    table = capsys.readouterr().out.splitlines()
    heading = "input class score p f ΣR lost conserv. positive"
    assert " ".join(table[0].split()) == heading
    assert [line.split()[0] for line in table[2:]] == ["a", "b", "c"]
    assert all(line.split()[-2:] == ["yes", "yes"] for line in table[2:])
    out = place / "heatmaps"
    names = ["a.png", "b.png", "c.png", "contact-sheet.png", "heatmaps.npz"]
    assert sorted(path.name for path in out.iterdir()) == names
    saved = content(out / "heatmaps.npz")
    network = dtd.load("net.onnx")
    again = dtd.DeepTaylor(network, dtd.Box(0, 1))(saved["inputs"])
    np.testing.assert_array_equal(saved["relevance"], again.relevance)
    again.save("again.npz")
    theirs = content("again.npz")
    assert set(saved) == set(theirs) | {"files", "preprocessing"}
    for name, array in theirs.items():
        np.testing.assert_array_equal(saved[name], array)
    assert saved["files"].tolist() == ["a", "b", "c"]


def test_other_tensors_of_the_model(place):
    """--output-tensor explains a pixel of a feature map, --input-tensor starts at one."""
    assert run("net.onnx", "photos", "--output-tensor", "r", "--no-pictures") == 0
    saved = content("heatmaps/heatmaps.npz")
    part = dtd.from_onnx("net.onnx", outputs="r")
    x = saved["inputs"]
    again = dtd.DeepTaylor(part, dtd.Box(0, 1))(x)
    np.testing.assert_array_equal(saved["relevance"], again.relevance)
    np.testing.assert_array_equal(saved["output"], part.forward(x))
    assert np.any(saved["relevance"])
    np.save("features.npy", part.forward(x))
    tensor = ["--input-tensor", "r=6,8,8", "--domain", "nonnegative", "--no-pictures"]
    assert cli.main(["explain", "net.onnx", "features.npy", *tensor, "--out", "rest"]) == 0
    rest = dtd.from_onnx("net.onnx", inputs={"r": (6, 8, 8)})
    again = dtd.DeepTaylor(rest, dtd.NonNegative())(part.forward(x))
    np.testing.assert_array_equal(content("rest/heatmaps.npz")["relevance"], again.relevance)


def test_several_outputs_and_how_to_choose_one(place, capsys):
    two = onnx.load("net.onnx")
    two.graph.output.append(helper.make_tensor_value_info("l", onnx.TensorProto.FLOAT, ["n", 3]))
    onnx.save(two, "two.onnx")
    assert run("two.onnx", "photos") == 2
    assert "outputs= is --output-tensor NAME" in capsys.readouterr().err
    assert run("two.onnx", "photos", "--output-tensor", "l", "--no-pictures") == 0


def test_batches_leave_the_same_bytes(place):
    assert run("net.onnx", "photos", "--out", "one", "--batch", 1, "--no-pictures") == 0
    assert run("net.onnx", "photos", "--out", "all", "--max-memory", "1M", "--no-pictures") == 0
    assert os.listdir("one") == ["heatmaps.npz"]
    assert Path("one/heatmaps.npz").read_bytes() == Path("all/heatmaps.npz").read_bytes()


def test_pictures_show_input_and_heatmap(place):
    assert run("net.onnx", "photos/a.png", "--method", "deep-taylor,lrp:epsilon-plus") == 0
    drawn = pixels_of("heatmaps/a.png")
    saved = content("heatmaps/heatmaps-deep-taylor.npz")
    heatmap = saved["relevance"][0].sum(axis=0, dtype=np.float64)
    expected = panels.enlarge(panels.colorize(heatmap, panels.scale_of(heatmap)), 224)
    pixels = np.rint(255 * saved["inputs"][0].transpose(1, 2, 0)).astype(np.uint8)
    expected = panels.beside([panels.enlarge(pixels, 224), expected])
    height, width = expected.shape[:2]
    tops = [y for y in range(len(drawn) - height) if (drawn[y, 8] == expected[0, 0]).all()]
    assert any(np.array_equal(drawn[y : y + height, 8 : 8 + width], expected) for y in tops)
    assert len(drawn) > 2 * height  # a row for each method


def test_broken_picture_among_good_ones(place, capsys):
    whole = Path("photos/b.png").read_bytes()
    Path("photos/b.png").write_bytes(whole[: len(whole) // 2])
    assert run("net.onnx", "photos", "--json") == 1
    streams = capsys.readouterr()
    (line,) = [line for line in streams.err.splitlines() if "failed" in line]
    assert line.startswith("dtdcore: failed: b: cannot be read as a picture")
    answer = json.loads(streams.out)
    assert [found["name"] for found in answer["results"]] == ["a", "c"]
    assert [failure["name"] for failure in answer["failures"]] == ["b"]
    assert not Path("heatmaps/b.png").exists() and Path("heatmaps/c.png").exists()


def test_nothing_could_be_explained(place, capsys):
    Path("photos/a.png").write_bytes(b"no picture")
    assert run("net.onnx", "photos/a.png") == 1
    error = capsys.readouterr().err
    assert "dtdcore: failed: a: cannot be read as a picture" in error
    assert error.endswith("dtdcore: error: nothing could be explained: all of 1 failed\n")
    assert not Path("heatmaps").exists()


def test_results_are_not_overwritten(place, capsys):
    assert run("net.onnx", "photos/a.png") == 0
    before = {path: path.stat().st_mtime_ns for path in Path("heatmaps").iterdir()}
    assert run("net.onnx", "photos") == 2
    error = capsys.readouterr().err
    assert "heatmaps.npz and 2 more exist: replace with --force" in error
    assert {path: path.stat().st_mtime_ns for path in Path("heatmaps").iterdir()} == before
    assert run("net.onnx", "photos", "--force") == 0
    assert len(content("heatmaps/heatmaps.npz")["files"]) == 3


def test_inputs_are_never_overwritten(place, capsys):
    before = Path("photos/a.png").read_bytes()
    assert run("net.onnx", "photos", "--out", "photos", "--force") == 2
    assert "is an input and would be replaced" in capsys.readouterr().err
    assert Path("photos/a.png").read_bytes() == before
    assert sorted(os.listdir("photos")) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize(
    ("target", "expected"), [("top2", None), ("2", [2]), ("asterisk", [2]), ("top1", None)]
)
def test_targets(place, capsys, target, expected):
    assert run("net.onnx", "photos", "--labels", "labels.txt", "--target", target, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    saved = content("heatmaps/heatmaps.npz")
    flat = saved["output"]
    count = 2 if target == "top2" else 1
    expected = expected or np.argsort(-flat, axis=1)[:, :count]
    targets = np.broadcast_to(expected, (3, count))
    np.testing.assert_array_equal(saved["target"].reshape(3, count), targets)
    found = answer["results"]
    assert [f["target"] for f in found] == targets.ravel().tolist()
    assert [f["label"] for f in found] == [LABELS[t] for t in targets.ravel()]
    scores = np.take_along_axis(flat, targets, axis=1).ravel()
    np.testing.assert_allclose([f["score"] for f in found], scores, rtol=1e-6)
    odds = np.exp(flat) / np.exp(flat).sum(axis=1, keepdims=True)
    odds = np.take_along_axis(odds, targets, axis=1).ravel()
    np.testing.assert_allclose([f["probability"] for f in found], odds, rtol=1e-5)
    sums = saved["relevance"].reshape(3 * count, -1).sum(axis=1, dtype=np.float64)
    np.testing.assert_allclose([f["total"] for f in found], sums, rtol=1e-6)


def test_a_contrast(place, capsys):
    assert run("net.onnx", "photos", "--labels", "labels.txt", "--target", "2-0", "--json") == 0
    found = json.loads(capsys.readouterr().out)["results"]
    saved = content(place / "heatmaps" / "heatmaps.npz")
    flat = saved["output"].reshape(3, -1)
    expected = np.maximum(flat[:, 2], 0) - np.maximum(flat[:, 0], 0)
    np.testing.assert_allclose(saved["explained"], expected, rtol=1e-5)
    assert [f["target"] for f in found] == ["2-0"] * 3 == saved["target"].tolist()
    np.testing.assert_allclose([f["score"] for f in found], expected, rtol=1e-5)
    assert run("net.onnx", "photos", "--target", "1,99,0,0", "--force") == 2
    assert "place on each axis" in capsys.readouterr().err


def test_methods_beside_each_other(place, capsys):
    methods = ["deep-taylor:winner", "sensitivity"]
    assert run("net.onnx", "photos", "--method", methods[0], "--method", methods[1], "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert {f["method"] for f in answer["results"]} == set(methods)
    assert all(f["lost"] is None for f in answer["results"] if f["method"] == "sensitivity")
    x = content("heatmaps/heatmaps-sensitivity.npz")
    expected = dtd.Sensitivity(dtd.load("net.onnx"))(x["inputs"]).relevance
    np.testing.assert_array_equal(x["relevance"], expected)
    assert "audit" not in x and "audit" in content("heatmaps/heatmaps-deep-taylor-winner.npz")


def test_what_is_lost_is_said_and_strict_fails(place, capsys):
    assert run("leaky.onnx", "photos", "--out", "loose", "--json") == 0
    streams = capsys.readouterr()
    found = json.loads(streams.out)["results"]
    assert all(f["lost"] == pytest.approx(f["explained"]) for f in found)
    assert all(f["missing"] == 1 and f["worst_layer"] == "l" for f in found)
    assert "in 3 of 3 heatmaps more than 1 % of f did not arrive" in streams.err
    assert "(no input speaks for its neurons: z_j = 0)" in streams.err
    assert run("leaky.onnx", "photos", "--out", "absorbed", "--method", "lrp:epsilon") == 0
    assert "(biases and stabilisers, which count in z_j under this rule, took it)" in (
        capsys.readouterr().err
    )
    methods = ["--method", "deep-taylor", "--method", "sensitivity"]
    assert run("leaky.onnx", "photos", "--strict", "--out", "strict", *methods) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "failed" in line]
    assert len(lines) == 3
    assert lines[0].startswith("dtdcore: failed: a (deep-taylor): layer l (")
    assert sorted(os.listdir("strict")) == [
        *(f"{name}.png" for name in "abc"),
        "contact-sheet.png",
        "heatmaps-sensitivity.npz",
    ]
    assert run("net.onnx", "photos", "--strict", "--out", "kept") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.onnx", "photos", "--target", "star"], "give the names (--labels FILE)"),
        (["net.onnx", "nowhere"], "there is no file or folder nowhere"),
        (["net.onnx", "empty"], "the folder empty holds no pictures"),
        (["net.onnx", "photos", "--out", "labels.txt"], "choose another --out"),
        (["net.onnx", "photos", "--method", "sensitivity", "--strict"], "has no audit"),
    ],
)
def test_errors_say_what_to_do(place, capsys, arguments, message):
    Path("empty").mkdir()
    before = sorted(place.rglob("*"))
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("grey", np.zeros((2, 1, 8, 8), np.float32), "the network takes (n, 3, 8, 8)"),
        ("pixels", np.full((2, 3, 8, 8), 200, np.float32), "the domain of --preset none"),
    ],
)
def test_all_fail(place, capsys, name, values, message):
    """What is wrong with every input is said, the status is 1, and nothing is written."""
    np.save(f"{name}.npy", values)
    before = sorted(place.rglob("*"))
    assert run("net.onnx", f"{name}.npy") == 1
    error = capsys.readouterr().err
    assert message in error and "nothing could be explained" in error
    assert error.count("dtdcore: failed:") == 1  # samples that share a reason share a line
    assert sorted(place.rglob("*")) == before
    assert run("net.onnx", f"{name}.npy", "photos") == 1  # the others are explained
    assert content("heatmaps/heatmaps.npz")["files"].tolist() == ["a", "b", "c"]


def test_unknown_method(place, capsys):
    with pytest.raises(SystemExit) as caught:
        run("net.onnx", "photos", "--method", "magic")
    assert caught.value.code == 2
    assert "there is no method 'magic'; there are deep-taylor" in capsys.readouterr().err


def test_interrupted(place, monkeypatch):
    """Ctrl-C while the last file is written leaves whole files alone."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(heatmap_file._Spool, "write", interrupt)
    assert run("net.onnx", "photos") == 130
    assert sorted(os.listdir("heatmaps")) == ["a.png", "b.png", "c.png", "contact-sheet.png"]


def test_what_cannot_be_drawn_is_a_failure_of_its_own(place, monkeypatch, capsys):
    """Numbers are written, and the pictures of the others."""
    whole = panels.text_panel

    def text_panel(lines, width, size):
        if "b" in lines:
            raise RuntimeError("no such letter")
        return whole(lines, width, size)

    monkeypatch.setattr(panels, "text_panel", text_panel)
    assert run("net.onnx", "photos") == 1
    assert "failed: b: its picture cannot be drawn: no such letter" in capsys.readouterr().err
    assert content("heatmaps/heatmaps.npz")["files"].tolist() == ["a", "b", "c"]
    assert Path("heatmaps/a.png").exists() and not Path("heatmaps/b.png").exists()


def test_force_leaves_nothing_of_an_earlier_run(place):
    """What this run was to replace and could not."""
    assert run("net.onnx", "photos") == 0
    Path("photos/b.png").write_bytes(b"no picture")
    Path("heatmaps/note.txt").write_text("mine")
    assert run("net.onnx", "photos", "--force") == 1
    names = ["a.png", "c.png", "contact-sheet.png", "heatmaps.npz", "note.txt"]
    assert sorted(os.listdir("heatmaps")) == names
    for name in "ac":
        Path(f"photos/{name}.png").write_bytes(b"no picture")
    assert run("net.onnx", "photos", "--force") == 1
    assert os.listdir("heatmaps") == ["note.txt"]


def test_probabilities_are_those_of_the_whole_output(tmp_path, monkeypatch, capsys):
    """A softmax over the channels of a map: what is left out says nothing of a single number."""
    monkeypatch.chdir(tmp_path)
    weight = np.random.default_rng(0).normal(size=(5, 3, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("Softmax", ["c"], ["y"], "softmax", axis=1),
    ]
    onnx.save(model(nodes, (3, 4, 4), {"w": weight}, opset=13), "net.onnx")
    np.save("x.npy", np.ones((1, 3, 4, 4), np.float32))
    assert cli.main(["explain", "net.onnx", "x.npy", "--json", "--no-pictures"]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["probability"] is None


def test_letters_that_the_output_lacks(place):
    """In a table and in JSON; Σ is in every table."""
    Path("photos/a.png").rename("photos/日本é.png")
    command = [sys.executable, "-m", "dtdcore", "explain", "net.onnx", "photos", "--preset", "unit"]
    for encoding in ("cp1252", "ascii", "utf-8"):
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        for options in ([], ["--json"]):
            done = subprocess.run(
                [*command, "--force", *options],
                capture_output=True,
                env=environment,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        names = [f["name"] for f in json.loads(done.stdout.decode(encoding))["results"]]
        assert "日本é" in names


def test_the_note_says_the_preprocessing_that_is_used(place, capsys):
    network = dtd.load("net.onnx")
    network.producer = "pytorch"
    network.save("net.npz")
    arguments = ["explain", "net.npz", "photos", "--mean", "0.25", "--no-pictures"]
    assert cli.main(arguments) == 0
    used = str(content("heatmaps/heatmaps.npz")["preprocessing"])
    assert "0.25" in used
    assert "0.25" in capsys.readouterr().err


def test_max_memory_is_checked_before_the_work(place, capsys):
    assert run("net.onnx", "photos", "--max-memory", "1K") == 2
    printed = capsys.readouterr()
    assert "argument --max-memory: one input needs" in printed.err
    assert not Path("heatmaps").exists()


def test_many_inputs_take_several_sheets(place):
    pixels = np.random.default_rng(1).integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)
    np.save("many.npy", pixels)
    assert run("net.onnx", "many.npy", "--batch", 16) == 0
    assert Path("heatmaps/contact-sheet-2.png").exists()
    assert not Path("heatmaps/contact-sheet-3.png").exists()


def test_as_a_program(place):
    command = [sys.executable, "-m", "dtdcore", "explain", "net.onnx", "photos/*.png"]
    command += ["--preset", "unit", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["results"]) == 3
    assert "explaining" not in done.stderr  # no progress bar into a pipe


@real_data
def test_squeezenet_on_photographs(tmp_path, capsys):
    words = FOLDER / "photos" / "imagenet_synset_words.txt"
    status = cli.main(
        [
            "explain",
            str(FOLDER / "models" / "squeezenet_v1.1.onnx"),
            str(FOLDER / "photos" / "captum_zebra.jpg"),
            str(FOLDER / "photos" / "coral_parrot.jpg"),
            *["--labels", str(words), "--preset", "caffe", "--out", str(tmp_path), "--json"],
        ]
    )
    assert status == 0
    found = json.loads(capsys.readouterr().out)["results"]
    assert [f["label"] for f in found] == ["zebra", "macaw"]
    assert all(f["conservative"] and f["positive"] and f["probability"] > 0.9 for f in found)


@real_data
def test_mnist_digits(tmp_path, capsys):
    with gzip.open(FOLDER / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 28, 28)
    np.savez(tmp_path / "digits.npz", images=pixels[:5])
    network = str(FOLDER / "models" / "mnist-8.onnx")
    digits, out = str(tmp_path / "digits.npz"), str(tmp_path / "out")
    assert cli.main(["explain", network, digits, "--preset", "none", "--out", out, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["domain"] == "Box(low=0.0, high=255.0)"
    assert [f["target"] for f in answer["results"]] == [7, 2, 1, 0, 4]
    assert all(f["probability"] is None for f in answer["results"])
