/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The C interface of dtdcore's native core: dense layers, pooling and the quotient of relevance and z.
 *
 * Conventions of every function:
 *  - It returns DTD_OK (0) or one of the other codes of dtd_status; on an error no output has been written.
 *  - Arrays are C-contiguous. Weights are natural rows, w[j][i], j = output, i = input: shape (outputs, inputs).
 *    Outputs must not overlap inputs or each other. Sizes may be 0, and then pointers may be NULL.
 *  - The bits of a result depend on the ISA level only: not on the number of threads, not on how a batch is split.
 *    Every output element has one owner and one fixed order of summation.
 *  - Where z_j = 0 nothing is passed on and nothing becomes NaN: see dtd_quotient_f32.
 *  - Sums that exceed the range of the type follow IEEE 754 (infinity, and NaN from two infinities); the caller looks
 *    at what it gets. Everything else stays finite for finite input.
 */
#ifndef DTD_H
#define DTD_H

#include <stddef.h>

#define DTD_VERSION "0.1.0"

typedef enum {
    DTD_OK = 0,
    DTD_ERROR_ARGUMENT = -1,       /* a NULL pointer or a number out of its range */
    DTD_ERROR_SIZE = -2,           /* a product of sizes does not fit size_t */
    DTD_ERROR_MEMORY = -3,         /* scratch memory could not be had */
    DTD_ERROR_UNKNOWN_ISA = -4,    /* no level of that name was compiled */
    DTD_ERROR_UNSUPPORTED_ISA = -5 /* this processor cannot run that level */
} dtd_status;

/* One line of English for a code; never NULL. */
const char *dtd_strerror(int status);

/* ---- dense layers -------------------------------------------------------------------------------------------- */

/*
 * samples n, targets k per sample, inputs K, outputs M. Arrays of relevance have n * k rows; row r belongs to sample
 * r / k. Functions without relevance ignore targets.
 */
typedef struct {
    size_t samples, targets, inputs, outputs;
} dtd_dense_shape;

/*
 * What the rules put in front of the weights' positive and negative parts, q_ij = p_i w+_ij + n_i w-_ij:
 *     p_i = p_positive max(0, x_i) + p_negative min(0, x_i) - low_i
 *     n_i = n_positive max(0, x_i) + n_negative min(0, x_i) - high_i
 * low and high have one entry per input, or are NULL, which means 0.
 */
typedef struct {
    float p_positive, p_negative, n_positive, n_negative;
    const float *low, *high;
} dtd_term_f32;

typedef struct {
    double p_positive, p_negative, n_positive, n_negative;
    const double *low, *high;
} dtd_term_f64;

/* a_j = sum_i x_i w_ij + b_j.  x (n, K), w (M, K), b (M) or NULL, a (n, M). */
int dtd_dense_forward_f32(dtd_dense_shape shape, const float *x, const float *w, const float *b,
                          float *a);
int dtd_dense_forward_f64(dtd_dense_shape shape, const double *x, const double *w, const double *b,
                          double *a);

/* a as above (or NULL) and z_j = sum_i p_i w+_ij + n_i w-_ij, in one pass over w.  z (n, M). */
int dtd_dense_forward_z_f32(dtd_dense_shape shape, const float *x, const float *w, const float *b,
                            const dtd_term_f32 *term, float *a, float *z);
int dtd_dense_forward_z_f64(dtd_dense_shape shape, const double *x, const double *w,
                            const double *b, const dtd_term_f64 *term, double *a, double *z);

/* z_j = sum_i w_ij^2.  w (M, K), z (M). */
int dtd_dense_square_sums_f32(dtd_dense_shape shape, const float *w, float *z);
int dtd_dense_square_sums_f64(dtd_dense_shape shape, const double *w, double *z);

/*
 * r_i = p_i sum_j w+_ij s_j + n_i sum_j w-_ij s_j, added to r when accumulate is not 0.
 * x (n, K), w (M, K), s (n k, M), r (n k, K). Rows w_j whose s_j is 0 are not read.
 */
int dtd_dense_redistribute_f32(dtd_dense_shape shape, const float *x, const float *w,
                               const dtd_term_f32 *term, const float *s, int accumulate, float *r);
int dtd_dense_redistribute_f64(dtd_dense_shape shape, const double *x, const double *w,
                               const dtd_term_f64 *term, const double *s, int accumulate,
                               double *r);

/* r_i = sum_j w_ij^2 s_j.  w (M, K), s (n k, M), r (n k, K). */
int dtd_dense_redistribute_square_f32(dtd_dense_shape shape, const float *w, const float *s,
                                      float *r);
int dtd_dense_redistribute_square_f64(dtd_dense_shape shape, const double *w, const double *s,
                                      double *r);

/* gx_i = sum_j w_ij g_j.  w (M, K), g (n k, M), gx (n k, K). */
int dtd_dense_gradient_f32(dtd_dense_shape shape, const float *w, const float *g, float *gx);
int dtd_dense_gradient_f64(dtd_dense_shape shape, const double *w, const double *g, double *gx);

/*
 * gw_ji = sum_n g_nj x_ni and gb_j = sum_n g_nj, added to gw and gb when accumulate is not 0.
 * x (n, K), g (n, M), gw (M, K), gb (M) or NULL.
 */
int dtd_dense_weight_gradient_f32(dtd_dense_shape shape, const float *x, const float *g,
                                  int accumulate, float *gw, float *gb);
int dtd_dense_weight_gradient_f64(dtd_dense_shape shape, const double *x, const double *g,
                                  int accumulate, double *gw, double *gb);

/* ---- convolutions -------------------------------------------------------------------------------------------- */

/*
 * Images stand in blocks of B = DTD_BLOCK_BYTES / sizeof(number) channels: (images, blocks, depth, height, width, B),
 * where the numbers beyond the last channel are 0, here and in every result.
 */
enum { DTD_BLOCK_BYTES = 64 };

/*
 * A convolution of inputs to outputs channels, v counting the pixels of its result:
 *     a_j(v) = sum_i sum_t w_jit x_i(v stride + t dilation - before) + b_j
 * where x is 0 outside of its image and i runs over the channels of j's group. Axes: depth, height, width; for fewer
 * axes the first sizes are 1. With transposed not 0 the functions below compute the transposed sum instead,
 *     a_i(u) = sum_j sum_t w_jit x_j(v) + b_i,  u = v stride + t dilation - before,
 * from an image with outputs channels and out pixels to one with inputs channels and in pixels: the gradient of the
 * convolution, and the forward pass of a transposed convolution. There the product of the strides is at most 2^22.
 */
typedef struct {
    size_t samples,
        targets; /* relevance has samples * targets images; image r belongs to sample r / targets */
    size_t inputs, outputs, groups; /* channels */
    size_t in[3], out[3];           /* pixels */
    size_t kernel[3], stride[3], dilation[3];
    size_t before[3]; /* how far the first tap lies before the first pixel */
} dtd_conv_shape;

/* *count = numbers of the packed weights for one direction. */
int dtd_conv_packed_size(const dtd_conv_shape *shape, int transposed, size_t real_size,
                         size_t *count);

/* w (outputs, inputs / groups, kernel) in the order in which the sums of one direction read it. */
int dtd_conv_pack_f32(const dtd_conv_shape *shape, int transposed, const float *w, float *packed);
int dtd_conv_pack_f64(const dtd_conv_shape *shape, int transposed, const double *w, double *packed);

/* a = the sum, + b unless NULL (one number per channel of the result), clamped to [0, ceiling] unless ceiling is
 * negative. x and a: samples * targets images. w as packed for this direction. */
int dtd_conv_forward_f32(const dtd_conv_shape *shape, int transposed, const float *x,
                         const float *w, const float *b, float ceiling, float *a);
int dtd_conv_forward_f64(const dtd_conv_shape *shape, int transposed, const double *x,
                         const double *w, const double *b, double ceiling, double *a);

/* a = the sum with w^2 for w. */
int dtd_conv_square_f32(const dtd_conv_shape *shape, int transposed, const float *x, const float *w,
                        float *a);
int dtd_conv_square_f64(const dtd_conv_shape *shape, int transposed, const double *x,
                        const double *w, double *a);

/* a as in the forward pass (or NULL) and z = the sum of p w+ + n w-, where p and n are 0 outside of the image. term->low
 * and ->high have the shape of one image. nonnegative: the caller knows that no x is below 0. targets is 1. */
int dtd_conv_forward_z_f32(const dtd_conv_shape *shape, int transposed, const float *x,
                           const float *w, const float *b, float ceiling, const dtd_term_f32 *term,
                           int nonnegative, float *a, float *z);
int dtd_conv_forward_z_f64(const dtd_conv_shape *shape, int transposed, const double *x,
                           const double *w, const double *b, double ceiling,
                           const dtd_term_f64 *term, int nonnegative, double *a, double *z);

/*
 * What becomes of r where the layer below redistributes it next: its quotient s = r / (z + bias), as dtd_quotient makes
 * and books it, in place of r. z: samples images; bias: one image, or NULL; account (samples * targets, 4), added to.
 */
typedef struct {
    const float *z, *bias;
    float epsilon, limit;
    double *account;
} dtd_conv_next_f32;

typedef struct {
    const double *z, *bias;
    double epsilon, limit;
    double *account;
} dtd_conv_next_f64;

/* r (+)= p times the sum of w+ s, + n times the sum of w- s. transposed tells the direction of this sum: 1 for a
 * convolution, whose x and r have inputs channels. x: samples images, s and r: samples * targets. next: NULL, or what r
 * becomes at once, without accumulate. */
int dtd_conv_redistribute_f32(const dtd_conv_shape *shape, int transposed, const float *x,
                              const float *w, const dtd_term_f32 *term, int nonnegative,
                              const float *s, int accumulate, const dtd_conv_next_f32 *next,
                              float *r);
int dtd_conv_redistribute_f64(const dtd_conv_shape *shape, int transposed, const double *x,
                              const double *w, const dtd_term_f64 *term, int nonnegative,
                              const double *s, int accumulate, const dtd_conv_next_f64 *next,
                              double *r);

/* ---- elementwise --------------------------------------------------------------------------------------------- */

/* What happened to the relevance of one row: an account has these four entries, in this order. */
enum {
    DTD_ACCOUNT_RECEIVED,
    DTD_ACCOUNT_BIAS,
    DTD_ACCOUNT_STABILISER,
    DTD_ACCOUNT_LOST,
    DTD_ACCOUNT_ENTRIES
};

/*
 * s_j = R_j / d_j with d_j = z_j + b_j, and with epsilon > 0 also + epsilon sign(z_j + b_j), sign(0) = +1.
 * Where |d_j| is below the least normal number (so that it may be wrong by any share), or |R_j / d_j| is, or that is
 * above the limit, s_j = 0 and R_j is booked as lost.
 * relevance (n k, M); z (n, M), or (M) when shared_z is not 0; bias (M) or NULL; s (n k, M), may be relevance itself;
 * account (n k, 4) is added to: sum R_j, sum b_j s_j, sum epsilon sign s_j, sum of the lost R_j. inputs is ignored.
 */
int dtd_quotient_f32(dtd_dense_shape shape, int shared_z, const float *relevance, const float *z,
                     const float *bias, float epsilon, float limit, float *s, double *account);
int dtd_quotient_f64(dtd_dense_shape shape, int shared_z, const double *relevance, const double *z,
                     const double *bias, double epsilon, double limit, double *s, double *account);

/* sum = x + y, clamped to [0, ceiling] unless ceiling is negative. sum may be x or y. */
int dtd_add_f32(size_t count, const float *x, const float *y, float ceiling, float *sum);
int dtd_add_f64(size_t count, const double *x, const double *y, double ceiling, double *sum);

/*
 * The relevance of the summands of y = sum_m x_m: r_m = p_m R / z with z = sum_m p_m,
 *     p_m = p_positive max(0, x_m) + p_negative min(0, x_m),
 * stabilised by epsilon and booked as in dtd_quotient. At most DTD_SUMMANDS of them. relevance and each r_m
 * (n k, outputs), each x_m (n, outputs); account (n k, 4) is added to. inputs is ignored.
 */
enum { DTD_SUMMANDS = 8 };
int dtd_share_f32(dtd_dense_shape shape, size_t summands, const float *const *x, float p_positive,
                  float p_negative, float epsilon, float limit, const float *relevance,
                  float *const *r, double *account);
int dtd_share_f64(dtd_dense_shape shape, size_t summands, const double *const *x, double p_positive,
                  double p_negative, double epsilon, double limit, const double *relevance,
                  double *const *r, double *account);

/* sums_r = sum_c x_rc in double precision.  x (rows, columns), sums (rows). */
int dtd_row_sums_f32(size_t rows, size_t columns, const float *x, double *sums);
int dtd_row_sums_f64(size_t rows, size_t columns, const double *x, double *sums);

/*
 * *index = position in x (samples, inputs) of the first element that is not finite, < low or > high; samples * inputs
 * when there is none. low and high have low_count and high_count entries: inputs of them, or 1 for all.
 */
int dtd_first_outside_f32(size_t samples, size_t inputs, const float *x, const float *low,
                          size_t low_count, const float *high, size_t high_count, size_t *index);
int dtd_first_outside_f64(size_t samples, size_t inputs, const double *x, const double *low,
                          size_t low_count, const double *high, size_t high_count, size_t *index);

/* ---- pooling over groups of consecutive neurons -------------------------------------------------------------- */

/* samples n, targets k, groups G of size neurons each; x is (n, G size). */
typedef struct {
    size_t samples, targets, groups, size;
} dtd_pool_shape;

/* y_g = (sum_j |x_j|^p)^(1/p) over the group, p >= 1 or INFINITY (the largest |x_j|); scaled, so that nothing
 * overflows that need not.  y (n, G). */
int dtd_pool_forward_f32(dtd_pool_shape shape, double p, const float *x, float *y);
int dtd_pool_forward_f64(dtd_pool_shape shape, double p, const double *x, double *y);

/* gx_j = sign(x_j) (|x_j| / y_g)^(p-1) g_g; 0 where y_g = 0; p = INFINITY: the first largest |x_j| takes it all.
 * x (n, G size), y (n, G) from the forward pass, g (n k, G), gx (n k, G size). */
int dtd_pool_gradient_f32(dtd_pool_shape shape, double p, const float *x, const float *y,
                          const float *g, float *gx);
int dtd_pool_gradient_f64(dtd_pool_shape shape, double p, const double *x, const double *y,
                          const double *g, double *gx);

/* r_j = |x_j| / sum_j' |x_j'| R_g, or, when winner is not 0, all of R_g to the first largest |x_j|. A group of zeros
 * passes nothing on, and its R_g is booked as lost.  relevance (n k, G), r (n k, G size), account (n k, 4), added to. */
int dtd_pool_redistribute_f32(dtd_pool_shape shape, int winner, const float *x,
                              const float *relevance, float *r, double *account);
int dtd_pool_redistribute_f64(dtd_pool_shape shape, int winner, const double *x,
                              const double *relevance, double *r, double *account);

/* ---- images -------------------------------------------------------------------------------------------------- */

/*
 * A blocked image holds its channels in blocks of B = DTD_BLOCK_BYTES / sizeof(number):
 * (images, blocks, pixels, B) with blocks = ceil(channels / B); pixels are all spatial axes together. The lanes of the
 * last block beyond the last channel are 0: every function that writes blocked images leaves them so, and takes it for
 * granted in those it reads.
 */

/* blocked (images, blocks, pixels, B) = plain (images, channels, pixels); unused lanes 0. */
int dtd_image_block_f32(size_t images, size_t channels, size_t pixels, const float *plain,
                        float *blocked);
int dtd_image_block_f64(size_t images, size_t channels, size_t pixels, const double *plain,
                        double *blocked);

/* plain (images, channels, pixels) = blocked (images, blocks, pixels, B). */
int dtd_image_unblock_f32(size_t images, size_t channels, size_t pixels, const float *blocked,
                          float *plain);
int dtd_image_unblock_f64(size_t images, size_t channels, size_t pixels, const double *blocked,
                          double *plain);

/*
 * Windows over the pixels of blocked images: samples n, targets k, and for each axis (depth, height, width; an axis
 * that is not there has 1 of everything and no padding) the pixels in, the windows out, and size, stride, dilation,
 * padding before and after. Window o begins at pixel o stride - before and has the pixels at 0, dilation, ...,
 * (size - 1) dilation from there. What lies outside the image is skipped; a window with no pixel inside gives 0.
 */
typedef struct {
    size_t samples, targets, channels;
    size_t in[3], out[3], size[3], stride[3], dilation[3], before[3], after[3];
} dtd_window;

/* What a window makes of its pixels. */
typedef enum {
    DTD_POOL_MAX,            /* y = max x */
    DTD_POOL_SUM,            /* y = sum x */
    DTD_POOL_AVERAGE,        /* y = sum x / number of pixels inside the image */
    DTD_POOL_AVERAGE_PADDED, /* y = sum x / number of pixels inside the image and its padding */
    DTD_POOL_NORM, /* y = (sum |x|^p)^(1/p), p >= 1 or INFINITY; computed in double precision */
    DTD_POOL_KINDS
} dtd_pool_kind;

/* y as above.  x (n, blocks, in, B), y (n, blocks, out, B); p is used by norms only. */
int dtd_window_pool_f32(dtd_window window, dtd_pool_kind kind, double p, const float *x, float *y);
int dtd_window_pool_f64(dtd_window window, dtd_pool_kind kind, double p, const double *x,
                        double *y);

/*
 * gx = dy/dx g. Maxima: the first largest x takes all of g; norms: sign(x) (|x| / y)^(p-1) g, 0 where y = 0, and with
 * p = INFINITY sign(x) g to the first largest |x|.  x as above, g (n k, blocks, out, B), gx (n k, blocks, in, B).
 */
int dtd_window_pool_gradient_f32(dtd_window window, dtd_pool_kind kind, double p, const float *x,
                                 const float *g, float *gx);
int dtd_window_pool_gradient_f64(dtd_window window, dtd_pool_kind kind, double p, const double *x,
                                 const double *g, double *gx);

/*
 * All of R to the first largest x of the window, or with absolute not 0 to the first largest |x|. Where that is 0
 * R is lost.  relevance (n k, blocks, out, B), r (n k, blocks, in, B), account (n k, 4), added to.
 */
int dtd_window_winner_f32(dtd_window window, int absolute, const float *x, const float *relevance,
                          float *r, double *account);
int dtd_window_winner_f64(dtd_window window, int absolute, const double *x, const double *relevance,
                          double *r, double *account);

/* The factors of a linear layer without negative weights: p_i = positive max(0, x_i) + negative min(0, x_i) - low_i;
 * low (blocks, pixels, B), or NULL, which means the number lowest for all. */
typedef struct {
    float positive, negative, lowest;
    const float *low;
} dtd_factor_f32;

typedef struct {
    double positive, negative, lowest;
    const double *low;
} dtd_factor_f64;

/*
 * r_i = sum_j p_i w_j s_j, added to r when accumulate is not 0, with z_j = w_j sum_i p_i over the window of j and
 * s_j = R_j / (z_j + epsilon sign z_j) under the conditions of dtd_quotient_f32. The weight w_j is that of the kind: 1
 * for sums, 1 / number of pixels for averages; other kinds are errors.
 * x (n, blocks, in, B), relevance (n k, blocks, out, B), r (n k, blocks, in, B), account (n k, 4), added to.
 */
int dtd_window_redistribute_f32(dtd_window window, dtd_pool_kind kind, const dtd_factor_f32 *factor,
                                float epsilon, const float *x, const float *relevance,
                                int accumulate, float *r, double *account);
int dtd_window_redistribute_f64(dtd_window window, dtd_pool_kind kind, const dtd_factor_f64 *factor,
                                double epsilon, const double *x, const double *relevance,
                                int accumulate, double *r, double *account);

/*
 * Local response normalisation over channels, on blocked images: y_c = x_c d_c^-beta with
 * d_c = k + alpha sum x_c'^2, c - before <= c' <= c + after, as far as there are channels; k > 0, alpha >= 0. (Where
 * the field divides alpha by the size of the window, the caller does.)
 */
typedef struct {
    size_t samples, targets, channels, pixels, before, after;
    double alpha, beta, k;
} dtd_lrn;

/* x, y (n, blocks, pixels, B). */
int dtd_lrn_forward_f32(const dtd_lrn *lrn, const float *x, float *y);
int dtd_lrn_forward_f64(const dtd_lrn *lrn, const double *x, double *y);

/* gx_c = g_c d_c^-beta - 2 alpha beta x_c sum_c' g_c' x_c' d_c'^(-beta - 1), c' all channels whose window has c.
 * x as above, g and gx (n k, blocks, pixels, B). */
int dtd_lrn_gradient_f32(const dtd_lrn *lrn, const float *x, const float *g, float *gx);
int dtd_lrn_gradient_f64(const dtd_lrn *lrn, const double *x, const double *g, double *gx);

/* ---- training of detection-pooling networks ---- */

/* samples n: rows of the training data; units: layers of detection neurons and pools; batch: rows of one mini-batch. */
typedef struct {
    size_t samples, inputs, units, iterations, batch;
} dtd_train_shape;

/*
 * One unit: h_j = max(0, sum_i x_i w_ij + b_j) for so many neurons, then y_g = (sum h_j^p)^(1/p) over groups of pool
 * consecutive ones; pool divides neurons. w (neurons, inputs of the unit), b (neurons). The velocities have the shapes
 * of w and b; without momentum both may be NULL, which is faster and the same.
 */
typedef struct {
    size_t neurons, pool;
    float *w, *b, *w_velocity, *b_velocity;
} dtd_train_unit_f32;

typedef struct {
    size_t neurons, pool;
    double *w, *b, *w_velocity, *b_velocity;
} dtd_train_unit_f64;

/*
 * Stochastic gradient descent on the mean squared error E = mean over batch and outputs of (y - target)^2:
 *     v = momentum v + dE/dw,  w = w - rate v,  the same for b, and then b = min(0, b).
 * x (n, inputs), y (n, outputs of the last unit); order (iterations, batch): rows of x; rates (iterations).
 * loss (iterations): E before each step. *done = iterations made. When it is less than asked for, loss[*done] is not
 * finite and that step was not taken. DTD_ERROR_MEMORY may leave a step half done; weights that overflowed follow IEEE
 * 754, and the next loss shows them: the caller keeps a copy where it needs one.
 */
int dtd_train_f32(dtd_train_shape shape, double p, const dtd_train_unit_f32 *units, const float *x,
                  const float *y, const size_t *order, const double *rates, double momentum,
                  double *loss, size_t *done);
int dtd_train_f64(dtd_train_shape shape, double p, const dtd_train_unit_f64 *units, const double *x,
                  const double *y, const size_t *order, const double *rates, double momentum,
                  double *loss, size_t *done);

/* ---- threads and instruction sets ---------------------------------------------------------------------------- */

/* Upper bound for the threads of a call; 0 takes the bound away. In a forked child the bound is 1 until it is set. */
int dtd_set_num_threads(int threads);

/* The threads that the next large call would use: 1 without OpenMP. */
int dtd_get_num_threads(void);

/* 1 when compiled with OpenMP. */
int dtd_has_openmp(void);

/* Choose the level by name, or the best that this processor runs with NULL. Not while other calls are under way, if
 * these must not mix levels. */
int dtd_select_isa(const char *name);

/* The level in use: "base", "x86-64-v3" or "x86-64-v4". */
const char *dtd_isa_name(void);

/* Levels compiled, best first: names for index = 0, 1, ...; NULL after the last. supported tells, when not NULL,
 * whether this processor runs it. */
const char *dtd_isa_level(size_t index, int *supported);

/* The compiler of the core, for bug reports. */
const char *dtd_compiler(void);

#endif
