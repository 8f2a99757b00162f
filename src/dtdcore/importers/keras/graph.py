# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What is read of a Keras model: its graph, and that it is one that can be read."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from dtdcore.arrays import require
from dtdcore.importers.record import Shape


def import_keras() -> ModuleType:
    """The package keras, or an ImportError that says what is missing."""
    try:
        keras = require("keras", "keras")
    except ModuleNotFoundError as error:  # keras is there, the backend that it asks for is not
        raise ImportError(
            f"keras cannot find its backend ({error}): install jax, torch or tensorflow, and name "
            "it in the environment variable KERAS_BACKEND before keras is imported"
        ) from error
    if int(keras.__version__.split(".")[0]) < 3:
        raise ImportError(f"this needs Keras 3, found {keras.__version__}: pip install 'keras>=3'")
    return keras


def check_model(model: Any) -> None:
    """Raise unless a model is a Sequential or Functional model of Keras 3 that has been built."""
    keras = import_keras()
    if not isinstance(model, keras.Model):
        kind = type(model)
        raise TypeError(f"model must be a Keras 3 model, got {kind.__module__}.{kind.__qualname__}")
    if not is_graph(model):
        raise ValueError(
            f"the model {model.name!r} ({type(model).__name__}) is a subclassed model, whose "
            "layers are called by Python code that cannot be read: only Sequential and Functional "
            "models can be imported, and what they hold"
        )
    if isinstance(model, keras.Sequential) and not (model.built and model.layers):
        raise ValueError(
            f"the model {model.name!r} has no input shape yet: begin it with "
            "keras.Input(shape), or call model.build((None, *shape))"
        )


def is_graph(model: Any) -> bool:
    """Is a model a graph of layers, called by Keras's own code?"""
    owner = next(kind for kind in type(model).__mro__ if "call" in vars(kind))
    return owner.__name__ in ("Functional", "Sequential") and owner.__module__.startswith("keras.")


def input_shape(tensor: Any) -> Shape:
    """The shape of one sample of an input."""
    shape = tuple(tensor.shape[1:])
    if None in shape:
        raise ValueError(
            f"the input {tensor.name!r} has open sizes, {('n', *shape)}: build the model with "
            "fixed ones, such as keras.Input((224, 224, 3))"
        )
    return shape


def calls(model: Any) -> list[Any]:
    """The calls of layers that make the model's outputs, each after those that it needs.

    Each has `operation`, `arguments`, `input_tensors` and `outputs`. What is called inside of a
    nested model is found by `calls` of that model.
    """
    known = {id(tensor) for tensor in model.inputs}
    result: list[Any] = []
    state: dict[int, bool] = {}  # False: begun, True: done
    stack = [_maker(tensor) for tensor in reversed(model.outputs) if id(tensor) not in known]
    while stack:
        call = stack[-1]
        if id(call) in state:
            stack.pop()
            if not state[id(call)]:
                state[id(call)] = True
                result.append(call)
            continue
        state[id(call)] = False
        for tensor in reversed(call.input_tensors):
            if id(tensor) not in known and id(_maker(tensor)) not in state:
                stack.append(_maker(tensor))
    return result


def _maker(tensor: Any) -> Any:
    """The call that makes a symbolic tensor."""
    operation, number, _ = tensor._keras_history
    return operation._inbound_nodes[number]


def run(call: Any, values: dict[int, Any]) -> Any:
    """The outputs of a call at inference, from arrays by the ids of symbolic tensors."""
    arguments, options = call.arguments.fill_in(values)
    if "training" in getattr(call.operation, "_call_context_args", {}):
        options["training"] = False  # as the whole model does, whatever the call says
    return call.operation(*arguments, **options)
