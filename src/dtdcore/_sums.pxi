# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
# Sums of values and the relevance of their summands: part of _core.pyx.

cdef extern from "dtd.h":
    const int DTD_SUMMANDS
    int dtd_add_f32(size_t, const float *, const float *, float, float *) nogil
    int dtd_share_f32(
        dtd_dense_shape, size_t, const float **, float, float, float, float, const float *, float **,
        double *) nogil
    int dtd_add_f64(size_t, const double *, const double *, double, double *) nogil
    int dtd_share_f64(
        dtd_dense_shape, size_t, const double **, double, double, double, double, const double *, double **,
        double *) nogil


def add_f32(const float[::1] x not None, const float[::1] y not None, float ceiling, float[::1] sum not None):
    shape1("y", y.shape[0], x.shape[0])
    shape1("sum", sum.shape[0], x.shape[0])
    cdef int status
    with nogil:
        status = dtd_add_f32(x.shape[0], in1_f32(x), in1_f32(y), ceiling, out1_f32(sum))
    check(status)


def share_f32(
    list x not None, float p_positive, float p_negative, float epsilon, float limit,
    const float[:, :, ::1] relevance not None, list r not None, double[:, :, ::1] account not None,
):
    cdef const float *xs[8]
    cdef float *rs[8]
    cdef const float[:, ::1] one
    cdef float[:, :, ::1] part
    cdef Py_ssize_t n = relevance.shape[0], k = relevance.shape[1], columns = relevance.shape[2]
    cdef size_t summands = len(x), m
    if summands > DTD_SUMMANDS or len(r) != summands:
        raise ValueError(f"x and r must be lists of the same length, at most {DTD_SUMMANDS}")
    for m in range(summands):
        one, part = x[m], r[m]
        shape2("x", one.shape[0], one.shape[1], n, columns)
        shape3("r", part.shape[0], part.shape[1], part.shape[2], n, k, columns)
        xs[m], rs[m] = in2_f32(one), out3_f32(part)
    shape3("account", account.shape[0], account.shape[1], account.shape[2], n, k, 4)
    cdef dtd_dense_shape shape = [n, k, 0, columns]
    cdef int status
    with nogil:
        status = dtd_share_f32(
            shape, summands, xs, p_positive, p_negative, epsilon, limit, in3_f32(relevance), rs,
            account_of(account))
    check(status)


def add_f64(const double[::1] x not None, const double[::1] y not None, double ceiling, double[::1] sum not None):
    shape1("y", y.shape[0], x.shape[0])
    shape1("sum", sum.shape[0], x.shape[0])
    cdef int status
    with nogil:
        status = dtd_add_f64(x.shape[0], in1_f64(x), in1_f64(y), ceiling, out1_f64(sum))
    check(status)


def share_f64(
    list x not None, double p_positive, double p_negative, double epsilon, double limit,
    const double[:, :, ::1] relevance not None, list r not None, double[:, :, ::1] account not None,
):
    cdef const double *xs[8]
    cdef double *rs[8]
    cdef const double[:, ::1] one
    cdef double[:, :, ::1] part
    cdef Py_ssize_t n = relevance.shape[0], k = relevance.shape[1], columns = relevance.shape[2]
    cdef size_t summands = len(x), m
    if summands > DTD_SUMMANDS or len(r) != summands:
        raise ValueError(f"x and r must be lists of the same length, at most {DTD_SUMMANDS}")
    for m in range(summands):
        one, part = x[m], r[m]
        shape2("x", one.shape[0], one.shape[1], n, columns)
        shape3("r", part.shape[0], part.shape[1], part.shape[2], n, k, columns)
        xs[m], rs[m] = in2_f64(one), out3_f64(part)
    shape3("account", account.shape[0], account.shape[1], account.shape[2], n, k, 4)
    cdef dtd_dense_shape shape = [n, k, 0, columns]
    cdef int status
    with nogil:
        status = dtd_share_f64(
            shape, summands, xs, p_positive, p_negative, epsilon, limit, in3_f64(relevance), rs,
            account_of(account))
    check(status)
