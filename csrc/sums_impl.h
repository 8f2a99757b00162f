/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, LARGEST) of sums.c. */

typedef struct {
    const dtd_kernels *kernels;
    size_t count;
    const REAL *x, *y;
    REAL ceiling;
    REAL *sum;
} NAME(add_call);

static void NAME(add_task)(void *context, size_t task, int worker) {
    const NAME(add_call) *const call = context;
    const size_t first = task * ADD_CHUNK;
    (void)worker;
    call->kernels->NAME(add)(dtd_min(ADD_CHUNK, call->count - first), call->x + first,
                             call->y + first, call->ceiling, call->sum + first);
}

int NAME(dtd_add)(size_t count, const REAL *x, const REAL *y, REAL ceiling, REAL *sum) {
    if (dtd_check_size(count, 1, sizeof(REAL))) {
        return DTD_ERROR_SIZE;
    }
    if (count > 0 && (x == NULL || y == NULL || sum == NULL)) {
        return DTD_ERROR_ARGUMENT;
    }
    NAME(add_call) call = {dtd_kernel_table(), count, x, y, ceiling, sum};
    dtd_parallel(dtd_ceil_div(count, ADD_CHUNK), NAME(add_task), &call,
                 dtd_threads_for(DTD_PASS * (double)count));
    return DTD_OK;
}

typedef struct {
    const dtd_kernels *kernels;
    NAME(dtd_share_job) job; /* with the pointers of the whole arrays */
    size_t targets, outputs, chunks;
    double *totals; /* of each chunk of each row */
} NAME(share_call);

static void NAME(share_task)(void *context, size_t task, int worker) {
    const NAME(share_call) *const call = context;
    const size_t row = task / call->chunks, first = task % call->chunks * SHARE_CHUNK;
    NAME(dtd_share_job) job = call->job;
    (void)worker;
    job.count = dtd_min(SHARE_CHUNK, call->outputs - first);
    job.relevance += row * call->outputs + first;
    for (size_t m = 0; m < job.summands; m++) {
        job.x[m] += row / call->targets * call->outputs + first;
        job.r[m] += row * call->outputs + first;
    }
    call->kernels->NAME(share)(&job, call->totals + task * DTD_ACCOUNT_ENTRIES);
}

int NAME(dtd_share)(dtd_dense_shape shape, size_t summands, const REAL *const *x, REAL p_positive,
                    REAL p_negative, REAL epsilon, REAL limit, const REAL *relevance,
                    REAL *const *r, double *account) {
    size_t rows;
    if (dtd_multiply(shape.samples, shape.targets, &rows) ||
        dtd_check_size(rows, shape.outputs, sizeof(REAL)) ||
        dtd_check_size(rows, DTD_ACCOUNT_ENTRIES, sizeof(double))) {
        return DTD_ERROR_SIZE;
    }
    if (summands > DTD_SUMMANDS || !(epsilon >= 0) || !(limit > 0) || x == NULL || r == NULL ||
        (rows > 0 && account == NULL)) {
        return DTD_ERROR_ARGUMENT;
    }
    if (rows == 0 || shape.outputs == 0) {
        return DTD_OK;
    }
    NAME(share_call)
    call = {.kernels = dtd_kernel_table(),
            .job = {.summands = summands,
                    .p_positive = p_positive,
                    .p_negative = p_negative,
                    .epsilon = epsilon,
                    .limit = limit < LARGEST ? limit : LARGEST,
                    .relevance = relevance},
            .targets = shape.targets,
            .outputs = shape.outputs,
            .chunks = dtd_ceil_div(shape.outputs, SHARE_CHUNK)};
    if (relevance == NULL) {
        return DTD_ERROR_ARGUMENT;
    }
    for (size_t m = 0; m < summands; m++) {
        if (x[m] == NULL || r[m] == NULL) {
            return DTD_ERROR_ARGUMENT;
        }
        call.job.x[m] = x[m];
        call.job.r[m] = r[m];
    }
    const size_t tasks = rows * call.chunks; /* fewer than numbers */
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
    dtd_parallel(
        tasks, NAME(share_task), &call,
        dtd_threads_for(DTD_PASS * (double)rows * (double)shape.outputs * (double)summands));
    dtd_add_accounts(rows, call.chunks, call.totals, account);
    dtd_free(call.totals);
    return DTD_OK;
}
