/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside the core: driver -> dtd_parallel -> micro-kernel, never skipping a level. A driver validates, takes scratch
 * memory and cuts the work into tasks; a micro-kernel is serial, cannot fail, and is reached through the table of the
 * ISA level in use.
 */
#ifndef DTD_INTERNAL_H
#define DTD_INTERNAL_H

#include <float.h>
#include <math.h>

#include "dtd.h"

/* The name of a function of a template (reals.h): it ends with f32 or f64. */
#define DTD_JOIN_(name, suffix) name##_##suffix
#define DTD_JOIN(name, suffix) DTD_JOIN_(name, suffix)
#define NAME(name) DTD_JOIN(name, SUFFIX)

/* ---- micro-kernels ------------------------------------------------------------------------------------------- */

/* What a forward job computes; p, n and the second output z are used only where the formula names them. */
typedef enum {
    DTD_FORWARD_PLAIN,          /* a = sum x w */
    DTD_FORWARD_POSITIVE,       /* a = sum p w+ */
    DTD_FORWARD_SIGNED,         /* a = sum p w+ + n w- */
    DTD_FORWARD_PLAIN_SHARED,   /* a = sum x w, z = sum x w+ */
    DTD_FORWARD_PLAIN_POSITIVE, /* a = sum x w, z = sum p w+ */
    DTD_FORWARD_PLAIN_SIGNED,   /* a = sum x w, z = sum p w+ + n w- */
    DTD_FORWARD_MODES
} dtd_forward_mode;

/* The part of the weights that a spread job uses. */
typedef enum {
    DTD_SPREAD_PLAIN,    /* c_plus = sum w s */
    DTD_SPREAD_POSITIVE, /* c_plus = sum w+ s */
    DTD_SPREAD_SQUARE,   /* c_plus = sum w^2 s */
    DTD_SPREAD_SIGNED,   /* c_plus = sum w+ s and c_minus = sum w- s */
    DTD_SPREAD_MODES
} dtd_spread_mode;

/* Order of summation, part of the contract: forward sums in blocks of inputs, spread in blocks of rows. */
enum { DTD_FORWARD_BLOCK = 1024, DTD_SPREAD_BLOCK = 128 };

/* Samples that one spread job takes at most, and the bytes of scratch that it needs for them. */
enum { DTD_SPREAD_SAMPLES = 128 };
#define DTD_SPREAD_SCRATCH(samples, real_size)                                                     \
    ((size_t)DTD_SPREAD_BLOCK * ((samples) + 16) * ((real_size) + sizeof(size_t)) +                \
     ((samples) + 16) * sizeof(size_t))

/* What a convolution sums; y is a second input. */
typedef enum {
    DTD_CONV_PLAIN,    /* x w */
    DTD_CONV_POSITIVE, /* x w+ */
    DTD_CONV_SQUARE,   /* x w^2 */
    DTD_CONV_SIGNED,   /* x w+ + y w- */
    DTD_CONV_SHARED,   /* x w, and x w+ */
    DTD_CONV_SPLIT,    /* x w+, and x w- */
    DTD_CONV_MODES
} dtd_conv_mode;

/* Pixels beyond a row that a convolution may read. */
enum { DTD_CONV_BEYOND = 24 };

/* Rows of weights that one descent job changes at a time, and the bytes of scratch that it needs for a batch. */
enum { DTD_DESCENT_ROWS = 4 };
#define DTD_DESCENT_SCRATCH(batch, real_size)                                                      \
    (DTD_DESCENT_ROWS * (batch) * ((real_size) + sizeof(size_t)))

/* How a window gives back what it got. */
typedef enum {
    DTD_WINDOW_SHARES,          /* in proportion to the factors p_i */
    DTD_WINDOW_WINNER,          /* all to the first largest */
    DTD_WINDOW_WINNER_GRADIENT, /* the same for a gradient: nothing is lost */
    DTD_WINDOW_GRADIENT,        /* sums and averages: the weight */
    DTD_WINDOW_NORM_GRADIENT
} dtd_window_spread;

/* Numbers of scratch that the kernel lrn needs. */
#define DTD_LRN_SCRATCH(lrn, block)                                                                \
    (3 * ((lrn)->channels + (lrn)->before + (lrn)->after + 2 * (block)))

/* Channels in a block of a blocked image. */
#define DTD_BLOCK (DTD_BLOCK_BYTES / sizeof(REAL))

#define TEMPLATE "jobs.h"
#include "reals.h"

/* The table of one ISA level. */
typedef struct {
#define KERNEL(name, arguments) void(*NAME(name)) arguments;
#define TEMPLATE "kernels.def"
#include "reals.h"
#undef KERNEL
} dtd_kernels;

extern const dtd_kernels dtd_kernels_base;
extern const dtd_kernels dtd_kernels_v3;
extern const dtd_kernels dtd_kernels_v4;

/* The table in use. Read once per call of a driver. */
const dtd_kernels *dtd_kernel_table(void);

/* ---- launcher ------------------------------------------------------------------------------------------------ */

typedef void (*dtd_task)(void *context, size_t task, int worker);

/* Threads that work of so many multiply-adds (or comparable steps) deserves: 1 when it is small. */
int dtd_threads_for(double work);

/* What it costs to pass once over a number in memory, in such multiply-adds. */
#define DTD_PASS 8.0

/* Run task(context, 0 .. tasks - 1, worker) on up to threads threads, 0 <= worker < threads; in any order. */
void dtd_parallel(size_t tasks, dtd_task task, void *context, int threads);

/* ---- accounts ------------------------------------------------------------------------------------------------ */

/* Add the accounts of the chunks of each row, in their order, to that of the row. */
void dtd_add_accounts(size_t rows, size_t chunks, const double *totals, double *account);

/* ---- sizes and memory ---------------------------------------------------------------------------------------- */

/* *product = a * b; DTD_ERROR_SIZE when it does not fit. */
int dtd_multiply(size_t a, size_t b, size_t *product);

/* DTD_ERROR_SIZE when a * b elements of that size do not fit an object. */
int dtd_check_size(size_t a, size_t b, size_t element);

/* Scratch memory aligned to 64 bytes, not cleared; NULL when there is none. dtd_free(NULL) does nothing. */
void *dtd_alloc(size_t bytes);
void dtd_free(void *memory);

/* Tests: let the k-th allocation from now fail (1 = the next), 0 = none. */
void dtd_test_fail_allocation(long k);

static inline size_t dtd_ceil_div(size_t a, size_t b) { return a / b + (a % b != 0); }
static inline size_t dtd_min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t dtd_max(size_t a, size_t b) { return a > b ? a : b; }

#endif
