# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Files that hold networks, but none that `load` reads: what to do with each."""

from __future__ import annotations

from pathlib import Path

_MAY_RUN = "to open it may run code that it holds; if you trust it: "
_PICKLE = f"a pickle of Python: {_MAY_RUN}"
_JOBLIB = "estimator = joblib.load(path), then dtdcore.from_sklearn(estimator)"
_TORCH = (
    f"a file of PyTorch: {_MAY_RUN}load it with torch.load (into the module, if it holds weights), "
    "then dtdcore.from_torch(module, example)"
)
_TF2ONNX = "python -m tf2onnx.convert {source} --output model.onnx, then dtdcore.load('model.onnx')"
_WEIGHTS = (
    "it holds weights, but not how they are connected: make the model in its own library, load the "
    "weights into it, and give it to dtdcore.from_torch or dtdcore.from_keras"
)
_EXPORT = "export the model it was made of to ONNX, then dtdcore.load('model.onnx')"

#: What a file is, and what to do instead, by the end of its name.
FORMATS = {
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".bin": _TORCH,
    ".ckpt": _TORCH,
    ".pt2": "an exported program of PyTorch: " + _MAY_RUN + "program = torch.export.load(path), "
    "then dtdcore.from_torch(program.module(), *program.example_inputs[0])",
    ".torchscript": "TorchScript: its graph cannot be read; dtdcore.from_torch(module, example) "
    "takes the module that it was made of",
    ".safetensors": f"a file of tensors: {_WEIGHTS}",
    ".weights.h5": f"a file of Keras's weights: {_WEIGHTS}",
    ".joblib": _PICKLE + _JOBLIB,
    ".pkl": _PICKLE + _JOBLIB.replace("joblib.load(path)", "pickle.load(file)"),
    ".pickle": _PICKLE + _JOBLIB.replace("joblib.load(path)", "pickle.load(file)"),
    ".skops": "a file of skops: estimator = skops.io.load(path), then dtdcore.from_sklearn(...)",
    ".pb": "a graph of TensorFlow: "
    + _TF2ONNX.format(source="--graphdef FILE --inputs ... --outputs ..."),
    ".tflite": "a model of TensorFlow Lite: " + _TF2ONNX.format(source="--tflite FILE"),
    ".mlmodel": f"a model of Core ML: {_EXPORT}",
    ".mlpackage": f"a model of Core ML: {_EXPORT}",
    ".xml": f"a model of OpenVINO: {_EXPORT}",
    ".engine": f"a plan of TensorRT: {_EXPORT}",
    ".caffemodel": f"a model of Caffe: {_EXPORT}",
    ".gguf": f"a file of llama.cpp: {_WEIGHTS}",
    ".json": f"text: if it is the architecture of a Keras model, {_WEIGHTS}",
}

#: ... of a folder, by a file in it.
FOLDERS = {
    "saved_model.pb": "a SavedModel of TensorFlow: "
    + _TF2ONNX.format(source="--saved-model FOLDER")
    + "; a model of Keras 3 is saved by model.save('model.keras')",
    "model.safetensors": FORMATS[".safetensors"],
    "pytorch_model.bin": _TORCH,
    "Manifest.json": FORMATS[".mlpackage"],
}

SUFFIXES = (".npz", ".onnx", ".keras", ".h5", ".hdf5")
READ = ".npz (of Network.save), .onnx, .keras, and .h5 or .hdf5 (of Keras)"


def check_format(path: Path) -> None:
    """Raise unless the name of a file is that of one that can be read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, with what to do instead.
    """
    name = path.name.lower()
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.is_dir():
        held = next((file for file in FOLDERS if (path / file).exists()), None)
        known = FOLDERS.get(held, FORMATS.get(path.suffix.lower()))
        said = known or "a folder: give the file of the model in it"
        raise ValueError(f"{path} is {said}. Files that can be read: {READ}")
    for suffix, said in FORMATS.items():
        if name.endswith(suffix):
            raise ValueError(f"{path} is {said}. Files that can be read: {READ}")
    if path.suffix.lower() not in SUFFIXES and not _is_zip(path):
        raise ValueError(
            f"{path} has a name that says nothing of a network. Files that can be read: {READ}"
        )


def _is_zip(path: Path) -> bool:
    """Is a file one of NumPy's .npz under another name?"""
    with path.open("rb") as file:
        return file.read(2) == b"PK"
