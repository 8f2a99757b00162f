# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""A PyTorch module and its example, exported as a graph of ATen operators."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arrays import require
from dtdcore.importers.torch.decomposing import with_known_operators

#: Samples of the example that a module is exported and compared on: all of them take their time.
VERIFIED = 16


@dataclass(frozen=True)
class Example:
    """What a module is called with: tensors, batch axis first."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def tensors(self) -> list[Any]:
        """All tensors, in PyTorch's order."""
        return require("torch.utils._pytree", "torch").tree_leaves((self.args, self.kwargs))

    def with_tensors(self, tensors: list[Any]) -> Example:
        """The same call of other tensors."""
        pytree = require("torch.utils._pytree", "torch")
        _, structure = pytree.tree_flatten((self.args, self.kwargs))
        return Example(*pytree.tree_unflatten(tensors, structure))

    def copied(self) -> Example:
        """The same call of copies, which may be changed."""
        return self.with_tensors([tensor.clone() for tensor in self.tensors()])

    def first(self, count: int) -> Example:
        """The same call of at most so many samples."""
        return self.with_tensors([tensor[:count] for tensor in self.tensors()])

    @property
    def batch(self) -> int:
        """How many samples there are."""
        return self.tensors()[0].shape[0]


def check_module(module: Any) -> None:
    """Raise a TypeError or ValueError unless this is a module whose weights are there."""
    torch = require("torch", "torch")
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError("a TorchScript module cannot be exported: give the module it was made of")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if torch.nn.parameter.is_lazy(tensor):
            raise ValueError(f"{name} has no shape yet: call the module once before")
        if tensor.is_meta:
            raise ValueError(f"{name} is on the meta device: it holds no numbers; load weights")


def as_example(module: Any, example: Any) -> Example:
    """The call of a module that an example stands for; arrays become tensors.

    Raises
    ------
    ValueError, TypeError
        If it is no batch, or no tuple or dict of batches of as many samples.
    """
    torch = require("torch", "torch")
    weights = [p for p in (*module.parameters(), *module.buffers()) if p.is_floating_point()]

    def tensor(value: Any, name: str) -> Any:
        if isinstance(value, (tuple, list)) and value:
            return type(value)(tensor(part, f"{name}[{i}]") for i, part in enumerate(value))
        if isinstance(value, dict) and value:
            return {key: tensor(part, f"{name}[{key!r}]") for key, part in value.items()}
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(np.ascontiguousarray(value))
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name} must be a tensor or an array, got {type(value).__name__}")
        if value.ndim < 2 or 0 in value.shape:
            raise ValueError(f"{name} must be a batch (batch axis first), got {tuple(value.shape)}")
        value = value.detach()
        if weights and value.is_floating_point():
            value = value.to(weights[0].device, weights[0].dtype)
        return value

    if isinstance(example, Mapping):
        named = {name: tensor(value, f"example[{name!r}]") for name, value in example.items()}
        try:
            inspect.signature(module.forward).bind(**named)
            call = Example((), named)
        except TypeError:  # one argument that is a dict
            call = Example((named,), {})
    elif isinstance(example, (tuple, list)):
        call = Example(tuple(tensor(v, f"example[{i}]") for i, v in enumerate(example)), {})
    else:
        call = Example((tensor(example, "example"),), {})
    sizes = {value.shape[0] for value in call.tensors()}
    if len(sizes) != 1:
        raise ValueError(f"example must hold batches of as many samples, got {sorted(sizes)}")
    return call


def in_single(module: Any) -> tuple[Any, str | None]:
    """The module, or a copy in float32 where numbers are of half precision, and a note of it."""
    half = [
        (name, tensor.dtype)
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
        if tensor.is_floating_point() and tensor.dtype.itemsize < 4
    ]
    if not half:
        return module, None
    name, dtype = half[0]
    dtype = str(dtype).removeprefix("torch.")
    try:
        single = copy.deepcopy(module).float()
    except Exception as error:
        raise ValueError(
            f"{type(module).__name__}: its weights of {dtype} are held as float32 in a copy, but "
            f"it cannot be copied ({error}): give module.float()"
        ) from error
    return single, f"weights of {dtype} ({name} …) are held as float32"


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """The module in eval mode, without gradients; its own flags are put back."""
    torch = require("torch", "torch")
    flags = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in flags:
            part.training = False  # not eval(), which some modules do more in
        with torch.no_grad():
            yield
    finally:
        for part, flag in flags:
            part.training = flag


def export(module: Any, example: Example) -> tuple[Any, Example]:
    """The exported program, of any batch size where that can be done, and what it was made with.

    Raises
    ------
    ValueError
        If the module cannot be exported, or cannot run on the example.
    """
    try:
        several = example.first(VERIFIED)
        if several.batch == 1:  # what is true of one sample only is no graph for all batches
            several = several.with_tensors([_twice(tensor) for tensor in several.tensors()])
        program = _export(module, several, True)
        if is_dynamic(program):
            return program, several
    except Exception:  # noqa: BLE001 - whatever a module raises; tried again, and said, below
        pass
    try:
        return _export(module, example, False), example
    except Exception as error:
        _check_runs(module, example)
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        raise ValueError(
            f"{type(module).__name__}: torch.export cannot export this module: {reason} What it "
            "does must not depend on the numbers in x: take such conditions and loops out, or "
            "import the part without them"
        ) from error


def _twice(tensor: Any) -> Any:
    """A batch of a sample twice, whose axes lie in memory in the order of the sample's."""
    torch = require("torch", "torch")
    order = sorted(range(1, tensor.ndim), key=tensor.stride, reverse=True)
    both = torch.cat([tensor, tensor]).permute(0, *order).contiguous()
    return both.permute(0, *(order.index(axis) + 1 for axis in range(1, tensor.ndim)))


def _export(module: Any, example: Example, dynamic: bool) -> Any:
    torch = require("torch", "torch")
    shapes = None
    if dynamic:
        pytree = require("torch.utils._pytree", "torch")
        auto = torch.export.Dim.AUTO
        args, kwargs = pytree.tree_map(lambda _: {0: auto}, (example.args, example.kwargs))
        names = inspect.signature(module.forward).parameters
        shapes = kwargs or tuple(args)
        if any(p.kind is p.VAR_POSITIONAL for p in names.values()):
            shapes = (shapes,)
    program = torch.export.export(
        module, example.args, example.kwargs, dynamic_shapes=shapes, strict=False
    )
    # Makes operators in place ordinary ones, and takes none apart.
    return with_known_operators(program.run_decompositions({}))


def is_dynamic(program: Any) -> bool:
    """Does an exported program take batches of any size?"""
    inputs = set(program.graph_signature.user_inputs)
    values = [n.meta["val"] for n in program.graph.nodes if n.name in inputs]
    return all(not isinstance(value.shape[0], int) for value in values)


def _check_runs(module: Any, example: Example) -> None:
    example = example.copied()
    try:
        module(*example.args, **example.kwargs)
    except Exception as error:
        raise ValueError(
            f"{type(module).__name__}: the module cannot run on the example: {error}"
        ) from error
