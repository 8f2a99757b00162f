# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
# Blocked images, double precision: part of _core.pyx. The file for f32 is this one with the names
# and types of single precision.

cdef extern from "dtd.h":
    int dtd_image_block_f64(size_t, size_t, size_t, const double *, double *) nogil
    int dtd_image_unblock_f64(size_t, size_t, size_t, const double *, double *) nogil


cdef inline const double *in4_f64(const double[:, :, :, ::1] x) noexcept nogil:
    if x.shape[0] and x.shape[1] and x.shape[2] and x.shape[3]:
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
        images, (channels + 7) // 8, pixels, 8)
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
        images, (channels + 7) // 8, pixels, 8)
    cdef int status
    with nogil:
        status = dtd_image_unblock_f64(images, channels, pixels, in4_f64(blocked), out3_f64(plain))
    check(status)
