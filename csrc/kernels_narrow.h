/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Template (REAL, SUFFIX) of kernels.c: convolutions to at most four channels, as the relevance pass onto colours is.
 * Vectors run over the source's channels, for results' channels would leave most of a vector empty.
 */

/* Pixels of a tile, so that pixels x channels x (dual: 2) accumulators and the weights fit the registers. */
#define NARROW_PIXELS(channels, dual) ((CONV_MOST - 4) / ((channels) * ((dual) ? 2 : 1)))
_Static_assert(CONV_MOST - 4 <= DTD_CONV_BEYOND + 1, "a tile reads too far beyond its row");

/*
 * One tile: results[(pixel * channels + c) * sums + d], d = 0, and 1 in the dual modes: the sum of f(w) x over blocks,
 * taps and vectors in this order, lane by lane, then over the lanes. The sizes are constants where this is inlined.
 */
DTD_INLINE void NAME(narrow_tile)(const dtd_conv_mode mode, const size_t pixels,
                                  const size_t channels, const NAME(dtd_conv_job) *job,
                                  const REAL *x, const REAL *y, REAL *results) {
    enum { B = DTD_BLOCK_BYTES / sizeof(REAL) };
    const int dual = mode == DTD_CONV_SHARED || mode == DTD_CONV_SPLIT;
    const size_t sums = dual ? 2 : 1, count = pixels * channels * sums;
    const REAL *w = job->w;
    VEC acc[CONV_MOST];
    DTD_UNROLL_ALL
    for (size_t k = 0; k < CONV_MOST; k++) {
        acc[k] = (VEC){0};
    }
    for (size_t block = 0; block < job->blocks; block++, x += job->x_block, y += job->x_block) {
        for (size_t tap = 0; tap < job->taps; tap++, w += channels * B) {
            for (size_t part = 0; part < B; part += LANES) {
                const REAL *const xs = x + job->offsets[tap] + part;
                const REAL *const ys = y + (mode == DTD_CONV_SIGNED ? job->offsets[tap] : 0) + part;
                VEC f[4], g[4];
                DTD_UNROLL
                for (size_t c = 0; c < channels; c++) {
                    const VEC v = NAME(vec_load)(w + c * B + part);
                    f[c] = mode == DTD_CONV_PLAIN || mode == DTD_CONV_SHARED ? v
                           : mode == DTD_CONV_SQUARE ? v * v
                                                     : NAME(vec_positive)(v);
                    g[c] = mode == DTD_CONV_SHARED ? NAME(vec_positive)(v) : NAME(vec_negative)(v);
                }
                DTD_UNROLL
                for (size_t k = 0; k < pixels; k++) {
                    const VEC input = NAME(vec_load)(xs + k * B);
                    DTD_UNROLL
                    for (size_t c = 0; c < channels; c++) {
                        VEC *const sum = acc + (k * channels + c) * sums;
                        sum[0] = FMA(input, f[c], sum[0]);
                        if (dual) {
                            sum[1] = FMA(input, g[c], sum[1]);
                        } else if (mode == DTD_CONV_SIGNED) {
                            sum[0] = FMA(NAME(vec_load)(ys + k * B), g[c], sum[0]);
                        }
                    }
                }
            }
        }
    }
    VEC all[CONV_MOST + 3];
    DTD_UNROLL_ALL
    for (size_t k = 0; k < CONV_MOST; k++) {
        all[k] = acc[k];
    }
    all[CONV_MOST] = all[CONV_MOST + 1] = all[CONV_MOST + 2] = (VEC){0};
    for (size_t k = 0; k < count; k += 4) {
        NAME(vec_sums)(all + k, results + k);
    }
}

typedef void (*NAME(narrow_function))(const NAME(dtd_conv_job) *, int, const REAL *, const REAL *,
                                      REAL *);

#define NARROW(name, mode, channels, dual)                                                         \
    static DTD_NOINLINE void NAME(name)(const NAME(dtd_conv_job) *job, int one, const REAL *x,     \
                                        const REAL *y, REAL *results) {                            \
        if (one) {                                                                                 \
            NAME(narrow_tile)(mode, 1, channels, job, x, y, results);                              \
        } else {                                                                                   \
            NAME(narrow_tile)(mode, NARROW_PIXELS(channels, dual), channels, job, x, y, results);  \
        }                                                                                          \
    }
#define NARROW_ALL(name, mode, dual)                                                               \
    NARROW(name##_1, mode, 1, dual) NARROW(name##_3, mode, 3, dual) NARROW(name##_4, mode, 4, dual)
NARROW_ALL(narrow_plain, DTD_CONV_PLAIN, 0)
NARROW_ALL(narrow_positive, DTD_CONV_POSITIVE, 0)
NARROW_ALL(narrow_square, DTD_CONV_SQUARE, 0)
NARROW_ALL(narrow_signed, DTD_CONV_SIGNED, 0)
NARROW_ALL(narrow_shared, DTD_CONV_SHARED, 1)
NARROW_ALL(narrow_split, DTD_CONV_SPLIT, 1)
#undef NARROW_ALL
#undef NARROW

/* One row of results, of job->narrow channels (or fewer: their weights are 0). */
static void NAME(narrow_row)(const NAME(dtd_conv_job) *job) {
    enum { B = DTD_BLOCK_BYTES / sizeof(REAL), PARTS = DTD_BLOCK_BYTES / VEC_BYTES };
#define NARROW_ALL(name)                                                                           \
    {                                                                                              \
        NAME(name##_1), NAME(name##_3), NAME(name##_4)                                             \
    }
    static const NAME(narrow_function) functions[DTD_CONV_MODES][3] = {
        [DTD_CONV_PLAIN] = NARROW_ALL(narrow_plain),
        [DTD_CONV_POSITIVE] = NARROW_ALL(narrow_positive),
        [DTD_CONV_SQUARE] = NARROW_ALL(narrow_square),
        [DTD_CONV_SIGNED] = NARROW_ALL(narrow_signed),
        [DTD_CONV_SHARED] = NARROW_ALL(narrow_shared),
        [DTD_CONV_SPLIT] = NARROW_ALL(narrow_split),
    };
#undef NARROW_ALL
    const size_t channels = job->narrow;
    const int dual = job->mode == DTD_CONV_SHARED || job->mode == DTD_CONV_SPLIT;
    const size_t sums = dual ? 2 : 1, most = NARROW_PIXELS(channels, dual);
    const NAME(narrow_function) tile = functions[job->mode][channels == 1   ? 0
                                                            : channels == 3 ? 1
                                                                            : 2];
    NAME(conv_books) books = {{0}, {0}, {0}, {0}};
    for (size_t done = 0; done < job->pixels;) {
        const size_t rest = job->pixels - done;
        const int one = job->exact && rest < most;
        const size_t size = one ? 1 : most, present = size < rest ? size : rest;
        REAL results[CONV_MOST + 4];
        VEC first[CONV_MOST], second[CONV_MOST];
        tile(job, one, job->x + done * B, job->y ? job->y + done * B : job->x, results);
        for (size_t part = 0; part < PARTS; part++) {
            for (size_t k = 0; k < present; k++) {
                REAL lanes[2][LANES];
                for (size_t lane = 0; lane < LANES; lane++) {
                    const size_t c = part * LANES + lane;
                    const REAL *const of = results + (k * channels + c) * sums;
                    lanes[0][lane] = c < channels ? of[0] : 0;
                    lanes[1][lane] = c < channels && dual ? of[1] : 0;
                }
                first[k] = NAME(vec_load)(lanes[0]);
                second[k] = NAME(vec_load)(lanes[1]);
            }
            NAME(conv_finish)(job, job->place + done * job->pixel + part * LANES,
                              job->b ? job->b + part * LANES : NULL, present, first,
                              dual ? second : NULL, &books);
        }
        done += present;
    }
    if (job->next) {
        NAME(close_books)(&books, job->totals);
    }
}
