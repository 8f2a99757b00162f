# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
# What blocked images of both precisions share: part of _core.pyx.

cdef extern from "dtd.h":
    ctypedef enum dtd_pool_kind:
        DTD_POOL_MAX
        DTD_POOL_SUM
        DTD_POOL_AVERAGE
        DTD_POOL_AVERAGE_PADDED
        DTD_POOL_NORM
    ctypedef struct dtd_lrn:
        size_t samples, targets, channels, pixels, before, after
        double alpha, beta, k
    ctypedef struct dtd_window:
        size_t samples, targets, channels
        size_t[3] in_ "in"
        size_t[3] out
        size_t[3] size
        size_t[3] stride
        size_t[3] dilation
        size_t[3] before
        size_t[3] after


cdef inline int shape4(
    str name, Py_ssize_t have0, Py_ssize_t have1, Py_ssize_t have2, Py_ssize_t have3,
    Py_ssize_t size0, Py_ssize_t size1, Py_ssize_t size2, Py_ssize_t size3,
) except -1:
    if have0 == size0 and have1 == size1 and have2 == size2 and have3 == size3:
        return 0
    return want(name, (have0, have1, have2, have3), (size0, size1, size2, size3))


cdef inline size_t blocks_of(size_t channels, size_t block) noexcept nogil:
    return channels // block + (channels % block != 0)


cdef inline size_t pixels_in(const dtd_window *w) noexcept nogil:
    return w.in_[0] * w.in_[1] * w.in_[2]


cdef inline size_t pixels_out(const dtd_window *w) noexcept nogil:
    return w.out[0] * w.out[1] * w.out[2]


cdef int window_of(dtd_window *w, tuple window) except -1:
    """(samples, targets, channels) and in, out, size, stride, dilation, before, after of 3 axes."""
    if len(window) != 24:
        raise ValueError(f"window must have 24 numbers, not {len(window)}")
    cdef int axis
    w.samples, w.targets, w.channels = window[:3]
    for axis in range(3):
        w.in_[axis] = window[3 + axis]
        w.out[axis] = window[6 + axis]
        w.size[axis] = window[9 + axis]
        w.stride[axis] = window[12 + axis]
        w.dilation[axis] = window[15 + axis]
        w.before[axis] = window[18 + axis]
        w.after[axis] = window[21 + axis]
    return 0
