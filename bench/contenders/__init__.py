# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""What is timed: a module per contender with `versions`, `set_threads` and `prepare(**case)`."""
