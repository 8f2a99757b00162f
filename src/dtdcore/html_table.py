# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Tables for notebooks, which stay aligned under any style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table_html(lines: Sequence[Sequence[str]], left: int = 2) -> str:
    """Rows of text as a table, the first a heading; the first `left` columns flush left."""
    rows = [
        "".join(
            f'<{tag} style="text-align:{"left" if column < left else "right"};padding:0.2em 0.6em">'
            f"{escape(cell)}</{tag}>"
            for column, cell in enumerate(line)
        )
        for line, tag in zip(lines, ["th", *["td"] * (len(lines) - 1)], strict=True)
    ]
    style = "margin:0.6em 0;table-layout:auto;border-collapse:collapse;white-space:nowrap"
    return (
        f'<div style="overflow-x:auto"><table style="{style};font-variant-numeric:tabular-nums">'
        f"<thead><tr>{rows[0]}</tr></thead>"
        f"<tbody>{''.join(f'<tr>{row}</tr>' for row in rows[1:])}</tbody></table></div>"
    )
