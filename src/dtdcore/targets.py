# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Targets: which outputs of a network are to be explained.

Every target is a number f = Σ_o c_o y_o made of the network's outputs y_o:

- one output, c_o = 1 there: a number, a class name, or a tuple (class, row, column);
- a region of them, c_o = 1 inside: `region(mask, channel)`;
- what speaks for one rather than the other: `contrast(a, b)`, c_o of a minus that of b.

This is the one place that reads what a user gives as `target`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtdcore.arrays import rows
from dtdcore.chosen import Targets
from dtdcore.class_labels import OutputNumbers, are_whole, from_labels, output_numbers

__all__ = ["Contrast", "Region", "contrast", "region"]

_INTEGER = (int, np.integer)

#: What an error says of the forms that a target can have.
FORMS = (
    "Write one number for each sample as an array (n,), k targets for each as an array (n, k), one "
    "output by its place on each axis as a tuple such as (class, row, column), several targets "
    "for all samples as a list of tuples, and many outputs at once as dtdcore.targets.region"
)


@dataclass(frozen=True, eq=False)
class Region:
    """Many outputs at once: see `region`."""

    mask: np.ndarray | None
    channel: int | str | None


@dataclass(frozen=True, eq=False)
class Contrast:
    """One target rather than another: see `contrast`."""

    a: Any
    b: Any


def region(mask: Any = None, channel: int | str | None = None) -> Region:
    """A target made of many outputs, such as the pixels of one class of a segmentation.

        f = Σ_o y_o over the outputs o in the region

    Explainers that redistribute relevance start from that of each output alone, y_o (`LRP`) or
    max(0, y_o) (`DeepTaylor`), inside the region, and from 0 outside. So `explained` is Σ_o y_o or
    Σ_o max(0, y_o). With LRP outputs below 0 count against those above, as they do in f; leave
    them out of the mask to explain what is there. Gradients are those of f.

    Parameters
    ----------
    mask : bool array, optional
        True inside. It has the shape of the output, or with a `channel` the shape of the axes
        behind the channels; with an axis of samples before it each sample has its own. Without a
        mask the region is the whole channel.
    channel : int or str, optional
        The place on the first axis of the output, or the name of a class.

    Returns
    -------
    Region
        For `target=`, alone or in a list.

    Raises
    ------
    ValueError
        If there is neither a mask nor a channel, or nothing is inside.
    TypeError
        If the mask does not hold bools (or only 0 and 1), or the channel is no number or name.

    Examples
    --------
    >>> import numpy as np, dtdcore as dtd
    >>> net = dtd.Network([dtd.Conv(np.ones((2, 1, 1, 1)))], (1, 2, 2))
    >>> x = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> dtd.LRP(net)(x, dtd.targets.region(x[0, 0] > 1, channel=1)).explained
    array([5.])
    """
    if mask is None and channel is None:
        raise ValueError("a region needs a mask, or a channel")
    if channel is not None and not isinstance(channel, str):
        if isinstance(channel, bool) or not isinstance(channel, _INTEGER):
            raise TypeError(f"channel must be a whole number or a class name, got {channel!r}")
        channel = int(channel)
    if mask is not None:
        given = np.asarray(mask)
        if given.dtype.kind not in "biuf" or not np.isin(given, (0, 1)).all():
            raise TypeError(
                "mask must hold bools: True inside. Other starting relevances are `relevance=`"
            )
        mask = given.astype(bool)
        if not mask.any():
            raise ValueError("mask is False everywhere: the region holds no output")
        mask.flags.writeable = False
    return Region(mask, channel)


def contrast(a: Any, b: Any) -> Contrast:
    """What speaks for one target rather than for another: f = f_a - f_b.

    Relevance starts from that of a, less that of b: so for every explainer that is linear in it

        R = R(a) - R(b)

    and `explained` is f_a - f_b (`LRP`), or max(0, f_a) - max(0, f_b) (`DeepTaylor`). Such heatmaps
    are conservative where R(a) and R(b) are, but not positive: below 0 stands what speaks for b.
    Gradients are those of f.

    Parameters
    ----------
    a, b : int, str, tuple, Region
        Targets that are the same for all samples. As a text a contrast of numbers or class names is
        "3-7" or "zebra-horse".

    Returns
    -------
    Contrast
        For `target=`, alone or in a list.

    Raises
    ------
    TypeError
        If a or b is no such target.
    """
    for name, side in (("a", a), ("b", b)):
        whole = isinstance(side, _INTEGER) and not isinstance(side, bool)
        if not whole and not isinstance(side, str | tuple | Region | Contrast | OutputNumbers):
            raise TypeError(
                f"{name} must be a number, a class name, a tuple or a region, got {side!r}"
            )
    return Contrast(a, b)


def target_of(target: Any, relevance: Any) -> tuple[Any, Any]:
    """`target` and `relevance` of a call, a region or contrast among the targets either way.

    Raises
    ------
    ValueError
        If both are given.
    """
    if target is not None and relevance is not None:
        raise ValueError("give either target or relevance, not both")
    if isinstance(relevance, Region | Contrast):
        return relevance, None
    return target, relevance


def choose_targets(output: np.ndarray, target: Any, names: Sequence[str] = ()) -> Targets:
    """Targets for a batch of outputs (n, *output shape); None: the only one, or the largest.

    Raises
    ------
    ValueError, TypeError
        See `resolve`.
    """
    if target is not None:
        return resolve(target, len(output), output.shape[1:], names)
    flat = rows(output)
    _check_outputs(flat.shape[1])
    if flat.shape[1] == 1 or len(flat) == 0:
        return Targets(output_numbers(np.zeros((len(flat), 1), np.intp)), single=True)
    return Targets(output_numbers(np.argmax(flat, axis=1)[:, None]), single=True)


def single_outputs(output: np.ndarray, target: Any, names: Sequence[str] = ()) -> Targets:
    """Targets that are one output of each sample, for what can explain no other.

    Raises
    ------
    ValueError
        If there are several targets, or one is a region or a contrast.
    TypeError
        See `resolve`.
    """
    targets = choose_targets(output, target, names)
    if not targets.one_each:
        raise ValueError("target must be None, an int or (n,) ints: one output of each sample")
    return targets


def resolve(target: Any, n: int, shape: tuple[int, ...], names: Sequence[str] = ()) -> Targets:
    """What a user's `target` is, for n samples with outputs of a shape.

    Parameters
    ----------
    target : int, str, tuple, Region, Contrast, an array of them, or a list
        See `dtdcore.explainers.Redistribution.__call__`.
    n : int
    shape : tuple of int
        Of one output; numbers count the outputs in order.
    names : sequence of str
        The class names: of the outputs, or of the first axis where there are several.

    Raises
    ------
    TypeError
        If `target` holds neither whole numbers nor other targets.
    ValueError
        If its shape is wrong, there is no such output or class, or it can be read in two ways.
    """
    if isinstance(target, Targets):
        return target
    size = math.prod(shape)
    _check_outputs(size)
    reader = _Reader(n, shape, names)
    if isinstance(target, tuple) and len(shape) < 2 and len(target) == n != 1:
        target = list(target)  # one axis has no other reading: a number for each sample
    if isinstance(target, str | tuple | Region | Contrast):
        return reader.targets([target], single=True)
    if isinstance(target, list) and any(
        isinstance(one, tuple | Region | Contrast) for one in target
    ):
        return reader.targets(target, single=False)
    try:
        given = target if isinstance(target, OutputNumbers) else np.asarray(target)
    except ValueError as error:  # a ragged list
        raise ValueError(f"target must be an array: {error}. {FORMS}") from None
    texts = given.size > 0 and all(isinstance(one, str) for one in given.reshape(-1))
    array = given if texts else np.asarray(from_labels(given, reader.labels))
    if array.dtype.kind == "b" and array.ndim:
        raise TypeError(
            "target must hold whole numbers or class names, got bools: for a mask of outputs give "
            "dtdcore.targets.region(mask)"
        )
    if array.dtype.kind not in "iu" and array.size and not texts:
        raise TypeError(f"target must hold whole numbers or class names, got {target!r}")
    if isinstance(target, list) and array.size and len(shape) > 1 and not texts:
        _check_no_index(target, array, len(shape))
    single = array.ndim < 2
    if array.ndim == 0:
        array = np.full((n, 1), array)
    elif array.ndim <= 2 and len(array) == n:
        array = array[:, None] if single else array
    else:
        raise ValueError(
            f"target must be None, an int, ({n},) ints or ({n}, k) ints for this batch, "
            f"got shape {array.shape}. {FORMS}"
        )
    if texts:
        return reader.of_each(array, single)
    numbers = array.astype(np.intp)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= size):
        wrong = numbers[(numbers < 0) | (numbers >= size)][0]
        raise ValueError(f"target {wrong} is not among the network's {size} outputs")
    return Targets(output_numbers(numbers), single=single)


def _check_outputs(size: int) -> None:
    if size == 0:
        raise ValueError("the network has no output to explain")


def _check_no_index(target: list[Any], array: np.ndarray, axes: int) -> None:
    """A list that reads like a place on each axis, or a list of such, has two meanings."""
    if array.shape[-1] == axes:
        index = tuple(array[0].tolist()) if array.ndim > 1 else tuple(array.tolist())
        raise ValueError(
            f"target={target!r} can be read as numbers for each sample, or as a place on each of "
            f"the {axes} axes of the output, such as {index}. {FORMS}"
        )


class _Reader:
    """Reads targets that are the same for all samples: what each is, and its c_o."""

    def __init__(self, n: int, shape: tuple[int, ...], names: Sequence[str]) -> None:
        self.n, self.shape, self.names = n, shape or (1,), tuple(names)
        self.size = math.prod(shape)
        #: The labels of the outputs, where there is one for each.
        self.labels = self.names if len(self.names) == self.size else ()

    def targets(self, items: Sequence[Any], single: bool) -> Targets:
        """The items, k targets for every sample."""
        numbers = [self._number(one) for one in items]
        if None not in numbers:
            labels = np.broadcast_to(np.array(numbers, np.intp), (self.n, len(items)))
            return Targets(output_numbers(labels.copy()), single=single)
        parts = [self._coefficients(one) for one in items]
        shape = (self.n, len(items), self.size)
        if all(len(part) == 1 for part in parts):
            coefficients = np.broadcast_to(np.stack(parts, axis=1), shape)
        else:
            each = [np.broadcast_to(part, (self.n, self.size)) for part in parts]
            coefficients = np.stack(each, axis=1)
        labels = np.array([self._text(one) for one in items], np.str_)
        return Targets(np.broadcast_to(labels, shape[:2]).copy(), coefficients, single)

    def of_each(self, texts: np.ndarray, single: bool) -> Targets:
        """A text for each sample, or k of them: (n, k)."""
        items = list(dict.fromkeys(texts.reshape(-1).tolist()))
        place = {text: number for number, text in enumerate(items)}
        known = self.targets(items, single)
        if self.n == 0:
            return known
        chosen = np.array([[place[text] for text in row] for row in texts.tolist()], np.intp)
        rest = None if known.coefficients is None else known.coefficients[0][chosen]
        return Targets(known.labels[0][chosen], rest, single)

    def _number(self, one: Any) -> int | None:
        """The number of the output that a target is; None if it is none alone."""
        if isinstance(one, tuple):
            return self._index(one)
        if isinstance(one, str):
            read = self._read(one)
            return self._number(read) if not isinstance(read, Contrast) else None
        if isinstance(one, Region | Contrast):
            return None
        one = np.asarray(from_labels(one, self.labels))
        if one.dtype.kind not in "iu" or one.ndim:
            raise TypeError(f"target must hold whole numbers or class names, got {one!r}. {FORMS}")
        if not 0 <= one < self.size:
            raise ValueError(f"target {one} is not among the network's {self.size} outputs")
        return int(one)

    def _index(self, index: tuple[Any, ...]) -> int:
        """The number of an output by its place on each axis."""
        if len(index) != len(self.shape):
            raise ValueError(
                f"target={index!r} is read as one output by its place on each axis, but the output "
                f"has shape {self.shape}. {FORMS}"
            )
        index = (self._class(index[0]), *index[1:])
        for axis, (place, size) in enumerate(zip(index, self.shape, strict=True)):
            if isinstance(place, bool) or not isinstance(place, _INTEGER):
                raise TypeError(f"target {index!r} must hold whole numbers, got {place!r}. {FORMS}")
            if not 0 <= place < size:
                raise ValueError(
                    f"target {index}: there is no place {place} on axis {axis} of the output of "
                    f"shape {self.shape}; places count from 0 to {size - 1}"
                )
        return int(np.ravel_multi_index(index, self.shape))

    def _class(self, label: Any) -> Any:
        """The place of a class on the first axis of the output."""
        place = from_labels(label, self.names if len(self.names) == self.shape[0] else ())
        return int(place) if isinstance(place, OutputNumbers) else label

    def _read(self, text: str) -> Any:
        """What a text says: a class by its exact name, else a contrast of two targets.

        A class on an output of several axes is no one output, unless the others have size 1.
        """
        if text in self.names:
            place = self._class(text)
            if self.size == self.shape[0]:
                return output_numbers(place)
            raise ValueError(
                f"target {text!r}: the class has the outputs of {self.shape[1:]} places: choose "
                f"one by a tuple ({text!r}, …), or all with dtdcore.targets.region("
                f"channel={text!r})"
            )
        cuts = [found.start() for found in re.finditer("-", text)]
        pairs = [(self._side(text[:cut]), self._side(text[cut + 1 :])) for cut in cuts]
        found = [Contrast(a, b) for a, b in pairs if a is not None and b is not None]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f"target {text!r} can be cut in {len(found)} ways: give dtdcore.targets.contrast"
            )
        return self._class(text)

    def _side(self, text: str) -> Any:
        """One side of a contrast in a text: a class, a number or a place on each axis; or None."""
        text = text.strip()
        if text in self.names:
            return text
        if are_whole(self.names):
            return None  # numbers are names here
        if text.isdecimal():
            return int(text)
        places = text.removeprefix("(").removesuffix(")").split(",")
        if len(places) > 1 and all(place.strip().isdecimal() for place in places):
            return tuple(map(int, places))
        return None

    def _coefficients(self, one: Any) -> np.ndarray:
        """c_o of a target: (1, outputs), or (n, outputs) where each sample has its own."""
        if isinstance(one, str):
            read = self._read(one)
            one = read if isinstance(read, Contrast) else one
        if isinstance(one, Contrast):
            a, b = self._coefficients(one.a), self._coefficients(one.b)
            difference = a - b
            if not difference.any():
                raise ValueError(f"target {self._text(one)!r} contrasts an output with itself")
            return difference
        if isinstance(one, Region):
            return self._inside(one)
        result = np.zeros((1, self.size), np.int8)
        result[0, self._number(one)] = 1
        return result

    def _inside(self, one: Region) -> np.ndarray:
        shape, channel, mask = self.shape, one.channel, one.mask
        if channel is None and mask.shape in (shape[1:], (self.n, *shape[1:])) and shape[0] == 1:
            channel = 0
        if channel is not None:
            place = self._class(channel)
            if not 0 <= place < shape[0]:
                raise ValueError(
                    f"channel {place} is not among the {shape[0]} of the output of shape {shape}"
                )
            inside = np.ones(shape[1:], bool) if mask is None else mask
            inner = shape[1:]
        else:
            inside, inner = mask, shape
        # a mask of the output's own shape is one for all samples
        if inside.shape == inner:
            inside = inside[None]
        elif inside.shape != (self.n, *inner):
            hint = "" if channel is not None or len(shape) < 2 else ", or give a channel"
            raise ValueError(
                f"mask must have shape {inner}, or {(self.n, *inner)} with one for each sample"
                f"{hint}, got {inside.shape}"
            )
        result = np.zeros((len(inside), *shape), np.int8)
        if channel is None:
            result[:] = inside
        else:
            result[:, place] = inside
        return result.reshape(len(inside), self.size)

    def _text(self, one: Any) -> str:
        """A target in words."""
        if isinstance(one, Contrast):
            return f"{self._text(one.a)}-{self._text(one.b)}"
        if isinstance(one, Region):
            parts = [] if one.mask is None else ["mask"]
            parts += [] if one.channel is None else [f"channel={one.channel!r}"]
            return f"region({', '.join(parts)})"
        return one if isinstance(one, str) else str(one)
