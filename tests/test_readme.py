# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the README says of the code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dtdcore.importers.keras import operators as keras_operators
from dtdcore.importers.onnx import operators as onnx_operators
from dtdcore.importers.sklearn import importer as sklearn_importer
from dtdcore.importers.torch import operators as torch_operators

README = Path(__file__).parents[1] / "README.md"


TABLES = {
    "ONNX": onnx_operators.markdown(),
    "PyTorch": torch_operators.markdown(),
    "Keras": keras_operators.markdown(),
    "scikit-learn": sklearn_importer.operators().markdown("scikit-learn"),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_it_has_the_tables_of_what_can_be_imported(table):
    if not README.exists():
        pytest.skip("the tests run without the README")
    assert table in README.read_text(encoding="utf-8"), table


#: What blocks import that the extra `test` does not bring: they are skipped where it is not there.
RARE = ("keras", "onnxscript", "torch")


def blocks(kind: str) -> list[str]:
    """The README's blocks of code of one kind, in their order."""
    if not README.exists():
        return []
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_each_block_of_python_runs_as_written(number, tmp_path):
    block = blocks("python")[number]
    for package in RARE:
        if re.search(rf"^import {package}\b|needs {package}\b", block, re.MULTILINE):
            pytest.importorskip(package, exc_type=ImportError)
    run([sys.executable, "-"], tmp_path, block)
    for written in re.findall(r'(?:savefig|save)\("([^"]+)"\)', block):
        assert (tmp_path / written).stat().st_size > 0


def test_blocks_import_what_they_use():
    """So that `test_each_block_of_python_runs_as_written` finds programs, and all of them."""
    found = blocks("python")
    assert len(found) >= 8 or not README.exists()
    assert all("import dtdcore as dtd\n" in block for block in found)


@pytest.mark.skipif(not README.exists(), reason="the tests run without the README")
@pytest.mark.skipif("DTDCORE_DATA" not in os.environ, reason="DTDCORE_DATA is not set")
def test_the_command_on_photographs_runs_as_written(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("PIL")
    (command,) = [block for block in blocks("sh") if block.startswith("dtdcore explain googlenet")]
    data = Path(os.environ["DTDCORE_DATA"])
    (tmp_path / "googlenet.onnx").symlink_to(data / "models" / "bvlc_googlenet.onnx")
    (tmp_path / "synset_words.txt").symlink_to(data / "photos" / "imagenet_synset_words.txt")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "zebra.jpg").symlink_to(data / "photos" / "captum_zebra.jpg")
    done = run([sys.executable, "-m", *command.split()], tmp_path)
    assert "zebra" in done.stdout
    names = {path.name for path in (tmp_path / "heatmaps").iterdir()}
    assert {"heatmaps-deep-taylor.npz", "heatmaps-sensitivity.npz"} <= names
    assert any(name.endswith(".png") for name in names)


def test_pictures_are_there_and_small():
    if not README.exists():
        pytest.skip("the tests run without the README")
    found = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    assert found[0] == "bench/results/digit.png"
    first_screen = README.read_text(encoding="utf-8").split("\n")[:12]
    assert any(found[0] in line for line in first_screen)
    for name in found:
        path = README.parent / name
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 150_000


def run(command: list[str], folder: Path, program: str = "") -> subprocess.CompletedProcess:
    """Run a command in an empty folder, and show what it wrote where it fails."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONIOENCODING": "utf-8",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, input=program, capture_output=True, text=True,
        encoding="utf-8", timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"
    return done
