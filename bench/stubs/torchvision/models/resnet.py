# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The two names that Zennit imports; no network here has such modules."""


class BasicBlock:
    """No module is an instance of it."""


class Bottleneck:
    """No module is an instance of it."""
