# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True, binding=False, embedsignature=True
"""The native core: one thin function for each function of csrc/dtd.h.

Views are taken, shapes checked, the GIL released, codes turned into exceptions by `check`. Results
go into arrays that the caller brings. What each function computes is written in dtd.h.
"""

cdef extern from "dtd.h":
    const char *DTD_VERSION
    const int DTD_OK, DTD_ERROR_MEMORY, DTD_ERROR_SIZE
    ctypedef struct dtd_dense_shape:
        size_t samples, targets, inputs, outputs
    ctypedef struct dtd_pool_shape:
        size_t samples, targets, groups, size
    ctypedef struct dtd_term_f32:
        float p_positive, p_negative, n_positive, n_negative
        const float *low
        const float *high
    ctypedef struct dtd_term_f64:
        double p_positive, p_negative, n_positive, n_negative
        const double *low
        const double *high
    int dtd_dense_forward_f32(
        dtd_dense_shape, const float *, const float *, const float *, float *) nogil
    int dtd_dense_forward_z_f32(
        dtd_dense_shape, const float *, const float *, const float *, const dtd_term_f32 *,
        float *, float *) nogil
    int dtd_dense_square_sums_f32(dtd_dense_shape, const float *, float *) nogil
    int dtd_dense_redistribute_f32(
        dtd_dense_shape, const float *, const float *, const dtd_term_f32 *, const float *, int,
        float *) nogil
    int dtd_dense_redistribute_square_f32(
        dtd_dense_shape, const float *, const float *, float *) nogil
    int dtd_dense_gradient_f32(dtd_dense_shape, const float *, const float *, float *) nogil
    int dtd_dense_weight_gradient_f32(
        dtd_dense_shape, const float *, const float *, int, float *, float *) nogil
    int dtd_quotient_f32(
        dtd_dense_shape, int, const float *, const float *, const float *, float, float, float *,
        double *) nogil
    int dtd_row_sums_f32(size_t, size_t, const float *, double *) nogil
    int dtd_first_outside_f32(
        size_t, size_t, const float *, const float *, size_t, const float *, size_t, size_t *) nogil
    int dtd_pool_forward_f32(dtd_pool_shape, double, const float *, float *) nogil
    int dtd_pool_gradient_f32(
        dtd_pool_shape, double, const float *, const float *, const float *, float *) nogil
    int dtd_pool_redistribute_f32(
        dtd_pool_shape, int, const float *, const float *, float *, double *) nogil
    int dtd_dense_forward_f64(
        dtd_dense_shape, const double *, const double *, const double *, double *) nogil
    int dtd_dense_forward_z_f64(
        dtd_dense_shape, const double *, const double *, const double *, const dtd_term_f64 *,
        double *, double *) nogil
    int dtd_dense_square_sums_f64(dtd_dense_shape, const double *, double *) nogil
    int dtd_dense_redistribute_f64(
        dtd_dense_shape, const double *, const double *, const dtd_term_f64 *, const double *, int,
        double *) nogil
    int dtd_dense_redistribute_square_f64(
        dtd_dense_shape, const double *, const double *, double *) nogil
    int dtd_dense_gradient_f64(dtd_dense_shape, const double *, const double *, double *) nogil
    int dtd_dense_weight_gradient_f64(
        dtd_dense_shape, const double *, const double *, int, double *, double *) nogil
    int dtd_quotient_f64(
        dtd_dense_shape, int, const double *, const double *, const double *, double, double,
        double *, double *) nogil
    int dtd_row_sums_f64(size_t, size_t, const double *, double *) nogil
    int dtd_first_outside_f64(
        size_t, size_t, const double *, const double *, size_t, const double *, size_t,
        size_t *) nogil
    int dtd_pool_forward_f64(dtd_pool_shape, double, const double *, double *) nogil
    int dtd_pool_gradient_f64(
        dtd_pool_shape, double, const double *, const double *, const double *, double *) nogil
    int dtd_pool_redistribute_f64(
        dtd_pool_shape, int, const double *, const double *, double *, double *) nogil
    ctypedef struct dtd_train_shape:
        size_t samples, inputs, units, iterations, batch
    ctypedef struct dtd_train_unit_f32:
        size_t neurons, pool
        float *w
        float *b
        float *w_velocity
        float *b_velocity
    ctypedef struct dtd_train_unit_f64:
        size_t neurons, pool
        double *w
        double *b
        double *w_velocity
        double *b_velocity
    int dtd_train_f32(
        dtd_train_shape, double, const dtd_train_unit_f32 *, const float *, const float *,
        const size_t *, const double *, double, double *, size_t *) nogil
    int dtd_train_f64(
        dtd_train_shape, double, const dtd_train_unit_f64 *, const double *, const double *,
        const size_t *, const double *, double, double *, size_t *) nogil
    const char *dtd_strerror(int)
    int dtd_set_num_threads(int)
    int dtd_get_num_threads()
    int dtd_has_openmp()
    int dtd_select_isa(const char *)
    const char *dtd_isa_name()
    const char *dtd_isa_level(size_t, int *)
    const char *dtd_compiler()


cdef enum:
    MOST_UNITS = 64  # of a network that is trained


cdef int check(int status) except -1:
    """Turn a code of the core into an exception; the only place that does."""
    if status == DTD_OK:
        return 0
    message = dtd_strerror(status).decode()
    if status == DTD_ERROR_MEMORY:
        raise MemoryError(message)
    raise ValueError(message)


cdef int want(str name, tuple shape, tuple expected) except -1:
    raise ValueError(f"{name} must have shape {expected}, not {shape}")


cdef inline int shape1(str name, Py_ssize_t have, Py_ssize_t size) except -1:
    return 0 if have == size else want(name, (have,), (size,))


cdef inline int shape2(
    str name, Py_ssize_t have0, Py_ssize_t have1, Py_ssize_t size0, Py_ssize_t size1
) except -1:
    if have0 == size0 and have1 == size1:
        return 0
    return want(name, (have0, have1), (size0, size1))


cdef inline int shape3(
    str name, Py_ssize_t have0, Py_ssize_t have1, Py_ssize_t have2,
    Py_ssize_t size0, Py_ssize_t size1, Py_ssize_t size2,
) except -1:
    if have0 == size0 and have1 == size1 and have2 == size2:
        return 0
    return want(name, (have0, have1, have2), (size0, size1, size2))


cdef inline double *doubles_of(double[::1] x) noexcept nogil:
    return &x[0] if x.shape[0] else NULL


cdef inline double *account_of(double[:, :, ::1] x) noexcept nogil:
    return &x[0, 0, 0] if x.shape[0] and x.shape[1] and x.shape[2] else NULL


cdef Py_ssize_t groups_of(Py_ssize_t neurons, Py_ssize_t size) except -1:
    if size < 1 or neurons % size:
        raise ValueError(f"size must divide the {neurons} neurons of x, not {size}")
    return neurons // size


def set_num_threads(threads: int) -> None:
    """Upper bound for the threads of a call; 0 takes the bound away."""
    check(dtd_set_num_threads(threads))


def get_num_threads() -> int:
    """The threads that the next large call may use."""
    return dtd_get_num_threads()


def select_isa(name: str | None) -> None:
    """Use the instruction set level of that name, or with None the best that runs here."""
    if name is None:
        check(dtd_select_isa(NULL))
        return
    encoded = name.encode()
    status = dtd_select_isa(encoded)
    if status != DTD_OK:
        levels = ", ".join(config()["isa_levels"])
        raise ValueError(f"{dtd_strerror(status).decode()}; this build and processor run: {levels}")


def config() -> dict[str, object]:
    """What the core is: version, compiler, level in use, levels that run here, OpenMP, threads."""
    levels = []
    cdef size_t index = 0
    cdef int supported = 0
    cdef const char *level = dtd_isa_level(0, &supported)
    while level != NULL:
        if supported:
            levels.append(level.decode())
        index += 1
        level = dtd_isa_level(index, &supported)
    return {
        "core": DTD_VERSION.decode(),
        "compiler": dtd_compiler().decode(),
        "isa": dtd_isa_name().decode(),
        "isa_levels": levels,
        "openmp": bool(dtd_has_openmp()),
        "threads": dtd_get_num_threads(),
    }


# Watches for forks from now on: a forked child works serially until it sets its own number.
check(dtd_set_num_threads(0))

# ---- the kernels -----------------------------------------------------------------------------

include "_dense_f32.pxi"
include "_dense_f64.pxi"
include "_conv.pxi"
include "_sums.pxi"
include "_image.pxi"
include "_image_f32.pxi"
include "_image_f64.pxi"
