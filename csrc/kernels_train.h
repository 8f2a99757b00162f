/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of kernels.c: gradient descent, the gradient never leaves the registers. */

/* The smallest normal number, and columns of a tile, in vectors: with accumulators and operands in 16 registers. */
#define DESCENT_TINY (sizeof(REAL) == 4 ? (REAL)1.17549435e-38 : (REAL)2.2250738585072014e-308)
#define DESCENT_VECTORS 8

/* Samples of the batch with g_nj != 0 for one row j. */
typedef struct {
    size_t count;
    const size_t *offsets; /* where each begins in x */
    const REAL *g;
} NAME(descent_list);

/*
 * vectors (of columns) of one row: v = momentum v + sum_n g_n x_n, w = w - rate v; n ascending. moves: there is a v.
 * A v below the smallest normal number becomes 0: it would only be in the way, since momentum shrinks the velocity of
 * an input that is never seen again for ever, and arithmetic on such numbers is slow. NaN stays NaN.
 */
DTD_INLINE void NAME(descent_tile)(const int moves, const size_t vectors, const int whole,
                                   size_t count, const NAME(descent_list) *list, const REAL *x,
                                   REAL momentum, REAL rate, REAL *w, REAL *v) {
    VEC sums[DESCENT_VECTORS];
    DTD_UNROLL
    for (size_t k = 0; k < vectors; k++) {
        sums[k] = moves ? LOAD(v + k * LANES) * NAME(vec_set)(momentum) : (VEC){0};
    }
    for (size_t n = 0; n < list->count; n++) {
        const REAL *const row = x + list->offsets[n];
        const VEC factor = NAME(vec_set)(list->g[n]);
        DTD_UNROLL
        for (size_t k = 0; k < vectors; k++) {
            sums[k] = FMA(LOAD(row + k * LANES), factor, sums[k]);
        }
    }
    const VEC tiny = NAME(vec_set)(DESCENT_TINY), step = NAME(vec_set)(-rate);
    DTD_UNROLL
    for (size_t k = 0; k < vectors; k++) {
        const IVEC below = (sums[k] < tiny) & (sums[k] > -tiny);
        const VEC velocity = (VEC)((IVEC)sums[k] & ~below);
        if (moves) {
            STORE(v + k * LANES, velocity);
        }
        STORE(w + k * LANES, FMA(velocity, step, LOAD(w + k * LANES)));
    }
}

/* DESCENT_ROWS rows share the columns of x that are in the first-level cache; weights are read and written once. */
DTD_INLINE void NAME(descent_rows)(const int moves, size_t rows, const NAME(descent_list) *lists,
                                   const NAME(dtd_descent_job) *job, REAL *w, REAL *v) {
    const size_t inputs = job->inputs;
    size_t i = 0;
    for (; i + DESCENT_VECTORS * LANES <= inputs; i += DESCENT_VECTORS * LANES) {
        for (size_t j = 0; j < rows; j++) {
            if (moves || lists[j].count > 0) {
                NAME(descent_tile)(moves, DESCENT_VECTORS, 1, LANES, lists + j, job->x + i,
                                   job->momentum, job->rate, w + j * inputs + i,
                                   moves ? v + j * inputs + i : NULL);
            }
        }
    }
    for (; i < inputs; i += LANES) {
        for (size_t j = 0; j < rows; j++) {
            if (moves || lists[j].count > 0) {
                NAME(descent_tile)(moves, 1, 0, inputs - i < LANES ? inputs - i : LANES, lists + j,
                                   job->x + i, job->momentum, job->rate, w + j * inputs + i,
                                   moves ? v + j * inputs + i : NULL);
            }
        }
    }
}

/* See dtd_descent_job. Without velocities rows whose g is 0 for the whole batch are not touched. */
static void NAME(descend)(const NAME(dtd_descent_job) *job) {
    NAME(descent_list) lists[DTD_DESCENT_ROWS];
    REAL *const g_memory = job->scratch;
    size_t *const offset_memory = (size_t *)(void *)(g_memory + job->batch * DTD_DESCENT_ROWS);
    const int moves = job->w_velocity != NULL;
    for (size_t row = 0; row < job->rows; row += DTD_DESCENT_ROWS) {
        const size_t rows = job->rows - row < DTD_DESCENT_ROWS ? job->rows - row : DTD_DESCENT_ROWS;
        for (size_t j = 0; j < rows; j++) {
            REAL *const g = g_memory + j * job->batch;
            size_t *const offsets = offset_memory + j * job->batch;
            REAL sum = moves ? job->momentum * job->b_velocity[row + j] : 0;
            size_t count = 0;
            for (size_t n = 0; n < job->batch; n++) {
                g[count] = job->g[n * job->g_stride + row + j];
                offsets[count] = n * job->inputs;
                sum += g[count];
                count += g[count] != 0;
            }
            lists[j] = (NAME(descent_list)){count, offsets, g};
            sum = sum < DESCENT_TINY && sum > -DESCENT_TINY ? 0 : sum;
            if (moves) {
                job->b_velocity[row + j] = sum;
            }
            const REAL bias = job->b[row + j] - job->rate * sum;
            job->b[row + j] = bias > 0 ? 0 : bias;
        }
        REAL *const w = job->w + row * job->inputs;
        if (moves) {
            NAME(descent_rows)(1, rows, lists, job, w, job->w_velocity + row * job->inputs);
        } else {
            NAME(descent_rows)(0, rows, lists, job, w, NULL);
        }
    }
}
#undef DESCENT_TINY
#undef DESCENT_VECTORS
