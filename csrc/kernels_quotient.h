/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, SMALLEST) of kernels.c: the quotient of relevance and z. */

/* a where condition has ones, b where it has zeros. */
DTD_INLINE VEC NAME(pick)(IVEC condition, VEC a, VEC b) {
    return (VEC)(((IVEC)a & condition) | ((IVEC)b & ~condition));
}

DTD_INLINE VEC NAME(magnitude)(VEC v) { return NAME(pick)(v < (VEC){0}, -v, v); }

/* sums[lane] += v[lane]. */
DTD_INLINE void NAME(book)(double *sums, VEC v) {
    REAL lanes[LANES];
    NAME(vec_store)(lanes, v);
    for (size_t c = 0; c < LANES; c++) {
        sums[c] += (double)lanes[c];
    }
}

/* sums[lane] += v[lane] w[lane]. */
DTD_INLINE void NAME(book_products)(double *sums, VEC v, VEC w) {
    REAL first[LANES], second[LANES];
    NAME(vec_store)(first, v);
    NAME(vec_store)(second, w);
    for (size_t c = 0; c < LANES; c++) {
        sums[c] += (double)first[c] * (double)second[c];
    }
}

/* s = R / (z + added), added = epsilon sign z where stabilised; 0 where that is not fit for use (see dtd_quotient). */
DTD_INLINE VEC NAME(quotient_vector)(VEC arrived, VEC z, int stabilised, VEC epsilon, VEC limit,
                                     VEC *added, IVEC *fit) {
    const VEC zero = {0};
    *added = stabilised ? NAME(pick)(z < zero, -epsilon, epsilon) : zero;
    const VEC d = stabilised ? z + *added : z;
    const VEC s = arrived / NAME(pick)(d == zero, NAME(vec_set)(1), d);
    const VEC size = NAME(magnitude)(s);
    const VEC smallest = NAME(vec_set)(SMALLEST);
    *fit = (NAME(magnitude)(d) >= smallest) & (size >= smallest) & (size <= limit);
    return (VEC)((IVEC)s & *fit);
}

DTD_INLINE void NAME(quotients)(const NAME(dtd_quotient_job) *job, int biased, int stabilised,
                                double *account) {
    const VEC epsilon = NAME(vec_set)(job->epsilon), limit = NAME(vec_set)(job->limit);
    double received[LANES] = {0}, bias[LANES] = {0}, stabiliser[LANES] = {0}, lost[LANES] = {0};
    for (size_t i = 0; i < job->count; i += LANES) {
        const size_t count = job->count - i < LANES ? job->count - i : LANES;
        const int whole = count == LANES;
        const VEC arrived = LOAD(job->relevance + i);
        const VEC b = biased ? LOAD(job->bias + i) : (VEC){0};
        const VEC z = LOAD(job->z + i);
        VEC added;
        IVEC fit;
        const VEC s = NAME(quotient_vector)(arrived, biased ? z + b : z, stabilised, epsilon, limit,
                                            &added, &fit);
        STORE(job->s + i, s);
        NAME(book)(received, arrived);
        NAME(book)(lost, (VEC)((IVEC)arrived & ~fit));
        if (biased) {
            NAME(book_products)(bias, b, s);
        }
        if (stabilised) {
            NAME(book_products)(stabiliser, added, s);
        }
    }
    for (size_t c = 1; c < LANES; c++) {
        received[0] += received[c];
        bias[0] += bias[c];
        stabiliser[0] += stabiliser[c];
        lost[0] += lost[c];
    }
    account[DTD_ACCOUNT_RECEIVED] += received[0];
    account[DTD_ACCOUNT_BIAS] += bias[0];
    account[DTD_ACCOUNT_STABILISER] += stabiliser[0];
    account[DTD_ACCOUNT_LOST] += lost[0];
}

/* s and, added to account, its four sums, in double precision, lane by lane and then over the lanes. */
static void NAME(quotient)(const NAME(dtd_quotient_job) *job, double *account) {
    if (job->bias) {
        if (job->epsilon > 0) {
            NAME(quotients)(job, 1, 1, account);
        } else {
            NAME(quotients)(job, 1, 0, account);
        }
    } else if (job->epsilon > 0) {
        NAME(quotients)(job, 0, 1, account);
    } else {
        NAME(quotients)(job, 0, 0, account);
    }
}
