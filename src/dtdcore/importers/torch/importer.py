# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks from PyTorch modules."""

from __future__ import annotations

from typing import Any

from dtdcore.arrays import require
from dtdcore.importers.notes import ending_notes
from dtdcore.importers.tails import Tail
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


def from_torch(
    module: Any, example: Any, verify: bool = True, outputs: str | int | None = None
) -> Network:
    """The network that a PyTorch module computes in eval mode.

    The module is exported by torch.export, so that everything that runs counts, whether it is a
    module, a function, an operation in place or a module used twice. Layers are named after the
    modules they come from ("layer1.0.conv1"), functions after module and function
    ("layer1.0.add"). The network takes batches of any size. A softmax at the end is left out, with
    what only chooses or scales its numbers, so that explanations start at the logits;
    `network.notes` says so. A sigmoid there is kept, and said; but (1 - p, p) becomes minus the
    logit and the logit. Weights are copied; the module stays as it is, its training flags
    included. It is called a few times, on stand-ins for tensors, too: forward hooks run as in any
    call, and what they or the module itself keep of a call is then of these.

    Parameters
    ----------
    module : torch.nn.Module
        It must return a tensor, batch axis first, alone or in a tuple or dict. float64
        stays float64; weights of half precision become float32, which `network.notes` says.
    example : tensor or array, tuple or dict of them
        A batch of inputs, batch axis first; its shape and device count. A tuple holds the
        arguments of `forward` (each may be a tuple or dict again), a dict those by name (or the
        one argument that is a dict); several
        inputs are those of the network under the names of the arguments.
    verify : bool
        Compare the network's forward pass with the module's own output on the example (its
        first 16 samples) and on random inputs: numbers may differ by 1e-4 of the largest
        absolute number of a value (1e-9 for float64).
    outputs : str or int, optional
        The output to be explained, of a module that gives several tensors: its key in a dict, its
        place in a tuple, "aux.1" where one is in the other.

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
    with evaluating(module):
        names = list(example) if isinstance(example, dict) and not call.kwargs else None
        program, call = export(module, call)
        graph = Graph(program, type(module).__name__, names, outputs)
        translation = Translation(graph)
        tail = Tail(translation.record, translation.run())
        tail.check(translation.title)
        network = translation.network(tail.output)
        if verify:
            verify_network(network, translation, module, call, tail.starts)
    if tail.left_out:
        network = translation.network(tail.reduced())
    notes = [] if note is None else [note]
    notes += tail.notes(translation.ending)
    notes += ending_notes(network, "import the module without it to start at the logit")
    network.notes, network.producer = tuple(notes), "pytorch"
    return network
