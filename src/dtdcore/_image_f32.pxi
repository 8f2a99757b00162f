# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
# Blocked images, single precision: part of _core.pyx. The file for f64 is this one with the names
# and types of double precision.

cdef extern from "dtd.h":
    int dtd_image_block_f32(size_t, size_t, size_t, const float *, float *) nogil
    int dtd_image_unblock_f32(size_t, size_t, size_t, const float *, float *) nogil


cdef inline const float *in4_f32(const float[:, :, :, ::1] x) noexcept nogil:
    if x.shape[0] and x.shape[1] and x.shape[2] and x.shape[3]:
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
        images, (channels + 15) // 16, pixels, 16)
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
        images, (channels + 15) // 16, pixels, 16)
    cdef int status
    with nogil:
        status = dtd_image_unblock_f32(images, channels, pixels, in4_f32(blocked), out3_f32(plain))
    check(status)
