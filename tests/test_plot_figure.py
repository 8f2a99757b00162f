# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Figures show themselves: in notebooks, and in windows where there are some."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dtdcore import plots

#: A backend with windows, as matplotlib knows them, that says what it does.
BACKEND = """
from matplotlib.backend_bases import FigureCanvasBase, FigureManagerBase

class FigureManager(FigureManagerBase):
    def show(self):
        print("window", type(self.canvas.figure).__name__, *self.canvas.figure.get_size_inches())

    @classmethod
    def pyplot_show(cls, *, block=None):
        from matplotlib import pyplot
        for number in pyplot.get_fignums():
            pyplot.figure(number).canvas.manager.show()
        print("waited")

class FigureCanvas(FigureCanvasBase):
    required_interactive_framework = None
    manager_class = FigureManager
"""


def run(program: str, folder: Path, backend: str) -> subprocess.CompletedProcess:
    paths = [str(folder), *sys.path]
    environment = os.environ | {"MPLBACKEND": backend, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-W", "always", "-c", program]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=True
    )


def test_it_is_a_picture_for_notebooks():
    png = plots.draw_bars([1.0, -2.0])._repr_png_()
    assert png.startswith(b"\x89PNG")


def test_show_opens_a_window_and_waits(tmp_path):
    (tmp_path / "windows.py").write_text(BACKEND, encoding="utf-8")
    program = """
from dtdcore import plots
import matplotlib
figure = plots.draw_bars([1.0, -2.0])
before = dict(matplotlib.rcParams)
figure.show()
changed = {key for key in before if before[key] != matplotlib.rcParams[key]}
print(changed or "no settings changed", *figure.get_size_inches())
figure.show()
"""
    lines = run(program, tmp_path, "module://windows").stdout.splitlines()
    assert lines[0].startswith("window ShownFigure ")
    size = lines[0].removeprefix("window ShownFigure ")
    assert lines[1:] == ["waited", f"no settings changed {size}", lines[0], "waited"]


def test_show_without_a_display_says_what_to_do_instead(tmp_path):
    program = """
from dtdcore import plots
figure = plots.draw_bars([1.0, -2.0])
figure.show()
figure.show(warn=False)
from matplotlib import pyplot
print(pyplot.get_fignums())
figure.savefig("bars.png")
"""
    done = run(f"import os; os.chdir({str(tmp_path)!r}){program}", tmp_path, "agg")
    assert done.stdout == "[]\n"
    assert done.stderr.count("UserWarning") == 1
    assert "no window can be opened (backend agg); figure.savefig('heatmaps.png')" in done.stderr
    assert (tmp_path / "bars.png").stat().st_size > 1000


def test_in_a_notebook(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    import nbformat

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    cells = [
        "from dtdcore import plots\nplots.draw_bars([1.0, -2.0])",
        "plots.draw_bars([1.0]).show()\nprint('between')\nplots.draw_bars([2.0]).show()",
        "figure = plots.draw_bars([1.0])",
        "import matplotlib.pyplot as plt\nplt.plot([1])\nplots.draw_bars([1.0])",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
    kinds = [
        ["png" if "image/png" in output.get("data", {}) else output.output_type for output in cell]
        for cell in (cell.outputs for cell in book.cells)
    ]
    assert kinds == [["png"], ["png", "stream", "png"], [], ["png", "png"]]
