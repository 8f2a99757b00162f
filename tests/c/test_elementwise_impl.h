/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, STEP, SMALLEST, LARGEST) of test_elementwise.c. */

/* s and the account as the formula has them; sizes: sums of absolute values. */
static void NAME(slow_quotient)(dtd_dense_shape shape, int shared_z, const REAL *relevance,
                                const REAL *z, const REAL *bias, double epsilon, double *s,
                                double *sizes, double *account, double *account_sizes) {
    for (size_t row = 0; row < shape.samples * shape.targets; row++) {
        double *const entries = account + row * DTD_ACCOUNT_ENTRIES;
        double *const bounds = account_sizes + row * DTD_ACCOUNT_ENTRIES;
        for (size_t j = 0; j < shape.outputs; j++) {
            const size_t place = row * shape.outputs + j;
            const size_t sample = shared_z ? 0 : row / shape.targets;
            const double r = (double)relevance[place];
            const double b = bias ? (double)bias[j] : 0;
            const double sum = (double)z[sample * shape.outputs + j] + b;
            const double added = sum < 0 ? -epsilon : epsilon, d = sum + added;
            /* z + b may cancel: the error of d is relative to its parts */
            const double condition = d == 0 ? 1 : (fabs(sum - b) + fabs(b) + epsilon) / fabs(d);
            s[place] = d == 0 ? 0 : r / d;
            sizes[place] = fabs(s[place]) * condition;
            entries[DTD_ACCOUNT_RECEIVED] += r;
            entries[DTD_ACCOUNT_BIAS] += b * s[place];
            entries[DTD_ACCOUNT_STABILISER] += added * s[place];
            entries[DTD_ACCOUNT_LOST] += d == 0 ? r : 0;
            bounds[DTD_ACCOUNT_RECEIVED] += fabs(r);
            bounds[DTD_ACCOUNT_BIAS] += fabs(b) * sizes[place];
            bounds[DTD_ACCOUNT_STABILISER] += epsilon * sizes[place];
            bounds[DTD_ACCOUNT_LOST] += d == 0 ? fabs(r) : 0;
        }
    }
}

static void NAME(check_quotient)(dtd_dense_shape shape, int shared_z, int biased, double epsilon) {
    const size_t rows = shape.samples * shape.targets, count = rows * shape.outputs;
    const size_t entries = rows * DTD_ACCOUNT_ENTRIES;
    REAL *const relevance = NAME(new_values)(count, -1, 1);
    REAL *const z = NAME(new_values)((shared_z ? 1 : shape.samples) * shape.outputs, -1, 1);
    REAL *const numbers = NAME(new_values)(shape.outputs, -1, 1);
    const REAL *const bias = biased ? numbers : NULL;
    double *const want = new_doubles(count, 0), *const sizes = new_doubles(count, 0);
    double *const account = new_doubles(entries, 1), *const bounds = new_doubles(entries, 1);
    CHECK_AT("%s %zu x %zu x %zu, shared %d, bias %d, epsilon %g", dtd_isa_name(), shape.samples,
             shape.targets, shape.outputs, shared_z, biased, epsilon);
    NAME(slow_quotient)(shape, shared_z, relevance, z, bias, epsilon, want, sizes, account, bounds);
    REAL *first = NULL;
    double *first_account = NULL;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        /* once with s in the place of the relevance */
        REAL *const s = threads == 2 ? NAME(new_copy)(count, relevance) : NAME(new_room)(count);
        double *const got = new_doubles(entries, 1);
        CHECK(dtd_set_num_threads(threads) == DTD_OK);
        CHECK(NAME(dtd_quotient)(shape, shared_z, threads == 2 ? s : relevance, z, bias,
                                 (REAL)epsilon, LARGEST, s, got) == DTD_OK);
        if (first == NULL) {
            CHECK(NAME(close)(count, s, want, sizes, 0));
            for (size_t k = 0; k < entries; k++) {
                CHECK(fabs(got[k] - account[k]) <= 8 * STEP * bounds[k]);
            }
            first = s;
            first_account = got;
        } else {
            CHECK(NAME(same)(count, s, first));
            CHECK(same_bytes(entries * sizeof(double), got, first_account));
            free(s);
            free(got);
        }
    }
    free(first);
    free(first_account);
    free(relevance);
    free(z);
    free(numbers);
    free(want);
    free(sizes);
    free(account);
    free(bounds);
}

static void NAME(test_quotients)(size_t vector_bytes) {
    const size_t lanes = vector_bytes / sizeof(REAL);
    const size_t sizes[] = {0, 1, lanes - 1, lanes, lanes + 1, 2 * lanes + 3, 211};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        for (int kind = 0; kind < 4; kind++) {
            const double epsilon = kind & 1 ? 0.25 : 0;
            NAME(check_quotient)((dtd_dense_shape){k % 4, 1 + k % 3, 0, sizes[k]}, kind > 1, 0,
                                 epsilon);
            NAME(check_quotient)((dtd_dense_shape){3, 2, 0, sizes[k]}, kind > 1, 1, epsilon);
        }
    }
    NAME(check_quotient)((dtd_dense_shape){67, 2, 0, 2003}, 0, 1, 0.25);
}

/* Zeros of either sign, quotients beyond the limit, below the normal numbers and infinite ones. */
static void NAME(test_borders_of_the_quotient)(void) {
    enum { COUNT = 10 };
    const dtd_dense_shape shape = {1, 1, 0, COUNT};
    const REAL huge = LARGEST, tiny = SMALLEST;
    const REAL relevance[COUNT] = {0, 1, 1, 1, tiny, huge, 8, 9, -0.0f, -9};
    const REAL z[COUNT] = {0, 0, -0.0f, (REAL)INFINITY, 4, 0.5f, 1, 1, -2, 1};
    const REAL wanted[COUNT] = {0, 0, 0, 0, 0, 0, 8, 0, 0, 0};
    const double lost = 3 + (double)tiny + (double)huge + 9 - 9;
    REAL s[COUNT];
    double account[DTD_ACCOUNT_ENTRIES] = {0};
    CHECK_AT("borders");
    CHECK(NAME(dtd_quotient)(shape, 0, relevance, z, NULL, 0, 8, s, account) == DTD_OK);
    for (size_t j = 0; j < COUNT; j++) {
        CHECK(s[j] == wanted[j]);
    }
    CHECK(fabs(account[DTD_ACCOUNT_LOST] - lost) <= 1e-15 * (double)huge);
    CHECK(fabs(account[DTD_ACCOUNT_RECEIVED] - lost - 8) <= 1e-15 * (double)huge);
    CHECK(account[DTD_ACCOUNT_BIAS] == 0);
    CHECK(account[DTD_ACCOUNT_STABILISER] == 0);

    /* sign(0) = +1, and an account is added to */
    const REAL one = 1, nothing = -0.0f;
    double entries[DTD_ACCOUNT_ENTRIES] = {1, 2, 3, 4};
    CHECK(NAME(dtd_quotient)((dtd_dense_shape){1, 1, 0, 1}, 1, &one, &nothing, NULL, 0.5f,
                             (REAL)INFINITY, s, entries) == DTD_OK);
    CHECK(s[0] == 2);
    CHECK(entries[DTD_ACCOUNT_RECEIVED] == 2);
    CHECK(entries[DTD_ACCOUNT_BIAS] == 2);
    CHECK(entries[DTD_ACCOUNT_STABILISER] == 4);
    CHECK(entries[DTD_ACCOUNT_LOST] == 4);
}

static void NAME(test_row_sums)(void) {
    const size_t sizes[] = {0, 1, 7, 8, 9, 19, 211, 4001};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const size_t rows = k == 7 ? 67 : k, columns = sizes[k];
        REAL *const x = NAME(new_values)(rows * columns, -1, 1);
        double *const sums = new_doubles(rows, 0);
        CHECK_AT("row sums %zu x %zu", rows, columns);
        for (int threads = 1; threads <= MOST_THREADS; threads++) {
            double *const got = new_doubles(rows, NAN);
            CHECK(dtd_set_num_threads(threads) == DTD_OK);
            CHECK(NAME(dtd_row_sums)(rows, columns, x, got) == DTD_OK);
            for (size_t row = 0; row < rows && threads == 1; row++) {
                double sum = 0, size = 0;
                for (size_t i = 0; i < columns; i++) {
                    sum += (double)x[row * columns + i];
                    size += fabs((double)x[row * columns + i]);
                }
                CHECK(fabs(got[row] - sum) <= (double)columns * DBL_EPSILON * size);
                sums[row] = got[row];
            }
            CHECK(same_bytes(rows * sizeof(double), got, sums));
            free(got);
        }
        free(x);
        free(sums);
    }
}

/* Puts strange elements at each end of a row and of a block, and finds the first. */
static void NAME(test_first_outside)(void) {
    const size_t sizes[] = {1, 3, 4, 5, 17, 255, 256, 257, 521};
    const REAL strange[] = {(REAL)NAN, (REAL)INFINITY, (REAL)-INFINITY, 2, -2};
    const REAL low[] = {-1}, high[] = {1}, lowest[] = {(REAL)-INFINITY},
               highest[] = {(REAL)INFINITY};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const size_t inputs = sizes[k], count = 3 * inputs;
        REAL *const x = NAME(new_values)(count, -1, 1);
        REAL *const lows = NAME(new_values)(inputs, -1, -1), *const highs = NAME(new_copy)(1, high);
        REAL *const many = NAME(new_values)(inputs, 1, 1);
        for (size_t i = 0; i < inputs; i++) {
            lows[i] = -1;
            many[i] = 1;
        }
        size_t found = 0;
        CHECK_AT("first outside, %zu inputs", inputs);
        CHECK(NAME(dtd_first_outside)(3, inputs, x, low, 1, highs, 1, &found) == DTD_OK);
        CHECK(found == count);
        for (size_t place = 0; place < count; place += 1 + place % 37) {
            const REAL before = x[place];
            const REAL odd = strange[place % 5];
            x[place] = odd;
            CHECK(NAME(dtd_first_outside)(3, inputs, x, low, 1, highs, 1, &found) == DTD_OK);
            CHECK(found == place);
            CHECK(NAME(dtd_first_outside)(3, inputs, x, lows, inputs, highs, 1, &found) == DTD_OK);
            CHECK(found == place);
            CHECK(NAME(dtd_first_outside)(3, inputs, x, low, 1, many, inputs, &found) == DTD_OK);
            CHECK(found == place);
            CHECK(NAME(dtd_first_outside)(3, inputs, x, lowest, 1, highest, 1, &found) == DTD_OK);
            CHECK(found == (isfinite(odd) ? count : place));
            x[place] = before;
        }
        if (inputs > 1) { /* a bound of one input alone */
            x[inputs + 1] = 0.5f;
            many[1] = 0.25f;
            x[1] = 0;
            CHECK(NAME(dtd_first_outside)(2, inputs, x, lows, inputs, many, inputs, &found) ==
                  DTD_OK);
            CHECK(found == inputs + 1);
        }
        free(x);
        free(lows);
        free(highs);
        free(many);
    }
}

static void NAME(test_arguments)(void) {
    const dtd_dense_shape shape = {1, 1, 0, 2};
    const dtd_dense_shape overflows[] = {
        {HUGE_SIZE, 3, 0, 1}, {HUGE_SIZE, 1, 0, 3}, {1, HUGE_SIZE, 0, 3}, {HUGE_SIZE / 4, 1, 0, 0}};
    const REAL r[2] = {1, 2}, z[2] = {1, 2}, not_a_number = (REAL)NAN;
    REAL s[2] = {5, 5};
    double account[DTD_ACCOUNT_ENTRIES] = {0};
    size_t index;
    CHECK_AT("arguments");
    for (size_t k = 0; k < sizeof overflows / sizeof overflows[0]; k++) {
        CHECK(NAME(dtd_quotient)(overflows[k], 0, r, z, NULL, 0, 1, s, account) == DTD_ERROR_SIZE);
    }
    CHECK(NAME(dtd_row_sums)(HUGE_SIZE, 3, r, account) == DTD_ERROR_SIZE);
    CHECK(NAME(dtd_row_sums)(HUGE_SIZE / 2, 0, r, account) == DTD_ERROR_SIZE);
    CHECK(NAME(dtd_first_outside)(HUGE_SIZE, 3, r, z, 1, z, 1, &index) == DTD_ERROR_SIZE);

    const int wrong = DTD_ERROR_ARGUMENT;
    CHECK(NAME(dtd_quotient)(shape, 0, NULL, z, NULL, 0, 1, s, account) == wrong);
    CHECK(NAME(dtd_quotient)(shape, 0, r, NULL, NULL, 0, 1, s, account) == wrong);
    CHECK(NAME(dtd_quotient)(shape, 0, r, z, NULL, 0, 1, NULL, account) == wrong);
    CHECK(NAME(dtd_quotient)(shape, 0, r, z, NULL, 0, 1, s, NULL) == wrong);
    CHECK(NAME(dtd_quotient)(shape, 0, r, z, NULL, -1, 1, s, account) == wrong);
    CHECK(NAME(dtd_quotient)(shape, 0, r, z, NULL, not_a_number, 1, s, account) == wrong);
    CHECK(NAME(dtd_quotient)(shape, 0, r, z, NULL, 0, 0, s, account) == wrong);
    CHECK(NAME(dtd_quotient)(shape, 0, r, z, NULL, 0, not_a_number, s, account) == wrong);
    CHECK(s[0] == 5 && s[1] == 5 && account[DTD_ACCOUNT_RECEIVED] == 0);
    CHECK(NAME(dtd_row_sums)(1, 2, NULL, account) == wrong);
    CHECK(NAME(dtd_row_sums)(1, 2, r, NULL) == wrong);
    CHECK(NAME(dtd_first_outside)(1, 2, r, z, 1, z, 1, NULL) == wrong);
    CHECK(NAME(dtd_first_outside)(1, 2, NULL, z, 1, z, 1, &index) == wrong);
    CHECK(NAME(dtd_first_outside)(1, 2, r, NULL, 1, z, 1, &index) == wrong);
    CHECK(NAME(dtd_first_outside)(1, 2, r, z, 1, NULL, 1, &index) == wrong);
    CHECK(NAME(dtd_first_outside)(1, 2, r, z, 3, z, 1, &index) == wrong);
    CHECK(NAME(dtd_first_outside)(1, 2, r, z, 1, z, 0, &index) == wrong);

    const dtd_dense_shape none = {0, 0, 0, 0};
    CHECK(NAME(dtd_quotient)(none, 0, NULL, NULL, NULL, 0, 1, NULL, NULL) == DTD_OK);
    CHECK(NAME(dtd_row_sums)(0, 0, NULL, NULL) == DTD_OK);
    CHECK(NAME(dtd_first_outside)(0, 0, NULL, NULL, 1, NULL, 1, &index) == DTD_OK && index == 0);
}
