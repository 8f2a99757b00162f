# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Part of _core.pyx: convolutions. Images are passed flat, in blocks; see dtd.h."""

cdef extern from "dtd.h":
    const int DTD_BLOCK_BYTES
    ctypedef struct dtd_conv_shape:
        size_t samples, targets, inputs, outputs, groups
        size_t in_ "in"[3]
        size_t out[3]
        size_t kernel[3]
        size_t stride[3]
        size_t dilation[3]
        size_t before[3]
    int dtd_conv_packed_size(const dtd_conv_shape *, int, size_t, size_t *) nogil
    int dtd_conv_pack_f32(const dtd_conv_shape *, int, const float *, float *) nogil
    int dtd_conv_forward_f32(
        const dtd_conv_shape *, int, const float *, const float *, const float *, float, float *) nogil
    int dtd_conv_square_f32(
        const dtd_conv_shape *, int, const float *, const float *, float *) nogil
    int dtd_conv_forward_z_f32(
        const dtd_conv_shape *, int, const float *, const float *, const float *, float,
        const dtd_term_f32 *, int, float *, float *) nogil
    ctypedef struct dtd_conv_next_f32:
        const float *z
        const float *bias
        float epsilon, limit
        double *account
    int dtd_conv_redistribute_f32(
        const dtd_conv_shape *, int, const float *, const float *, const dtd_term_f32 *, int,
        const float *, int, const dtd_conv_next_f32 *, float *) nogil
    int dtd_conv_pack_f64(const dtd_conv_shape *, int, const double *, double *) nogil
    int dtd_conv_forward_f64(
        const dtd_conv_shape *, int, const double *, const double *, const double *, double, double *) nogil
    int dtd_conv_square_f64(
        const dtd_conv_shape *, int, const double *, const double *, double *) nogil
    int dtd_conv_forward_z_f64(
        const dtd_conv_shape *, int, const double *, const double *, const double *, double,
        const dtd_term_f64 *, int, double *, double *) nogil
    ctypedef struct dtd_conv_next_f64:
        const double *z
        const double *bias
        double epsilon, limit
        double *account
    int dtd_conv_redistribute_f64(
        const dtd_conv_shape *, int, const double *, const double *, const dtd_term_f64 *, int,
        const double *, int, const dtd_conv_next_f64 *, double *) nogil


cdef class ConvShape:
    """The geometry of a convolution: channels, and three numbers for each of the other sizes."""

    cdef dtd_conv_shape shape

    def __cinit__(
        self, inputs: int, outputs: int, groups: int, in_: tuple, out: tuple, kernel: tuple,
        stride: tuple, dilation: tuple, before: tuple,
    ):
        self.shape.samples = self.shape.targets = 1
        self.shape.inputs, self.shape.outputs, self.shape.groups = inputs, outputs, groups
        cdef int axis
        for axis in range(3):
            self.shape.in_[axis] = in_[axis]
            self.shape.out[axis] = out[axis]
            self.shape.kernel[axis] = kernel[axis]
            self.shape.stride[axis] = stride[axis]
            self.shape.dilation[axis] = dilation[axis]
            self.shape.before[axis] = before[axis]

    cdef dtd_conv_shape of(self, size_t samples, size_t targets) noexcept:
        cdef dtd_conv_shape shape = self.shape
        shape.samples, shape.targets = samples, targets
        return shape

    cdef size_t image(self, bint result, size_t real_size) except? 0:
        """Numbers of one blocked image, of the inputs or of the result."""
        cdef size_t block = DTD_BLOCK_BYTES // real_size
        cdef size_t channels = self.shape.outputs if result else self.shape.inputs
        cdef size_t size = (channels + block - 1) // block * block
        cdef int axis
        for axis in range(3):
            size *= self.shape.out[axis] if result else self.shape.in_[axis]
        return size

    def packed_size(self, transposed: bool, real_size: int) -> int:
        """Numbers of the packed weights for one direction."""
        cdef size_t count = 0
        check(dtd_conv_packed_size(&self.shape, transposed, real_size, &count))
        return count


# ---- single precision ------------------------------------------------------------------------

def conv_pack_f32(
    ConvShape shape not None, bint transposed, const float[::1] w not None, float[::1] packed not None
):
    cdef size_t taps = shape.shape.kernel[0] * shape.shape.kernel[1] * shape.shape.kernel[2]
    shape1("w", w.shape[0], shape.shape.outputs * (shape.shape.inputs // shape.shape.groups) * taps)
    shape1("packed", packed.shape[0], shape.packed_size(transposed, sizeof(float)))
    cdef int status
    with nogil:
        status = dtd_conv_pack_f32(&shape.shape, transposed, in1_f32(w), out1_f32(packed))
    check(status)


cdef int conv_images_f32(
    ConvShape shape, bint transposed, size_t images, const float[::1] x, const float[::1] w,
    const float[::1] b, const float[::1] a,
) except -1:
    if x is not None:
        shape1("x", x.shape[0], images * shape.image(transposed, sizeof(float)))
    shape1("w", w.shape[0], shape.packed_size(transposed, sizeof(float)))
    if b is not None:
        shape1("b", b.shape[0], shape.shape.inputs if transposed else shape.shape.outputs)
    if a is not None:
        shape1("a", a.shape[0], images * shape.image(not transposed, sizeof(float)))
    return 0


def conv_forward_f32(
    ConvShape shape not None, bint transposed, size_t images, const float[::1] x not None,
    const float[::1] w not None, const float[::1] b, float ceiling, float[::1] a not None,
):
    cdef dtd_conv_shape sized = shape.of(images, 1)
    conv_images_f32(shape, transposed, images, x, w, b, a)
    cdef int status
    with nogil:
        status = dtd_conv_forward_f32(
            &sized, transposed, in1_f32(x), in1_f32(w), in1_f32(b), ceiling, out1_f32(a))
    check(status)


def conv_square_f32(
    ConvShape shape not None, bint transposed, size_t images, const float[::1] x not None,
    const float[::1] w not None, float[::1] a not None,
):
    cdef dtd_conv_shape sized = shape.of(images, 1)
    conv_images_f32(shape, transposed, images, x, w, None, a)
    cdef int status
    with nogil:
        status = dtd_conv_square_f32(&sized, transposed, in1_f32(x), in1_f32(w), out1_f32(a))
    check(status)


def conv_forward_z_f32(
    ConvShape shape not None, bint transposed, size_t images, const float[::1] x not None,
    const float[::1] w not None, const float[::1] b, float ceiling, tuple coefficients not None,
    const float[::1] low, const float[::1] high, bint nonnegative, float[::1] a, float[::1] z not None,
):
    cdef dtd_conv_shape sized = shape.of(images, 1)
    cdef dtd_term_f32 term
    conv_images_f32(shape, transposed, images, x, w, b, a)
    conv_images_f32(shape, transposed, images, x, w, b, z)
    term_f32(&term, coefficients, low, high, shape.image(transposed, sizeof(float)))
    cdef int status
    with nogil:
        status = dtd_conv_forward_z_f32(
            &sized, transposed, in1_f32(x), in1_f32(w), in1_f32(b), ceiling, &term, nonnegative,
            out1_f32(a), out1_f32(z))
    check(status)


def conv_redistribute_f32(
    ConvShape shape not None, bint transposed, size_t samples, size_t targets,
    const float[::1] x not None, const float[::1] w not None, tuple coefficients not None,
    const float[::1] low, const float[::1] high, bint nonnegative, const float[::1] s not None,
    bint accumulate, float[::1] r not None, const float[::1] next_z=None,
    const float[::1] next_bias=None, float next_epsilon=0, float next_limit=0,
    double[:, :, ::1] next_account=None,
):
    cdef dtd_conv_shape sized = shape.of(samples, targets)
    cdef dtd_term_f32 term
    conv_images_f32(shape, transposed, samples * targets, s, w, None, r)
    shape1("x", x.shape[0], samples * shape.image(not transposed, sizeof(float)))
    term_f32(&term, coefficients, low, high, shape.image(not transposed, sizeof(float)))
    cdef dtd_conv_next_f32 after
    if next_z is not None:
        if next_account is None:
            raise ValueError("next_account is missing")
        shape1("next_z", next_z.shape[0], samples * shape.image(not transposed, sizeof(float)))
        if next_bias is not None:
            shape1("next_bias", next_bias.shape[0], shape.image(not transposed, sizeof(float)))
        shape3(
            "next_account", next_account.shape[0], next_account.shape[1], next_account.shape[2],
            samples, targets, 4)
        after.z, after.bias = in1_f32(next_z), in1_f32(next_bias)
        after.epsilon, after.limit = next_epsilon, next_limit
        after.account = account_of(next_account)
    cdef const dtd_conv_next_f32 *next = &after if next_z is not None else NULL
    cdef int status
    with nogil:
        status = dtd_conv_redistribute_f32(
            &sized, transposed, in1_f32(x), in1_f32(w), &term, nonnegative, in1_f32(s), accumulate,
            next, out1_f32(r))
    check(status)


# ---- double precision ------------------------------------------------------------------------

def conv_pack_f64(
    ConvShape shape not None, bint transposed, const double[::1] w not None, double[::1] packed not None
):
    cdef size_t taps = shape.shape.kernel[0] * shape.shape.kernel[1] * shape.shape.kernel[2]
    shape1("w", w.shape[0], shape.shape.outputs * (shape.shape.inputs // shape.shape.groups) * taps)
    shape1("packed", packed.shape[0], shape.packed_size(transposed, sizeof(double)))
    cdef int status
    with nogil:
        status = dtd_conv_pack_f64(&shape.shape, transposed, in1_f64(w), out1_f64(packed))
    check(status)


cdef int conv_images_f64(
    ConvShape shape, bint transposed, size_t images, const double[::1] x, const double[::1] w,
    const double[::1] b, const double[::1] a,
) except -1:
    if x is not None:
        shape1("x", x.shape[0], images * shape.image(transposed, sizeof(double)))
    shape1("w", w.shape[0], shape.packed_size(transposed, sizeof(double)))
    if b is not None:
        shape1("b", b.shape[0], shape.shape.inputs if transposed else shape.shape.outputs)
    if a is not None:
        shape1("a", a.shape[0], images * shape.image(not transposed, sizeof(double)))
    return 0


def conv_forward_f64(
    ConvShape shape not None, bint transposed, size_t images, const double[::1] x not None,
    const double[::1] w not None, const double[::1] b, double ceiling, double[::1] a not None,
):
    cdef dtd_conv_shape sized = shape.of(images, 1)
    conv_images_f64(shape, transposed, images, x, w, b, a)
    cdef int status
    with nogil:
        status = dtd_conv_forward_f64(
            &sized, transposed, in1_f64(x), in1_f64(w), in1_f64(b), ceiling, out1_f64(a))
    check(status)


def conv_square_f64(
    ConvShape shape not None, bint transposed, size_t images, const double[::1] x not None,
    const double[::1] w not None, double[::1] a not None,
):
    cdef dtd_conv_shape sized = shape.of(images, 1)
    conv_images_f64(shape, transposed, images, x, w, None, a)
    cdef int status
    with nogil:
        status = dtd_conv_square_f64(&sized, transposed, in1_f64(x), in1_f64(w), out1_f64(a))
    check(status)


def conv_forward_z_f64(
    ConvShape shape not None, bint transposed, size_t images, const double[::1] x not None,
    const double[::1] w not None, const double[::1] b, double ceiling, tuple coefficients not None,
    const double[::1] low, const double[::1] high, bint nonnegative, double[::1] a, double[::1] z not None,
):
    cdef dtd_conv_shape sized = shape.of(images, 1)
    cdef dtd_term_f64 term
    conv_images_f64(shape, transposed, images, x, w, b, a)
    conv_images_f64(shape, transposed, images, x, w, b, z)
    term_f64(&term, coefficients, low, high, shape.image(transposed, sizeof(double)))
    cdef int status
    with nogil:
        status = dtd_conv_forward_z_f64(
            &sized, transposed, in1_f64(x), in1_f64(w), in1_f64(b), ceiling, &term, nonnegative,
            out1_f64(a), out1_f64(z))
    check(status)


def conv_redistribute_f64(
    ConvShape shape not None, bint transposed, size_t samples, size_t targets,
    const double[::1] x not None, const double[::1] w not None, tuple coefficients not None,
    const double[::1] low, const double[::1] high, bint nonnegative, const double[::1] s not None,
    bint accumulate, double[::1] r not None, const double[::1] next_z=None,
    const double[::1] next_bias=None, double next_epsilon=0, double next_limit=0,
    double[:, :, ::1] next_account=None,
):
    cdef dtd_conv_shape sized = shape.of(samples, targets)
    cdef dtd_term_f64 term
    conv_images_f64(shape, transposed, samples * targets, s, w, None, r)
    shape1("x", x.shape[0], samples * shape.image(not transposed, sizeof(double)))
    term_f64(&term, coefficients, low, high, shape.image(not transposed, sizeof(double)))
    cdef dtd_conv_next_f64 after
    if next_z is not None:
        if next_account is None:
            raise ValueError("next_account is missing")
        shape1("next_z", next_z.shape[0], samples * shape.image(not transposed, sizeof(double)))
        if next_bias is not None:
            shape1("next_bias", next_bias.shape[0], shape.image(not transposed, sizeof(double)))
        shape3(
            "next_account", next_account.shape[0], next_account.shape[1], next_account.shape[2],
            samples, targets, 4)
        after.z, after.bias = in1_f64(next_z), in1_f64(next_bias)
        after.epsilon, after.limit = next_epsilon, next_limit
        after.account = account_of(next_account)
    cdef const dtd_conv_next_f64 *next = &after if next_z is not None else NULL
    cdef int status
    with nogil:
        status = dtd_conv_redistribute_f64(
            &sized, transposed, in1_f64(x), in1_f64(w), &term, nonnegative, in1_f64(s), accumulate,
            next, out1_f64(r))
    check(status)
