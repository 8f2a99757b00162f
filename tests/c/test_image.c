/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of image.c and windows.c: reorders, pools over windows and normalisation of blocked images. */
#include "support.h"

/* n, k, channels, and for each axis in, size, stride, dilation, before, after; one window more than fits where tail. */
typedef struct {
    size_t samples, targets, channels, in[3], size[3], stride[3], dilation[3], before[3], after[3];
    int tail;
} window_case;

static const window_case cases[] = {
    {1, 1, 1, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, 0},
    {2, 3, 5, {1, 6, 8}, {1, 2, 2}, {1, 2, 2}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, 0},
    {2, 1, 17, {1, 7, 9}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}, 0},
    {1, 2, 16, {1, 7, 8}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, 1},
    {1, 1, 33, {3, 5, 6}, {2, 3, 2}, {1, 2, 3}, {2, 1, 2}, {1, 0, 2}, {0, 2, 1}, 0},
    {1, 2, 8, {1, 1, 13}, {1, 1, 4}, {1, 1, 5}, {1, 1, 1}, {0, 0, 3}, {0, 0, 0}, 0},
    {0, 1, 3, {1, 4, 4}, {1, 2, 2}, {1, 2, 2}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, 0},
    {2, 0, 3, {1, 4, 4}, {1, 2, 2}, {1, 2, 2}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, 0},
    {1, 1, 4, {1, 1, 1}, {1, 2, 1}, {1, 1, 1}, {1, 3, 1}, {0, 1, 0}, {0, 3, 0}, 0}, /* no pixels */
};

static dtd_window window_of(const window_case *c) {
    dtd_window window = {.samples = c->samples, .targets = c->targets, .channels = c->channels};
    for (int axis = 0; axis < 3; axis++) {
        const size_t reach = c->dilation[axis] * (c->size[axis] - 1) + 1;
        window.in[axis] = c->in[axis];
        window.size[axis] = c->size[axis];
        window.stride[axis] = c->stride[axis];
        window.dilation[axis] = c->dilation[axis];
        window.before[axis] = c->before[axis];
        window.after[axis] = c->after[axis];
        window.out[axis] =
            (c->in[axis] + c->before[axis] + c->after[axis] - reach) / c->stride[axis] + 1 +
            (c->tail && axis > 0 ? 1 : 0);
    }
    return window;
}

static size_t product(const size_t sizes[3]) { return sizes[0] * sizes[1] * sizes[2]; }

/* Pixel t of window o along an axis, when it lies in the image. */
static int pixel_of(const dtd_window *window, int axis, size_t o, size_t t, size_t *pixel) {
    const size_t at = o * window->stride[axis] + t * window->dilation[axis];
    *pixel = at - window->before[axis];
    return at >= window->before[axis] && *pixel < window->in[axis];
}

#define TEMPLATE "test_image_impl.h"
#include "reals.h"

static void test_level(size_t vector_bytes) {
    CHECK(vector_bytes > 0);
    test_reorders_f32();
    test_reorders_f64();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_windows_f32(cases + i);
        test_windows_f64(cases + i);
    }
    test_lrn_f32();
    test_lrn_f64();
}

int main(void) {
    at_every_level(test_level);
    test_errors_f32();
    test_errors_f64();
    return check_report("image");
}
