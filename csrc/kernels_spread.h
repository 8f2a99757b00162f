/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of kernels.c: sums over the rows of a dense layer, c_i = sum_j f(w_ij) s_j. */

/* A block of rows for one tile of samples: the rows that count, and their s side by side. */
typedef struct {
    size_t rows;           /* rows with an s that is not 0 */
    const size_t *offsets; /* rows: where each begins in w */
    const REAL *s;         /* rows x tile samples; samples beyond the job's are 0 */
} NAME(spread_pack);

/* The part of the weights that c_plus takes. */
DTD_INLINE VEC NAME(spread_part)(const dtd_spread_mode mode, VEC v) {
    return mode == DTD_SPREAD_PLAIN ? v : mode == DTD_SPREAD_SQUARE ? v * v : NAME(vec_positive)(v);
}

/*
 * One block of rows for samples x vectors (of columns): c[t * stride + i] (+)= sum_j f(w_ij) s_jt. A vector
 * accumulator per c runs over the rows in ascending order; then it is added to c, or becomes c when first is not 0:
 * the order, and so the bits, are those of every other tile. Rows with s = 0 for all samples are left out, and samples
 * beyond present, whose s is 0, are not stored: neither changes a bit. With vectors = 1 and whole = 0 only columns
 * columns are touched. mode, samples, vectors and whole are constants where this is inlined.
 */
DTD_INLINE void NAME(spread_tile)(const dtd_spread_mode mode, const size_t samples,
                                  const size_t vectors, const int whole, size_t count,
                                  const NAME(spread_pack) *pack, const REAL *w, size_t ahead,
                                  size_t present, size_t stride, int first, REAL *c_plus,
                                  REAL *c_minus) {
    const int is_signed = mode == DTD_SPREAD_SIGNED;
    const size_t second = is_signed ? samples * vectors : 0;
    const size_t *const offsets = pack->offsets;
    const REAL *s = pack->s;
    VEC accumulator[SPREAD_MOST];
    DTD_UNROLL_ALL
    for (size_t k = 0; k < SPREAD_MOST; k++) {
        accumulator[k] = (VEC){0};
    }
    for (size_t j = 0; j < pack->rows; j++, s += samples) {
        const REAL *const row = w + offsets[j];
        VEC factors[SPREAD_MOST];
        DTD_UNROLL
        for (size_t k = 0; k < vectors; k += DTD_LINE / VEC_BYTES) {
            DTD_PREFETCH_SECOND(row + ahead + k * LANES);
        }
        if (samples < vectors) { /* keep the factors in registers, else the weights */
            DTD_UNROLL
            for (size_t t = 0; t < samples; t++) {
                factors[t] = NAME(vec_set)(s[t]);
            }
            DTD_UNROLL
            for (size_t k = 0; k < vectors; k++) {
                const VEC v = NAME(spread_part)(mode, LOAD(row + k * LANES)),
                          negative = NAME(vec_negative)(LOAD(row + k * LANES));
                DTD_UNROLL
                for (size_t t = 0; t < samples; t++) {
                    VEC *const sum = accumulator + t * vectors + k;
                    *sum = FMA(v, factors[t], *sum);
                    if (is_signed) {
                        sum[second] = FMA(negative, factors[t], sum[second]);
                    }
                }
            }
        } else {
            VEC v[SPREAD_MOST], negative[SPREAD_MOST];
            DTD_UNROLL
            for (size_t k = 0; k < vectors; k++) {
                v[k] = NAME(spread_part)(mode, LOAD(row + k * LANES));
                negative[k] = NAME(vec_negative)(LOAD(row + k * LANES));
            }
            DTD_UNROLL
            for (size_t t = 0; t < samples; t++) {
                const VEC factor = NAME(vec_set)(s[t]);
                VEC *const sums = accumulator + t * vectors;
                DTD_UNROLL
                for (size_t k = 0; k < vectors; k++) {
                    sums[k] = FMA(v[k], factor, sums[k]);
                    if (is_signed) {
                        sums[second + k] = FMA(negative[k], factor, sums[second + k]);
                    }
                }
            }
        }
    }
    DTD_UNROLL
    for (size_t t = 0; t < samples; t++) {
        if (t < present) {
            DTD_UNROLL
            for (size_t k = 0; k < vectors; k++) {
                REAL *const place = c_plus + t * stride + k * LANES;
                const VEC before = first ? (VEC){0} : LOAD(place);
                STORE(place, before + accumulator[t * vectors + k]);
                if (is_signed) {
                    REAL *const other = c_minus + t * stride + k * LANES;
                    const VEC earlier = first ? (VEC){0} : LOAD(other);
                    STORE(other, earlier + accumulator[second + t * vectors + k]);
                }
            }
        }
    }
}

/* One tile of samples over all columns of the job. */
DTD_INLINE void NAME(spread_columns)(const dtd_spread_mode mode, const size_t samples,
                                     const size_t vectors, size_t begin, size_t end,
                                     const NAME(dtd_spread_job) *job, const NAME(spread_pack) *pack,
                                     size_t sample, size_t present, int first) {
    const size_t ahead =
        sample == 0 ? vectors * LANES : 0; /* the first tile fetches the next columns for all */
    REAL *const c_plus = job->c_plus + sample * job->c_stride;
    REAL *const c_minus = mode == DTD_SPREAD_SIGNED ? job->c_minus + sample * job->c_stride : NULL;
    size_t i = begin;
    for (; i + vectors * LANES <= end; i += vectors * LANES) {
        NAME(spread_tile)(mode, samples, vectors, 1, LANES, pack, job->w + i, ahead, present,
                          job->c_stride, first, c_plus + i,
                          mode == DTD_SPREAD_SIGNED ? c_minus + i : NULL);
    }
    for (; i < end; i += LANES) {
        NAME(spread_tile)(mode, samples, 1, 0, end - i < LANES ? end - i : LANES, pack, job->w + i,
                          0, present, job->c_stride, first, c_plus + i,
                          mode == DTD_SPREAD_SIGNED ? c_minus + i : NULL);
    }
}

/* The pack of the samples sample .. sample + size - 1 for a block of rows. */
static void NAME(spread_fill)(const NAME(dtd_spread_job) *job, size_t sample, size_t size,
                              size_t row, size_t rows, NAME(spread_pack) *pack, REAL *s,
                              size_t *offsets) {
    const size_t left = job->samples - sample, present = left < size ? left : size;
    size_t count = 0;
    for (size_t j = row; j < row + rows; j++) {
        const REAL *const from = job->s + sample * job->s_sample + j * job->s_row;
        REAL *const to = s + count * size;
        int any = 0;
        for (size_t t = 0; t < present; t++) {
            to[t] = from[t * job->s_sample];
            any |= to[t] != 0;
        }
        for (size_t t = present; t < size; t++) {
            to[t] = 0;
        }
        offsets[count] = j * job->w_stride;
        count += any != 0;
    }
    *pack = (NAME(spread_pack)){count, offsets, s};
}

typedef void (*NAME(spread_function))(size_t begin, size_t end, const NAME(dtd_spread_job) *job,
                                      const NAME(spread_pack) *pack, size_t sample, size_t present,
                                      int first);

/* A function for each mode and number of samples: in one large function GCC runs short of registers. */
#define TILE(mode, samples)                                                                        \
    static DTD_NOINLINE void NAME(spread_##mode##_##samples)(                                      \
        size_t begin, size_t end, const NAME(dtd_spread_job) *job, const NAME(spread_pack) *pack,  \
        size_t sample, size_t present, int first) {                                                \
        if (samples <= SPREAD_SAMPLES_##mode) { /* else never called */                            \
            NAME(spread_columns)(DTD_SPREAD_##mode, samples, SPREAD_VECTORS_##mode(samples),       \
                                 begin, end, job, pack, sample, present, first);                   \
        }                                                                                          \
    }
#define TILES(mode)                                                                                \
    TILE(mode, 1)                                                                                  \
    TILE(mode, 2)                                                                                  \
    TILE(mode, 3)                                                                                  \
    TILE(mode, 4)                                                                                  \
    TILE(mode, 5)                                                                                  \
    TILE(mode, 6)                                                                                  \
    TILE(mode, 7)                                                                                  \
    TILE(mode, 8)                                                                                  \
    TILE(mode, 9)                                                                                  \
    TILE(mode, 10)                                                                                 \
    TILE(mode, 11)                                                                                 \
    TILE(mode, 12)                                                                                 \
    TILE(mode, 13)
TILES(PLAIN)
TILES(POSITIVE)
TILES(SQUARE)
TILES(SIGNED)
#undef TILES
#undef TILE

/* The block of rows row .. row + rows - 1 for all samples and columns, in panels that stay in the cache. */
static void NAME(spread_block)(const NAME(dtd_spread_job) *job, NAME(spread_function) tile_function,
                               size_t size, size_t row, size_t rows) {
    NAME(spread_pack) packs[DTD_SPREAD_SAMPLES];
    const size_t tiles = (job->samples + size - 1) / size;
    REAL *const s = job->scratch;
    size_t *const offsets = (size_t *)(void *)(s + tiles * size * DTD_SPREAD_BLOCK);
    const int first = row == 0 && !job->accumulate;
    for (size_t tile = 0; tile < tiles; tile++) {
        NAME(spread_fill)(job, tile * size, size, row, rows, packs + tile,
                          s + tile * size * DTD_SPREAD_BLOCK, offsets + tile * DTD_SPREAD_BLOCK);
    }
    for (size_t panel = 0; panel < job->columns; panel += SPREAD_PANEL) {
        const size_t end =
            job->columns - panel < SPREAD_PANEL ? job->columns : panel + SPREAD_PANEL;
        for (size_t tile = 0; tile < tiles; tile++) {
            const size_t sample = tile * size, left = job->samples - sample;
            tile_function(panel, end, job, packs + tile, sample, left < size ? left : size, first);
        }
    }
}

/* See dtd_spread_mode and dtd_spread_job. With rows = 0, c becomes 0 unless it is accumulated. */
static void NAME(spread)(const NAME(dtd_spread_job) *job) {
#define TILES(mode)                                                                                \
    {                                                                                              \
        NAME(spread_##mode##_1), NAME(spread_##mode##_2), NAME(spread_##mode##_3),                 \
            NAME(spread_##mode##_4), NAME(spread_##mode##_5), NAME(spread_##mode##_6),             \
            NAME(spread_##mode##_7), NAME(spread_##mode##_8), NAME(spread_##mode##_9),             \
            NAME(spread_##mode##_10), NAME(spread_##mode##_11), NAME(spread_##mode##_12),          \
            NAME(spread_##mode##_13)                                                               \
    }
    static const NAME(spread_function) functions[DTD_SPREAD_MODES][13] = {
        TILES(PLAIN), TILES(POSITIVE), TILES(SQUARE), TILES(SIGNED)};
#undef TILES
    static const size_t most[DTD_SPREAD_MODES] = {SPREAD_SAMPLES_PLAIN, SPREAD_SAMPLES_POSITIVE,
                                                  SPREAD_SAMPLES_SQUARE, SPREAD_SAMPLES_SIGNED};
    if (job->samples == 0 || job->columns == 0) {
        return;
    }
    /* tiles of one size, so that all go through the same function */
    const size_t tiles = (job->samples + most[job->mode] - 1) / most[job->mode];
    const size_t size = (job->samples + tiles - 1) / tiles;
    size_t row = 0;
    do {
        const size_t rows = job->rows - row < DTD_SPREAD_BLOCK ? job->rows - row : DTD_SPREAD_BLOCK;
        NAME(spread_block)(job, functions[job->mode][size - 1], size, row, rows);
        row += DTD_SPREAD_BLOCK;
    } while (row < job->rows);
}
