/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, LARGEST) of elementwise.c. */

typedef struct {
    const dtd_kernels *kernels;
    size_t targets, outputs, chunks;
    int shared_z;
    NAME(dtd_quotient_job) job; /* with the pointers of the whole arrays */
    double *totals;             /* of each chunk of each row: what is added to the account */
} NAME(quotient_call);

/* One chunk of one row of relevance. */
static void NAME(quotient_task)(void *context, size_t task, int worker) {
    const NAME(quotient_call) *const call = context;
    const size_t row = task / call->chunks, first = task % call->chunks * QUOTIENT_CHUNK;
    const size_t place = row * call->outputs + first;
    NAME(dtd_quotient_job) job = call->job;
    (void)worker;
    job.count = dtd_min(QUOTIENT_CHUNK, call->outputs - first);
    job.relevance += place;
    job.z += (call->shared_z ? 0 : row / call->targets * call->outputs) + first;
    job.bias = job.bias ? job.bias + first : NULL;
    job.s += place;
    call->kernels->NAME(quotient)(&job, call->totals + task * DTD_ACCOUNT_ENTRIES);
}

int NAME(dtd_quotient)(dtd_dense_shape shape, int shared_z, const REAL *relevance, const REAL *z,
                       const REAL *bias, REAL epsilon, REAL limit, REAL *s, double *account) {
    size_t rows;
    if (dtd_multiply(shape.samples, shape.targets, &rows) ||
        dtd_check_size(rows, shape.outputs, sizeof(REAL)) ||
        dtd_check_size(rows, DTD_ACCOUNT_ENTRIES, sizeof(double))) {
        return DTD_ERROR_SIZE;
    }
    if (!(epsilon >= 0) || !(limit > 0) || (rows > 0 && account == NULL)) {
        return DTD_ERROR_ARGUMENT;
    }
    if (rows == 0 || shape.outputs == 0) {
        return DTD_OK;
    }
    if (relevance == NULL || z == NULL || s == NULL) {
        return DTD_ERROR_ARGUMENT;
    }
    limit = limit < LARGEST ? limit : LARGEST; /* an infinite quotient is lost whatever the limit */
    NAME(quotient_call)
    call = {.kernels = dtd_kernel_table(),
            .targets = shape.targets,
            .outputs = shape.outputs,
            .chunks = dtd_ceil_div(shape.outputs, QUOTIENT_CHUNK),
            .shared_z = shared_z,
            .job = {0, relevance, z, bias, epsilon, limit, s},
            .totals = account};
    const int threads = dtd_threads_for(DTD_PASS * (double)rows * (double)shape.outputs);
    if (call.chunks == 1) {
        dtd_parallel(rows, NAME(quotient_task), &call, threads);
        return DTD_OK;
    }
    const size_t tasks = rows * call.chunks; /* fewer than elements */
    if (dtd_check_size(tasks, DTD_ACCOUNT_ENTRIES, sizeof(double))) {
        return DTD_ERROR_SIZE;
    }
    call.totals = dtd_alloc(tasks * DTD_ACCOUNT_ENTRIES * sizeof(double));
    if (call.totals == NULL) {
        return DTD_ERROR_MEMORY;
    }
    for (size_t i = 0; i < tasks * DTD_ACCOUNT_ENTRIES; i++) {
        call.totals[i] = 0;
    }
    dtd_parallel(tasks, NAME(quotient_task), &call, threads);
    dtd_add_accounts(rows, call.chunks, call.totals, account);
    dtd_free(call.totals);
    return DTD_OK;
}

typedef struct {
    const dtd_kernels *kernels;
    size_t columns, chunks;
    const REAL *x;
    double *sums; /* of each chunk of each row */
} NAME(sums_call);

static void NAME(sums_task)(void *context, size_t task, int worker) {
    const NAME(sums_call) *const call = context;
    const size_t first = task % call->chunks * SUM_CHUNK;
    (void)worker;
    call->kernels->NAME(row_sum)(dtd_min(SUM_CHUNK, call->columns - first),
                                 call->x + task / call->chunks * call->columns + first,
                                 call->sums + task);
}

int NAME(dtd_row_sums)(size_t rows, size_t columns, const REAL *x, double *sums) {
    if (dtd_check_size(rows, columns, sizeof(REAL)) || dtd_check_size(rows, 1, sizeof(double))) {
        return DTD_ERROR_SIZE;
    }
    if (rows > 0 && (sums == NULL || (columns > 0 && x == NULL))) {
        return DTD_ERROR_ARGUMENT;
    }
    const int threads = dtd_threads_for(DTD_PASS * (double)rows * (double)columns);
    NAME(sums_call)
    call = {dtd_kernel_table(), columns, dtd_max(1, dtd_ceil_div(columns, SUM_CHUNK)), x, sums};
    if (call.chunks == 1) {
        dtd_parallel(rows, NAME(sums_task), &call, threads);
        return DTD_OK;
    }
    const size_t tasks = rows * call.chunks;
    call.sums = dtd_alloc(tasks * sizeof(double));
    if (call.sums == NULL) {
        return DTD_ERROR_MEMORY;
    }
    dtd_parallel(tasks, NAME(sums_task), &call, threads);
    for (size_t row = 0; row < rows; row++) {
        double sum = 0;
        for (size_t chunk = 0; chunk < call.chunks; chunk++) {
            sum += call.sums[row * call.chunks + chunk];
        }
        sums[row] = sum;
    }
    dtd_free(call.sums);
    return DTD_OK;
}

/* Bounds of the numbers of a row: one for all where they do not vary. */
typedef struct {
    size_t inputs, chunks;
    const REAL *x, *low, *high;
    int low_varies, high_varies;
    size_t *found; /* of each chunk: the first outside, or its count */
} NAME(outside_call);

/* Position of the first of x[0 .. count - 1] that is outside, begin being the column of x[0]; or count. */
static size_t NAME(outside)(const NAME(outside_call) *call, const REAL *x, size_t begin,
                            size_t count) {
    enum { BLOCK = 256 };
    for (size_t first = 0; first < count; first += BLOCK) {
        const REAL *const block = x + first;
        const REAL *const low = call->low + (call->low_varies ? begin + first : 0);
        const REAL *const high = call->high + (call->high_varies ? begin + first : 0);
        const size_t some = dtd_min(BLOCK, count - first);
        int inside = 0;
        if (!call->low_varies && !call->high_varies) {
            const REAL least = low[0], most = high[0];
            for (size_t i = 0; i < some; i++) {
                inside += (block[i] >= least) & (block[i] <= most) & (block[i] - block[i] == 0);
            }
        } else {
            for (size_t i = 0; i < some; i++) {
                const REAL least = low[call->low_varies ? i : 0];
                const REAL most = high[call->high_varies ? i : 0];
                inside += (block[i] >= least) & (block[i] <= most) & (block[i] - block[i] == 0);
            }
        }
        if ((size_t)inside == some) {
            continue;
        }
        for (size_t i = 0; i < some; i++) {
            const REAL least = low[call->low_varies ? i : 0];
            const REAL most = high[call->high_varies ? i : 0];
            if (!(block[i] >= least && block[i] <= most && block[i] - block[i] == 0)) {
                return first + i;
            }
        }
    }
    return count;
}

static void NAME(outside_task)(void *context, size_t task, int worker) {
    const NAME(outside_call) *const call = context;
    const size_t row = task / call->chunks, begin = task % call->chunks * ROW_CHUNK;
    (void)worker;
    call->found[task] = NAME(outside)(call, call->x + row * call->inputs + begin, begin,
                                      dtd_min(ROW_CHUNK, call->inputs - begin));
}

int NAME(dtd_first_outside)(size_t samples, size_t inputs, const REAL *x, const REAL *low,
                            size_t low_count, const REAL *high, size_t high_count, size_t *index) {
    if (dtd_check_size(samples, inputs, sizeof(REAL))) {
        return DTD_ERROR_SIZE;
    }
    if (index == NULL || (low_count != 1 && low_count != inputs) ||
        (high_count != 1 && high_count != inputs)) {
        return DTD_ERROR_ARGUMENT;
    }
    *index = samples * inputs;
    if (*index == 0) {
        return DTD_OK;
    }
    if (x == NULL || low == NULL || high == NULL) {
        return DTD_ERROR_ARGUMENT;
    }
    NAME(outside_call)
    call = {inputs, dtd_ceil_div(inputs, ROW_CHUNK), x, low, high, low_count != 1, high_count != 1,
            NULL};
    const size_t tasks = samples * call.chunks;
    const int threads = tasks > 1 ? dtd_threads_for(DTD_PASS * (double)*index) : 1;
    /* without scratch memory as with one thread */
    call.found = threads > 1 ? dtd_alloc(tasks * sizeof(size_t)) : NULL;
    if (call.found != NULL) {
        dtd_parallel(tasks, NAME(outside_task), &call, threads);
    }
    for (size_t task = 0; task < tasks; task++) {
        const size_t row = task / call.chunks, begin = task % call.chunks * ROW_CHUNK;
        const size_t count = dtd_min(ROW_CHUNK, inputs - begin), place = row * inputs + begin;
        const size_t first =
            call.found ? call.found[task] : NAME(outside)(&call, x + place, begin, count);
        if (first < count) {
            *index = place + first;
            break;
        }
    }
    dtd_free(call.found);
    return DTD_OK;
}
