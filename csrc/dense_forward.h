/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of dense.c: drivers of the sums over inputs. */

/* One call. job tells the whole of it. */
typedef struct {
    const dtd_kernels *kernels;
    NAME(dtd_forward_job) job;
    cut rows, samples;
    char *memory;
    size_t memory_of_worker;
} NAME(forward_call);

static void NAME(forward_task)(void *context, size_t task, int worker) {
    const NAME(forward_call) *const call = context;
    NAME(dtd_forward_job) job = call->job;
    const size_t row = task % call->rows.count * call->rows.chunk;
    const size_t sample = task / call->rows.count * call->samples.chunk;
    const size_t place = sample * job.outputs + row;
    job.rows = dtd_min(call->rows.chunk, job.rows - row);
    job.samples = dtd_min(call->samples.chunk, job.samples - sample);
    job.x += sample * job.inputs;
    job.w += row * job.inputs;
    job.b = job.b ? job.b + row : NULL;
    job.a += place;
    job.z = job.z ? job.z + place : NULL;
    job.scratch = call->memory ? call->memory + (size_t)worker * call->memory_of_worker : NULL;
    call->kernels->NAME(forward)(&job);
}

/* The job in call, complete but for scratch memory and together. */
static int NAME(forward_run)(NAME(forward_call) *call) {
    NAME(dtd_forward_job) *const job = &call->job;
    const int threads = dtd_threads_for(work_of(job->samples, job->inputs, job->rows));
    const size_t wanted = threads > 1 ? 8 * (size_t)threads : 1;
    call->rows = cut_into(job->rows, FORWARD_ROWS, ROW_STEP, wanted);
    call->samples = cut_into(job->samples, job->samples, 1, wanted / call->rows.count);

    /* x, and p and n if there are any, of one sample and one block of inputs */
    const int is_signed = job->mode == DTD_FORWARD_SIGNED || job->mode == DTD_FORWARD_PLAIN_SIGNED;
    const size_t made = job->term ? 1 + (size_t)is_signed : 0;
    const size_t block = dtd_min(job->inputs, DTD_FORWARD_BLOCK) * sizeof(REAL);
    const size_t room = FORWARD_BYTES / dtd_max((1 + made) * block, 1);
    job->together = cut_into(call->samples.chunk, room - room % SAMPLE_STEP, 1, 1).chunk;
    if (made * block > 0) {
        call->memory_of_worker = dtd_ceil_div(made * block * job->together, 64) * 64;
        call->memory = dtd_alloc(call->memory_of_worker * (size_t)threads);
        if (call->memory == NULL) {
            return DTD_ERROR_MEMORY;
        }
    }
    dtd_parallel(call->rows.count * call->samples.count, NAME(forward_task), call, threads);
    dtd_free(call->memory);
    return DTD_OK;
}

static int NAME(check_forward)(dtd_dense_shape shape, const REAL *x, const REAL *w) {
    if (dtd_check_size(shape.samples, shape.inputs, sizeof(REAL)) ||
        dtd_check_size(shape.outputs, shape.inputs, sizeof(REAL)) ||
        dtd_check_size(shape.samples, shape.outputs, sizeof(REAL))) {
        return DTD_ERROR_SIZE;
    }
    if ((shape.samples > 0 && shape.inputs > 0 && x == NULL) ||
        (shape.outputs > 0 && shape.inputs > 0 && w == NULL)) {
        return DTD_ERROR_ARGUMENT;
    }
    return DTD_OK;
}

static NAME(dtd_forward_job)
    NAME(forward_job)(dtd_dense_shape shape, const REAL *x, const REAL *w) {
    return (NAME(dtd_forward_job)){.rows = shape.outputs,
                                   .samples = shape.samples,
                                   .inputs = shape.inputs,
                                   .outputs = shape.outputs,
                                   .x = x,
                                   .w = w};
}

int NAME(dtd_dense_forward)(dtd_dense_shape shape, const REAL *x, const REAL *w, const REAL *b,
                            REAL *a) {
    const int status = NAME(check_forward)(shape, x, w);
    if (status) {
        return status;
    }
    if (shape.samples == 0 || shape.outputs == 0) {
        return DTD_OK;
    }
    if (a == NULL) {
        return DTD_ERROR_ARGUMENT;
    }
    NAME(forward_call) call = {.kernels = dtd_kernel_table()};
    call.job = NAME(forward_job)(shape, x, w);
    call.job.mode = DTD_FORWARD_PLAIN;
    call.job.b = b;
    call.job.a = a;
    return NAME(forward_run)(&call);
}

/* a = z + b, for the rules whose z is the sum of the forward pass. */
static void NAME(add_bias)(dtd_dense_shape shape, const REAL *z, const REAL *b, REAL *a) {
    for (size_t sample = 0; sample < shape.samples; sample++) {
        for (size_t j = 0; j < shape.outputs; j++) {
            const size_t place = sample * shape.outputs + j;
            a[place] = z[place] + (b ? b[j] : 0);
        }
    }
}

int NAME(dtd_dense_forward_z)(dtd_dense_shape shape, const REAL *x, const REAL *w, const REAL *b,
                              const NAME(dtd_term) *term, REAL *a, REAL *z) {
    int status = NAME(check_forward)(shape, x, w);
    if (status) {
        return status;
    }
    if (term == NULL) {
        return DTD_ERROR_ARGUMENT;
    }
    if (shape.samples == 0 || shape.outputs == 0) {
        return DTD_OK;
    }
    if (z == NULL) {
        return DTD_ERROR_ARGUMENT;
    }
    const NAME(term_facts) facts =
        NAME(look_at_term)(term, shape.inputs, 0, shape.samples * shape.inputs, x);
    if (facts.p_is_n && facts.p_is_x) {
        status = NAME(dtd_dense_forward)(shape, x, w, NULL, z);
        if (status == DTD_OK && a != NULL) {
            NAME(add_bias)(shape, z, b, a);
        }
        return status;
    }

    NAME(forward_call) call = {.kernels = dtd_kernel_table()};
    call.job = NAME(forward_job)(shape, x, w);
    call.job.term = facts.p_is_x && facts.n_is_0 ? NULL : term;
    call.job.b = a ? b : NULL;
    call.job.a = a ? a : z; /* the kernel's first result */
    call.job.z = a ? z : NULL;
    if (a) {
        call.job.mode = !facts.n_is_0   ? DTD_FORWARD_PLAIN_SIGNED
                        : !facts.p_is_x ? DTD_FORWARD_PLAIN_POSITIVE
                                        : DTD_FORWARD_PLAIN_SHARED;
    } else {
        call.job.mode = !facts.n_is_0 ? DTD_FORWARD_SIGNED : DTD_FORWARD_POSITIVE;
    }
    return NAME(forward_run)(&call);
}

typedef struct {
    const dtd_kernels *kernels;
    size_t outputs, inputs, chunk;
    const REAL *w;
    REAL *z;
} NAME(square_call);

static void NAME(square_task)(void *context, size_t task, int worker) {
    const NAME(square_call) *const call = context;
    const size_t row = task * call->chunk;
    (void)worker;
    call->kernels->NAME(square_sums)(dtd_min(call->chunk, call->outputs - row), call->inputs,
                                     call->w + row * call->inputs, call->z + row);
}

int NAME(dtd_dense_square_sums)(dtd_dense_shape shape, const REAL *w, REAL *z) {
    shape.samples = 0;
    const int status = NAME(check_forward)(shape, NULL, w);
    if (status) {
        return status;
    }
    if (shape.outputs == 0) {
        return DTD_OK;
    }
    if (z == NULL) {
        return DTD_ERROR_ARGUMENT;
    }
    const int threads = dtd_threads_for(work_of(shape.outputs, shape.inputs, 1));
    const cut rows = cut_into(shape.outputs, 64, 1, threads > 1 ? 8 * (size_t)threads : 1);
    NAME(square_call) call = {dtd_kernel_table(), shape.outputs, shape.inputs, rows.chunk, w, z};
    dtd_parallel(rows.count, NAME(square_task), &call, threads);
    return DTD_OK;
}
