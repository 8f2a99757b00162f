/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of train.c: steps of small networks against the same steps in double, from the formulas. */
#include "support.h"

enum { MOST_UNITS = 2, STEPS = 4 };

/* A training run: a network of units, each with neurons in groups of pool. */
typedef struct {
    size_t samples, inputs, batch, units;
    size_t neurons[MOST_UNITS], pool[MOST_UNITS];
    double p, momentum;
} train_plan;

/* Inputs of a unit; of the one after the last: the outputs of the network. */
static size_t inputs_of(const train_plan *plan, size_t unit) {
    return unit == 0 ? plan->inputs : plan->neurons[unit - 1] / plan->pool[unit - 1];
}

/* The network in double: values of one mini-batch, gradients and velocities of every unit. */
typedef struct {
    double *w[MOST_UNITS], *b[MOST_UNITS], *w_velocity[MOST_UNITS], *b_velocity[MOST_UNITS];
    double *x[MOST_UNITS + 1], *gx[MOST_UNITS + 1]; /* (batch, inputs of the unit) */
    double *h[MOST_UNITS], *gh[MOST_UNITS];         /* (batch, neurons) */
} slow_net;

static double slow_norm(size_t size, const double *h, double p, size_t *winner) {
    double sum = 0;
    *winner = 0;
    for (size_t j = 0; j < size; j++) {
        *winner = h[j] > h[*winner] ? j : *winner;
        sum += isinf(p) ? 0 : pow(h[j], p);
    }
    return isinf(p) ? h[*winner] : pow(sum, 1 / p);
}

static void slow_forward(const train_plan *plan, slow_net *net, size_t unit) {
    const size_t inputs = inputs_of(plan, unit), neurons = plan->neurons[unit];
    const size_t pool = plan->pool[unit];
    size_t winner;
    for (size_t n = 0; n < plan->batch; n++) {
        for (size_t j = 0; j < neurons; j++) {
            double a = net->b[unit][j];
            for (size_t i = 0; i < inputs; i++) {
                a += net->x[unit][n * inputs + i] * net->w[unit][j * inputs + i];
            }
            net->h[unit][n * neurons + j] = fmax(0, a);
        }
        for (size_t g = 0; g < neurons / pool; g++) {
            net->x[unit + 1][n * (neurons / pool) + g] =
                slow_norm(pool, net->h[unit] + n * neurons + g * pool, plan->p, &winner);
        }
    }
}

/* Gradients of a unit's neurons and inputs from those of its outputs. */
static void slow_gradients(const train_plan *plan, slow_net *net, size_t unit) {
    const size_t inputs = inputs_of(plan, unit), neurons = plan->neurons[unit];
    const size_t pool = plan->pool[unit], groups = neurons / pool;
    for (size_t n = 0; n < plan->batch; n++) {
        for (size_t j = 0; j < neurons; j++) {
            const double *const group = net->h[unit] + n * neurons + j / pool * pool;
            size_t winner;
            const double y = slow_norm(pool, group, plan->p, &winner), h = group[j % pool];
            const double arrived = net->gx[unit + 1][n * groups + j / pool];
            double share = h > 0 ? pow(h / y, plan->p - 1) : 0;
            if (isinf(plan->p)) {
                share = h > 0 && winner == j % pool;
            }
            net->gh[unit][n * neurons + j] = share * arrived;
        }
        for (size_t i = 0; i < inputs; i++) {
            double g = 0;
            for (size_t j = 0; j < neurons; j++) {
                g += net->gh[unit][n * neurons + j] * net->w[unit][j * inputs + i];
            }
            net->gx[unit][n * inputs + i] = g;
        }
    }
}

static void slow_descent(const train_plan *plan, slow_net *net, size_t unit, double rate) {
    const size_t inputs = inputs_of(plan, unit), neurons = plan->neurons[unit];
    for (size_t j = 0; j < neurons; j++) {
        double *const b_velocity = net->b_velocity[unit] + j;
        *b_velocity *= plan->momentum;
        for (size_t n = 0; n < plan->batch; n++) {
            *b_velocity += net->gh[unit][n * neurons + j];
        }
        net->b[unit][j] = fmin(0, net->b[unit][j] - rate * *b_velocity);
        for (size_t i = 0; i < inputs; i++) {
            double *const velocity = net->w_velocity[unit] + j * inputs + i;
            *velocity *= plan->momentum;
            for (size_t n = 0; n < plan->batch; n++) {
                *velocity += net->gh[unit][n * neurons + j] * net->x[unit][n * inputs + i];
            }
            net->w[unit][j * inputs + i] -= rate * *velocity;
        }
    }
}

/* One step; the loss before it. x and target: the rows of the mini-batch. */
static double slow_step(const train_plan *plan, slow_net *net, const double *target, double rate) {
    const size_t count = plan->batch * inputs_of(plan, plan->units);
    double loss = 0;
    for (size_t unit = 0; unit < plan->units; unit++) {
        slow_forward(plan, net, unit);
    }
    for (size_t k = 0; k < count; k++) {
        const double error = net->x[plan->units][k] - target[k];
        loss += error * error / (double)count;
        net->gx[plan->units][k] = 2 * error / (double)count;
    }
    for (size_t unit = plan->units; unit-- > 0;) { /* all gradients before any weight changes */
        slow_gradients(plan, net, unit);
    }
    for (size_t unit = 0; unit < plan->units; unit++) {
        slow_descent(plan, net, unit, rate);
    }
    return loss;
}

static slow_net new_slow_net(const train_plan *plan) {
    slow_net net;
    memset(&net, 0, sizeof net);
    for (size_t unit = 0; unit <= plan->units; unit++) {
        const size_t inputs = inputs_of(plan, unit);
        net.x[unit] = new_doubles(plan->batch * inputs, 0);
        net.gx[unit] = new_doubles(plan->batch * inputs, 0);
        if (unit < plan->units) {
            const size_t neurons = plan->neurons[unit];
            net.w[unit] = new_doubles(neurons * inputs, 0);
            net.w_velocity[unit] = new_doubles(neurons * inputs, 0);
            net.b[unit] = new_doubles(neurons, 0);
            net.b_velocity[unit] = new_doubles(neurons, 0);
            net.h[unit] = new_doubles(plan->batch * neurons, 0);
            net.gh[unit] = new_doubles(plan->batch * neurons, 0);
        }
    }
    return net;
}

static void free_slow_net(const train_plan *plan, slow_net *net) {
    for (size_t unit = 0; unit <= plan->units; unit++) {
        free(net->x[unit]);
        free(net->gx[unit]);
        if (unit < plan->units) {
            free(net->w[unit]);
            free(net->w_velocity[unit]);
            free(net->b[unit]);
            free(net->b_velocity[unit]);
            free(net->h[unit]);
            free(net->gh[unit]);
        }
    }
}

#define TOLERANCE (2000 * STEP)
#define TEMPLATE "test_train_impl.h"
#include "reals.h"

int main(void) {
    at_every_level(test_steps_f32);
    at_every_level(test_steps_f64);
    at_every_level(test_failing_allocations_f32);
    at_every_level(test_failing_allocations_f64);
    test_overflow_f32();
    test_overflow_f64();
    test_arguments_f32();
    test_arguments_f64();
    return check_report("train");
}
