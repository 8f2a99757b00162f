/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, ABS, SMALLEST, LARGEST) of elementwise.c. */

typedef struct {
    size_t targets, outputs;
    int shared_z;
    const REAL *relevance, *z, *bias;
    REAL epsilon, limit;
    REAL *s;
    double *account;
} NAME(quotient_call);

/* One row of relevance; its sums in double precision, in ascending order of j. */
static void NAME(quotient_task)(void *context, size_t row, int worker) {
    const NAME(quotient_call) *const call = context;
    const REAL *const relevance = call->relevance + row * call->outputs;
    const REAL *const z = call->shared_z ? call->z : call->z + row / call->targets * call->outputs;
    REAL *const s = call->s + row * call->outputs;
    double received = 0, bias = 0, stabiliser = 0, lost = 0;
    (void)worker;
    for (size_t j = 0; j < call->outputs; j++) {
        const REAL arrived = relevance[j];
        if (arrived == 0) {
            s[j] = 0;
            continue;
        }
        const REAL b = call->bias ? call->bias[j] : 0;
        REAL d = z[j] + b, added = 0;
        if (call->epsilon > 0) {
            added = d < 0 ? -call->epsilon : call->epsilon;
            d += added;
        }
        const REAL quotient = d == 0 ? 0 : arrived / d;
        received += (double)arrived;
        if (ABS(quotient) >= SMALLEST &&
            ABS(quotient) <= call->limit) { /* neither R_j / 0 nor R_j / infinity */
            s[j] = quotient;
            bias += (double)b * (double)quotient;
            stabiliser += (double)added * (double)quotient;
        } else {
            s[j] = 0;
            lost += (double)arrived;
        }
    }
    double *const account = call->account + row * DTD_ACCOUNT_ENTRIES;
    account[DTD_ACCOUNT_RECEIVED] += received;
    account[DTD_ACCOUNT_BIAS] += bias;
    account[DTD_ACCOUNT_STABILISER] += stabiliser;
    account[DTD_ACCOUNT_LOST] += lost;
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
    call = {shape.targets, shape.outputs, shared_z, relevance, z, bias, epsilon, limit, s, account};
    dtd_parallel(rows, NAME(quotient_task), &call,
                 dtd_threads_for((double)rows * (double)shape.outputs));
    return DTD_OK;
}

typedef struct {
    size_t columns;
    const REAL *x;
    double *sums;
} NAME(sums_call);

/* Eight sums side by side, then their sum: one order, whatever the vector unit. */
static void NAME(sums_task)(void *context, size_t row, int worker) {
    enum { LANES = 8 };
    const NAME(sums_call) *const call = context;
    const REAL *const x = call->x + row * call->columns;
    double lanes[LANES] = {0};
    size_t i = 0;
    (void)worker;
    for (; i + LANES <= call->columns; i += LANES) {
        for (size_t k = 0; k < LANES; k++) {
            lanes[k] += (double)x[i + k];
        }
    }
    for (size_t k = 0; i < call->columns; i++, k++) {
        lanes[k] += (double)x[i];
    }
    call->sums[row] = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
                      ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

int NAME(dtd_row_sums)(size_t rows, size_t columns, const REAL *x, double *sums) {
    if (dtd_check_size(rows, columns, sizeof(REAL)) || dtd_check_size(rows, 1, sizeof(double))) {
        return DTD_ERROR_SIZE;
    }
    if (rows > 0 && (sums == NULL || (columns > 0 && x == NULL))) {
        return DTD_ERROR_ARGUMENT;
    }
    NAME(sums_call) call = {columns, x, sums};
    dtd_parallel(rows, NAME(sums_task), &call, dtd_threads_for((double)rows * (double)columns));
    return DTD_OK;
}

int NAME(dtd_first_outside)(size_t samples, size_t inputs, const REAL *x, const REAL *low,
                            size_t low_count, const REAL *high, size_t high_count, size_t *index) {
    enum { BLOCK = 256 };
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
    const int low_varies = low_count != 1, high_varies = high_count != 1;
    for (size_t row = 0; row < samples; row++) {
        for (size_t begin = 0; begin < inputs; begin += BLOCK) {
            const REAL *const block = x + row * inputs + begin;
            const size_t count = dtd_min(BLOCK, inputs - begin);
            size_t inside = 0;
            if (!low_varies && !high_varies) {
                const REAL least = low[0], most = high[0];
                for (size_t i = 0; i < count; i++) {
                    inside += (block[i] >= least) & (block[i] <= most) & (block[i] - block[i] == 0);
                }
            } else {
                for (size_t i = 0; i < count; i++) {
                    const REAL least = low[low_varies ? begin + i : 0],
                               most = high[high_varies ? begin + i : 0];
                    inside += (block[i] >= least) & (block[i] <= most) & (block[i] - block[i] == 0);
                }
            }
            if (inside == count) {
                continue;
            }
            for (size_t i = 0; i < count; i++) {
                const REAL least = low[low_varies ? begin + i : 0],
                           most = high[high_varies ? begin + i : 0];
                if (!(block[i] >= least && block[i] <= most && block[i] - block[i] == 0)) {
                    *index = row * inputs + begin + i;
                    return DTD_OK;
                }
            }
        }
    }
    return DTD_OK;
}
