/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX): the arguments of the large micro-kernels. */

/*
 * Forward: rows x samples results, a[s * outputs + j] and z[...] alike, over all inputs.
 * x: rows of inputs elements, one per sample; w: the same, one per row; b: one per row, or NULL; added to a.
 * p and n are made of x by term, or p is x when term is NULL. The job goes through together samples at a time;
 * scratch: room for p (and n, in the signed modes) of that many samples and a block of inputs.
 */
typedef struct {
    dtd_forward_mode mode;
    size_t rows, samples, inputs, outputs, together;
    const NAME(dtd_term) *term;
    const REAL *x, *w, *b;
    REAL *a, *z;
    void *scratch;
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

/*
 * Descent: v_ji = momentum v_ji + sum_n g_nj x_ni and w_ji -= rate v_ji for rows x inputs weights; the biases alike,
 * with x = 1, and then b_j = min(0, b_j). x: batch rows of inputs elements. g_nj is g[n * g_stride + j]. w_velocity and
 * b_velocity: v, or both NULL, which means v = 0 before and forgotten after. scratch: DTD_DESCENT_SCRATCH(batch,
 * sizeof(REAL)) bytes.
 */
typedef struct {
    size_t rows, inputs, batch, g_stride;
    const REAL *x, *g;
    REAL momentum, rate;
    REAL *w, *b, *w_velocity, *b_velocity;
    void *scratch;
} NAME(dtd_descent_job);

/*
 * Relevance or gradient g of the windows of one block of one image, spread over its pixels: r (+)= sum of the shares.
 * x and r have in pixels, g has out, of DTD_BLOCK lanes. s above limit counts as infinite. totals has
 * DTD_ACCOUNT_ENTRIES sums, which are written; gradients leave them alone.
 */
typedef struct {
    dtd_window_spread mode;
    dtd_pool_kind kind;
    const dtd_window *window;
    double p;
    int absolute, accumulate;
    NAME(dtd_factor) factor;
    REAL epsilon, limit;
    const REAL *x, *g;
    REAL *r;
    double *totals;
} NAME(dtd_window_job);

/*
 * One row of pixels of a convolution, for outputs blocks of output channels, all sums over blocks input blocks (channels
 * in the last: last) and taps. x, and y in the mode DTD_CONV_SIGNED: the row's first pixel in the first block; a tap lies
 * offsets[tap] elements further, the next pixel B, the next block x_block. w: for each output block (w_output apart)
 * (blocks, taps, B inputs, B outputs), with depthwise (taps, B); in narrow_row, for
 * narrow (1, 3 or 4) result channels in one block, (blocks, taps, narrow, B inputs). exact: reads nothing beyond the row's pixels, else up to
 * DTD_CONV_BEYOND pixels further, whose sums are dropped.
 * Results of pixel k and output block m lie at place + k pixel + m out_block. With r = NULL: a = the sum + b (NULL: 0),
 * clamped to [0, ceiling] unless that is negative, and z = the second sum where there is one, else the first (each may be NULL).
 * Else: r (+)= p times the first sum, and n times the second where there is one, with p, n of owner (at the same place)
 * by term, whose low and high have the places of one image; and with next that r is at once divided by next->z (and
 * next->bias, which has the places of one image), what is booked standing in totals.
 */
typedef struct {
    dtd_conv_mode mode;
    int depthwise, exact, accumulate;
    REAL ceiling;
    size_t pixels, blocks, last, taps, outputs, narrow, x_block, w_output, pixel, out_block, place;
    const ptrdiff_t *offsets;
    const REAL *x, *y, *w, *b;
    REAL *a, *z;
    const NAME(dtd_term) *term;
    const REAL *owner;
    const NAME(dtd_conv_next) *next;
    const REAL *next_z;
    double *totals;
    REAL *r;
} NAME(dtd_conv_job);

/* Quotient: dtd_quotient for count numbers; z and bias (or NULL) one for each. */
typedef struct {
    size_t count;
    const REAL *relevance, *z, *bias;
    REAL epsilon, limit;
    REAL *s;
} NAME(dtd_quotient_job);

/* Share: dtd_share for count numbers of one row; the pointers are at the first of them. */
typedef struct {
    size_t count, summands;
    const REAL *x[DTD_SUMMANDS];
    REAL p_positive, p_negative, epsilon, limit;
    const REAL *relevance;
    REAL *r[DTD_SUMMANDS];
} NAME(dtd_share_job);
