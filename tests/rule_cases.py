# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Each rule with the oracle's shares, for tests of layers that have learned nothing."""

from __future__ import annotations

import numpy as np
import reference as ref

import dtdcore as dtd

#: Rules with the oracle's shares and ε; the bias in z as the rule has it.
RULES = {
    "Z": (dtd.Z(), ref.shares_z, 0.0),
    "Z no bias": (dtd.Z(bias=False), lambda x, w, b: ref.shares_z(x, w), 0.0),
    "Epsilon": (dtd.Epsilon(0.3), ref.shares_z, 0.3),
    "ZPlus": (dtd.ZPlus(), lambda x, w, b: ref.shares_z_plus(x, w), 0.0),
    "ZPlus bias": (dtd.ZPlus(bias=True), ref.shares_z_plus, 0.0),
    "ZB": (dtd.ZB(-3, 3), lambda x, w, b: ref.shares_z_box(x, w, low=-3, high=3), 0.0),
    "Gamma": (dtd.Gamma(0.5), lambda x, w, b: ref.shares_gamma(x, w, b, gamma=0.5), 0.0),
    "GeneralizedGamma": (
        dtd.GeneralizedGamma(0.5),
        lambda x, w, b: ref.shares_generalized_gamma(x, w, b, gamma=0.5),
        0.0,
    ),
    "AlphaBeta": (
        dtd.AlphaBeta(2, 1),
        lambda x, w, b: ref.shares_alpha_beta(x, w, b, alpha=2, beta=1),
        0.0,
    ),
    "AlphaBeta conserve": (
        dtd.AlphaBeta(2, 1, conserve=True),
        lambda x, w, b: ref.shares_alpha_beta(x, w, b, alpha=2, beta=1, conserve=True),
        0.0,
    ),
    "WSquare": (dtd.WSquare(), lambda x, w, b: ref.shares_w_square(x, w), 0.0),
    "WSquare bias": (dtd.WSquare(bias=True), ref.shares_w_square, 0.0),
    "Flat": (dtd.Flat(), lambda x, w, b: ref.shares_flat(x, w), 0.0),
}


def normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


def assert_account(step, saved, relevance, expected, dtype):
    """The account of a step that runs alone, against the oracle's."""
    account = np.zeros((*relevance.shape[:2], 4))
    passed = step.redistribute(saved, relevance, account)
    rtol = 1e-4 if dtype == np.float32 else 1e-10
    scale = np.abs(relevance).sum(axis=tuple(range(2, relevance.ndim)), dtype=float)
    scale = scale + expected.scale.sum(axis=-1)
    columns = (expected.received, expected.bias, expected.stabiliser, expected.lost)
    for column, part in enumerate(columns):
        assert (np.abs(account[:, :, column] - part) <= rtol * scale).all()
    return passed
