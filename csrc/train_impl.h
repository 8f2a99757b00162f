/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of train.c. */

/* What a unit keeps of one mini-batch: h = max(0, a) (batch, neurons) and y (batch, groups); then their gradients. */
typedef struct {
    REAL *h, *y, *gh, *gy;
} NAME(train_values);

typedef struct {
    const dtd_kernels *kernels;
    dtd_train_shape shape;
    double p;
    const NAME(dtd_train_unit) *units;
    const REAL *x, *y;
    NAME(train_values) *values; /* of each unit */
    REAL *x_batch, *y_batch;    /* the rows of one mini-batch */
    char *lists;                /* scratch of the workers */
    size_t lists_of_worker;
    int threads; /* the most that any part of an iteration uses */
    /* of the task under way */
    const size_t *order;
    NAME(dtd_descent_job) job;
    size_t rows;
} NAME(train_call);

static size_t NAME(train_groups)(const NAME(dtd_train_unit) *unit) {
    return unit->neurons / unit->pool;
}

static int NAME(check_train)(dtd_train_shape shape, double p, const NAME(dtd_train_unit) *units,
                             const REAL *x, const REAL *y, const size_t *order,
                             const double *rates) {
    size_t rows, inputs = shape.inputs;
    if (shape.units == 0 || units == NULL || !(p >= 1)) {
        return DTD_ERROR_ARGUMENT;
    }
    for (size_t k = 0; k < shape.units; k++) {
        const NAME(dtd_train_unit) *const unit = units + k;
        if (unit->neurons == 0 || unit->pool == 0 || unit->neurons % unit->pool != 0 ||
            unit->w == NULL || unit->b == NULL ||
            (unit->w_velocity == NULL) != (unit->b_velocity == NULL) || inputs == 0) {
            return DTD_ERROR_ARGUMENT;
        }
        if (dtd_check_size(unit->neurons, inputs, sizeof(REAL)) ||
            dtd_check_size(unit->neurons, shape.batch, 4 * sizeof(REAL))) {
            return DTD_ERROR_SIZE;
        }
        inputs = NAME(train_groups)(unit);
    }
    if (dtd_check_size(shape.samples, shape.inputs, sizeof(REAL)) ||
        dtd_check_size(shape.samples, inputs, sizeof(REAL)) ||
        dtd_check_size(shape.batch, shape.inputs, sizeof(REAL)) ||
        dtd_check_size(shape.iterations, shape.batch, sizeof(size_t)) ||
        dtd_multiply(shape.iterations, shape.batch, &rows)) {
        return DTD_ERROR_SIZE;
    }
    if (shape.batch == 0 || (shape.iterations > 0 && rates == NULL) ||
        (rows > 0 && (x == NULL || y == NULL || order == NULL))) {
        return DTD_ERROR_ARGUMENT;
    }
    for (size_t r = 0; r < rows; r++) {
        if (order[r] >= shape.samples) {
            return DTD_ERROR_ARGUMENT;
        }
    }
    return DTD_OK;
}

/*
 * Room for count elements at the end of the memory laid out so far; NULL while only the size is counted. The sizes of
 * the parts have been checked one by one; their sum stays at MOST_SCRATCH where it would be more.
 */
static REAL *NAME(train_part)(char *memory, size_t *bytes, size_t count) {
    REAL *const part = memory ? (REAL *)(void *)(memory + *bytes) : NULL;
    const size_t size = dtd_min(count * sizeof(REAL), MOST_SCRATCH);
    *bytes = dtd_min(*bytes + dtd_ceil_div(size, PART_ALIGNMENT) * PART_ALIGNMENT, MOST_SCRATCH);
    return part;
}

/* Lay out the scratch memory of a call; returns its size without the lists, which are its end. */
static size_t NAME(train_layout)(NAME(train_call) *call, char *memory) {
    const size_t batch = call->shape.batch, units = call->shape.units;
    size_t bytes =
        dtd_ceil_div(units * sizeof(NAME(train_values)), PART_ALIGNMENT) * PART_ALIGNMENT;
    call->values = (NAME(train_values) *)(void *)memory;
    call->x_batch = NAME(train_part)(memory, &bytes, batch * call->shape.inputs);
    for (size_t k = 0; k < units; k++) {
        const size_t neurons = call->units[k].neurons, groups = NAME(train_groups)(call->units + k);
        REAL *const h = NAME(train_part)(memory, &bytes, batch * neurons);
        REAL *const gh = NAME(train_part)(memory, &bytes, batch * neurons);
        REAL *const y = NAME(train_part)(memory, &bytes, batch * groups);
        REAL *const gy = NAME(train_part)(memory, &bytes, batch * groups);
        if (memory) {
            call->values[k] = (NAME(train_values)){h, y, gh, gy};
        }
    }
    call->y_batch =
        NAME(train_part)(memory, &bytes, batch * NAME(train_groups)(call->units + units - 1));
    call->lists = memory ? memory + bytes : NULL;
    return bytes;
}

static void NAME(gather_task)(void *context, size_t row, int worker) {
    const NAME(train_call) *const call = context;
    const size_t inputs = call->shape.inputs;
    (void)worker;
    memcpy(call->x_batch + row * inputs, call->x + call->order[row] * inputs,
           inputs * sizeof(REAL));
}

static void NAME(descend_task)(void *context, size_t task, int worker) {
    const NAME(train_call) *const call = context;
    const size_t row = task * call->rows;
    NAME(dtd_descent_job) job = call->job;
    job.rows = dtd_min(call->rows, job.rows - row);
    job.g += row;
    job.w += row * job.inputs;
    job.b += row;
    job.w_velocity = job.w_velocity ? job.w_velocity + row * job.inputs : NULL;
    job.b_velocity = job.b_velocity ? job.b_velocity + row : NULL;
    job.scratch = call->lists + (size_t)worker * call->lists_of_worker;
    call->kernels->NAME(descend)(&job);
}

/* Threads for a batch times neurons times inputs, but no more than there is scratch memory for. */
static int NAME(train_threads)(const NAME(train_call) *call, size_t neurons, size_t inputs) {
    const int threads =
        dtd_threads_for((double)call->shape.batch * (double)neurons * (double)inputs);
    return threads < call->threads ? threads : call->threads;
}

/* The outputs of all units for the mini-batch; h and y of each are kept. */
static int NAME(train_forward)(NAME(train_call) *call) {
    const size_t batch = call->shape.batch;
    const REAL *x = call->x_batch;
    size_t inputs = call->shape.inputs;
    for (size_t k = 0; k < call->shape.units; k++) {
        const NAME(dtd_train_unit) *const unit = call->units + k;
        const size_t groups = NAME(train_groups)(unit);
        REAL *const h = call->values[k].h;
        int status = NAME(dtd_dense_forward)((dtd_dense_shape){batch, 1, inputs, unit->neurons}, x,
                                             unit->w, unit->b, h);
        if (status) {
            return status;
        }
        for (size_t j = 0; j < batch * unit->neurons; j++) {
            h[j] = h[j] < 0 ? 0 : h[j]; /* NaN stays */
        }
        status = NAME(dtd_pool_forward)((dtd_pool_shape){batch, 1, groups, unit->pool}, call->p, h,
                                        call->values[k].y);
        if (status) {
            return status;
        }
        x = call->values[k].y;
        inputs = groups;
    }
    return DTD_OK;
}

/* Mean squared error over batch and outputs, summed in one order, and its gradient. */
static double NAME(train_loss)(NAME(train_call) *call) {
    const NAME(train_values) *const last = call->values + call->shape.units - 1;
    const size_t outputs = NAME(train_groups)(call->units + call->shape.units - 1),
                 batch = call->shape.batch;
    const double count = (double)batch * (double)outputs;
    double sum = 0;
    for (size_t n = 0; n < batch; n++) {
        const REAL *const target = call->y + call->order[n] * outputs;
        for (size_t k = 0; k < outputs; k++) {
            const double error = (double)last->y[n * outputs + k] - (double)target[k];
            sum += error * error;
            last->gy[n * outputs + k] = (REAL)(2 * error / count);
        }
    }
    return sum / count;
}

/* From the gradient of the last unit's outputs to new weights, unit by unit. */
static int NAME(train_backward)(NAME(train_call) *call, double rate, double momentum) {
    const size_t batch = call->shape.batch;
    for (size_t k = call->shape.units; k-- > 0;) {
        const NAME(dtd_train_unit) *const unit = call->units + k;
        const NAME(train_values) *const values = call->values + k;
        const size_t groups = NAME(train_groups)(unit), neurons = unit->neurons;
        const size_t inputs = k > 0 ? NAME(train_groups)(unit - 1) : call->shape.inputs;
        int status = NAME(dtd_pool_gradient)((dtd_pool_shape){batch, 1, groups, unit->pool},
                                             call->p, values->h, values->y, values->gy, values->gh);
        if (status == DTD_OK && k > 0) { /* with the weights as they were in the forward pass */
            status = NAME(dtd_dense_gradient)((dtd_dense_shape){batch, 1, inputs, neurons}, unit->w,
                                              values->gh, values[-1].gy);
        }
        if (status) {
            return status;
        }
        const int threads = NAME(train_threads)(call, neurons, inputs);
        const size_t blocks = dtd_ceil_div(neurons, DTD_DESCENT_ROWS);
        const size_t wanted = threads > 1 ? 8 * (size_t)threads : 1;
        call->rows = dtd_ceil_div(blocks, wanted) * DTD_DESCENT_ROWS;
        call->job = (NAME(dtd_descent_job)){.rows = neurons,
                                            .inputs = inputs,
                                            .batch = batch,
                                            .g_stride = neurons,
                                            .x = k > 0 ? values[-1].y : call->x_batch,
                                            .g = values->gh,
                                            .momentum = (REAL)momentum,
                                            .rate = (REAL)rate,
                                            .w = unit->w,
                                            .b = unit->b,
                                            .w_velocity = unit->w_velocity,
                                            .b_velocity = unit->b_velocity};
        dtd_parallel(dtd_ceil_div(neurons, call->rows), NAME(descend_task), call, threads);
    }
    return DTD_OK;
}

int NAME(dtd_train)(dtd_train_shape shape, double p, const NAME(dtd_train_unit) *units,
                    const REAL *x, const REAL *y, const size_t *order, const double *rates,
                    double momentum, double *loss, size_t *done) {
    int status = NAME(check_train)(shape, p, units, x, y, order, rates);
    if (status) {
        return status;
    }
    if (done == NULL || (loss == NULL && shape.iterations > 0)) {
        return DTD_ERROR_ARGUMENT;
    }
    NAME(train_call)
    call = {.kernels = dtd_kernel_table(),
            .shape = shape,
            .p = p,
            .units = units,
            .x = x,
            .y = y,
            .order = order};
    call.threads = dtd_get_num_threads();
    const size_t lists = DTD_DESCENT_SCRATCH(shape.batch, sizeof(REAL));
    call.lists_of_worker = dtd_ceil_div(lists, PART_ALIGNMENT) * PART_ALIGNMENT;
    const size_t values = NAME(train_layout)(&call, NULL);
    size_t all_lists;
    if (dtd_multiply(call.lists_of_worker, (size_t)call.threads, &all_lists) ||
        dtd_max(values, all_lists) >= MOST_SCRATCH) {
        return DTD_ERROR_SIZE;
    }
    char *const memory = dtd_alloc(values + all_lists);
    if (memory == NULL) {
        return DTD_ERROR_MEMORY;
    }
    NAME(train_layout)(&call, memory);
    for (*done = 0; *done < shape.iterations; ++*done) {
        call.order = order + *done * shape.batch;
        dtd_parallel(shape.batch, NAME(gather_task), &call,
                     NAME(train_threads)(&call, 1, shape.inputs));
        status = NAME(train_forward)(&call);
        if (status) {
            break;
        }
        loss[*done] = NAME(train_loss)(&call);
        if (!isfinite(loss[*done])) {
            break;
        }
        status = NAME(train_backward)(&call, rates[*done], momentum);
        if (status) {
            break;
        }
    }
    dtd_free(memory);
    return status;
}
