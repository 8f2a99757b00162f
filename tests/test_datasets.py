# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Data: what is read, where from, and that nothing unverified is ever used."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from dtdcore import datasets, downloads
from dtdcore.downloads import Mirror

real_data = pytest.mark.skipif(
    not os.environ.get("DTDCORE_DATA"),
    reason="environment variable DTDCORE_DATA is not set: no folder with the real data",
)


# ---------------------------------------------------------------------------------------------
# Downloads, against a server of our own


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` (path to bytes) on 127.0.0.1 and remembers what was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # the name that http.server calls
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *arguments):
        """Stay silent: a test's output is its own."""


@pytest.fixture
def server(monkeypatch):
    pytest.importorskip("pooch")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def closed_port(server):
    """The address of a server that is not there any more."""
    with Server() as stopped:
        return stopped.url("/data.bin")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


RIGHT, WRONG = b"the right bytes", b"other bytes"


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_first_mirror_is_used_and_cached(server, tmp_path):
    server.files = {"/a": RIGHT, "/b": RIGHT}
    mirrors = [Mirror(server.url("/a"), sha256(RIGHT)), Mirror(server.url("/b"), sha256(RIGHT))]
    for _ in range(2):
        path = downloads.download("group/data.bin", mirrors, tmp_path)
        assert path == tmp_path / "group" / "data.bin"
        assert path.read_bytes() == RIGHT
    assert server.asked == ["/a"]


@pytest.mark.parametrize("fault", ["missing", "corrupt", "down"])
def test_next_mirror_is_used(server, closed_port, tmp_path, fault):
    server.files = {"/b": RIGHT} | ({"/a": WRONG} if fault == "corrupt" else {})
    first = closed_port if fault == "down" else server.url("/a")
    mirrors = [Mirror(first, sha256(RIGHT)), Mirror(server.url("/b"), sha256(RIGHT))]
    path = downloads.download("data.bin", mirrors, tmp_path)
    assert path.read_bytes() == RIGHT
    assert server.asked[-1] == "/b"
    assert files_below(tmp_path) == [path]


def test_each_mirror_has_its_own_sum(server, tmp_path):
    server.files = {"/b": RIGHT}
    mirrors = [Mirror(server.url("/a"), sha256(WRONG)), Mirror(server.url("/b"), sha256(RIGHT))]
    for _ in range(2):  # the cached file may be that of any mirror
        assert downloads.download("data.bin", mirrors, tmp_path).read_bytes() == RIGHT
    assert server.asked == ["/a", "/b"]


def test_wrong_checksum_leaves_no_file(server, tmp_path):
    server.files = {"/a": WRONG}
    with pytest.raises(ConnectionError, match="wrong sha256 sum"):
        downloads.download("data.bin", [Mirror(server.url("/a"), sha256(RIGHT))], tmp_path)
    assert files_below(tmp_path) == []


def test_corrupt_cache_is_replaced(server, tmp_path):
    server.files = {"/a": RIGHT}
    (tmp_path / "data.bin").write_bytes(WRONG)
    path = downloads.download("data.bin", [Mirror(server.url("/a"), sha256(RIGHT))], tmp_path)
    assert path.read_bytes() == RIGHT


def test_offline_says_what_to_do(closed_port, tmp_path):
    with pytest.raises(ConnectionError) as caught:
        downloads.download("data.bin", [Mirror(closed_port, sha256(RIGHT))], tmp_path)
    message = str(caught.value)
    assert "DTDCORE_DATA=<folder>" in message and "folder=<folder>" in message
    assert closed_port in message and "\n" not in message
    assert files_below(tmp_path) == []


def test_public_functions_download(server, tmp_path, monkeypatch):
    """`mnist()` without a folder fetches both files of its subset from the mirrors."""
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    contents = {
        "t10k-images-idx3-ubyte.gz": idx(images),
        "t10k-labels-idx1-ubyte.gz": idx(np.array([7, 2], dtype=np.uint8)),
    }
    server.files = {f"/{name}": content for name, content in contents.items()}
    pooch = pytest.importorskip("pooch")
    monkeypatch.delenv("DTDCORE_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    monkeypatch.setattr(datasets, "_MNIST_MIRRORS", (server.url("/nowhere/"), server.url("/")))
    monkeypatch.setattr(
        datasets, "_MNIST_SHA256", {name: sha256(content) for name, content in contents.items()}
    )
    found, labels = datasets.mnist(subset="test")
    np.testing.assert_array_equal(found, images.astype(np.float32) / np.float32(255))
    assert labels.tolist() == [7, 2]
    assert len(files_below(tmp_path / "dtdcore" / "mnist")) == 2


# ---------------------------------------------------------------------------------------------
# Files in a folder


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, dtype=">u4").tobytes()
    return gzip.compress(header + values.tobytes(), mtime=0)


def test_folder_needs_the_file(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"train\.csv.*argument folder"):
        datasets.titanic(tmp_path)
    monkeypatch.setenv("DTDCORE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"train-images.*variable DTDCORE_DATA"):
        datasets.mnist()


def test_local_file_is_verified(tmp_path):
    (tmp_path / "train.csv").write_text("PassengerId,Survived\n1,0\n")
    with pytest.raises(ValueError, match=r"not the published file: its sha256 sum is .* expected"):
        datasets.titanic(tmp_path)


@real_data
@pytest.mark.parametrize("layout", ["subfolder", "direct", "unix line ends"])
def test_layouts_of_a_folder(tmp_path, layout, monkeypatch):
    source = Path(os.environ["DTDCORE_DATA"]) / "titanic" / "train.csv"
    expected = datasets.titanic()
    if layout == "subfolder":
        (tmp_path / "titanic").mkdir()
        shutil.copy(source, tmp_path / "titanic" / "train.csv")
    elif layout == "direct":
        shutil.copy(source, tmp_path / "train.csv")
    else:
        (tmp_path / "train.csv").write_bytes(source.read_bytes().replace(b"\r\n", b"\n"))
    monkeypatch.delenv("DTDCORE_DATA")
    table = datasets.titanic(tmp_path)
    assert list(table) == list(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(table[name], column)


@real_data
def test_mnist():
    images, labels = datasets.mnist(subset="test")
    assert images.shape == (10000, 28, 28) and images.dtype == np.float32
    assert images.min() == 0.0 and images.max() == 1.0
    assert labels.dtype == np.int64 and labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_rejects_an_unknown_subset():
    with pytest.raises(ValueError, match="subset must be 'train' or 'test', got 'all'"):
        datasets.mnist(subset="all")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x00\x0d\x01\x00\x00\x00\x00", "not an IDX file of unsigned bytes"),
        (b"", "not an IDX file"),
        (
            b"\x00\x00\x08\x01\x00\x00\x00\x05abc",
            r"holds 3 bytes, its header promises shape \(5,\)",
        ),
    ],
)
def test_broken_idx_file(tmp_path, content, message):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=message):
        datasets._read_idx(path)


# ---------------------------------------------------------------------------------------------
# Digits and pairs


def test_digits():
    pytest.importorskip("sklearn")
    images, labels = datasets.digits()
    assert images.shape == (1797, 8, 8) and images.dtype == np.float32
    assert images.min() == 0.0 and images.max() == 1.0
    assert labels.shape == (1797,) and set(labels) == set(range(10))


@pytest.fixture
def single():
    """Twenty images whose only grey value is a code of their row, so that halves can be told."""
    labels = np.arange(20) % 10
    codes = (np.arange(20) + 1) / 20
    return np.broadcast_to(codes[:, None, None], (20, 3, 4)).astype(np.float32), labels


def test_pairs_show_what_they_say(single):
    images, labels = single
    pairs = datasets.digit_pairs(images, labels, target=2, n=101, seed=4)
    assert pairs.images.shape == (101, 3, 8) and pairs.images.dtype == np.float32
    assert len(pairs) == 101
    assert set(pairs.digits) == {0, 1, 2, 3} and set(pairs.distractors) == set(range(4, 10))
    assert set(pairs.sides) == {0, 1}
    digit = np.rint(pairs.digit_half(pairs.images)[:, 0, 0] * 20 - 1).astype(int)
    np.testing.assert_array_equal(labels[digit], pairs.digits)
    assert np.ptp(pairs.digit_half(pairs.images), axis=(1, 2)).max() == 0
    other = pairs.images.copy()
    other[np.arange(101), :, :] = np.roll(other, 4, axis=2)  # halves change places
    distractor = np.rint(pairs.digit_half(other)[:, 0, 0] * 20 - 1).astype(int)
    np.testing.assert_array_equal(labels[distractor], pairs.distractors)
    np.testing.assert_array_equal(pairs.present, pairs.digits == 2)
    np.testing.assert_array_equal(pairs.outputs(), np.where(pairs.digits == 2, 100.0, 0.0))
    assert pairs.outputs(1.0).dtype == np.float32


@pytest.mark.parametrize(("probability", "expected"), [(0.5, 50), (0.25, 25), (0.0, 0), (1.0, 100)])
def test_share_of_the_target(single, probability, expected):
    pairs = datasets.digit_pairs(*single, target=0, n=100, seed=1, probability=probability)
    assert pairs.present.sum() == expected
    if 0 < expected < 100:
        assert 0 < pairs.present[:50].sum() < expected  # mixed, not one after the other


def test_sides_are_fair_and_independent_of_the_target(single):
    pairs = datasets.digit_pairs(*single, target=3, n=4000, seed=2)
    for kind in (pairs.present, ~pairs.present):
        assert abs(pairs.sides[kind].mean() - 0.5) < 0.05


def test_pairs_are_reproducible(single):
    one, two, three = (datasets.digit_pairs(*single, 1, 30, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.images, two.images)
    assert not np.array_equal(one.images, three.images)


def test_no_pairs(single):
    pairs = datasets.digit_pairs(*single, target=1, n=0, seed=0)
    assert pairs.images.shape == (0, 3, 8) and pairs.outputs().shape == (0,)
    assert pairs.digit_half(pairs.images).shape == (0, 3, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((20, 12))}, r"images must have shape \(m, h, w\), got \(20, 12\)"),
        ({"labels": np.zeros(3)}, r"labels must have shape \(20,\), got \(3,\)"),
        ({"target": 4}, "target must be 0, 1, 2 or 3, got 4"),
        ({"n": -1}, "n must be at least 0, got -1"),
        ({"probability": 1.5}, r"probability must be in \[0, 1\], got 1.5"),
        ({"labels": np.full(20, 7)}, "labels must contain the target digit"),
        ({"labels": np.full(20, 2)}, "labels must contain the other digits of 0-3"),
        ({"labels": np.arange(20) % 4}, "labels must contain the distractors, 4-9"),
    ],
)
def test_pair_arguments(single, change, message):
    arguments = {"images": single[0], "labels": single[1], "target": 2, "n": 10, "seed": 0}
    with pytest.raises(ValueError, match=message):
        datasets.digit_pairs(**(arguments | change))


# ---------------------------------------------------------------------------------------------
# Titanic


@pytest.fixture
def table():
    """Forty invented passengers; three ages, one port and one fare are missing."""
    random = np.random.default_rng(7)
    rows = 40
    age = random.uniform(1, 70, rows).round()
    age[[3, 17, 31]] = np.nan
    fare = random.uniform(5, 200, rows)
    fare[11] = np.nan
    port = random.choice(["C", "Q", "S"], rows, p=[0.2, 0.1, 0.7])
    port[5] = ""
    return {
        "PassengerId": np.arange(1, rows + 1),
        "Survived": random.integers(0, 2, rows),
        "Pclass": random.integers(1, 4, rows),
        "Sex": random.choice(["male", "female"], rows),
        "Age": age,
        "SibSp": random.integers(0, 4, rows),
        "Parch": random.integers(0, 3, rows),
        "Fare": fare,
        "Embarked": port,
    }


def test_split_shapes_and_parts(table):
    split = datasets.titanic_split(table, seed=3, test_fraction=0.25)
    assert split.x_train.shape == (30, 9) and split.x_test.shape == (10, 9)
    assert split.y_train.shape == (30,) and split.y_test.shape == (10,)
    assert sorted([*split.train, *split.test]) == list(range(40))
    np.testing.assert_array_equal(split.y, table["Survived"])
    assert len(split.features) == 9 and "PassengerId" not in split.features
    assert [split.features[i] for i in split.groups["port"]] == [
        "Cherbourg",
        "Queenstown",
        "Southampton",
    ]
    again, other = (datasets.titanic_split(table, seed, 0.25) for seed in (3, 4))
    np.testing.assert_array_equal(split.x, again.x)
    assert not np.array_equal(split.test, other.test)


def test_scale_is_that_of_the_training_rows(table):
    split = datasets.titanic_split(table, seed=3, test_fraction=0.25)
    assert split.x.dtype == np.float32 and split.x.min() == 0.0 and split.x.max() == 1.0
    np.testing.assert_allclose(split.x_train.min(axis=0), 0.0)
    np.testing.assert_allclose(split.x_train.max(axis=0), 1.0)
    np.testing.assert_array_equal(split.low, split.raw[split.train].min(axis=0))
    back = split.low + split.x_train * (split.high - split.low)
    np.testing.assert_allclose(back, split.raw[split.train], rtol=1e-6)
    np.testing.assert_array_equal(split.raw[:, 6:].sum(axis=1), 1.0)


def test_held_out_rows_and_outcomes_teach_nothing(table):
    """Other hold-out values, other outcomes: scale, imputation and training inputs are the same."""
    split = datasets.titanic_split(table, seed=3)
    changed = {name: column.copy() for name, column in table.items()}
    changed["Age"][split.test] = 99.0
    changed["Fare"][split.test] = 1e4
    changed["Embarked"][split.test] = "Q"
    changed["Survived"] = 1 - changed["Survived"]
    other = datasets.titanic_split(changed, seed=3)
    np.testing.assert_array_equal(other.x_train, split.x_train)
    np.testing.assert_array_equal(other.low, split.low)
    np.testing.assert_array_equal(other.high, split.high)
    assert other.x.max() == 1.0  # clipped


def test_imputation(table):
    split = datasets.titanic_split(table, seed=3)
    np.testing.assert_array_equal(np.flatnonzero(split.imputed[:, 2]), [3, 17, 31])
    np.testing.assert_array_equal(np.flatnonzero(split.imputed[:, 5]), [11])
    np.testing.assert_array_equal(np.flatnonzero(split.imputed[:, 6]), [5])
    train = split.train
    alike = (table["Pclass"][train] == table["Pclass"][17]) & (
        table["Sex"][train] == table["Sex"][17]
    )
    assert split.raw[17, 2] == np.nanmedian(table["Age"][train][alike])
    alike = table["Pclass"][train] == table["Pclass"][11]
    assert split.raw[11, 5] == np.nanmedian(table["Fare"][train][alike])
    assert split.raw[5, 6:].tolist() == [0.0, 0.0, 1.0]
    known = ~split.imputed[:, 2]
    np.testing.assert_array_equal(split.raw[known, 2], table["Age"][known])


def test_imputation_without_a_similar_passenger(table):
    table["Pclass"][:] = 3
    table["Pclass"][17] = 1
    split = datasets.titanic_split(table, seed=3)
    assert split.raw[17, 2] == np.nanmedian(table["Age"][split.train])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 0.001, 0.999])
def test_split_needs_both_parts(table, fraction):
    with pytest.raises(ValueError, match="test_fraction must leave rows in both parts of 40"):
        datasets.titanic_split(table, 0, fraction)


@real_data
def test_titanic():
    table = datasets.titanic()
    assert len(table) == 12 and all(len(column) == 891 for column in table.values())
    assert table["Survived"].sum() == 342
    assert np.isnan(table["Age"]).sum() == 177
    assert table["Name"][0] == "Braund, Mr. Owen Harris" and table["Embarked"][0] == "S"
    split = datasets.titanic_split(table, seed=0)
    assert split.x_test.shape == (178, 9) and np.isfinite(split.x).all()
    assert split.imputed.sum(axis=0).tolist() == [0, 0, 177, 0, 0, 0, 2, 2, 2]
