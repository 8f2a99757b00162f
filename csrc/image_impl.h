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
                 dtd_threads_for((double)elements));
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
