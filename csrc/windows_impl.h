/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, LARGEST) of windows.c. */

/* Sizes of a call: elements of one block of an image, before and after the pool, and its multiply-adds. */
typedef struct {
    size_t blocks, rows, lines, in, out;
    double work;
} NAME(window_sizes);

typedef struct {
    const dtd_kernels *kernels;
    const dtd_window *window;
    NAME(window_sizes) sizes;
    dtd_pool_kind kind;
    double p;
    const REAL *x;
    REAL *y;
} NAME(window_pool_call);

typedef struct {
    const dtd_kernels *kernels;
    NAME(window_sizes) sizes;
    NAME(dtd_window_job) job; /* with the pointers of the whole arrays */
} NAME(window_spread_call);

/* One row of windows of one block. */
static void NAME(window_pool_task)(void *context, size_t task, int worker) {
    const NAME(window_pool_call) *const call = context;
    const NAME(window_sizes) *const sizes = &call->sizes;
    const size_t block = task / sizes->lines, row = task % sizes->lines;
    (void)worker;
    call->kernels->NAME(window_pool)(
        call->window, call->kind, call->p, row, call->x + block * sizes->in,
        call->y + block * sizes->out + row * call->window->out[2] * DTD_BLOCK);
}

/* One block of one target of one sample. */
static void NAME(window_spread_task)(void *context, size_t task, int worker) {
    const NAME(window_spread_call) *const call = context;
    const NAME(window_sizes) *const sizes = &call->sizes;
    NAME(dtd_window_job) job = call->job;
    const size_t row = task / sizes->blocks, block = task % sizes->blocks;
    (void)worker;
    if (job.x != NULL) {
        job.x += (row / job.window->targets * sizes->blocks + block) * sizes->in;
    }
    if (job.factor.low != NULL) {
        job.factor.low += block * sizes->in;
    }
    job.g += task * sizes->out;
    job.r += task * sizes->in;
    if (job.totals != NULL) {
        job.totals += task * DTD_ACCOUNT_ENTRIES;
    }
    call->kernels->NAME(window_spread)(&job);
}

/* Nothing in the kernels can overflow when this is DTD_OK. */
static int NAME(check_window)(const dtd_window *window, NAME(window_sizes) *sizes) {
    const size_t most = (size_t)-1 / 8;
    size_t in = DTD_BLOCK, out = DTD_BLOCK, count;
    double size = 1;
    if (window->channels > (size_t)-1 - DTD_BLOCK) {
        return DTD_ERROR_SIZE;
    }
    sizes->blocks = dtd_ceil_div(window->channels, DTD_BLOCK);
    for (int axis = 0; axis < 3; axis++) {
        size_t extent, reach;
        if (window->size[axis] == 0 || window->stride[axis] == 0 || window->dilation[axis] == 0) {
            return DTD_ERROR_ARGUMENT;
        }
        if (dtd_multiply(in, window->in[axis], &in) || dtd_multiply(out, window->out[axis], &out) ||
            dtd_multiply(window->size[axis], window->dilation[axis], &extent) ||
            dtd_multiply(window->out[axis], window->stride[axis], &reach) || extent > most ||
            reach > most || window->in[axis] > most || window->before[axis] > most ||
            window->after[axis] > most) {
            return DTD_ERROR_SIZE;
        }
        size *= (double)window->size[axis];
    }
    sizes->in = in;
    sizes->out = out;
    sizes->lines = window->out[0] * window->out[1];
    if (dtd_multiply(window->samples, window->targets, &sizes->rows) ||
        dtd_multiply(dtd_max(sizes->rows, window->samples), sizes->blocks, &count) ||
        dtd_check_size(count, in, sizeof(REAL)) || dtd_check_size(count, out, sizeof(REAL)) ||
        dtd_check_size(count, DTD_ACCOUNT_ENTRIES, sizeof(double))) {
        return DTD_ERROR_SIZE;
    }
    sizes->work = (double)count * ((double)in + (double)out * size);
    return DTD_OK;
}

int NAME(dtd_window_pool)(dtd_window window, dtd_pool_kind kind, double p, const REAL *x, REAL *y) {
    NAME(window_pool_call)
    call = {.kernels = dtd_kernel_table(), .window = &window, .kind = kind, .p = p, .x = x, .y = y};
    window.targets = 1;
    const int status = NAME(check_window)(&window, &call.sizes);
    if (status) {
        return status;
    }
    const size_t blocks = window.samples * call.sizes.blocks;
    if ((unsigned)kind >= DTD_POOL_KINDS || (kind == DTD_POOL_NORM && !(p >= 1))) {
        return DTD_ERROR_ARGUMENT;
    }
    if (blocks == 0 || call.sizes.out == 0) {
        return DTD_OK;
    }
    if (y == NULL || (call.sizes.in > 0 && x == NULL)) {
        return DTD_ERROR_ARGUMENT;
    }
    dtd_parallel(blocks * call.sizes.lines, NAME(window_pool_task), &call,
                 dtd_threads_for(call.sizes.work));
    return DTD_OK;
}

/* Runs job on every block of every row, and books its totals in account (NULL: there are none), block by block. */
static int NAME(spread_all)(const dtd_window *window, NAME(dtd_window_job) job, double *account) {
    NAME(window_spread_call) call = {.kernels = dtd_kernel_table()};
    const int status = NAME(check_window)(window, &call.sizes);
    if (status) {
        return status;
    }
    const size_t tasks = call.sizes.rows * call.sizes.blocks;
    if (tasks == 0) {
        return DTD_OK;
    }
    if ((call.sizes.out > 0 && job.g == NULL) || (call.sizes.in > 0 && job.r == NULL)) {
        return DTD_ERROR_ARGUMENT;
    }
    if (call.sizes.in > 0 && job.x == NULL && job.mode != DTD_WINDOW_GRADIENT) {
        return DTD_ERROR_ARGUMENT;
    }
    if (account != NULL) {
        job.totals = dtd_alloc(tasks * DTD_ACCOUNT_ENTRIES * sizeof(double));
        if (job.totals == NULL) {
            return DTD_ERROR_MEMORY;
        }
    }
    job.window = window;
    call.job = job;
    dtd_parallel(tasks, NAME(window_spread_task), &call, dtd_threads_for(2 * call.sizes.work));
    if (account != NULL) {
        for (size_t row = 0; row < call.sizes.rows; row++) {
            for (size_t entry = 0; entry < DTD_ACCOUNT_ENTRIES; entry++) {
                double sum = 0;
                for (size_t block = 0; block < call.sizes.blocks; block++) {
                    sum +=
                        job.totals[(row * call.sizes.blocks + block) * DTD_ACCOUNT_ENTRIES + entry];
                }
                account[row * DTD_ACCOUNT_ENTRIES + entry] += sum;
            }
        }
        dtd_free(job.totals);
    }
    return DTD_OK;
}

int NAME(dtd_window_pool_gradient)(dtd_window window, dtd_pool_kind kind, double p, const REAL *x,
                                   const REAL *g, REAL *gx) {
    if ((unsigned)kind >= DTD_POOL_KINDS || (kind == DTD_POOL_NORM && !(p >= 1))) {
        return DTD_ERROR_ARGUMENT;
    }
    const dtd_window_spread mode = kind == DTD_POOL_MAX    ? DTD_WINDOW_WINNER_GRADIENT
                                   : kind == DTD_POOL_NORM ? DTD_WINDOW_NORM_GRADIENT
                                                           : DTD_WINDOW_GRADIENT;
    const NAME(dtd_window_job) job = {.mode = mode, .kind = kind, .p = p, .x = x, .g = g, .r = gx};
    return NAME(spread_all)(&window, job, NULL);
}

int NAME(dtd_window_winner)(dtd_window window, int absolute, const REAL *x, const REAL *relevance,
                            REAL *r, double *account) {
    const NAME(dtd_window_job) job = {
        .mode = DTD_WINDOW_WINNER, .absolute = absolute, .x = x, .g = relevance, .r = r};
    if (account == NULL && window.samples > 0 && window.targets > 0) {
        return DTD_ERROR_ARGUMENT;
    }
    return NAME(spread_all)(&window, job, account);
}

int NAME(dtd_window_redistribute)(dtd_window window, dtd_pool_kind kind,
                                  const NAME(dtd_factor) *factor, REAL epsilon, const REAL *x,
                                  const REAL *relevance, int accumulate, REAL *r, double *account) {
    if (factor == NULL || !(epsilon >= 0) ||
        (account == NULL && window.samples > 0 && window.targets > 0) ||
        (kind != DTD_POOL_SUM && kind != DTD_POOL_AVERAGE && kind != DTD_POOL_AVERAGE_PADDED)) {
        return DTD_ERROR_ARGUMENT;
    }
    /* s above this bound could overflow the sum over the windows of a pixel */
    const double windows = (double)window.size[0] * (double)window.size[1] * (double)window.size[2];
    const NAME(dtd_window_job) job = {.mode = DTD_WINDOW_SHARES,
                                      .kind = kind,
                                      .accumulate = accumulate,
                                      .factor = *factor,
                                      .epsilon = epsilon,
                                      .limit = (REAL)(LARGEST / (4 * windows)),
                                      .x = x,
                                      .g = relevance,
                                      .r = r};
    return NAME(spread_all)(&window, job, account);
}
