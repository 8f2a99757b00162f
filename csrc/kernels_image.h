/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of kernels.c: blocked images. Inner loops run over the DTD_BLOCK lanes of a block. */

/* blocked[p B + c] = plain[c stride + p] for c < lanes <= B, 0 for the lanes beyond. */
static void NAME(block)(size_t lanes, size_t pixels, size_t stride, const REAL *plain,
                        REAL *blocked) {
    if (lanes == DTD_BLOCK) {
        for (size_t p = 0; p < pixels; p++) {
            REAL pixel[DTD_BLOCK];
            DTD_UNROLL
            for (size_t c = 0; c < DTD_BLOCK; c++) {
                pixel[c] = plain[c * stride + p];
            }
            __builtin_memcpy(blocked + p * DTD_BLOCK, pixel, sizeof pixel);
        }
        return;
    }
    for (size_t p = 0; p < pixels; p++) {
        REAL pixel[DTD_BLOCK] = {0};
        for (size_t c = 0; c < lanes; c++) {
            pixel[c] = plain[c * stride + p];
        }
        __builtin_memcpy(blocked + p * DTD_BLOCK, pixel, sizeof pixel);
    }
}

/* plain[c stride + p] = blocked[p B + c] for c < lanes <= B. */
static void NAME(unblock)(size_t lanes, size_t pixels, size_t stride, const REAL *blocked,
                          REAL *plain) {
    enum { TILE = 16 };
    for (size_t first = 0; first < pixels; first += TILE) {
        const size_t some = pixels - first < TILE ? pixels - first : TILE;
        for (size_t c = 0; c < lanes; c++) {
            REAL *const row = plain + c * stride + first;
            const REAL *const lane = blocked + first * DTD_BLOCK + c;
            if (some == TILE) {
                DTD_UNROLL
                for (size_t p = 0; p < TILE; p++) {
                    row[p] = lane[p * DTD_BLOCK];
                }
                continue;
            }
            for (size_t p = 0; p < some; p++) {
                row[p] = lane[p * DTD_BLOCK];
            }
        }
    }
}
