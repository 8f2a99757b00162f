/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX): the arguments of the large micro-kernels. */

/*
 * Forward: rows x samples results, a[s * outputs + j] and z[...] alike, over all inputs.
 * x, p, n: rows of inputs elements, one per sample. w: rows of inputs elements. b: one per row, or NULL; added to a.
 */
typedef struct {
    dtd_forward_mode mode;
    size_t rows, samples, inputs, outputs;
    const REAL *x, *p, *n, *w, *b;
    REAL *a, *z;
} NAME(dtd_forward_job);

/*
 * Spread: c_plus[t * c_stride + i] (+)= sum_j f(w[j * w_stride + i]) s[t * s_sample + j * s_row], 0 <= i < columns,
 * 0 <= t < samples <= DTD_SPREAD_SAMPLES; c_minus alike. scratch: DTD_SPREAD_SCRATCH(samples, sizeof(REAL)) bytes.
 */
typedef struct {
    dtd_spread_mode mode;
    int accumulate;
    size_t rows, columns, samples, w_stride, s_sample, s_row, c_stride;
    const REAL *w, *s;
    REAL *c_plus, *c_minus;
    void *scratch;
} NAME(dtd_spread_job);
