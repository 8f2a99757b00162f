# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Each PyTorch operator that is translated, against PyTorch; verified at import, too."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")

import torch
from torch import nn
from torch.nn import functional as tf

import dtdcore as dtd


class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


W = {
    name: torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for name, shape in {
        "1d": (6, 2, 3),
        "2d": (6, 2, 3, 3),
        "3d": (2, 1, 2, 2, 3),
        "t1d": (4, 3, 3),
        "t2d": (4, 3, 2, 2),
        "matrix": (5, 6),
        "square": (6, 6),
        "tall": (144, 3),
        "channels": (4, 1, 1),
        "batch": (1, 4, 1, 6),
        "heads": (4, 6, 5),
    }.items()
}
W["order"] = torch.tensor([2, 0, 1])
B = torch.arange(6.0)
MASK = torch.tensor([True, False, True, True, False, True])


def signal(x):
    return x.flatten(2)


def volume(x):
    return x[:, None]


def written_into(x):
    """Some places of x + 1 overwritten, by numbers and by others of its own."""
    y = x + 1
    y[:, 0] = 0
    y[:, 2, 1:3] = 1.5
    y[..., -2:] = x[..., :2]
    y[:, 1, 0, 0] = W["channels"][0, 0, 0]
    return y


FUNCTIONS = {
    # linear
    "conv1d": lambda x: tf.conv1d(signal(x), W["1d"], B, 2, 1, 2, 2),
    "conv1d same": lambda x: tf.conv1d(signal(x), W["1d"], padding="same", dilation=2, groups=2),
    "conv2d": lambda x: tf.conv2d(x, W["2d"], B, (2, 1), (1, 2), 1, 2),
    "conv2d valid": lambda x: tf.conv2d(x, W["2d"], padding="valid", groups=2),
    "conv3d": lambda x: tf.conv3d(volume(x), W["3d"], padding=(1, 0, 1)),
    "conv2d padded unevenly": lambda x: tf.conv2d(tf.pad(x, (0, 1, 2, 0)), W["2d"], groups=2),
    "conv_transpose1d": lambda x: tf.conv_transpose1d(signal(x), W["t1d"], stride=2, padding=1),
    "conv_transpose2d": lambda x: tf.conv_transpose2d(x, W["t2d"], None, 2, 0, 1, 1, 1),
    "conv_transpose2d groups": lambda x: tf.conv_transpose2d(x, W["t2d"], B, 2, 0, 0, 2),
    "linear on 4 axes": lambda x: tf.linear(x, W["matrix"], B[:5]),
    "matmul": lambda x: x.flatten(1) @ W["tall"],
    "matmul left": lambda x: W["matrix"] @ x.mean(1),
    "addmm": lambda x: torch.addmm(B[:3], x.flatten(1), W["tall"], beta=2, alpha=0.5),
    "mm": lambda x: torch.mm(x.flatten(1), W["tall"]),
    "matmul of matrices": lambda x: x @ W["heads"],
    "matmul of one column": lambda x: x @ B,
    "matmul of one row": lambda x: B @ x,
    "matmul left of matrices": lambda x: W["heads"].mT @ x,
    "matmul broadcast": lambda x: x.mean(1, keepdim=True) @ W["heads"],
    "matmul of each sample": lambda x: x.mean(1) @ W["matrix"].T.expand(len(x), 6, 5),
    "mv": lambda x: torch.mv(x.flatten(1), W["tall"][:, 0]),
    "bmm": lambda x: torch.bmm(x.mean(1), W["square"].expand(len(x), 6, 6)),
    "baddbmm": lambda x: torch.baddbmm(B, x.mean(1), W["square"].expand(len(x), 6, 6)),
    "einsum": lambda x: torch.einsum("nchw,oc->nohw", x, W["1d"][:, :, 0].repeat(1, 2)),
    "einsum of heads": lambda x: torch.einsum("nhtd,hde->neth", x, W["heads"]),
    "einsum with dots": lambda x: torch.einsum("...i,oi->...o", x, W["matrix"]),
    "einsum implicit": lambda x: torch.einsum("ajki,oi", x, W["matrix"]),
    "einsum to one": lambda x: torch.einsum("nchw,c,w->n", x, B[:4], B),
    "einsum of one": lambda x: torch.einsum("nchw->nwc", x),
    "einsum of nothing else": lambda x: torch.einsum("nchw,ab->nc", x, W["square"]),
    "tensordot": lambda x: torch.tensordot(x, W["matrix"], dims=([2], [1])),
    "inner": lambda x: torch.inner(x, W["matrix"]),
    "chain": lambda x: torch.linalg.multi_dot([x.flatten(1), W["tall"], W["matrix"][:3]]),
    # sums and scales
    "add alpha": lambda x: torch.add(x, x.relu(), alpha=3),
    "sub alpha": lambda x: torch.sub(x.relu(), x, alpha=2),
    "rsub": lambda x: 1 - x,
    "constant minus": lambda x: W["square"] - x,
    "neg": lambda x: -x,
    "div": lambda x: x / W["channels"] / 3,
    "mul by channel": lambda x: x * W["channels"],
    "mul by pixel": lambda x: x * W["batch"] + W["batch"],
    "gate": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "hard swish by hand": lambda x: x * tf.relu6(x + 3) / 6,
    "ones_like": lambda x: x + torch.ones_like(x) * W["channels"],
    # activations
    "relu": tf.relu,
    "threshold": lambda x: tf.threshold(x, 0, 0),
    "threshold elsewhere": lambda x: tf.threshold(x, 0.3, -1),
    "leaky_relu": lambda x: tf.leaky_relu(x, 0.2),
    "leaky_relu below 0": lambda x: tf.leaky_relu(x, -0.2),
    "rrelu": tf.rrelu,
    "rrelu below 0": lambda x: tf.rrelu(x, -0.4, -0.2),
    "prelu": lambda x: tf.prelu(x, B[:4]),
    "prelu one": lambda x: tf.prelu(x, torch.tensor([0.3])),
    "elu": lambda x: tf.elu(x, 0.7),
    "selu": tf.selu,
    "celu": tf.celu,
    "celu of alpha": lambda x: tf.celu(x, 2.0),
    "clamp": lambda x: x.clamp(-0.5, 1),
    "clamp_min": lambda x: torch.clamp_min(x, -1),
    "clamp max": lambda x: x.clamp(max=0.5),
    "hardtanh": tf.hardtanh,
    "relu6": tf.relu6,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": tf.hardsigmoid,
    "hardswish": tf.hardswish,
    "silu": tf.silu,
    "tanh": torch.tanh,
    "softmax": lambda x: x.flatten(1).softmax(1) + x.flatten(1),
    "softmax of channels": lambda x: x.softmax(1) + x,
    "softmax of columns": lambda x: x.softmax(-1) + x,
    "nothing": lambda x: x.clone().contiguous().detach().to(torch.float64).float() + 1,
    # other names, and what PyTorch takes apart
    "concat": lambda x: torch.concat([x, x.relu()], 1),
    "concatenate": lambda x: torch.concatenate([x, x.relu()], -1),
    "hstack": lambda x: torch.hstack([x, x.relu()]),
    "dstack": lambda x: torch.dstack([x, x.relu()]),
    "column_stack": lambda x: torch.column_stack([x, x.relu()]),
    "subtract": lambda x: torch.subtract(x, 1, alpha=2),
    "multiply": lambda x: torch.multiply(x, W["channels"]),
    "divide": lambda x: torch.divide(x, 3),
    "true_divide": lambda x: torch.true_divide(x, W["channels"]),
    "negative": torch.negative,
    "positive": lambda x: torch.positive(x.relu()),
    "clip": lambda x: torch.clip(x, -1, 0.5),
    "clip of tensors": lambda x: torch.clip(x, torch.tensor(-1.0), torch.tensor(0.5)),
    "fix": lambda x: x.clamp(min=0).clamp_(max=1),
    "swapaxes": lambda x: x.swapaxes(1, 2).swapdims(2, 3),
    "moveaxis": lambda x: torch.moveaxis(x, 1, -1).movedim(2, 1),
    "adjoint": lambda x: x.adjoint() + x.mT,
    "addcmul": lambda x: torch.addcmul(x.relu(), x, W["channels"], value=0.5),
    "addcdiv": lambda x: torch.addcdiv(x.relu(), x, W["channels"], value=0.5),
    "lerp": lambda x: torch.lerp(x, x.relu(), 0.3),
    "lerp the other way": lambda x: torch.lerp(x, x.relu(), 0.7),
    "glu": lambda x: tf.glu(x, 1),
    "diff": lambda x: torch.diff(x, dim=2),
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "tensor_split": lambda x: x.tensor_split(3, 1)[0] + 1,
    "hsplit": lambda x: torch.hsplit(x, 2)[1],
    "unsafe_chunk": lambda x: torch.unsafe_chunk(x, 2, 1)[1],
    "broadcast_to": lambda x: torch.broadcast_to(x[:, :1], (len(x), 4, 6, 6)),
    "view_as": lambda x: x.view_as(x.relu()).reshape_as(x) * 2,
    "atleast_3d": lambda x: torch.atleast_3d(x.flatten(1)),
    "softmin": lambda x: tf.softmin(x.flatten(1), 1) + tf.softmax(x.flatten(1), 1),
    "special": torch.special.expit,
    "logit scale": lambda x: x.mul(2).add_(1).sub_(3).div_(2).neg_().relu_(),
    "in place": lambda x: tf.leaky_relu_(tf.hardtanh_(tf.elu_(x + 1)), 0.3),
    "written into": written_into,
    "written into by itself": lambda x: x.index_select(1, W["order"]).select_scatter(x[:, 0], 1, 2),
    "masked_fill": lambda x: x.masked_fill(MASK, 0.0),
    "masked_fill of a number": lambda x: x.masked_fill(MASK, 2.0).relu(),
    "where": lambda x: torch.where(MASK, x, x.relu()),
    "where scalar": lambda x: torch.where(MASK[:, None], 0.5, x),
    "zero": lambda x: torch.zeros_like(x).copy_(x) + x,
    "maximum": lambda x: torch.maximum(x, torch.tensor(0.3)),
    "maximum 0": lambda x: torch.max(torch.tensor(0.0), x),
    "minimum": lambda x: torch.minimum(x, torch.tensor(0.3)),
    # windows
    "max_pool1d": lambda x: tf.max_pool1d(signal(x), 3, 2, 1),
    "max_pool2d ceil": lambda x: tf.max_pool2d(x, 3, 2, 1, 1, True),
    "max_pool2d dilated": lambda x: tf.max_pool2d(x, 2, 1, 0, 3),
    "max_pool2d indices": lambda x: tf.max_pool2d(x, 2, return_indices=True)[0],
    "max_pool3d": lambda x: tf.max_pool3d(volume(x), 2),
    "avg_pool1d": lambda x: tf.avg_pool1d(signal(x), 3, 1, 1),
    "avg_pool2d": lambda x: tf.avg_pool2d(x, 3, 2, 1, True),
    "avg_pool2d inside": lambda x: tf.avg_pool2d(x, 3, 2, 1, True, False),
    "avg_pool2d divisor": lambda x: tf.avg_pool2d(x, 2, divisor_override=3),
    "avg_pool3d": lambda x: tf.avg_pool3d(volume(x), (2, 3, 2)),
    "adaptive_avg_pool2d": lambda x: tf.adaptive_avg_pool2d(x, (3, 1)),
    "adaptive_avg_pool2d one": lambda x: tf.adaptive_avg_pool2d(x, 1),
    "adaptive_avg_pool2d more": lambda x: tf.adaptive_avg_pool2d(x, (12, 6)),
    "adaptive_avg_pool1d": lambda x: tf.adaptive_avg_pool1d(signal(x), 4),
    "adaptive_max_pool2d": lambda x: tf.adaptive_max_pool2d(x, (2, 3)),
    "adaptive_avg_pool2d overlapping": lambda x: tf.adaptive_avg_pool2d(x, (4, 5)),
    "adaptive_avg_pool2d both ways": lambda x: tf.adaptive_avg_pool2d(x, (4, 12)),
    "adaptive_avg_pool2d larger": lambda x: tf.adaptive_avg_pool2d(x, (9, 2)),
    "adaptive_avg_pool3d": lambda x: tf.adaptive_avg_pool3d(volume(x), (3, 4, 5)),
    "adaptive_avg_pool1d overlapping": lambda x: tf.adaptive_avg_pool1d(signal(x), 7),
    "adaptive_max_pool2d overlapping": lambda x: tf.adaptive_max_pool2d(x, (4, 5)),
    "adaptive_max_pool1d overlapping": lambda x: tf.adaptive_max_pool1d(signal(x), 8),
    "adaptive_max_pool3d": lambda x: tf.adaptive_max_pool3d(volume(x), (3, 4, 1)),
    "adaptive_max_pool1d": lambda x: tf.adaptive_max_pool1d(signal(x), 1),
    "mean": lambda x: x.mean((2, 3)),
    "mean of channels": lambda x: x.mean(1),
    "sum": lambda x: x.sum((2, 3), keepdim=True),
    "amax": lambda x: x.amax((-1, -2)),
    "max": lambda x: x.max(2)[0],
    "amin": lambda x: x.amin((2, 3)),
    "amin of all": lambda x: x.amin((1, 2, 3)),
    "min": lambda x: x.min(2, keepdim=True)[0],
    "aminmax": lambda x: torch.aminmax(x, dim=1)[0],
    "mean kept": lambda x: x.mean((-1, 1), True),
    "lp_pool": lambda x: tf.lp_pool2d(x, 2, 3, 2),
    "lp_pool one": lambda x: tf.lp_pool1d(signal(x), 1, 3),
    "local_response_norm": lambda x: tf.local_response_norm(x, 3, 0.5, 0.6, 2),
    "local_response_norm 1d": lambda x: tf.local_response_norm(signal(x), 5),
    "pad": lambda x: tf.pad(x, (1, 2, -1, 0, 0, 1), value=0.5),
    "pad reflect": lambda x: tf.pad(x, (2, 1, 0, 3), mode="reflect"),
    "pad replicate": lambda x: tf.pad(x, (2, 1, 0, 3), mode="replicate"),
    "pad circular": lambda x: tf.pad(x, (2, 1, 0, 3), mode="circular"),
    "interpolate": lambda x: tf.interpolate(x, scale_factor=(2, 3)),
    "interpolate exact": lambda x: tf.interpolate(x, size=(12, 6), mode="nearest-exact"),
    "nearest": lambda x: tf.interpolate(x, size=(7, 4)),
    "nearest by a scale": lambda x: tf.interpolate(x, scale_factor=(1.7, 0.6)),
    "nearest by 2 but for rounding": lambda x: tf.interpolate(x, scale_factor=2.1),
    "nearest-exact": lambda x: tf.interpolate(x, size=(4, 11), mode="nearest-exact"),
    "nearest 3d": lambda x: tf.interpolate(volume(x), size=(3, 7, 12)),
    "linear": lambda x: tf.interpolate(signal(x), size=50, mode="linear"),
    "linear down": lambda x: tf.interpolate(signal(x), scale_factor=0.7, mode="linear"),
    "bilinear": lambda x: tf.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear aligned": lambda x: tf.interpolate(
        x, size=(5, 9), mode="bilinear", align_corners=True
    ),
    "bilinear by a scale": lambda x: tf.interpolate(x, scale_factor=(1.3, 0.7), mode="bilinear"),
    "bilinear by a size": lambda x: tf.interpolate(
        x, scale_factor=1.3, mode="bilinear", recompute_scale_factor=True
    ),
    "bicubic": lambda x: tf.interpolate(x, size=(11, 4), mode="bicubic"),
    "bicubic aligned": lambda x: tf.interpolate(x, size=(8, 8), mode="bicubic", align_corners=True),
    "trilinear": lambda x: tf.interpolate(volume(x), size=(6, 9, 5), mode="trilinear"),
    "pixel_shuffle": lambda x: tf.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: tf.pixel_unshuffle(x, 3),
    "channel_shuffle": lambda x: tf.channel_shuffle(x, 2),
    # shapes
    "reshape": lambda x: x.flatten(1).unflatten(1, (12, 12)).unsqueeze(1).squeeze(1),
    "permute": lambda x: x.permute(0, 2, 3, 1).transpose(1, -1).mT,
    "cat and stack": lambda x: torch.stack([torch.cat([x, x.relu()], 1), x.repeat(1, 2, 1, 1)], 2),
    "cat zeros": lambda x: torch.cat(
        [torch.zeros(len(x), 1, 6, 6), x, x.new_zeros(len(x), 2, 6, 6)], 1
    ),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "split": lambda x: torch.cat(x.split([1, 3], 1)[::-1], 1),
    "unbind": lambda x: x.unbind(2)[3],
    "slices": lambda x: x[:, 1:, ::2, -3:],
    "select": lambda x: x[:, -1, :, 2],
    "narrow": lambda x: x.narrow(3, 1, 4),
    "index": lambda x: x[:, [2, 0, 1]],
    "index_select": lambda x: x.index_select(3, torch.tensor([5, 5, 1, 2])),
    "mask": lambda x: x[:, :, MASK].relu().flatten(1) * 2,
    "flip and roll": lambda x: x.flip(1, 2).roll((1, -2), (2, 3)),
    "expand": lambda x: x.amax((2, 3), keepdim=True).expand(-1, -1, 3, 5),
    "repeat": lambda x: x.repeat(1, 2, 1, 3).repeat_interleave(2, 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operator(name, rng):
    function = FUNCTIONS[name]
    x = rng.normal(size=(3, 9 if name == "pixel_unshuffle" else 4, 6, 6)).astype(np.float32)
    network = dtd.from_torch(Of(function), x[:2])
    theirs = function(torch.from_numpy(x))
    theirs = theirs.numpy() if isinstance(theirs, torch.Tensor) else theirs[0].numpy()
    ours = network.forward(x)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


MODULES = {
    "BatchNorm1d": nn.BatchNorm1d(6),
    "BatchNorm2d": nn.BatchNorm2d(6, affine=False, eps=0.1),
    "BatchNorm3d": nn.BatchNorm3d(6),
}


@pytest.mark.parametrize("name", MODULES)
def test_batch_norm_with_what_training_left(name, rng):
    module = MODULES[name]
    x = rng.normal(1, 2, size=(3, 6, *[4] * int(name[-2]))).astype(np.float32)
    module.train()
    for _ in range(3):
        module(torch.from_numpy(x))
    network = dtd.from_torch(module, x)
    with torch.no_grad():
        theirs = module.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(network.forward(x), theirs, rtol=1e-5, atol=1e-5)
    assert np.abs(theirs - x).max() > 0.1


def test_float64_to_the_last_digits(rng):
    module = nn.Sequential(nn.Conv2d(4, 3, 3), nn.ELU(0.1), Of(lambda x: x * 0.1 + 1 / 3)).double()
    x = rng.normal(size=(2, 4, 6, 6))
    network = dtd.from_torch(module, x)
    with torch.no_grad():
        theirs = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(network.forward(x), theirs, rtol=1e-12, atol=1e-12)


REFUSED = {
    "antialias": (
        lambda x: tf.interpolate(x, size=(3, 8), mode="bilinear", antialias=True),
        "antialias=True is not supported",
    ),
    "even norm": (lambda x: tf.local_response_norm(x, 4), "over 4 channels: only odd numbers"),
    "odd p": (lambda x: tf.lp_pool2d(x, 3, 2), "norm p = 3: only 1 and even"),
    "softmax of the batch": (lambda x: x.softmax(0) * 2, "softmax along the batch axis"),
    "log_softmax": (lambda x: x.log_softmax(1).relu().sum(1), "at the end of a network only"),
    "zero": (lambda x: x / torch.zeros(1), "divides by 0"),
    "division": (lambda x: x / x.relu(), "the divisor must be a constant"),
    "weights from x": (lambda x: tf.conv2d(x, x[:, :, :1, :1]), "no batch axis in front"),
    "constants": (lambda x: x + torch.arange(2.0).view(2, 1, 1, 1), "differs along the batch axis"),
    "mask of x": (lambda x: x[:, x[0, :, 0, 0] > 0], "no batch axis in front"),
    "group norm": (lambda x: tf.group_norm(x, 2), "aten.group_norm"),
    "instance norm": (tf.instance_norm, "aten.instance_norm"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    function, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        dtd.from_torch(Of(function), torch.rand(2, 4, 6, 6))


def test_embeddings_are_refused():
    with pytest.raises(ValueError, match=r"operator aten\.embedding, in '0' .* is not supported"):
        dtd.from_torch(nn.Sequential(nn.Embedding(9, 3)), torch.ones(2, 4, dtype=torch.long))
