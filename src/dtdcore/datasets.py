# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Real data for the experiments: digits, MNIST, pairs of digits, and the Titanic's passengers.

Files come from a folder when one is given (argument `folder`, else the environment variable
``DTDCORE_DATA``); otherwise they are downloaded once, from the first public mirror that delivers
the right bytes, to a cache folder. Every file is checked against its sha256 sum, wherever it
comes from. The package itself contains no data.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dtdcore.arrays import require
from dtdcore.downloads import Mirror, find

__all__ = [
    "DigitPairs",
    "TitanicSplit",
    "digit_pairs",
    "digits",
    "mnist",
    "titanic",
    "titanic_split",
]

_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
_MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_MNIST_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
# The published train.csv ends its lines with CR LF; some public copies hold the same text with LF.
_TITANIC_SHA256 = "7d118fef8b6ccf7f81111877bc388536f7b1e498a655e3d649d19aaa010e9f6f"
_TITANIC_SHA256_LF = "4a437fde05fe5264e1701a7387ac6fb75393772ba38bb2c9c566405af5af4bd7"
_TITANIC_MIRRORS = (
    (
        "https://raw.githubusercontent.com/datasciencedojo/datasets/master/titanic.csv",
        _TITANIC_SHA256_LF,
    ),
    (
        "https://raw.githubusercontent.com/agconti/kaggle-titanic/master/data/train.csv",
        _TITANIC_SHA256_LF,
    ),
    (
        "https://raw.githubusercontent.com/minsuk-heo/kaggle-titanic/master/input/train.csv",
        _TITANIC_SHA256,
    ),
)


# ---------------------------------------------------------------------------------------------
# Digits


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits of 8x8 pixels, 1797 of them, shipped with scikit-learn: no network.

    Returns
    -------
    images : ndarray, shape (1797, 8, 8), float32
        Grey values divided by their maximum, 16: in [0, 1], 0 is paper.
    labels : ndarray, shape (1797,), int64
        The digit, 0-9.

    Raises
    ------
    ImportError
        Without scikit-learn (``pip install 'dtdcore[demo]'``).
    """
    require("sklearn", "demo")
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images / 16.0).astype(np.float32)
    return images, data.target.astype(np.int64)


def mnist(
    folder: str | os.PathLike[str] | None = None, subset: Literal["train", "test"] = "train"
) -> tuple[np.ndarray, np.ndarray]:
    """MNIST, handwritten digits of 28x28 pixels (LeCun, Cortes, Burges).

    Parameters
    ----------
    folder
        Where the four ``*.gz`` files are, there or in ``folder/mnist``. None: the folder of the
        environment variable ``DTDCORE_DATA`` when that is set, else a download by pooch to its
        cache folder.
    subset
        "train" (60000 images) or "test" (10000).

    Returns
    -------
    images : ndarray, shape (n, 28, 28), float32
        Grey values divided by 255: in [0, 1], 0 is paper.
    labels : ndarray, shape (n,), int64

    Raises
    ------
    FileNotFoundError
        A folder is given and the file is not in it.
    ValueError
        A file in the folder is not the published one (sha256; a `downloads.WrongFileError`), or
        `subset` is unknown.
    ConnectionError
        No mirror delivered the right file; the message says what to do.
    ImportError
        Without pooch when a download is needed (``pip install 'dtdcore[data]'``).
    """
    if subset not in _MNIST_FILES:
        raise ValueError(f"subset must be 'train' or 'test', got {subset!r}")
    images, labels = (_read_idx(_mnist_file(name, folder)) for name in _MNIST_FILES[subset])
    return images.astype(np.float32) / np.float32(255.0), labels.astype(np.int64)


def _mnist_file(name: str, folder: str | os.PathLike[str] | None) -> Path:
    mirrors = [Mirror(base + name, _MNIST_SHA256[name]) for base in _MNIST_MIRRORS]
    return find(f"mnist/{name}", mirrors, folder)


def _read_idx(path: Path) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes: 0, 0, 8, axes; a big-endian uint32 per axis."""
    with gzip.open(path, "rb") as stream:
        content = stream.read()
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    axes = content[3]
    start = 4 + 4 * axes
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], dtype=">u4"))
    values = np.frombuffer(content, dtype=np.uint8, offset=start)
    if len(shape) != axes or values.size != int(np.prod(shape)):
        raise ValueError(f"{path} holds {values.size} bytes, its header promises shape {shape}")
    return values.reshape(shape)


@dataclass(frozen=True, eq=False)
class DigitPairs:
    """Images of two digits side by side: one of 0-3 and a distractor of 4-9.

    Attributes
    ----------
    images : ndarray, shape (n, h, 2 w), float32
        Grey values in [0, 1].
    digits, distractors : ndarray, shape (n,), int64
        The digit of 0-3 and the digit of 4-9.
    sides : ndarray, shape (n,), int64
        Where the digit of 0-3 stands: 0 left, 1 right.
    target : int
        The digit to be detected.
    """

    images: np.ndarray
    digits: np.ndarray
    distractors: np.ndarray
    sides: np.ndarray
    target: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def present(self) -> np.ndarray:
        """Whether the image contains the target digit, shape (n,), bool."""
        return self.digits == self.target

    def outputs(self, value: float = 100.0) -> np.ndarray:
        """What the network shall answer: `value` where the target is present, else 0; (n,)."""
        return np.where(self.present, np.float32(value), np.float32(0.0))

    def digit_half(self, heatmaps: np.ndarray) -> np.ndarray:
        """The half of each heatmap (n, h, 2 w) that covers the digit of 0-3, shape (n, h, w)."""
        left, right = np.split(heatmaps, 2, axis=-1)
        return np.where((self.sides == 0)[:, None, None], left, right)


def digit_pairs(
    images: np.ndarray,
    labels: np.ndarray,
    target: int,
    n: int,
    seed: int,
    *,
    probability: float = 0.5,
) -> DigitPairs:
    """Pairs of digits for the detection experiment (Montavon et al. 2017, section on MNIST).

    Each image shows a digit of 0-3 and, on the other side, a distractor of 4-9; which side is
    random, with equal chances. The network is to find the digit `target`, so it has to ignore
    the distractor and tell `target` from the other three digits.

    A share `probability` of the pairs, rounded to a whole number, shows `target`; the others show
    one of the other digits of 0-3. The default of a half is balanced, so that a network that
    always gives the same answer is right half of the time; 0.25 would make the four digits of 0-3
    equally frequent. Within each kind every image of `images` is equally likely, with repetition.

    Parameters
    ----------
    images : ndarray, shape (m, h, w)
        Single digits, grey values in [0, 1].
    labels : ndarray, shape (m,)
        Their digits, 0-9.
    target
        The digit to be detected, 0-3.
    n
        Number of pairs.
    seed
        The same seed gives the same pairs.
    probability
        Share of pairs with the target digit, in [0, 1].

    Returns
    -------
    DigitPairs
        Images of shape (n, h, 2 w), for MNIST 28x56.

    Raises
    ------
    ValueError
        A wrong shape or range, or no image of a kind that is needed.
    """
    images = np.asarray(images, dtype=np.float32)
    labels = np.asarray(labels)
    if images.ndim != 3:
        raise ValueError(f"images must have shape (m, h, w), got {images.shape}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"labels must have shape ({len(images)},), got {labels.shape}")
    if target not in (0, 1, 2, 3):
        raise ValueError(f"target must be 0, 1, 2 or 3, got {target!r}")
    if n < 0:
        raise ValueError(f"n must be at least 0, got {n}")
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability must be in [0, 1], got {probability}")

    random = np.random.default_rng(seed)
    present = random.permutation(n) < round(n * probability)
    kinds = (
        ("the target digit", labels == target, int(present.sum())),
        ("the other digits of 0-3", (labels <= 3) & (labels != target), int((~present).sum())),
        ("the distractors, 4-9", labels >= 4, n),
    )
    picked = []
    for kind, selected, count in kinds:
        rows = np.flatnonzero(selected)
        if count and not rows.size:
            raise ValueError(f"labels must contain {kind}: there is no such image")
        picked.append(random.choice(rows, size=count) if count else rows[:0])
    digit = np.empty(n, dtype=np.int64)
    digit[present], digit[~present] = picked[0], picked[1]
    distractor = picked[2]
    sides = random.integers(0, 2, size=n)

    height, width = images.shape[1:]
    pairs = np.empty((n, height, 2 * width), dtype=np.float32)
    pairs[:, :, :width] = images[np.where(sides == 0, digit, distractor)]
    pairs[:, :, width:] = images[np.where(sides == 0, distractor, digit)]
    return DigitPairs(
        images=pairs,
        digits=labels[digit].astype(np.int64),
        distractors=labels[distractor].astype(np.int64),
        sides=sides,
        target=int(target),
    )


# ---------------------------------------------------------------------------------------------
# Titanic

_INTEGERS = ("PassengerId", "Survived", "Pclass", "SibSp", "Parch")
_NUMBERS = ("Age", "Fare")
_TEXTS = ("Name", "Sex", "Ticket", "Cabin", "Embarked")
_PORTS = {"C": "Cherbourg", "Q": "Queenstown", "S": "Southampton"}
_FEATURES = ("class", "sex", "age", "siblings", "parents", "fare", *_PORTS.values())


def titanic(folder: str | os.PathLike[str] | None = None) -> dict[str, np.ndarray]:
    """The 891 passengers of the Titanic whose outcome is published (Kaggle's ``train.csv``).

    Kaggle's ``test.csv`` is not used: its outcomes are not published, and the sample submission
    beside it ("all women survived") is no outcome. Hold out rows with `titanic_split`.

    Parameters
    ----------
    folder
        Where ``train.csv`` is, there or in ``folder/titanic``. None: as for `mnist`.

    Returns
    -------
    dict of str to ndarray, shape (891,)
        The columns under their published names. ``PassengerId``, ``Survived``, ``Pclass``,
        ``SibSp``, ``Parch``: int64. ``Age`` (years), ``Fare`` (pounds): float64, NaN where
        missing. ``Name``, ``Sex``, ``Ticket``, ``Cabin``, ``Embarked``: str, "" where missing.

    Raises
    ------
    FileNotFoundError, ValueError, ConnectionError, ImportError
        As for `mnist`.
    """
    path = find("titanic/train.csv", [Mirror(*source) for source in _TITANIC_MIRRORS], folder)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    table: dict[str, np.ndarray] = {}
    for name in rows[0]:
        column = [row[name] for row in rows]
        if name in _INTEGERS:
            table[name] = np.array([int(entry) for entry in column], dtype=np.int64)
        elif name in _NUMBERS:
            table[name] = np.array([float(entry) if entry else np.nan for entry in column])
        elif name in _TEXTS:
            table[name] = np.array(column)
        else:
            raise ValueError(f"{path} has an unknown column {name!r}")
    return table


@dataclass(frozen=True, eq=False)
class TitanicSplit:
    """Passengers as inputs of a network, split into training rows and hold-out rows.

    Row r of `x`, `y`, `raw` and `imputed` is row r of the table. Columns are the nine `features`:
    class (1-3), sex (0 male, 1 female), age (years), siblings and spouses aboard, parents and
    children aboard, fare (pounds), and one column for each port of embarkation (0 or 1).

    Attributes
    ----------
    x : ndarray, shape (n, 9), float32
        (raw - low) / (high - low), clipped to [0, 1].
    y : ndarray, shape (n,), float32
        1 survived, 0 did not.
    raw : ndarray, shape (n, 9), float64
        The values before scaling, missing ones imputed.
    imputed : ndarray, shape (n, 9), bool
        Which values were missing.
    train, test : ndarray of int64
        The rows of either part.
    low, high : ndarray, shape (9,), float64
        Smallest and largest value among the training rows.
    features : tuple of str
        Names of the columns.
    groups : dict of str to tuple of int
        Columns that code one feature between them: {"port": (6, 7, 8)}.
    """

    x: np.ndarray
    y: np.ndarray
    raw: np.ndarray
    imputed: np.ndarray
    train: np.ndarray
    test: np.ndarray
    low: np.ndarray
    high: np.ndarray
    features: tuple[str, ...]
    groups: dict[str, tuple[int, ...]]

    @property
    def x_train(self) -> np.ndarray:
        """Inputs of the training rows."""
        return self.x[self.train]

    @property
    def y_train(self) -> np.ndarray:
        """Outcomes of the training rows."""
        return self.y[self.train]

    @property
    def x_test(self) -> np.ndarray:
        """Inputs of the hold-out rows."""
        return self.x[self.test]

    @property
    def y_test(self) -> np.ndarray:
        """Outcomes of the hold-out rows."""
        return self.y[self.test]


def titanic_split(
    table: Mapping[str, np.ndarray], seed: int, test_fraction: float = 0.2
) -> TitanicSplit:
    """Split the passengers at random and turn them into nine inputs in [0, 1].

    Everything that is learnt from data is learnt from the training rows alone, and without their
    outcome: a missing age is the median age of the training rows of the same class and sex, a
    missing port the most frequent one, a missing fare the median fare of the class; the scale of
    each column runs from its smallest to its largest training value. Hold-out values beyond that
    scale are clipped to it, so that every input lies in ``Box(0, 1)``. The passenger's number,
    name, ticket and cabin are not used.

    Parameters
    ----------
    table
        The columns, as `titanic` returns them.
    seed
        The same seed gives the same split.
    test_fraction
        Share of the rows that is held out, between 0 and 1, rounded to whole rows.

    Raises
    ------
    ValueError
        `test_fraction` leaves one part without rows.
    """
    count = len(table["Survived"])
    held_out = round(count * test_fraction)
    if not 0.0 < test_fraction < 1.0 or not 0 < held_out < count:
        raise ValueError(
            f"test_fraction must leave rows in both parts of {count}, got {test_fraction}"
        )
    order = np.random.default_rng(seed).permutation(count)
    test, train = np.sort(order[:held_out]), np.sort(order[held_out:])

    passenger_class = table["Pclass"].astype(np.float64)
    female = (table["Sex"] == "female").astype(np.float64)
    age, fare, port = table["Age"].copy(), table["Fare"].copy(), table["Embarked"].copy()
    imputed = np.zeros((count, len(_FEATURES)), dtype=bool)
    imputed[:, 2], imputed[:, 5] = np.isnan(age), np.isnan(fare)
    imputed[:, 6:] = (port == "")[:, None]
    for row in np.flatnonzero(imputed[:, 2]):
        alike = (passenger_class[train] == passenger_class[row]) & (female[train] == female[row])
        age[row] = _median(table["Age"][train], alike)
    for row in np.flatnonzero(imputed[:, 5]):
        fare[row] = _median(table["Fare"][train], passenger_class[train] == passenger_class[row])
    known, frequency = np.unique(port[train][port[train] != ""], return_counts=True)
    port[port == ""] = known[np.argmax(frequency)]

    columns = [passenger_class, female, age, table["SibSp"], table["Parch"], fare]
    columns += [port == letter for letter in _PORTS]
    raw = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    low, high = raw[train].min(axis=0), raw[train].max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    return TitanicSplit(
        x=np.clip((raw - low) / span, 0.0, 1.0).astype(np.float32),
        y=table["Survived"].astype(np.float32),
        raw=raw,
        imputed=imputed,
        train=train,
        test=test,
        low=low,
        high=high,
        features=_FEATURES,
        groups={"port": (6, 7, 8)},
    )


def _median(values: np.ndarray, alike: np.ndarray) -> float:
    """Median of the known `values` where `alike`, or of all known ones when none of those is."""
    chosen = values[alike & ~np.isnan(values)]
    return float(np.median(chosen if chosen.size else values[~np.isnan(values)]))
