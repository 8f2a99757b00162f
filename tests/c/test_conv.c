/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of conv.c: convolutions and their transposes against naive loops, arguments, memory that cannot be had. */
#include "support.h"

/* samples, targets, inputs, outputs, groups, in, out, kernel, stride, dilation, before */
static const dtd_conv_shape shapes[] = {
    {2, 1, 3, 5, 1, {1, 4, 6}, {1, 4, 6}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
    {1, 2, 17, 33, 1, {1, 3, 7}, {1, 2, 4}, {1, 2, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}},
    {2, 1, 18, 16, 2, {1, 4, 5}, {1, 4, 5}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
    {1, 1, 9, 18, 9, {1, 5, 4}, {1, 3, 2}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}},
    {3, 1, 17, 17, 17, {1, 5, 9}, {1, 3, 5}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}},
    {2, 2, 20, 7, 1, {1, 5, 7}, {1, 5, 7}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}},
    {1, 1, 4, 3, 1, {1, 1, 40}, {1, 1, 20}, {1, 1, 5}, {1, 1, 2}, {1, 1, 1}, {0, 0, 3}},
    {1, 1, 2, 9, 1, {3, 4, 3}, {2, 2, 3}, {2, 3, 2}, {1, 2, 1}, {1, 1, 2}, {0, 1, 1}},
    /* rows in pieces; to one channel, whose tiles are the longest; to three, two and four */
    {1, 1, 2, 3, 1, {1, 2, 230}, {1, 2, 230}, {1, 1, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 1}},
    {2, 1, 17, 1, 1, {1, 2, 27}, {1, 2, 27}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
    {1, 1, 17, 1, 1, {1, 2, 27}, {1, 2, 27}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}},
    {1, 1, 17, 1, 1, {2, 2, 25}, {2, 2, 25}, {2, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 0, 0}},
    {1, 1, 3, 17, 1, {1, 3, 13}, {1, 3, 13}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
    {1, 1, 2, 16, 1, {1, 3, 5}, {1, 1, 3}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}},
    {1, 1, 16, 4, 1, {2, 3, 9}, {2, 3, 9}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
    /* pixels that no tap meets, taps that meet no pixel, zeros only, far taps */
    {1, 1, 3, 4, 1, {1, 9, 9}, {1, 3, 3}, {1, 1, 2}, {1, 3, 4}, {1, 1, 1}, {0, 0, 0}},
    {1, 1, 3, 4, 1, {1, 2, 2}, {1, 6, 7}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 5, 4}},
    {1, 1, 3, 4, 1, {1, 2, 2}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 9, 9}, {0, 5, 5}},
    {1,
     1,
     3,
     9,
     1,
     {1, 3, 5},
     {1, 3, 5},
     {1, 3, 3},
     {1, 1, 1},
     {1, 1000000000, 100000000},
     {0, 1000000000, 100000000}},
    {1, 1, 3, 9, 1, {1, 1, 5}, {1, 1, 1}, {1, 1, 3}, {1, 1, 99999}, {1, 1, 1}, {0, 0, 0}},
    /* nothing in, nothing out */
    {2, 1, 0, 3, 1, {1, 2, 2}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}},
    {2, 1, 0, 3, 1, {1, 2, 2}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
    {2, 1, 3, 2, 1, {1, 0, 2}, {1, 2, 2}, {1, 3, 1}, {1, 1, 1}, {1, 1, 1}, {0, 2, 0}},
    {0, 1, 3, 2, 1, {1, 2, 2}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}},
    {2, 0, 3, 2, 1, {1, 2, 2}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* work enough for threads, in both directions and all ways of cutting it */
static const dtd_conv_shape large[] = {
    {2, 1, 32, 33, 1, {1, 15, 29}, {1, 15, 29}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
    {1, 1, 128, 144, 1, {1, 9, 9}, {1, 9, 9}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
    {3, 1, 40, 40, 40, {1, 60, 60}, {1, 30, 30}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}},
    {1, 1, 24, 40, 1, {3, 8, 11}, {3, 8, 11}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},
};
enum { LARGE = sizeof large / sizeof large[0] };

typedef enum { PART_ALL, PART_POSITIVE, PART_NEGATIVE, PART_SQUARE } part;

static double of_part(part which, double w) {
    switch (which) {
    case PART_POSITIVE:
        return w > 0 ? w : 0;
    case PART_NEGATIVE:
        return w < 0 ? w : 0;
    case PART_SQUARE:
        return w * w;
    default:
        return w;
    }
}

static size_t pixels_of(const size_t sizes[3]) { return sizes[0] * sizes[1] * sizes[2]; }

/* Numbers of one blocked image of the inputs' side, or of the results'. */
static size_t image_size(const dtd_conv_shape *shape, int results, size_t lanes) {
    const size_t channels = results ? shape->outputs : shape->inputs;
    return (channels + lanes - 1) / lanes * lanes * pixels_of(results ? shape->out : shape->in);
}

/* Calls sum(context, input place, output place, place of the weight) for all that one image's sums hold. */
static void each_product(const dtd_conv_shape *shape, size_t lanes,
                         void (*sum)(void *context, size_t in, size_t out, size_t weight),
                         void *context) {
    const size_t *const in = shape->in, *const out = shape->out, *const kernel = shape->kernel;
    const size_t taps = pixels_of(kernel), from = shape->inputs / shape->groups,
                 to = shape->outputs / shape->groups;
    for (size_t pair = 0; pair < pixels_of(out) * taps; pair++) {
        const size_t v = pair / taps, t = pair % taps;
        const size_t at[3] = {v / (out[1] * out[2]), v / out[2] % out[1], v % out[2]};
        const size_t tap[3] = {t / (kernel[1] * kernel[2]), t / kernel[2] % kernel[1],
                               t % kernel[2]};
        size_t pixel = 0;
        int inside = 1;
        for (int axis = 0; axis < 3; axis++) {
            const ptrdiff_t u =
                (ptrdiff_t)(at[axis] * shape->stride[axis] + tap[axis] * shape->dilation[axis]) -
                (ptrdiff_t)shape->before[axis];
            inside = inside && u >= 0 && u < (ptrdiff_t)in[axis];
            pixel = pixel * in[axis] + (size_t)(inside ? u : 0);
        }
        for (size_t j = 0; inside && j < shape->outputs; j++) {
            for (size_t k = 0; k < from; k++) {
                const size_t i = j / to * from + k;
                sum(context, (i / lanes * pixels_of(in) + pixel) * lanes + i % lanes,
                    (j / lanes * pixels_of(out) + v) * lanes + j % lanes,
                    (j * from + k) * taps + t);
            }
        }
    }
}

#define TEMPLATE "test_conv_impl.h"
#include "reals.h"

int main(void) {
    at_every_level(test_shapes_f32);
    at_every_level(test_shapes_f64);
    at_every_level(test_threads_f32);
    at_every_level(test_threads_f64);
    test_memory_f32();
    test_memory_f64();
    test_arguments_f32();
    test_arguments_f64();
    return check_report("conv");
}
