# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""From pictures to the inputs of a network and back: x = (pixel / scale - mean) / std."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from dtdcore.arrays import check_count, check_number
from dtdcore.domains import Box
from dtdcore.pictures import picture_axes, read_picture

ORDERS = ("rgb", "bgr", "gray")
LAYOUTS = ("chw", "hwc")


@dataclass(frozen=True)
class Preprocessing:
    """How pictures become inputs: x = (pixel / scale - mean) / std, for pixels 0..255.

    Parameters
    ----------
    size : int or None
        Pixels of the short side after scaling (bilinear); None: pictures are not scaled.
    crop : (height, width) or None
        What is cut out of the middle; None: nothing is cut off.
    scale : float
        What the pixels are divided by.
    mean, std : sequences of float
        One number, or one for each channel in the order given by `order`.
    order : "rgb", "bgr" or "gray"
        Order of the network's channels; "gray" has one.
    layout : "chw" or "hwc"
        Axes of one input: channels first or last.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not as described.
    """

    size: int | None = None
    crop: tuple[int, int] | None = None
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    order: str = "rgb"
    layout: str = "chw"

    def __post_init__(self) -> None:
        for name, known in (("order", ORDERS), ("layout", LAYOUTS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        check_number(self.scale, "scale", 0, strict=True)
        for name, minimum, strict in (("mean", -np.inf, False), ("std", 0, True)):
            numbers = tuple(
                check_number(number, name, minimum, strict=strict) for number in getattr(self, name)
            )
            if len(numbers) not in (1, self.channels):
                raise ValueError(
                    f"{name} must hold 1 or {self.channels} numbers (the order is {self.order}), "
                    f"got {len(numbers)}: {numbers}"
                )
            object.__setattr__(self, name, numbers)
        if self.size is not None:
            check_count(self.size, "size")
        if self.crop is not None:
            height, width = self.crop
            object.__setattr__(
                self, "crop", (check_count(height, "crop"), check_count(width, "crop"))
            )
            if self.size is not None and self.size < max(self.crop):
                raise ValueError(
                    f"size must be at least the crop {self.crop}, so that it can be cut out of "
                    f"the picture, got {self.size}"
                )

    @property
    def channels(self) -> int:
        """3, or 1 for "gray"."""
        return 1 if self.order == "gray" else 3

    def _table(self) -> np.ndarray:
        """What each pixel 0..255 becomes in each channel: (256, channels), float64."""
        shape = (1, self.channels)
        mean, std = np.broadcast_to(self.mean, shape), np.broadcast_to(self.std, shape)
        return (np.arange(256.0)[:, None] / self.scale - mean) / std

    def picture(self, source: Any) -> np.ndarray:
        """A picture scaled and cropped: uint8 (h, w, 3), RGB, or (h, w, 1).

        Parameters
        ----------
        source : path, PIL.Image.Image, or uint8 array (h, w[, 1, 3 or 4])

        Raises
        ------
        ValueError, FileNotFoundError, ImportError
            See `dtdcore.pictures.read_picture`.
        """
        return read_picture(source, self.channels, self.size, self.crop)

    def apply(self, pictures: np.ndarray, dtype: np.dtype = np.float32) -> np.ndarray:
        """Pictures as a batch of inputs.

        Parameters
        ----------
        pictures : uint8 array (n, h, w, channels)
            RGB or grey, as `picture` gives them.
        dtype : float32 or float64
            Of the inputs.

        Returns
        -------
        array (n, channels, h, w), or (n, h, w, channels) with the layout "hwc"

        Raises
        ------
        ValueError
            If `pictures` is not as described.
        """
        pictures = np.asarray(pictures)
        if pictures.dtype != np.uint8 or pictures.shape[3:] != (self.channels,):
            raise ValueError(
                f"pictures must be uint8 (n, h, w, {self.channels}), "
                f"got {pictures.dtype} {pictures.shape}"
            )
        n, height, width, channels = pictures.shape
        # A table gives the ends of the domain to the bit, whatever the numbers are.
        table = self._table().astype(dtype)
        x = np.empty((n, channels, height, width), dtype)
        for channel in range(channels):
            place = channels - 1 - channel if self.order == "bgr" else channel
            x[:, place] = table[:, place][pictures[..., channel]]
        return x if self.layout == "chw" else np.ascontiguousarray(x.transpose(0, 2, 3, 1))

    def invert(self, x: np.ndarray) -> np.ndarray:
        """Inputs (n, *input shape) as pictures to draw: uint8 (n, h, w, 3), RGB."""
        x = np.asarray(x, np.float64)
        if x.ndim != 4 or x.shape[1 if self.layout == "chw" else 3] != self.channels:
            raise ValueError(
                f"x must be a batch of layout {self.layout} with {self.channels} channels, "
                f"got shape {x.shape}"
            )
        if self.layout == "chw":
            x = x.transpose(0, 2, 3, 1)
        pixels = (x * np.array(self.std) + np.array(self.mean)) * self.scale
        pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        if self.order == "bgr":
            pixels = pixels[..., ::-1]
        return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))

    def ends(self) -> np.ndarray:
        """What the pixels 0 and 255 become in each channel: (2, channels)."""
        return self._table()[[0, 255]]

    def domain(self) -> Box:
        """The box that 0..255 is mapped to: a number where all channels agree, else (c, 1, 1).

        (1, 1, c) with the layout "hwc".

        Raises
        ------
        ValueError
            If 0 is not in it, as the method's z^B-rule needs.
        """
        ends = self.ends()
        if np.any(ends[0] > 0) or np.any(ends[1] < 0):
            raise ValueError(
                f"with {self.formula()} the pixels 0..255 become {ends[0].tolist()} to "
                f"{ends[1].tolist()}, and 0 is not among them, as the z^B-rule needs: choose "
                "another domain (--domain reals)"
            )
        shape = (-1, 1, 1) if self.layout == "chw" else (1, 1, -1)
        low, high = (
            float(end[0]) if np.all(end == end[0]) else end.reshape(shape).copy() for end in ends
        )
        return Box(low, high)

    def fits(self, x: np.ndarray) -> bool:
        """Do all numbers of a batch lie in the domain?"""
        try:
            return bool(np.all(self.domain().contains(x)))
        except ValueError:  # another shape
            return False

    def formula(self) -> str:
        """The formula with its numbers, such as "x = pixel / 255, RGB"."""
        text = "pixel" if self.scale == 1 else f"pixel / {self.scale:g}"
        if any(self.mean):
            text += f" - {_numbers(self.mean)}"
        if any(number != 1 for number in self.std):
            text = f"({text}) / {_numbers(self.std)}" if any(self.mean) else text
            text += "" if any(self.mean) else f" / {_numbers(self.std)}"
        return f"x = {text}, {'grey' if self.order == 'gray' else self.order.upper()}"


def _numbers(numbers: tuple[float, ...]) -> str:
    text = ", ".join(f"{number:g}" for number in numbers)
    return text if len(numbers) == 1 else f"({text})"


#: What networks were usually trained with.
PRESETS: dict[str, Preprocessing] = {
    "caffe": Preprocessing(mean=(104.0, 117.0, 123.0), order="bgr"),
    "torchvision": Preprocessing(
        scale=255.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    ),
    "minus1-1": Preprocessing(scale=127.5, mean=(1.0,)),
    "unit": Preprocessing(scale=255.0),
    "none": Preprocessing(),
}


def describe_presets() -> str:
    """Name and formula of each preset, in one line."""
    return "; ".join(f"{name}: {known.formula()}" for name, known in PRESETS.items())


def preset(name: str, input_shape: tuple[int, ...] | None, **parts: Any) -> Preprocessing:
    """A preset, with the size, crop, channels and layout that a network takes.

    Parameters
    ----------
    name : str
        One of `PRESETS`.
    input_shape : tuple of int or None
        Shape of one input of the network; None where it is not known.
    **parts
        Fields of `Preprocessing` that replace those of the preset. Else the crop is all that the
        network takes, and pictures are scaled to the crop (up to 64 pixels), to 256 pixels (up to
        a crop of 256) or to 8/7 of the crop.

    Raises
    ------
    ValueError
        If there is no such preset, the network takes no pictures, or a part does not fit.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; there are {describe_presets()}")
    unknown = set(parts) - {field.name for field in fields(Preprocessing)}
    if unknown:
        raise ValueError(f"a preprocessing has no {', '.join(sorted(unknown))}")
    layout, channels, network_crop = picture_axes(input_shape, parts.get("layout"))
    crop = parts.get("crop", network_crop)
    if crop is None:
        raise ValueError("the network does not say how large its inputs are: give a crop (--crop)")
    if network_crop is not None and tuple(crop) != network_crop:
        raise ValueError(
            f"the network takes inputs of {network_crop} (height, width), got the crop {crop}"
        )
    order = parts.get("order", "gray" if channels == 1 else PRESETS[name].order)
    if channels is not None and (order == "gray") != (channels == 1):
        raise ValueError(f"the network takes {channels} channels, got the order {order!r}")
    given = {"size": default_size(crop)} | parts
    known = PRESETS[name]
    if order == "gray":
        for part in ("mean", "std"):
            if part not in parts and len(getattr(known, part)) > 1:
                raise ValueError(
                    f"the preset {name} has a {part} for each of 3 colours and the network takes "
                    f"1 channel: give its {part} (--{part}), or another preset; "
                    f"there are {describe_presets()}"
                )
    return replace(known, **(given | {"crop": crop, "order": order, "layout": layout}))


def default_size(crop: tuple[int, int]) -> int:
    """The short side that pictures are scaled to before the crop."""
    side = max(crop)
    return side if side <= 64 else 256 if side <= 256 else round(side * 8 / 7)


def fitting(x: np.ndarray) -> list[str]:
    """The names of the presets whose domain holds a batch of inputs (n, *input shape)."""
    x = np.asarray(x)
    names = []
    for name, known in PRESETS.items():
        parts = {}
        if x.ndim == 4:
            try:
                layout, channels, _ = picture_axes(x.shape[1:])
            except ValueError:  # no pictures
                continue
            if channels == 1 and len(known.mean) > 1:
                continue
            parts = {"order": "gray" if channels == 1 else known.order, "layout": layout}
        if replace(known, **parts).fits(x):
            names.append(name)
    return names
