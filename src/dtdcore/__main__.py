# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`python -m dtdcore`: the command line."""

import sys

from dtdcore.cli import main

sys.exit(main())
