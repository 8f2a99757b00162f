/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of test_image.c. */

static size_t NAME(blocked_size)(size_t images, size_t channels, size_t pixels) {
    return images * dtd_ceil_div(channels, DTD_BLOCK) * DTD_BLOCK * pixels;
}

/* Place of a number in a blocked image. */
static size_t NAME(place)(size_t channels, size_t pixels, size_t image, size_t c, size_t pixel) {
    const size_t blocks = dtd_ceil_div(channels, DTD_BLOCK);
    return ((image * blocks + c / DTD_BLOCK) * pixels + pixel) * DTD_BLOCK + c % DTD_BLOCK;
}

/* A blocked image of numbers from least to most, unused lanes 0. */
static REAL *NAME(new_image)(size_t images, size_t channels, size_t pixels, double least,
                             double most) {
    const size_t all = dtd_ceil_div(channels, DTD_BLOCK) * DTD_BLOCK;
    REAL *const x = NAME(new_values)(NAME(blocked_size)(images, channels, pixels), least, most);
    for (size_t image = 0; image < images; image++) {
        for (size_t c = channels; c < all; c++) {
            for (size_t pixel = 0; pixel < pixels; pixel++) {
                x[NAME(place)(channels, pixels, image, c, pixel)] = 0;
            }
        }
    }
    return x;
}

static int NAME(lanes_are_zero)(size_t images, size_t channels, size_t pixels, const REAL *x) {
    const size_t all = dtd_ceil_div(channels, DTD_BLOCK) * DTD_BLOCK;
    for (size_t image = 0; image < images; image++) {
        for (size_t c = channels; c < all; c++) {
            for (size_t pixel = 0; pixel < pixels; pixel++) {
                if (x[NAME(place)(channels, pixels, image, c, pixel)] != 0) {
                    return 0;
                }
            }
        }
    }
    return 1;
}

static void NAME(test_reorders)(void) {
    const size_t sizes[][3] = {{1, 1, 1}, {2, 7, 5},     {1, 8, 16},   {3, 17, 33},
                               {0, 3, 4}, {2, 33, 1027}, {1, 3, 2100}, {2, 0, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t images = sizes[i][0], channels = sizes[i][1], pixels = sizes[i][2];
        const size_t count = images * channels * pixels;
        REAL *const plain = NAME(new_values)(count, -1, 1), *const back = NAME(new_room)(count);
        REAL *const blocked = NAME(new_room)(NAME(blocked_size)(images, channels, pixels));
        CHECK_AT("reorder %zu x %zu x %zu", images, channels, pixels);
        for (int threads = 1; threads <= MOST_THREADS; threads++) {
            CHECK(dtd_set_num_threads(threads) == DTD_OK);
            CHECK(NAME(dtd_image_block)(images, channels, pixels, plain, blocked) == DTD_OK);
            CHECK(NAME(dtd_image_unblock)(images, channels, pixels, blocked, back) == DTD_OK);
            CHECK(NAME(same)(count, plain, back));
            CHECK(NAME(lanes_are_zero)(images, channels, pixels, blocked));
        }
        for (size_t k = 0; k < count; k++) {
            const size_t pixel = k % pixels, c = k / pixels % channels;
            if (blocked[NAME(place)(channels, pixels, k / pixels / channels, c, pixel)] !=
                plain[k]) {
                CHECK(k == count);
                break;
            }
        }
        free(plain);
        free(back);
        free(blocked);
    }
}

/* Sum of |x|, the largest, and the pixels of one window of one channel. */
static size_t NAME(slow_window)(const dtd_window *w, const REAL *x, size_t image, size_t c,
                                size_t o, double *sum, double *largest) {
    const size_t place[3] = {o / w->out[2] / w->out[1], o / w->out[2] % w->out[1], o % w->out[2]};
    size_t count = 0, at[3];
    *sum = 0;
    *largest = -INFINITY;
    for (size_t t = 0; t < product(w->size); t++) {
        const size_t tap[3] = {t / w->size[2] / w->size[1], t / w->size[2] % w->size[1],
                               t % w->size[2]};
        if (pixel_of(w, 0, place[0], tap[0], at) && pixel_of(w, 1, place[1], tap[1], at + 1) &&
            pixel_of(w, 2, place[2], tap[2], at + 2)) {
            const size_t pixel = (at[0] * w->in[1] + at[1]) * w->in[2] + at[2];
            const double v = (double)x[NAME(place)(w->channels, product(w->in), image, c, pixel)];
            count++;
            *sum += v;
            *largest = fmax(*largest, v);
        }
    }
    *largest = count ? *largest : 0;
    return count;
}

/* Maxima, sums and averages against the definition. */
static void NAME(check_pools)(const dtd_window *w, const REAL *x, REAL *y) {
    const size_t out = product(w->out);
    for (int kind = 0; kind < DTD_POOL_KINDS; kind++) {
        CHECK(NAME(dtd_window_pool)(*w, (dtd_pool_kind)kind, 1, x, y) == DTD_OK);
        CHECK(NAME(lanes_are_zero)(w->samples, w->channels, out, y));
        for (size_t k = 0; k < w->samples * w->channels * out; k++) {
            const size_t image = k / out / w->channels, c = k / out % w->channels;
            double sum, largest;
            const size_t count = NAME(slow_window)(w, x, image, c, k % out, &sum, &largest);
            const double got = (double)y[NAME(place)(w->channels, out, image, c, k % out)];
            const double want = kind == DTD_POOL_MAX       ? largest
                                : kind == DTD_POOL_AVERAGE ? sum / (double)dtd_max(1, count)
                                                           : sum; /* all x >= 0: also the norm */
            if (kind == DTD_POOL_AVERAGE_PADDED) {
                CHECK(got >= 0 && got <= sum * (1 + 16 * (double)FLT_EPSILON));
            } else {
                CHECK(fabs(got - want) <= 64 * (double)FLT_EPSILON * (sum + 1));
            }
        }
    }
}

static double NAME(total)(size_t count, const REAL *x) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)x[i];
    }
    return sum;
}

/* Nothing is left unwritten, unused lanes are 0, each row's account closes, and gradients of sums are conserved. */
static void NAME(check_spread)(const dtd_window *w, const REAL *r, const REAL *relevance,
                               const double *account) {
    const size_t in = NAME(blocked_size)(1, w->channels, product(w->in));
    const size_t out = NAME(blocked_size)(1, w->channels, product(w->out));
    for (size_t row = 0; row < w->samples * w->targets; row++) {
        const double passed = NAME(total)(in, r + row * in);
        const double arrived = NAME(total)(out, relevance + row * out);
        const double *const books = account + row * DTD_ACCOUNT_ENTRIES;
        const double room = 64 * (double)FLT_EPSILON * (arrived + 1);
        CHECK(fabs(books[DTD_ACCOUNT_RECEIVED] - arrived) <= room);
        CHECK(fabs(books[DTD_ACCOUNT_RECEIVED] - books[DTD_ACCOUNT_STABILISER] -
                   books[DTD_ACCOUNT_LOST] - passed) <= room);
        CHECK(books[DTD_ACCOUNT_BIAS] == 0);
    }
    CHECK(NAME(lanes_are_zero)(w->samples * w->targets, w->channels, product(w->in), r));
}

static void NAME(test_windows)(const window_case *chosen) {
    const dtd_window w = window_of(chosen);
    const size_t rows = w.samples * w.targets, in = product(w.in), out = product(w.out);
    const size_t results = NAME(blocked_size)(rows, w.channels, in);
    const size_t entries = rows * DTD_ACCOUNT_ENTRIES;
    REAL *const x = NAME(new_image)(w.samples, w.channels, in, 0, 1);
    REAL *const low = NAME(new_image)(1, w.channels, in, -1, 0);
    REAL *const relevance = NAME(new_image)(rows, w.channels, out, 0, 1);
    REAL *const y = NAME(new_room)(NAME(blocked_size)(w.samples, w.channels, out));
    const NAME(dtd_factor) factors[] = {
        {1, 0, 0, NULL}, {1, -1, 0, NULL}, {0, 0, -1, NULL}, {1, 1, 0, low}};
    CHECK_AT("window case %td", chosen - cases);
    NAME(check_pools)(&w, x, y);
    for (size_t mode = 0; mode < 4 + 2 + DTD_POOL_KINDS; mode++) {
        REAL *first = NULL;
        for (int threads = 1; threads <= MOST_THREADS; threads++) {
            REAL *const r = NAME(new_room)(results);
            double *const account = new_doubles(entries, 0);
            CHECK(dtd_set_num_threads(threads) == DTD_OK);
            if (mode < 4) {
                const dtd_pool_kind kind = mode % 2 ? DTD_POOL_SUM : DTD_POOL_AVERAGE;
                CHECK(NAME(dtd_window_redistribute)(w, kind, factors + mode, mode % 2 ? 0 : 1, x,
                                                    relevance, 0, r, account) == DTD_OK);
                NAME(check_spread)(&w, r, relevance, account);
            } else if (mode < 6) {
                CHECK(NAME(dtd_window_winner)(w, mode == 5, x, relevance, r, account) == DTD_OK);
                NAME(check_spread)(&w, r, relevance, account);
            } else {
                CHECK(NAME(dtd_window_pool_gradient)(w, (dtd_pool_kind)(mode - 6), 2, x, relevance,
                                                     r) == DTD_OK);
                CHECK(NAME(lanes_are_zero)(rows, w.channels, in, r));
            }
            CHECK(!isnan(NAME(total)(results, r)));
            if (first == NULL) {
                first = r;
            } else {
                CHECK(NAME(same)(results, first, r));
                free(r);
            }
            free(account);
        }
        free(first);
    }
    free(x);
    free(low);
    free(relevance);
    free(y);
}

static void NAME(test_lrn)(void) {
    const size_t channels[] = {1, 7, 16, 35}, windows[] = {0, 1, 2, 40};
    for (size_t k = 0; k < 16; k++) {
        const dtd_lrn lrn = {
            2, 2, channels[k / 4], 300, windows[k % 4], windows[3 - k % 4], 0.5, k % 3 ? 0.75 : 1,
            2};
        const size_t count = NAME(blocked_size)(2, lrn.channels, lrn.pixels);
        REAL *const x = NAME(new_image)(2, lrn.channels, lrn.pixels, -1, 1);
        REAL *const g = NAME(new_image)(4, lrn.channels, lrn.pixels, -1, 1);
        REAL *const y = NAME(new_room)(count), *const gx = NAME(new_room)(2 * count);
        CHECK_AT("lrn case %zu", k);
        for (int threads = 1; threads <= MOST_THREADS; threads++) {
            CHECK(dtd_set_num_threads(threads) == DTD_OK);
            CHECK(NAME(dtd_lrn_forward)(&lrn, x, y) == DTD_OK);
            CHECK(NAME(dtd_lrn_gradient)(&lrn, x, g, gx) == DTD_OK);
        }
        CHECK(NAME(lanes_are_zero)(2, lrn.channels, lrn.pixels, y));
        CHECK(NAME(lanes_are_zero)(4, lrn.channels, lrn.pixels, gx));
        CHECK(!isnan(NAME(total)(2 * count, gx)));
        for (size_t c = 0; c < lrn.channels; c++) {
            double sum = 0;
            for (size_t other = 0; other < lrn.channels; other++) {
                if (other + lrn.before >= c && other <= c + lrn.after) {
                    sum += pow((double)x[NAME(place)(lrn.channels, lrn.pixels, 1, other, 299)], 2);
                }
            }
            const size_t at = NAME(place)(lrn.channels, lrn.pixels, 1, c, 299);
            const double want = (double)x[at] / pow(2 + 0.5 * sum, lrn.beta);
            CHECK(fabs((double)y[at] - want) <= 16 * (double)FLT_EPSILON * fabs(want));
        }
        free(x);
        free(g);
        free(y);
        free(gx);
    }
}

static void NAME(test_errors)(void) {
    REAL x[64] = {0}, y[64];
    double account[DTD_ACCOUNT_ENTRIES] = {0};
    const NAME(dtd_factor) factor = {1, 0, 0, NULL};
    dtd_lrn lrn = {1, 1, 3, 2, 1, 1, 1, 0.75, 1};
    dtd_window w = window_of(cases);
    CHECK_AT("errors");
    CHECK(NAME(dtd_image_block)(1, 1, 1, NULL, y) == DTD_ERROR_ARGUMENT);
    CHECK(NAME(dtd_image_unblock)(1, 1, 1, x, NULL) == DTD_ERROR_ARGUMENT);
    CHECK(NAME(dtd_image_block)(HUGE_SIZE, 3, 1, x, y) == DTD_ERROR_SIZE);
    CHECK(NAME(dtd_image_block)(1, SIZE_MAX, 1, x, y) == DTD_ERROR_SIZE);
    CHECK(NAME(dtd_window_pool)(w, DTD_POOL_MAX, 1, NULL, y) == DTD_ERROR_ARGUMENT);
    CHECK(NAME(dtd_window_pool)(w, DTD_POOL_KINDS, 1, x, y) == DTD_ERROR_ARGUMENT);
    CHECK(NAME(dtd_window_pool)(w, DTD_POOL_NORM, 0.5, x, y) == DTD_ERROR_ARGUMENT);
    CHECK(NAME(dtd_window_winner)(w, 0, x, x, y, NULL) == DTD_ERROR_ARGUMENT);
    CHECK(NAME(dtd_window_winner)(w, 0, NULL, x, y, account) == DTD_ERROR_ARGUMENT);
    CHECK(NAME(dtd_window_redistribute)(w, DTD_POOL_MAX, &factor, 0, x, x, 0, y, account) ==
          DTD_ERROR_ARGUMENT);
    CHECK(NAME(dtd_window_redistribute)(w, DTD_POOL_SUM, NULL, 0, x, x, 0, y, account) ==
          DTD_ERROR_ARGUMENT);
    CHECK(NAME(dtd_window_redistribute)(w, DTD_POOL_SUM, &factor, -1, x, x, 0, y, account) ==
          DTD_ERROR_ARGUMENT);
    dtd_test_fail_allocation(1);
    CHECK(NAME(dtd_window_winner)(w, 0, x, x, y, account) == DTD_ERROR_MEMORY);
    dtd_test_fail_allocation(1);
    CHECK(NAME(dtd_lrn_forward)(&lrn, x, y) == DTD_ERROR_MEMORY);
    w.stride[1] = 0;
    CHECK(NAME(dtd_window_pool)(w, DTD_POOL_MAX, 1, x, y) == DTD_ERROR_ARGUMENT);
    w = window_of(cases);
    w.in[0] = HUGE_SIZE;
    CHECK(NAME(dtd_window_pool)(w, DTD_POOL_MAX, 1, x, y) == DTD_ERROR_SIZE);
    CHECK(NAME(dtd_lrn_forward)(NULL, x, y) == DTD_ERROR_ARGUMENT);
    CHECK(NAME(dtd_lrn_gradient)(&lrn, x, NULL, y) == DTD_ERROR_ARGUMENT);
    lrn.k = 0;
    CHECK(NAME(dtd_lrn_forward)(&lrn, x, y) == DTD_ERROR_ARGUMENT);
}
