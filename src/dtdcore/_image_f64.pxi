# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
# Blocked images, double precision: part of _core.pyx. The file for f32 is this one with the names
# and types of single precision.

cdef extern from "dtd.h":
    int dtd_image_block_f64(size_t, size_t, size_t, const double *, double *) nogil
    int dtd_image_unblock_f64(size_t, size_t, size_t, const double *, double *) nogil
    ctypedef struct dtd_factor_f64:
        double positive, negative, lowest
        const double *low
    int dtd_lrn_forward_f64(const dtd_lrn *, const double *, double *) nogil
    int dtd_lrn_gradient_f64(
        const dtd_lrn *, const double *, const double *, double *) nogil
    int dtd_window_pool_f64(
        dtd_window, dtd_pool_kind, double, const double *, double *) nogil
    int dtd_window_pool_gradient_f64(
        dtd_window, dtd_pool_kind, double, const double *, const double *, double *) nogil
    int dtd_window_winner_f64(
        dtd_window, int, const double *, const double *, double *, double *) nogil
    int dtd_window_redistribute_f64(
        dtd_window, dtd_pool_kind, const dtd_factor_f64 *, double, const double *, const double *, int,
        double *, double *) nogil


cdef inline const double *in4_f64(const double[:, :, :, ::1] x) noexcept nogil:
    if x is not None and x.shape[0] and x.shape[1] and x.shape[2] and x.shape[3]:
        return &x[0, 0, 0, 0]
    return NULL


cdef inline double *out4_f64(double[:, :, :, ::1] x) noexcept nogil:
    if x.shape[0] and x.shape[1] and x.shape[2] and x.shape[3]:
        return &x[0, 0, 0, 0]
    return NULL


def image_block_f64(
    const double[:, :, ::1] plain not None, double[:, :, :, ::1] blocked not None
):
    cdef Py_ssize_t images = plain.shape[0], channels = plain.shape[1], pixels = plain.shape[2]
    shape4(
        "blocked", blocked.shape[0], blocked.shape[1], blocked.shape[2], blocked.shape[3],
        images, blocks_of(channels, 8), pixels, 8)
    cdef int status
    with nogil:
        status = dtd_image_block_f64(images, channels, pixels, in3_f64(plain), out4_f64(blocked))
    check(status)


def image_unblock_f64(
    const double[:, :, :, ::1] blocked not None, double[:, :, ::1] plain not None
):
    cdef Py_ssize_t images = plain.shape[0], channels = plain.shape[1], pixels = plain.shape[2]
    shape4(
        "blocked", blocked.shape[0], blocked.shape[1], blocked.shape[2], blocked.shape[3],
        images, blocks_of(channels, 8), pixels, 8)
    cdef int status
    with nogil:
        status = dtd_image_unblock_f64(images, channels, pixels, in4_f64(blocked), out3_f64(plain))
    check(status)


cdef int blocked_f64(
    str name, const double[:, :, :, ::1] x, size_t images, size_t channels, size_t pixels
) except -1:
    return shape4(
        name, x.shape[0], x.shape[1], x.shape[2], x.shape[3],
        images, blocks_of(channels, 8), pixels, 8)


def window_pool_f64(
    tuple window not None, int kind, double p, const double[:, :, :, ::1] x not None,
    double[:, :, :, ::1] y not None,
):
    cdef dtd_window w
    window_of(&w, window)
    blocked_f64("x", x, w.samples, w.channels, pixels_in(&w))
    blocked_f64("y", y, w.samples, w.channels, pixels_out(&w))
    cdef int status
    with nogil:
        status = dtd_window_pool_f64(w, <dtd_pool_kind>kind, p, in4_f64(x), out4_f64(y))
    check(status)


def window_pool_gradient_f64(
    tuple window not None, int kind, double p, const double[:, :, :, ::1] x,
    const double[:, :, :, ::1] g not None, double[:, :, :, ::1] gx not None,
):
    cdef dtd_window w
    window_of(&w, window)
    if x is not None:
        blocked_f64("x", x, w.samples, w.channels, pixels_in(&w))
    blocked_f64("g", g, w.samples * w.targets, w.channels, pixels_out(&w))
    blocked_f64("gx", gx, w.samples * w.targets, w.channels, pixels_in(&w))
    cdef int status
    with nogil:
        status = dtd_window_pool_gradient_f64(
            w, <dtd_pool_kind>kind, p, in4_f64(x), in4_f64(g), out4_f64(gx))
    check(status)


def window_winner_f64(
    tuple window not None, bint absolute, const double[:, :, :, ::1] x not None,
    const double[:, :, :, ::1] relevance not None, double[:, :, :, ::1] r not None,
    double[:, :, ::1] account not None,
):
    cdef dtd_window w
    window_of(&w, window)
    blocked_f64("x", x, w.samples, w.channels, pixels_in(&w))
    blocked_f64("relevance", relevance, w.samples * w.targets, w.channels, pixels_out(&w))
    blocked_f64("r", r, w.samples * w.targets, w.channels, pixels_in(&w))
    shape3(
        "account", account.shape[0], account.shape[1], account.shape[2], w.samples, w.targets, 4)
    cdef int status
    with nogil:
        status = dtd_window_winner_f64(
            w, absolute, in4_f64(x), in4_f64(relevance), out4_f64(r), account_of(account))
    check(status)


def window_redistribute_f64(
    tuple window not None, int kind, tuple factor not None, const double[:, :, :, ::1] low,
    double epsilon, const double[:, :, :, ::1] x not None,
    const double[:, :, :, ::1] relevance not None, bint accumulate,
    double[:, :, :, ::1] r not None, double[:, :, ::1] account not None,
):
    cdef dtd_window w
    cdef dtd_factor_f64 f
    window_of(&w, window)
    f.positive, f.negative, f.lowest = factor
    if low is not None:
        blocked_f64("low", low, 1, w.channels, pixels_in(&w))
    f.low = in4_f64(low)
    blocked_f64("x", x, w.samples, w.channels, pixels_in(&w))
    blocked_f64("relevance", relevance, w.samples * w.targets, w.channels, pixels_out(&w))
    blocked_f64("r", r, w.samples * w.targets, w.channels, pixels_in(&w))
    shape3(
        "account", account.shape[0], account.shape[1], account.shape[2], w.samples, w.targets, 4)
    cdef int status
    with nogil:
        status = dtd_window_redistribute_f64(
            w, <dtd_pool_kind>kind, &f, epsilon, in4_f64(x), in4_f64(relevance), accumulate,
            out4_f64(r), account_of(account))
    check(status)


def lrn_forward_f64(
    size_t channels, tuple numbers not None, const double[:, :, :, ::1] x not None,
    double[:, :, :, ::1] y not None,
):
    cdef dtd_lrn lrn
    lrn.before, lrn.after, lrn.alpha, lrn.beta, lrn.k = numbers
    lrn.samples, lrn.targets, lrn.channels, lrn.pixels = x.shape[0], 1, channels, x.shape[2]
    blocked_f64("x", x, lrn.samples, channels, lrn.pixels)
    blocked_f64("y", y, lrn.samples, channels, lrn.pixels)
    cdef int status
    with nogil:
        status = dtd_lrn_forward_f64(&lrn, in4_f64(x), out4_f64(y))
    check(status)


def lrn_gradient_f64(
    size_t channels, size_t targets, tuple numbers not None, const double[:, :, :, ::1] x not None,
    const double[:, :, :, ::1] g not None, double[:, :, :, ::1] gx not None,
):
    cdef dtd_lrn lrn
    lrn.before, lrn.after, lrn.alpha, lrn.beta, lrn.k = numbers
    lrn.samples, lrn.targets, lrn.channels, lrn.pixels = x.shape[0], targets, channels, x.shape[2]
    blocked_f64("x", x, lrn.samples, channels, lrn.pixels)
    blocked_f64("g", g, lrn.samples * targets, channels, lrn.pixels)
    blocked_f64("gx", gx, lrn.samples * targets, channels, lrn.pixels)
    cdef int status
    with nogil:
        status = dtd_lrn_gradient_f64(&lrn, in4_f64(x), in4_f64(g), out4_f64(gx))
    check(status)
