/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, LARGEST, SMALLEST) of kernels.c: windows over blocked images. */

/* Vectors in a block. */
#define PARTS (DTD_BLOCK / LANES)

/* The lines of a box, line = index of its first element; the pixels of a line, at = index of the element. */
#define FOR_LINES(box)                                                                             \
    for (size_t kd_ = 0; kd_ < (box).depth.count; kd_++)                                           \
        for (size_t kh_ = 0,                                                                       \
                    line = (((box).depth.begin + kd_ * (box).depth.step) * window->in[1] +         \
                            (box).height.begin) *                                                  \
                           window->in[2] * DTD_BLOCK;                                              \
             kh_ < (box).height.count;                                                             \
             kh_++, line += (box).height.step * window->in[2] * DTD_BLOCK)
#define FOR_PIXELS(box)                                                                            \
    for (size_t kw_ = 0, at = line + (box).width.begin * DTD_BLOCK; kw_ < (box).width.count;       \
         kw_++, at += (box).width.step * DTD_BLOCK)

/* The largest of one lane of a box (with absolute: of |x|), and its index: the first. */
static double NAME(lane_largest)(const dtd_window *window, dtd_box box, int absolute, const REAL *x,
                                 size_t *index) {
    double largest = -HUGE_VAL;
    *index = 0;
    FOR_LINES(box) {
        FOR_PIXELS(box) {
            const double v = absolute ? fabs((double)x[at]) : (double)x[at];
            if (v > largest) {
                largest = v;
                *index = at;
            }
        }
    }
    return largest;
}

/* The p-norm of one lane of a box; the largest |x| is taken out, so that powers neither overflow nor vanish. */
static double NAME(lane_norm)(const dtd_window *window, dtd_box box, double p, const REAL *x) {
    size_t index;
    double sum = 0;
    const double largest = NAME(lane_largest)(window, box, 1, x, &index);
    if (!(largest > 0) || isinf(p)) {
        return largest > 0 ? largest : 0;
    }
    FOR_LINES(box) {
        FOR_PIXELS(box) {
            const double part = fabs((double)x[at]) / largest;
            sum += p == 1 ? part : p == 2 ? part * part : pow(part, p);
        }
    }
    return largest * (p == 1 ? sum : p == 2 ? sqrt(sum) : pow(sum, 1 / p));
}

/* sum p_i of a part of a box: lines first, which keeps the rounding of large windows small. */
DTD_INLINE VEC NAME(box_sum)(const dtd_window *window, dtd_box box, const REAL *x, int plain,
                             const NAME(dtd_factor) *factor) {
    VEC sum = {0};
    FOR_LINES(box) {
        VEC along = {0};
        FOR_PIXELS(box) {
            const VEC v = NAME(vec_load)(x + at);
            if (plain) {
                along += v;
            } else {
                const VEC low =
                    factor->low ? NAME(vec_load)(factor->low + at) : NAME(vec_set)(factor->lowest);
                along += NAME(term_vector)(v, factor->positive, factor->negative, low);
            }
        }
        sum += along;
    }
    return sum;
}

DTD_INLINE void NAME(pool_row)(dtd_pool_kind kind, const dtd_window *window, double p, size_t row,
                               const REAL *x, REAL *y) {
    dtd_box box = {dtd_span_of(window, 0, row / window->out[1]),
                   dtd_span_of(window, 1, row % window->out[1]),
                   {0, 0, 0, 0}};
    for (size_t o = 0; o < window->out[2]; o++, y += DTD_BLOCK) {
        box.width = dtd_span_of(window, 2, o);
        const size_t pixels = dtd_pixels_of(box), divisor = dtd_divisor(kind, box);
        if (kind == DTD_POOL_NORM) {
            for (size_t c = 0; c < DTD_BLOCK; c++) {
                y[c] = (REAL)NAME(lane_norm)(window, box, p, x + c);
            }
            continue;
        }
        DTD_UNROLL
        for (size_t part = 0; part < PARTS; part++) {
            const REAL *const from = x + part * LANES;
            VEC result = {0};
            if (kind == DTD_POOL_MAX) {
                if (pixels > 0) {
                    result = NAME(vec_set)((REAL)-HUGE_VAL);
                }
                FOR_LINES(box) {
                    FOR_PIXELS(box) {
                        const VEC v = NAME(vec_load)(from + at);
                        result = NAME(pick)(v > result, v, result);
                    }
                }
            } else {
                result = NAME(box_sum)(window, box, from, 1, NULL);
                if (kind != DTD_POOL_SUM && pixels > 0) {
                    result /= NAME(vec_set)((REAL)divisor);
                }
            }
            NAME(vec_store)(y + part * LANES, result);
        }
    }
}

/* One row of windows (row = depth * out[1] + height) of one block: x (in, B), y (out[2], B). */
static void NAME(window_pool)(const dtd_window *window, dtd_pool_kind kind, double p, size_t row,
                              const REAL *x, REAL *y) {
    switch (kind) {
    case DTD_POOL_MAX:
        NAME(pool_row)(DTD_POOL_MAX, window, p, row, x, y);
        break;
    case DTD_POOL_SUM:
        NAME(pool_row)(DTD_POOL_SUM, window, p, row, x, y);
        break;
    case DTD_POOL_NORM:
        NAME(pool_row)(DTD_POOL_NORM, window, p, row, x, y);
        break;
    default:
        NAME(pool_row)(kind, window, p, row, x, y);
    }
}

/* What the windows of a block received, put into the stabiliser and lost, lane by lane. */
typedef struct {
    double received[DTD_BLOCK], stabiliser[DTD_BLOCK], lost[DTD_BLOCK];
} NAME(window_sums);

/* R / (z + epsilon sign z) where that is a number fit for use, else 0. */
DTD_INLINE VEC NAME(window_quotient)(const NAME(dtd_window_job) *job, VEC arrived, VEC z,
                                     NAME(window_sums) *sums, size_t lane) {
    VEC added;
    IVEC fit;
    const VEC quotient =
        NAME(quotient_vector)(arrived, z, job->epsilon > 0, NAME(vec_set)(job->epsilon),
                              NAME(vec_set)(job->limit), &added, &fit);
    NAME(book)(sums->received + lane, arrived);
    NAME(book)(sums->lost + lane, (VEC)((IVEC)arrived & ~fit));
    if (job->epsilon > 0) {
        NAME(book_products)(sums->stabiliser + lane, added, quotient);
    }
    return quotient;
}

DTD_INLINE void NAME(spread_shares)(const NAME(dtd_window_job) *job, dtd_box box, VEC g,
                                    NAME(window_sums) *sums, size_t lane) {
    const dtd_window *const window = job->window;
    const REAL *const x = job->x + lane;
    REAL *const r = job->r + lane;
    NAME(dtd_factor) factor = job->factor;
    factor.low = factor.low ? factor.low + lane : NULL;
    const VEC divisor = NAME(vec_set)((REAL)dtd_divisor(job->kind, box));
    const VEC z = NAME(box_sum)(window, box, x, 0, &factor) / divisor;
    const VEC s = NAME(window_quotient)(job, g, z, sums, lane) / divisor;
    FOR_LINES(box) {
        FOR_PIXELS(box) {
            const VEC low =
                factor.low ? NAME(vec_load)(factor.low + at) : NAME(vec_set)(factor.lowest);
            const VEC p =
                NAME(term_vector)(NAME(vec_load)(x + at), factor.positive, factor.negative, low);
            NAME(vec_store)(r + at, FMA(p, s, NAME(vec_load)(r + at)));
        }
    }
}

DTD_INLINE void NAME(spread_winner)(const NAME(dtd_window_job) *job, dtd_box box, int absolute,
                                    int gradient, VEC g, NAME(window_sums) *sums, size_t lane) {
    const dtd_window *const window = job->window;
    const REAL *const x = job->x + lane;
    REAL *const r = job->r + lane;
    const VEC zero = {0};
    VEC largest = NAME(vec_set)((REAL)-HUGE_VAL);
    FOR_LINES(box) {
        FOR_PIXELS(box) {
            const VEC v =
                absolute ? NAME(magnitude)(NAME(vec_load)(x + at)) : NAME(vec_load)(x + at);
            largest = NAME(pick)(v > largest, v, largest);
        }
    }
    if (!gradient) {
        const IVEC alive = (largest != zero) & (largest > NAME(vec_set)((REAL)-HUGE_VAL));
        NAME(book)(sums->received + lane, g);
        NAME(book)(sums->lost + lane, (VEC)((IVEC)g & ~alive));
        g = (VEC)((IVEC)g & alive);
    }
    /* The first that is equal to the largest takes g, and leaves 0 for the rest. */
    FOR_LINES(box) {
        FOR_PIXELS(box) {
            const VEC v =
                absolute ? NAME(magnitude)(NAME(vec_load)(x + at)) : NAME(vec_load)(x + at);
            const IVEC here = v == largest;
            NAME(vec_store)(r + at, NAME(vec_load)(r + at) + (VEC)((IVEC)g & here));
            g = (VEC)((IVEC)g & ~here);
        }
    }
}

DTD_INLINE void NAME(spread_gradient)(const NAME(dtd_window_job) *job, dtd_box box, VEC g,
                                      size_t lane) {
    const dtd_window *const window = job->window;
    REAL *const r = job->r + lane;
    const VEC share = g / NAME(vec_set)((REAL)dtd_divisor(job->kind, box));
    FOR_LINES(box) {
        FOR_PIXELS(box) { NAME(vec_store)(r + at, NAME(vec_load)(r + at) + share); }
    }
}

/* One lane: sign(x) (|x| / y)^(p-1) g. */
static void NAME(spread_norm_gradient)(const NAME(dtd_window_job) *job, dtd_box box, REAL g,
                                       size_t lane) {
    const dtd_window *const window = job->window;
    const REAL *const x = job->x + lane;
    REAL *const r = job->r + lane;
    size_t winner;
    const double y = NAME(lane_norm)(window, box, job->p, x);
    if (g == 0 || !(y > 0)) {
        return;
    }
    if (isinf(job->p)) {
        NAME(lane_largest)(window, box, 1, x, &winner);
        r[winner] += x[winner] > 0 ? g : -g;
        return;
    }
    FOR_LINES(box) {
        FOR_PIXELS(box) {
            if (x[at] != 0) {
                const double share = fabs((double)x[at]) / y;
                const double slope = job->p == 1 ? 1 : job->p == 2 ? share : pow(share, job->p - 1);
                r[at] += (REAL)((x[at] > 0 ? slope : -slope) * (double)g);
            }
        }
    }
}

DTD_INLINE void NAME(spread_windows)(dtd_window_spread mode, int absolute,
                                     const NAME(dtd_window_job) *job) {
    const dtd_window *const window = job->window;
    const size_t line = window->in[2] * DTD_BLOCK, lines = window->in[0] * window->in[1];
    NAME(window_sums) sums = {{0}, {0}, {0}};
    const REAL *g = job->g;
    size_t clean = job->accumulate ? lines : 0; /* lines of r that may be added to */
    for (size_t row = 0; row < window->out[0] * window->out[1]; row++) {
        dtd_box box = {dtd_span_of(window, 0, row / window->out[1]),
                       dtd_span_of(window, 1, row % window->out[1]),
                       {0, 0, 0, 0}};
        if (box.depth.count > 0 && box.height.count > 0) {
            const size_t depth = box.depth.begin + (box.depth.count - 1) * box.depth.step;
            const size_t height = box.height.begin + (box.height.count - 1) * box.height.step;
            const size_t needed = depth * window->in[1] + height + 1;
            if (needed > clean) { /* just before they are used: they stay in the cache */
                __builtin_memset(job->r + clean * line, 0, (needed - clean) * line * sizeof(REAL));
                clean = needed;
            }
        }
        for (size_t o = 0; o < window->out[2]; o++, g += DTD_BLOCK) {
            box.width = dtd_span_of(window, 2, o);
            if (mode == DTD_WINDOW_NORM_GRADIENT) {
                for (size_t c = 0; c < DTD_BLOCK; c++) {
                    NAME(spread_norm_gradient)(job, box, g[c], c);
                }
                continue;
            }
            DTD_UNROLL
            for (size_t part = 0; part < PARTS; part++) {
                const size_t lane = part * LANES;
                const VEC arrived = NAME(vec_load)(g + lane);
                if (mode == DTD_WINDOW_SHARES) {
                    NAME(spread_shares)(job, box, arrived, &sums, lane);
                } else if (mode == DTD_WINDOW_GRADIENT) {
                    NAME(spread_gradient)(job, box, arrived, lane);
                } else {
                    NAME(spread_winner)(job, box, absolute, mode == DTD_WINDOW_WINNER_GRADIENT,
                                        arrived, &sums, lane);
                }
            }
        }
    }
    if (clean < lines) {
        __builtin_memset(job->r + clean * line, 0, (lines - clean) * line * sizeof(REAL));
    }
    if (mode == DTD_WINDOW_SHARES || mode == DTD_WINDOW_WINNER) {
        double received = 0, stabiliser = 0, lost = 0;
        for (size_t c = 0; c < DTD_BLOCK; c++) {
            received += sums.received[c];
            stabiliser += sums.stabiliser[c];
            lost += sums.lost[c];
        }
        job->totals[DTD_ACCOUNT_RECEIVED] = received;
        job->totals[DTD_ACCOUNT_BIAS] = 0;
        job->totals[DTD_ACCOUNT_STABILISER] = stabiliser;
        job->totals[DTD_ACCOUNT_LOST] = lost;
    }
}

/* See dtd_window_job. Windows in ascending order, so every pixel has one order of summation. */
static void NAME(window_spread)(const NAME(dtd_window_job) *job) {
    switch (job->mode) {
    case DTD_WINDOW_SHARES:
        NAME(spread_windows)(DTD_WINDOW_SHARES, 0, job);
        break;
    case DTD_WINDOW_WINNER:
        if (job->absolute) {
            NAME(spread_windows)(DTD_WINDOW_WINNER, 1, job);
        } else {
            NAME(spread_windows)(DTD_WINDOW_WINNER, 0, job);
        }
        break;
    case DTD_WINDOW_WINNER_GRADIENT:
        NAME(spread_windows)(DTD_WINDOW_WINNER_GRADIENT, 0, job);
        break;
    case DTD_WINDOW_GRADIENT:
        NAME(spread_windows)(DTD_WINDOW_GRADIENT, 0, job);
        break;
    case DTD_WINDOW_NORM_GRADIENT:
        NAME(spread_windows)(DTD_WINDOW_NORM_GRADIENT, 0, job);
        break;
    }
}

#undef PARTS
#undef FOR_LINES
#undef FOR_PIXELS
