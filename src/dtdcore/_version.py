# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The version, read from the installed package."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("dtdcore")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
