/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of the drivers: what a look at a term and its inputs tells about p and n. */

/* What is known about the p and n of a call. Each choice that follows from the data gives the same bits. */
typedef struct {
    int p_is_x; /* p_i = x_i for all inputs of all samples */
    int n_is_0; /* n_i = 0 */
    int p_is_n; /* by the coefficients, whatever x is */
} NAME(term_facts);

static int NAME(all_zero)(size_t count, const REAL *x) {
    for (size_t i = 0; x != NULL && i < count; i++) {
        if (x[i] != 0) {
            return 0;
        }
    }
    return 1;
}

/* Is there no x < 0? In blocks, so that a vector unit can look at them and a negative x ends the search. */
static int NAME(none_below_zero)(size_t count, const REAL *x) {
    for (size_t i = 0; i < count; i += 256) {
        const size_t end = dtd_min(count, i + 256);
        int below = 0;
        for (size_t k = i; k < end; k++) {
            below |= x[k] < 0;
        }
        if (below) {
            return 0;
        }
    }
    return 1;
}

/* bounds: numbers of low and high; nonnegative: the caller knows that none of the count numbers of x is below 0. */
static NAME(term_facts) NAME(look_at_term)(const NAME(dtd_term) *term, size_t bounds,
                                           int nonnegative, size_t count, const REAL *x) {
    const int no_low = NAME(all_zero)(bounds, term->low),
              no_high = NAME(all_zero)(bounds, term->high);
    NAME(term_facts) facts = {0, 0, 0};
    facts.p_is_n = no_low && no_high && term->p_positive == term->n_positive &&
                   term->p_negative == term->n_negative;
    const int maybe_x = no_low && term->p_positive == 1, maybe_0 = no_high && term->n_positive == 0;
    const int asks_sign = (maybe_x && term->p_negative != 1) || (maybe_0 && term->n_negative != 0);
    const int none_below = asks_sign && (nonnegative || NAME(none_below_zero)(count, x));
    facts.p_is_x = maybe_x && (term->p_negative == 1 || none_below);
    facts.n_is_0 = maybe_0 && (term->n_negative == 0 || none_below);
    return facts;
}
