/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, LARGEST) of test_pool.c. */

enum { NAME(POOL_TERMS) = 24 }; /* roundings allowed for: powers and roots, not only sums */

static double NAME(magnitude)(const REAL *x, size_t j) { return fabs((double)x[j]); }

static size_t NAME(winner)(size_t size, const REAL *x) {
    size_t winner = 0;
    for (size_t j = 0; j < size; j++) {
        winner = NAME(magnitude)(x, j) > NAME(magnitude)(x, winner) ? j : winner;
    }
    return winner;
}

static double NAME(slow_norm)(size_t size, const REAL *x, double p) {
    double sum = 0;
    if (isinf(p)) {
        return size ? NAME(magnitude)(x, NAME(winner)(size, x)) : 0;
    }
    for (size_t j = 0; j < size; j++) {
        sum += pow(NAME(magnitude)(x, j), p);
    }
    return pow(sum, 1 / p);
}

/* What neuron j gets of what arrives at its group, by the gradient. */
static double NAME(slow_share)(size_t size, const REAL *x, size_t j, double p, double y) {
    const double sign = x[j] > 0 ? 1 : x[j] < 0 ? -1 : 0;
    if (isinf(p)) {
        return j == NAME(winner)(size, x) ? sign : 0;
    }
    return y == 0 || sign == 0 ? 0 : sign * pow(NAME(magnitude)(x, j) / y, p - 1);
}

/* The same by redistribution. */
static double NAME(slow_part)(size_t size, const REAL *x, size_t j, int winner) {
    const double sum = NAME(slow_norm)(size, x, 1);
    if (sum == 0) {
        return 0;
    }
    return winner ? j == NAME(winner)(size, x) : NAME(magnitude)(x, j) / sum;
}

/* One shape and p = powers[power]; redistribution to the winner for odd power. */
static void NAME(check_pool)(dtd_pool_shape shape, size_t power) {
    const double p = powers[power];
    const int winner = power % 2 == 1;
    const size_t size = shape.size, neurons = shape.groups * size;
    const size_t rows = shape.samples * shape.targets, outputs = shape.samples * shape.groups;
    const size_t entries = rows * DTD_ACCOUNT_ENTRIES;
    REAL *const x = NAME(new_values)(shape.samples * neurons, -1, 1);
    REAL *const g = NAME(new_values)(rows * shape.groups, -1, 1);
    if (size > 0 && outputs > 0) { /* a group of zeros */
        memset(x, 0, size * sizeof(REAL));
    }
    REAL *const y = NAME(new_room)(outputs);
    REAL *const gx = NAME(new_room)(rows * neurons), *const r = NAME(new_room)(rows * neurons);
    double *const account = new_doubles(entries, 1);
    CHECK_AT("%zu x %zu, %zu groups of %zu, p %g", shape.samples, shape.targets, shape.groups, size,
             p);
    CHECK(dtd_set_num_threads(1) == DTD_OK);
    CHECK(NAME(dtd_pool_forward)(shape, p, x, y) == DTD_OK);
    CHECK(NAME(dtd_pool_gradient)(shape, p, x, y, g, gx) == DTD_OK);
    CHECK(NAME(dtd_pool_redistribute)(shape, winner, x, g, r, account) == DTD_OK);

    for (size_t group = 0; group < outputs; group++) {
        const double want = NAME(slow_norm)(size, x + group * size, p);
        CHECK(NAME(close)(1, y + group, &want, &want, NAME(POOL_TERMS)));
    }
    for (size_t row = 0; row < rows; row++) {
        double received = 1, lost = 1;
        for (size_t group = 0; group < shape.groups; group++) {
            const size_t owner = row / shape.targets * shape.groups + group;
            const REAL *const part = x + owner * size;
            const double arrived = (double)g[row * shape.groups + group];
            received += arrived;
            lost += NAME(slow_norm)(size, part, 1) == 0 ? arrived : 0;
            for (size_t j = 0; j < size; j++) {
                const size_t place = (row * shape.groups + group) * size + j;
                double want = arrived * NAME(slow_share)(size, part, j, p, (double)y[owner]);
                double bound = fabs(want);
                CHECK(NAME(close)(1, gx + place, &want, &bound, NAME(POOL_TERMS)));
                want = arrived * NAME(slow_part)(size, part, j, winner);
                bound = fabs(want);
                CHECK(NAME(close)(1, r + place, &want, &bound, NAME(POOL_TERMS)));
            }
        }
        const double *const booked = account + row * DTD_ACCOUNT_ENTRIES;
        CHECK(fabs(booked[DTD_ACCOUNT_RECEIVED] - received) <= 1e-12);
        CHECK(fabs(booked[DTD_ACCOUNT_LOST] - lost) <= 1e-12);
        CHECK(booked[DTD_ACCOUNT_BIAS] == 1 && booked[DTD_ACCOUNT_STABILISER] == 1);
    }

    for (int threads = 2; threads <= MOST_THREADS; threads++) {
        REAL *const y2 = NAME(new_room)(outputs), *const gx2 = NAME(new_room)(rows * neurons);
        REAL *const r2 = NAME(new_room)(rows * neurons);
        double *const account2 = new_doubles(entries, 1);
        CHECK(dtd_set_num_threads(threads) == DTD_OK);
        CHECK(NAME(dtd_pool_forward)(shape, p, x, y2) == DTD_OK);
        CHECK(NAME(dtd_pool_gradient)(shape, p, x, y2, g, gx2) == DTD_OK);
        CHECK(NAME(dtd_pool_redistribute)(shape, winner, x, g, r2, account2) == DTD_OK);
        CHECK(NAME(same)(outputs, y, y2));
        CHECK(NAME(same)(rows * neurons, gx, gx2));
        CHECK(NAME(same)(rows * neurons, r, r2));
        CHECK(same_bytes(entries * sizeof(double), account, account2));
        free(y2);
        free(gx2);
        free(r2);
        free(account2);
    }
    free(x);
    free(g);
    free(y);
    free(gx);
    free(r);
    free(account);
}

static void NAME(test_ragged)(size_t vector_bytes) {
    const size_t lanes = vector_bytes / sizeof(REAL);
    const size_t sizes[] = {0, 1, 2, lanes - 1, lanes + 1, 2 * lanes + 3};
    for (size_t power = 0; power < POWERS; power++) {
        for (size_t k = 0; k < 6; k++) {
            NAME(check_pool)((dtd_pool_shape){k, 1 + k % 2, 5, sizes[k]}, power);
            NAME(check_pool)((dtd_pool_shape){2, 3, sizes[5 - k], sizes[k]}, power);
        }
    }
    NAME(check_pool)((dtd_pool_shape){2, 0, 3, 2}, 1);
    NAME(check_pool)((dtd_pool_shape){7, 2, 2003, 11}, 1);
}

/* Numbers whose powers overflow or vanish, ties, and negative zeros. */
static void NAME(test_borders)(void) {
    const dtd_pool_shape shape = {1, 1, 3, 2};
    const REAL large = LARGEST / 8, tiny = 1 / large;
    const REAL x[6] = {3 * large, -4 * large, 3 * tiny, 4 * tiny, -0.0f, 0};
    const double wanted[3] = {5 * (double)large, 5 * (double)tiny, 0};
    REAL y[3], r[6];
    CHECK_AT("borders");
    CHECK(NAME(dtd_pool_forward)(shape, 2, x, y) == DTD_OK);
    CHECK(NAME(close)(3, y, wanted, wanted, 8));
    CHECK(NAME(dtd_pool_forward)(shape, INFINITY, x, y) == DTD_OK);
    CHECK(y[0] == 4 * large && y[1] == 4 * tiny && y[2] == 0);

    const REAL ties[6] = {-2, 2, 1, -1, 0, 0}, g[3] = {3, 5, 7};
    double account[DTD_ACCOUNT_ENTRIES] = {0};
    CHECK(NAME(dtd_pool_redistribute)(shape, 1, ties, g, r, account) == DTD_OK);
    CHECK(r[0] == 3 && r[1] == 0 && r[2] == 5 && r[3] == 0 && r[4] == 0 && r[5] == 0);
    CHECK(account[DTD_ACCOUNT_RECEIVED] == 15 && account[DTD_ACCOUNT_LOST] == 7);
    CHECK(NAME(dtd_pool_redistribute)(shape, 0, x, g, r, account) == DTD_OK);
    const double parts[6] = {9 / 7.0, 12 / 7.0, 15 / 7.0, 20 / 7.0, 0, 0};
    CHECK(NAME(close)(6, r, parts, parts, 8));
    CHECK(NAME(dtd_pool_forward)(shape, INFINITY, ties, y) == DTD_OK);
    CHECK(NAME(dtd_pool_gradient)(shape, INFINITY, ties, y, g, r) == DTD_OK);
    CHECK(r[0] == -3 && r[1] == 0 && r[2] == 5 && r[3] == 0 && r[4] == 0 && r[5] == 0);
}

static void NAME(test_arguments)(void) {
    const dtd_pool_shape shape = {1, 1, 1, 2}, none = {0, 0, 0, 0};
    const dtd_pool_shape overflows[] = {
        {HUGE_SIZE, 1, 3, 1}, {1, 1, HUGE_SIZE, 3}, {1, 1, 3, HUGE_SIZE}, {3, 1, HUGE_SIZE, 0}};
    const double bad[] = {NAN, 0.5, 0, -2, -INFINITY};
    const REAL x[2] = {1, 2}, y[1] = {2}, g[1] = {3};
    REAL r[2] = {5, 5}, out[1] = {5};
    double account[DTD_ACCOUNT_ENTRIES] = {0};
    CHECK_AT("arguments");
    for (size_t k = 0; k < sizeof overflows / sizeof overflows[0]; k++) {
        const dtd_pool_shape large = overflows[k];
        CHECK(NAME(dtd_pool_forward)(large, 2, x, r) == DTD_ERROR_SIZE);
        CHECK(NAME(dtd_pool_gradient)(large, 2, x, y, g, r) == DTD_ERROR_SIZE);
        CHECK(NAME(dtd_pool_redistribute)(large, 0, x, g, r, account) == DTD_ERROR_SIZE);
    }
    const dtd_pool_shape targets = {HUGE_SIZE, 3, 1, 1};
    CHECK(NAME(dtd_pool_gradient)(targets, 2, x, y, g, r) == DTD_ERROR_SIZE);
    CHECK(NAME(dtd_pool_redistribute)(targets, 0, x, g, r, account) == DTD_ERROR_SIZE);

    const int wrong = DTD_ERROR_ARGUMENT;
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        CHECK(NAME(dtd_pool_forward)(shape, bad[k], x, out) == wrong);
        CHECK(NAME(dtd_pool_gradient)(shape, bad[k], x, y, g, r) == wrong);
    }
    CHECK(NAME(dtd_pool_forward)(shape, 2, NULL, out) == wrong);
    CHECK(NAME(dtd_pool_forward)(shape, 2, x, NULL) == wrong);
    CHECK(NAME(dtd_pool_gradient)(shape, 2, NULL, y, g, r) == wrong);
    CHECK(NAME(dtd_pool_gradient)(shape, 2, x, NULL, g, r) == wrong);
    CHECK(NAME(dtd_pool_gradient)(shape, 2, x, y, NULL, r) == wrong);
    CHECK(NAME(dtd_pool_gradient)(shape, 2, x, y, g, NULL) == wrong);
    CHECK(NAME(dtd_pool_redistribute)(shape, 0, NULL, g, r, account) == wrong);
    CHECK(NAME(dtd_pool_redistribute)(shape, 0, x, NULL, r, account) == wrong);
    CHECK(NAME(dtd_pool_redistribute)(shape, 0, x, g, NULL, account) == wrong);
    CHECK(NAME(dtd_pool_redistribute)(shape, 0, x, g, r, NULL) == wrong);
    CHECK(r[0] == 5 && r[1] == 5 && out[0] == 5 && account[DTD_ACCOUNT_RECEIVED] == 0);

    CHECK(NAME(dtd_pool_forward)(none, 2, NULL, NULL) == DTD_OK);
    CHECK(NAME(dtd_pool_gradient)(none, 2, NULL, NULL, NULL, NULL) == DTD_OK);
    CHECK(NAME(dtd_pool_redistribute)(none, 0, NULL, NULL, NULL, NULL) == DTD_OK);
}
