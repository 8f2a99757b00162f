/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of test_dense.c. */

/* A layer and what arrives at it: x (n, K), w (M, K), b (M), s (n k, M); low, high, zeros (K); old:
 * what results are added to. */
typedef struct {
    dtd_dense_shape shape;
    REAL *x, *w, *b, *s, *low, *high, *zeros, *old;
} NAME(layer);

static NAME(layer) NAME(new_layer)(dtd_dense_shape shape, int positive_x) {
    const size_t rows = shape.samples * shape.targets;
    const size_t inputs = shape.inputs, outputs = shape.outputs;
    NAME(layer) layer = {.shape = shape};
    layer.x = NAME(new_values)(shape.samples * inputs, positive_x ? 0 : -1, 1);
    layer.w = NAME(new_values)(outputs * inputs, -1, 1);
    layer.b = NAME(new_values)(outputs, -1, 1);
    layer.s = NAME(new_values)(rows * outputs, -1, 1);
    layer.low = NAME(new_values)(inputs, -1, 0);
    layer.high = NAME(new_values)(inputs, 0, 1);
    layer.zeros = NAME(new_values)(inputs, 0, 0);
    layer.old = NAME(new_values)(dtd_max(rows, outputs) * dtd_max(inputs, 1), -1, 1);
    return layer;
}

static void NAME(free_layer)(NAME(layer) *layer) {
    free(layer->x);
    free(layer->w);
    free(layer->b);
    free(layer->s);
    free(layer->low);
    free(layer->high);
    free(layer->zeros);
    free(layer->old);
}

static const REAL *NAME(bound_of)(bound kind, const REAL *numbers, const REAL *zeros) {
    return kind == ABSENT ? NULL : kind == ZEROS ? zeros : numbers;
}

static NAME(dtd_term) NAME(term_of)(const NAME(layer) *layer, const dense_rule *rule) {
    return (NAME(dtd_term)){(REAL)rule->p_positive,
                            (REAL)rule->p_negative,
                            (REAL)rule->n_positive,
                            (REAL)rule->n_negative,
                            NAME(bound_of)(rule->low, layer->low, layer->zeros),
                            NAME(bound_of)(rule->high, layer->high, layer->zeros)};
}

/* Results of one call: first is the main one, second a or gb. */
typedef struct {
    size_t first_count, second_count;
    REAL *first, *second;
} NAME(results);

/* Room for the results of so many samples. */
static NAME(results) NAME(new_results)(const NAME(layer) *layer, dense_call call, size_t samples) {
    const size_t rows = samples * layer->shape.targets;
    const size_t inputs = layer->shape.inputs, outputs = layer->shape.outputs;
    NAME(results) results = {0, 0, NULL, NULL};
    int added = 0;
    switch (call.function) {
    case FORWARD:
        results.first_count = samples * outputs;
        break;
    case FORWARD_Z:
        results.first_count = samples * outputs;
        results.second_count = call.option ? samples * outputs : 0;
        break;
    case SQUARE_SUMS:
        results.first_count = outputs;
        break;
    case REDISTRIBUTE:
    case REDISTRIBUTE_SQUARE:
    case GRADIENT:
        results.first_count = rows * inputs;
        added = call.option;
        break;
    case WEIGHT_GRADIENT:
        results.first_count = outputs * inputs;
        results.second_count = call.option & 2 ? 0 : outputs;
        added = call.option & 1;
        break;
    }
    results.first = added ? NAME(new_copy)(results.first_count, layer->old)
                          : NAME(new_room)(results.first_count);
    results.second = added ? NAME(new_copy)(results.second_count, layer->old)
                           : NAME(new_room)(results.second_count);
    return results;
}

static void NAME(free_results)(NAME(results) *results) {
    free(results->first);
    free(results->second);
}

static int NAME(same_results)(const NAME(results) *a, const NAME(results) *b) {
    return NAME(same)(a->first_count, a->first, b->first) &&
           NAME(same)(a->second_count, a->second, b->second);
}

/* The call for so many samples from one on. */
static int NAME(run)(const NAME(layer) *layer, dense_call call, size_t begin, size_t samples,
                     NAME(results) *results) {
    const NAME(dtd_term) term = call.rule ? NAME(term_of)(layer, call.rule) : (NAME(dtd_term)){0};
    dtd_dense_shape shape = layer->shape;
    const REAL *const x = layer->x + begin * shape.inputs;
    const REAL *const s = layer->s + begin * shape.targets * shape.outputs;
    const REAL *const b = call.option == 1 ? layer->b : NULL;
    shape.samples = samples;
    switch (call.function) {
    case FORWARD:
        return NAME(dtd_dense_forward)(shape, x, layer->w, b, results->first);
    case FORWARD_Z:
        return NAME(dtd_dense_forward_z)(shape, x, layer->w, b, &term,
                                         call.option ? results->second : NULL, results->first);
    case SQUARE_SUMS:
        return NAME(dtd_dense_square_sums)(shape, layer->w, results->first);
    case REDISTRIBUTE:
        return NAME(dtd_dense_redistribute)(shape, x, layer->w, &term, s, call.option,
                                            results->first);
    case REDISTRIBUTE_SQUARE:
        return NAME(dtd_dense_redistribute_square)(shape, layer->w, s, results->first);
    case GRADIENT:
        return NAME(dtd_dense_gradient)(shape, layer->w, s, results->first);
    case WEIGHT_GRADIENT:
        return NAME(dtd_dense_weight_gradient)(shape, x, s, call.option & 1, results->first,
                                               call.option & 2 ? NULL : results->second);
    }
    return 1;
}

/* A value and a bound on the absolute values that were added up in it. */
typedef struct {
    double value, size;
} NAME(sum);

static void NAME(add)(NAME(sum) *sum, double factor, NAME(sum) term) {
    sum->value += factor * term.value;
    sum->size += fabs(factor) * term.size;
}

/* p_i where part is +1, n_i where it is -1. */
static NAME(sum) NAME(factor)(const NAME(layer) *layer, const dense_rule *rule, size_t sample,
                              size_t i, int part) {
    const double x = (double)layer->x[sample * layer->shape.inputs + i];
    const double positive = part > 0 ? rule->p_positive : rule->n_positive;
    const double negative = part > 0 ? rule->p_negative : rule->n_negative;
    const bound kind = part > 0 ? rule->low : rule->high;
    const REAL *const numbers = part > 0 ? layer->low : layer->high;
    const double away = kind == NUMBERS ? (double)numbers[i] : 0;
    const double product = positive * fmax(0, x) + negative * fmin(0, x);
    return (NAME(sum)){product - away, fabs(product) + fabs(away)};
}

/* q_ij of the rule, or w_ij^2, or w_ij: what stands in front of s_j in r_i. */
static NAME(sum)
    NAME(weight)(const NAME(layer) *layer, dense_call call, size_t sample, size_t i, size_t j) {
    const double w = (double)layer->w[j * layer->shape.inputs + i];
    if (call.rule) {
        NAME(sum) q = {0, 0};
        NAME(add)(&q, w, NAME(factor)(layer, call.rule, sample, i, w > 0 ? 1 : -1));
        return q;
    }
    const double f = call.function == GRADIENT ? w : w * w;
    return (NAME(sum)){f, fabs(f)};
}

/* a_j with the bias that the option asks for. */
static NAME(sum)
    NAME(activation)(const NAME(layer) *layer, dense_call call, size_t sample, size_t j) {
    const double b = call.option == 1 ? (double)layer->b[j] : 0;
    NAME(sum) a = {b, fabs(b)};
    for (size_t i = 0; i < layer->shape.inputs; i++) {
        const double x = (double)layer->x[sample * layer->shape.inputs + i];
        NAME(add)(&a, (double)layer->w[j * layer->shape.inputs + i], (NAME(sum)){x, fabs(x)});
    }
    return a;
}

/* z_j, the sum of what the rule puts in front of s_j. */
static NAME(sum)
    NAME(denominator)(const NAME(layer) *layer, dense_call call, size_t sample, size_t j) {
    NAME(sum) z = {0, 0};
    for (size_t i = 0; i < layer->shape.inputs; i++) {
        NAME(add)(&z, 1, NAME(weight)(layer, call, sample, i, j));
    }
    return z;
}

/* r_i of one row of relevance. */
static NAME(sum) NAME(passed)(const NAME(layer) *layer, dense_call call, size_t row, size_t i) {
    const double old = call.option ? (double)layer->old[row * layer->shape.inputs + i] : 0;
    NAME(sum) r = {old, fabs(old)};
    for (size_t j = 0; j < layer->shape.outputs; j++) {
        NAME(add)(&r, (double)layer->s[row * layer->shape.outputs + j],
                  NAME(weight)(layer, call, row / layer->shape.targets, i, j));
    }
    return r;
}

/* gw_ji, or gb_j where x is 1. */
static NAME(sum) NAME(slope)(const NAME(layer) *layer, dense_call call, size_t place, size_t j,
                             int bias, size_t i) {
    const double old = call.option & 1 ? (double)layer->old[place] : 0;
    NAME(sum) g = {old, fabs(old)};
    for (size_t n = 0; n < layer->shape.samples; n++) {
        const double x = bias ? 1 : (double)layer->x[n * layer->shape.inputs + i];
        NAME(add)(&g, (double)layer->s[n * layer->shape.outputs + j], (NAME(sum)){x, fabs(x)});
    }
    return g;
}

static NAME(sum)
    NAME(expected)(const NAME(layer) *layer, dense_call call, int second, size_t place) {
    const size_t inputs = dtd_max(layer->shape.inputs, 1);
    const size_t outputs = dtd_max(layer->shape.outputs, 1);
    switch (call.function) {
    case FORWARD:
        return NAME(activation)(layer, call, place / outputs, place % outputs);
    case FORWARD_Z:
        return second ? NAME(activation)(layer, call, place / outputs, place % outputs)
                      : NAME(denominator)(layer, call, place / outputs, place % outputs);
    case SQUARE_SUMS:
        return NAME(denominator)(layer, call, 0, place);
    case REDISTRIBUTE:
    case REDISTRIBUTE_SQUARE:
    case GRADIENT:
        return NAME(passed)(layer, call, place / inputs, place % inputs);
    case WEIGHT_GRADIENT:
        return second ? NAME(slope)(layer, call, place, place, 1, 0)
                      : NAME(slope)(layer, call, place, place / inputs, 0, place % inputs);
    }
    return (NAME(sum)){0, 0};
}

static void NAME(check_results)(const NAME(layer) *layer, dense_call call,
                                const NAME(results) *results) {
    const dtd_dense_shape shape = layer->shape;
    const size_t terms = dtd_max(dtd_max(shape.inputs, shape.outputs), shape.samples);
    for (int second = 0; second < 2; second++) {
        const size_t count = second ? results->second_count : results->first_count;
        double *const want = new_doubles(count, 0), *const size = new_doubles(count, 0);
        for (size_t place = 0; place < count; place++) {
            const NAME(sum) sum = NAME(expected)(layer, call, second, place);
            want[place] = sum.value;
            size[place] = sum.size;
        }
        CHECK(NAME(close)(count, second ? results->second : results->first, want, size, terms));
        free(want);
        free(size);
    }
}

/* Every call: the formula; the same bits with more threads and for the last sample alone. */
static void NAME(check_layer)(dtd_dense_shape shape, int positive_x) {
    NAME(layer) layer = NAME(new_layer)(shape, positive_x);
    dense_call calls[CALLS];
    const size_t count = list_calls(calls);
    CHECK(count == CALLS);
    for (size_t c = 0; c < count; c++) {
        if (calls[c].function == WEIGHT_GRADIENT && shape.targets != 1) {
            continue; /* s is not g */
        }
        CHECK_AT("%s %s %zu x %zu, %zu -> %zu, function %d, option %d, rule %td", dtd_isa_name(),
                 sizeof(REAL) == 4 ? "f32" : "f64", shape.samples, shape.targets, shape.inputs,
                 shape.outputs, (int)calls[c].function, calls[c].option,
                 calls[c].rule ? calls[c].rule - rules : (ptrdiff_t)-1);
        NAME(results) results = NAME(new_results)(&layer, calls[c], shape.samples);
        CHECK(dtd_set_num_threads(1) == DTD_OK);
        CHECK(NAME(run)(&layer, calls[c], 0, shape.samples, &results) == DTD_OK);
        NAME(check_results)(&layer, calls[c], &results);
        for (int threads = 2; threads <= MOST_THREADS; threads++) {
            NAME(results) again = NAME(new_results)(&layer, calls[c], shape.samples);
            CHECK(dtd_set_num_threads(threads) == DTD_OK);
            CHECK(NAME(run)(&layer, calls[c], 0, shape.samples, &again) == DTD_OK);
            CHECK(NAME(same_results)(&results, &again));
            NAME(free_results)(&again);
        }
        const int by_sample = calls[c].function != SQUARE_SUMS &&
                              calls[c].function != WEIGHT_GRADIENT && calls[c].option != 1;
        if (by_sample && shape.samples > 0) {
            NAME(results) last = NAME(new_results)(&layer, calls[c], 1);
            CHECK(NAME(run)(&layer, calls[c], shape.samples - 1, 1, &last) == DTD_OK);
            CHECK(NAME(same)(last.first_count, last.first,
                             results.first + results.first_count - last.first_count));
            CHECK(NAME(same)(last.second_count, last.second,
                             results.second + results.second_count - last.second_count));
            NAME(free_results)(&last);
        }
        NAME(free_results)(&results);
    }
    NAME(free_layer)(&layer);
}

/* Small layers of all sizes at which a loop over vectors or tiles could go wrong. */
static void NAME(test_ragged)(size_t vector_bytes) {
    const size_t lanes = vector_bytes / sizeof(REAL);
    const size_t sizes[] = {0, 1, lanes - 1, lanes, lanes + 1, 2 * lanes + 3, 29};
    const size_t samples[] = {0, 1, 2, 5, 13};
    int positive_x = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            const size_t n = samples[(i + j) % 5];
            NAME(check_layer)((dtd_dense_shape){n, 1, sizes[i], sizes[j]}, positive_x);
            NAME(check_layer)((dtd_dense_shape){2, 3, sizes[i], sizes[j]}, !positive_x);
            positive_x = !positive_x;
        }
    }
    NAME(check_layer)((dtd_dense_shape){3, 0, 5, 7}, 0);
}

/* Layers of more work than one thread gets, of several blocks of inputs, rows or samples. */
static void NAME(test_large)(size_t vector_bytes) {
    (void)vector_bytes;
    NAME(check_layer)((dtd_dense_shape){7, 1, 211, 257}, 1);
    NAME(check_layer)((dtd_dense_shape){3, 3, 1031, 89}, 0);
    NAME(check_layer)((dtd_dense_shape){131, 1, 1031, 3}, 0);
    NAME(check_layer)((dtd_dense_shape){1, 1, 4099, 67}, 1);
}

/* A row of weights whose s_j are all 0 is not read: NaN there changes nothing. */
static void NAME(test_rows_not_read)(size_t vector_bytes) {
    const dtd_dense_shape shape = {5, 2, vector_bytes + 3, 23};
    const size_t hidden = 11;
    const dense_call calls[] = {{REDISTRIBUTE, 0, rules},       {REDISTRIBUTE, 0, rules + 1},
                                {REDISTRIBUTE, 0, rules + 7},   {REDISTRIBUTE, 1, rules + 7},
                                {REDISTRIBUTE_SQUARE, 0, NULL}, {GRADIENT, 0, NULL}};
    NAME(layer) layer = NAME(new_layer)(shape, 0);
    for (size_t row = 0; row < shape.samples * shape.targets; row++) {
        layer.s[row * shape.outputs + hidden] = 0;
    }
    CHECK_AT("%s rows not read", dtd_isa_name());
    for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
        NAME(results) plain = NAME(new_results)(&layer, calls[c], shape.samples);
        NAME(results) strange = NAME(new_results)(&layer, calls[c], shape.samples);
        REAL *const w = layer.w;
        layer.w = NAME(new_copy)(shape.outputs * shape.inputs, w);
        for (size_t i = 0; i < shape.inputs; i++) {
            layer.w[hidden * shape.inputs + i] = (REAL)NAN;
        }
        CHECK(NAME(run)(&layer, calls[c], 0, shape.samples, &strange) == DTD_OK);
        free(layer.w);
        layer.w = w;
        CHECK(NAME(run)(&layer, calls[c], 0, shape.samples, &plain) == DTD_OK);
        CHECK(NAME(same_results)(&plain, &strange));
        NAME(free_results)(&plain);
        NAME(free_results)(&strange);
    }
    NAME(free_layer)(&layer);
}

/* The k-th allocation fails: the code, nothing written, and the next call is as good as any. */
static void NAME(check_allocations)(dtd_dense_shape shape, long *failed) {
    NAME(layer) layer = NAME(new_layer)(shape, 0);
    dense_call calls[CALLS];
    const size_t count = list_calls(calls);
    for (size_t c = 0; c < count; c++) {
        CHECK_AT("%s function %d, option %d, without memory", dtd_isa_name(),
                 (int)calls[c].function, calls[c].option);
        NAME(results) untouched = NAME(new_results)(&layer, calls[c], shape.samples);
        NAME(results) wanted = NAME(new_results)(&layer, calls[c], shape.samples);
        CHECK(NAME(run)(&layer, calls[c], 0, shape.samples, &wanted) == DTD_OK);
        for (long k = 1;; k++) {
            NAME(results) results = NAME(new_results)(&layer, calls[c], shape.samples);
            dtd_test_fail_allocation(k);
            const int status = NAME(run)(&layer, calls[c], 0, shape.samples, &results);
            dtd_test_fail_allocation(0);
            if (status == DTD_OK) {
                CHECK(NAME(same_results)(&results, &wanted));
                NAME(free_results)(&results);
                break;
            }
            ++*failed;
            CHECK(status == DTD_ERROR_MEMORY);
            CHECK(NAME(same_results)(&results, &untouched));
            CHECK(NAME(run)(&layer, calls[c], 0, shape.samples, &results) == DTD_OK);
            CHECK(NAME(same_results)(&results, &wanted));
            NAME(free_results)(&results);
        }
        NAME(free_results)(&untouched);
        NAME(free_results)(&wanted);
    }
    NAME(free_layer)(&layer);
}

static void NAME(test_failing_allocations)(size_t vector_bytes) {
    long failed = 0;
    NAME(check_allocations)((dtd_dense_shape){3, 1, vector_bytes + 1, 5}, &failed);
    NAME(check_allocations)((dtd_dense_shape){7, 1, 211, 257}, &failed); /* with threads */
    CHECK(failed > 2 * RULES);
}

/* Sizes whose products overflow, absent arrays, and layers without anything. */
static void NAME(test_arguments)(void) {
    const dtd_dense_shape shape = {2, 1, 3, 2}, none = {0, 0, 0, 0};
    const dtd_dense_shape overflows[] = {{HUGE_SIZE, 1, 3, 2},
                                         {2, 1, HUGE_SIZE, 2},
                                         {2, 1, 3, HUGE_SIZE},
                                         {HUGE_SIZE, 3, 1, 1},
                                         {1, 1, PTRDIFF_MAX / sizeof(REAL) + 1, 1}};
    const REAL x[6] = {1, 2, 3, 4, 5, 6}, w[6] = {1, -2, 3, -4, 5, -6}, b[2] = {1, 2};
    const REAL s[4] = {1, 2, 3, 4};
    const NAME(dtd_term) term = {1, 0, 0, 1, NULL, NULL};
    REAL r[6], z[4];
    CHECK_AT("arguments");
    for (size_t k = 0; k < sizeof overflows / sizeof overflows[0]; k++) {
        const dtd_dense_shape large = overflows[k];
        CHECK_AT("overflow %zu", k);
        if (large.targets == 1) {
            CHECK(NAME(dtd_dense_forward)(large, x, w, b, z) == DTD_ERROR_SIZE);
            CHECK(NAME(dtd_dense_forward_z)(large, x, w, b, &term, NULL, z) == DTD_ERROR_SIZE);
            CHECK(NAME(dtd_dense_weight_gradient)(large, x, s, 0, r, NULL) == DTD_ERROR_SIZE);
        }
        if (large.samples < HUGE_SIZE) {
            CHECK(NAME(dtd_dense_square_sums)(large, w, z) == DTD_ERROR_SIZE);
        }
        CHECK(NAME(dtd_dense_redistribute)(large, x, w, &term, s, 0, r) == DTD_ERROR_SIZE);
        CHECK(NAME(dtd_dense_redistribute_square)(large, w, s, r) == DTD_ERROR_SIZE);
        CHECK(NAME(dtd_dense_gradient)(large, w, s, r) == DTD_ERROR_SIZE);
    }

    CHECK_AT("absent arrays");
    const int wrong = DTD_ERROR_ARGUMENT;
    CHECK(NAME(dtd_dense_forward)(shape, NULL, w, b, z) == wrong);
    CHECK(NAME(dtd_dense_forward)(shape, x, NULL, b, z) == wrong);
    CHECK(NAME(dtd_dense_forward)(shape, x, w, b, NULL) == wrong);
    CHECK(NAME(dtd_dense_forward_z)(shape, NULL, w, b, &term, NULL, z) == wrong);
    CHECK(NAME(dtd_dense_forward_z)(shape, x, NULL, b, &term, NULL, z) == wrong);
    CHECK(NAME(dtd_dense_forward_z)(shape, x, w, b, NULL, NULL, z) == wrong);
    CHECK(NAME(dtd_dense_forward_z)(shape, x, w, b, &term, NULL, NULL) == wrong);
    CHECK(NAME(dtd_dense_square_sums)(shape, NULL, z) == wrong);
    CHECK(NAME(dtd_dense_square_sums)(shape, w, NULL) == wrong);
    CHECK(NAME(dtd_dense_redistribute)(shape, NULL, w, &term, s, 0, r) == wrong);
    CHECK(NAME(dtd_dense_redistribute)(shape, x, NULL, &term, s, 0, r) == wrong);
    CHECK(NAME(dtd_dense_redistribute)(shape, x, w, NULL, s, 0, r) == wrong);
    CHECK(NAME(dtd_dense_redistribute)(shape, x, w, &term, NULL, 0, r) == wrong);
    CHECK(NAME(dtd_dense_redistribute)(shape, x, w, &term, s, 0, NULL) == wrong);
    CHECK(NAME(dtd_dense_redistribute_square)(shape, NULL, s, r) == wrong);
    CHECK(NAME(dtd_dense_redistribute_square)(shape, w, NULL, r) == wrong);
    CHECK(NAME(dtd_dense_redistribute_square)(shape, w, s, NULL) == wrong);
    CHECK(NAME(dtd_dense_gradient)(shape, NULL, s, r) == wrong);
    CHECK(NAME(dtd_dense_gradient)(shape, w, NULL, r) == wrong);
    CHECK(NAME(dtd_dense_gradient)(shape, w, s, NULL) == wrong);
    CHECK(NAME(dtd_dense_weight_gradient)(shape, NULL, s, 0, r, NULL) == wrong);
    CHECK(NAME(dtd_dense_weight_gradient)(shape, x, NULL, 0, r, NULL) == wrong);
    CHECK(NAME(dtd_dense_weight_gradient)(shape, x, s, 0, NULL, NULL) == wrong);

    CHECK_AT("nothing at all");
    CHECK(NAME(dtd_dense_forward)(none, NULL, NULL, NULL, NULL) == DTD_OK);
    CHECK(NAME(dtd_dense_forward_z)(none, NULL, NULL, NULL, &term, NULL, NULL) == DTD_OK);
    CHECK(NAME(dtd_dense_square_sums)(none, NULL, NULL) == DTD_OK);
    CHECK(NAME(dtd_dense_redistribute)(none, NULL, NULL, &term, NULL, 0, NULL) == DTD_OK);
    CHECK(NAME(dtd_dense_redistribute_square)(none, NULL, NULL, NULL) == DTD_OK);
    CHECK(NAME(dtd_dense_gradient)(none, NULL, NULL, NULL) == DTD_OK);
    CHECK(NAME(dtd_dense_weight_gradient)(none, NULL, NULL, 0, NULL, NULL) == DTD_OK);
}
