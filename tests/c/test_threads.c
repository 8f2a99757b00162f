/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of threads.c: the number of threads, the launcher, and both in a forked child. */
#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#define HAVE_FORK 1
#else
#define HAVE_FORK 0
#endif

#include <stdatomic.h>

#include "support.h"

#if HAVE_FORK
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#endif

enum { TASKS = 97, MOST_WORKERS = 16 };

typedef struct {
    atomic_int done[TASKS];
    _Atomic(void *) thread[MOST_WORKERS];
    atomic_int wrong, met;
    int threads, team;
} record;

/* Waits for the rest of the team, or a fifth of a second: else one thread could do all tasks. */
static void meet(record *seen) {
    atomic_fetch_add(&seen->met, 1);
    for (int i = 0; i < 2000 && atomic_load(&seen->met) < seen->team; i++) {
#if HAVE_FORK
        nanosleep(&(struct timespec){0, 100000}, NULL);
#endif
    }
}

/* A worker's number is below threads, and no two threads have the same one. */
static void note(void *context, size_t task, int worker) {
    static _Thread_local char own; /* its address tells threads apart */
    record *const seen = context;
    if (worker < 0 || worker >= seen->threads || task >= TASKS) {
        atomic_fetch_add(&seen->wrong, 1);
        return;
    }
    void *const before = atomic_exchange(&seen->thread[worker], (void *)&own);
    if (before != NULL && before != (void *)&own) {
        atomic_fetch_add(&seen->wrong, 1);
    }
    if (task < (size_t)seen->team) {
        meet(seen);
    }
    atomic_fetch_add(&seen->done[task], 1);
}

/* Every task exactly once. */
static void check_launch(size_t tasks, int threads) {
    record seen = {.threads = threads};
    seen.team = dtd_has_openmp() ? (int)dtd_min(tasks, (size_t)threads) : 1;
    CHECK_AT("%zu tasks, %d threads", tasks, threads);
    dtd_parallel(tasks, note, &seen, threads);
    CHECK(atomic_load(&seen.wrong) == 0);
    for (size_t task = 0; task < TASKS; task++) {
        CHECK(atomic_load(&seen.done[task]) == (task < tasks));
    }
}

static void test_launches(void) {
    const size_t tasks[] = {0, 1, 2, 3, 5, TASKS};
    for (size_t k = 0; k < sizeof tasks / sizeof tasks[0]; k++) {
        for (int threads = 1; threads <= 5; threads++) {
            check_launch(tasks[k], threads);
        }
    }
}

static void test_numbers(void) {
    CHECK_AT("numbers");
    CHECK(dtd_set_num_threads(0) == DTD_OK);
    const int most = dtd_get_num_threads();
    CHECK(most >= 1);
    /* ctest sets OMP_NUM_THREADS */
    CHECK(dtd_has_openmp() ? most == MOST_THREADS : most == 1);
    for (int threads = 1; threads <= MOST_THREADS + 2; threads++) {
        CHECK(dtd_set_num_threads(threads) == DTD_OK);
        CHECK(dtd_get_num_threads() == (threads < most ? threads : most));
        CHECK(dtd_threads_for(1e12) == dtd_get_num_threads());
        CHECK(dtd_threads_for(1) == 1 && dtd_threads_for(0) == 1);
    }
    CHECK(dtd_set_num_threads(2) == DTD_OK);
    const int before = dtd_get_num_threads();
    CHECK(dtd_set_num_threads(-1) == DTD_ERROR_ARGUMENT);
    CHECK(dtd_get_num_threads() == before);
    CHECK(dtd_set_num_threads(0) == DTD_OK);
    CHECK(dtd_get_num_threads() == most);
}

#if HAVE_FORK
enum { SECONDS = 60, INPUTS = 521, OUTPUTS = 523 };

static void forward(const float *x, const float *w, float *a) {
    CHECK(dtd_dense_forward_f32((dtd_dense_shape){2, 1, INPUTS, OUTPUTS}, x, w, NULL, a) == DTD_OK);
}

/* The child: serial until it asks for threads, then with its own; the parent's bits. */
static void check_child(const float *x, const float *w, const float *wanted) {
    float *const a = new_room_f32(2 * OUTPUTS);
    CHECK_AT("child");
    CHECK(dtd_get_num_threads() == 1);
    forward(x, w, a);
    CHECK(same_f32(2 * OUTPUTS, a, wanted));
    CHECK(dtd_set_num_threads(MOST_THREADS) == DTD_OK);
    CHECK(dtd_get_num_threads() == (dtd_has_openmp() ? MOST_THREADS : 1));
    memset(a, 0, 2 * OUTPUTS * sizeof(float));
    forward(x, w, a);
    CHECK(same_f32(2 * OUTPUTS, a, wanted));
    test_launches();
    free(a);
}

static void test_fork(void) {
    float *const x = new_values_f32(2 * INPUTS, -1, 1);
    float *const w = new_values_f32((size_t)INPUTS * OUTPUTS, -1, 1);
    float *const wanted = new_room_f32(2 * OUTPUTS);
    CHECK_AT("fork");
    CHECK(dtd_set_num_threads(MOST_THREADS) == DTD_OK);
    forward(x, w, wanted);
    const pid_t child = fork();
    if (child == 0) {
        alarm(SECONDS); /* a child that hangs dies */
        check_failures = 0;
        check_child(x, w, wanted);
        _exit(check_failures > 0);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_AT("after fork");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(dtd_get_num_threads() == (dtd_has_openmp() ? MOST_THREADS : 1)); /* the parent's number */
    free(x);
    free(w);
    free(wanted);
}
#endif

int main(void) {
    test_numbers();
    test_launches();
#if HAVE_FORK
    test_fork();
#endif
    return check_report("threads");
}
