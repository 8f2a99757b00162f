/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of kernels.c: sums over the rows of a dense layer, c_i = sum_j f(w_ij) s_j. */

/* A block of rows for one tile of samples: the rows that count, and their s side by side. */
typedef struct {
    size_t rows;           /* rows with an s that is not 0 */
    const size_t *offsets; /* rows: where each begins in w */
    const REAL *s;         /* rows x tile samples; samples beyond the job's are 0 */
} NAME(spread_pack);

/*
 * One block of rows for samples x vectors (of columns): c[t * stride + i] (+)= sum_j f(w_ij) s_jt. A vector
 * accumulator per c runs over the rows in ascending order; then it is added to c, or becomes c when first is not 0:
 * the order, and so the bits, are those of every other tile. Rows with s = 0 for all samples are left out, and samples
 * beyond present, whose s is 0, are not stored: neither changes a bit. With vectors = 1 and whole = 0 only columns
 * columns are touched. mode, samples, vectors and whole are constants where this is inlined.
 */
DTD_INLINE void NAME(spread_tile)(const dtd_spread_mode mode, const size_t samples, const size_t vectors,
                                  const int whole, size_t count, const NAME(spread_pack) * pack, const REAL *w,
                                  size_t present, size_t stride, int first, REAL *c_plus, REAL *c_minus) {
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
        VEC v[SPREAD_MOST], negative[SPREAD_MOST];
        DTD_UNROLL
        for (size_t k = 0; k < vectors; k++) {
            v[k] = LOAD(row + k * LANES);
            if (is_signed) {
                negative[k] = NAME(vec_negative)(v[k]);
            }
            if (mode == DTD_SPREAD_POSITIVE || is_signed) {
                v[k] = NAME(vec_positive)(v[k]);
            }
            if (mode == DTD_SPREAD_SQUARE) {
                v[k] = v[k] * v[k];
            }
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
DTD_INLINE void NAME(spread_columns)(const dtd_spread_mode mode, const size_t samples, const size_t vectors,
                                     size_t begin, size_t end, const NAME(dtd_spread_job) * job,
                                     const NAME(spread_pack) * pack, size_t sample, size_t present, int first) {
    REAL *const c_plus = job->c_plus + sample * job->c_stride;
    REAL *const c_minus = mode == DTD_SPREAD_SIGNED ? job->c_minus + sample * job->c_stride : NULL;
    size_t i = begin;
    for (; i + vectors * LANES <= end; i += vectors * LANES) {
        NAME(spread_tile)(mode, samples, vectors, 1, LANES, pack, job->w + i, present, job->c_stride, first,
                          c_plus + i, mode == DTD_SPREAD_SIGNED ? c_minus + i : NULL);
    }
    for (; i < end; i += LANES) {
        NAME(spread_tile)(mode, samples, 1, 0, end - i < LANES ? end - i : LANES, pack, job->w + i, present,
                          job->c_stride, first, c_plus + i, mode == DTD_SPREAD_SIGNED ? c_minus + i : NULL);
    }
}

/* Samples of a tile, such that the job's samples fall into tiles of one size. */
DTD_INLINE size_t NAME(spread_tile_samples)(size_t samples, size_t most) {
    const size_t tiles = (samples + most - 1) / most;
    return (samples + tiles - 1) / tiles;
}

/* Fill the packs of a block of rows; returns the number of tiles. */
static size_t NAME(spread_fill)(const NAME(dtd_spread_job) * job, size_t size, size_t row, size_t rows,
                                NAME(spread_pack) * packs, REAL *s_memory, size_t *offset_memory) {
    size_t tiles = 0;
    for (size_t sample = 0; sample < job->samples; sample += size, tiles++) {
        const size_t present = job->samples - sample < size ? job->samples - sample : size;
        REAL *const s = s_memory + tiles * size * DTD_SPREAD_BLOCK;
        size_t *const offsets = offset_memory + tiles * DTD_SPREAD_BLOCK;
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
        packs[tiles] = (NAME(spread_pack)){count, offsets, s};
    }
    return tiles;
}

DTD_INLINE void NAME(spread_blocks)(const dtd_spread_mode mode, const size_t most, const NAME(dtd_spread_job) * job) {
    NAME(spread_pack) packs[DTD_SPREAD_SAMPLES];
    const size_t size = NAME(spread_tile_samples)(job->samples, most);
    const size_t tiles = (job->samples + size - 1) / size;
    REAL *const s_memory = job->scratch;
    size_t *const offsets = (size_t *)(void *)(s_memory + tiles * size * DTD_SPREAD_BLOCK);
    size_t row = 0;
    do {
        const size_t rows = job->rows - row < DTD_SPREAD_BLOCK ? job->rows - row : DTD_SPREAD_BLOCK;
        const int first = row == 0 && !job->accumulate;
        NAME(spread_fill)(job, size, row, rows, packs, s_memory, offsets);
        for (size_t panel = 0; panel < job->columns; panel += SPREAD_PANEL) {
            const size_t end = job->columns - panel < SPREAD_PANEL ? job->columns : panel + SPREAD_PANEL;
            for (size_t tile = 0; tile < tiles; tile++) {
                const size_t sample = tile * size;
                const size_t present = job->samples - sample < size ? job->samples - sample : size;
#define CASE(count)                                                                                                    \
    case count:                                                                                                        \
        if (count <= most) {                                                                                           \
            NAME(spread_columns)(mode, count,                                                                          \
                                 mode == DTD_SPREAD_SIGNED ? SPREAD_SIGNED_VECTORS(count) : SPREAD_VECTORS(count),     \
                                 panel, end, job, packs + tile, sample, present, first);                               \
        }                                                                                                              \
        break;
                switch (size) {
                    CASE(1)
                    CASE(2)
                    CASE(3)
                    CASE(4)
                    CASE(5)
                    CASE(6)
                    CASE(7)
                    CASE(8)
                    CASE(9)
                    CASE(10)
                    CASE(11)
                    CASE(12)
                    CASE(13)
                    CASE(14)
                default:
                    assert(0);
                }
#undef CASE
            }
        }
        row += DTD_SPREAD_BLOCK;
    } while (row < job->rows);
}

#define SPREAD(mode, most)                                                                                             \
    static DTD_NOINLINE void NAME(spread_##mode)(const NAME(dtd_spread_job) * job) {                                   \
        NAME(spread_blocks)(DTD_SPREAD_##mode, most, job);                                                             \
    }
SPREAD(PLAIN, SPREAD_SAMPLES)
SPREAD(POSITIVE, SPREAD_SAMPLES)
SPREAD(SQUARE, SPREAD_SAMPLES)
SPREAD(SIGNED, SPREAD_SIGNED_SAMPLES)
#undef SPREAD

/* See dtd_spread_mode and dtd_spread_job. With rows = 0, c becomes 0 unless it is accumulated. */
static void NAME(spread)(const NAME(dtd_spread_job) * job) {
    static void (*const modes[DTD_SPREAD_MODES])(const NAME(dtd_spread_job) *) = {
        NAME(spread_PLAIN), NAME(spread_POSITIVE), NAME(spread_SQUARE), NAME(spread_SIGNED)};
    if (job->samples > 0 && job->columns > 0) {
        modes[job->mode](job);
    }
}
