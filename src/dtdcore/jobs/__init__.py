# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Files in, files out: what the command line does with a network and a user's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Something that the user gave is wrong; the command line says it in one line."""


class OptionError(ValueError):
    """A file can be read only where an option says how."""


class AllFailedError(Exception):
    """Every input failed; the command line says so in one line."""


@contextmanager
def user_errors(prefix: str = "") -> Iterator[None]:
    """Turn what is wrong with user input, and numbers that overflow, into `UserError`."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UserError(f"{prefix}{error}") from error
