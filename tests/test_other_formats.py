# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Files of networks that `load` does not read: the error says what to do."""

from __future__ import annotations

import pytest

import dtdcore as dtd
from dtdcore.other_formats import FOLDERS, FORMATS

SAYS = {
    ".pt": "may run code.*from_torch",
    ".pt2": r"torch\.export\.load.*from_torch",
    ".safetensors": "not how they are connected",
    ".weights.h5": "not how they are connected",
    ".joblib": r"joblib\.load.*from_sklearn",
    ".pkl": r"pickle\.load.*from_sklearn",
    ".pb": r"tf2onnx\.convert --graphdef",
    ".tflite": r"tf2onnx\.convert --tflite",
    ".mlmodel": "Core ML.*ONNX",
    ".xml": "OpenVINO.*ONNX",
    ".what": "says nothing of a network",
    "": "says nothing of a network",
}


@pytest.mark.parametrize("suffix", {**FORMATS, **SAYS})
def test_files(suffix, tmp_path):
    path = tmp_path / f"Model{suffix.upper()}"
    path.write_bytes(b"\x80\x04whatever")
    with pytest.raises(ValueError, match=SAYS.get(suffix, "from_|ONNX|onnx")) as caught:
        dtd.load(path)
    assert str(path) in str(caught.value) and ".onnx, .keras" in str(caught.value)
    with pytest.raises(ValueError, match="can be read"):
        dtd.load(path, verify=False)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="there is no file"):
        dtd.load(path)


def test_a_network_under_another_name_is_read(tmp_path):
    network = dtd.Network([dtd.ReLU()], (3,))
    path = network.save(tmp_path / "net.npz").rename(tmp_path / "net")
    assert dtd.load(path).input_shape == (3,)


@pytest.mark.parametrize("name", [*FOLDERS, None])
def test_folders(name, tmp_path):
    if name is not None:
        (tmp_path / name).write_bytes(b"")
    says = {"saved_model.pb": "--saved-model", None: "give the file of the model in it"}
    with pytest.raises(ValueError, match=says.get(name, "from_torch|ONNX")):
        dtd.load(tmp_path)
