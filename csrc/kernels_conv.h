/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of kernels.c: sums of a convolution over channels and taps, for one row of pixels. */

/*
 * One tile: pixels x vectors (of output channels) sums, acc = sum over blocks, taps, channels i of f(w[i]) x[i], in this
 * order, whatever the tile: so no choice of tiles changes a bit. In the dual modes a second sum beside each.
 * x (and y, the second input of DTD_CONV_SIGNED) point at the tile's first pixel in the first block, w at the weights
 * of vector k. sums[k * pixels + pixel], second sums behind them. All but the job and pointers are constants where
 * this is inlined.
 */
DTD_INLINE void NAME(conv_tile)(const dtd_conv_mode mode, const int depthwise, const size_t pixels,
                                const size_t vectors, const NAME(dtd_conv_job) *job, const REAL *x,
                                const REAL *y, const REAL *w0, const REAL *w1, VEC *sums) {
    enum { B = DTD_BLOCK_BYTES / sizeof(REAL) };
    const int dual = mode == DTD_CONV_SHARED || mode == DTD_CONV_SPLIT;
    VEC acc[CONV_MOST];
    DTD_UNROLL_ALL
    for (size_t k = 0; k < CONV_MOST; k++) {
        acc[k] = (VEC){0};
    }
    for (size_t block = 0; block < job->blocks; block++) {
        const size_t count = depthwise ? 1 : block + 1 < job->blocks ? B : job->last;
        for (size_t tap = 0; tap < job->taps; tap++) {
            const REAL *xs = x + job->offsets[tap],
                       *ys = mode == DTD_CONV_SIGNED ? y + job->offsets[tap] : x;
            const REAL *u0 = w0, *u1 = w1;
            for (size_t i = 0; i < count; i++, xs++, ys++, u0 += B, u1 += B) {
                const VEC v0 = NAME(vec_load)(u0);
                const VEC f0 = mode == DTD_CONV_PLAIN || mode == DTD_CONV_SHARED ? v0
                               : mode == DTD_CONV_SQUARE ? v0 * v0
                                                         : NAME(vec_positive)(v0);
                VEC g = f0;
                if (mode == DTD_CONV_SHARED) {
                    g = NAME(vec_positive)(v0);
                } else if (mode == DTD_CONV_SPLIT || mode == DTD_CONV_SIGNED) {
                    g = NAME(vec_negative)(v0);
                } else if (vectors == 2) {
                    const VEC v1 = NAME(vec_load)(u1);
                    g = mode == DTD_CONV_PLAIN    ? v1
                        : mode == DTD_CONV_SQUARE ? v1 * v1
                                                  : NAME(vec_positive)(v1);
                }
                DTD_UNROLL
                for (size_t k = 0; k < pixels; k++) {
                    const VEC input =
                        depthwise ? NAME(vec_load)(xs + k * B) : NAME(vec_set)(xs[k * B]);
                    acc[k] = FMA(input, f0, acc[k]);
                    if (vectors == 2 || dual) {
                        acc[pixels + k] = FMA(input, g, acc[pixels + k]);
                    } else if (mode == DTD_CONV_SIGNED) {
                        const VEC other =
                            depthwise ? NAME(vec_load)(ys + k * B) : NAME(vec_set)(ys[k * B]);
                        acc[k] = FMA(other, g, acc[k]);
                    }
                }
            }
            w0 += depthwise ? B : B * B;
            w1 += depthwise ? B : B * B;
        }
        x += job->x_block;
        y += job->x_block;
    }
    DTD_UNROLL
    for (size_t k = 0; k < pixels; k++) {
        sums[k] = acc[k];
        if (vectors == 2 || dual) {
            sums[pixels + k] = acc[pixels + k];
        }
    }
}

#define TILE(n)                                                                                    \
    case n:                                                                                        \
        NAME(conv_tile)(mode, depthwise, n, vectors, job, x, y, w0, w1, sums);                     \
        break;

/* The tile of so many pixels, one of CONV_TILES. */
DTD_INLINE void NAME(conv_tiles)(const dtd_conv_mode mode, const int depthwise,
                                 const size_t vectors, size_t pixels, const NAME(dtd_conv_job) *job,
                                 const REAL *x, const REAL *y, const REAL *w0, const REAL *w1,
                                 VEC *sums) {
    switch (pixels) {
        CONV_TILES
    default:
        assert(0);
    }
}
#undef TILE

#define TILES_FUNCTION(name, mode, depthwise, vectors)                                             \
    static DTD_NOINLINE void NAME(name)(size_t pixels, const NAME(dtd_conv_job) *job,              \
                                        const REAL *x, const REAL *y, const REAL *w0,              \
                                        const REAL *w1, VEC *sums) {                               \
        NAME(conv_tiles)(mode, depthwise, vectors, pixels, job, x, y, w0, w1, sums);               \
    }
TILES_FUNCTION(conv_plain, DTD_CONV_PLAIN, 0, 1)
TILES_FUNCTION(conv_plain_two, DTD_CONV_PLAIN, 0, 2)
TILES_FUNCTION(conv_plain_depthwise, DTD_CONV_PLAIN, 1, 1)
TILES_FUNCTION(conv_positive, DTD_CONV_POSITIVE, 0, 1)
TILES_FUNCTION(conv_positive_two, DTD_CONV_POSITIVE, 0, 2)
TILES_FUNCTION(conv_positive_depthwise, DTD_CONV_POSITIVE, 1, 1)
TILES_FUNCTION(conv_square, DTD_CONV_SQUARE, 0, 1)
TILES_FUNCTION(conv_square_depthwise, DTD_CONV_SQUARE, 1, 1)
TILES_FUNCTION(conv_shared, DTD_CONV_SHARED, 0, 1)
TILES_FUNCTION(conv_shared_depthwise, DTD_CONV_SHARED, 1, 1)
TILES_FUNCTION(conv_signed, DTD_CONV_SIGNED, 0, 1)
TILES_FUNCTION(conv_signed_depthwise, DTD_CONV_SIGNED, 1, 1)
TILES_FUNCTION(conv_split, DTD_CONV_SPLIT, 0, 1)
TILES_FUNCTION(conv_split_depthwise, DTD_CONV_SPLIT, 1, 1)
#undef TILES_FUNCTION

typedef void (*NAME(conv_function))(size_t, const NAME(dtd_conv_job) *, const REAL *, const REAL *,
                                    const REAL *, const REAL *, VEC *);

/* What the quotients of one row book, lane by lane. */
typedef struct {
    double received[LANES], bias[LANES], stabiliser[LANES], lost[LANES];
} NAME(conv_books);

/* What the quotients of one vector of channels book, over the pixels of a tile. */
typedef struct {
    VEC received, bias, stabiliser, lost;
} NAME(conv_page);

/* r as the layer below takes it: see dtd_conv_next. */
DTD_INLINE VEC NAME(conv_quotient)(const NAME(dtd_conv_job) *job, size_t place, VEC r,
                                   NAME(conv_page) *page) {
    const NAME(dtd_conv_next) *const next = job->next;
    const int stabilised = next->epsilon > 0;
    VEC z = NAME(vec_load)(job->next_z + place), b = {0}, added;
    IVEC fit;
    if (next->bias) {
        b = NAME(vec_load)(next->bias + place);
        z += b;
    }
    const VEC s = NAME(quotient_vector)(r, z, stabilised, NAME(vec_set)(next->epsilon),
                                        NAME(vec_set)(next->limit), &added, &fit);
    page->received += r;
    page->lost += (VEC)((IVEC)r & ~fit);
    page->bias += b * s;
    page->stabiliser += added * s;
    return s;
}

static void NAME(turn_page)(const NAME(conv_page) *page, NAME(conv_books) *books) {
    NAME(book)(books->received, page->received);
    NAME(book)(books->bias, page->bias);
    NAME(book)(books->stabiliser, page->stabiliser);
    NAME(book)(books->lost, page->lost);
}

static void NAME(close_books)(const NAME(conv_books) *books, double *totals) {
    for (size_t c = 0; c < LANES; c++) {
        totals[DTD_ACCOUNT_RECEIVED] += books->received[c];
        totals[DTD_ACCOUNT_BIAS] += books->bias[c];
        totals[DTD_ACCOUNT_STABILISER] += books->stabiliser[c];
        totals[DTD_ACCOUNT_LOST] += books->lost[c];
    }
}

/* What becomes of the sums of count pixels of one vector of output channels; place: where it lies in the outputs. */
static void NAME(conv_finish)(const NAME(dtd_conv_job) *job, size_t place, const REAL *bias,
                              size_t count, const VEC *first, const VEC *second,
                              NAME(conv_books) *books) {
    const VEC zero = {0};
    if (job->r == NULL) {
        const VEC b = bias ? NAME(vec_load)(bias) : zero;
        for (size_t k = 0; k < count; k++, place += job->pixel) {
            if (job->a) {
                NAME(vec_store)(job->a + place, NAME(clamped)(first[k] + b, job->ceiling));
            }
            if (job->z) {
                NAME(vec_store)(job->z + place, second ? second[k] : first[k]);
            }
        }
        return;
    }
    if (job->blocks == 0 && !job->accumulate) { /* no tap reaches these pixels */
        for (size_t k = 0; k < count; k++, place += job->pixel) {
            NAME(vec_store)(job->r + place, zero);
        }
        return;
    }
    const NAME(dtd_term) *const term = job->term;
    NAME(conv_page) page = {zero, zero, zero, zero};
    for (size_t k = 0; k < count; k++, place += job->pixel) {
        const VEC x = NAME(vec_load)(job->owner + place);
        const VEC low = term->low ? NAME(vec_load)(term->low + place) : zero,
                  high = term->high ? NAME(vec_load)(term->high + place) : zero;
        const VEC p = NAME(term_vector)(x, term->p_positive, term->p_negative, low);
        VEC r = zero + NAME(vec_where)(p, p * first[k]);
        if (second) {
            const VEC n = NAME(term_vector)(x, term->n_positive, term->n_negative, high);
            r += NAME(vec_where)(n, n * second[k]);
        }
        if (job->accumulate) {
            r += NAME(vec_load)(job->r + place);
        }
        NAME(vec_store)(job->r + place, job->next ? NAME(conv_quotient)(job, place, r, &page) : r);
    }
    if (job->next) {
        NAME(turn_page)(&page, books);
    }
}

/* Pixels of the next tile, of rest that are left: where reading beyond the row is forbidden no more than these. */
DTD_INLINE size_t NAME(conv_next)(size_t rest, int exact) {
    static const unsigned char tiles[] = {CONV_TILE_SIZES};
    const size_t count = sizeof tiles;
    if (exact) {
        size_t k = count;
        while (tiles[k - 1] > rest) {
            k--;
        }
        return tiles[k - 1];
    }
    const size_t most = tiles[count - 1], pieces = (rest + most - 1) / most,
                 wanted = (rest + pieces - 1) / pieces;
    size_t k = 0;
    while (tiles[k] < wanted) {
        k++;
    }
    return tiles[k];
}

static void NAME(conv_row)(const NAME(dtd_conv_job) *job) {
    enum { B = DTD_BLOCK_BYTES / sizeof(REAL), PARTS = DTD_BLOCK_BYTES / VEC_BYTES };
    static const NAME(conv_function) functions[DTD_CONV_MODES][3] = {
        [DTD_CONV_PLAIN] = {NAME(conv_plain), NAME(conv_plain_depthwise), NAME(conv_plain_two)},
        [DTD_CONV_POSITIVE] = {NAME(conv_positive), NAME(conv_positive_depthwise),
                               NAME(conv_positive_two)},
        [DTD_CONV_SQUARE] = {NAME(conv_square), NAME(conv_square_depthwise), NULL},
        [DTD_CONV_SHARED] = {NAME(conv_shared), NAME(conv_shared_depthwise), NULL},
        [DTD_CONV_SIGNED] = {NAME(conv_signed), NAME(conv_signed_depthwise), NULL},
        [DTD_CONV_SPLIT] = {NAME(conv_split), NAME(conv_split_depthwise), NULL},
    };
    const int dual = job->mode == DTD_CONV_SHARED || job->mode == DTD_CONV_SPLIT;
    const NAME(conv_function) one = functions[job->mode][job->depthwise ? 1 : 0],
                              two = job->depthwise ? NULL : functions[job->mode][2];
    const size_t all = job->outputs * PARTS;
    VEC sums[CONV_MOST];
    NAME(conv_books) books = {{0}, {0}, {0}, {0}};
    for (size_t done = 0; done < job->pixels;) {
        const size_t rest = job->pixels - done, tile = NAME(conv_next)(rest, job->exact),
                     present = tile < rest ? tile : rest;
        for (size_t v = 0; v < all;) {
            const size_t vectors = two && v + 1 < all ? 2 : 1;
            const size_t part = v % PARTS * LANES, next = (v + 1) % PARTS * LANES;
            const REAL *const w0 = job->w + v / PARTS * job->w_output + part;
            const REAL *const w1 =
                vectors == 2 ? job->w + (v + 1) / PARTS * job->w_output + next : w0;
            const size_t shift = done * B + (job->depthwise ? part : 0);
            (vectors == 2 ? two : one)(tile, job, job->x + shift,
                                       job->y ? job->y + shift : job->x + shift, w0, w1, sums);
            const size_t place = job->place + done * job->pixel;
            NAME(conv_finish)(job, place + v / PARTS * job->out_block + part,
                              job->b ? job->b + v * LANES : NULL, present, sums,
                              dual ? sums + tile : NULL, &books);
            if (vectors == 2) {
                NAME(conv_finish)(job, place + (v + 1) / PARTS * job->out_block + next,
                                  job->b ? job->b + (v + 1) * LANES : NULL, present, sums + tile,
                                  NULL, &books);
            }
            v += vectors;
        }
        done += present;
    }
    if (job->next) {
        NAME(close_books)(&books, job->totals);
    }
}
