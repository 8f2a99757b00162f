/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of the dense layer: validate, take scratch memory, cut into tasks. */
#include <string.h>

#include "dtd_internal.h"

/* A forward task: so many rows at most, a multiple of all tiles; bytes of x, p, n that stay in a second-level cache
 * while its rows pass by, for a multiple of all tiles' samples. */
enum { FORWARD_ROWS = 72, ROW_STEP = 12, FORWARD_BYTES = 384 * 1024, SAMPLE_STEP = 12 };

/* Bytes of one task's block of c: well inside a second-level cache. */
enum { SPREAD_BYTES = 256 * 1024 };

/* Columns of a task are a multiple of this, so that tasks share no cache line of an aligned row. */
enum { COLUMN_STEP = 32 };

typedef struct {
    size_t chunk, count;
} cut;

/* Cut size into chunks of at most most, each a multiple of step but the last, at least wanted of them if possible. */
static cut cut_into(size_t size, size_t most, size_t step, size_t wanted) {
    size_t chunk = dtd_ceil_div(size, dtd_max(wanted, 1));
    const size_t pieces = dtd_ceil_div(size, dtd_max(dtd_min(chunk, most), 1));
    chunk = dtd_ceil_div(size, dtd_max(pieces, 1));
    chunk = dtd_max(dtd_ceil_div(chunk, step) * step, step);
    return (cut){chunk, dtd_ceil_div(size, chunk)};
}

static double work_of(size_t a, size_t b, size_t c) { return (double)a * (double)b * (double)c; }

#define TEMPLATE "term_facts.h"
#include "reals.h"
#define TEMPLATE "dense_forward.h"
#include "reals.h"
#define TEMPLATE "dense_spread.h"
#include "reals.h"
