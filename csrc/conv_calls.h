/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, LARGEST) of conv.c: the sums that dtd.h offers. */

/* Numbers of the images of one side of a convolution, all of images images. */
static size_t NAME(image_numbers)(const dtd_conv_shape *shape, int results, size_t images) {
    const size_t block = DTD_BLOCK_BYTES / sizeof(REAL);
    const size_t *const pixels = results ? shape->out : shape->in;
    return dtd_ceil_div(results ? shape->outputs : shape->inputs, block) * block * pixels[0] *
           pixels[1] * pixels[2] * images;
}

/* Checks what all sums share. Arrays of size 0 may be NULL; *nothing: there is no result. */
static int NAME(check_call)(const dtd_conv_shape *shape, int transposed, const REAL *x,
                            const REAL *w, const REAL *result, int *nothing) {
    const int status = check_conv(shape, sizeof(REAL));
    if (status) {
        return status;
    }
    const size_t images = shape->samples * shape->targets;
    *nothing = NAME(image_numbers)(shape, !transposed, images) == 0;
    const int missing = result == NULL ||
                        (x == NULL && NAME(image_numbers)(shape, transposed, images) > 0) ||
                        (w == NULL && shape->inputs > 0 && shape->outputs > 0);
    return missing && !*nothing ? DTD_ERROR_ARGUMENT : DTD_OK;
}

int NAME(dtd_conv_forward)(const dtd_conv_shape *shape, int transposed, const REAL *x,
                           const REAL *w, const REAL *b, REAL ceiling, REAL *a) {
    int nothing;
    const int status = NAME(check_call)(shape, transposed, x, w, a, &nothing);
    if (status || nothing) {
        return status;
    }
    NAME(conv_call) call = {
        .x = x, .w = w, .job = {.mode = DTD_CONV_PLAIN, .b = b, .ceiling = ceiling, .a = a}};
    return NAME(conv_run)(shape, transposed, &call);
}

int NAME(dtd_conv_square)(const dtd_conv_shape *shape, int transposed, const REAL *x, const REAL *w,
                          REAL *a) {
    int nothing;
    const int status = NAME(check_call)(shape, transposed, x, w, a, &nothing);
    if (status || nothing) {
        return status;
    }
    NAME(conv_call) call = {
        .x = x, .w = w, .job = {.mode = DTD_CONV_SQUARE, .ceiling = -1, .a = a}};
    return NAME(conv_run)(shape, transposed, &call);
}

int NAME(dtd_conv_forward_z)(const dtd_conv_shape *shape, int transposed, const REAL *x,
                             const REAL *w, const REAL *b, REAL ceiling, const NAME(dtd_term) *term,
                             int nonnegative, REAL *a, REAL *z) {
    int nothing;
    int status = NAME(check_call)(shape, transposed, x, w, z, &nothing);
    if (status || nothing || term == NULL) {
        return status || nothing ? status : DTD_ERROR_ARGUMENT;
    }
    const size_t image = NAME(image_numbers)(shape, transposed, 1);
    const NAME(term_facts) facts =
        NAME(look_at_term)(term, image, nonnegative, image * shape->samples * shape->targets, x);
    NAME(conv_call) call = {.x = x, .w = w, .job = {.b = b, .ceiling = ceiling, .a = a, .z = z}};
    if (facts.p_is_n && facts.p_is_x) {
        call.job.mode = DTD_CONV_PLAIN;
        return NAME(conv_run)(shape, transposed, &call);
    }
    if (facts.p_is_x && facts.n_is_0) {
        call.job.mode = a ? DTD_CONV_SHARED : DTD_CONV_POSITIVE;
        return NAME(conv_run)(shape, transposed, &call);
    }
    NAME(conv_call) plain = call;
    plain.job.mode = DTD_CONV_PLAIN;
    plain.job.z = NULL;
    call.job = (NAME(dtd_conv_job)){.mode = facts.n_is_0   ? DTD_CONV_POSITIVE
                                            : facts.p_is_n ? DTD_CONV_PLAIN
                                                           : DTD_CONV_SIGNED,
                                    .z = z};
    call.spread = term;
    call.spread_n = call.job.mode == DTD_CONV_SIGNED;
    /* nothing is written unless both passes have their memory */
    status = NAME(conv_start)(shape, transposed, &call);
    status = status || a == NULL ? status : NAME(conv_start)(shape, transposed, &plain);
    if (status == DTD_OK) {
        NAME(conv_go)(&call);
    }
    if (status == DTD_OK && a) {
        NAME(conv_go)(&plain);
    }
    NAME(conv_end)(&call);
    NAME(conv_end)(&plain);
    return status;
}

int NAME(dtd_conv_redistribute)(const dtd_conv_shape *shape, int transposed, const REAL *x,
                                const REAL *w, const NAME(dtd_term) *term, int nonnegative,
                                const REAL *s, int accumulate, const NAME(dtd_conv_next) *next,
                                REAL *r) {
    int nothing;
    int status = NAME(check_call)(shape, transposed, s, w, r, &nothing);
    if (status || nothing || term == NULL || x == NULL) {
        return status || nothing ? status : DTD_ERROR_ARGUMENT;
    }
    NAME(dtd_conv_next) after = {0};
    if (next) {
        after = *next;
        if (accumulate || after.z == NULL || after.account == NULL || !(after.epsilon >= 0) ||
            !(after.limit > 0)) {
            return DTD_ERROR_ARGUMENT;
        }
        after.limit = after.limit < LARGEST ? after.limit : LARGEST;
    }
    const size_t image = NAME(image_numbers)(shape, !transposed, 1);
    const NAME(term_facts) facts =
        NAME(look_at_term)(term, image, nonnegative, image * shape->samples, x);
    NAME(conv_call) call = {.x = s,
                            .w = w,
                            .job = {.term = term,
                                    .owner = x,
                                    .r = r,
                                    .accumulate = accumulate,
                                    .next = next ? &after : NULL}};
    call.job.mode = facts.p_is_n   ? DTD_CONV_PLAIN
                    : facts.n_is_0 ? DTD_CONV_POSITIVE
                                   : DTD_CONV_SPLIT;
    status = NAME(conv_start)(shape, transposed, &call);
    if (status == DTD_OK) {
        NAME(conv_go)(&call);
        if (next) {
            dtd_add_accounts(call.images, call.layout->to_blocks * call.layout->rows, call.totals,
                             after.account);
        }
    }
    NAME(conv_end)(&call);
    return status;
}
