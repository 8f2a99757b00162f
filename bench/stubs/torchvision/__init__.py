# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""An empty stand-in for torchvision, whose binary does not load beside a CPU build of PyTorch.

Zennit imports two classes from it, only to recognise networks made of them. None of ours are.
"""
