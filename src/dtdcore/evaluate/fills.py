# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a region is replaced by.

A fill gives for each sample an input that is filled everywhere; a perturbed input takes some of its
regions from there. None depends on how samples are cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dtdcore.arrays import as_float, cast, check_finite
from dtdcore.domains import Domain

#: Number of a sample and the sample, flat -> the filled input, flat.
Fill = Callable[[int, np.ndarray], np.ndarray]

FILLS = ("mean", "blur", "noise")


def make_fill(
    fill: Any,
    x: np.ndarray,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    sigma: float,
    domain: Domain | None,
    seed: int,
) -> Fill:
    """The fill that a user asked for.

    Parameters
    ----------
    fill : "mean", "blur", "noise", a number or an array
        See `dtdcore.evaluate.Perturbation`.
    x : array (n, *input shape)
        All samples.
    shape : tuple of int
        Of one sample as a picture: that of the input, or another of as many numbers.
    axes : tuple of int
        The axes of `shape` that are not channels.
    sigma : float
        Of the blur, in pixels.
    domain : Domain or None
        Where inputs lie.
    seed : int
        Of the noise.

    Raises
    ------
    ValueError, TypeError
        If it is unknown, does not fit the inputs, or needs a domain that is not given.
    """
    if not isinstance(fill, str):
        return _given(fill, x, domain)
    if fill == "noise":
        return _noise(x.shape[1:], x.dtype, domain, seed)
    if fill == "mean" and len(shape) == 1:
        if len(x) == 1:
            raise ValueError(
                "fill='mean' is the mean of each column over the samples given, and there is one: "
                "nothing would change. Give more samples, or another fill, such as 0"
            )
        mean = x.mean(axis=0, dtype=np.float64).astype(x.dtype).reshape(-1)
        return lambda sample, value: mean
    if fill == "mean":
        return lambda sample, value: channel_mean(value.reshape(shape), axes).reshape(-1)
    if fill == "blur":
        if len(shape) == 1:
            raise ValueError(
                "fill='blur' needs pictures or signals, and each input here is a row of numbers; "
                "where it is a flat picture, give its `shape`"
            )
        return lambda sample, value: blur(value.reshape(shape), axes, sigma).reshape(-1)
    raise ValueError(f"fill must be one of {', '.join(FILLS)}, a number or an array, got {fill!r}")


def _given(fill: Any, x: np.ndarray, domain: Domain | None) -> Fill:
    given = as_float(fill, "fill")
    check_finite(given, "fill")
    given = cast(given, x.dtype, "fill")
    try:
        filled = np.broadcast_to(given, x.shape)
    except ValueError:
        raise ValueError(
            f"fill has shape {given.shape}, x has {x.shape}: give a number, one input, or one for "
            "each sample"
        ) from None
    if domain is not None:
        for sample in filled if given.shape == x.shape else filled[:1]:
            domain.check(np.ascontiguousarray(sample[None]), "fill")
    return lambda sample, value: filled[sample].reshape(-1)


def _noise(shape: tuple[int, ...], dtype: np.dtype, domain: Domain | None, seed: int) -> Fill:
    if domain is None:
        raise ValueError("fill='noise' is uniform in the domain: give one, such as domain=Box(0,1)")
    low, high = domain.bounds(shape, dtype)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError(f"fill='noise' needs a domain with finite bounds, got {domain!r}")

    def fill(sample: int, value: np.ndarray) -> np.ndarray:
        drawn = generator(seed, sample, NOISE).uniform(low, high, value.size)
        return drawn.astype(dtype)  # what is rounded up to `high` is still in the box

    return fill


#: Purposes of the random streams of a sample; repeats of random orders count on from ORDER.
NOISE, TIES, ORDER = range(3)


def generator(seed: int, sample: int, purpose: int) -> np.random.Generator:
    """A random stream of its own for each sample and purpose, whatever batch it is in."""
    return np.random.default_rng([seed, sample, purpose])


def channel_mean(picture: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """A picture of the mean of each channel, in the shape and dtype of `picture`."""
    mean = picture.mean(axis=axes, keepdims=True, dtype=np.float64).astype(picture.dtype)
    return np.broadcast_to(mean, picture.shape)


def blur(picture: np.ndarray, axes: tuple[int, ...], sigma: float) -> np.ndarray:
    """Gaussian blur along some axes, cut off at 3 σ, mirrored at the border.

    Parameters
    ----------
    picture : array
    axes : tuple of int
    sigma : float
        In pixels.

    Returns
    -------
    array of the same shape and dtype
        Within the range of the picture.
    """
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    result = picture.astype(np.float64)
    for axis in axes:
        length = result.shape[axis]
        padding = [(reach, reach) if other == axis else (0, 0) for other in range(result.ndim)]
        padded = np.moveaxis(np.pad(result, padding, mode="symmetric"), axis, 0)
        # Tap by tap and not as a matrix product: the same bits for any number of threads.
        blurred = np.zeros_like(padded[:length])
        for tap, weight in enumerate(kernel):
            blurred += weight * padded[tap : tap + length]
        result = np.moveaxis(blurred, 0, axis)
    return np.clip(result, picture.min(), picture.max()).astype(picture.dtype)
