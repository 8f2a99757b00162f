# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The experiments of the method's paper and seminar, on real data, from training to the figure.

`pairs`: find a digit beside a distractor (scikit-learn's digits or MNIST), explained by four
methods. `titanic`: who survived, and what spoke for it.
"""
