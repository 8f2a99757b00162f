/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of elementwise.c: quotient, sums of rows, the search for elements outside. */
#include "support.h"

#define TEMPLATE "test_elementwise_impl.h"
#include "reals.h"

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
