# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Steps: one layer, made ready for one rule and one dtype; the only path to the core."""
