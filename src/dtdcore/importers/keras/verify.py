# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""An imported network compared with the Keras model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from dtdcore.importers.comparing import SCALES, TOLERANCE, decisive, sample
from dtdcore.importers.keras.graph import calls, import_keras, run
from dtdcore.importers.keras.translation import LOGITS, Compared, Translation
from dtdcore.importers.noise import agreement
from dtdcore.importers.record import Signal
from dtdcore.network import Network

Key = tuple[int, ...]


def verify_network(
    network: Network, translation: Translation, starts: Collection[Signal]
) -> list[str]:
    """Compare the forward pass with the model's; gives notes about what was not compared.

    The output is compared, and the values at which explanations start; all, where these differ.

    Raises
    ------
    ValueError
        If a value differs, naming the first layer that does.
    """
    dtypes = _compute_dtypes(translation.model)
    if "bfloat16" in dtypes:
        return ["not verified: the model computes in bfloat16, too coarse to compare"]
    rng = np.random.default_rng(1512)
    held = {node.name for node in network.nodes}
    compared = [c for c in translation.compared if c.signal.name in held]
    first = decisive({c.signal for c in compared}, starts, translation.record.makers)
    for scale in SCALES:
        x = {  # numbers that float32 has: Functional models cast what comes in to it
            tensor.name: _single(sample(rng, scale, (2, *shape), np.dtype(tensor.dtype)))
            for tensor, shape in zip(
                translation.model.inputs, translation.shapes.values(), strict=True
            )
        }
        said = _outputs(translation.model, list(x.values()))
        # Layers of float64 compute in float32 where the backend has no more (JAX without x64).
        used = {*dtypes, said.dtype.name}
        coarsest = next(name for name in TOLERANCE if name in used)
        ours_x: Any = {name: part.astype(network.dtype) for name, part in x.items()}
        ours_x = next(iter(ours_x.values())) if len(ours_x) == 1 else ours_x
        if not np.all(np.isfinite(said)):
            continue
        theirs = _values(translation, x, {c.key for c in compared})
        tolerance = TOLERANCE[coarsest]
        found = _output_differs(network, ours_x, said, tolerance)

        def differs(
            one: Compared, x: Any = ours_x, theirs: Any = theirs, tolerance: float = tolerance
        ) -> str | None:
            values = network.forward(x, node=one.signal.name)
            back = [one.order.index(axis) + 1 for axis in range(len(one.order))]
            values = values.transpose(0, *back)
            return agreement(network, x, one.signal.name, values, theirs[one.key], tolerance)

        if found is None and not any(differs(c) for c in compared if c.signal in first):
            continue
        for one in compared:
            text = differs(one)
            if text:
                raise _error(f"first in the {one.title}: {text}")
        raise _error(f"in its output: {found}")
    return []


def _single(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32).astype(x.dtype)


def _error(where: str) -> ValueError:
    return ValueError(
        f"the imported network differs from the Keras model, {where}. Please report this; "
        "verify=False imports it anyway"
    )


def _output_differs(network: Network, x: Any, theirs: np.ndarray, tolerance: float) -> str | None:
    """How the outputs differ, in words; None if they do not."""
    try:
        name = network.nodes[network.output - len(network.inputs)].name
        return agreement(network, x, name, network.forward(x), theirs, tolerance)
    except FloatingPointError as error:
        return str(error)


def _outputs(model: Any, arrays: list[np.ndarray]) -> np.ndarray:
    """What the model itself says."""
    tree = import_keras().tree
    structure = getattr(model, "_inputs_struct", None)  # an array, a list, a dict, or one of lists
    given = arrays[0] if structure is None else tree.pack_sequence_as(structure, arrays)
    result = model(given, training=False)
    return _array(tree.flatten(result)[0])


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(import_keras().ops.convert_to_numpy(tensor))


def _values(
    translation: Translation, x: dict[str, np.ndarray], wanted: Collection[Key]
) -> dict[Key, np.ndarray]:
    """What each call of the model gives, by its place, and the logits that are wanted."""
    keras = import_keras()
    result: dict[Key, np.ndarray] = {}

    def walk(model: Any, values: dict[int, Any], path: Key) -> list[Any]:
        for number, call in enumerate(calls(model)):
            key = (*path, number)
            if isinstance(call.operation, keras.Model):
                parts = [values[id(tensor)] for tensor in call.input_tensors]
                inner = zip(call.operation.inputs, parts, strict=True)
                outputs = walk(call.operation, {id(t): part for t, part in inner}, key)
            else:
                outputs = keras.tree.flatten(run(call, values))
                result[key] = _array(outputs[0])
                if (*key, LOGITS) in wanted:
                    result[*key, LOGITS] = _array(keras.tree.flatten(_logits(call, values))[0])
            values.update({id(t): part for t, part in zip(call.outputs, outputs, strict=True)})
        return [values[id(tensor)] for tensor in model.outputs]

    tensors = [keras.ops.convert_to_tensor(part) for part in x.values()]
    inputs = zip(translation.model.inputs, tensors, strict=True)
    walk(translation.model, {id(t): part for t, part in inputs}, ())
    return result


def _logits(call: Any, values: dict[int, Any]) -> Any:
    """What a call gives without its activation."""
    layer = call.operation
    activation = layer.activation
    layer.activation = import_keras().activations.linear
    try:
        return run(call, values)
    finally:
        layer.activation = activation


def _compute_dtypes(model: Any) -> set[str]:
    """The dtypes in which the layers compute."""
    keras = import_keras()
    found: set[str] = set()
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= _compute_dtypes(layer)
        elif not isinstance(layer, keras.layers.InputLayer):  # it computes nothing
            found.add(layer.compute_dtype)
            if isinstance(layer, keras.layers.Dense) and layer.compute_dtype == "float64":
                found.add(_multiplied())
    return found


def _multiplied() -> str:
    """The dtype of a product of matrices of float64: Keras casts them to float32 on PyTorch."""
    keras = import_keras()
    one = keras.ops.convert_to_tensor(np.ones((1, 1)))  # JAX, asked for float64, may warn
    return keras.backend.standardize_dtype(keras.ops.matmul(one, one).dtype)
