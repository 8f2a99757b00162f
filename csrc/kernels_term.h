/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of kernels.c: the factors p, n of the rules and the last step of a redistribution. */

/* min(max(0, v), ceiling); v itself where ceiling is negative. */
DTD_INLINE VEC NAME(clamped)(VEC v, REAL ceiling) {
    return ceiling < 0 ? v : NAME(vec_least)(NAME(vec_positive)(v), NAME(vec_set)(ceiling));
}

/* p_i = p_positive max(0, x_i) + p_negative min(0, x_i) - low_i: one product, for one of the two parts is 0. */
DTD_INLINE VEC NAME(term_vector)(VEC x, REAL positive, REAL negative, VEC low) {
    const VEC zero = {0};
    const IVEC above = x > zero;
    const VEC factor =
        (VEC)(((IVEC)NAME(vec_set)(positive) & above) | ((IVEC)NAME(vec_set)(negative) & ~above));
    return FMA(x, factor, -low);
}

/* p and n (NULL: not wanted) of the inputs first .. first + count - 1; x, p, n point at the first of them. */
static void NAME(term)(size_t count, const NAME(dtd_term) *term, const REAL *x, size_t first,
                       REAL *p, REAL *n) {
    const VEC zero = {0};
    for (size_t i = 0; i < count; i += LANES) {
        const size_t some = count - i < LANES ? count - i : LANES;
        const VEC v = NAME(vec_load_part)(x + i, some);
        const VEC low = term->low ? NAME(vec_load_part)(term->low + first + i, some) : zero;
        const VEC high = term->high ? NAME(vec_load_part)(term->high + first + i, some) : zero;
        if (p) {
            NAME(vec_store_part)(
                p + i, NAME(term_vector)(v, term->p_positive, term->p_negative, low), some);
        }
        if (n) {
            NAME(vec_store_part)(
                n + i, NAME(term_vector)(v, term->n_positive, term->n_negative, high), some);
        }
    }
}

/*
 * r_i (+)= p_i c+_i + n_i c-_i; n and c_minus are NULL when there is no second part. r may be c_plus. Where p_i (n_i)
 * is 0 its part is 0, even when c+ (c-) overflowed. Products are rounded before they are added, so that leaving a part
 * out, or adding up in two calls, gives the same bits.
 */
static void NAME(finish)(size_t count, const REAL *p, const REAL *n, const REAL *c_plus,
                         const REAL *c_minus, int accumulate, REAL *r) {
    const VEC zero = {0};
    for (size_t i = 0; i < count; i += LANES) {
        const size_t some = count - i < LANES ? count - i : LANES;
        const VEC ps = NAME(vec_load_part)(p + i, some);
        VEC sum = zero + NAME(vec_where)(ps, ps * NAME(vec_load_part)(c_plus + i, some));
        if (n) {
            const VEC ns = NAME(vec_load_part)(n + i, some);
            sum += NAME(vec_where)(ns, ns * NAME(vec_load_part)(c_minus + i, some));
        }
        if (accumulate) {
            sum += NAME(vec_load_part)(r + i, some);
        }
        NAME(vec_store_part)(r + i, sum, some);
    }
}
