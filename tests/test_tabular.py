# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Columns summed into groups: nothing lost, nothing counted twice."""

from __future__ import annotations

import numpy as np
import pytest

from dtdcore import tabular

NAMES = ["class", "sex", "age", "port C", "port Q", "port S"]


class TestGroups:
    def test_sums_by_name_and_index_in_place_of_the_first_column(self):
        r = np.arange(12.0).reshape(2, 6)
        summed, names = tabular.sum_groups(r, NAMES, {"port": ["port S", 3, "port Q"]})
        assert names == ["class", "sex", "age", "port"]
        np.testing.assert_array_equal(summed, [[0, 1, 2, 12], [6, 7, 8, 30]])

    def test_the_sum_is_kept_for_any_leading_axes(self):
        r = np.random.default_rng(3).normal(size=(2, 3, 6))
        summed, names = tabular.sum_groups(r, NAMES, {"a": [0, 5], "b": ["age"]})
        assert names == ["a", "sex", "b", "port C", "port Q"]
        np.testing.assert_allclose(summed.sum(-1), r.sum(-1), rtol=1e-14, atol=1e-14)
        one, _ = tabular.sum_groups(r[0, 0], NAMES, {"a": [0, 5]})
        np.testing.assert_array_equal(one[0], summed[0, 0, 0])

    def test_a_group_may_bear_the_name_of_one_of_its_own_columns(self):
        summed, names = tabular.sum_groups(np.ones(6), NAMES, {"age": ["sex", "age"]})
        assert names == ["class", "age", "port C", "port Q", "port S"]
        assert summed[1] == 2.0

    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            ({"port": ["port X"]}, "no column is called 'port X'"),
            ({"port": [6]}, "no column 6"),
            ({"port": [-1]}, "no column -1"),
            ({"port": []}, "must list columns"),
            ({"port": "age"}, "must list columns"),
            ({"a": ["age"], "b": [2]}, "'age' more than once"),
            ({"sex": ["port C", "port Q"]}, "'sex' is also the name"),
            ({"port S": ["port C", "port Q"]}, "'port S' is also the name"),
        ],
    )
    def test_group_errors(self, groups, message):
        with pytest.raises(ValueError, match=message):
            tabular.sum_groups(np.ones(6), NAMES, groups)

    def test_name_errors(self):
        for names in (NAMES[:5], "abcdef"):
            with pytest.raises(ValueError, match="names must list 6 features"):
                tabular.sum_groups(np.ones(6), names, {})
        with pytest.raises(ValueError, match="names must differ"):
            tabular.sum_groups(np.ones(2), ["a", "a"], {})

    def test_the_most_relevant_columns_keep_their_order_and_the_sum(self):
        r = np.array([[1.0, -5.0, 0.5, 3.0], [1.0, 0.0, 0.5, -3.0]])
        kept, names = tabular.most_relevant(r, list("abcd"), 2)
        assert names == ["b", "d", "2 others"]
        np.testing.assert_array_equal(kept, [[-5.0, 3.0, 1.5], [0.0, -3.0, 1.5]])
        for most in (None, 4, 9):
            same, names = tabular.most_relevant(r, list("abcd"), most)
            assert same is r
            assert names == list("abcd")
