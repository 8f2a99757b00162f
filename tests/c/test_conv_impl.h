/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of test_conv.c. */

enum { NAME(TERMS) = 5, NAME(LANES) = DTD_BLOCK_BYTES / sizeof(REAL) };

/* Everything of one shape and direction: x is what is summed, owner and r are images of the results. */
typedef struct {
    dtd_conv_shape shape;
    int transposed;
    size_t x_image, a_image, images, w_count, packed_count;
    REAL *x, *s, *owner, *w, *packed, *b, *low, *high, *low_owner, *high_owner;
} NAME(fixture);

/* Numbers of images, of which the lanes beyond the last channel are 0. */
static REAL *NAME(new_images)(const dtd_conv_shape *shape, int results, size_t images, double least,
                              double most) {
    const size_t size = image_size(shape, results, NAME(LANES)),
                 pixels = pixels_of(results ? shape->out : shape->in);
    const size_t channels = results ? shape->outputs : shape->inputs;
    REAL *const x = NAME(new_values)(size * images, least, most);
    for (size_t k = 0; k < size * images; k++) {
        const size_t channel = k % size / (pixels * NAME(LANES))*NAME(LANES) + k % NAME(LANES);
        x[k] = channel < channels ? x[k] : 0;
    }
    return x;
}

static NAME(fixture) NAME(new_fixture)(const dtd_conv_shape *shape, int transposed) {
    NAME(fixture) f = {.shape = *shape, .transposed = transposed};
    f.x_image = image_size(shape, transposed, NAME(LANES));
    f.a_image = image_size(shape, !transposed, NAME(LANES));
    f.images = shape->samples * shape->targets;
    f.w_count = shape->outputs * (shape->inputs / shape->groups) * pixels_of(shape->kernel);
    f.x = NAME(new_images)(shape, transposed, f.images, -1, 2);
    f.s = NAME(new_images)(shape, transposed, f.images, -1, 1);
    f.owner = NAME(new_images)(shape, !transposed, shape->samples, -1, 2);
    f.low = NAME(new_images)(shape, transposed, 1, -3, -1);
    f.high = NAME(new_images)(shape, transposed, 1, 2, 3);
    f.low_owner = NAME(new_images)(shape, !transposed, 1, -3, -1);
    f.high_owner = NAME(new_images)(shape, !transposed, 1, 2, 3);
    f.w = NAME(new_values)(f.w_count, -1, 1);
    f.b = NAME(new_values)(transposed ? shape->inputs : shape->outputs, -1, 1);
    CHECK(dtd_conv_packed_size(shape, transposed, sizeof(REAL), &f.packed_count) == DTD_OK);
    f.packed = NAME(new_room)(f.packed_count);
    CHECK(NAME(dtd_conv_pack)(shape, transposed, f.w, f.packed) == DTD_OK);
    return f;
}

static void NAME(free_fixture)(NAME(fixture) *f) {
    REAL *const all[] = {f->x, f->s,   f->owner, f->w,         f->packed,
                         f->b, f->low, f->high,  f->low_owner, f->high_owner};
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        free(all[k]);
    }
}

/* Z, z+, zB, a term of four numbers, and one of x's positive part alone. */
static NAME(dtd_term) NAME(term_of)(size_t number, const REAL *low, const REAL *high) {
    const REAL numbers[NAME(TERMS)][4] = {
        {1, 1, 1, 1}, {1, 0, 0, 1}, {1, 1, 1, 1}, {1.25f, 0.5f, 1.25f, -0.75f}, {1, 0, 0, 0}};
    const REAL *const c = numbers[number];
    return (NAME(dtd_term)){
        c[0], c[1], c[2], c[3], number == 2 ? low : NULL, number == 2 ? high : NULL};
}

/* p (or n) of images by the term. */
static double *NAME(factor)(const NAME(dtd_term) *term, int negative, size_t size, size_t images,
                            const REAL *x) {
    double *const result = new_doubles(size * images, 0);
    const REAL *const bound = negative ? term->high : term->low;
    for (size_t k = 0; k < size * images; k++) {
        const double up = negative ? (double)term->n_positive : (double)term->p_positive,
                     down = negative ? (double)term->n_negative : (double)term->p_negative;
        result[k] = (x[k] > 0 ? up : down) * (double)x[k] - (bound ? (double)bound[k % size] : 0);
    }
    return result;
}

typedef struct {
    const double *x;
    const REAL *w;
    part which;
    int transposed;
    double *sum, *size;
} NAME(naive);

static void NAME(add_product)(void *context, size_t in, size_t out, size_t weight) {
    const NAME(naive) *const n = context;
    const double product = n->x[n->transposed ? out : in] * of_part(n->which, (double)n->w[weight]);
    n->sum[n->transposed ? in : out] += product;
    n->size[n->transposed ? in : out] += fabs(product);
}

/* sum += the sums of x times a part of the weights, size += those of the absolute values. */
static void NAME(add_sums)(const NAME(fixture) *f, const double *x, part which, double *sum,
                           double *size) {
    for (size_t image = 0; image < f->images; image++) {
        NAME(naive) n = {
            x + image * f->x_image,   f->w, which, f->transposed, sum + image * f->a_image,
            size + image * f->a_image};
        each_product(&f->shape, NAME(LANES), NAME(add_product), &n);
    }
}

static double *NAME(to_doubles)(size_t count, const REAL *x) {
    double *const result = new_doubles(count, 0);
    for (size_t k = 0; k < count; k++) {
        result[k] = (double)x[k];
    }
    return result;
}

/* Products in a sum at most, and a few more roundings. */
static size_t NAME(roundings)(const NAME(fixture) *f) {
    return 4 + pixels_of(f->shape.kernel) * (f->transposed ? f->shape.outputs : f->shape.inputs) /
                   f->shape.groups;
}

static void NAME(check_forward)(const NAME(fixture) *f) {
    const size_t count = f->a_image * f->images,
                 channels = f->transposed ? f->shape.inputs : f->shape.outputs;
    const size_t pixels = pixels_of(f->transposed ? f->shape.in : f->shape.out);
    double *const x = NAME(to_doubles)(f->x_image * f->images, f->x);
    double *const sum = new_doubles(count, 0), *const size = new_doubles(count, 0);
    REAL *const a = NAME(new_room)(count), *const again = NAME(new_room)(count);
    NAME(add_sums)(f, x, PART_SQUARE, sum, size);
    CHECK(NAME(dtd_conv_square)(&f->shape, f->transposed, f->x, f->packed, a) == DTD_OK);
    CHECK(NAME(close)(count, a, sum, size, NAME(roundings)(f)));
    for (size_t k = 0; k < count; k++) {
        const size_t channel =
            k % f->a_image / (pixels * NAME(LANES))*NAME(LANES) + k % NAME(LANES);
        sum[k] = channel < channels ? (double)f->b[channel] : 0;
        size[k] = fabs(sum[k]);
    }
    NAME(add_sums)(f, x, PART_ALL, sum, size);
    CHECK(NAME(dtd_conv_forward)(&f->shape, f->transposed, f->x, f->packed, f->b, -1, a) == DTD_OK);
    CHECK(NAME(close)(count, a, sum, size, NAME(roundings)(f)));
    CHECK(NAME(dtd_conv_forward)(&f->shape, f->transposed, f->x, f->packed, f->b, (REAL)0.5,
                                 again) == DTD_OK);
    for (size_t k = 0; k < count; k++) {
        CHECK(again[k] == (a[k]<0 ? 0 : a[k]>(REAL) 0.5 ? (REAL)0.5 : a[k]));
    }
    for (size_t number = 0; number < NAME(TERMS); number++) {
        const NAME(dtd_term) term = NAME(term_of)(number, f->low, f->high);
        double *const p = NAME(factor)(&term, 0, f->x_image, f->images, f->x),
                      *const n = NAME(factor)(&term, 1, f->x_image, f->images, f->x);
        REAL *const z = NAME(new_room)(count), *const alone = NAME(new_room)(count);
        memset(sum, 0, count * sizeof(double));
        memset(size, 0, count * sizeof(double));
        NAME(add_sums)(f, p, PART_POSITIVE, sum, size);
        NAME(add_sums)(f, n, PART_NEGATIVE, sum, size);
        CHECK(NAME(dtd_conv_forward_z)(&f->shape, f->transposed, f->x, f->packed, f->b, -1, &term,
                                       0, again, z) == DTD_OK);
        CHECK(NAME(same)(count, a, again));
        CHECK(NAME(close)(count, z, sum, size, 2 * NAME(roundings)(f)));
        CHECK(NAME(dtd_conv_forward_z)(&f->shape, f->transposed, f->x, f->packed, NULL, -1, &term,
                                       0, NULL, alone) == DTD_OK);
        CHECK(NAME(same)(count, z, alone));
        free(p);
        free(n);
        free(z);
        free(alone);
    }
    free(x);
    free(sum);
    free(size);
    free(a);
    free(again);
}

static void NAME(check_redistribute)(const NAME(fixture) *f) {
    const size_t count = f->a_image * f->images, samples = f->shape.samples;
    double *const s = NAME(to_doubles)(f->x_image * f->images, f->s);
    double *c[2], *sizes[2];
    for (int k = 0; k < 2; k++) {
        c[k] = new_doubles(count, 0);
        sizes[k] = new_doubles(count, 0);
        NAME(add_sums)(f, s, k ? PART_NEGATIVE : PART_POSITIVE, c[k], sizes[k]);
    }
    for (size_t number = 0; number < NAME(TERMS); number++) {
        const NAME(dtd_term) term = NAME(term_of)(number, f->low_owner, f->high_owner);
        double *const p = NAME(factor)(&term, 0, f->a_image, samples, f->owner),
                      *const n = NAME(factor)(&term, 1, f->a_image, samples, f->owner);
        double *const wanted = new_doubles(count, 0), *const size = new_doubles(count, 0);
        REAL *const r = NAME(new_room)(count);
        CHECK(NAME(dtd_conv_redistribute)(&f->shape, f->transposed, f->owner, f->packed, &term, 0,
                                          f->s, 0, NULL, r) == DTD_OK);
        for (size_t k = 0; k < count; k++) {
            const size_t at = k / f->a_image / f->shape.targets * f->a_image + k % f->a_image;
            wanted[k] = p[at] * c[0][k] + n[at] * c[1][k];
            size[k] = fabs(p[at]) * sizes[0][k] + fabs(n[at]) * sizes[1][k];
        }
        CHECK(NAME(close)(count, r, wanted, size, 2 * NAME(roundings)(f)));
        CHECK(NAME(dtd_conv_redistribute)(&f->shape, f->transposed, f->owner, f->packed, &term, 0,
                                          f->s, 1, NULL, r) == DTD_OK);
        for (size_t k = 0; k < count; k++) {
            wanted[k] *= 2;
            size[k] *= 2;
        }
        CHECK(NAME(close)(count, r, wanted, size, 2 * NAME(roundings)(f)));
        free(p);
        free(n);
        free(wanted);
        free(size);
        free(r);
    }
    for (int k = 0; k < 2; k++) {
        free(c[k]);
        free(sizes[k]);
    }
    free(s);
}

static void NAME(test_shapes)(size_t vector_bytes) {
    for (size_t number = 0; number < SHAPES; number++) {
        for (int transposed = 0; transposed < 2; transposed++) {
            CHECK_AT("shape %zu, transposed %d, %zu bytes, vectors of %zu", number, transposed,
                     sizeof(REAL), vector_bytes);
            NAME(fixture) f = NAME(new_fixture)(shapes + number, transposed);
            NAME(check_forward)(&f);
            NAME(check_redistribute)(&f);
            NAME(free_fixture)(&f);
        }
    }
}

/* a, z and r of one call each, room for which is at out, one after the other. */
static int NAME(run)(const NAME(fixture) *f, size_t function, REAL *out) {
    const size_t count = f->a_image * f->images;
    const dtd_conv_shape *const shape = &f->shape;
    const NAME(dtd_term) box = NAME(term_of)(2, f->low, f->high),
                         plus = NAME(term_of)(1, NULL, NULL);
    switch (function) {
    case 0:
        return NAME(dtd_conv_forward)(shape, f->transposed, f->x, f->packed, f->b, (REAL)0.5, out);
    case 1:
        return NAME(dtd_conv_square)(shape, f->transposed, f->x, f->packed, out);
    case 2:
        return NAME(dtd_conv_forward_z)(shape, f->transposed, f->x, f->packed, f->b, -1, &box, 0,
                                        out, out + count);
    case 3:
        return NAME(dtd_conv_forward_z)(shape, f->transposed, f->x, f->packed, f->b, -1, &plus, 0,
                                        out, out + count);
    default:
        return NAME(dtd_conv_redistribute)(shape, f->transposed, f->owner, f->packed, &plus, 0,
                                           f->s, 0, NULL, out);
    }
}
enum { NAME(FUNCTIONS) = 5 };

static void NAME(test_threads)(size_t vector_bytes) {
    for (size_t number = 0; number < LARGE; number++) {
        for (int transposed = 0; transposed < 2; transposed++) {
            CHECK_AT("large shape %zu, transposed %d, %zu bytes, vectors of %zu", number,
                     transposed, sizeof(REAL), vector_bytes);
            NAME(fixture) f = NAME(new_fixture)(large + number, transposed);
            const size_t count = 2 * f.a_image * f.images;
            for (size_t function = 0; function < NAME(FUNCTIONS); function++) {
                REAL *const one = NAME(new_room)(count);
                dtd_set_num_threads(1);
                CHECK(NAME(run)(&f, function, one) == DTD_OK);
                for (int threads = 2; threads <= MOST_THREADS; threads++) {
                    REAL *const many = NAME(new_room)(count);
                    dtd_set_num_threads(threads);
                    CHECK(NAME(run)(&f, function, many) == DTD_OK);
                    CHECK(NAME(same)(count, one, many));
                    free(many);
                }
                free(one);
            }
            NAME(free_fixture)(&f);
        }
    }
    dtd_set_num_threads(0);
}

/* Whichever allocation fails: a code, and nothing written. */
static void NAME(test_memory)(void) {
    for (int transposed = 0; transposed < 2; transposed++) {
        NAME(fixture) f = NAME(new_fixture)(shapes, transposed);
        const size_t count = 2 * f.a_image * f.images;
        for (size_t function = 0; function < NAME(FUNCTIONS); function++) {
            REAL *const out = NAME(new_room)(count), *const before = NAME(new_copy)(count, out);
            long k = 1;
            for (;; k++) {
                CHECK_AT("function %zu, allocation %ld, transposed %d", function, k, transposed);
                dtd_test_fail_allocation(k);
                const int status = NAME(run)(&f, function, out);
                dtd_test_fail_allocation(0);
                if (status == DTD_OK) {
                    break;
                }
                CHECK(status == DTD_ERROR_MEMORY);
                CHECK(NAME(same)(count, out, before));
            }
            CHECK(k > 2 && !NAME(same)(count, out, before));
            free(out);
            free(before);
        }
        size_t numbers = 7;
        dtd_test_fail_allocation(1);
        CHECK(dtd_conv_packed_size(&f.shape, transposed, sizeof(REAL), &numbers) ==
              DTD_ERROR_MEMORY);
        dtd_test_fail_allocation(1);
        CHECK(NAME(dtd_conv_pack)(&f.shape, transposed, f.w, f.packed) == DTD_ERROR_MEMORY);
        dtd_test_fail_allocation(0);
        CHECK(numbers == 7);
        NAME(free_fixture)(&f);
    }
}

/* All functions on a shape that is wrong, with memory for the first of the shapes. */
static void NAME(expect)(const NAME(fixture) *f, const dtd_conv_shape *shape, int status,
                         REAL *out) {
    const NAME(dtd_term) term = NAME(term_of)(1, NULL, NULL);
    const int t = f->transposed;
    size_t count = 7;
    CHECK(dtd_conv_packed_size(shape, t, sizeof(REAL), &count) == status && count == 7);
    CHECK(NAME(dtd_conv_pack)(shape, t, f->w, f->packed) == status);
    CHECK(NAME(dtd_conv_forward)(shape, t, f->x, f->packed, f->b, -1, out) == status);
    CHECK(NAME(dtd_conv_square)(shape, t, f->x, f->packed, out) == status);
    CHECK(NAME(dtd_conv_forward_z)(shape, t, f->x, f->packed, f->b, -1, &term, 0, out, out) ==
          status);
    CHECK(NAME(dtd_conv_redistribute)(shape, t, f->owner, f->packed, &term, 0, f->s, 0, NULL,
                                      out) == status);
}

static void NAME(test_arguments)(void) {
    const int wrong = DTD_ERROR_ARGUMENT;
    const size_t far = (size_t)1 << 40;
    for (int t = 0; t < 2; t++) {
        NAME(fixture) f = NAME(new_fixture)(shapes, t);
        const size_t count = f.a_image * f.images;
        REAL *const out = NAME(new_room)(count), *const before = NAME(new_copy)(count, out);
        const NAME(dtd_term) term = NAME(term_of)(1, NULL, NULL);
        const dtd_conv_shape *const shape = &f.shape;
        dtd_conv_shape bad;
        CHECK_AT("arguments, transposed %d", t);
        NAME(expect)(&f, NULL, wrong, out);
#define EXPECT(field, value, status)                                                               \
    bad = f.shape;                                                                                 \
    bad.field = value;                                                                             \
    NAME(expect)(&f, &bad, status, out);
        EXPECT(groups, 0, wrong)
        EXPECT(groups, 2, wrong)
        EXPECT(groups, 5, wrong)
        for (size_t axis = 0; axis < 3; axis++) {
            EXPECT(kernel[axis], 0, wrong)
            EXPECT(stride[axis], 0, wrong)
            EXPECT(dilation[axis], 0, wrong)
            EXPECT(kernel[axis], HUGE_SIZE, DTD_ERROR_SIZE)
            EXPECT(stride[axis], HUGE_SIZE, DTD_ERROR_SIZE)
            EXPECT(dilation[axis], HUGE_SIZE, DTD_ERROR_SIZE)
            EXPECT(before[axis], HUGE_SIZE, DTD_ERROR_SIZE)
            EXPECT(in[axis], HUGE_SIZE, DTD_ERROR_SIZE)
            EXPECT(out[axis], HUGE_SIZE, DTD_ERROR_SIZE)
        }
        EXPECT(inputs, HUGE_SIZE, DTD_ERROR_SIZE)
        EXPECT(outputs, HUGE_SIZE, DTD_ERROR_SIZE)
        EXPECT(samples, HUGE_SIZE, DTD_ERROR_SIZE)
        EXPECT(targets, HUGE_SIZE, DTD_ERROR_SIZE)
#undef EXPECT
        /* each size fits, their products do not */
        bad = f.shape;
        bad.in[0] = bad.in[1] = bad.in[2] = far;
        NAME(expect)(&f, &bad, DTD_ERROR_SIZE, out);
        bad = f.shape; /* too many classes of pixels, where the strides make them */
        bad.stride[1] = bad.stride[2] = 1 << 12;
        bad.out[1] = bad.out[2] = 1;
        size_t needed = 0;
        CHECK(dtd_conv_packed_size(&bad, t, sizeof(REAL), &needed) ==
              (t ? DTD_ERROR_SIZE : DTD_OK));
        bad = f.shape;
        bad.samples = bad.targets = far;
        NAME(expect)(&f, &bad, DTD_ERROR_SIZE, out);

        CHECK(dtd_conv_packed_size(shape, t, sizeof(REAL), NULL) == wrong);
        size_t numbers;
        CHECK(dtd_conv_packed_size(shape, t, 2, &numbers) == wrong);
        CHECK(NAME(dtd_conv_pack)(shape, t, NULL, f.packed) == wrong);
        CHECK(NAME(dtd_conv_pack)(shape, t, f.w, NULL) == wrong);
        CHECK(NAME(dtd_conv_forward)(shape, t, NULL, f.packed, f.b, -1, out) == wrong);
        CHECK(NAME(dtd_conv_forward)(shape, t, f.x, NULL, f.b, -1, out) == wrong);
        CHECK(NAME(dtd_conv_forward)(shape, t, f.x, f.packed, f.b, -1, NULL) == wrong);
        CHECK(NAME(dtd_conv_square)(shape, t, NULL, f.packed, out) == wrong);
        CHECK(NAME(dtd_conv_square)(shape, t, f.x, NULL, out) == wrong);
        CHECK(NAME(dtd_conv_square)(shape, t, f.x, f.packed, NULL) == wrong);
        CHECK(NAME(dtd_conv_forward_z)(shape, t, NULL, f.packed, NULL, -1, &term, 0, NULL, out) ==
              wrong);
        CHECK(NAME(dtd_conv_forward_z)(shape, t, f.x, NULL, NULL, -1, &term, 0, NULL, out) ==
              wrong);
        CHECK(NAME(dtd_conv_forward_z)(shape, t, f.x, f.packed, NULL, -1, NULL, 0, NULL, out) ==
              wrong);
        CHECK(NAME(dtd_conv_forward_z)(shape, t, f.x, f.packed, NULL, -1, &term, 0, out, NULL) ==
              wrong);
        CHECK(NAME(dtd_conv_redistribute)(shape, t, NULL, f.packed, &term, 0, f.s, 0, NULL, out) ==
              wrong);
        CHECK(NAME(dtd_conv_redistribute)(shape, t, f.owner, NULL, &term, 0, f.s, 0, NULL, out) ==
              wrong);
        CHECK(NAME(dtd_conv_redistribute)(shape, t, f.owner, f.packed, NULL, 0, f.s, 0, NULL,
                                          out) == wrong);
        CHECK(NAME(dtd_conv_redistribute)(shape, t, f.owner, f.packed, &term, 0, NULL, 0, NULL,
                                          out) == wrong);
        CHECK(NAME(dtd_conv_redistribute)(shape, t, f.owner, f.packed, &term, 0, f.s, 0, NULL,
                                          NULL) == wrong);
        CHECK(NAME(same)(count, out, before));

        dtd_conv_shape none = f.shape;
        none.samples = 0;
        CHECK(NAME(dtd_conv_forward)(&none, t, NULL, NULL, NULL, -1, NULL) == DTD_OK);
        CHECK(NAME(dtd_conv_square)(&none, t, NULL, NULL, NULL) == DTD_OK);
        CHECK(NAME(dtd_conv_forward_z)(&none, t, NULL, NULL, NULL, -1, NULL, 0, NULL, NULL) ==
              DTD_OK);
        CHECK(NAME(dtd_conv_redistribute)(&none, t, NULL, NULL, NULL, 0, NULL, 0, NULL, NULL) ==
              DTD_OK);
        none.inputs = 0;
        CHECK(NAME(dtd_conv_pack)(&none, t, NULL, NULL) == DTD_OK);
        free(out);
        free(before);
        NAME(free_fixture)(&f);
    }
}
