# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The program from its first moment on: interrupted early, and in a wrong environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import dtdcore as dtd

posix = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")

#: The program as its entry point starts it; "ready" is said before anything is imported.
START = """
import sys
from {module} import main
sys.argv = ["dtdcore", *{arguments!r}]
print("ready", file=sys.stderr, flush=True)
sys.exit(main())
"""


@posix
@pytest.mark.parametrize("module", ["dtdcore_command", "dtdcore.cli"])
@pytest.mark.parametrize("wait", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_interrupted_early(tmp_path, wait, module):
    """One line and the status 130, in the imports, the reading and the work."""
    layers = [dtd.Dense(np.random.default_rng(0).normal(size=(400, 400))), dtd.ReLU()]
    dtd.Network(layers, input_shape=(400,)).save(tmp_path / "net.npz")
    np.save(tmp_path / "x.npy", np.ones((20_000, 400)))
    arguments = ["explain", "net.npz", "x.npy", "--no-pictures", "--method", "smoothgrad"]
    code = START.format(module=module, arguments=arguments)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr.readline() == "ready\n"
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=120)
    assert "Traceback" not in error
    assert error == "dtdcore: interrupted\n" and out == ""
    assert process.returncode == 130
    assert not list(tmp_path.glob("heatmaps/*"))


@pytest.mark.parametrize("module", ["dtdcore", "dtdcore_command"])
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("DTDCORE_NUM_THREADS", value) for value in ("abc", "0", "-1", "1.5", "", "4,2")),
        ("DTDCORE_ISA", "mmx"),
    ],
)
def test_an_environment_that_cannot_be_understood(module, variable, value):
    done = subprocess.run(
        [sys.executable, "-m", module, "info"],
        env=os.environ | {variable: value},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and f"{variable}={value!r}" in done.stderr


def test_the_program_is_the_command_line():
    command = [sys.executable, "-m", "dtdcore_command", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("dtdcore ")
