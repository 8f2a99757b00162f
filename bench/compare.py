# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Two result files side by side: `python bench/compare.py old.json new.json`.

Prints for each case the ratio new / old of the medians, each first divided by the median of the
reference contender's forward pass in its own run, so that a slower machine does not look like a
slower library.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def medians(path: Path, reference: str) -> dict[tuple[str, str, str], float]:
    """{(case, contender, operation): median over the reference's forward pass} of a file."""
    content = json.loads(path.read_text())
    cases = content.get("cases") or [{"case": content["case"], "seconds": content["seconds"]}]
    result = {}
    for entry in cases:
        name = " ".join(f"{key}={value}" for key, value in entry["case"].items())
        base = entry["seconds"].get(reference, {}).get("forward", {}).get("median", 1.0)
        for contender, operations in entry["seconds"].items():
            for op, times in operations.items():
                result[name, contender, op] = times["median"] / base
    return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--reference", default="torch")
    options = parser.parse_args()
    old, new = (medians(path, options.reference) for path in (options.old, options.new))
    for key in old:
        if key in new:
            case, contender, op = key
            print(
                f"{case:40}{contender:12}{op:24}{old[key]:9.3f}{new[key]:9.3f}"
                f"{new[key] / old[key]:9.3f}"
            )
    for key in old.keys() ^ new.keys():
        print("only in one file:", *key)


if __name__ == "__main__":
    main()
