# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Tensors of PyTorch as x: with a graph, of narrow dtypes, elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")

import torch

import dtdcore as dtd


@pytest.fixture
def explain():
    weight = np.array([[1.0], [10.0], [100.0]], np.float32)
    return dtd.LRP(dtd.Network([dtd.Dense(weight)]), dtd.Z())


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.clone().requires_grad_(),
        torch.nn.Parameter,
        lambda x: x.clone().requires_grad_() * 1,
        lambda x: x.bfloat16(),
        lambda x: x.bfloat16().requires_grad_(),
        lambda x: x.half(),
        lambda x: x.double(),
        lambda x: x.clone().T.contiguous().T,
    ],
)
def test_tensors(make, explain):
    x = make(torch.tensor([[1.5, 2.0, 3.0]]))
    explanation = explain(x)
    assert explanation.relevance.tolist() == [[1.5, 20, 300]]
    assert explanation.relevance.dtype == (np.float64 if x.dtype == torch.float64 else np.float32)
    assert explain(torch.tensor([[1, 2, 3]], dtype=torch.int16)).explained.tolist() == [321]
    assert explain(torch.tensor([[True, False, True]])).explained.tolist() == [101]


def test_what_is_refused(explain):
    with pytest.raises(TypeError, match="x lies on the device meta"):
        explain(torch.zeros(1, 3, device="meta"))
    with pytest.raises(TypeError, match="x cannot be made a NumPy array"):
        explain(torch.eye(3).to_sparse())
    with pytest.raises(TypeError, match="complex64"):
        explain(torch.zeros(1, 3, dtype=torch.complex64))


@pytest.mark.parametrize(
    "make", [lambda x: x.clone().requires_grad_(), lambda x: x.bfloat16(), lambda x: x]
)
def test_lists_of_tensors(make, explain):
    samples = [make(torch.tensor(numbers)) for numbers in ([1.5, 2.0, 3.0], [1.0, 0.0, 0.5])]
    assert explain(samples).relevance.tolist() == [[1.5, 20, 300], [1, 0, 50]]
    assert explain(tuple(samples)).relevance.dtype == np.float32
