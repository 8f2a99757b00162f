# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
# Dense layers, pools of neurons, quotients and training, double precision: _dense_f32.pxi with
# other names and types. Part of _core.pyx.

cdef inline const double *in1_f64(const double[::1] x) noexcept nogil:
    return &x[0] if x is not None and x.shape[0] else NULL


cdef inline const double *in2_f64(const double[:, ::1] x) noexcept nogil:
    return &x[0, 0] if x.shape[0] and x.shape[1] else NULL


cdef inline const double *in3_f64(const double[:, :, ::1] x) noexcept nogil:
    return &x[0, 0, 0] if x.shape[0] and x.shape[1] and x.shape[2] else NULL


cdef inline double *out2_f64(double[:, ::1] x) noexcept nogil:
    return &x[0, 0] if x is not None and x.shape[0] and x.shape[1] else NULL


cdef inline double *out3_f64(double[:, :, ::1] x) noexcept nogil:
    return &x[0, 0, 0] if x.shape[0] and x.shape[1] and x.shape[2] else NULL


cdef int term_f64(
    dtd_term_f64 *term, tuple coefficients, const double[::1] low, const double[::1] high,
    Py_ssize_t inputs
) except -1:
    if len(coefficients) != 4:
        raise ValueError("coefficients must be (p_positive, p_negative, n_positive, n_negative)")
    term.p_positive, term.p_negative, term.n_positive, term.n_negative = coefficients
    if low is not None:
        shape1("low", low.shape[0], inputs)
    if high is not None:
        shape1("high", high.shape[0], inputs)
    term.low = in1_f64(low)
    term.high = in1_f64(high)
    return 0


cdef inline double *out1_f64(double[::1] x) noexcept nogil:
    return &x[0] if x is not None and x.shape[0] else NULL


def dense_forward_f64(
    const double[:, ::1] x not None, const double[:, ::1] w not None, const double[::1] b,
    double[:, ::1] a not None
):
    cdef dtd_dense_shape shape = [x.shape[0], 1, x.shape[1], w.shape[0]]
    shape2("w", w.shape[0], w.shape[1], w.shape[0], x.shape[1])
    if b is not None:
        shape1("b", b.shape[0], w.shape[0])
    shape2("a", a.shape[0], a.shape[1], x.shape[0], w.shape[0])
    cdef int status
    with nogil:
        status = dtd_dense_forward_f64(shape, in2_f64(x), in2_f64(w), in1_f64(b), out2_f64(a))
    check(status)


def dense_forward_z_f64(
    const double[:, ::1] x not None, const double[:, ::1] w not None, const double[::1] b,
    tuple coefficients not None, const double[::1] low, const double[::1] high,
    double[:, ::1] a, double[:, ::1] z not None,
):
    cdef dtd_dense_shape shape = [x.shape[0], 1, x.shape[1], w.shape[0]]
    cdef dtd_term_f64 term
    shape2("w", w.shape[0], w.shape[1], w.shape[0], x.shape[1])
    if b is not None:
        shape1("b", b.shape[0], w.shape[0])
    term_f64(&term, coefficients, low, high, x.shape[1])
    if a is not None:
        shape2("a", a.shape[0], a.shape[1], x.shape[0], w.shape[0])
    shape2("z", z.shape[0], z.shape[1], x.shape[0], w.shape[0])
    cdef int status
    with nogil:
        status = dtd_dense_forward_z_f64(
            shape, in2_f64(x), in2_f64(w), in1_f64(b), &term, out2_f64(a), out2_f64(z))
    check(status)


def dense_square_sums_f64(const double[:, ::1] w not None, double[::1] z not None):
    cdef dtd_dense_shape shape = [0, 1, w.shape[1], w.shape[0]]
    shape1("z", z.shape[0], w.shape[0])
    cdef int status
    with nogil:
        status = dtd_dense_square_sums_f64(shape, in2_f64(w), out1_f64(z))
    check(status)


def dense_redistribute_f64(
    const double[:, ::1] x not None, const double[:, ::1] w not None, tuple coefficients not None,
    const double[::1] low, const double[::1] high, const double[:, :, ::1] s not None,
    bint accumulate,
    double[:, :, ::1] r not None,
):
    cdef dtd_dense_shape shape = [x.shape[0], s.shape[1], x.shape[1], w.shape[0]]
    cdef dtd_term_f64 term
    shape2("w", w.shape[0], w.shape[1], w.shape[0], x.shape[1])
    term_f64(&term, coefficients, low, high, x.shape[1])
    shape3("s", s.shape[0], s.shape[1], s.shape[2], x.shape[0], s.shape[1], w.shape[0])
    shape3("r", r.shape[0], r.shape[1], r.shape[2], x.shape[0], s.shape[1], x.shape[1])
    cdef int status
    with nogil:
        status = dtd_dense_redistribute_f64(
            shape, in2_f64(x), in2_f64(w), &term, in3_f64(s), accumulate, out3_f64(r))
    check(status)


def dense_redistribute_square_f64(
    const double[:, ::1] w not None, const double[:, ::1] s not None, double[:, ::1] r not None
):
    cdef dtd_dense_shape shape = [s.shape[0], 1, w.shape[1], w.shape[0]]
    shape2("s", s.shape[0], s.shape[1], s.shape[0], w.shape[0])
    shape2("r", r.shape[0], r.shape[1], s.shape[0], w.shape[1])
    cdef int status
    with nogil:
        status = dtd_dense_redistribute_square_f64(shape, in2_f64(w), in2_f64(s), out2_f64(r))
    check(status)


def dense_gradient_f64(
    const double[:, ::1] w not None, const double[:, ::1] g not None, double[:, ::1] gx not None
):
    cdef dtd_dense_shape shape = [g.shape[0], 1, w.shape[1], w.shape[0]]
    shape2("g", g.shape[0], g.shape[1], g.shape[0], w.shape[0])
    shape2("gx", gx.shape[0], gx.shape[1], g.shape[0], w.shape[1])
    cdef int status
    with nogil:
        status = dtd_dense_gradient_f64(shape, in2_f64(w), in2_f64(g), out2_f64(gx))
    check(status)


def dense_weight_gradient_f64(
    const double[:, ::1] x not None, const double[:, ::1] g not None, double[:, ::1] gw not None,
    double[::1] gb
):
    cdef dtd_dense_shape shape = [x.shape[0], 1, x.shape[1], g.shape[1]]
    shape2("g", g.shape[0], g.shape[1], x.shape[0], g.shape[1])
    shape2("gw", gw.shape[0], gw.shape[1], g.shape[1], x.shape[1])
    if gb is not None:
        shape1("gb", gb.shape[0], g.shape[1])
    cdef int status
    with nogil:
        status = dtd_dense_weight_gradient_f64(
            shape, in2_f64(x), in2_f64(g), 0, out2_f64(gw), out1_f64(gb))
    check(status)


def quotient_f64(
    const double[:, :, ::1] relevance not None, z not None, const double[::1] bias,
    double epsilon, double limit, double[:, :, ::1] s not None, double[:, :, ::1] account not None,
):
    cdef Py_ssize_t n = relevance.shape[0], k = relevance.shape[1], outputs = relevance.shape[2]
    cdef dtd_dense_shape shape = [n, k, 0, outputs]
    cdef int shared = z.ndim == 1
    cdef const double[::1] one = None
    cdef const double[:, ::1] many = None
    cdef const double *pz
    if shared:
        one = z
        shape1("z", one.shape[0], outputs)
        pz = in1_f64(one)
    else:
        many = z
        shape2("z", many.shape[0], many.shape[1], n, outputs)
        pz = in2_f64(many)
    if bias is not None:
        shape1("bias", bias.shape[0], outputs)
    shape3("s", s.shape[0], s.shape[1], s.shape[2], n, k, outputs)
    shape3("account", account.shape[0], account.shape[1], account.shape[2], n, k, 4)
    cdef int status
    with nogil:
        status = dtd_quotient_f64(
            shape, shared, in3_f64(relevance), pz, in1_f64(bias), <double>epsilon, <double>limit,
            out3_f64(s), account_of(account))
    check(status)


def row_sums_f64(const double[:, ::1] x not None, double[::1] sums not None):
    cdef Py_ssize_t rows = x.shape[0], columns = x.shape[1]
    shape1("sums", sums.shape[0], rows)
    cdef int status
    with nogil:
        status = dtd_row_sums_f64(rows, columns, in2_f64(x), doubles_of(sums))
    check(status)


def pool_forward_f64(
    const double[:, ::1] x not None, Py_ssize_t size, double p, double[:, ::1] y not None
):
    cdef Py_ssize_t groups = groups_of(x.shape[1], size)
    cdef dtd_pool_shape shape = [x.shape[0], 1, groups, size]
    shape2("y", y.shape[0], y.shape[1], x.shape[0], groups)
    cdef int status
    with nogil:
        status = dtd_pool_forward_f64(shape, p, in2_f64(x), out2_f64(y))
    check(status)


def pool_gradient_f64(
    const double[:, ::1] x not None, const double[:, ::1] y not None, Py_ssize_t size, double p,
    const double[:, :, ::1] g not None, double[:, :, ::1] gx not None,
):
    cdef Py_ssize_t groups = groups_of(x.shape[1], size)
    cdef dtd_pool_shape shape = [x.shape[0], g.shape[1], groups, size]
    shape2("y", y.shape[0], y.shape[1], x.shape[0], groups)
    shape3("g", g.shape[0], g.shape[1], g.shape[2], x.shape[0], g.shape[1], groups)
    shape3("gx", gx.shape[0], gx.shape[1], gx.shape[2], x.shape[0], g.shape[1], x.shape[1])
    cdef int status
    with nogil:
        status = dtd_pool_gradient_f64(shape, p, in2_f64(x), in2_f64(y), in3_f64(g), out3_f64(gx))
    check(status)


def pool_redistribute_f64(
    const double[:, ::1] x not None, Py_ssize_t size, bint winner, const double[:, :,
    ::1] relevance not None,
    double[:, :, ::1] r not None, double[:, :, ::1] account not None,
):
    cdef Py_ssize_t groups = groups_of(x.shape[1], size), n = x.shape[0], k = relevance.shape[1]
    cdef dtd_pool_shape shape = [n, k, groups, size]
    shape3("relevance", relevance.shape[0], k, relevance.shape[2], n, k, groups)
    shape3("r", r.shape[0], r.shape[1], r.shape[2], n, k, x.shape[1])
    shape3("account", account.shape[0], account.shape[1], account.shape[2], n, k, 4)
    cdef int status
    with nogil:
        status = dtd_pool_redistribute_f64(
            shape, winner, in2_f64(x), in3_f64(relevance), out3_f64(r), account_of(account))
    check(status)


def first_outside_f64(
    const double[:, ::1] x not None, const double[::1] low not None, const double[::1] high not None
) -> int:
    cdef Py_ssize_t samples = x.shape[0], inputs = x.shape[1]
    if low.shape[0] != 1:
        shape1("low", low.shape[0], inputs)
    if high.shape[0] != 1:
        shape1("high", high.shape[0], inputs)
    cdef size_t index = 0, low_count = low.shape[0], high_count = high.shape[0]
    cdef int status
    with nogil:
        status = dtd_first_outside_f64(
            samples, inputs, in2_f64(x), in1_f64(low), low_count, in1_f64(high), high_count, &index)
    check(status)
    return index


def train_f64(
    const double[:, ::1] x not None, const double[:, ::1] y not None, tuple pools not None, double p,
    tuple weights not None, tuple biases not None, tuple weight_velocities,
    tuple bias_velocities, const size_t[:, ::1] order not None, const double[::1] rates not None,
    double momentum, double[::1] loss not None,
) -> int:
    cdef dtd_train_shape shape = [
        x.shape[0], x.shape[1], len(pools), order.shape[0], order.shape[1]]
    cdef Py_ssize_t inputs = x.shape[1], k
    cdef dtd_train_unit_f64 units[MOST_UNITS]
    cdef double[:, ::1] w
    cdef double[::1] b
    if not 1 <= shape.units <= MOST_UNITS:
        raise ValueError(f"pools must have 1 to {MOST_UNITS} entries, not {shape.units}")
    for name, arrays in (
        ("weights", weights), ("biases", biases), ("weight_velocities", weight_velocities),
        ("bias_velocities", bias_velocities),
    ):
        if arrays is not None:
            shape1(name, len(arrays), shape.units)
    if (weight_velocities is None) != (bias_velocities is None):
        raise ValueError("give both velocities or none")
    for k in range(shape.units):
        w = weights[k]
        b = biases[k]
        shape2(f"weights[{k}]", w.shape[0], w.shape[1], w.shape[0], inputs)
        shape1(f"biases[{k}]", b.shape[0], w.shape[0])
        units[k] = [w.shape[0], pools[k], out2_f64(w), out1_f64(b), NULL, NULL]
        if weight_velocities is not None:
            w = weight_velocities[k]
            b = bias_velocities[k]
            shape2(f"weight_velocities[{k}]", w.shape[0], w.shape[1], units[k].neurons, inputs)
            shape1(f"bias_velocities[{k}]", b.shape[0], units[k].neurons)
            units[k].w_velocity = out2_f64(w)
            units[k].b_velocity = out1_f64(b)
        inputs = groups_of(units[k].neurons, units[k].pool)
    shape2("y", y.shape[0], y.shape[1], x.shape[0], inputs)
    shape1("rates", rates.shape[0], order.shape[0])
    shape1("loss", loss.shape[0], order.shape[0])
    cdef const size_t *rows = &order[0, 0] if order.shape[0] and order.shape[1] else NULL
    cdef const double *steps = &rates[0] if rates.shape[0] else NULL
    cdef size_t done = 0
    cdef int status
    with nogil:
        status = dtd_train_f64(
            shape, p, units, in2_f64(x), in2_f64(y), rows, steps, momentum, doubles_of(loss), &done)
    check(status)
    return done
