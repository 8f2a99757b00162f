# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks: layers wired together."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.arrays import as_batch, own
from dtdcore.audit import format_table
from dtdcore.columns import read_tables
from dtdcore.encoding import Encoder
from dtdcore.folding import Folding
from dtdcore.layers import ChannelAffine, Layer
from dtdcore.plan import Plan
from dtdcore.rules import Rule
from dtdcore.saving import read, write
from dtdcore.steps.base import overflowing
from dtdcore.targets import choose_targets
from dtdcore.wiring import check_shape, connect, input_names

#: Plans, one for each dtype and node asked for, that a network or an explainer keeps.
PLANS_KEPT = 16


#: Shapes of the inputs: of the only one, or a dict by name; None where several fit.
InputShape = tuple[int, ...] | None | dict[str, tuple[int, ...] | None]


class Network:
    """A trained network: layers wired together, a chain or a graph.

    Parameters
    ----------
    layers : sequence of Layer, (name, Layer) or (name, Layer, sources)
        From the input to the output. Layers without a name are called after their type and
        number: dense_1, relu_1, dense_2. `sources`, a name or a sequence of names of earlier
        layers or inputs, says what comes in; by default it is the item before. A layer may stand
        in several places.
    input_shape : tuple of int or dict, optional
        Shape of one input, without the batch axis; needed only where the first layer does not
        say it and it should be fixed. A network of several inputs needs a dict name -> shape (or
        None); then x is a dict of arrays, and so are gradients. A single input is called "input".
    output : str, optional
        The layer whose output is the network's; by default the only one that no other layer uses.

    Raises
    ------
    ValueError
        If layers do not fit, naming them, a name comes twice or is unknown, or no layer uses what
        another gives.
    TypeError
        If something is not a layer.
    """

    def __init__(
        self,
        layers: Iterable[Layer | tuple[str, Layer] | tuple[str, Layer, str | Sequence[str]]],
        input_shape: InputShape = None,
        output: str | None = None,
    ) -> None:
        #: For each layer that `merged` folded away the names of those that hold it now.
        self.holders: dict[str, tuple[str, ...]] = {}
        #: For those of them whose outputs are still computed the name of the layer that gives them.
        self.stands_in: dict[str, str] = {}
        #: Names of layers of the network before merging whose own outputs are computed no longer.
        self.lost: frozenset[str] = frozenset()
        #: What an importer has to say about the network; `save` keeps it.
        self.said: tuple[str, ...] = ()
        #: What `merged` has to say of scales and shifts that it could not fold.
        self.unfolded: tuple[str, ...] = ()
        #: Who made the model file, in the file's own words; `save` keeps it.
        self.producer: str = ""
        #: Names of the numbers of an input (of one axis), where an importer knows them; `save`
        #: keeps them, and explanations take them over.
        self.feature_names: tuple[str, ...] = ()
        #: Names of the outputs, likewise.
        self.class_names: tuple[str, ...] = ()
        #: What makes the network's inputs of the original columns of a table; None where x is the
        #: network's input itself.
        self.encoder: Encoder | None = None
        #: Names of the inputs.
        self.inputs = input_names(input_shape)
        self.nodes = tuple(connect(layers, self.inputs))
        #: The value that is the network's output.
        self.output = self._find_output(output)
        if not isinstance(input_shape, Mapping):
            input_shape = {self.inputs[0]: input_shape}
        self._input_shapes = tuple(
            self._shape_of_input(value, shape) for value, shape in enumerate(input_shape.values())
        )
        learned = [layer for layer in self.layers if layer.parameters]
        dtypes = {array.dtype for layer in learned for array in layer.arrays().values()}
        #: float32 if all weights are, else float64: what inputs of whole numbers become.
        self.dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
        self._shapes: dict[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]] = {}
        self._plans: dict[Any, Plan] = {}
        self._merged: dict[frozenset[str], Network] = {}
        if None not in self._input_shapes:
            self._shapes_of(self._input_shapes)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which make their plans anew."""
        return self.__dict__ | {"_shapes": {}, "_plans": {}, "_merged": {}}

    def _find_output(self, output: str | None) -> int:
        if output is not None:
            return self.value(output)
        m = len(self.inputs)
        used = {source for node in self.nodes for source in node.sources}
        unused = [node.name for value, node in enumerate(self.nodes, m) if value not in used]
        if len(unused) > 1:
            raise ValueError(
                f"no layer uses the outputs of {', '.join(unused)}: name the one that is the "
                f"network's output, such as output={unused[-1]!r}"
            )
        idle = [name for value, name in enumerate(self.inputs) if value not in used]
        if idle:
            raise ValueError(f"no layer uses the input {', '.join(idle)}")
        return m + len(self.nodes) - 1

    def _shape_of_input(self, value: int, shape: Any) -> tuple[int, ...] | None:
        if shape is not None:
            return check_shape(shape)
        alike = {value}  # values of the input's shape
        for maker, node in enumerate(self.nodes, len(self.inputs)):
            if len(node.sources) == 1 and alike.issuperset(node.sources):
                if node.layer.input_shape is not None:
                    return node.layer.input_shape
                if isinstance(node.layer, ChannelAffine):
                    alike.add(maker)
        return None

    @property
    def is_chain(self) -> bool:
        """Does each layer take what the one before gives, and the last give the output?"""
        places = enumerate(self.nodes)
        return self.output == len(self.nodes) and all(n.sources == (i,) for i, n in places)

    @property
    def input_shape(self) -> InputShape:
        """Shape of one input, without the batch axis; None where several fit.

        A dict by name where there are several inputs.
        """
        if len(self.inputs) == 1:
            return self._input_shapes[0]
        return dict(zip(self.inputs, self._input_shapes, strict=True))

    def value(self, name: str) -> int:
        """The number of the value that a node (or an input) of this name gives.

        Raises
        ------
        ValueError
            If there is none.
        """
        if name not in self.lost:
            name = self.stands_in.get(name, name)
        for value, known in enumerate((*self.inputs, *(node.name for node in self.nodes))):
            if known == name:
                return value
        names = ", ".join(node.name for node in self.nodes)
        raise ValueError(f"the network has no layer {name!r}; there are {names}")

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to know: of the import, and of scales and shifts that cannot be folded.

        `summary` shows it. What is assigned is what an importer says.
        """
        return (*self.said, *self.merged().unfolded)

    @notes.setter
    def notes(self, said: Iterable[str]) -> None:
        self.said = tuple(said)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, from the input to the output."""
        return tuple(node.layer for node in self.nodes)

    @property
    def output_shape(self) -> tuple[int, ...] | None:
        """Shape of one output, without the batch axis; None where it depends on the input."""
        shapes = self._known_shapes()
        return None if shapes is None else shapes[self.output]

    def shapes(self, input_shape: Any) -> tuple[tuple[int, ...], ...]:
        """The shape of every value: of each input, then of each layer's output.

        Parameters
        ----------
        input_shape : tuple of int, or dict of such by name

        Raises
        ------
        ValueError
            If a layer cannot take what comes to it, naming the layer.
        """
        if isinstance(input_shape, Mapping):
            return self._shapes_of(tuple(input_shape[name] for name in self.inputs))
        return self._shapes_of((input_shape,))

    def shapes_of(self, x: Any) -> tuple[tuple[int, ...], ...]:
        """The shape of every value for checked inputs, an array or a dict of them."""
        arrays = [x] if len(self.inputs) == 1 else [x[name] for name in self.inputs]
        return self._shapes_of(tuple(array.shape[1:] for array in arrays))

    def _known_shapes(self) -> tuple[tuple[int, ...], ...] | None:
        return None if None in self._input_shapes else self._shapes_of(self._input_shapes)

    def _shapes_of(self, inputs: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        known = self._shapes.get(inputs)
        if known is not None:
            return known
        shapes = list(inputs)
        for node in self.nodes:
            try:
                shapes.append(node.layer.output_shape(*(shapes[s] for s in node.sources)))
            except ValueError as error:
                raise ValueError(f"layer {node.name}: {error}") from None
        if len(self._shapes) >= 64:
            self._shapes.clear()
        self._shapes[inputs] = tuple(shapes)
        return self._shapes[inputs]

    def merged(self, keep: Iterable[str] = ()) -> Network:
        """The same function with fewer layers, as explainers run it.

        Each `BatchNorm`, `ChannelAffine` or `Multiply` goes into the linear layer before it (where
        nobody else uses what that gives) or else into the linear layers behind it. Layers between
        them that only rearrange numbers do not matter, nor do average pools (and, where scales are
        above 0, maximum pools). What differs from pixel to pixel becomes a bias that does. A `Pad`
        of zeros becomes the padding of the convolutions behind it, and a ReLU behind a maximum pool
        goes before it. Folded layers keep their names; what cannot be folded stays, and
        redistributes by a rule of its own: `notes` say so. Scales and shifts directly at the inputs
        stay, too: they are the inputs in other units, and relevance passes through them. Results
        are equal to rounding.

        Parameters
        ----------
        keep : names of layers, optional
            Layers whose own outputs are needed, so that nothing is merged with them that changes
            these.

        Returns
        -------
        Network
            The network itself if there is nothing to fold. `holders` says where folded layers went.
        """
        keep = frozenset(keep)
        if keep not in self._merged:
            shapes = self._known_shapes()
            folding = Folding(self.nodes, len(self.inputs), self.output, keep, shapes)
            folding.run()
            result = self.behind_encoder
            if folding.changed:
                items, output = folding.items(self.inputs)
                given = dict(zip(self.inputs, self._input_shapes, strict=True))
                result = Network(items, given, output)
                result.holders, result.lost = folding.holders, frozenset(folding.lost)
                result.stands_in = folding.stands_in
            if result is not self or not keep:
                result.unfolded = tuple(folding.notes())
            self._merged[keep] = result
        return self._merged[keep]

    @property
    def behind_encoder(self) -> Network:
        """The network on encoded columns; the network itself where nothing is encoded."""
        if self.encoder is None:
            return self
        result = copy.copy(self)
        result.encoder, result.feature_names = None, ()
        return result

    def plan(
        self,
        rules: Sequence[Rule | str | None] | None,
        dtype: np.dtype,
        output: int | None = None,
    ) -> Plan:
        """The steps to a value (the output) for one rule per node and a dtype (for explainers)."""
        return Plan(self, rules, dtype, output)

    def _plain_plan(self, dtype: np.dtype, node: str | None = None) -> Plan:
        plan = self._plans.get((dtype, node))
        if plan is None:
            network = self.merged()
            if node is not None and node in network.lost:
                network = self
            output = None if node is None else network.value(node)
            if len(self._plans) >= PLANS_KEPT:
                self._plans.clear()
            plan = self._plans[dtype, node] = network.plan(None, dtype, output)
        return plan

    def check_inputs(self, x: Any, domain: Any = None) -> Any:
        """`x` as a finite batch in the domain that every layer can take, or a clear error.

        `domain` is a `Domain`, or a dict of them by input; `Domain.check` says what becomes of
        rounding errors at its bounds. Of several inputs x and the result are dicts, one dtype for
        all.
        """
        if self.encoder is not None:
            x = self.encoder.encode(x, self.dtype)
        elif type(x) is not np.ndarray:
            x = read_tables(self, x)
        if len(self.inputs) > 1 or isinstance(x, Mapping):
            xs = self._check_several(x, domain)
            return xs if len(xs) > 1 else xs[self.inputs[0]]
        x = as_batch(x, self._input_shapes[0], default=self.dtype, finite=domain is None)
        self._shapes_of((x.shape[1:],))
        return x if domain is None else domain.check(x)

    def _check_several(self, x: Any, domain: Any) -> dict[str, np.ndarray]:
        if not isinstance(x, Mapping) or set(x) != set(self.inputs):
            got = f"the keys {sorted(map(str, x))}" if isinstance(x, Mapping) else type(x).__name__
            raise TypeError(f"x must be a dict with the inputs {', '.join(self.inputs)}, got {got}")
        xs = {
            name: as_batch(x[name], shape, f"x[{name!r}]", self.dtype)
            for name, shape in zip(self.inputs, self._input_shapes, strict=True)
        }
        if len({len(part) for part in xs.values()}) > 1:
            sizes = ", ".join(f"{name} {len(part)}" for name, part in xs.items())
            raise ValueError(f"all inputs in x must have as many samples, got {sizes}")
        dtype = np.result_type(*(part.dtype for part in xs.values()))
        xs = {name: np.asarray(part, dtype) for name, part in xs.items()}
        self._shapes_of(tuple(part.shape[1:] for part in xs.values()))
        if domain is not None:
            for name, part in xs.items():
                of_input = domain[name] if isinstance(domain, Mapping) else domain
                xs[name] = of_input.check(part, f"x[{name!r}]")
        return xs

    def forward(self, x: Any, node: str | None = None) -> np.ndarray:
        """What the network says.

        Parameters
        ----------
        x : array (n, *input shape), or dict of arrays by input
        node : str, optional
            The layer whose output is asked for; that of the network by default.

        Returns
        -------
        array (n, *output shape)
            In the dtype of x.

        Raises
        ------
        ValueError
            If x has another shape or holds a value that is not finite, or there is no such node.
        """
        x = self.check_inputs(x)
        result = self._plain_plan(dtype_of(x), node).forward(x)
        for array in x.values() if isinstance(x, dict) else (x,):
            result = own(result, array)
        return result

    def gradient(self, x: Any, target: Any = None, node: str | None = None) -> Any:
        """∂f_target/∂x_p at x.

        Parameters
        ----------
        x : array (n, *input shape), or dict of arrays by input
        target : None, int, str, tuple, Region, Contrast, array or list, optional
            The output to differentiate, as explainers take it: None is the only one, or the largest
            of each sample.
        node : str, optional
            The layer whose outputs are meant; that of the network by default.

        Returns
        -------
        array (n, *input shape), or (n, k, *input shape) for k targets
            In the dtype of x; a dict by input where there are several.

        Raises
        ------
        ValueError, TypeError
            If x or target is not as described.
        """
        x = self.check_inputs(x)
        names = self.class_names if node is None else ()
        with overflowing():
            trace = self._plain_plan(dtype_of(x), node).trace(x)
            targets = choose_targets(trace.output, target, names)
            gradient = trace.gradient(targets.gradient(trace.output))
        if not targets.single:
            return gradient
        if isinstance(gradient, dict):
            return {name: part[:, 0] for name, part in gradient.items()}
        return gradient[:, 0]

    def summary(self, rules: Sequence[Rule | str | None] | None = None) -> str:
        """A table: name, layer, output shape, parameters, and the rule where `rules` are given.

        In a graph it says where each layer's inputs come from, if not from the line before.
        """
        shapes = self._known_shapes()
        m = len(self.inputs)
        names = [*self.inputs, *(node.name for node in self.nodes)]
        chain = self.is_chain
        lines: list[tuple[str, ...]] = [("name", "layer", "from", "output shape", "parameters")]
        for value, node in enumerate(self.nodes, m):
            shape = "?" if shapes is None else " x ".join(map(str, shapes[value])) or "1"
            before = node.sources == (value - 1,) and (value > m or m == 1)
            sources = "" if before else ", ".join(names[source] for source in node.sources)
            parameters = f"{node.layer.parameters:,}"
            lines.append((node.name, repr(node.layer), sources, shape, parameters))
        if chain:
            lines = [(*line[:2], *line[3:]) for line in lines]
        if rules is not None:
            texts = ["rule", *("-" if rule is None else str(rule) for rule in rules)]
            lines = [(*line, text) for line, text in zip(lines, texts, strict=True)]
        distinct = {id(layer): layer.parameters for layer in self.layers}
        table = format_table(lines, 2 if chain else 3)
        text = f"{table}\n{sum(distinct.values()):,} parameters"
        for name, holders in self.holders.items():
            text += f"\n{name} is merged into {' and '.join(holders)}"
        return "\n".join([text, *self.notes])

    def __repr__(self) -> str:
        return f"Network([{', '.join(repr(layer) for layer in self.layers)}])"

    def save(self, path: str | os.PathLike) -> Path:
        """Write the network to an .npz file (arrays and JSON, no pickle); `dtdcore.load` reads it.

        The file appears whole or not at all.

        Returns
        -------
        pathlib.Path
            The file, with the suffix .npz added if it has none.
        """
        return write(self, path)


def load(path: str | os.PathLike) -> Network:
    """Read a network that `Network.save` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds something else, or a layer is of a class of the user's own:
        the error names module and class.
    """
    return read(path, Network)


def dtype_of(x: Any) -> np.dtype:
    """The dtype of checked inputs, an array or a dict of them."""
    return next(iter(x.values())).dtype if isinstance(x, dict) else x.dtype
