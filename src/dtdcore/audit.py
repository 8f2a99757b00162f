# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance accounting: what each layer received, passed on, and did not pass on, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from dtdcore.html_table import table_html
from dtdcore.steps.base import BIAS, LOST, RECEIVED, STABILISER, overflowing

#: received - bias - stabiliser - lost of an account.
_SIGNS = np.zeros(4)
_SIGNS[[RECEIVED, BIAS, STABILISER, LOST]] = 1, -1, -1, -1


#: Up to so many accounts are looked at one by one.
FEW = 16


class ConservationError(ArithmeticError):
    """A layer passed on less, or more, relevance than it received (`strict=True`)."""


@dataclass(frozen=True)
class AuditEntry:
    """The account of one layer; arrays (n,), or (n, k) for k targets, float64.

    received = passed + bias + stabiliser + lost + model, to rounding.
    """

    name: str
    rule: Any
    #: Σ_j R_j, the relevance that arrived at the layer's outputs.
    received: np.ndarray
    #: Σ_i R_i, the relevance of the layer's inputs.
    passed: np.ndarray
    #: Absorbed by the bias, where the rule counts it in z_j.
    bias: np.ndarray
    #: Absorbed by the stabiliser ε.
    stabiliser: np.ndarray
    #: Could not be passed on, because z_j = 0 (or so small that R_j / z_j overflows), or because it
    #: was rounded to 0. Of a `Softmax` what its form does not conserve, of either sign.
    lost: np.ndarray
    #: Σ_k (R_k - R̂_k): what a trained relevance model (`MinMax`) did not predict; negative where
    #: it predicted too much. 0 without such a model.
    model: np.ndarray

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        """received, passed, bias, stabiliser, lost and model."""
        return (self.received, self.passed, self.bias, self.stabiliser, self.lost, self.model)

    @property
    def residual(self) -> np.ndarray:
        """received - passed - bias - stabiliser - lost - model: 0 to rounding."""
        received, *parts = self.parts
        return received - sum(parts)


class Audit(Sequence):
    """The accounts of all layers that redistribute relevance, from the output to the input.

    Activations and layers that only rearrange numbers pass relevance on unchanged and have no
    entry. `audit["dense_1"]` or `audit[0]` gives an `AuditEntry`; `print(audit)` a table.
    """

    def __init__(
        self,
        names: list[str],
        rules: list[Any],
        accounts: np.ndarray,
        passed: np.ndarray,
        model: np.ndarray | None = None,
    ) -> None:
        self._names, self._rules = names, rules
        self._accounts, self._passed, self._model = accounts, passed, model

    @property
    def has_model(self) -> bool:
        """Did a trained relevance model predict what was redistributed?"""
        return self._model is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The layers' names, from the output to the input."""
        return tuple(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, key: int | str) -> AuditEntry: ...
    @overload
    def __getitem__(self, key: slice) -> Audit: ...
    def __getitem__(self, key: int | str | slice) -> AuditEntry | Audit:
        """The entry of a layer, by name or place; a slice gives an `Audit`."""
        if isinstance(key, slice):
            model = None if self._model is None else self._model[key]
            return Audit(
                self._names[key], self._rules[key], self._accounts[key], self._passed[key], model
            )
        if isinstance(key, str) and key not in self._names:
            raise KeyError(f"no layer {key!r} in this audit; there are {', '.join(self._names)}")
        place = self._names.index(key) if isinstance(key, str) else range(len(self))[key]
        account = self._accounts[place]
        return AuditEntry(
            self._names[place],
            self._rules[place],
            account[..., RECEIVED],
            self._passed[place],
            account[..., BIAS],
            account[..., STABILISER],
            account[..., LOST],
            np.zeros_like(self._passed[place]) if self._model is None else self._model[place],
        )

    def __iter__(self) -> Iterator[AuditEntry]:
        return (self[place] for place in range(len(self)))

    def select(self, target: int) -> Audit:
        """The audit of one of k targets."""
        return Audit(
            self._names,
            self._rules,
            self._accounts[:, :, target],
            self._passed[:, :, target],
            None if self._model is None else self._model[:, :, target],
        )

    def samples(self, chosen: Any) -> Audit:
        """The audit of some samples."""
        return Audit(
            self._names,
            self._rules,
            self._accounts[:, chosen],
            self._passed[:, chosen],
            None if self._model is None else self._model[:, chosen],
        )

    def missing(self, share: float) -> np.ndarray | None:
        """What is missing in each layer of each row, (layers, n, k); None where all is there.

        That is |received - passed - bias - stabiliser - lost|, 0 where it is no more than a share
        of what the layer received.
        """
        if self._passed.size <= FEW and self._few_close(share):
            return None
        # in place, for it is asked at every call
        missing = self._accounts.dot(_SIGNS)
        missing -= self._passed
        np.abs(missing, out=missing)
        least = np.abs(self._accounts[..., RECEIVED])
        least *= share
        matters = missing > least
        return np.where(matters, missing, 0.0) if np.count_nonzero(matters) else None

    def _few_close(self, share: float) -> bool:
        """The same for a few accounts, for which plain numbers are quicker than arrays."""
        accounts, passed = self._accounts.reshape(-1, 4).tolist(), self._passed.reshape(-1).tolist()
        for (received, bias, stabiliser, lost), there in zip(accounts, passed, strict=True):
            if not abs(received - bias - stabiliser - lost - there) <= abs(received) * share:
                return False
        return True

    def take_over(self, row: int, target: int, other: Audit) -> None:
        """Take the accounts of one row from the audit of that row alone."""
        self._accounts[:, row, target] = other._accounts[:, 0, 0]
        self._passed[:, row, target] = other._passed[:, 0, 0]

    def scale(self, factor: float, lost: float) -> None:
        """All accounts times a factor; then the last layer, which passed on less, lost that."""
        self._accounts *= factor
        self._passed *= factor
        if len(self):
            self._passed[-1] -= lost
            self._accounts[-1, ..., LOST] += lost

    @staticmethod
    def join(audits: Sequence[Audit]) -> Audit:
        """The audit of a batch from those of its pieces, in their order."""
        first = audits[0]
        accounts = np.concatenate([audit._accounts for audit in audits], axis=1)
        passed = np.concatenate([audit._passed for audit in audits], axis=1)
        model = None
        if first._model is not None:
            model = np.concatenate([audit._model for audit in audits], axis=1)
        return Audit(first._names, first._rules, accounts, passed, model)

    def closes(self, rtol: float = 1e-4) -> bool:
        """Does every account close: |residual| ≤ rtol · (the largest of its parts)?"""
        return all(np.all(np.abs(e.residual) <= rtol * _scale(e)) for e in self)

    def check_conservation(self, rtol: float) -> None:
        """Raise a ConservationError naming the first layer with |received - passed| too large.

        Raises
        ------
        ConservationError
            If |received - passed| > rtol · |received| for any sample.
        """
        for entry in self:
            missing = np.abs(entry.received - entry.passed)
            if np.all(missing <= rtol * np.abs(entry.received)):
                continue
            worst = np.unravel_index(
                int(np.argmax(missing - rtol * np.abs(entry.received))), missing.shape
            )
            place = f"{worst[0]}, target number {worst[1]}" if len(worst) > 1 else f"{worst[0]}"
            raise ConservationError(
                f"layer {entry.name} ({entry.rule!r}) received {entry.received[worst]:g} and "
                f"passed on {entry.passed[worst]:g} for sample {place}: absorbed by the bias "
                f"{entry.bias[worst]:g}, by the stabiliser {entry.stabiliser[worst]:g}, lost "
                f"{entry.lost[worst]:g}"
                + (f", not predicted {entry.model[worst]:g}" if self.has_model else "")
            )

    def complain(self) -> None:
        """Raise a FloatingPointError naming the first layer where relevance overflowed."""
        for entry in self:
            if not all(np.all(np.isfinite(part)) for part in entry.parts):
                raise FloatingPointError(
                    f"relevance overflows in layer {entry.name} ({entry.rule!r}); "
                    "try float64, or a rule with a stabiliser such as Epsilon"
                )

    def table(self) -> list[tuple[str, ...]]:
        """Rows of text: a heading, then a row per layer with sums over samples and targets."""
        heading = ("layer", "rule", "received", "passed on", "bias", "stabiliser", "lost")
        shown = 5 + self.has_model
        lines = [(*heading, "not predicted")[: 2 + shown]]
        for e in self:
            rule = "-" if e.rule is None else str(e.rule)
            with overflowing():
                sums = [f"{np.sum(part):.6g}" for part in e.parts[:shown]]
            lines.append((e.name, rule, *sums))
        return lines

    def __repr__(self) -> str:
        return format_table(self.table())

    def _repr_html_(self) -> str:
        """For notebooks: a table."""
        return table_html(self.table())


def _scale(entry: AuditEntry) -> np.ndarray:
    return np.max([np.abs(part) for part in entry.parts], axis=0)


def format_table(lines: Sequence[Sequence[str]], left: int = 2) -> str:
    """Rows of text in columns, a rule below the heading; the first `left` columns flush left."""
    widths = [max(len(line[c]) for line in lines) for c in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(text)
