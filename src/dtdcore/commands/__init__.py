# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The sub-commands of `dtdcore`, one module each.

Each has `HELP`, one line; `add_arguments(parser)`; and `run(arguments)`, which writes its answer to
the standard output and everything else to the standard error, and raises what goes wrong.
"""
