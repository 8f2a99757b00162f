# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""An imported network compared with the Keras model."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dtdcore.importers.comparing import SCALES, TOLERANCE, difference, sample
from dtdcore.importers.keras.graph import calls, import_keras, run
from dtdcore.importers.keras.translation import Translation
from dtdcore.network import Network

Key = tuple[int, ...]


def verify_network(network: Network, translation: Translation) -> list[str]:
    """Compare the forward pass with the model's; gives notes about what was not compared.

    Raises
    ------
    ValueError
        If a value differs, naming the first layer that does.
    """
    dtypes = _compute_dtypes(translation.model)
    if "bfloat16" in dtypes:
        return ["not verified: the model computes in bfloat16, too coarse to compare"]
    coarsest = next(name for name in TOLERANCE if name in {*dtypes, "float32"})
    if dtypes == {"float64"}:
        coarsest = "float64"
    rng = np.random.default_rng(1512)
    held = {node.name for node in network.nodes}
    compared = [c for c in translation.compared if c.signal.name in held]
    for scale in SCALES:
        x = {
            tensor.name: sample(rng, scale, (2, *shape), np.dtype(tensor.dtype))
            for tensor, shape in zip(
                translation.model.inputs, translation.shapes.values(), strict=True
            )
        }
        ours_x: Any = {
            name: part.astype("float64" if coarsest == "float64" else "float32")
            for name, part in x.items()
        }
        ours_x = next(iter(ours_x.values())) if len(ours_x) == 1 else ours_x
        found = _output_differs(network, translation, x, ours_x, TOLERANCE[coarsest])
        if found is None:
            continue
        theirs = _values(translation, x)
        for one in compared:
            values = network.forward(ours_x, node=one.signal.name)
            back = [one.order.index(axis) + 1 for axis in range(len(one.order))]
            text = difference(values.transpose(0, *back), theirs[one.key], TOLERANCE[coarsest])
            if text:
                raise _error(f"first in the {one.title}: {text}")
        raise _error(f"in its output: {found}")
    return []


def _error(where: str) -> ValueError:
    return ValueError(
        f"the imported network differs from the Keras model, {where}. Please report this; "
        "verify=False imports it anyway"
    )


def _output_differs(
    network: Network, translation: Translation, x: Any, ours_x: Any, tolerance: float
) -> str | None:
    """How the outputs differ, in words; None if they do not."""
    theirs = _outputs(translation.model, list(x.values()))
    if not np.all(np.isfinite(theirs)):
        return None
    values = _values(translation, x)
    try:
        ours = network.forward(ours_x)
    except FloatingPointError as error:
        return str(error)
    if translation.left_out is None:
        return difference(ours, theirs, tolerance)
    # A softmax hides much of the logits: those of the last layer without it.
    logits = values[translation.left_out]
    return difference(ours, logits.reshape(ours.shape), tolerance)


def _outputs(model: Any, arrays: list[np.ndarray]) -> np.ndarray:
    """What the model itself says."""
    keras = import_keras()
    flat = model if len(arrays) == 1 else keras.Model(model.inputs, model.outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of backends, which the user has seen before
        result = flat(arrays[0] if len(arrays) == 1 else arrays, training=False)
    return _array(keras.tree.flatten(result)[0])


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(import_keras().ops.convert_to_numpy(tensor))


def _values(translation: Translation, x: dict[str, np.ndarray]) -> dict[Key, np.ndarray]:
    """What each call of the model gives, by its place; logits where the softmax is left out."""
    keras = import_keras()
    result: dict[Key, np.ndarray] = {}

    def walk(model: Any, values: dict[int, Any], path: Key) -> list[Any]:
        for number, call in enumerate(calls(model)):
            key = (*path, number)
            parts = [values[id(tensor)] for tensor in call.input_tensors]
            if isinstance(call.operation, keras.Model):
                inner = zip(call.operation.inputs, parts, strict=True)
                outputs = walk(call.operation, {id(t): part for t, part in inner}, key)
            else:
                outputs = keras.tree.flatten(run(call, values))
                logits = key == translation.left_out
                result[key] = _array(_logits(call, parts[0]) if logits else outputs[0])
            values.update({id(t): part for t, part in zip(call.outputs, outputs, strict=True)})
        return [values[id(tensor)] for tensor in model.outputs]

    tensors = [keras.ops.convert_to_tensor(part) for part in x.values()]
    inputs = zip(translation.model.inputs, tensors, strict=True)
    walk(translation.model, {id(t): part for t, part in inputs}, ())
    return result


def _logits(call: Any, x: Any) -> Any:
    """What a call gives without the softmax at its end."""
    layer = call.operation
    if type(layer).__name__ in ("Softmax", "Activation"):
        return x
    plain = type(layer).from_config(layer.get_config() | {"activation": "linear"})
    plain.build(x.shape)
    for own, theirs in zip(plain.weights, layer.weights, strict=True):
        own.assign(theirs.value)
    return plain(x)


def _compute_dtypes(model: Any) -> set[str]:
    """The dtypes in which the layers compute."""
    found: set[str] = set()
    for layer in model.layers:
        nested = isinstance(layer, import_keras().Model)
        found |= _compute_dtypes(layer) if nested else {layer.compute_dtype}
    return found
