# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Who survived the Titanic, and what spoke for it: five neurons, nine inputs, signed reports.

One hidden layer of five ReLU neurons with b ≤ 0, the output their sum, trained to be 1 for
passengers who survived and 0 for the others; a passenger is predicted to survive where f(x) > 1/2.
Inputs are scaled to [0, 1]: the z⁺-rule uses that they are not negative, the z^B-rule both bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dtdcore.audit import format_table
from dtdcore.datasets import TitanicSplit, titanic_split
from dtdcore.deep_taylor import DeepTaylor
from dtdcore.domains import Box, NonNegative
from dtdcore.network import Network
from dtdcore.tabular import sum_groups
from dtdcore.training import DetectionPoolingNet

RULES = {"z⁺": NonNegative(), "z^B": Box(0.0, 1.0)}


@dataclass(frozen=True)
class Setting:
    """What the experiment does.

    Attributes
    ----------
    splits : int
        Random splits into training and hold-out rows, with the seeds `seed`, `seed` + 1, ...
    neurons : int
        Hidden neurons, pooled by one sum.
    iterations, batch_size, learning_rate, momentum
        Of stochastic gradient descent on the mean squared error; the rate "auto" is that of
        `DetectionPoolingNet`.
    restarts : int
        Networks trained for each split, from different random weights; the one with the smallest
        error on the training rows is kept. Five neurons with b ≤ 0 can die early.
    test_fraction : float
        Share of the passengers that is held out.
    seed : int
        Of everything random.
    """

    splits: int = 10
    neurons: int = 5
    iterations: int = 10_000
    batch_size: int = 20
    learning_rate: float | str = "auto"
    momentum: float = 0.9
    restarts: int = 3
    test_fraction: float = 0.2
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Fold:
    """One split with its network.

    `train_accuracy` and `test_accuracy` are shares of right predictions; `women_accuracy` is that
    of the rule "women survive, men do not" on the hold-out rows.
    """

    seed: int
    split: TitanicSplit
    network: Network
    train_accuracy: float
    test_accuracy: float
    women_accuracy: float


@dataclass(frozen=True, eq=False)
class Passenger:
    """One passenger, explained: `relevance` has R_i by each rule, (9,), in the order of `names`."""

    row: int
    number: int
    name: str
    survived: bool
    held_out: bool
    f: float
    features: tuple[str, ...]
    values: tuple[str, ...]
    relevance: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Result:
    """All splits, one passenger (by the first split's network), and mean relevances.

    `means[rule]["survivors" | "others"]` is ⟨R_i⟩ over the hold-out rows of all splits, each
    explained by its own split's network, with the three ports summed; `mean_features` names its
    entries.
    """

    setting: Setting
    folds: tuple[Fold, ...]
    passenger: Passenger
    mean_features: tuple[str, ...]
    means: dict[str, dict[str, np.ndarray]]


def run(table: Mapping[str, np.ndarray], setting: Setting, passenger: int | None = None) -> Result:
    """Train on random splits of the passengers and explain what the networks say.

    Parameters
    ----------
    table
        The columns, as `dtdcore.datasets.titanic` returns them.
    setting
        What to do.
    passenger
        PassengerId of the one to explain. None: the youngest survivor among the hold-out rows of
        the first split who is predicted to survive and whose age is known.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        There is no such passenger, or `splits` or `restarts` is not positive.
    """
    for name in ("splits", "restarts"):
        if getattr(setting, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(setting, name)}")
    if passenger is not None and not np.any(table["PassengerId"] == passenger):
        raise ValueError(f"passenger must be a PassengerId of the table, got {passenger}")
    folds = tuple(_fold(table, setting, setting.seed + k) for k in range(setting.splits))
    names, means = _means(folds)
    return Result(setting, folds, _passenger(table, folds[0], passenger), names, means)


def _fold(table: Mapping[str, np.ndarray], setting: Setting, seed: int) -> Fold:
    split = titanic_split(table, seed, setting.test_fraction)
    networks = [
        _train(split, setting, 1000 * seed + restart) for restart in range(setting.restarts)
    ]
    best = min(networks, key=lambda network: _squared_error(network, split.x_train, split.y_train))
    women = split.x_test[:, split.features.index("sex")] > 0.5
    return Fold(
        seed=seed,
        split=split,
        network=best,
        train_accuracy=_accuracy(best, split.x_train, split.y_train),
        test_accuracy=_accuracy(best, split.x_test, split.y_test),
        women_accuracy=float((women == (split.y_test > 0.5)).mean()),
    )


def _train(split: TitanicSplit, setting: Setting, seed: int) -> Network:
    model = DetectionPoolingNet(
        units=[(setting.neurons, None)],
        iterations=setting.iterations,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        momentum=setting.momentum,
        seed=seed,
        progress=False,
    )
    model.fit(split.x_train, split.y_train)
    return model.network_


def _squared_error(network: Network, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean((_outputs(network, x) - y) ** 2))


def _outputs(network: Network, x: np.ndarray) -> np.ndarray:
    return network.forward(x).reshape(-1).astype(np.float64)


def _accuracy(network: Network, x: np.ndarray, y: np.ndarray) -> float:
    return float(((_outputs(network, x) > 0.5) == (y > 0.5)).mean())


def _means(folds: Sequence[Fold]) -> tuple[tuple[str, ...], dict[str, dict[str, np.ndarray]]]:
    survived = np.concatenate([fold.split.y_test > 0.5 for fold in folds])
    means = {}
    for rule, domain in RULES.items():
        relevance = np.concatenate(
            [DeepTaylor(fold.network, domain)(fold.split.x_test).relevance for fold in folds]
        )
        split = folds[0].split
        summed, names = sum_groups(relevance, split.features, split.groups)
        means[rule] = {
            "survivors": summed[survived].mean(axis=0),
            "others": summed[~survived].mean(axis=0),
        }
    return tuple(names), means


def _passenger(table: Mapping[str, np.ndarray], fold: Fold, number: int | None) -> Passenger:
    split = fold.split
    if number is None:
        row = _young_survivor(fold)
    else:
        row = int(np.flatnonzero(table["PassengerId"] == number)[0])
    x = split.x[[row]]
    return Passenger(
        row=row,
        number=int(table["PassengerId"][row]),
        name=str(table["Name"][row]),
        survived=bool(table["Survived"][row]),
        held_out=row in split.test,
        f=float(_outputs(fold.network, x)[0]),
        features=split.features,
        values=_values(split, row),
        relevance={
            rule: DeepTaylor(fold.network, domain)(x).relevance[0].astype(np.float64)
            for rule, domain in RULES.items()
        },
    )


def _young_survivor(fold: Fold) -> int:
    split = fold.split
    predicted = _outputs(fold.network, split.x_test) > 0.5
    age = split.features.index("age")
    usable = predicted & (split.y_test > 0.5) & ~split.imputed[split.test, age]
    if not usable.any():
        return int(split.test[0])
    candidates = split.test[usable]
    return int(candidates[np.argmin(split.raw[candidates, age])])


def _values(split: TitanicSplit, row: int) -> tuple[str, ...]:
    """The passenger's values as people write them."""
    raw, imputed = split.raw[row], split.imputed[row]
    shown = [
        ("1st", "2nd", "3rd")[int(raw[0]) - 1],
        "female" if raw[1] else "male",
        *(f"{value:.4g}" for value in raw[2:6]),
        *("yes" if value else "no" for value in raw[6:]),
    ]
    return tuple(
        f"{text} (imputed)" if missing else text
        for text, missing in zip(shown, imputed, strict=True)
    )


def percent(relevance: np.ndarray) -> list[float | None]:
    """Shares of Σ_i R_i in percent; None where that sum is 0 and there is nothing to share."""
    total = float(relevance.sum())
    return [None] * len(relevance) if total == 0.0 else (100.0 * relevance / total).tolist()


def accuracy_table(result: Result) -> str:
    """A row for each split, then mean and range."""
    columns = [
        [getattr(fold, name) for fold in result.folds]
        for name in ("train_accuracy", "test_accuracy", "women_accuracy")
    ]
    lines: list[tuple[str, ...]] = [
        ("split", "training rows", "hold-out rows", "hold-out, by sex alone")
    ]
    for place, fold in enumerate(result.folds):
        lines.append((f"seed {fold.seed}", *(f"{column[place]:.3f}" for column in columns)))
    lines.append(("mean", *(f"{np.mean(column):.3f}" for column in columns)))
    lines.append(("range", *(f"{min(column):.3f}-{max(column):.3f}" for column in columns)))
    return format_table(lines, left=1)


def passenger_table(passenger: Passenger) -> str:
    """Feature, value, relevance and percent for both rules."""
    heads = (head for rule in passenger.relevance for head in (f"R, {rule}", "%"))
    lines: list[tuple[str, ...]] = [("feature", "value", *heads)]
    shares = {rule: percent(relevance) for rule, relevance in passenger.relevance.items()}
    for place, feature in enumerate(passenger.features):
        line: tuple[str, ...] = (feature, passenger.values[place])
        for rule, relevance in passenger.relevance.items():
            share = shares[rule][place]
            line += (f"{relevance[place]:.4f}", "-" if share is None else f"{share:.2f}")
        lines.append(line)
    total: tuple[str, ...] = ("sum", "")
    for relevance in passenger.relevance.values():
        total += (f"{relevance.sum():.4f}", "100.00" if relevance.sum() else "-")
    return format_table([*lines, total])


def means_table(result: Result) -> str:
    """Mean relevance per feature for survivors and others, by both rules."""
    heads = [(rule, group) for rule in RULES for group in ("survivors", "others")]
    lines: list[tuple[str, ...]] = [("feature", *(f"{rule}, {group}" for rule, group in heads))]
    columns = [result.means[rule][group] for rule, group in heads]
    for place, feature in enumerate(result.mean_features):
        lines.append((feature, *(f"{column[place]:.4f}" for column in columns)))
    lines.append(("sum", *(f"{column.sum():.4f}" for column in columns)))
    return format_table(lines, left=1)


def report(result: Result) -> str:
    """The whole result as text."""
    setting, passenger = result.setting, result.passenger
    rows = len(result.folds[0].split.test)
    return "\n".join(
        [
            f"Titanic: {setting.neurons} hidden neurons, b <= 0, output their sum; "
            f"{setting.splits} random splits, {rows} of {len(result.folds[0].split.y)} passengers "
            "held out each time.",
            accuracy_table(result),
            "",
            f"Passenger {passenger.number}, {passenger.name}: "
            f"{'survived' if passenger.survived else 'did not survive'}, f(x) = {passenger.f:.4f} "
            f"({'hold-out' if passenger.held_out else 'training'} row of the first split)",
            passenger_table(passenger),
            "",
            "Mean relevance over the hold-out rows of all splits, ports summed:",
            means_table(result),
        ]
    )


def as_json(result: Result) -> dict[str, Any]:
    """The result as plain numbers and text, for JSON."""
    passenger = result.passenger
    columns = ("train_accuracy", "test_accuracy", "women_accuracy")
    summary = {}
    for name in columns:
        values = [getattr(fold, name) for fold in result.folds]
        summary[name] = {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}
    return {
        "setting": asdict(result.setting),
        "accuracy": summary,
        "splits": [
            {"seed": fold.seed, **{name: getattr(fold, name) for name in columns}}
            for fold in result.folds
        ],
        "passenger": {
            "number": passenger.number,
            "name": passenger.name,
            "survived": passenger.survived,
            "held_out": passenger.held_out,
            "output": passenger.f,
            "features": list(passenger.features),
            "values": list(passenger.values),
            "relevance": {rule: r.tolist() for rule, r in passenger.relevance.items()},
            "percent": {rule: percent(r) for rule, r in passenger.relevance.items()},
        },
        "mean_relevance": {
            "features": list(result.mean_features),
            **{
                rule: {group: mean.tolist() for group, mean in groups.items()}
                for rule, groups in result.means.items()
            },
        },
    }
