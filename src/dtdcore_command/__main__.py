# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""`python -m dtdcore_command`: the program."""

import sys

from dtdcore_command import main

sys.exit(main())
