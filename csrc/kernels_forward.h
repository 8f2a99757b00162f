/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of kernels.c: sums over the inputs of a dense layer. */

/* One vector of inputs for a tile: all lanes, or with whole = 0 the first count. See forward_tile. */
DTD_INLINE void NAME(forward_step)(const dtd_forward_mode mode, const size_t rows,
                                   const size_t samples, const int whole, size_t count,
                                   size_t stride, size_t p_stride, const REAL *w, const REAL *x,
                                   const REAL *p, const REAL *n, VEC *accumulator) {
    const int two = mode >= DTD_FORWARD_PLAIN_SHARED;
    const int plain = mode == DTD_FORWARD_PLAIN || two;
    const int clamped = mode != DTD_FORWARD_PLAIN;
    const int is_signed = mode == DTD_FORWARD_SIGNED || mode == DTD_FORWARD_PLAIN_SIGNED;
    const int shared = mode == DTD_FORWARD_PLAIN_SHARED;
    VEC xs[FORWARD_MOST], ps[FORWARD_MOST], ns[FORWARD_MOST];
    DTD_UNROLL
    for (size_t t = 0; t < samples; t++) {
        if (plain) {
            xs[t] = LOAD(x + t * stride);
        }
        if (clamped) {
            ps[t] = shared ? xs[t] : LOAD(p + t * p_stride);
        }
        if (is_signed) {
            ns[t] = LOAD(n + t * p_stride);
        }
    }
    DTD_UNROLL
    for (size_t j = 0; j < rows; j++) {
        const VEC v = LOAD(w + j * stride);
        VEC *const first = accumulator + j * samples;
        VEC *const last = two ? first + rows * samples : first;
        if (plain) {
            DTD_UNROLL
            for (size_t t = 0; t < samples; t++) {
                first[t] = FMA(v, xs[t], first[t]);
            }
        }
        if (is_signed) { /* p w+ + n w-: one of the two is 0 */
            DTD_UNROLL
            for (size_t t = 0; t < samples; t++) {
                last[t] = FMA(v, NAME(vec_choose)(v, ps[t], ns[t]), last[t]);
            }
        } else if (clamped) {
            const VEC positive = NAME(vec_positive)(v);
            DTD_UNROLL
            for (size_t t = 0; t < samples; t++) {
                last[t] = FMA(positive, ps[t], last[t]);
            }
        }
    }
}

/* The inputs begin .. begin + length - 1, ready for the tiles; p and n of the samples sample .. . */
typedef struct {
    size_t begin, length, sample, p_stride;
    const REAL *p, *n;
} NAME(forward_block);

/*
 * Rows x samples sums over a block of inputs, for the samples block->sample + sample .. and the rows row .. of w:
 *     a: sum_i x_i w_ij,  or sum_i p_i w+_ij (+ n_i w-_ij)
 *     z: sum_i p_i w+_ij (+ n_i w-_ij), with p = x in the shared mode
 * added to the job's a and z, or setting these in the first block; b is added to a in the last. One vector accumulator
 * per sum runs over the block in ascending order and is summed by vec_sums: so the order, and the bits, are those of
 * every other tile. Terms that are 0 change nothing, so modes that leave them out give the same bits.
 * mode, rows and samples are constants where this is inlined; the accumulators stay in registers. ahead is a row of
 * weights that will be wanted next.
 */
DTD_INLINE void NAME(forward_tile)(const dtd_forward_mode mode, const size_t rows,
                                   const size_t samples, const NAME(dtd_forward_job) *job,
                                   const NAME(forward_block) *block, size_t row, size_t sample,
                                   const REAL *ahead) {
    const int two = mode >= DTD_FORWARD_PLAIN_SHARED;
    const int plain = mode == DTD_FORWARD_PLAIN || two;
    const int other = mode != DTD_FORWARD_PLAIN && mode != DTD_FORWARD_PLAIN_SHARED;
    const int is_signed = mode == DTD_FORWARD_SIGNED || mode == DTD_FORWARD_PLAIN_SIGNED;
    const size_t stride = job->inputs, p_stride = block->p_stride, length = block->length;
    const size_t sums = rows * samples * (two ? 2 : 1);
    const REAL *const w = job->w + row * stride + block->begin;
    const REAL *const x = plain ? job->x + (block->sample + sample) * stride + block->begin : NULL;
    const REAL *const p = other ? block->p + sample * p_stride : NULL;
    const REAL *const n = is_signed ? block->n + sample * p_stride : NULL;
    VEC accumulator[FORWARD_MOST];
    DTD_UNROLL_ALL
    for (size_t k = 0; k < FORWARD_MOST; k++) {
        accumulator[k] = (VEC){0};
    }
    size_t i = 0;
    for (; i + LANES <= length; i += LANES) {
        if (mode == DTD_FORWARD_PLAIN_SHARED) {
            DTD_PREFETCH_FIRST(ahead + i);
        } else { /* the rows of these tiles fill the first cache */
            DTD_PREFETCH_SECOND(ahead + i);
        }
        NAME(forward_step)(mode, rows, samples, 1, LANES, stride, p_stride, w + i,
                           plain ? x + i : NULL, other ? p + i : NULL, is_signed ? n + i : NULL,
                           accumulator);
    }
    if (i < length) {
        NAME(forward_step)(mode, rows, samples, 0, length - i, stride, p_stride, w + i,
                           plain ? x + i : NULL, other ? p + i : NULL, is_signed ? n + i : NULL,
                           accumulator);
    }

    REAL total[FORWARD_MOST];
    DTD_UNROLL
    for (size_t k = 0; k < sums; k += 4) {
        NAME(vec_sums)(accumulator + k, total + k);
    }
    const int begins = block->begin == 0, ends = block->begin + length == job->inputs;
    for (size_t t = 0; t < samples; t++) {
        for (size_t j = 0; j < rows; j++) {
            const size_t place = (block->sample + sample + t) * job->outputs + row + j;
            const REAL bias = ends && job->b ? job->b[row + j] : 0;
            job->a[place] = ((begins ? 0 : job->a[place]) + total[j * samples + t]) + bias;
            if (two) {
                job->z[place] =
                    (begins ? 0 : job->z[place]) + total[rows * samples + j * samples + t];
            }
        }
    }
}

typedef void (*NAME(forward_function))(const NAME(dtd_forward_job) *job,
                                       const NAME(forward_block) *block, size_t row, size_t sample,
                                       const REAL *ahead);

/* A function for each tile: in one large function GCC runs short of registers. */
#define TILE(mode, kind, samples)                                                                  \
    static DTD_NOINLINE void NAME(forward_##mode##_##kind##_##samples)(                            \
        const NAME(dtd_forward_job) *job, const NAME(forward_block) *block, size_t row,            \
        size_t sample, const REAL *ahead) {                                                        \
        if (samples <= FORWARD_SAMPLES_##mode) { /* else never called */                           \
            NAME(forward_tile)(DTD_FORWARD_##mode, FORWARD_ROWS_##kind(mode), samples, job, block, \
                               row, sample, ahead);                                                \
        }                                                                                          \
    }
#define TILES(mode)                                                                                \
    TILE(mode, ONE, 1)                                                                             \
    TILE(mode, GROUP, 1)                                                                           \
    TILE(mode, GROUP, 2)                                                                           \
    TILE(mode, GROUP, 3)                                                                           \
    TILE(mode, GROUP, 4)                                                                           \
    TILE(mode, GROUP, 5)                                                                           \
    TILE(mode, GROUP, 6)                                                                           \
    TILE(mode, SINGLE, 1)                                                                          \
    TILE(mode, SINGLE, 2)                                                                          \
    TILE(mode, SINGLE, 3)                                                                          \
    TILE(mode, SINGLE, 4)                                                                          \
    TILE(mode, SINGLE, 5)                                                                          \
    TILE(mode, SINGLE, 6)
TILES(PLAIN)
TILES(POSITIVE)
TILES(SIGNED)
TILES(PLAIN_SHARED)
TILES(PLAIN_POSITIVE)
TILES(PLAIN_SIGNED)
#undef TILES
#undef TILE

/* The tiles of one mode: for one sample and many rows, and for a group of rows or a single one by the number of
 * samples. */
typedef struct {
    size_t samples, rows; /* at most; of a group */
    NAME(forward_function) one, group[6], single[6];
} NAME(forward_tiles);

/*
 * All rows for one block of inputs and a number of samples whose x, p and n stay in the cache while the rows pass by.
 * Each group of rows is read from memory once, and used by all samples from the first cache; meanwhile the next group
 * is fetched, a row for each tile of samples.
 */
static void NAME(forward_rows)(const NAME(forward_tiles) *tiles, const NAME(dtd_forward_job) *job,
                               const NAME(forward_block) *block, size_t samples) {
    const size_t count = (samples + tiles->samples - 1) / tiles->samples,
                 size = (samples + count - 1) / count;
    for (size_t row = 0, rows; row < job->rows; row += rows) {
        const size_t left = job->rows - row;
        const int one = samples == 1 && left >= FORWARD_MANY_ROWS;
        rows = one ? FORWARD_MANY_ROWS : left >= tiles->rows ? tiles->rows : 1;
        for (size_t sample = 0, tile = 0; sample < samples; sample += size, tile++) {
            const size_t some = samples - sample < size ? samples - sample : size;
            const size_t next = row + rows + tile % rows;
            const REAL *const ahead =
                job->w + (next < job->rows ? next : row) * job->inputs + block->begin;
            const NAME(forward_function) function = one        ? tiles->one
                                                    : rows > 1 ? tiles->group[some - 1]
                                                               : tiles->single[some - 1];
            function(job, block, row, sample, ahead);
        }
    }
}

/* p and n of a block's samples in the job's scratch memory, or p = x. */
static void NAME(forward_term)(const NAME(dtd_forward_job) *job, NAME(forward_block) *block,
                               size_t samples, int is_signed) {
    const REAL *const x = job->x + block->sample * job->inputs + block->begin;
    if (job->term == NULL) {
        block->p = x;
        block->n = NULL;
        block->p_stride = job->inputs;
        return;
    }
    REAL *const p = job->scratch;
    REAL *const n = is_signed ? p + samples * block->length : NULL;
    for (size_t t = 0; t < samples; t++) {
        NAME(term)(block->length, job->term, x + t * job->inputs, block->begin,
                   p + t * block->length, is_signed ? n + t * block->length : NULL);
    }
    block->p = p;
    block->n = n;
    block->p_stride = block->length;
}

/* See dtd_forward_mode and dtd_forward_job: all inputs in blocks of DTD_FORWARD_BLOCK, and all samples, as many at a
 * time as the driver made room for. */
static void NAME(forward)(const NAME(dtd_forward_job) *job) {
#define NAMES(mode, kind)                                                                          \
    {TILE(mode, kind, 1), TILE(mode, kind, 2), TILE(mode, kind, 3),                                \
     TILE(mode, kind, 4), TILE(mode, kind, 5), TILE(mode, kind, 6)}
#define TILE(mode, kind, samples) NAME(forward_##mode##_##kind##_##samples)
#define TILES(mode)                                                                                \
    {                                                                                              \
        FORWARD_SAMPLES_##mode, FORWARD_ROWS_##mode, TILE(mode, ONE, 1), NAMES(mode, GROUP),       \
            NAMES(mode, SINGLE)                                                                    \
    }
    static const NAME(forward_tiles) tiles[DTD_FORWARD_MODES] = {
        TILES(PLAIN),        TILES(POSITIVE),       TILES(SIGNED),
        TILES(PLAIN_SHARED), TILES(PLAIN_POSITIVE), TILES(PLAIN_SIGNED)};
#undef TILES
#undef TILE
#undef NAMES
    const int is_signed = job->mode == DTD_FORWARD_SIGNED || job->mode == DTD_FORWARD_PLAIN_SIGNED;
    size_t begin = 0;
    do {
        const size_t left = job->inputs - begin;
        NAME(forward_block)
        block = {.begin = begin, .length = left < DTD_FORWARD_BLOCK ? left : DTD_FORWARD_BLOCK};
        for (; block.sample < job->samples; block.sample += job->together) {
            const size_t rest = job->samples - block.sample;
            const size_t samples = rest < job->together ? rest : job->together;
            NAME(forward_term)(job, &block, samples, is_signed);
            NAME(forward_rows)(tiles + job->mode, job, &block, samples);
        }
        begin += DTD_FORWARD_BLOCK;
    } while (begin < job->inputs);
}

/* z_j = sum_i w_ij^2 for rows of inputs elements. */
static void NAME(square_sums)(size_t rows, size_t inputs, const REAL *w, REAL *z) {
    for (size_t j = 0; j < rows; j++, w += inputs) {
        REAL sum = 0;
        for (size_t begin = 0; begin < inputs; begin += DTD_FORWARD_BLOCK) {
            const size_t length =
                inputs - begin < DTD_FORWARD_BLOCK ? inputs - begin : DTD_FORWARD_BLOCK;
            VEC accumulator[4] = {{0}, {0}, {0}, {0}};
            REAL total[4];
            for (size_t i = 0; i < length; i += LANES) {
                const VEC v =
                    NAME(vec_load_part)(w + begin + i, length - i < LANES ? length - i : LANES);
                const size_t k = i / LANES % 4;
                accumulator[k] = FMA(v, v, accumulator[k]);
            }
            NAME(vec_sums)(accumulator, total);
            sum += (total[0] + total[1]) + (total[2] + total[3]);
        }
        z[j] = sum;
    }
}
