# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Files found, checked and read in batches; labels, targets, methods, and a whole job."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import cli
from dtdcore.commands.model_arguments import add_model_arguments, memory, open_job
from dtdcore.jobs import UserError
from dtdcore.jobs.batches import batches
from dtdcore.jobs.inputs import find_inputs
from dtdcore.jobs.labels import Target, find_class, parse_target, read_labels
from dtdcore.jobs.methods import METHODS, explainer
from dtdcore.preprocessing import preset

Image = pytest.importorskip("PIL.Image", reason="the package pillow is not installed")

SHAPE = (3, 8, 8)


def network(inputs=SHAPE, producer="pytorch", dtype=np.float32):
    rng = np.random.default_rng(0)
    size = int(np.prod(inputs))
    layers = [dtd.Flatten()] if len(inputs) > 1 else []
    weight = rng.standard_normal((size, 4)).astype(dtype)
    result = dtd.Network([*layers, dtd.Dense(weight), dtd.ReLU()], input_shape=inputs)
    result.producer = producer
    return result


@pytest.fixture
def folder(tmp_path):
    """Pictures in two folders, one broken, and one hidden."""
    for name, colour in (("a/cat.png", 10), ("a/dog.JPG", 20), ("b/cat.png", 30), ("b/.no.png", 9)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (10, 12), (colour,) * 3).save(path)
    (tmp_path / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "b" / "notes.txt").write_text("no picture")
    return tmp_path


def job(*arguments):
    parser = argparse.ArgumentParser()
    add_model_arguments(parser)
    return open_job(parser.parse_args([str(argument) for argument in arguments]))


def test_folders_and_globs(folder):
    said = []
    sources = find_inputs([folder / "a", str(folder / "**" / "*")], SHAPE, note=said.append)
    names = [source.name for source in sources]
    assert names == ["a-cat", "dog", "broken", "b-cat"]  # each once, no hidden ones
    assert said == [
        f"{folder / 'a'}: 2 pictures",
        f"{folder / '**' / '*'}: 1 files of other kinds are left out",
    ]
    found = batches(sources, preset("none", SHAPE), SHAPE, 3)
    read = list(found)
    assert [batch.names for batch in read] == [["a-cat", "dog"], ["b-cat"]]
    assert [float(batch.x[0, 0, 0, 0]) for batch in read] == [10, 30]
    assert read[0].pictures.shape == (2, 8, 8, 3) and read[0].columns is None
    ((name, reason),) = found.failures
    assert name == "broken" and "cannot be read as a picture" in reason


def test_names_never_collide(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, *SHAPE), np.float32))
    for name in ("x-1.png", "X-2.png", "x.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    sources = find_inputs(sorted(tmp_path.iterdir()), SHAPE)
    names = [source.sample_name(i).casefold() for source in sources for i in range(source.count)]
    assert len(names) == 6 == len(set(names))


def test_nothing_found(tmp_path):
    for pattern, error in (
        (tmp_path / "no.png", "there is no file or folder"),
        (tmp_path / "*.png", "fits no file"),
    ):
        with pytest.raises(FileNotFoundError, match=error):
            find_inputs([pattern])
    with pytest.raises(ValueError, match="holds no pictures"):
        find_inputs([tmp_path])
    (tmp_path / "a.doc").write_text("")
    with pytest.raises(ValueError, match="of no kind that can be explained"):
        find_inputs([tmp_path / "a.doc"])


def test_arrays(tmp_path):
    x = np.random.default_rng(1).random((5, *SHAPE), np.float32)
    np.save(tmp_path / "many.npy", x)
    np.save(tmp_path / "one.npy", x[0])
    np.savez(tmp_path / "named.npz", x=x, y=np.arange(5))
    np.savez(tmp_path / "other.npz", a=x, b=x)
    sources = find_inputs([tmp_path / name for name in ("many.npy", "one.npy", "named.npz")], SHAPE)
    assert [source.count for source in sources] == [5, 1, 5]
    read = list(batches(sources, None, SHAPE, 4, np.float64))
    np.testing.assert_array_equal(np.concatenate([b.x for b in read]), [*x, x[0], *x])
    assert [len(b.x) for b in read] == [4, 4, 3] and read[0].x.dtype == np.float64
    assert read[0].pictures is None and read[1].names == ["many-4", "one", "named-0", "named-1"]
    (drawn, _) = batches(sources[:1], preset("unit", SHAPE), SHAPE, 4)
    np.testing.assert_array_equal(drawn.x, x[:4])  # not preprocessed twice
    assert drawn.pictures.shape == (4, 8, 8, 3)
    with pytest.raises(ValueError, match="holds the arrays a, b: choose one with --array"):
        find_inputs([tmp_path / "other.npz"], SHAPE)
    assert find_inputs([tmp_path / "other.npz"], SHAPE, array="b")[0].member == "b"
    with pytest.raises(ValueError, match="has no array 'c'; it has a, b"):
        find_inputs([tmp_path / "other.npz"], SHAPE, array="c")
    (other,) = find_inputs([tmp_path / "many.npy"], (9,))
    assert "the network takes (n, 9)" in other.damage
    with pytest.raises(ValueError, match="an input is an empty name"):
        find_inputs([""], SHAPE)
    with pytest.raises(ValueError, match=r"--columns is for \.csv files"):
        find_inputs([tmp_path / "many.npy"], SHAPE, columns=["a"])


def test_one_wrong_sample_does_not_stop_the_others(tmp_path):
    """Damaged files, numbers that float32 cannot hold, and shapes unlike those before."""
    x = np.random.default_rng(1).random((3, 3, 4, 5))
    x[1, 2, 3, 4] = 1e300
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "b.npz", x=x)
    (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:900])
    np.save(tmp_path / "c.npy", x[:2, :, :, :4])
    np.save(tmp_path / "d.npy", x[2:])
    sources = find_inputs([tmp_path / "*.np?"], None)
    for size in (1, 3, 64):
        read = batches(sources, None, None, size, np.float32)
        names = [name for batch in read for name in batch.names]
        assert names == ["a-0", "a-2", "d-0"]
        (one, why_one), (two, why_two), *shapes = read.failures
        assert (one, two) == ("a-1", "b") and "1e+300, too large for float32" in why_one
        assert "b.npz cannot be read" in why_two
        assert [name for name, _ in shapes] == ["c-0", "c-1"]
        assert all("its shape is (3, 4, 4), that of those before (3, 4, 5)" in r for _, r in shapes)


def test_names_can_be_printed_and_be_files(tmp_path):
    names = ["a\nb", "\u2029x", "é" * 120, "é" * 119 + "è", ".hidden"]
    for name in names:
        np.save(tmp_path / f"{name}.npy", np.zeros((1, *SHAPE), np.float32))
    sources = find_inputs([tmp_path / f"{name}.npy" for name in names], SHAPE)
    found = [source.name for source in sources]
    assert found[:2] == ["a?b", "?x"] and found[4] == "hidden"
    assert all(len(name.encode()) < 240 and name.isprintable() for name in found)
    assert len(set(found)) == 5


def test_arrays_of_pixels_are_pictures(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "p.npz", images=pixels, labels=np.arange(5))
    (source,) = find_inputs([tmp_path / "p.npz"], SHAPE)
    assert source.kind == "pictures" and source.count == 5
    (batch,) = batches([source], preset("caffe", SHAPE), SHAPE, 9)
    np.testing.assert_array_equal(batch.x, preset("caffe", SHAPE).apply(pixels))
    said = []
    np.save(tmp_path / "first.npy", np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    (first,) = find_inputs([tmp_path / "first.npy"], SHAPE, note=said.append)
    assert first.kind == "array" and "without preprocessing" in said[0]
    (other,) = find_inputs([tmp_path / "p.npz"], (4, 8, 8), array="images")
    assert "the network takes (n, 4, 8, 8)" in other.damage
    np.save(tmp_path / "grey.npy", pixels[..., 0])
    assert find_inputs([tmp_path / "grey.npy"], (1, 8, 8))[0].count == 5
    np.save(tmp_path / "first.npy", pixels.transpose(0, 3, 1, 2))
    assert find_inputs([tmp_path / "first.npy"], SHAPE)[0].kind == "array"


def test_values_outside_of_the_domain(tmp_path):
    """They are failures of their samples, which are said with what would fit; others go on."""
    x = np.full((5, *SHAPE), 0.5)
    x[2, 1, 3, 3] = -0.25
    x[3, 0, 0, 0] = np.nan
    x[4, 2, 7, 7] = np.inf
    np.save(tmp_path / "x.npy", x)
    sources = find_inputs([tmp_path / "x.npy"], SHAPE)
    read = batches(sources, None, SHAPE, 8, np.float32, dtd.Box(0, 1))
    assert [batch.names for batch in read] == [["x-0", "x-1"]]
    reasons = dict(read.failures)
    assert "it holds -0.25 at [1, 3, 3], which is outside the domain Box" in reasons["x-2"]
    assert (
        "; the file fits the domain of --preset caffe or torchvision or minus1-1;"
        in (reasons["x-2"])
    )
    assert reasons["x-3"] == "it holds nan at [0, 0, 0], which is not finite"
    assert reasons["x-4"] == "it holds inf at [2, 7, 7], which is not finite"


def test_an_npz_is_unpacked_once(tmp_path, monkeypatch):
    """Looked at by its header, read when its samples are."""
    x = np.random.default_rng(1).random((5, *SHAPE), np.float32)
    np.savez_compressed(tmp_path / "x.npz", x=x, y=np.arange(5))
    unpacked = []
    whole = np.lib.npyio.NpzFile.__getitem__

    def get(self, key):
        unpacked.append(key)
        return whole(self, key)

    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", get)
    sources = find_inputs([tmp_path / "x.npz"], SHAPE)
    assert unpacked == []
    read = list(batches(sources, None, SHAPE, 2, np.float32, dtd.Box(0, 1)))
    np.testing.assert_array_equal(np.concatenate([batch.x for batch in read]), x)
    assert unpacked == ["x"]


def test_files_without_numbers(tmp_path):
    """Each is one failure, whatever is wrong with it."""
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    np.save(tmp_path / "long.npy", np.zeros((2, *SHAPE), np.longdouble))
    np.save(tmp_path / "records.npy", np.zeros(3, [("\u00e9", float)]))
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "short.npz").write_bytes(b"PK\x03\x04")
    with (tmp_path / "other.npz").open("wb") as file:
        np.save(file, np.zeros((1, *SHAPE), np.float32))  # an .npy, by another name
    sources = find_inputs([tmp_path / "*.np?"], SHAPE)
    damage = {source.name: source.damage for source in sources}
    assert damage.pop("other") is None
    assert all(damage.values()) and len(damage) == 5
    read = batches(sources, None, SHAPE, 8)
    assert [batch.names for batch in read] == [["other-0"]]
    assert sorted(name for name, _ in read.failures) == sorted(damage)


def test_a_member_that_is_damaged_is_said_for_its_samples(tmp_path):
    x = np.random.default_rng(1).random((30, *SHAPE), np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[len(content) // 2] ^= 1  # behind what is read for the header
    (tmp_path / "x.npz").write_bytes(content)
    read = batches(find_inputs([tmp_path / "x.npz"], SHAPE), None, SHAPE, 8)
    assert list(read) == []
    assert [name for name, _ in read.failures] == [f"x-{row:02d}" for row in range(30)]
    assert all("cannot be read: Bad CRC-32" in reason for _, reason in read.failures)


def test_reading_stops_with_the_caller(folder):
    found = iter(batches(find_inputs([folder / "a"]), preset("none", SHAPE), SHAPE, 1))
    assert next(found).names == ["cat"]
    found.close()


# ------------------------------------------------------------------- labels, targets, methods


def test_labels(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("n01440764 tench, Tinca tinca\nzebra\ncrane\ncrane\n\n")
    labels = read_labels(path)
    assert labels == ["tench, Tinca tinca", "zebra", "crane", "crane"]
    assert find_class("Tinca Tinca", labels) == 0 and find_class("ZEBRA", labels) == 1
    with pytest.raises(ValueError, match="several classes are called 'crane': 2: crane; 3"):
        find_class("crane", labels)
    with pytest.raises(ValueError, match="no class is called 'zebro'; near to it are zebra"):
        find_class("zebro", labels)
    assert parse_target("zebra", labels) == Target(None, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4", "count from 0 to 3"),
        ("-1", "count from 0 to 3"),
        ("top5", "the network has 4 outputs"),
        ("top0", "the network has 4 outputs"),
        ("zebra", "give the names \\(--labels FILE\\)"),
    ],
)
def test_wrong_targets(text, message):
    with pytest.raises(ValueError, match=message):
        parse_target(text, None, 4)


def test_targets():
    x = np.random.default_rng(2).random((3, *SHAPE)).astype(np.float32)
    net = network()
    assert parse_target("top1", None, 4).of(net, x) is None
    assert parse_target("2", None, 4).of(net, x) == 2
    assert parse_target("TOP3", None, 4) == parse_target("top3", None, 4)
    assert parse_target("1, 22", None, 4).of(net, x) == (1, 22)
    labels = ["white-tailed eagle", "zebra", "white", "tailed eagle"]
    for text, a, b in [("3-0", 3, 0), ("zebra-white", 1, 2), ("white-tailed eagle-zebra", 0, 1)]:
        contrast = parse_target(text, labels, 4).other
        assert (contrast.a, contrast.b) == (a, b)
    assert parse_target("white-tailed eagle", labels, 4) == Target(None, 0)
    with pytest.raises(ValueError, match="no class is called 'zebra-horse'"):
        parse_target("zebra-horse", labels, 4)
    three = parse_target("top3", None, 4).of(net, x)
    output = net.forward(x)
    assert three.shape == (3, 3)
    np.testing.assert_array_equal(three[:, 0], output.argmax(axis=1))
    np.testing.assert_array_equal(
        np.take_along_axis(output, three, 1), -np.sort(-output, axis=1)[:, :3]
    )


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    x = np.random.default_rng(2).random((2, *SHAPE)).astype(np.float32)
    explanation = explainer(name, network(), dtd.Box(0, 1), max_memory=None, strict=False)(x)
    assert explanation.relevance.shape == x.shape
    pooling = name.endswith(":winner")
    assert ("pooling='winner'" in explanation.method) == pooling


def test_wrong_methods():
    with pytest.raises(ValueError, match="there is no method 'magic'; there are deep-taylor,"):
        explainer("magic", network(), dtd.Reals())
    with pytest.raises(ValueError, match=r"sensitivity does not redistribute .* takes no strict"):
        explainer("sensitivity", network(), dtd.Reals(), strict=True)


# ------------------------------------------------------------------- a whole job


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_job_of_pictures(folder, capsys, dtype):
    model = network(dtype=dtype).save(folder / "model.npz")
    opened = job(model, folder / "a", "--target", "top2")
    assert opened.total == 2 and opened.batch == 256 and opened.target == Target(2)
    assert opened.preprocessing == preset("torchvision", SHAPE)
    assert opened.domain == opened.preprocessing.domain()
    told = capsys.readouterr().err
    assert "preprocessing torchvision" in told and "'pytorch'" in told and "--preset" in told
    (batch,) = opened.batches()
    assert batch.x.dtype == dtype
    assert explainer("deep-taylor", opened.network, opened.domain)(batch.x).is_positive().all()


def test_presets_domains_and_errors(folder):
    model = network(producer="").save(folder / "model.npz")
    pictures = folder / "a"
    with pytest.raises(UserError, match=r"does not say who made it, .* there are caffe: x = pixel"):
        job(model, pictures)
    assert job(model, pictures, "--preset", "unit").domain == dtd.Box(0, 1)
    assert job(model, pictures, "--mean", "127.5", "--std", "127.5").domain == dtd.Box(-1, 1)
    assert job(model, pictures, "--preset", "unit", "--domain", "reals").domain == dtd.Reals()
    with pytest.raises(UserError, match="from -1 to 1, which are not all in NonNegative"):
        job(model, pictures, "--preset", "minus1-1", "--domain", "nonnegative")
    np.save(folder / "x.npy", np.full((2, *SHAPE), 0.5))
    assert job(model, folder / "x.npy").domain == dtd.Reals()
    assert job(model, folder / "x.npy").preprocessing is None
    assert job(model, folder / "x.npy", "--domain=-1,1").domain == dtd.Box(-1, 1)
    assert job(model, folder / "x.npy", "--preset", "unit").domain == dtd.Box(0, 1)
    (folder / "labels.txt").write_text("one\ntwo\n")
    with pytest.raises(UserError, match="names 2 classes, the network has 4"):
        job(model, folder / "x.npy", "--labels", folder / "labels.txt")
    table = network((3,)).save(folder / "table.npz")
    with pytest.raises(UserError, match="are no pictures"):
        job(table, pictures, "--preset", "unit")
    (folder / "table.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(UserError, match="a preprocessing is for pictures"):
        job(table, folder / "table.csv", "--preset", "unit")
    assert job(table, folder / "table.csv", "--domain", "0,3").domain == dtd.Box(0, 3)
    (folder / "bad.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="is no network saved by dtdcore"):
        job(folder / "bad.npz", pictures)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500M", 500_000_000),
        ("2G", 2_000_000_000),
        ("1KiB", 1024),
        ("7", 7),
        ("1e9", 10**9),
        ("9" * 400, 2**62),
    ],
)
def test_memory(text, size):
    assert memory(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1G", "2X", "many"])
def test_wrong_memory(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected bytes"):
        memory(text)


def test_status_and_user_errors(monkeypatch, capsys):
    """What a command returns is the exit status; what is wrong with the inputs is one line."""

    def wrong(arguments):
        raise UserError("no\nsuch thing")

    def main(run):
        parser = argparse.Namespace(parse_args=lambda argv: argparse.Namespace(run=run))
        monkeypatch.setattr(cli, "parser", lambda: parser)
        return cli.main([])

    assert main(lambda arguments: None) == 0 and main(lambda arguments: 1) == 1
    assert main(wrong) == 2
    assert capsys.readouterr().err == "dtdcore: error: no such thing\n"


@pytest.mark.skipif(
    not os.environ.get("DTDCORE_DATA"),
    reason="environment variable DTDCORE_DATA is not set: no folder with the real data",
)
@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        ("bvlc_googlenet", "photos"),
        ("squeezenet_v1.1", "photos"),
        ("mobilenet_v1_0.75_224", "photos"),
        ("resnet20", "cifar10/cifar10_test_first1000.npz"),
    ],
)
def test_real_networks_with_their_automatic_presets(model, inputs):
    """From files to the right classes: 8 of 8 photographs, and 0.915 of the CIFAR images."""
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    data = Path(os.environ["DTDCORE_DATA"])
    opened = job(data / "models" / f"{model}.onnx", data / inputs)
    read = opened.batches()
    classes = np.concatenate([opened.network.forward(batch.x).argmax(axis=1) for batch in read])
    assert read.failures == []
    if inputs == "photos":
        table = np.genfromtxt(data / "photos" / "labels.csv", str, delimiter=",", skip_header=1)
        known = {Path(row[0]).stem: [int(number) for number in row[1].split()] for row in table}
        names = [source.name for source in opened.sources]
        assert len(names) == 8
        assert all(top in known[name] for name, top in zip(names, classes, strict=True))
    else:
        with np.load(data / inputs) as content:
            assert np.mean(classes == content["labels"]) == 0.915
