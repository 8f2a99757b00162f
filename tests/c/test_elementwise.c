/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of elementwise.c: quotient, sums of rows, the search for elements outside. */
#include "support.h"

#define REAL float
#define SUFFIX f32
#define STEP ((double)FLT_EPSILON)
#define SMALLEST FLT_MIN
#define LARGEST FLT_MAX
#include "test_elementwise_impl.h"
#undef REAL
#undef SUFFIX
#undef STEP
#undef SMALLEST
#undef LARGEST

#define REAL double
#define SUFFIX f64
#define STEP DBL_EPSILON
#define SMALLEST DBL_MIN
#define LARGEST DBL_MAX
#include "test_elementwise_impl.h"
#undef REAL
#undef SUFFIX
#undef STEP
#undef SMALLEST
#undef LARGEST

int main(void) {
    at_every_level(test_quotients_f32);
    at_every_level(test_quotients_f64);
    test_borders_of_the_quotient_f32();
    test_borders_of_the_quotient_f64();
    test_row_sums_f32();
    test_row_sums_f64();
    test_first_outside_f32();
    test_first_outside_f64();
    test_arguments_f32();
    test_arguments_f64();
    return check_report("elementwise");
}
