# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks from PyTorch modules."""

from __future__ import annotations

from typing import Any

from dtdcore.arrays import require
from dtdcore.importers.record import sigmoid_notes
from dtdcore.importers.torch.export import (
    as_example,
    check_module,
    evaluating,
    export,
    in_single,
)
from dtdcore.importers.torch.graph import Graph, Translation
from dtdcore.importers.torch.verify import verify_network
from dtdcore.network import Network


def from_torch(module: Any, example: Any, verify: bool = True) -> Network:
    """The network that a PyTorch module computes in eval mode.

    The module is exported by torch.export, so that everything that runs counts, whether it is a
    module, a function, an operation in place or a module used twice. Layers are named after the
    modules they come from ("layer1.0.conv1"), functions after module and function
    ("layer1.0.add"). The network takes batches of any size. A softmax at the very end is left out,
    so that explanations start at the logits; `network.notes` says so (and of a sigmoid there, which
    is kept). Weights are copied; the module stays as it is, its training flags included. It is
    called a few times, on stand-ins for tensors, too: forward hooks run as in any call, and what
    they or the module itself keep of a call is then of these.

    Parameters
    ----------
    module : torch.nn.Module
        It must return one tensor, batch axis first, alone or in a tuple or dict. float64
        stays float64; weights of half precision become float32, which `network.notes` says.
    example : tensor or array, tuple or dict of them
        A batch of inputs, batch axis first; its shape and device count. A tuple holds the
        arguments of `forward`, a dict those by name (or the one argument that is a dict); several
        inputs are those of the network under the names of the arguments.
    verify : bool
        Compare the network's forward pass with the module's own output on the example (its
        first 16 samples) and on random inputs: numbers may differ by 1e-4 of the largest
        absolute number of a value (1e-9 for float64).

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If torch.export cannot export the module, an operator (or a kind of it) is not supported,
        naming operator and module, or if the verification fails, naming the first node that
        differs.
    TypeError
        If module or example is something else.
    ImportError
        If PyTorch is not installed (extra `dtdcore[torch]`).
    """
    require("torch", "torch")
    check_module(module)
    module, note = in_single(module)
    call = as_example(module, example)
    title = type(module).__name__
    with evaluating(module):
        names = list(example) if isinstance(example, dict) and not call.kwargs else None
        program, call = export(module, call)
        graph = Graph(program, title, names)
        softmax = graph.trailing_softmax()
        translation = Translation(graph)
        result = translation.run(softmax)
        try:
            network = translation.network(result)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{title}: {error}") from None
        if verify:
            verify_network(network, translation, module, call)
    notes = [] if note is None else [note]
    if softmax is not None:
        name = graph.operator(softmax).strip("_")
        notes.append(f"the {name} at the end is left out: the output are logits")
    notes += sigmoid_notes(network, "import the module without it to start at the logit")
    network.notes, network.producer = tuple(notes), "pytorch"
    return network
