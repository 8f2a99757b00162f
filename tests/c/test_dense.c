/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of dense.c and, through it, of the kernels: every function against its formula. */
#include "support.h"

typedef enum {
    FORWARD,             /* option 1: with bias */
    FORWARD_Z,           /* option 0: z alone, 1: a with bias, 2: a without bias */
    SQUARE_SUMS,         /* no options */
    REDISTRIBUTE,        /* option 1: accumulate */
    REDISTRIBUTE_SQUARE, /* no options */
    GRADIENT,            /* no options */
    WEIGHT_GRADIENT      /* option + 1: accumulate, + 2: without gb */
} function;

/* Coefficients of x in p and n, and whether low and high are absent, zeros or numbers. */
typedef enum { ABSENT, ZEROS, NUMBERS } bound;
typedef struct {
    double p_positive, p_negative, n_positive, n_negative;
    bound low, high;
} dense_rule;

static const dense_rule rules[] = {
    {1, 1, 1, 1, ABSENT, ABSENT},       /* z: the forward pass itself */
    {1, 0, 0, 0, ABSENT, ABSENT},       /* p is x where no x is negative */
    {1, 0, 0, 1, ABSENT, ZEROS},        /* positive contributions */
    {0, 1, 1, 0, ABSENT, ABSENT},       /* negative contributions */
    {1.25, 1, 1, 1.25, ABSENT, ABSENT}, /* gamma */
    {1, 1, 0, 0, ZEROS, ABSENT},        /* p is x, no n */
    {2, -0.5, 2, -0.5, ABSENT, ABSENT}, /* p is n, but not x */
    {1, 1, 1, 1, NUMBERS, NUMBERS},     /* box */
    {0, 0, 0, 0, NUMBERS, ABSENT},      /* p does not depend on x */
    {1, 0.5, 0, 0, ABSENT, NUMBERS},    /* n does not depend on x */
};
enum { RULES = sizeof rules / sizeof rules[0] };

/* Every function with every option; the rule where there is one. */
typedef struct {
    function function;
    int option;
    const dense_rule *rule;
} dense_call;
enum { CALLS = 2 + 3 * RULES + 1 + 2 * RULES + 1 + 1 + 4 };

static size_t list_calls(dense_call *calls) {
    size_t count = 0;
    for (int option = 0; option < 2; option++) {
        calls[count++] = (dense_call){FORWARD, option, NULL};
    }
    for (size_t k = 0; k < RULES; k++) {
        for (int option = 0; option < 3; option++) {
            calls[count++] = (dense_call){FORWARD_Z, option, rules + k};
        }
        for (int option = 0; option < 2; option++) {
            calls[count++] = (dense_call){REDISTRIBUTE, option, rules + k};
        }
    }
    calls[count++] = (dense_call){SQUARE_SUMS, 0, NULL};
    calls[count++] = (dense_call){REDISTRIBUTE_SQUARE, 0, NULL};
    calls[count++] = (dense_call){GRADIENT, 0, NULL};
    for (int option = 0; option < 4; option++) {
        calls[count++] = (dense_call){WEIGHT_GRADIENT, option, NULL};
    }
    return count;
}

#define TEMPLATE "test_dense_impl.h"
#include "reals.h"

int main(void) {
    at_every_level(test_ragged_f32);
    at_every_level(test_ragged_f64);
    at_every_level(test_large_f32);
    at_every_level(test_large_f64);
    at_every_level(test_rows_not_read_f32);
    at_every_level(test_rows_not_read_f64);
    at_every_level(test_failing_allocations_f32);
    at_every_level(test_failing_allocations_f64);
    test_arguments_f32();
    test_arguments_f64();
    return check_report("dense");
}
