# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Picture files of any kind as 8-bit pixels, scaled and cropped."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.arrays import require

#: Suffixes of the files that are taken for pictures.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")

# What decoding a damaged file can raise.
_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,  # a broken PNG
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)


def read_picture(
    source: Any, channels: int, size: int | None, crop: tuple[int, int] | None
) -> np.ndarray:
    """A picture as 8-bit pixels, its short side scaled to `size`, its centre cut out.

    EXIF orientation is respected, transparent pixels are laid on white, 16-bit pixels are rounded
    to 8 bits, palettes and other colour spaces become RGB; of an animation the first picture is
    taken. Pixels are interpolated bilinearly, over all that an output pixel covers.

    Parameters
    ----------
    source : path, PIL.Image.Image, or uint8 array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4)
    channels : 3 (RGB) or 1 (grey)
    size : int or None
        None: not scaled.
    crop : (height, width) or None
        None: all of it.

    Returns
    -------
    uint8 array (height, width, channels)

    Raises
    ------
    ValueError
        If the file is damaged, is no picture or too large, or smaller than `crop`.
    FileNotFoundError
        If there is no such file.
    ImportError
        If pillow is missing (extra `explain`).
    """
    require("PIL", "explain")
    from PIL import Image

    try:
        if isinstance(source, Image.Image):
            image = _eight_bits(source, channels)
        elif isinstance(source, str | os.PathLike):
            with Image.open(Path(source)) as opened:
                image = _eight_bits(opened, channels)
        else:
            image = _eight_bits(_from_array(source), channels)
        if size is not None:
            image = _scale(image, size)
    except FileNotFoundError:
        raise
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot be read as a picture: {error}") from error
    if crop is not None:
        image = _crop(image, crop)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def picture_axes(
    input_shape: tuple[int, ...] | None, layout: str | None = None
) -> tuple[str, int | None, tuple[int, int] | None]:
    """Layout, channels, and (height, width) of a network that takes pictures.

    Raises
    ------
    ValueError
        If it takes none.
    """
    if input_shape is None:
        return layout or "chw", None, None
    if len(input_shape) == 3 and layout in (None, "chw") and input_shape[0] in (1, 3):
        return "chw", input_shape[0], input_shape[1:]
    if len(input_shape) == 3 and layout in (None, "hwc") and input_shape[2] in (1, 3):
        return "hwc", input_shape[2], input_shape[:2]
    chosen = "" if layout is None else f" with the layout {layout}"
    raise ValueError(
        f"the network takes inputs of shape {input_shape}, which are no pictures{chosen}: that "
        "would be 1 or 3 channels first (chw) or last (hwc), and height and width. Give its "
        "inputs as .npy, .npz or .csv"
    )


def _from_array(array: Any) -> Any:
    """A PIL image of 8-bit pixels."""
    from PIL import Image

    array = np.asarray(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype != np.uint8 or not (array.ndim == 2 or array.shape[2:] in ((3,), (4,))):
        raise ValueError(
            "expected uint8 pixels (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), "
            f"got {array.dtype} {array.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _eight_bits(image: Any, channels: int) -> Any:
    """A decoded image, upright, in the mode "RGB" or "L"."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of an unknown range; give an .npy")
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min(initial=0) < 0 or deep.max(initial=0) > 65535:
            raise ValueError(f"its pixels of {deep.dtype} are not within 0..65535")
        clear = image.info.get("transparency")
        pixels = ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
        if clear is not None:
            pixels[deep == clear] = 255
        image = Image.fromarray(pixels)
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return image.convert("RGB" if channels == 3 else "L")


def _scale(image: Any, size: int) -> Any:
    from PIL import Image

    short = min(image.size)
    if short == size:
        return image
    width, height = (max(1, round(side * size / short)) for side in image.size)
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise ValueError(f"it is {image.width} x {image.height}: too long and thin to be scaled")
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _crop(image: Any, crop: tuple[int, int]) -> Any:
    height, width = crop
    left, top = (image.width - width) // 2, (image.height - height) // 2
    if left < 0 or top < 0:
        raise ValueError(
            f"the picture is {image.height} x {image.width} (height x width), smaller than the "
            f"{height} x {width} that the network takes: let it be scaled (--size)"
        )
    return image.crop((left, top, left + width, top + height))
