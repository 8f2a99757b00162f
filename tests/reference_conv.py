# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions once more, slowly, in NumPy float64: part of reference.py, never importing dtdcore.

The oracle of a convolution under any rule is the dense layer that it is: a matrix made of unit
inputs (`dense_convolution`), with the rules of reference.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from reference import _f64, _part


def convolution_sizes(sizes, kernel, stride, padding, dilation):
    """Pixels of the result for each axis; padding holds (before, after)."""
    return tuple(
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, (before, after), d in zip(
            sizes, kernel, stride, padding, dilation, strict=True
        )
    )


def transposed_sizes(sizes, kernel, stride, padding, dilation, more):
    """Pixels of the result of a transposed convolution, `more` of them added at the end."""
    return tuple(
        (n - 1) * s + d * (k - 1) + 1 - before - after + m
        for n, k, s, (before, after), d, m in zip(
            sizes, kernel, stride, padding, dilation, more, strict=True
        )
    )


def _taps(sizes, results, kernel, stride, before, dilation):
    """For each tap t the pixels v of the result and the pixels u of the image that it connects.

    u = v stride + t dilation - before, as far as u lies inside of the image: around it are zeros.
    """
    for t in np.ndindex(*kernel):
        ends = []
        for n, m, tap, s, b, d in zip(sizes, results, t, stride, before, dilation, strict=True):
            v = np.arange(m)
            u = v * s + tap * d - b
            inside = (u >= 0) & (u < n)
            ends.append((v[inside], u[inside]))
        yield t, np.ix_(*(v for v, _ in ends)), np.ix_(*(u for _, u in ends))


def _grouped(weight, groups):
    return weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])


def convolution(x, weight, results, stride, before, dilation, groups):
    """a_j(v) = sum_i sum_t w_jit x_i(v stride + t dilation - before), x 0 outside of its image.

    x (n, i, *pixels), weight (j, i / groups, *kernel); i runs over the channels of the group of j.
    """
    x, weight = _f64(x, weight)
    x = x.reshape(len(x), groups, weight.shape[1], *x.shape[2:])
    w = _grouped(weight, groups)
    a = np.zeros((len(x), groups, w.shape[1], *results))
    whole = (slice(None),) * 3
    for t, v, u in _taps(x.shape[3:], results, weight.shape[2:], stride, before, dilation):
        a[(*whole, *v)] += np.einsum("ngi...,gji->ngj...", x[(*whole, *u)], w[(*whole, *t)])
    return a.reshape(len(x), weight.shape[0], *results)


def transposed_convolution(x, weight, sizes, stride, before, dilation, groups):
    """a_i(u) = sum_j sum_t w_jit x_j(v) over all v, t with u = v stride + t dilation - before.

    x (n, j, *pixels), weight (j, i / groups, *kernel); j runs over the channels of the group of i.
    """
    x, weight = _f64(x, weight)
    w = _grouped(weight, groups)
    x = x.reshape(len(x), groups, w.shape[1], *x.shape[2:])
    a = np.zeros((len(x), groups, w.shape[2], *sizes))
    whole = (slice(None),) * 3
    for t, v, u in _taps(sizes, x.shape[3:], weight.shape[2:], stride, before, dilation):
        a[(*whole, *u)] += np.einsum("ngj...,gji->ngi...", x[(*whole, *v)], w[(*whole, *t)])
    return a.reshape(len(x), groups * w.shape[2], *sizes)


@dataclass
class DenseConvolution:
    """A convolution (or the transpose of one) as a dense layer of flat images.

    ``w`` (i, j) is made of unit inputs; ``there`` (i, j): does a tap lead from i to j? Where none
    does, i has no share in j under any rule.
    """

    w: np.ndarray
    there: np.ndarray
    inputs: tuple
    outputs: tuple

    def bias(self, b):
        """One number for each output of the dense layer from one for each channel."""
        if b is None:
            return None
        (b,) = _f64(b)
        return np.repeat(b, int(np.prod(self.outputs[1:])))

    def flat(self, n):
        """The flat rule's parts: q_ij = 1 where a tap leads from i to j."""
        return [_part(np.broadcast_to(self.there.astype(np.float64), (n, *self.there.shape)))]


def dense_convolution(weight, sizes, results, stride, before, dilation, groups, transposed=False):
    """The dense matrix of a convolution of images of `sizes` pixels, from its unit inputs.

    The transpose leads from `results` back to `sizes`; its matrix is the transposed one.
    """
    channels = weight.shape[1] * groups
    inputs, outputs = (channels, *sizes), (weight.shape[0], *results)
    units = np.eye(int(np.prod(inputs))).reshape(-1, *inputs)
    geometry = (results, stride, before, dilation, groups)
    w, there = (
        convolution(units, numbers, *geometry).reshape(len(units), -1)
        for numbers in (weight, np.ones(weight.shape))
    )
    if transposed:
        return DenseConvolution(w.T, there.T > 0, outputs, inputs)
    return DenseConvolution(w, there > 0, inputs, outputs)
