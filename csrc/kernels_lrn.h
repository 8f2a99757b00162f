/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, POWER) of kernels.c: local response normalisation. */

/* result_c = v_c^-power; 0.75, as published, by square roots. */
DTD_INLINE void NAME(lrn_power)(double power, const REAL *v, REAL *result) {
    if (power == 0.75) {
        for (size_t c = 0; c < DTD_BLOCK; c += LANES) {
            const VEC root = NAME(vec_sqrt)(NAME(vec_load)(v + c));
            NAME(vec_store)(result + c, NAME(vec_set)(1) / (root * NAME(vec_sqrt)(root)));
        }
    } else {
        for (size_t c = 0; c < DTD_BLOCK; c++) {
            result[c] = POWER(v[c], (REAL)-power);
        }
    }
}

/* sums_c = values_c + ... + values_(c + width - 1), c < B, in this order. */
DTD_INLINE void NAME(lrn_sums)(size_t width, const REAL *values, REAL *sums) {
    for (size_t c = 0; c < DTD_BLOCK; c++) {
        sums[c] = values[c];
    }
    for (size_t k = 1; k < width; k++) {
        for (size_t c = 0; c < DTD_BLOCK; c++) {
            sums[c] += values[k + c];
        }
    }
}

/*
 * y, or with g gx, of so many pixels of an image; a block is lrn->pixels pixels from the next one. Each pixel's squares
 * stand in scratch, one after the other, with zeros on both sides, so that windows reach over blocks and edges.
 */
static void NAME(lrn)(const dtd_lrn *lrn, size_t pixels, const REAL *x, const REAL *g, REAL *result,
                      REAL *scratch) {
    const size_t blocks = dtd_ceil_div(lrn->channels, DTD_BLOCK), stride = lrn->pixels * DTD_BLOCK;
    const size_t width = lrn->before + lrn->after + 1, room = DTD_LRN_SCRATCH(lrn, DTD_BLOCK) / 3;
    const REAL alpha = (REAL)lrn->alpha, k = (REAL)lrn->k;
    const REAL slope = (REAL)(2 * lrn->alpha * lrn->beta);
    /* squares_c stands before places from the start; terms_c, summed over c - after ... c + before, after places */
    REAL *const squares = scratch, *const terms = scratch + room, *const powers = terms + room;
    for (size_t i = 0; i < 2 * room; i++) {
        scratch[i] = 0;
    }
    for (size_t p = 0; p < pixels; p++, x += DTD_BLOCK, result += DTD_BLOCK) {
        for (size_t block = 0; block < blocks; block++) {
            for (size_t c = 0; c < DTD_BLOCK; c++) {
                const REAL v = x[block * stride + c];
                squares[lrn->before + block * DTD_BLOCK + c] = v * v;
            }
        }
        for (size_t block = 0; block < blocks; block++) {
            REAL d[DTD_BLOCK], power[DTD_BLOCK];
            NAME(lrn_sums)(width, squares + block * DTD_BLOCK, d);
            for (size_t c = 0; c < DTD_BLOCK; c++) {
                d[c] = k + alpha * d[c];
            }
            NAME(lrn_power)(lrn->beta, d, power);
            if (g == NULL) {
                for (size_t c = 0; c < DTD_BLOCK; c++) {
                    result[block * stride + c] = x[block * stride + c] * power[c];
                }
                continue;
            }
            for (size_t c = 0; c < DTD_BLOCK; c++) {
                const size_t at = block * stride + c;
                powers[block * DTD_BLOCK + c] = power[c];
                terms[lrn->after + block * DTD_BLOCK + c] = g[at] * x[at] * power[c] / d[c];
            }
        }
        if (g == NULL) {
            continue;
        }
        for (size_t block = 0; block < blocks; block++) {
            REAL sums[DTD_BLOCK];
            NAME(lrn_sums)(width, terms + block * DTD_BLOCK, sums);
            for (size_t c = 0; c < DTD_BLOCK; c++) {
                const size_t at = block * stride + c;
                result[at] = g[at] * powers[block * DTD_BLOCK + c] - slope * x[at] * sums[c];
            }
        }
        g += DTD_BLOCK;
    }
}
