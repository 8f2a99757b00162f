/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of dense.c: drivers of the sums over outputs (or, for the weight gradient, samples). */

/* One call: job tells the whole of it, s and c for all samples and columns. */
typedef struct {
    const dtd_kernels *kernels;
    NAME(dtd_spread_job) job;
    const NAME(dtd_term) *term; /* NULL: c is the result */
    const REAL *x;
    size_t targets;
    int accumulate; /* add to r, with a term */
    REAL *r;
    cut columns, samples;
    char *memory;
    size_t memory_of_worker;
} NAME(spread_call);

/* Scratch of a worker: the kernel's own, rows p and n of a task's columns, and c+ and c- where r cannot hold c+. */
static int NAME(spread_memory)(NAME(spread_call) *call, int threads) {
    const size_t samples = dtd_min(call->samples.chunk, call->job.samples);
    const size_t kernel = dtd_ceil_div(DTD_SPREAD_SCRATCH(samples, sizeof(REAL)), 64) * 64;
    size_t rows = 0;
    if (call->term) {
        rows = 2 + (call->accumulate || call->job.mode == DTD_SPREAD_SIGNED ? samples : 0) +
               (call->job.mode == DTD_SPREAD_SIGNED ? samples : 0);
    }
    call->memory_of_worker = kernel + rows * call->columns.chunk * sizeof(REAL);
    size_t bytes;
    if (dtd_multiply(call->memory_of_worker, (size_t)threads, &bytes)) {
        return DTD_ERROR_SIZE;
    }
    call->memory = dtd_alloc(bytes);
    return call->memory ? DTD_OK : DTD_ERROR_MEMORY;
}

static void NAME(spread_task)(void *context, size_t task, int worker) {
    const NAME(spread_call) *const call = context;
    const size_t column = task % call->columns.count * call->columns.chunk;
    const size_t sample = task / call->columns.count * call->samples.chunk;
    const int is_signed = call->job.mode == DTD_SPREAD_SIGNED;
    NAME(dtd_spread_job) job = call->job;
    char *const memory = call->memory + (size_t)worker * call->memory_of_worker;
    job.columns = dtd_min(call->columns.chunk, job.columns - column);
    job.samples = dtd_min(call->samples.chunk, job.samples - sample);
    job.w += column;
    job.s += sample * job.s_sample;
    job.scratch = memory;
    if (call->term == NULL) {
        job.c_plus += sample * job.c_stride + column;
        call->kernels->NAME(spread)(&job);
        return;
    }

    const size_t most = dtd_min(call->samples.chunk, call->job.samples), inputs = call->job.columns;
    const size_t kernel = dtd_ceil_div(DTD_SPREAD_SCRATCH(most, sizeof(REAL)), 64) * 64;
    REAL *const p = (REAL *)(void *)(memory + kernel);
    REAL *const n = p + call->columns.chunk;
    REAL *const r = call->r + sample * inputs + column;
    job.c_plus = r;
    job.c_stride = inputs;
    if (call->accumulate || is_signed) {
        job.c_plus = n + call->columns.chunk;
        job.c_minus = is_signed ? job.c_plus + most * call->columns.chunk : NULL;
        job.c_stride = call->columns.chunk;
    }
    call->kernels->NAME(spread)(&job);
    size_t known = (size_t)-1; /* the sample whose p and n are in memory */
    for (size_t t = 0; t < job.samples; t++) {
        const size_t owner = (sample + t) / call->targets;
        if (owner != known) {
            call->kernels->NAME(term)(job.columns, call->term, call->x + owner * inputs + column,
                                      column, p, is_signed ? n : NULL);
            known = owner;
        }
        call->kernels->NAME(finish)(
            job.columns, p, is_signed ? n : NULL, job.c_plus + t * job.c_stride,
            is_signed ? job.c_minus + t * job.c_stride : NULL, call->accumulate, r + t * inputs);
    }
}

/* All samples and columns of the job in call. */
static int NAME(spread_run)(NAME(spread_call) *call) {
    const size_t samples = call->job.samples, columns = call->job.columns;
    if (samples == 0 || columns == 0) {
        return DTD_OK;
    }
    const int threads = dtd_threads_for(work_of(samples, columns, call->job.rows));
    const size_t wanted = threads > 1 ? 4 * (size_t)threads : 1;
    call->samples = cut_into(samples, DTD_SPREAD_SAMPLES, 1, 1);
    const size_t room = SPREAD_BYTES / sizeof(REAL) / call->samples.chunk;
    call->columns = cut_into(columns, dtd_max(dtd_min(room, 2048), COLUMN_STEP), COLUMN_STEP,
                             dtd_ceil_div(wanted, call->samples.count));
    const size_t tasks = call->columns.count * call->samples.count;
    if (tasks < wanted) {
        call->samples =
            cut_into(samples, DTD_SPREAD_SAMPLES, 1, dtd_ceil_div(wanted, call->columns.count));
    }
    const int status = NAME(spread_memory)(call, threads);
    if (status == DTD_OK) {
        dtd_parallel(call->columns.count * call->samples.count, NAME(spread_task), call, threads);
    }
    dtd_free(call->memory);
    return status;
}

/* Checks what the redistributions share; *rows = n k. */
static int NAME(check_spread)(dtd_dense_shape shape, const REAL *w, const REAL *s, const REAL *r,
                              size_t *rows) {
    if (dtd_multiply(shape.samples, shape.targets, rows) ||
        dtd_check_size(*rows, shape.inputs, sizeof(REAL)) ||
        dtd_check_size(*rows, shape.outputs, sizeof(REAL)) ||
        dtd_check_size(shape.outputs, shape.inputs, sizeof(REAL))) {
        return DTD_ERROR_SIZE;
    }
    if ((shape.outputs > 0 && shape.inputs > 0 && w == NULL) ||
        (*rows > 0 && shape.outputs > 0 && s == NULL) ||
        (*rows > 0 && shape.inputs > 0 && r == NULL)) {
        return DTD_ERROR_ARGUMENT;
    }
    return DTD_OK;
}

static NAME(dtd_spread_job) NAME(spread_job)(dtd_spread_mode mode, dtd_dense_shape shape,
                                             size_t rows, const REAL *w, const REAL *s) {
    return (NAME(dtd_spread_job)){.mode = mode,
                                  .rows = shape.outputs,
                                  .columns = shape.inputs,
                                  .samples = rows,
                                  .w_stride = shape.inputs,
                                  .s_sample = shape.outputs,
                                  .s_row = 1,
                                  .c_stride = shape.inputs,
                                  .w = w,
                                  .s = s};
}

int NAME(dtd_dense_redistribute)(dtd_dense_shape shape, const REAL *x, const REAL *w,
                                 const NAME(dtd_term) *term, const REAL *s, int accumulate,
                                 REAL *r) {
    size_t rows;
    const int status = NAME(check_spread)(shape, w, s, r, &rows);
    if (status) {
        return status;
    }
    if (term == NULL || (rows > 0 && shape.inputs > 0 && x == NULL)) {
        return DTD_ERROR_ARGUMENT;
    }
    if (rows == 0) {
        return DTD_OK;
    }
    const NAME(term_facts) facts =
        NAME(look_at_term)(term, shape.inputs, 0, shape.samples * shape.inputs, x);
    const dtd_spread_mode mode = facts.p_is_n   ? DTD_SPREAD_PLAIN
                                 : facts.n_is_0 ? DTD_SPREAD_POSITIVE
                                                : DTD_SPREAD_SIGNED;
    NAME(spread_call) call = {.kernels = dtd_kernel_table(),
                              .job = NAME(spread_job)(mode, shape, rows, w, s),
                              .term = term,
                              .x = x,
                              .targets = shape.targets,
                              .accumulate = accumulate,
                              .r = r};
    return NAME(spread_run)(&call);
}

static int NAME(spread_plain)(dtd_spread_mode mode, dtd_dense_shape shape, const REAL *w,
                              const REAL *s, REAL *r) {
    size_t rows;
    const int status = NAME(check_spread)(shape, w, s, r, &rows);
    if (status) {
        return status;
    }
    NAME(spread_call) call = {.kernels = dtd_kernel_table(),
                              .job = NAME(spread_job)(mode, shape, rows, w, s)};
    call.job.c_plus = r;
    return NAME(spread_run)(&call);
}

int NAME(dtd_dense_redistribute_square)(dtd_dense_shape shape, const REAL *w, const REAL *s,
                                        REAL *r) {
    return NAME(spread_plain)(DTD_SPREAD_SQUARE, shape, w, s, r);
}

int NAME(dtd_dense_gradient)(dtd_dense_shape shape, const REAL *w, const REAL *g, REAL *gx) {
    return NAME(spread_plain)(DTD_SPREAD_PLAIN, shape, w, g, gx);
}

/* The same kernel with the roles exchanged: samples for rows, x for the weights, g transposed for s. */
int NAME(dtd_dense_weight_gradient)(dtd_dense_shape shape, const REAL *x, const REAL *g,
                                    int accumulate, REAL *gw, REAL *gb) {
    const size_t outputs = shape.outputs;
    int status = NAME(check_forward)(shape, x, gw);
    if (status) {
        return status;
    }
    if (shape.samples > 0 && outputs > 0 && g == NULL) {
        return DTD_ERROR_ARGUMENT;
    }
    NAME(spread_call) call = {.kernels = dtd_kernel_table()};
    call.job = (NAME(dtd_spread_job)){.mode = DTD_SPREAD_PLAIN,
                                      .accumulate = accumulate,
                                      .rows = shape.samples,
                                      .columns = shape.inputs,
                                      .samples = outputs,
                                      .w_stride = shape.inputs,
                                      .s_sample = 1,
                                      .s_row = outputs,
                                      .c_stride = shape.inputs,
                                      .w = x,
                                      .s = g,
                                      .c_plus = gw};
    status = NAME(spread_run)(&call);
    if (status || gb == NULL || outputs == 0) {
        return status;
    }
    if (!accumulate) {
        memset(gb, 0, outputs * sizeof(REAL));
    }
    for (size_t sample = 0; sample < shape.samples; sample++) {
        for (size_t j = 0; j < outputs; j++) {
            gb[j] += g[sample * outputs + j];
        }
    }
    return DTD_OK;
}
