# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What could not be read or explained, for people: one line for each reason."""

from __future__ import annotations

from collections.abc import Sequence

#: Lines, and names in one of them, that are written out.
_LINES, _NAMES = 20, 5


def failure_lines(failures: Sequence[tuple[str, str]]) -> list[str]:
    """Names and reasons; names that share a reason share a line.

    Parameters
    ----------
    failures : sequence of (name, reason)
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in failures:
        by_reason.setdefault(reason, []).append(name)
    lines = [f"{_listed(names)}: {reason}" for reason, names in by_reason.items()]
    if len(lines) > _LINES:
        rest = sum(len(names) for names in list(by_reason.values())[_LINES:])
        lines[_LINES:] = [f"... and {rest} more (--json lists all)"]
    return lines


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _NAMES:
        return ", ".join(names)
    return f"{', '.join(names[: _NAMES - 1])}, ..., {names[-1]} ({len(names)} in all)"
