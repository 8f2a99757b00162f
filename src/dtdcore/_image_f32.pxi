# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
# Blocked images, single precision: part of _core.pyx. The file for f64 is this one with the names
# and types of double precision.

cdef extern from "dtd.h":
    int dtd_image_block_f32(size_t, size_t, size_t, const float *, float *) nogil
    int dtd_image_unblock_f32(size_t, size_t, size_t, const float *, float *) nogil
    ctypedef struct dtd_factor_f32:
        float positive, negative, lowest
        const float *low
    int dtd_lrn_forward_f32(const dtd_lrn *, const float *, float *) nogil
    int dtd_lrn_gradient_f32(
        const dtd_lrn *, const float *, const float *, float *) nogil
    int dtd_window_pool_f32(
        dtd_window, dtd_pool_kind, double, const float *, float *) nogil
    int dtd_window_pool_gradient_f32(
        dtd_window, dtd_pool_kind, double, const float *, const float *, float *) nogil
    int dtd_window_winner_f32(
        dtd_window, int, const float *, const float *, float *, double *) nogil
    int dtd_window_redistribute_f32(
        dtd_window, dtd_pool_kind, const dtd_factor_f32 *, float, const float *, const float *, int,
        float *, double *) nogil


cdef inline const float *in4_f32(const float[:, :, :, ::1] x) noexcept nogil:
    if x is not None and x.shape[0] and x.shape[1] and x.shape[2] and x.shape[3]:
        return &x[0, 0, 0, 0]
    return NULL


cdef inline float *out4_f32(float[:, :, :, ::1] x) noexcept nogil:
    if x.shape[0] and x.shape[1] and x.shape[2] and x.shape[3]:
        return &x[0, 0, 0, 0]
    return NULL


def image_block_f32(
    const float[:, :, ::1] plain not None, float[:, :, :, ::1] blocked not None
):
    cdef Py_ssize_t images = plain.shape[0], channels = plain.shape[1], pixels = plain.shape[2]
    shape4(
        "blocked", blocked.shape[0], blocked.shape[1], blocked.shape[2], blocked.shape[3],
        images, blocks_of(channels, 16), pixels, 16)
    cdef int status
    with nogil:
        status = dtd_image_block_f32(images, channels, pixels, in3_f32(plain), out4_f32(blocked))
    check(status)


def image_unblock_f32(
    const float[:, :, :, ::1] blocked not None, float[:, :, ::1] plain not None
):
    cdef Py_ssize_t images = plain.shape[0], channels = plain.shape[1], pixels = plain.shape[2]
    shape4(
        "blocked", blocked.shape[0], blocked.shape[1], blocked.shape[2], blocked.shape[3],
        images, blocks_of(channels, 16), pixels, 16)
    cdef int status
    with nogil:
        status = dtd_image_unblock_f32(images, channels, pixels, in4_f32(blocked), out3_f32(plain))
    check(status)


cdef int blocked_f32(
    str name, const float[:, :, :, ::1] x, size_t images, size_t channels, size_t pixels
) except -1:
    return shape4(
        name, x.shape[0], x.shape[1], x.shape[2], x.shape[3],
        images, blocks_of(channels, 16), pixels, 16)


def window_pool_f32(
    tuple window not None, int kind, double p, const float[:, :, :, ::1] x not None,
    float[:, :, :, ::1] y not None,
):
    cdef dtd_window w
    window_of(&w, window)
    blocked_f32("x", x, w.samples, w.channels, pixels_in(&w))
    blocked_f32("y", y, w.samples, w.channels, pixels_out(&w))
    cdef int status
    with nogil:
        status = dtd_window_pool_f32(w, <dtd_pool_kind>kind, p, in4_f32(x), out4_f32(y))
    check(status)


def window_pool_gradient_f32(
    tuple window not None, int kind, double p, const float[:, :, :, ::1] x,
    const float[:, :, :, ::1] g not None, float[:, :, :, ::1] gx not None,
):
    cdef dtd_window w
    window_of(&w, window)
    if x is not None:
        blocked_f32("x", x, w.samples, w.channels, pixels_in(&w))
    blocked_f32("g", g, w.samples * w.targets, w.channels, pixels_out(&w))
    blocked_f32("gx", gx, w.samples * w.targets, w.channels, pixels_in(&w))
    cdef int status
    with nogil:
        status = dtd_window_pool_gradient_f32(
            w, <dtd_pool_kind>kind, p, in4_f32(x), in4_f32(g), out4_f32(gx))
    check(status)


def window_winner_f32(
    tuple window not None, bint absolute, const float[:, :, :, ::1] x not None,
    const float[:, :, :, ::1] relevance not None, float[:, :, :, ::1] r not None,
    double[:, :, ::1] account not None,
):
    cdef dtd_window w
    window_of(&w, window)
    blocked_f32("x", x, w.samples, w.channels, pixels_in(&w))
    blocked_f32("relevance", relevance, w.samples * w.targets, w.channels, pixels_out(&w))
    blocked_f32("r", r, w.samples * w.targets, w.channels, pixels_in(&w))
    shape3(
        "account", account.shape[0], account.shape[1], account.shape[2], w.samples, w.targets, 4)
    cdef int status
    with nogil:
        status = dtd_window_winner_f32(
            w, absolute, in4_f32(x), in4_f32(relevance), out4_f32(r), account_of(account))
    check(status)


def window_redistribute_f32(
    tuple window not None, int kind, tuple factor not None, const float[:, :, :, ::1] low,
    double epsilon, const float[:, :, :, ::1] x not None,
    const float[:, :, :, ::1] relevance not None, bint accumulate,
    float[:, :, :, ::1] r not None, double[:, :, ::1] account not None,
):
    cdef dtd_window w
    cdef dtd_factor_f32 f
    window_of(&w, window)
    f.positive, f.negative, f.lowest = factor
    if low is not None:
        blocked_f32("low", low, 1, w.channels, pixels_in(&w))
    f.low = in4_f32(low)
    blocked_f32("x", x, w.samples, w.channels, pixels_in(&w))
    blocked_f32("relevance", relevance, w.samples * w.targets, w.channels, pixels_out(&w))
    blocked_f32("r", r, w.samples * w.targets, w.channels, pixels_in(&w))
    shape3(
        "account", account.shape[0], account.shape[1], account.shape[2], w.samples, w.targets, 4)
    cdef int status
    with nogil:
        status = dtd_window_redistribute_f32(
            w, <dtd_pool_kind>kind, &f, <float>epsilon, in4_f32(x), in4_f32(relevance), accumulate,
            out4_f32(r), account_of(account))
    check(status)


def lrn_forward_f32(
    size_t channels, tuple numbers not None, const float[:, :, :, ::1] x not None,
    float[:, :, :, ::1] y not None,
):
    cdef dtd_lrn lrn
    lrn.before, lrn.after, lrn.alpha, lrn.beta, lrn.k = numbers
    lrn.samples, lrn.targets, lrn.channels, lrn.pixels = x.shape[0], 1, channels, x.shape[2]
    blocked_f32("x", x, lrn.samples, channels, lrn.pixels)
    blocked_f32("y", y, lrn.samples, channels, lrn.pixels)
    cdef int status
    with nogil:
        status = dtd_lrn_forward_f32(&lrn, in4_f32(x), out4_f32(y))
    check(status)


def lrn_gradient_f32(
    size_t channels, size_t targets, tuple numbers not None, const float[:, :, :, ::1] x not None,
    const float[:, :, :, ::1] g not None, float[:, :, :, ::1] gx not None,
):
    cdef dtd_lrn lrn
    lrn.before, lrn.after, lrn.alpha, lrn.beta, lrn.k = numbers
    lrn.samples, lrn.targets, lrn.channels, lrn.pixels = x.shape[0], targets, channels, x.shape[2]
    blocked_f32("x", x, lrn.samples, channels, lrn.pixels)
    blocked_f32("g", g, lrn.samples * targets, channels, lrn.pixels)
    blocked_f32("gx", gx, lrn.samples * targets, channels, lrn.pixels)
    cdef int status
    with nogil:
        status = dtd_lrn_gradient_f32(&lrn, in4_f32(x), in4_f32(g), out4_f32(gx))
    check(status)
