# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What importers say of operators that are not supported: short, and how to go on without them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

#: No message is longer than this: some hold what another library says.
LONGEST = 600


def not_supported(title: str, name: str, known: Iterable[str]) -> str:
    """That an operator is none of those that are known; names those that are written alike."""
    known = sorted(known)
    close = get_close_matches(name, known, 3, 0.7)
    alike = f"Written alike, and supported: {', '.join(close)}. " if close else ""
    return f"{title} is not supported. {alike}The README lists the {len(known)} known"


def with_way_out(reason: str, before: str | None, behind: str | None) -> str:
    """An error with the way to cut the network there.

    `before` and `behind` say how the part before an operator is imported, and that behind it; None
    where there is none.
    """
    reason = reason if len(reason) <= LONGEST else f"{reason[:LONGEST]} ..."
    ways = [
        f"  {way} explains the part {where} it"
        for way, where in ((before, "before"), (behind, "behind"))
        if way is not None
    ]
    if not ways:
        return reason
    stop = "" if reason.endswith(".") else "."
    return "\n".join([f"{reason}{stop}", "Cut the network there:", *ways])
