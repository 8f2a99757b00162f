/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of kernels.c: sums of rows, sums of two values, and what each summand gets of the relevance. */

/* *sum = sum of x. Sums stand side by side, then they are added: one order, whatever the vector unit. */
static void NAME(row_sum)(size_t count, const REAL *x, double *sum) {
    enum { SIDE = 32 };
    double sums[SIDE] = {0};
    size_t i = 0;
    for (; i + SIDE <= count; i += SIDE) {
        for (size_t k = 0; k < SIDE; k++) {
            sums[k] += (double)x[i + k];
        }
    }
    for (size_t k = 0; i < count; i++, k++) {
        sums[k] += (double)x[i];
    }
    for (size_t half = SIDE / 2; half > 0; half /= 2) {
        for (size_t k = 0; k < half; k++) {
            sums[k] += sums[k + half];
        }
    }
    *sum = sums[0];
}

/* sum = x + y, clamped to [0, ceiling] unless that is negative; sum may be x or y. */
static void NAME(add)(size_t size, const REAL *x, const REAL *y, REAL ceiling, REAL *sum) {
    for (size_t i = 0; i < size; i += LANES) {
        const size_t count = size - i < LANES ? size - i : LANES;
        const int whole = count == LANES;
        const VEC v = LOAD(x + i) + LOAD(y + i);
        STORE(sum + i, NAME(clamped)(v, ceiling));
    }
}

DTD_INLINE void NAME(shares)(const NAME(dtd_share_job) *job, const size_t summands,
                             const int stabilised, double *account) {
    const VEC epsilon = NAME(vec_set)(job->epsilon), limit = NAME(vec_set)(job->limit), zero = {0};
    double received[LANES] = {0}, stabiliser[LANES] = {0}, lost[LANES] = {0};
    for (size_t i = 0; i < job->count; i += LANES) {
        const size_t count = job->count - i < LANES ? job->count - i : LANES;
        const int whole = count == LANES;
        VEC p[DTD_SUMMANDS], z = zero, added;
        for (size_t m = 0; m < summands; m++) {
            p[m] = NAME(term_vector)(LOAD(job->x[m] + i), job->p_positive, job->p_negative, zero);
            z += p[m];
        }
        const VEC arrived = LOAD(job->relevance + i);
        IVEC fit;
        const VEC s = NAME(quotient_vector)(arrived, z, stabilised, epsilon, limit, &added, &fit);
        for (size_t m = 0; m < summands; m++) {
            STORE(job->r[m] + i, p[m] * s);
        }
        NAME(book)(received, arrived);
        NAME(book)(lost, (VEC)((IVEC)arrived & ~fit));
        if (stabilised) {
            NAME(book_products)(stabiliser, added, s);
        }
    }
    for (size_t c = 1; c < LANES; c++) {
        received[0] += received[c];
        stabiliser[0] += stabiliser[c];
        lost[0] += lost[c];
    }
    account[DTD_ACCOUNT_RECEIVED] += received[0];
    account[DTD_ACCOUNT_STABILISER] += stabiliser[0];
    account[DTD_ACCOUNT_LOST] += lost[0];
}

/* r_m = p(x_m) s with s = R / z, z = sum p(x_m) (see dtd_share), and what is booked, added to account. */
static void NAME(share)(const NAME(dtd_share_job) *job, double *account) {
    const int stabilised = job->epsilon > 0;
    if (job->summands == 2 && !stabilised) {
        NAME(shares)(job, 2, 0, account);
    } else {
        NAME(shares)(job, job->summands, stabilised, account);
    }
}
