# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""An imported network compared with ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from dtdcore.importers.comparing import SCALES, TOLERANCE, decisive, sample
from dtdcore.importers.noise import agreement
from dtdcore.importers.onnx.file import import_onnx
from dtdcore.importers.onnx.graph import Translation
from dtdcore.importers.record import Shape, Signal
from dtdcore.network import Network

#: Networks with more multiplications than this are not run unasked.
LARGEST_WORK = 10**12

#: ... nor those with more numbers than this in all their values together.
LARGEST_MEMORY = 2**28


def verify_network(
    network: Network,
    translation: Translation,
    shapes: Mapping[str, Shape],
    batch: int | None,
    starts: Collection[Signal],
) -> list[str]:
    """Compare the forward pass with ONNX Runtime's; gives notes about what was not compared.

    The output is compared, and the values at which explanations start; all, where these differ.

    Raises
    ------
    ValueError
        If a tensor differs, or ONNX Runtime cannot run the model.
    """
    try:
        import onnxruntime
    except ImportError:
        return ["not verified: the package onnxruntime is not installed"]
    if (
        _work(network) * (batch or 2) > LARGEST_WORK
        or _memory(network) * (batch or 2) > LARGEST_MEMORY
    ):
        return ["not verified: too large to be run at import"]
    compared = [(tensor, s) for tensor, s in translation.compared if tensor not in shapes]
    held = {node.name for node in network.nodes}
    compared = [(tensor, signal) for tensor, signal in compared if signal.name in held]
    if not compared:
        return []
    file = translation.graph.file
    runner = _Runner(onnxruntime, translation, shapes, compared)
    rng = np.random.default_rng(1512)
    # two samples, where the file leaves that open, unless it works with one only
    size = batch or (2 if runner.runs(runner.sample(rng, 1, 2)) else 1)
    first = decisive({s for _, s in compared}, starts, translation.record.makers)
    ends = [*(pair for pair in compared if pair[1] in first), compared[-1]]
    for scale in SCALES:
        x = runner.sample(rng, scale, size)
        if not any(runner.differs(network, x, *pair) for pair in ends):
            continue
        for tensor, signal in compared:
            found = runner.differs(network, x, tensor, signal)
            if found:
                raise ValueError(
                    f"{file}: the imported network differs from ONNX Runtime, first in the tensor "
                    f"{tensor!r}: {found}. Please report this; verify=False imports it anyway"
                )
    return []


class _Runner:
    """ONNX Runtime on the part of a model that was imported."""

    def __init__(
        self, runtime: Any, translation: Translation, shapes: Mapping[str, Shape], compared: Any
    ) -> None:
        self._runtime, self._translation, self._shapes = runtime, translation, shapes
        self._types = {name: self._type(name) for name in shapes}
        self._file = translation.graph.file
        self._values: dict[tuple[int, bool], dict[str, np.ndarray]] = {}
        self._last = compared[-1][0]
        self._names = [tensor for tensor, _ in compared]
        self._sessions: dict[bool, Any] = {}
        self._coarsest = self._find_coarsest()
        state = runtime.capi.onnxruntime_pybind11_state  # its errors have no base of their own
        kinds = [kind for kind in vars(state).values() if isinstance(kind, type)]
        failures = [kind for kind in kinds if issubclass(kind, Exception)]
        self._failures = (*failures, ValueError, RuntimeError, TypeError, MemoryError)

    def _find_coarsest(self) -> str:
        """The dtype with the fewest digits among those of the inputs and those cast to."""
        graph, values = self._translation.graph, self._translation.values
        types = import_onnx().TensorProto
        names = {types.FLOAT16: "float16", types.BFLOAT16: "float16", types.FLOAT: "float32"}
        found = {d.name if d.name in TOLERANCE else "float32" for d in self._types.values()}
        for number in graph.order([self._last], self._shapes):
            node = graph.model.graph.node[number]
            if node.op_type == "Cast" and isinstance(values[node.output[0]], Signal):
                found |= {names[a.i] for a in node.attribute if a.name == "to" and a.i in names}
        return min(found)

    def _type(self, name: str) -> np.dtype:
        """The dtype of an input, as the file has it."""
        kind = self._translation.graph.kind(name)
        try:
            return np.dtype(import_onnx().helper.tensor_dtype_to_np_dtype(kind))
        except (KeyError, TypeError):
            return np.dtype(np.float32)

    def sample(self, rng: np.random.Generator, scale: float, batch: int) -> dict[str, np.ndarray]:
        """Random inputs, in the dtypes of the file."""
        return {
            name: sample(rng, scale, (batch, *shape), self._types[name])
            for name, shape in self._shapes.items()
        }

    def _session(self, everything: bool) -> Any:
        """A session that gives the last compared tensor, or all."""
        if everything not in self._sessions:
            onnx = import_onnx()
            graph = self._translation.graph
            outputs = self._names if everything else [self._last]
            numbers = graph.order(outputs, self._shapes)
            nodes = [graph.model.graph.node[number] for number in numbers]
            used = {name for node in nodes for name in node.input}
            helper = onnx.helper
            part = helper.make_graph(
                nodes,
                "part",
                [
                    helper.make_tensor_value_info(
                        name,
                        helper.np_dtype_to_tensor_dtype(self._types[name]),
                        [None, *shape],
                    )
                    for name, shape in self._shapes.items()
                ],
                [helper.make_empty_tensor_value_info(name) for name in outputs],
                [tensor for name, tensor in graph.initializers.items() if name in used],
            )
            model = helper.make_model(
                part,
                opset_imports=graph.model.opset_import,
                ir_version=min(max(graph.model.ir_version, 4), 10),
            )
            options = self._runtime.SessionOptions()
            options.log_severity_level = 4
            options.intra_op_num_threads = 1
            # products with weights of 4 bits in float32, as the model says
            options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
            try:
                self._sessions[everything] = self._runtime.InferenceSession(
                    model.SerializeToString(), options, providers=["CPUExecutionProvider"]
                )
            except self._failures as error:
                raise self._refused(error) from None
        return self._sessions[everything]

    def _refused(self, error: Exception) -> ValueError:
        return ValueError(
            f"{self._file}: ONNX Runtime cannot run this model, so that the import cannot be "
            f"verified (verify=False imports it all the same): {error}"
        )

    def runs(self, x: dict[str, np.ndarray]) -> bool:
        """Can ONNX Runtime run the model on this batch, and gives it all of its samples?"""
        session = self._session(False)
        try:
            (result,) = session.run([self._last], x)
        except self._failures:
            return False
        return np.shape(result)[:1] == (len(next(iter(x.values()))),)

    def _theirs(self, x: dict[str, np.ndarray], tensor: str) -> np.ndarray:
        everything = tensor != self._last
        values = self._values.setdefault((id(x), everything), {})
        if not values:
            names = self._names if everything else [tensor]
            session = self._session(everything)
            try:
                results = session.run(names, x)
            except self._failures as error:
                raise self._refused(error) from None
            values.update(zip(names, results, strict=True))
        return values[tensor]

    def differs(
        self, network: Network, x: dict[str, np.ndarray], tensor: str, signal: Any
    ) -> str | None:
        """How a tensor differs, in words; None if it does not."""
        theirs = self._theirs(x, tensor)
        finite = bool(np.all(np.isfinite(theirs)))
        if self._coarsest == "float16" and not finite:
            return None  # what overflows there does not here
        double = any(part.dtype == np.float64 for part in x.values())
        dtype = np.dtype(np.float64 if double else np.float32)
        ours_x = {name: part.astype(dtype) for name, part in x.items()}
        if len(ours_x) == 1:
            (ours_x,) = ours_x.values()
        try:
            ours = network.forward(ours_x, node=signal.name)
        except FloatingPointError as error:
            return str(error) if finite else None
        return agreement(network, ours_x, signal.name, ours, theirs, TOLERANCE[self._coarsest])


def _memory(network: Network) -> int:
    """Numbers in all values of one sample."""
    return sum(math.prod(shape) for shape in network.shapes(network.input_shape))


def _work(network: Network) -> int:
    """Multiplications of a forward pass, about."""
    shapes = network.shapes(network.input_shape)
    work = 0
    for value, node in enumerate(network.nodes, len(network.inputs)):
        weight = getattr(node.layer, "weight", None)
        outputs = math.prod(shapes[value])
        if weight is None:
            window = getattr(node.layer, "_given", {}).get("size", 1)
            axes = max(len(shapes[value]) - 1, 0)
            reach = math.prod(window) if isinstance(window, tuple) else window**axes
            work += outputs * reach
        elif weight.ndim == 2:
            work += weight.size
        else:  # each weight meets each pixel
            sources = shapes[node.sources[0]]
            work += weight.size * max(math.prod(shapes[value][1:]), math.prod(sources[1:]))
    return work
