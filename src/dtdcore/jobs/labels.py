# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Names of classes, and which class is to be explained."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dtdcore.arrays import rows
from dtdcore.class_labels import are_numbers, output_numbers
from dtdcore.network import Network
from dtdcore.targets import Contrast, contrast

_SYNSET = re.compile(r"^n\d{8}\s+")


def read_labels(path: str | os.PathLike) -> list[str]:
    """The names of the classes: one a line, in the order of the network's outputs.

    A WordNet synset in front, as in "n01440764 tench, Tinca tinca", is dropped, and so are empty
    lines at the end.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no text in UTF-8 or holds no name.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from None
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ValueError(f"{path} holds no names: one class a line is expected")
    return [_SYNSET.sub("", line.strip()) for line in lines]


def find_class(name: str, labels: Sequence[str]) -> int:
    """The number of a class by its name, or by one of its synonyms between commas.

    Upper and lower case do not matter.

    Raises
    ------
    ValueError
        If no class is called so, with the nearest names, or several are, with their numbers.
    """
    wanted = name.strip().casefold()
    whole = [number for number, label in enumerate(labels) if label.casefold() == wanted]
    found = whole or [
        number
        for number, label in enumerate(labels)
        if wanted in (part.strip().casefold() for part in label.split(","))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        classes = "; ".join(f"{number}: {labels[number]}" for number in found)
        raise ValueError(f"several classes are called {name!r}: {classes}. Give the number")
    known: dict[str, str] = {}
    for label in labels:
        for part in (label, *label.split(",")):
            known.setdefault(part.strip().casefold(), part.strip())
    near = [known[key] for key in difflib.get_close_matches(wanted, known, n=5)]
    near = near or [text for key, text in known.items() if wanted and wanted in key][:5]
    hint = f"; near to it are {'; '.join(near)}" if near else ""
    raise ValueError(f"no class is called {name!r}{hint}")


@dataclass(frozen=True)
class Target:
    """Which outputs are explained: the `top` largest, the class `number`, or `other`.

    `other` is an output by its place on each axis, or a contrast of two.
    """

    top: int | None = 1
    number: int | None = None
    other: tuple[int, ...] | Contrast | None = None

    def of(self, network: Network, x: Any) -> Any:
        """What explainers take as `target` for a batch: None, an int, (n, top) ints, or `other`.

        For more than one class a sample the network runs once more, to know which are largest.
        """
        if self.number is not None:
            return output_numbers(self.number)
        if self.top == 1 or self.other is not None:
            return self.other
        return largest(network.forward(x), self.top)


def largest(output: np.ndarray, count: int) -> np.ndarray:
    """The numbers of the `count` largest outputs of each sample, the largest first: (n, count)."""
    return output_numbers(np.argsort(-rows(output), axis=1, kind="stable")[:, :count])


def parse_target(
    text: str, labels: Sequence[str] | None = None, classes: int | None = None
) -> Target:
    """What "top1", "top5", the number or name of a class, "1,22", "3-7" and "zebra-horse" mean.

    A name goes before a contrast. "1,22" is the place of an output on each axis.

    Parameters
    ----------
    text : str
    labels : sequence of str, optional
        Names of the classes.
    classes : int, optional
        Number of the network's outputs.

    Raises
    ------
    ValueError
        If there is no such class, or no labels are given for a name.
    """
    text = text.strip()
    top = re.fullmatch(r"top(\d+)", text, re.IGNORECASE)
    if top:
        count = int(top[1])
        if count < 1 or (classes is not None and count > classes):
            raise ValueError(f"target {text}: the network has {classes or 'at least 1'} outputs")
        return Target(top=count)
    try:
        one = _one_output(text, labels, classes)
    except ValueError:
        cuts = [found.start() for found in re.finditer("-", text)][text.startswith("-") :]
        found = [_contrast(text[:cut], text[cut + 1 :], labels, classes) for cut in cuts]
        pairs = [pair for pair in found if pair is not None]
        if len(pairs) != 1:
            raise
        return Target(top=None, other=pairs[0])
    return Target(None, one) if isinstance(one, int) else Target(None, None, one)


def _one_output(
    text: str, labels: Sequence[str] | None, classes: int | None
) -> int | tuple[int, ...]:
    """The number of a class, or the place of an output on each axis."""
    if re.fullmatch(r"[+-]?\d+", text) and not are_numbers(labels or ()):
        number = int(text)
        if number < 0 or (classes is not None and number >= classes):
            last = "" if classes is None else f" to {classes - 1}"
            raise ValueError(f"target {text}: the classes of the network count from 0{last}")
        return number
    if re.fullmatch(r"\d+(\s*,\s*\d+)+", text):
        return tuple(map(int, text.split(",")))
    if labels is None:
        raise ValueError(
            f"target {text!r} is no class number, no place such as 1,22, no contrast such as 3-7, "
            "and not top1 or top5: to choose a class by its name give the names (--labels FILE)"
        )
    return find_class(text, labels)


def _contrast(a: str, b: str, labels: Sequence[str] | None, classes: int | None) -> Contrast | None:
    """The contrast of two outputs; None where one is not known."""
    try:
        sides = [_one_output(side.strip(), labels, classes) for side in (a, b)]
    except ValueError:
        return None
    return contrast(*(output_numbers(o) if isinstance(o, int) else o for o in sides))
