/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, ABS) of pool.c. */

typedef struct {
    dtd_pool_shape shape;
    double p;
    int winner;
    const REAL *x, *y, *arriving; /* arriving: g or relevance */
    REAL *result;
    double *account;
} NAME(pool_call);

/* The first of the largest |x_j|. */
static size_t NAME(first_largest)(size_t size, const REAL *x) {
    size_t winner = 0;
    for (size_t j = 1; j < size; j++) {
        if (ABS(x[j]) > ABS(x[winner])) {
            winner = j;
        }
    }
    return winner;
}

/* sum_j |x_j| / scale, in ascending order. */
static double NAME(scaled_sum)(size_t size, const REAL *x, double scale) {
    double sum = 0;
    for (size_t j = 0; j < size; j++) {
        sum += (double)ABS(x[j]) / scale;
    }
    return sum;
}

/* ||x||_p. The largest |x_j| is taken out, so that powers neither overflow nor vanish. */
static REAL NAME(norm)(size_t size, const REAL *x, double p) {
    if (size == 0) {
        return 0;
    }
    const double largest = (double)ABS(x[NAME(first_largest)(size, x)]);
    if (largest == 0 || isinf(p)) {
        return (REAL)largest;
    }
    double sum = 0;
    if (p == 1) {
        return (REAL)(NAME(scaled_sum)(size, x, largest) * largest);
    }
    for (size_t j = 0; j < size; j++) {
        const double part = (double)ABS(x[j]) / largest;
        sum += p == 2 ? part * part : pow(part, p);
    }
    return (REAL)(largest * (p == 2 ? sqrt(sum) : pow(sum, 1 / p)));
}

static void NAME(pool_forward_task)(void *context, size_t sample, int worker) {
    const NAME(pool_call) *const call = context;
    const size_t groups = call->shape.groups, size = call->shape.size;
    (void)worker;
    for (size_t group = sample * groups; group < (sample + 1) * groups; group++) {
        call->result[group] = NAME(norm)(size, call->x + group * size, call->p);
    }
}

static void NAME(pool_gradient_task)(void *context, size_t row, int worker) {
    const NAME(pool_call) *const call = context;
    const size_t groups = call->shape.groups, size = call->shape.size;
    (void)worker;
    for (size_t group = 0; group < groups; group++) {
        const size_t owner = row / call->shape.targets * groups + group;
        const REAL *const x = call->x + owner * size;
        const REAL y = call->y[owner], g = call->arriving[row * groups + group];
        REAL *const gx = call->result + (row * groups + group) * size;
        const size_t winner = isinf(call->p) ? NAME(first_largest)(size, x) : size;
        for (size_t j = 0; j < size; j++) {
            const REAL sign = x[j] > 0 ? 1 : x[j] < 0 ? -1 : 0;
            if (isinf(call->p)) {
                gx[j] = j == winner ? sign * g : 0;
            } else if (y == 0) {
                gx[j] = 0;
            } else if (call->p == 1) {
                gx[j] = sign * g;
            } else {
                const double share = (double)ABS(x[j]) / (double)y;
                gx[j] = (REAL)((double)sign * (call->p == 2 ? share : pow(share, call->p - 1)) *
                               (double)g);
            }
        }
    }
}

static void NAME(pool_redistribute_task)(void *context, size_t row, int worker) {
    const NAME(pool_call) *const call = context;
    const size_t groups = call->shape.groups, size = call->shape.size;
    double received = 0, lost = 0;
    (void)worker;
    for (size_t group = 0; group < groups; group++) {
        const REAL *const x = call->x + (row / call->shape.targets * groups + group) * size;
        const REAL arrived = call->arriving[row * groups + group];
        REAL *const r = call->result + (row * groups + group) * size;
        const size_t winner = size ? NAME(first_largest)(size, x) : 0;
        const double largest = size ? (double)ABS(x[winner]) : 0;
        received += (double)arrived;
        if (largest == 0) {
            lost += (double)arrived;
            for (size_t j = 0; j < size; j++) {
                r[j] = 0;
            }
        } else if (call->winner) {
            for (size_t j = 0; j < size; j++) {
                r[j] = j == winner ? arrived : 0;
            }
        } else {
            const double sum = NAME(scaled_sum)(size, x, largest);
            for (size_t j = 0; j < size; j++) {
                r[j] = (REAL)((double)ABS(x[j]) / largest / sum * (double)arrived);
            }
        }
    }
    call->account[row * DTD_ACCOUNT_ENTRIES + DTD_ACCOUNT_RECEIVED] += received;
    call->account[row * DTD_ACCOUNT_ENTRIES + DTD_ACCOUNT_LOST] += lost;
}

/* Sizes of a call: *rows = n k, *work = their elements. */
static int NAME(check_pool)(dtd_pool_shape shape, size_t *rows, double *work) {
    size_t neurons;
    if (dtd_multiply(shape.groups, shape.size, &neurons) ||
        dtd_multiply(shape.samples, shape.targets, rows) ||
        dtd_check_size(dtd_max(*rows, shape.samples), dtd_max(neurons, shape.groups),
                       sizeof(REAL)) ||
        dtd_check_size(*rows, DTD_ACCOUNT_ENTRIES, sizeof(double))) {
        return DTD_ERROR_SIZE;
    }
    *work = (double)dtd_max(*rows, shape.samples) * (double)neurons;
    return DTD_OK;
}

int NAME(dtd_pool_forward)(dtd_pool_shape shape, double p, const REAL *x, REAL *y) {
    size_t rows;
    double work;
    shape.targets = 1;
    if (NAME(check_pool)(shape, &rows, &work)) {
        return DTD_ERROR_SIZE;
    }
    if (!(p >= 1) ||
        (rows > 0 && shape.groups > 0 && (y == NULL || (shape.size > 0 && x == NULL)))) {
        return DTD_ERROR_ARGUMENT;
    }
    NAME(pool_call) call = {.shape = shape, .p = p, .x = x, .result = y};
    dtd_parallel(rows, NAME(pool_forward_task), &call, dtd_threads_for(work));
    return DTD_OK;
}

int NAME(dtd_pool_gradient)(dtd_pool_shape shape, double p, const REAL *x, const REAL *y,
                            const REAL *g, REAL *gx) {
    size_t rows;
    double work;
    if (NAME(check_pool)(shape, &rows, &work)) {
        return DTD_ERROR_SIZE;
    }
    const int any = rows > 0 && shape.groups > 0 && shape.size > 0;
    if (!(p >= 1) || (any && (x == NULL || y == NULL || g == NULL || gx == NULL))) {
        return DTD_ERROR_ARGUMENT;
    }
    if (any) {
        NAME(pool_call) call = {
            .shape = shape, .p = p, .x = x, .y = y, .arriving = g, .result = gx};
        dtd_parallel(rows, NAME(pool_gradient_task), &call, dtd_threads_for(work));
    }
    return DTD_OK;
}

int NAME(dtd_pool_redistribute)(dtd_pool_shape shape, int winner, const REAL *x,
                                const REAL *relevance, REAL *r, double *account) {
    size_t rows;
    double work;
    if (NAME(check_pool)(shape, &rows, &work)) {
        return DTD_ERROR_SIZE;
    }
    const int any = rows > 0 && shape.groups > 0;
    if (any &&
        (relevance == NULL || account == NULL || (shape.size > 0 && (x == NULL || r == NULL)))) {
        return DTD_ERROR_ARGUMENT;
    }
    if (any) {
        NAME(pool_call)
        call = {.shape = shape,
                .winner = winner,
                .x = x,
                .arriving = relevance,
                .result = r,
                .account = account};
        dtd_parallel(rows, NAME(pool_redistribute_task), &call, dtd_threads_for(work));
    }
    return DTD_OK;
}
