/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of pool.c: norms of groups, their gradient, redistribution over a group. */
#include "support.h"

static const double powers[] = {1, 2, 3, 1.5, INFINITY};
enum { POWERS = sizeof powers / sizeof powers[0] };

#define TEMPLATE "test_pool_impl.h"
#include "reals.h"

int main(void) {
    at_every_level(test_ragged_f32);
    at_every_level(test_ragged_f64);
    test_borders_f32();
    test_borders_f64();
    test_arguments_f32();
    test_arguments_f64();
    return check_report("pool");
}
