# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A few hundred damaged and hostile ONNX files; DTDCORE_FUZZ=10000 asks for more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed")

CASES = int(os.environ.get("DTDCORE_FUZZ", "300"))


@pytest.mark.timeout(max(300, CASES))
@pytest.mark.parametrize("options", [[], ["--verify", "--seed", "2"]], ids=["import", "verify"])
def test_damaged_and_hostile_files(options):
    """In a process of its own, so that a crash is a failure and memory can be bounded."""
    script = Path(__file__).with_name("fuzz_onnx.py")
    result = subprocess.run(
        [sys.executable, str(script), "--cases", str(CASES), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert f"{CASES} cases: " in result.stdout
