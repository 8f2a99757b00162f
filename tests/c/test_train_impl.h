/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX, TOLERANCE, LARGEST) of test_train.c. */

/* All that a run needs. */
typedef struct {
    train_plan plan;
    dtd_train_shape shape;
    NAME(dtd_train_unit) units[MOST_UNITS];
    REAL *x, *y;
    size_t *order;
    double *rates, *loss;
} NAME(training);

static NAME(training) NAME(new_training)(const train_plan *plan, int velocities) {
    const size_t rows = STEPS * plan->batch, outputs = inputs_of(plan, plan->units);
    NAME(training) run = {.plan = *plan};
    run.shape = (dtd_train_shape){plan->samples, plan->inputs, plan->units, STEPS, plan->batch};
    run.x = NAME(new_values)(plan->samples * plan->inputs, 0, 1);
    run.y = NAME(new_values)(plan->samples * outputs, 0, 1);
    run.order = new_memory(rows, sizeof(size_t));
    for (size_t k = 0; k < rows; k++) {
        run.order[k] = random_below((uint32_t)plan->samples);
    }
    run.rates = new_doubles(STEPS, 0.25);
    run.rates[STEPS - 1] = 0.125;
    run.loss = new_doubles(STEPS, NAN);
    for (size_t k = 0; k < plan->units; k++) {
        const size_t inputs = inputs_of(plan, k), neurons = plan->neurons[k];
        const double scale = 1.5 / sqrt((double)inputs);
        NAME(dtd_train_unit) *const unit = run.units + k;
        unit->neurons = neurons;
        unit->pool = plan->pool[k];
        unit->w = NAME(new_values)(neurons * inputs, -scale, 2 * scale);
        unit->b = NAME(new_values)(neurons, -0.125, 0);
        unit->w_velocity = velocities ? NAME(new_values)(neurons * inputs, 0, 0) : NULL;
        unit->b_velocity = velocities ? NAME(new_values)(neurons, 0, 0) : NULL;
    }
    return run;
}

/* The same data with its own weights; with velocities of 0 or without any. */
static NAME(training) NAME(again)(const NAME(training) *run, int velocities) {
    NAME(training) copy = *run;
    copy.loss = new_doubles(STEPS, NAN);
    for (size_t k = 0; k < run->plan.units; k++) {
        const size_t neurons = run->plan.neurons[k], weights = neurons * inputs_of(&run->plan, k);
        NAME(dtd_train_unit) *const unit = copy.units + k;
        unit->w = NAME(new_copy)(weights, unit->w);
        unit->b = NAME(new_copy)(neurons, unit->b);
        unit->w_velocity = velocities ? NAME(new_values)(weights, 0, 0) : NULL;
        unit->b_velocity = velocities ? NAME(new_values)(neurons, 0, 0) : NULL;
    }
    return copy;
}

static void NAME(free_weights)(NAME(training) *run) {
    for (size_t k = 0; k < run->plan.units; k++) {
        free(run->units[k].w);
        free(run->units[k].b);
        free(run->units[k].w_velocity);
        free(run->units[k].b_velocity);
    }
    free(run->loss);
}

static void NAME(free_training)(NAME(training) *run) {
    NAME(free_weights)(run);
    free(run->x);
    free(run->y);
    free(run->order);
    free(run->rates);
}

static int NAME(train)(NAME(training) *run, size_t *done) {
    return NAME(dtd_train)(run->shape, run->plan.p, run->units, run->x, run->y, run->order,
                           run->rates, run->plan.momentum, run->loss, done);
}

static int NAME(near)(size_t count, const REAL *got, const double *want) {
    double largest = 0, error = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(got[i])) {
            return 0;
        }
        largest = fmax(largest, fabs(want[i]));
        error = fmax(error, fabs((double)got[i] - want[i]));
    }
    return error <= TOLERANCE * largest;
}

static int NAME(same_weights)(const NAME(training) *a, const NAME(training) *b) {
    int same = 1;
    for (size_t k = 0; k < a->plan.units; k++) {
        const size_t neurons = a->plan.neurons[k], weights = neurons * inputs_of(&a->plan, k);
        same = same && NAME(same)(weights, a->units[k].w, b->units[k].w) &&
               NAME(same)(neurons, a->units[k].b, b->units[k].b);
    }
    return same;
}

/* The steps of the slow network from the weights of start, and what run made of them. */
static void NAME(check_steps)(const NAME(training) *start, const NAME(training) *run) {
    const train_plan *const plan = &start->plan;
    const size_t outputs = inputs_of(plan, plan->units);
    slow_net net = new_slow_net(plan);
    double *const target = new_doubles(plan->batch * outputs, 0);
    double moved = 0;
    for (size_t k = 0; k < plan->units; k++) {
        for (size_t i = 0; i < plan->neurons[k] * inputs_of(plan, k); i++) {
            net.w[k][i] = (double)start->units[k].w[i];
        }
        for (size_t j = 0; j < plan->neurons[k]; j++) {
            net.b[k][j] = (double)start->units[k].b[j];
        }
    }
    for (size_t step = 0; step < STEPS; step++) {
        for (size_t n = 0; n < plan->batch; n++) {
            const size_t row = start->order[step * plan->batch + n];
            for (size_t i = 0; i < plan->inputs; i++) {
                net.x[0][n * plan->inputs + i] = (double)start->x[row * plan->inputs + i];
            }
            for (size_t i = 0; i < outputs; i++) {
                target[n * outputs + i] = (double)start->y[row * outputs + i];
            }
        }
        const double loss = slow_step(plan, &net, target, start->rates[step]);
        CHECK(fabs(run->loss[step] - loss) <= TOLERANCE * loss);
    }
    for (size_t k = 0; k < plan->units; k++) {
        const size_t neurons = plan->neurons[k], weights = neurons * inputs_of(plan, k);
        CHECK(NAME(near)(weights, run->units[k].w, net.w[k]));
        CHECK(NAME(near)(neurons, run->units[k].b, net.b[k]));
        if (run->units[k].w_velocity) {
            CHECK(NAME(near)(weights, run->units[k].w_velocity, net.w_velocity[k]));
            CHECK(NAME(near)(neurons, run->units[k].b_velocity, net.b_velocity[k]));
        }
        for (size_t i = 0; i < weights; i++) {
            moved = fmax(moved, fabs(net.w[k][i] - (double)start->units[k].w[i]));
        }
    }
    CHECK(moved > 0); /* else nothing has been tested */
    free(target);
    free_slow_net(plan, &net);
}

static void NAME(check_plan)(const train_plan *plan) {
    NAME(training) start = NAME(new_training)(plan, 0);
    NAME(training) first = NAME(again)(&start, plan->momentum > 0);
    size_t done = 77;
    CHECK_AT("%s %zu inputs, batch %zu, %zu neurons / %zu, %zu units, p %g, momentum %g",
             dtd_isa_name(), plan->inputs, plan->batch, plan->neurons[0], plan->pool[0],
             plan->units, plan->p, plan->momentum);
    CHECK(dtd_set_num_threads(1) == DTD_OK);
    CHECK(NAME(train)(&first, &done) == DTD_OK && done == STEPS);
    NAME(check_steps)(&start, &first);
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        NAME(training) more = NAME(again)(&start, 1); /* velocities are always allowed */
        CHECK(dtd_set_num_threads(threads) == DTD_OK);
        CHECK(NAME(train)(&more, &done) == DTD_OK && done == STEPS);
        CHECK(NAME(same_weights)(&first, &more));
        CHECK(same_bytes(STEPS * sizeof(double), first.loss, more.loss));
        NAME(free_weights)(&more);
    }
    NAME(free_weights)(&first);
    NAME(free_training)(&start);
}

static void NAME(test_steps)(size_t vector_bytes) {
    const size_t lanes = vector_bytes / sizeof(REAL);
    const size_t sizes[] = {1, lanes - 1, lanes, lanes + 1, 2 * lanes + 3, 8 * lanes + 5};
    const double ps[] = {2, 1, INFINITY, 3};
    for (size_t k = 0; k < 6; k++) {
        for (size_t with = 0; with < 2; with++) {
            const train_plan small = {7,      sizes[k],           1 + k,          2, {6 + 3 * k, 5},
                                      {3, 1}, ps[(k + with) % 4], with ? 0.75 : 0};
            NAME(check_plan)(&small);
        }
    }
    const train_plan single = {3, 5, 2, 1, {4}, {2}, 2, 0.5};
    NAME(check_plan)(&single);
    const train_plan large = {31, 131, 17, 2, {4 * 31, 7}, {4, 1}, 2, 0.5};
    NAME(check_plan)(&large);
}

/* The k-th allocation fails: the code; from the old weights the next call is as good as any. */
static void NAME(test_failing_allocations)(size_t vector_bytes) {
    const train_plan plan = {7, vector_bytes + 3, 5, 2, {6, 4}, {3, 1}, 2, 0};
    NAME(training) start = NAME(new_training)(&plan, 0), wanted = NAME(again)(&start, 0);
    size_t done;
    long k = 1;
    CHECK_AT("%s without memory", dtd_isa_name());
    CHECK(NAME(train)(&wanted, &done) == DTD_OK);
    for (int status = DTD_ERROR_MEMORY; status != DTD_OK; k++) {
        NAME(training) run = NAME(again)(&start, 0), next = NAME(again)(&start, 0);
        dtd_test_fail_allocation(k);
        status = NAME(train)(&run, &done);
        dtd_test_fail_allocation(0);
        CHECK(status == DTD_OK || status == DTD_ERROR_MEMORY);
        CHECK(k > 1 || NAME(same_weights)(&run, &start)); /* no memory at all, no step */
        CHECK(status != DTD_OK || NAME(same_weights)(&run, &wanted));
        CHECK(NAME(train)(&next, &done) == DTD_OK && done == STEPS);
        CHECK(NAME(same_weights)(&next, &wanted));
        NAME(free_weights)(&run);
        NAME(free_weights)(&next);
    }
    CHECK(k > 3); /* its own memory, and that of the layers */
    NAME(free_weights)(&wanted);
    NAME(free_training)(&start);
}

/* A loss that is not finite ends the training before its step. */
static void NAME(test_overflow)(void) {
    const train_plan plan = {3, 5, 2, 1, {4}, {2}, 2, 0};
    NAME(training) start = NAME(new_training)(&plan, 0);
    size_t done = 77;
    CHECK_AT("overflow");
    for (size_t i = 0; i < 20; i++) {
        start.units[0].w[i] = LARGEST;
    }
    for (size_t i = 0; i < 15; i++) {
        start.x[i] = 2;
    }
    NAME(training) run = NAME(again)(&start, 0);
    CHECK(NAME(train)(&run, &done) == DTD_OK);
    CHECK(done == 0);
    CHECK(!isfinite(run.loss[0]));
    CHECK(NAME(same_weights)(&run, &start));
    NAME(free_weights)(&run);
    NAME(free_training)(&start);
}

/* The code for a run with one thing wrong; its weights stay. */
static void NAME(check_wrong)(const NAME(training) *start, NAME(training) wrong, int code) {
    size_t done = 77;
    CHECK(NAME(train)(&wrong, &done) == code);
    CHECK(done == 77 && isnan(start->loss[0]));
}

static void NAME(test_arguments)(void) {
    const train_plan plan = {3, 5, 2, 2, {4, 3}, {2, 1}, 2, 0};
    NAME(training) start = NAME(new_training)(&plan, 0), copy = NAME(again)(&start, 0);
    const int argument = DTD_ERROR_ARGUMENT;
    size_t done = 77;
    REAL velocity[20] = {0};
    CHECK_AT("arguments");
#define WRONG(change, code)                                                                        \
    do {                                                                                           \
        NAME(training) wrong = start;                                                              \
        change;                                                                                    \
        NAME(check_wrong)(&start, wrong, code);                                                    \
    } while (0)
    WRONG(wrong.x = NULL, argument);
    WRONG(wrong.y = NULL, argument);
    WRONG(wrong.order = NULL, argument);
    WRONG(wrong.rates = NULL, argument);
    WRONG(wrong.loss = NULL, argument);
    WRONG(wrong.shape.units = 0, argument);
    WRONG(wrong.shape.inputs = 0, argument);
    WRONG(wrong.shape.batch = 0, argument);
    WRONG(wrong.shape.samples = 0, argument); /* order names rows that are not there */
    WRONG(wrong.plan.p = 0.5, argument);
    WRONG(wrong.plan.p = NAN, argument);
    WRONG(wrong.units[1].neurons = 0, argument);
    WRONG(wrong.units[0].pool = 0, argument);
    WRONG(wrong.units[0].pool = 3, argument);
    WRONG(wrong.units[0].w = NULL, argument);
    WRONG(wrong.units[1].b = NULL, argument);
    WRONG(wrong.units[0].w_velocity = velocity, argument); /* one velocity alone */
    WRONG(wrong.units[0].b_velocity = velocity, argument);
    WRONG(wrong.shape.samples = HUGE_SIZE, DTD_ERROR_SIZE);
    WRONG(wrong.shape.inputs = HUGE_SIZE, DTD_ERROR_SIZE);
    WRONG(wrong.shape.batch = HUGE_SIZE, DTD_ERROR_SIZE);
    WRONG(wrong.shape.iterations = HUGE_SIZE, DTD_ERROR_SIZE);
    WRONG((wrong.units[0].neurons = HUGE_SIZE - 1, wrong.units[0].pool = 1), DTD_ERROR_SIZE);
#undef WRONG
    const size_t last = start.order[3];
    start.order[3] = plan.samples;
    NAME(check_wrong)(&start, start, argument);
    start.order[3] = last;
    CHECK(NAME(dtd_train)(start.shape, 2, NULL, start.x, start.y, start.order, start.rates, 0,
                          start.loss, &done) == argument);
    CHECK(NAME(train)(&start, NULL) == argument);
    CHECK(NAME(same_weights)(&start, &copy));

    start.shape.iterations = 0;
    CHECK(NAME(dtd_train)(start.shape, 2, start.units, NULL, NULL, NULL, NULL, 0, NULL, &done) ==
          DTD_OK);
    CHECK(done == 0);
    CHECK(NAME(same_weights)(&start, &copy));
    NAME(free_weights)(&copy);
    NAME(free_training)(&start);
}
