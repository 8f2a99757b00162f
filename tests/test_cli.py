# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The command line: what it prints where, what it writes, and how it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import cli
from dtdcore.commands import demo, info

real_data = pytest.mark.skipif(
    not os.environ.get("DTDCORE_DATA"),
    reason="environment variable DTDCORE_DATA is not set: no folder with the real data",
)
COMMANDS = ["explain", "evaluate", "demo", "mnist", "titanic", "info"]
SHORT_DEMO = ["demo", "--iterations", "400", "--neurons", "20", "--explained", "30"]


@pytest.fixture
def needs_demo():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: dtdcore")
    if arguments == ["--help"]:
        assert all(command in text for command in COMMANDS)


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"dtdcore {dtd.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["explode"], "invalid choice: 'explode'"),
        (["demo", "--digit", "4"], "argument --digit: expected one of 0 to 3, got 4"),
        (["demo", "--iterations", "0"], "expected a whole number of at least 1, got 0"),
        (["demo", "--iterations", "many"], "expected a whole number of at least 1, got 'many'"),
        (["mnist", "--learning-rate", "-1"], "expected a number above 0, got '-1'"),
        (["mnist", "--learning-rate", "nan"], "expected a number above 0, got 'nan'"),
        (["titanic", "--passenger", "892"], "expected one of 1 to 891, got 892"),
        (["titanic", "--splits", "0"], "expected a whole number of at least 1, got 0"),
        (["mnist", "--depth", "3"], "argument --depth: expected one of 1 to 2, got 3"),
        (["mnist", "--model-iterations", "9"], "argument --model-iterations: needs --depth 2"),
        (["mnist", "--depth", "2", "--neurons", "42"], "expected a multiple of 4 with --depth 2"),
        (["info", "--seed", "1"], "unrecognized arguments: --seed 1"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.out == ""


def test_info(capsys):
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert dtd.__version__ in text and "threads" in text
    assert cli.main(["info", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["threads"] == dtd.get_num_threads() and content["numpy"] == np.__version__


def test_demo(needs_demo, tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    assert cli.main([*SHORT_DEMO, "--digit", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "find the digit 1" in printed.out and "Deep Taylor, z^B" in printed.out
    names = ["demo-network.npz", "demo.json", "demo.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert all(str(out / name) in printed.err for name in names)
    assert (out / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "demo.json").read_text())["setting"]["iterations"] == 400
    assert dtd.load(out / "demo-network.npz").input_shape == (128,)


def test_demo_as_json_and_again(needs_demo, tmp_path, capsys):
    """A second run replaces the files of the first; standard output is JSON and nothing else."""
    contents = []
    for seed in ("0", "1"):
        arguments = [*SHORT_DEMO, "--seed", seed, "--json", "--out", str(tmp_path)]
        assert cli.main(arguments) == 0
        printed = capsys.readouterr().out
        contents.append(json.loads(printed))
        assert json.loads((tmp_path / "demo.json").read_text()) == contents[-1]
    assert [content["setting"]["seed"] for content in contents] == [0, 1]
    assert len(list(tmp_path.iterdir())) == 3


@real_data
def test_mnist(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    options = ["--iterations", "100", "--explained", "20", "--neurons", "30", "--json"]
    assert cli.main(["mnist", *options, "--digit", "2", "--out", str(tmp_path)]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["setting"]["digit"] == 2 and content["explained_pairs"] == 20
    assert (tmp_path / "mnist.png").is_file()
    assert dtd.load(tmp_path / "mnist-network.npz").input_shape == (28 * 56,)


@real_data
def test_mnist_with_two_layers(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    options = ["--depth", "2", "--iterations", "60", "--model-iterations", "5", "--neurons", "16"]
    assert cli.main(["mnist", *options, "--explained", "20", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "Training-free, z^B" in text and "Min-max, w²" in text and "spread of d" in text
    names = ["mnist-depth-2-network.npz", "mnist-depth-2.json", "mnist-depth-2.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    network = dtd.load(tmp_path / names[0])
    assert network.input_shape == (28 * 56,)
    model = dtd.MinMax.load(tmp_path / names[0])
    assert list(model.layers_) == ["dense_1"] and model.iterations == 5
    content = json.loads((tmp_path / names[1]).read_text())
    assert content["setting"]["iterations"] == 60 and len(content["methods"]) == 4


@real_data
def test_titanic(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    options = ["--splits", "1", "--iterations", "300", "--passenger", "1"]
    assert cli.main(["titanic", *options, "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "Passenger 1, Braund, Mr. Owen Harris: did not survive" in text
    names = ["titanic-network.npz", "titanic.json", "titanic.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize("command", ["mnist", "titanic"])
def test_missing_data(command, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    assert cli.main([command, "--data", str(tmp_path), "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and not out.exists()
    assert printed.err.startswith("dtdcore: error: no ") and printed.err.count("\n") == 1
    assert str(tmp_path) in printed.err


def test_wrong_data(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    (tmp_path / "train.csv").write_text("PassengerId\n")
    assert cli.main(["titanic", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "is not the published file" in error and error.count("\n") == 1


def test_output_folder_is_a_file(needs_demo, tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert cli.main(["demo", "--out", str(tmp_path / "out")]) == 2
    assert "out" in capsys.readouterr().err


def test_missing_package(tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["demo", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "matplotlib" in error and "dtdcore[plot]" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_interrupted(capsys, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", interrupted)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "dtdcore: interrupted\n"


def test_a_defect_is_not_hidden(monkeypatch):
    def defective(arguments):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(info, "run", defective)
    with pytest.raises(ZeroDivisionError):
        cli.main(["info"])


def test_reader_goes_away():
    """`dtdcore info | head -0` ends without a word."""
    code = (
        "import sys, time; time.sleep(0.3); from dtdcore.cli import main; sys.exit(main(['info']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        error = process.stderr.read()
        assert process.wait(timeout=120) == 0
    assert error == b""


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "dtdcore.cli", "info"], capture_output=True, timeout=120, check=True
    )
    assert b"dtdcore" in done.stdout and done.stderr == b""
