/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the windows of a dtd_window lie. */
#ifndef DTD_WINDOW_H
#define DTD_WINDOW_H

#include "dtd_internal.h"

/* The pixels begin + i step, i < count, of one window along one axis that lie in the image, and how many of its pixels
 * lie in the image with its padding. */
typedef struct {
    size_t begin, step, count, padded;
} dtd_span;

static inline dtd_span dtd_span_of(const dtd_window *window, int axis, size_t o) {
    const size_t in = window->in[axis], size = window->size[axis], step = window->dilation[axis];
    const size_t before = window->before[axis], from = o * window->stride[axis];
    dtd_span span = {from - before, step, size, size};
    if (from >= before && from - before + (size - 1) * step < in) {
        return span; /* the usual case needs no division */
    }
    /* All positions from the first padded pixel on, so that none is negative. */
    const size_t end = before + in, all = end + window->after[axis];
    const size_t skipped = from < before ? dtd_ceil_div(before - from, step) : 0;
    const size_t below = from < end ? dtd_min(size, dtd_ceil_div(end - from, step)) : 0;
    span.padded = from < all ? dtd_min(size, dtd_ceil_div(all - from, step)) : 0;
    span.count = below > skipped ? below - skipped : 0;
    span.begin = span.count > 0 ? from + skipped * step - before : 0;
    return span;
}

/* The window of three spans, its pixels inside the image, and the number that an average divides by. */
typedef struct {
    dtd_span depth, height, width;
} dtd_box;

static inline size_t dtd_pixels_of(dtd_box box) {
    return box.depth.count * box.height.count * box.width.count;
}

/* At least 1: the sum of a window without pixels is 0 whatever divides it. */
static inline size_t dtd_divisor(dtd_pool_kind kind, dtd_box box) {
    switch (kind) {
    case DTD_POOL_AVERAGE:
        return dtd_max(1, dtd_pixels_of(box));
    case DTD_POOL_AVERAGE_PADDED:
        return dtd_max(1, box.depth.padded * box.height.padded * box.width.padded);
    default:
        return 1;
    }
}

#endif
