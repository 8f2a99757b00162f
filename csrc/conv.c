/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of the convolutions: geometry, zeros around the image, tasks. */
#include <stdint.h>
#include <string.h>

#include "dtd_internal.h"

/* Weights of this size or less stay in a second-level cache while rows pass by; scratch images of one round. */
enum {
    CONV_WEIGHT_BYTES = 640 * 1024,
    CONV_SCRATCH_BYTES = 3 * 1024 * 1024,
    CONV_OWN_BYTES = 384 * 1024 /* planes that one task makes for itself */
};

/* Longer rows are cut into pieces of so many pixels, a multiple of most tiles. */
enum { CONV_PIECE = 112 };

/* The transpose of a convolution has one class of pixels for each phase of the strides; no more than so many. */
enum { CONV_CLASSES = 1 << 22 };

/* One class of result pixels: those that the same taps reach. A convolution has one, its transpose one per stride. */
typedef struct {
    size_t taps, first_tap;
    size_t first_row; /* its rows (or pieces of rows) come after so many of the classes before */
    size_t count[3], origin[3]; /* result pixel = origin + step * (0 .. count - 1) */
} conv_class;

/*
 * How one direction reads its source: cut into planes, one for each remainder (phase) of a coordinate by the stride,
 * with zeros around, so that the pixels of a row of results lie side by side for every tap.
 */
typedef struct {
    size_t from, to, from_blocks, to_blocks, block; /* channels, blocks and channels in a block */
    size_t groups, kernel_size;
    size_t source[3], result[3], step[3], phases[3];
    size_t classes, rows; /* rows: of all classes */
    conv_class *class;
    size_t *natural; /* for each tap, class by class: its place in the kernel */
    ptrdiff_t *at;   /* and its three coordinates in a plane, relative to the result's */
    size_t *plane;   /* and its plane; then, for each used plane, its three phases */
    size_t planes;
    size_t low[3], size[3]; /* zeros in front, pixels of a plane */
    size_t span;            /* most input blocks that a block of results sees */
    int depthwise, direct;
    size_t narrow;  /* 1, 3 or 4: the kernel for few result channels, of so many; else 0 */
    size_t high[3]; /* how far a tap reaches beyond the place of a result */
    size_t weights; /* bytes of all packed weights */
    void *memory;
} conv_layout;

static ptrdiff_t floor_quotient(ptrdiff_t a, ptrdiff_t b) { return a / b - (a % b < 0); }

/* Checks that sizes are those of a convolution. */
static int check_conv(const dtd_conv_shape *shape, size_t real_size) {
    if (shape == NULL || shape->groups == 0 || shape->inputs % shape->groups ||
        shape->outputs % shape->groups) {
        return DTD_ERROR_ARGUMENT;
    }
    size_t in = real_size, out = real_size, kernel = real_size, images;
    const size_t block = DTD_BLOCK_BYTES / real_size, limit = PTRDIFF_MAX / 64;
    int status = dtd_multiply(shape->samples, shape->targets, &images);
    for (int axis = 0; axis < 3; axis++) {
        if (shape->stride[axis] == 0 || shape->dilation[axis] == 0 || shape->kernel[axis] == 0) {
            return DTD_ERROR_ARGUMENT;
        }
        status = status ? status : dtd_multiply(in, shape->in[axis], &in);
        status = status ? status : dtd_multiply(out, shape->out[axis], &out);
        status = status ? status : dtd_multiply(kernel, shape->kernel[axis], &kernel);
        size_t reach;
        if (dtd_multiply(shape->kernel[axis], shape->dilation[axis], &reach) || reach > limit / 4 ||
            shape->before[axis] > limit / 4 || shape->stride[axis] > limit / 4 ||
            dtd_multiply(shape->out[axis], shape->stride[axis], &reach) || reach > limit / 4 ||
            shape->in[axis] > limit / 4) {
            return DTD_ERROR_SIZE;
        }
    }
    const size_t in_channels = dtd_ceil_div(shape->inputs, block) * block,
                 out_channels = dtd_ceil_div(shape->outputs, block) * block;
    size_t sizes[3];
    status = status ? status : dtd_multiply(in, in_channels, &in);
    status = status ? status : dtd_multiply(out, out_channels, &out);
    status = status ? status : dtd_multiply(in, images, &sizes[0]);
    status = status ? status : dtd_multiply(out, images, &sizes[1]);
    status = status ? status : dtd_multiply(in_channels, out_channels, &sizes[2]);
    status = status ? status : dtd_multiply(sizes[2], kernel, &sizes[2]);
    return status || sizes[0] > limit || sizes[1] > limit || sizes[2] > limit ? DTD_ERROR_SIZE
                                                                              : DTD_OK;
}

/* The input blocks that a block of results sees: those with channels of its groups. */
static void sees(const conv_layout *layout, size_t to_block, size_t *first, size_t *count) {
    const size_t begin = to_block * layout->block,
                 last = dtd_min(begin + layout->block, layout->to) - 1;
    const size_t to = layout->to / layout->groups, from = layout->from / layout->groups;
    if (layout->depthwise || to == 0 || from == 0) {
        *first = layout->depthwise ? to_block : 0;
        *count = layout->depthwise ? 1 : 0;
        return;
    }
    *first = begin / to * from / layout->block;
    *count = dtd_ceil_div((last / to + 1) * from, layout->block) - *first;
}

static void free_layout(conv_layout *layout) {
    dtd_free(layout->memory);
    layout->memory = NULL;
}

/* Numbers of the packed weights of one output block. */
static size_t packed_block(const conv_layout *layout, size_t taps) {
    const size_t rows = layout->narrow ? layout->narrow : layout->block;
    return taps * layout->block * (layout->depthwise ? 1 : layout->span * rows);
}

/* Source pixels of one phase of an axis. */
static size_t pixels_of(const conv_layout *layout, int axis, size_t phase) {
    const size_t all = layout->source[axis];
    return all > phase ? dtd_ceil_div(all - phase, layout->phases[axis]) : 0;
}

/* Do all planes of an image fit, those of p and of n? */
static int check_planes(const conv_layout *layout) {
    size_t bytes = 2 * DTD_BLOCK_BYTES;
    int status = dtd_multiply(bytes, dtd_max(layout->from_blocks, 1), &bytes);
    status = status ? status : dtd_multiply(bytes, layout->planes, &bytes);
    for (int axis = 0; axis < 3; axis++) {
        status = status ? status : dtd_multiply(bytes, layout->size[axis], &bytes);
    }
    return status || bytes > PTRDIFF_MAX / 4 ? DTD_ERROR_SIZE : DTD_OK;
}

/* The layout of one direction of a shape that was checked. */
static int make_layout(const dtd_conv_shape *shape, int transposed, size_t real_size,
                       conv_layout *layout) {
    *layout = (conv_layout){.from = transposed ? shape->outputs : shape->inputs,
                            .to = transposed ? shape->inputs : shape->outputs,
                            .block = DTD_BLOCK_BYTES / real_size,
                            .groups = shape->groups,
                            .kernel_size = 1,
                            .classes = 1};
    layout->from_blocks = dtd_ceil_div(layout->from, layout->block);
    layout->to_blocks = dtd_ceil_div(layout->to, layout->block);
    layout->depthwise =
        shape->groups == shape->inputs && shape->groups == shape->outputs && shape->groups > 1;
    if (layout->groups == 1 && layout->to <= 4 && layout->from >= layout->block) {
        layout->narrow = layout->to == 2 ? 3 : layout->to;
    }
    for (int axis = 0; axis < 3; axis++) {
        layout->source[axis] = transposed ? shape->out[axis] : shape->in[axis];
        layout->result[axis] = transposed ? shape->in[axis] : shape->out[axis];
        layout->step[axis] = transposed ? shape->stride[axis] : 1;
        layout->phases[axis] = transposed ? 1 : shape->stride[axis];
        layout->kernel_size *= shape->kernel[axis];
        if (dtd_multiply(layout->classes, layout->step[axis], &layout->classes) ||
            layout->classes > CONV_CLASSES) {
            return DTD_ERROR_SIZE;
        }
    }
    const size_t taps = layout->kernel_size;
    size_t bytes, more;
    if (dtd_multiply(layout->classes, sizeof(conv_class), &bytes) ||
        dtd_multiply(dtd_max(taps, 1), 8 * sizeof(size_t), &more) || dtd_check_size(bytes, 1, 4) ||
        dtd_check_size(more, 1, 4)) {
        return DTD_ERROR_SIZE;
    }
    char *memory = dtd_alloc(bytes + more);
    if (memory == NULL) {
        return DTD_ERROR_MEMORY;
    }
    layout->memory = memory;
    layout->class = (conv_class *)(void *)memory;
    layout->natural = (size_t *)(void *)(memory + bytes);
    layout->at = (ptrdiff_t *)(void *)(layout->natural + taps);
    layout->plane = (size_t *)(void *)(layout->at + 3 * taps); /* then 3 phases of each plane */
    size_t *const phases_of = layout->plane + taps;

    ptrdiff_t least[3] = {0, 0, 0}, most[3] = {0, 0, 0}, farthest[3] = {0, 0, 0};
    size_t tap = 0;
    for (size_t c = 0; c < layout->classes; c++) {
        conv_class *const class = layout->class + c;
        size_t rest = c;
        for (int axis = 2; axis >= 0; axis--) {
            class->origin[axis] = rest % layout->step[axis];
            rest /= layout->step[axis];
            const size_t pixels = layout->result[axis];
            class->count[axis] =
                pixels > class->origin[axis]
                    ? dtd_ceil_div(pixels - class->origin[axis], layout->step[axis])
                    : 0;
        }
        class->first_row = layout->rows;
        layout->rows +=
            class->count[0] * class->count[1] * dtd_ceil_div(class->count[2], CONV_PIECE);
        class->first_tap = tap;
        for (size_t t = 0; t < taps; t++) {
            size_t k[3] = {t / (shape->kernel[1] * shape->kernel[2]),
                           t / shape->kernel[2] % shape->kernel[1], t % shape->kernel[2]};
            size_t plane = 0, phase[3];
            ptrdiff_t at[3];
            int reaches = 1;
            for (int axis = 0; axis < 3; axis++) {
                const ptrdiff_t far = (ptrdiff_t)(k[axis] * shape->dilation[axis]),
                                before = (ptrdiff_t)shape->before[axis],
                                stride = (ptrdiff_t)shape->stride[axis];
                const ptrdiff_t from =
                    transposed ? (ptrdiff_t)class->origin[axis] + before - far : far - before;
                at[axis] = floor_quotient(from, stride);
                phase[axis] = (size_t)(from - at[axis] * stride);
                /* taps that meet zeros only need not lie far from the image */
                const ptrdiff_t count = (ptrdiff_t)class->count[axis],
                                end = (ptrdiff_t)pixels_of(layout, axis, phase[axis]);
                at[axis] = at[axis] < -count ? -count : at[axis] > end ? end : at[axis];
                reaches = reaches && (!transposed || phase[axis] == 0);
            }
            if (!reaches) {
                continue;
            }
            layout->natural[tap] = t;
            for (int axis = 0; axis < 3; axis++) {
                layout->at[3 * tap + (size_t)axis] = at[axis];
                const ptrdiff_t end = at[axis] + (ptrdiff_t)class->count[axis] - 1;
                least[axis] = at[axis] < least[axis] ? at[axis] : least[axis];
                most[axis] = end > most[axis] ? end : most[axis];
                farthest[axis] = at[axis] > farthest[axis] ? at[axis] : farthest[axis];
            }
            while (plane < layout->planes &&
                   memcmp(phases_of + 3 * plane, phase, sizeof phase) != 0) {
                plane++;
            }
            if (plane == layout->planes) {
                memcpy(phases_of + 3 * layout->planes++, phase, sizeof phase);
            }
            layout->plane[tap++] = plane;
        }
        class->taps = tap - class->first_tap;
    }
    layout->direct = layout->planes == 1;
    for (int axis = 0; axis < 3; axis++) {
        layout->low[axis] = (size_t)-least[axis];
        layout->size[axis] = layout->low[axis] + (size_t)most[axis] + 1;
        layout->high[axis] = (size_t)farthest[axis];
        layout->direct = layout->direct && layout->phases[axis] == 1 && layout->low[axis] == 0 &&
                         layout->size[axis] <= layout->source[axis];
    }
    for (size_t m = 0; m < layout->to_blocks; m++) {
        size_t first, count;
        sees(layout, m, &first, &count);
        layout->span = dtd_max(layout->span, count);
    }
    layout->weights = packed_block(layout, taps) * layout->to_blocks * real_size;
    const int status = check_planes(layout);
    if (status) {
        free_layout(layout);
    }
    return status;
}

int dtd_conv_packed_size(const dtd_conv_shape *shape, int transposed, size_t real_size,
                         size_t *count) {
    if (count == NULL || (real_size != sizeof(float) && real_size != sizeof(double))) {
        return DTD_ERROR_ARGUMENT;
    }
    int status = check_conv(shape, real_size);
    if (status) {
        return status;
    }
    conv_layout layout;
    status = make_layout(shape, transposed, real_size, &layout);
    if (status == DTD_OK) {
        *count = layout.to_blocks * packed_block(&layout, layout.kernel_size);
        free_layout(&layout);
    }
    return status;
}

#define TEMPLATE "term_facts.h"
#include "reals.h"
#define TEMPLATE "conv_impl.h"
#include "reals.h"
#define TEMPLATE "conv_calls.h"
#include "reals.h"
