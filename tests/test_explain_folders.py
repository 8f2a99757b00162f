# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Folders of pictures with folders inside, and results that lie among the inputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import cli
from dtdcore.jobs.searching import find_files

Image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra explain)")

PICTURES = ("1.png", "lion/1.png", "zebra/1.png", "zebra/2.JPG", "zebra/young/1.png", "a-b/c.png")
HIDDEN = (".no.png", ".cache/no.png", "zebra/._1.png")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with net.npz and photos, by class."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    weight = rng.random((48, 2)).astype(np.float32)
    dtd.Network([dtd.Flatten(), dtd.Dense(weight)], input_shape=(3, 4, 4)).save("net.npz")
    for name in (*PICTURES, *HIDDEN, "a/b-c.png"):
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(path)
    Path("photos/notes.txt").write_text("no picture")
    return tmp_path


def run(*arguments):
    return cli.main(["explain", "net.npz", *map(str, arguments), "--preset", "unit"])


def names(folder="heatmaps"):
    with np.load(Path(folder, "heatmaps.npz"), allow_pickle=False) as file:
        return file["files"].tolist()


def test_folders_inside_are_walked(capsys):
    assert run("photos") == 0
    said = capsys.readouterr().err
    assert "photos: 7 pictures in 6 folders" in said and "1 files of other kinds" in said
    found = names()
    # Those that would be called the same get the folder's name, and a number.
    same = ["photos-a-b-c", "photos-a-b-c_2"]
    assert found == ["1", *same, "lion-1", "zebra-1", "zebra-2", "zebra-young-1"]
    assert sorted(os.listdir("heatmaps")) == sorted(
        [*(f"{name}.png" for name in found), "contact-sheet.png", "heatmaps.npz"]
    )


def test_names_of_folders_are_no_labels(capsys):
    assert run("photos/zebra", "--json", "--no-pictures") == 0
    found = json.loads(capsys.readouterr().out)["results"]
    assert [f["name"] for f in found] == ["1", "2", "young-1"]
    assert {f["label"] for f in found} == {None}


def test_folders_of_the_same_names():
    Path("more/zebra").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save("more/zebra/1.png")
    assert run("photos/zebra", "more/zebra", "photos", "--no-pictures") == 0
    found = names()
    assert len({name.casefold() for name in found}) == len(found) == 8


def test_links_that_lead_back(place):
    try:
        Path("photos/lion/all").symlink_to(place / "photos", target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    assert len(find_files(["photos"])) == 7


@pytest.mark.parametrize("pattern", ["photos", "photos/**/*.png", "**/*.png", "photos/*/*.png"])
def test_results_are_no_inputs(pattern, capsys):
    """Of an earlier run, in a folder inside of that of the inputs."""
    assert run(pattern, "--out", "photos/out") == 0
    first = names("photos/out")
    assert run(pattern, "--out", "photos/out", "--force") == 0
    assert names("photos/out") == first
    assert "files in the folder of results are left out" in capsys.readouterr().err
    results = Path("photos/out/contact-sheet.png")
    assert run(results, "--out", "other", "--no-pictures") == 0  # named by itself it is an input


def test_evaluate_leaves_its_results_out(capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    arguments = ["evaluate", "net.npz", "photos", "--preset", "unit", "--methods", "random"]
    arguments += ["--patch", "2", "--steps", "2", "--repeats", "1", "--out", "photos/curves"]
    assert cli.main(arguments) == 0
    assert cli.main([*arguments, "--force", "--json"]) == 0
    content = json.loads(Path("photos/curves/evaluate.json").read_text())
    assert len(content["inputs"]) == 7


def test_a_folder_without_pictures(capsys):
    Path("numbers").mkdir()
    np.save("numbers/x.npy", np.zeros((1, 3, 4, 4), np.float32))
    assert run("numbers") == 2
    error = capsys.readouterr().err
    assert "arrays and tables are named by themselves" in error and "x.npy" in error
