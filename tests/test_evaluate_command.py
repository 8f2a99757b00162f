# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`dtdcore evaluate`: on files of a trained network, what it prints and writes, how it fails."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import cli
from dtdcore.datasets import digits

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra demo)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network that tells 8x8 threes from sevens, and digits as .npy, .csv, and 8-bit pictures."""
    images, labels = digits()
    chosen = np.isin(labels, (3, 7))
    images, labels = images[chosen].astype(np.float32), labels[chosen]
    x = images.reshape(-1, 64)
    model = dtd.DetectionPoolingNet(units=[(30, None)], iterations=3000, seed=0)
    network = model.fit(x, 10.0 * (labels == 3)).network_
    said = network.forward(x)[:, 0]
    assert np.mean((said > 5) == (labels == 3)) > 0.95
    folder = tmp_path_factory.mktemp("files")
    network.save(folder / "flat.npz")
    nodes = [(node.name, node.layer) for node in network.nodes]
    picture = dtd.Network([("flat", dtd.Flatten()), *nodes], input_shape=(1, 8, 8))
    picture.save(folder / "picture.npz")
    threes = (labels == 3) & (said > 5)
    np.save(folder / "rows.npy", x[threes][:12])
    np.save(folder / "images.npy", np.round(255 * images[threes][:12]).astype(np.uint8))
    names = ",".join(f"p{k}" for k in range(64))
    np.savetxt(folder / "rows.csv", x[threes][:12], delimiter=",", header=names, comments="")
    return folder


def run(folder, *arguments):
    return cli.main(["evaluate", *(str(argument) for argument in arguments)])


def test_it_says_what_the_library_says(folder, tmp_path, capsys):
    out = tmp_path / "made" / "here"
    options = ["--domain", "0,1", "--fill", "0", "--out", out, "--steps", "8", "--repeats", "2"]
    assert run(folder, folder / "flat.npz", folder / "rows.npy", *options) == 0
    printed = capsys.readouterr()
    x = np.load(folder / "rows.npy")
    network = dtd.load(folder / "flat.npz")
    expected = dtd.evaluate.compare(
        network,
        x,
        {
            "deep-taylor": dtd.DeepTaylor(network, dtd.Box(0, 1)),
            "sensitivity": dtd.Sensitivity(network),
            "gradient-times-input": dtd.GradientTimesInput(network),
            "random": "random",
        },
        fill=0.0,
        steps=8,
        repeats=2,
    )
    assert printed.out.strip() == expected.table()
    assert expected.difference("deep-taylor", "random")[1] > 0
    content = json.loads((out / "evaluate.json").read_text())
    assert content["methods"] == json.loads(json.dumps(expected.as_json()["methods"]))
    assert [entry["name"] for entry in content["inputs"]][:2] == ["rows-00", "rows-01"]
    assert content["failures"] == []
    with np.load(out / "curves.npz") as saved:
        np.testing.assert_array_equal(
            saved["scores/deep-taylor/most"], expected.curves["deep-taylor"]["most"].scores
        )
    assert (out / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert "wrote" in printed.err

    # What is there stays, until --force is said.
    assert run(folder, folder / "flat.npz", folder / "rows.npy", *options) == 2
    assert "--force" in capsys.readouterr().err
    more = ["--force", "--json", "--orders", "most", "--methods", "sensitivity"]
    assert run(folder, folder / "flat.npz", folder / "rows.csv", *options, *more) == 0
    content = json.loads(capsys.readouterr().out)
    assert list(content["methods"]) == ["sensitivity"]
    np.testing.assert_allclose(
        content["methods"]["sensitivity"]["aopc"]["most"]["mean"],
        expected.aopc["sensitivity"]["most"].mean(),
        rtol=1e-5,
    )


def test_pictures_are_cut_into_patches(folder, tmp_path, capsys):
    pytest.importorskip("PIL", reason="pillow is not installed (extra explain)")
    from PIL import Image

    for index, image in enumerate(np.load(folder / "images.npy")[:3]):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    options = ["--preset", "unit", "--patch", "2", "--fill", "blur", "--out", tmp_path / "out"]
    assert run(folder, folder / "picture.npz", tmp_path, *options, "--target", "0") == 1
    printed = capsys.readouterr()
    assert "3 samples, 16 of 16 regions" in printed.out
    assert "dtdcore: failed: broken" in printed.err
    content = json.loads((tmp_path / "out" / "evaluate.json").read_text())
    assert [entry["name"] for entry in content["failures"]] == ["broken"]
    assert [entry["name"] for entry in content["inputs"]] == ["0", "1", "2"]


def test_channels_are_where_the_network_has_them(tmp_path, capsys):
    """Of arrays, too, of which no preprocessing says it."""
    rng = np.random.default_rng(0)
    last = [("order", dtd.Transpose((2, 0, 1))), ("conv", dtd.Conv(np.ones((2, 5, 3, 3))))]
    pixels = [("flat", dtd.Flatten()), ("dense", dtd.Dense(rng.random((16 * 16 * 3, 2))))]
    signal = [("conv", dtd.Conv(np.ones((2, 5, 3))))]
    many = [("order", dtd.Transpose((1, 0))), ("conv", dtd.Conv(np.ones((2, 5, 3))))]
    end = [("pool", dtd.GlobalPool("average")), ("end", dtd.Flatten())]
    for nodes, shape, regions in (
        (last + end, (16, 16, 5), 4),
        (pixels, (16, 16, 3), 4),
        (signal + end, (5, 24), 3),
        (many + end, (24, 5), 3),
    ):
        dtd.Network(nodes, input_shape=shape).save(tmp_path / "net.npz")
        np.save(tmp_path / "x.npy", rng.random((2, *shape)))
        options = ["--methods", "random", "--patch", "8", "--out", tmp_path / "out", "--force"]
        assert run(tmp_path, tmp_path / "net.npz", tmp_path / "x.npy", *options) == 0
        assert f"{regions} of {regions} regions" in capsys.readouterr().out


def test_the_first_scores_stand_beside_the_inputs(folder, tmp_path):
    files = [folder / "flat.npz", folder / "rows.npy"]
    options = ["--fill", "0", "--steps", "2", "--score", "relative", "--out", tmp_path / "out"]
    assert run(folder, *files, *options) == 0
    content = json.loads((tmp_path / "out" / "evaluate.json").read_text())
    assert {entry["score"] for entry in content["inputs"]} == {1.0}


def test_the_folder_is_tried_before_the_work(folder, capsys):
    where = ["--out", folder / "rows.npy"]
    assert run(folder, folder / "flat.npz", folder / "rows.npy", *where) == 2
    printed = capsys.readouterr()
    assert "cannot be written to" in printed.err and "--out" in printed.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "magic"], "the method 'magic' is unknown; there are deep-taylor"),
        (["--methods", "random,random"], "the method 'random' comes twice"),
        (["--orders", "best"], "argument --orders: expected most, least or both"),
        (["--target", "top5"], "the network has 1 outputs"),
        (["--patch", "2,2"], "patch must be one length or one for each of the 1 spatial axes"),
        (["--fill", "noise"], "finite bounds"),
        (["--fill", "blur"], "needs pictures or signals"),
        (["--fill", "7", "--domain", "0,1"], "outside the domain"),
        (["--fraction", "2"], "fraction must be at most 1"),
        (["--steps", "65"], "steps must be at most the 64 regions"),
        (["--score", "probability"], "needs a network of several outputs"),
    ],
)
def test_wrong_arguments_in_one_line(folder, tmp_path, capsys, options, message):
    where = ["--out", tmp_path / "out"]
    assert run(folder, folder / "flat.npz", folder / "rows.npy", *where, *options) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    assert printed.err.startswith("dtdcore: error: ") and message in printed.err


def test_a_wrong_fill_is_an_argument_error(folder, capsys):
    with pytest.raises(SystemExit):
        run(folder, folder / "flat.npz", folder / "rows.npy", "--fill", "grey")
    assert "expected mean, blur, noise or a number, got 'grey'" in capsys.readouterr().err


@pytest.mark.skipif(
    not os.environ.get("DTDCORE_DATA"),
    reason="environment variable DTDCORE_DATA is not set: no folder with the real data",
)
def test_on_pictures_by_a_trained_network(tmp_path, capsys):
    """ResNet-20 on CIFAR-10: the area between the orders of deep Taylor is above that of chance."""
    pytest.importorskip("onnx", reason="onnx is not installed (extra onnx)")
    data = Path(os.environ["DTDCORE_DATA"])
    with np.load(data / "cifar10" / "cifar10_test_first1000.npz") as content:
        images = next(part for part in content.values() if part.ndim == 4)[:20]
    images = images if images.shape[-1] == 3 else images.transpose(0, 2, 3, 1)
    np.save(tmp_path / "images.npy", np.ascontiguousarray(images))
    model = data / "models" / "resnet20.onnx"
    options = ["--preset", "torchvision", "--size", "none", "--crop", "32", "--json"]
    options += ["--methods", "deep-taylor,random", "--patch", "4", "--steps", "8"]
    options += ["--repeats", "1", "--out", tmp_path / "out"]
    assert run(tmp_path, model, tmp_path / "images.npy", *options) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["samples"] == 20 and content["regions"] == 64
    against = {d["of"]: d["low"] for d in content["differences"]}
    assert against["area"] > 0
    assert run(tmp_path, model, tmp_path / "images.npy", *options, "--force", "--target=top5") == 2
    assert "one class is perturbed" in capsys.readouterr().err
