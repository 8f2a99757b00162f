# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch: the same loop, as usual with autograd and an optimiser, and by hand without them."""

import torch

from contenders.torch_dense import set_threads, versions
from contenders.training_arrays import MOMENTUM, learning_rate, training_arrays

__all__ = ["prepare", "set_threads", "versions"]


def prepare(inputs: int, neurons: int, batch: int, iterations: int) -> dict:
    """The operations: train for so many iterations; the order of the samples is made before."""
    arrays = training_arrays(inputs, neurons)
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    rate = learning_rate(arrays["x"], neurons)
    order = torch.randint(
        0, len(x), (iterations, batch), generator=torch.Generator().manual_seed(0)
    )
    first = (
        2 / inputs**0.5 * torch.randn(neurons, inputs, generator=torch.Generator().manual_seed(0))
    )

    @torch.enable_grad()
    def optimiser() -> None:
        layer = torch.nn.Linear(inputs, neurons)
        with torch.no_grad():
            layer.weight.copy_(first)
            layer.bias.zero_()
        descent = torch.optim.SGD(layer.parameters(), lr=rate, momentum=MOMENTUM)
        for rows in order:
            f = torch.relu(layer(x[rows])).sum(1)
            loss = torch.nn.functional.mse_loss(f, y[rows])
            descent.zero_grad()
            loss.backward()
            descent.step()
            with torch.no_grad():
                layer.bias.clamp_(max=0)

    @torch.no_grad()
    def by_hand() -> None:
        w, b = first.clone(), torch.zeros(neurons)
        w_velocity, b_velocity = torch.zeros_like(w), torch.zeros_like(b)
        for rows in order:
            some = x[rows]
            a = torch.addmm(b, some, w.T)
            error = a.relu().sum(1) - y[rows]
            g = (2 / batch) * error[:, None] * (a > 0)
            w_velocity.addmm_(g.T, some, beta=MOMENTUM)
            b_velocity.mul_(MOMENTUM).add_(g.sum(0))
            w.sub_(w_velocity, alpha=rate)
            b.sub_(b_velocity, alpha=rate).clamp_(max=0)

    return {"autograd and SGD": optimiser, "by hand": by_hand}
