/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of image.c. */

typedef struct {
    const dtd_kernels *kernels;
    size_t channels, pixels, blocks, chunks;
    const REAL *from;
    REAL *to;
} NAME(reorder_call);

/* One chunk of the pixels of one block of one image. */
static void NAME(block_task)(void *context, size_t task, int worker) {
    const NAME(reorder_call) *const call = context;
    const size_t first = task % call->chunks * PIXELS, block = task / call->chunks;
    const size_t image = block / call->blocks, channel = block % call->blocks * DTD_BLOCK;
    (void)worker;
    call->kernels->NAME(block)(
        dtd_min(DTD_BLOCK, call->channels - channel), dtd_min(PIXELS, call->pixels - first),
        call->pixels, call->from + (image * call->channels + channel) * call->pixels + first,
        call->to + (block * call->pixels + first) * DTD_BLOCK);
}

static void NAME(unblock_task)(void *context, size_t task, int worker) {
    const NAME(reorder_call) *const call = context;
    const size_t first = task % call->chunks * PIXELS, block = task / call->chunks;
    const size_t image = block / call->blocks, channel = block % call->blocks * DTD_BLOCK;
    (void)worker;
    call->kernels->NAME(unblock)(
        dtd_min(DTD_BLOCK, call->channels - channel), dtd_min(PIXELS, call->pixels - first),
        call->pixels, call->from + (block * call->pixels + first) * DTD_BLOCK,
        call->to + (image * call->channels + channel) * call->pixels + first);
}

/* *elements = those of a blocked image. */
static int NAME(check_blocked)(size_t images, size_t channels, size_t pixels, size_t *elements) {
    size_t count;
    if (channels > (size_t)-1 - DTD_BLOCK ||
        dtd_multiply(dtd_ceil_div(channels, DTD_BLOCK) * DTD_BLOCK, pixels, &count) ||
        dtd_multiply(count, images, elements) || dtd_check_size(count, images, sizeof(REAL))) {
        return DTD_ERROR_SIZE;
    }
    return DTD_OK;
}

static int NAME(reorder)(size_t images, size_t channels, size_t pixels, const REAL *from, REAL *to,
                         dtd_task task) {
    size_t elements;
    if (NAME(check_blocked)(images, channels, pixels, &elements)) {
        return DTD_ERROR_SIZE;
    }
    if (elements == 0) {
        return DTD_OK;
    }
    if (from == NULL || to == NULL) {
        return DTD_ERROR_ARGUMENT;
    }
    NAME(reorder_call)
    call = {dtd_kernel_table(),           channels, pixels, dtd_ceil_div(channels, DTD_BLOCK),
            dtd_ceil_div(pixels, PIXELS), from,     to};
    dtd_parallel(images * call.blocks * call.chunks, task, &call,
                 dtd_threads_for(DTD_PASS * (double)elements));
    return DTD_OK;
}

int NAME(dtd_image_block)(size_t images, size_t channels, size_t pixels, const REAL *plain,
                          REAL *blocked) {
    return NAME(reorder)(images, channels, pixels, plain, blocked, NAME(block_task));
}

int NAME(dtd_image_unblock)(size_t images, size_t channels, size_t pixels, const REAL *blocked,
                            REAL *plain) {
    return NAME(reorder)(images, channels, pixels, blocked, plain, NAME(unblock_task));
}

typedef struct {
    const dtd_kernels *kernels;
    const dtd_lrn *lrn;
    size_t chunks, image; /* of the pixels; numbers of an image */
    const REAL *x, *g;
    REAL *result, *scratch;
} NAME(lrn_call);

/* One chunk of the pixels of one image: of x, or of g when there is one. */
static void NAME(lrn_task)(void *context, size_t task, int worker) {
    const NAME(lrn_call) *const call = context;
    const dtd_lrn *const lrn = call->lrn;
    const size_t first = task % call->chunks * LRN_PIXELS, row = task / call->chunks;
    const size_t place = row * call->image + first * DTD_BLOCK;
    const size_t owner = call->g ? row / lrn->targets : row;
    call->kernels->NAME(lrn)(lrn, dtd_min(LRN_PIXELS, lrn->pixels - first),
                             call->x + owner * call->image + first * DTD_BLOCK,
                             call->g ? call->g + place : NULL, call->result + place,
                             call->scratch + (size_t)worker * DTD_LRN_SCRATCH(lrn, DTD_BLOCK));
}

static int NAME(lrn_all)(const dtd_lrn *lrn, size_t targets, const REAL *x, const REAL *g,
                         REAL *result) {
    size_t rows, elements;
    if (lrn == NULL || !(lrn->k > 0) || !(lrn->alpha >= 0) || !(lrn->beta >= 0)) {
        return DTD_ERROR_ARGUMENT;
    }
    const size_t most = (size_t)-1 / 64;
    if (lrn->before > most || lrn->after > most || lrn->channels > most ||
        dtd_multiply(lrn->samples, targets, &rows) ||
        NAME(check_blocked)(dtd_max(rows, lrn->samples), lrn->channels, lrn->pixels, &elements)) {
        return DTD_ERROR_SIZE;
    }
    if (rows == 0 || elements == 0) {
        return DTD_OK;
    }
    if (x == NULL || result == NULL || (g == NULL && targets != 1)) {
        return DTD_ERROR_ARGUMENT;
    }
    const double window = (double)lrn->before + (double)lrn->after + 8;
    const int threads = dtd_threads_for((double)elements * window);
    NAME(lrn_call)
    call = {.kernels = dtd_kernel_table(),
            .lrn = lrn,
            .chunks = dtd_ceil_div(lrn->pixels, LRN_PIXELS),
            .image = dtd_ceil_div(lrn->channels, DTD_BLOCK) * DTD_BLOCK * lrn->pixels,
            .x = x,
            .g = g,
            .result = result};
    if (dtd_check_size(DTD_LRN_SCRATCH(lrn, DTD_BLOCK), (size_t)threads, sizeof(REAL))) {
        return DTD_ERROR_SIZE;
    }
    call.scratch = dtd_alloc((size_t)threads * DTD_LRN_SCRATCH(lrn, DTD_BLOCK) * sizeof(REAL));
    if (call.scratch == NULL) {
        return DTD_ERROR_MEMORY;
    }
    dtd_parallel(rows * call.chunks, NAME(lrn_task), &call, threads);
    dtd_free(call.scratch);
    return DTD_OK;
}

int NAME(dtd_lrn_forward)(const dtd_lrn *lrn, const REAL *x, REAL *y) {
    return NAME(lrn_all)(lrn, 1, x, NULL, y);
}

int NAME(dtd_lrn_gradient)(const dtd_lrn *lrn, const REAL *x, const REAL *g, REAL *gx) {
    if (lrn != NULL && lrn->samples > 0 && lrn->targets > 0 && lrn->channels > 0 &&
        lrn->pixels > 0 && g == NULL) {
        return DTD_ERROR_ARGUMENT;
    }
    return NAME(lrn_all)(lrn, lrn == NULL ? 1 : lrn->targets, x, g, gx);
}
