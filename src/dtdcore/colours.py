# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance in colour, with NumPy alone: heatmaps as RGB arrays, overlays, PNG files.

The colours are those of the paper (Montavon et al. 2017): zero is light grey, positive relevance
red, negative relevance blue, on a scale that is symmetric about zero.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtdcore.arrays import as_float, check_finite, check_number

Floats = NDArray[np.float64]

RED = (226, 48, 42)
BLUE = (50, 92, 222)
# Relevance as a fraction of the scale, and its colour. Both sides darken all the way, so that the
# strength can be read without the hue; the number of shades is odd, so that zero has one to itself.
_STOPS = (-1.0, -0.5, 0.0, 0.5, 1.0)
_COLOURS = ((16, 22, 104), BLUE, (229, 229, 229), RED, (104, 8, 16))
_SHADES = 257


def colour_table() -> NDArray[np.uint8]:
    """Return the shades from the most negative to the most positive, (257, 3)."""
    position = np.linspace(-1.0, 1.0, _SHADES)
    channels = [np.interp(position, _STOPS, channel) for channel in zip(*_COLOURS, strict=True)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def colorize(relevance: ArrayLike, scale: ArrayLike | None = None) -> NDArray[np.uint8]:
    """Colour relevances, each element by itself: an array of any shape in, RGB out.

    Parameters
    ----------
    relevance : array
        Any shape.
    scale : float or array that broadcasts to `relevance`, optional
        The |R| of the end colours; what is larger gets the end colour. Default: the largest |R|.

    Returns
    -------
    uint8 array, shape of `relevance` plus (3,)
        Light grey at 0, red above, blue below.

    Raises
    ------
    ValueError
        If a value is not finite or `scale` is not positive or does not broadcast.
    """
    values = finite(relevance, "relevance")
    if scale is None:
        limit = np.asarray(_divisor(largest(values)))
    else:
        limit = finite(scale, "scale")
        if not (limit > 0).all():
            raise ValueError(f"scale must be positive, got {limit.min()}")
        axes = limit.shape[::-1], values.shape[::-1]
        fits = all(own in (1, other) for own, other in zip(*axes, strict=False))
        if limit.ndim > values.ndim or not fits:
            raise ValueError(f"scale must broadcast to {values.shape}, got shape {limit.shape}")
    fraction = np.clip(values, -limit, limit) / limit
    index = np.minimum((fraction + 1.0) * (_SHADES / 2), _SHADES - 1).astype(np.intp)
    return colour_table()[index]


def relevance_scale(relevance: ArrayLike, scale: str | float = "shared") -> Floats:
    """Return the |R| that the end colours of each heatmap stand for, (n,).

    Parameters
    ----------
    relevance : array (n, h, w) or (n, c, h, w)
        Channels are summed.
    scale : "shared", "image" or a positive number
        The largest |R| over all images, the largest |R| of each image, or that number.

    Raises
    ------
    ValueError
        If the shape or `scale` is another, or a value is not finite.
    """
    maps = as_maps(relevance, "relevance")
    if isinstance(scale, str):
        if scale == "image":
            return np.array([largest(image) for image in maps])
        if scale == "shared":
            return np.full(len(maps), largest(maps))
        raise ValueError(f"scale must be 'shared', 'image' or a positive number, got {scale!r}")
    return np.full(len(maps), check_number(scale, "scale", 0.0, strict=True))


def overlay(
    inputs: ArrayLike, relevance: ArrayLike, scale: str | float = "shared"
) -> NDArray[np.uint8]:
    """Lay heatmaps over their inputs.

    The inputs become grey pictures (the range of their values over the batch from dark to light);
    over these lies the colour of R_p, with the opacity √(|R_p| / scale).

    Parameters
    ----------
    inputs, relevance : array (n, h, w) or (n, c, h, w)
        Channels of the relevance are summed. The number of channels may differ.
    scale : "shared", "image" or a positive number
        See `relevance_scale`.

    Returns
    -------
    uint8 array (n, h, w, 3)

    Raises
    ------
    ValueError
        If the shapes are wrong or differ, a value is not finite, or `scale` is another.
    """
    maps = as_maps(relevance, "relevance")
    pictures = as_pictures(inputs, maps.shape)
    limit = np.array([_divisor(value) for value in relevance_scale(maps, scale)])[:, None, None]
    grey = 40 + 205 * (pictures if pictures.ndim == 3 else pictures.mean(axis=-1))
    opacity = np.sqrt(np.minimum(np.abs(maps), limit) / limit)[..., None]
    return np.rint((1 - opacity) * grey[..., None] + opacity * colorize(maps, limit)).astype(
        np.uint8
    )


def encode_png(rgb: NDArray[np.uint8]) -> bytes:
    """Encode an RGB image (h, w, 3), uint8, as a PNG file, with the standard library alone.

    Raises
    ------
    ValueError
        If the shape or dtype is another, or the image is empty.
    """
    pixels = np.asarray(rgb)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(
            f"rgb must be uint8 of shape (h, w, 3), not empty, got {pixels.dtype} {pixels.shape}"
        )

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, not interlaced
    # Each row begins with the number of its filter; 0 is none.
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
        + chunk(b"IEND", b"")
    )


def finite(values: ArrayLike, name: str) -> Floats:
    """Return finite numbers as float64, or raise an error that names the argument."""
    array = as_float(values, name)
    check_finite(array, name)
    return array.astype(np.float64, copy=False)


def largest(values: Floats) -> float:
    """Return max |R|, 0 for an empty array."""
    return float(np.abs(values).max(initial=0.0))


def channels_first(values: Floats, axis: int) -> Floats:
    """Return arrays whose channels stand at `axis`, the first one of a picture or volume.

    Pictures and volumes whose last axis has 1 or 3 numbers, and whose first one has not, have their
    channels last.
    """
    last = values.shape[-1] in (1, 3) and values.shape[axis] not in (1, 3)
    return np.moveaxis(values, -1, axis) if last and values.ndim - axis > 2 else values


def as_maps(relevance: ArrayLike, name: str) -> Floats:
    """Return heatmaps (n, h, w): channels are summed, since relevance adds up."""
    values = finite(relevance, name)
    if values.ndim not in (3, 4) or values.size == 0:
        raise ValueError(
            f"{name} must have shape (n, h, w) or (n, c, h, w), not empty, got {values.shape}"
        )
    return values if values.ndim == 3 else values.sum(axis=1)


def as_pictures(inputs: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Return inputs as (n, h, w) or (n, h, w, 3) in [0, 1], the range that the batch fills."""
    x = finite(inputs, "inputs")
    if x.ndim not in (3, 4) or x.shape[:1] + x.shape[-2:] != shape or x.size == 0:
        n, h, w = shape
        raise ValueError(
            f"inputs must have shape ({n}, {h}, {w}) or ({n}, c, {h}, {w}) as the relevance, "
            f"got {x.shape}"
        )
    if x.ndim == 4:
        x = np.moveaxis(x, 1, -1) if x.shape[1] == 3 else x.mean(axis=1)
    low, high = x.min(), x.max()
    return (x - low) / (high - low) if high > low else np.zeros_like(x)


def _divisor(scale: float) -> float:
    """Return `scale`, or 1 where all relevances are zero and any scale will do."""
    return scale if scale > 0 else 1.0
