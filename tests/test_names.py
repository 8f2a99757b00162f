# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What `import dtdcore` brings: its public names, and nothing of others."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import dtdcore as dtd

SUBMODULES = {
    "datasets",
    "domains",
    "evaluate",
    "layers",
    "plots",
    "preprocessing",
    "rules",
    "targets",
}


def run(code: str):
    """What `code` prints as JSON, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_dir_is_what_is_public():
    assert dir(dtd) == sorted(dtd.__all__)
    assert set(dtd.__all__) >= SUBMODULES
    assert not {"import_module", "ModuleType", "read_environment", "annotations"} & set(dir(dtd))
    for name in dir(dtd):
        assert getattr(dtd, name) is not None
    assert {name for name in dir(dtd) if type(getattr(dtd, name)) is type(sys)} == SUBMODULES


def test_modules_come_when_first_used():
    code = """
import json, sys
import dtdcore as dtd
late = ("evaluate", "datasets", "plots", "preprocessing")
before = [name for name in late if f"dtdcore.{name}" in sys.modules]
dtd.evaluate.compare, dtd.datasets, dtd.plots, dtd.preprocessing, dtd.targets, dtd.rules.ZB
print(json.dumps([before, dtd.layers.Dense is dtd.Dense, dtd.domains.Box is dtd.Box]))
"""
    assert run(code) == [[], True, True]


@pytest.mark.parametrize("statement", ["import dtdcore", "from dtdcore import *"])
def test_import_brings_numpy_alone(statement):
    code = f"""
import json, sys, importlib.util
import numpy
before = {{*sys.modules, *sys.stdlib_module_names, "cython_runtime"}}
{statement}
names = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(names - before - {{"dtdcore"}})))
"""
    assert run(code) == []


def test_star_import_brings_all_names():
    names: dict = {}
    exec("from dtdcore import *", names)
    assert set(names) - {"__builtins__"} == set(dtd.__all__)


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("relu", "ReLU"), ("DeepTaylr", "DeepTaylor"), ("from_tourch", "from_torch")],
)
def test_a_slip_is_told_what_was_meant(slip, meant):
    with pytest.raises(AttributeError, match=f"no attribute '{slip}'; did you mean {meant}"):
        getattr(dtd, slip)
    assert not hasattr(dtd, "__wrapped__")
    with pytest.raises(AttributeError, match=r"no attribute 'xyzzy'$"):
        dtd.xyzzy  # noqa: B018
