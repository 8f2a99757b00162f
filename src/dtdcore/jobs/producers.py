# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the producer of a model file says about the preprocessing of pictures."""

from __future__ import annotations

import re

#: What the name of a model file's producer says about the preprocessing; the first is taken.
_PRODUCERS = (
    (re.compile("caffe", re.IGNORECASE), "caffe"),
    (re.compile("pytorch", re.IGNORECASE), "torchvision"),
    (re.compile(r"keras|tensorflow|\btf", re.IGNORECASE), "minus1-1"),
)


def preset_of_producer(producer: str) -> str | None:
    """The name of the preset that networks of a producer usually take; None: not known.

    `producer` is what a model file says about who made it (`Network.producer`).
    """
    return next((name for pattern, name in _PRODUCERS if pattern.search(producer)), None)
