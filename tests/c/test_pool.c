/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of pool.c: norms of groups, their gradient, redistribution over a group. */
#include "support.h"

static const double powers[] = {1, 2, 3, 1.5, INFINITY};
enum { POWERS = sizeof powers / sizeof powers[0] };

#define REAL float
#define SUFFIX f32
#define LARGEST FLT_MAX
#include "test_pool_impl.h"
#undef REAL
#undef SUFFIX
#undef LARGEST

#define REAL double
#define SUFFIX f64
#define LARGEST DBL_MAX
#include "test_pool_impl.h"
#undef REAL
#undef SUFFIX
#undef LARGEST

int main(void) {
    at_every_level(test_ragged_f32);
    at_every_level(test_ragged_f64);
    test_borders_f32();
    test_borders_f64();
    test_arguments_f32();
    test_arguments_f64();
    return check_report("pool");
}
