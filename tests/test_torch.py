# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch modules as a whole: inputs, names, notes, flags, errors, verification."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")

import torch
from torch import nn
from torch.nn import functional

import dtdcore as dtd
from dtdcore.importers.torch.operators import markdown, table


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *xs):
        return self.function(*xs)


def small():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3), nn.Softmax(dim=1))


def names_of(network):
    return [node.name for node in network.nodes]


def test_names_and_notes():
    network = dtd.from_torch(small(), torch.rand(2, 6))
    assert names_of(network) == ["0", "1", "2"]
    assert network.inputs == ("input",) and network.input_shape == (6,)
    assert network.notes == ("the softmax at the end is left out: the output are logits",)
    assert "left out" in network.summary()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_batch_and_numpy_examples(batch, rng):
    model = small()[:3]
    network = dtd.from_torch(model, rng.normal(size=(batch, 6)))
    x = rng.normal(size=(7, 6)).astype(np.float32)
    with torch.no_grad():
        theirs = model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(network.forward(x), theirs, rtol=1e-5, atol=1e-6)


def test_a_batch_size_that_the_code_fixes_is_relaxed(rng):
    network = dtd.from_torch(Of(lambda x: x.view(2, -1).tanh()), torch.rand(2, 3, 4))
    x = rng.normal(size=(5, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(network.forward(x), np.tanh(x).reshape(5, 12), rtol=1e-5, atol=1e-6)


def test_the_module_stays_as_it_is():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.ReLU())
    model.train()
    model[1].eval()  # frozen
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    network = dtd.from_torch(model, torch.rand(3, 4))
    assert [part.training for part in model] == [True, False, True, True] and model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    x = np.ones((1, 4), np.float32)
    f = network.forward(x)
    with torch.no_grad():
        model[0].weight.fill_(7)  # copied: the network does not see it
    np.testing.assert_array_equal(network.forward(x), f)


def test_flags_are_put_back_after_an_error():
    model = nn.Sequential(nn.Linear(4, 4), nn.GELU()).train()
    with pytest.raises(ValueError, match="gelu"):
        dtd.from_torch(model, torch.rand(3, 4))
    assert all(part.training for part in model.modules())


def test_in_place_operations(rng):
    def function(x):
        y = functional.relu_(x + 1)
        z = y
        z += 1
        y.mul_(2)
        return y - z * 0.5

    network = dtd.from_torch(Of(function), torch.rand(2, 4))
    x = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(network.forward(x), np.maximum(x + 1, 0) + 1, rtol=1e-5)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(5, 2)

    def forward(self, image, text):
        return self.dense(torch.cat([image.mean((2, 3)), text.relu()], 1))


class OneDict(TwoInputs):
    def forward(self, batch):
        return super().forward(batch["image"], batch["text"])


@pytest.mark.parametrize("way", ["tuple", "dict", "other order", "one dict"])
def test_several_inputs(way, rng):
    torch.manual_seed(0)
    model = OneDict() if way == "one dict" else TwoInputs()
    parts = {"image": torch.rand(2, 3, 4, 4), "text": torch.rand(2, 2)}
    if way == "other order":
        parts = dict(reversed(parts.items()))
    network = dtd.from_torch(model, tuple(parts.values()) if way == "tuple" else parts)
    assert set(network.inputs) == {"image", "text"}
    assert network.input_shape["image"] == (3, 4, 4)
    x = {"image": rng.normal(size=(3, 3, 4, 4)), "text": rng.normal(size=(3, 2))}
    x = {name: part.astype(np.float32) for name, part in x.items()}
    tensors = {name: torch.from_numpy(part) for name, part in x.items()}
    with torch.no_grad():
        theirs = model(tensors) if way == "one dict" else model(**tensors)
    np.testing.assert_allclose(network.forward(x), theirs.numpy(), rtol=1e-5, atol=1e-6)
    explanation = dtd.explain(network, x, 0, domain=dtd.Reals())
    assert set(explanation.relevance) == {"image", "text"}


@pytest.mark.parametrize(
    ("kind", "result"), [("float64", "float64"), ("float16", "float32"), ("bfloat16", "float32")]
)
def test_dtypes(kind, result):
    model = small()[:3].to(getattr(torch, kind))
    network = dtd.from_torch(model, torch.rand(2, 6))
    assert network.dtype == result
    assert model[0].weight.dtype == getattr(torch, kind)
    notes = [] if kind == "float64" else [f"weights of {kind} (0.weight …) are held as float32"]
    assert list(network.notes) == notes


class Locked(nn.Linear):
    """It cannot be copied."""

    def __init__(self):
        super().__init__(4, 3)
        self.lock = threading.Lock()


def test_half_precision_that_cannot_be_copied():
    model = Locked().half()
    with pytest.raises(ValueError, match=r"Locked: .*cannot be copied \(.*lock.*module\.float\(\)"):
        dtd.from_torch(model, torch.rand(2, 4))
    assert dtd.from_torch(model.float(), torch.rand(2, 4)).dtype == np.float32


class Wider(nn.Module):
    """float32 first, then float64."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3).double()

    def forward(self, x):
        return self.last(self.first(x).double())


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Linear(4, 3), Of(lambda x: x.double())),
        Of(lambda x: x.relu().sum(1, dtype=torch.float64)),
        Wider(),
    ],
    ids=["end", "sum", "linear"],
)
def test_float64_behind_float32(module, rng):
    x = rng.normal(size=(3, 4)).astype(np.float32)
    network = dtd.from_torch(module, x)
    with torch.no_grad():
        theirs = module(torch.from_numpy(x)).numpy()
    assert theirs.dtype == np.float64
    np.testing.assert_allclose(network.forward(x), theirs, rtol=1e-5, atol=1e-6)


def test_float64_is_verified_to_its_own_digits(monkeypatch):
    from dtdcore.importers.operators import Operator
    from dtdcore.importers.torch import elementwise as torch_elementwise

    def wrong(call):
        return call.emit(dtd.LeakyReLU(1e-7), call.x)

    monkeypatch.setitem(torch_elementwise.OPERATORS, "relu", Operator(wrong, "wrong"))
    with pytest.raises(ValueError, match="differs first from PyTorch"):
        dtd.from_torch(small().double(), torch.rand(2, 6))


@pytest.mark.parametrize(
    "wrap",
    [lambda y: {"logits": y}, lambda y: (y,), lambda y: (y, None), lambda y: [y, 3]],
    ids=["dict", "tuple", "None", "number"],
)
def test_one_tensor_in_something(wrap, rng):
    network = dtd.from_torch(Of(lambda x: wrap(x.tanh())), torch.rand(2, 4))
    x = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(network.forward(x), np.tanh(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("wrap", "outputs"),
    [
        (lambda a, b: {"logits": a, "aux": b}, "logits"),
        (lambda a, b: (b, None, a), 2),
        (lambda a, b: (b, {"x": [3, a]}), "1.x.1"),
    ],
    ids=["dict", "tuple", "nested"],
)
def test_one_of_several_outputs(wrap, outputs, rng):
    module = Of(lambda x: wrap(x.tanh(), x.relu()))
    network = dtd.from_torch(module, torch.rand(2, 4), outputs=outputs)
    x = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(network.forward(x), np.tanh(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=f"2 outputs.*choose one.*: outputs=.*'{outputs}'"):
        dtd.from_torch(module, torch.rand(2, 4))
    with pytest.raises(ValueError, match=r"outputs='what' is none of them"):
        dtd.from_torch(module, torch.rand(2, 4), outputs="what")


@pytest.mark.parametrize("kind", [tuple, list])
def test_nested_inputs(kind, rng):
    class Nested(nn.Module):
        def forward(self, pair, last):
            return torch.cat([pair[0], pair[1].relu(), last["z"]], 1)

    parts = [torch.rand(2, size) for size in (3, 2, 4)]
    network = dtd.from_torch(Nested(), (kind(parts[:2]), {"z": parts[2]}))
    assert len(network.inputs) == 3
    arrays = [rng.normal(size=(5, size)).astype(np.float32) for size in (3, 2, 4)]
    expected = np.concatenate([arrays[0], np.maximum(arrays[1], 0), arrays[2]], axis=1)
    x = dict(zip(network.inputs, arrays, strict=True))
    np.testing.assert_allclose(network.forward(x), expected, rtol=1e-6)


def standardised_in_place(x):
    x -= 0.5
    x /= 0.25
    return x.tanh()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("function", [standardised_in_place, nn.SiLU(inplace=True)])
def test_inputs_changed_in_place(function, batch, rng):
    x = rng.normal(size=(batch, 4)).astype(np.float32)
    example = torch.from_numpy(x.copy())
    network = dtd.from_torch(Of(function), example)
    np.testing.assert_array_equal(example.numpy(), x)
    theirs = function(example).numpy()
    np.testing.assert_allclose(network.forward(x), theirs, rtol=1e-5, atol=1e-6)


def test_a_sigmoid_at_the_end_is_said():
    for behind in ([], [nn.Flatten(0)]):
        model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid(), *behind)
        (note,) = dtd.from_torch(model, torch.rand(2, 4)).notes
        assert note.startswith("it ends in a sigmoid (1): explanations start at its value")
        assert "import the module without it" in note
    gated = nn.Sequential(nn.Linear(4, 1), nn.SiLU())
    assert dtd.from_torch(gated, torch.rand(2, 4)).notes == ()


def test_names_of_what_is_there_twice():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(4, 4)
            self.dense_2 = nn.Linear(4, 4)

        def forward(self, x):
            return self.dense_2(self.dense(self.dense(x).relu()).relu())

    network = dtd.from_torch(Net(), torch.rand(2, 4))
    assert names_of(network) == ["dense", "relu", "dense_3", "relu_2", "dense_2"]
    rules = dtd.LRP(network, {"dense": dtd.WSquare(), "dense_*": dtd.ZPlus()})
    assert "w" in rules.summary().lower()


def test_parametrised_weights_are_computed():
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), nn.ReLU())
    network = dtd.from_torch(model, torch.rand(2, 4))
    assert names_of(network) == ["0", "1"]
    assert isinstance(network.nodes[0].layer, dtd.Dense)


def first_of(x):
    return x if x.sum() > 0 else -x


ERRORS = [
    (Of(functional.gelu), r"Of: operator aten.gelu, node 'gelu' is not supported\. Written alike"),
    (Of(lambda x: x * x), "operator aten.mul, .*exactly one of them a gate"),
    (Of(lambda x: x.mean(0)), "no batch axis in front"),
    (Of(lambda x: x.flip(0)), "works along the batch axis"),
    (Of(lambda x: x.reshape(-1, 2)), "no batch axis in front"),
    (Of(lambda x: (x, x + 1)), "it gives 2 outputs"),
    (Of(lambda x: (x.argmax(1), x.softmax(1))), r"floating-point numbers: outputs='1'$"),
    (
        Of(lambda x: (x.argmax(1), x.softmax(1))),
        r"0 \(int64, made by argmax\), 1 \(float32, made by",
    ),
    (Of(lambda x: {"a": x, "b": x + 1}), "it gives 2 outputs"),
    (Of(lambda x: x.relu() / x.shape[0]), "other depends on the batch size"),
    (Of(lambda x: x.relu() + x.size(0) / 2), "other depends on the batch size"),
    (Of(lambda x: torch.max(x, x.relu())), "the elementwise maximum of two values is not"),
    (Of(lambda x: torch.ones(2, 4)), "does not depend on x"),
    (Of(first_of), "torch.export cannot export this module: .*must not depend on the numbers in x"),
    (Of(functional.dropout), "drops numbers in eval mode, too"),
    (Of(lambda x: x + torch.rand(1)), "does it draw random numbers"),
    (Of(lambda x: x @ torch.ones(5, 2)), "the module cannot run on the example"),
    (Of(lambda x: x.half().float()), "numbers of torch.float16 are not supported"),
    (nn.BatchNorm1d(4, track_running_stats=False), "so that samples are mixed"),
    (nn.Sequential(nn.Sequential(nn.ReLU(), nn.Mish())), r"in '0\.1' \(node 'mish'\)"),
]


@pytest.mark.parametrize(("module", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_errors(module, message):
    with pytest.raises(ValueError, match=message):
        dtd.from_torch(module, torch.rand(2, 4))


def test_unknown_operators_are_told_what_is_known():
    with pytest.raises(ValueError, match=rf"not supported\. The README lists the {len(table())} "):
        dtd.from_torch(Of(torch.erf), torch.rand(2, 4))
    assert all(name in markdown() for name in table())


def test_modules_without_weights_and_other_things():
    with torch.device("meta"):
        empty = nn.Linear(4, 2)
    with pytest.raises(ValueError, match="weight is on the meta device"):
        dtd.from_torch(empty, torch.rand(2, 4))
    with pytest.raises(ValueError, match="weight has no shape yet"):
        dtd.from_torch(nn.LazyLinear(2), torch.rand(2, 4))
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module, got function"):
        dtd.from_torch(first_of, torch.rand(2, 4))
    with pytest.raises(TypeError, match="example must be a tensor or an array, got str"):
        dtd.from_torch(nn.ReLU(), "x")
    with pytest.raises(ValueError, match="example must be a batch"):
        dtd.from_torch(nn.ReLU(), torch.rand(4))
    with pytest.raises(ValueError, match="batches of as many samples"):
        dtd.from_torch(TwoInputs(), (torch.rand(2, 3, 4, 4), torch.rand(3, 2)))


def test_a_module_that_changes_itself():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return x.relu()

    model = Counting()
    with pytest.raises(ValueError, match="changes its own buffers in eval mode: calls"):
        dtd.from_torch(model, torch.rand(2, 4))
    assert model.calls == 0


def test_verification_names_the_first_node_that_differs(monkeypatch):
    from dtdcore.importers.operators import Operator
    from dtdcore.importers.torch import elementwise as torch_elementwise

    def wrong(call):
        return call.emit(dtd.LeakyReLU(0.01), call.x)

    monkeypatch.setitem(torch_elementwise.OPERATORS, "relu", Operator(wrong, "wrong"))
    message = r"operator aten\.relu, in '1' \(node 'relu'\): here the .* differs first .*by"
    with pytest.raises(ValueError, match=message):
        dtd.from_torch(small(), torch.rand(2, 6))
    dtd.from_torch(small(), torch.rand(2, 6), verify=False)


@pytest.mark.parametrize("suffix", ["pt", "pth", "pt2"])
def test_files_of_pytorch_are_not_opened(suffix, tmp_path):
    path = tmp_path / f"model.{suffix}"
    torch.save(small(), path)
    with pytest.raises(ValueError, match=r"may run code.*dtdcore\.from_torch"):
        dtd.load(path)


def test_an_exported_program_is_imported_as_the_error_says(tmp_path, rng):
    path, example = tmp_path / "model.pt2", torch.rand(2, 6)
    dynamic = ({0: torch.export.Dim.AUTO},)
    torch.export.save(torch.export.export(small(), (example,), dynamic_shapes=dynamic), path)
    program = torch.export.load(path)
    network = dtd.from_torch(program.module(), *program.example_inputs[0])
    assert network.notes == ("the softmax at the end is left out: the output are logits",)
    x = rng.normal(size=(3, 6)).astype(np.float32)
    expected = dtd.from_torch(small(), example).forward(x)
    np.testing.assert_allclose(network.forward(x), expected, rtol=1e-6)


def test_without_pytorch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'dtdcore\[torch\]'"):
        dtd.from_torch(None, None)


def test_import_of_dtdcore_does_not_import_torch():
    code = "import sys, dtdcore; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_errors_show_where_to_cut():
    layers = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"aten\.gelu, in '1'") as caught:
        dtd.from_torch(layers, torch.rand(2, 4))
    lines = str(caught.value).splitlines()
    assert len(lines) == 4 and max(map(len, lines)) < 200
    assert "forward returns what comes into '1' explains the part before it" in lines[2]
    assert "forward takes what '1' gives explains the part behind it" in lines[3]
    assert dtd.from_torch(layers[:1], torch.rand(2, 4)).output_shape == (4,)
    with pytest.raises(ValueError, match=r"aten\.gelu") as caught:
        dtd.from_torch(layers[1:2], torch.rand(2, 4))
    assert "Cut" not in str(caught.value)  # nothing is before or behind
