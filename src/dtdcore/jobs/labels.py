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
    """Which outputs are explained: the `top` largest of each sample, or the class `number`."""

    top: int | None = 1
    number: int | None = None

    def of(self, network: Network, x: Any) -> np.ndarray | None:
        """What explainers take as `target` for a batch: None, a number, or (n, top) numbers.

        For more than one class a sample the network runs once more, to know which are largest.
        """
        if self.number is not None:
            return output_numbers(self.number)
        if self.top == 1:
            return None
        return largest(network.forward(x), self.top)


def largest(output: np.ndarray, count: int) -> np.ndarray:
    """The numbers of the `count` largest outputs of each sample, the largest first: (n, count)."""
    return output_numbers(np.argsort(-rows(output), axis=1, kind="stable")[:, :count])


def parse_target(
    text: str, labels: Sequence[str] | None = None, classes: int | None = None
) -> Target:
    """What "top1", "top5", the number or the name of a class mean.

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
    if re.fullmatch(r"[+-]?\d+", text) and not are_numbers(labels or ()):
        number = int(text)
        if number < 0 or (classes is not None and number >= classes):
            last = "" if classes is None else f" to {classes - 1}"
            raise ValueError(f"target {text}: the classes of the network count from 0{last}")
        return Target(top=None, number=number)
    if labels is None:
        raise ValueError(
            f"target {text!r} is no class number and not top1 or top5: to choose a class by its "
            "name give the names (--labels FILE)"
        )
    return Target(top=None, number=find_class(text, labels))
