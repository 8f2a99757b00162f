/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests share: levels, numbers, buffers that end with their last element, comparisons. */
#ifndef DTD_SUPPORT_H
#define DTD_SUPPORT_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dtd_internal.h"

enum { MOST_THREADS = 3 };

/* Two of them overflow any product with 3. */
#define HUGE_SIZE (SIZE_MAX / 2)

/* A test for vectors of so many bytes, at every level that this processor runs. */
static inline void at_every_level(void (*test)(size_t vector_bytes)) {
    const char *name;
    int supported;
    for (size_t i = 0; (name = dtd_isa_level(i, &supported)) != NULL; i++) {
        if (supported) {
            CHECK(dtd_select_isa(name) == DTD_OK);
            CHECK(strcmp(dtd_isa_name(), name) == 0);
            test(strcmp(name, "x86-64-v4") == 0 ? 64 : strcmp(name, "x86-64-v3") == 0 ? 32 : 16);
        }
    }
    CHECK(dtd_select_isa(NULL) == DTD_OK);
}

/* Whole numbers below limit, the same in every run. */
static inline uint32_t random_below(uint32_t limit) {
    static uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % limit;
}

/* Memory of exactly so many elements; a test cannot go on without it. */
static inline void *new_memory(size_t count, size_t element) {
    void *const memory = malloc(count * element);
    if (memory == NULL && count > 0) {
        fputs("no memory for the test\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

static inline double *new_doubles(size_t count, double value) {
    double *const x = new_memory(count, sizeof(double));
    for (size_t i = 0; i < count; i++) {
        x[i] = value;
    }
    return x;
}

static inline int same_bytes(size_t bytes, const void *a, const void *b) {
    return bytes == 0 || memcmp(a, b, bytes) == 0;
}

#define REAL float
#define SUFFIX f32
#define REAL_EPSILON FLT_EPSILON
#include "support_impl.h"
#undef REAL
#undef SUFFIX
#undef REAL_EPSILON

#define REAL double
#define SUFFIX f64
#define REAL_EPSILON DBL_EPSILON
#include "support_impl.h"
#undef REAL
#undef SUFFIX
#undef REAL_EPSILON

#endif
