# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Draw the README's first picture, by running its first block of Python as it stands.

    python bench/first_picture.py

Writes bench/results/digit.png (extras sklearn and plot).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run the block in bench/results."""
    text = (HERE.parent / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    if block is None:
        raise SystemExit("README.md has no block of Python")
    os.chdir(HERE / "results")
    exec(compile(block.group(1), "README.md", "exec"), {})
    print(f"wrote {Path('digit.png').resolve()}")


if __name__ == "__main__":
    main()
