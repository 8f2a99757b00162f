/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, REAL_EPSILON) of support.h. */

/* Room for results, full of NaN, which no function may leave there. */
static inline REAL *NAME(new_room)(size_t count) {
    REAL *const x = new_memory(count, sizeof(REAL));
    for (size_t i = 0; i < count; i++) {
        x[i] = (REAL)NAN;
    }
    return x;
}

/* Numbers from least to most, about one in eight of them 0. */
static inline REAL *NAME(new_values)(size_t count, double least, double most) {
    REAL *const x = new_memory(count, sizeof(REAL));
    for (size_t i = 0; i < count; i++) {
        const double share = (double)random_below(1 << 20) / (1 << 20);
        x[i] = random_below(8) == 0 ? 0 : (REAL)(least + (most - least) * share);
    }
    return x;
}

static inline REAL *NAME(new_copy)(size_t count, const REAL *x) {
    REAL *const copy = new_memory(count, sizeof(REAL));
    if (count > 0) {
        memcpy(copy, x, count * sizeof(REAL));
    }
    return copy;
}

static inline int NAME(same)(size_t count, const REAL *a, const REAL *b) {
    return same_bytes(count * sizeof(REAL), a, b);
}

/* Sums of so many terms whose absolute values add up to size, equal but for rounding. */
static inline int NAME(close)(size_t count, const REAL *got, const double *want, const double *size,
                              size_t terms) {
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)got[i] - want[i]) <=
              (8 + (double)terms) * (double)REAL_EPSILON * size[i])) {
            fprintf(stderr, "element %zu: got %.17g, expected %.17g\n", i, (double)got[i], want[i]);
            return 0;
        }
    }
    return 1;
}
