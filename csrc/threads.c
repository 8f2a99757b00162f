/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The launcher: the only OpenMP pragma of the project. Threads are counted anew for every call; the settings of
 * OpenMP are read and never written. OpenMP runtimes do not survive fork (their threads are gone, and a region waits
 * for them for ever), so a forked child works serially, or, once it has set its own number of threads, with threads
 * of its own.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getcpu and the sets of processors */
#endif
#include <stdatomic.h>

#include "dtd_internal.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#if defined(__linux__) && defined(_OPENMP)
#include <sched.h>
#endif

#if defined(__unix__) || defined(__APPLE__)
#define HAVE_FORK 1
#include <pthread.h>
#else
#define HAVE_FORK 0
#endif

enum { MOST_CHILD_THREADS = 256 };

/* Work, in multiply-adds, below which one thread is faster than two. */
static const double SMALL_WORK = 1 << 18;

static atomic_int own_setting; /* 0 = none */
static atomic_int forked;      /* this process is a child whose parent had loaded the core */

#if HAVE_FORK
static void after_fork_in_child(void) {
    atomic_store(&forked, 1);
    atomic_store(&own_setting, 0);
}

static pthread_once_t watch_once = PTHREAD_ONCE_INIT;
static void watch(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }
static void watch_forks(void) { pthread_once(&watch_once, watch); }
#else
static void watch_forks(void) {}
#endif

int dtd_has_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

int dtd_set_num_threads(int threads) {
    if (threads < 0) {
        return DTD_ERROR_ARGUMENT;
    }
    watch_forks();
    atomic_store(&own_setting, threads);
    return DTD_OK;
}

int dtd_get_num_threads(void) {
#ifdef _OPENMP
    const int own = atomic_load(&own_setting);
    if (atomic_load(&forked) && own == 0) {
        return 1;
    }
    const int most = omp_get_max_threads();
    return own > 0 && own < most ? own : most;
#else
    return 1;
#endif
}

/*
 * Late teams. Where other programs hold the processors, the threads of a team come late, and the caller waits for them
 * at the start and the end of a region for longer than all of the work would have taken it: a time slice of some milliseconds for
 * tens of microseconds of work. After a team that came so late, calls go alone for a while, four times as long after
 * each time; one that comes in time halves that. It is time that counts, not calls: a burst of another program passes in
 * milliseconds, however large the calls are. Results do not depend on it: they are the same for any number of threads.
 */
static const double LATE_SECONDS = 1e-3, LATE_RATIO = 4;
static const double FIRST_PENALTY = 2e6, MOST_PENALTY = 256e6; /* nanoseconds */
static const double LARGE_WORK = 1 << 28;                      /* work that is worth waiting for */
static atomic_llong alone_until, penalty; /* nanoseconds of the clock of OpenMP */

#ifdef _OPENMP
static void judge_team(double busy, double waited) {
    const double known = (double)atomic_load_explicit(&penalty, memory_order_relaxed);
    if (waited > LATE_SECONDS && waited > LATE_RATIO * busy) {
        const double wanted = known == 0 ? FIRST_PENALTY : 4 * known;
        const double next = wanted < MOST_PENALTY ? wanted : MOST_PENALTY;
        const double until = omp_get_wtime() * 1e9 + next;
        atomic_store_explicit(&penalty, (long long)next, memory_order_relaxed);
        atomic_store_explicit(&alone_until, (long long)until, memory_order_relaxed);
    } else if (known > 0) {
        const double next = known / 2;
        atomic_store_explicit(&penalty, next < FIRST_PENALTY / 2 ? 0 : (long long)next,
                              memory_order_relaxed);
    }
}
#endif

int dtd_threads_for(double work) {
    if (work < SMALL_WORK) {
        return 1;
    }
#ifdef _OPENMP
    const long long until = atomic_load_explicit(&alone_until, memory_order_relaxed);
    if (until > 0 && work < LARGE_WORK) {
        if (omp_get_wtime() * 1e9 < (double)until) {
            return 1;
        }
        atomic_store_explicit(&alone_until, 0, memory_order_relaxed);
    }
#endif
    return dtd_get_num_threads();
}

#ifdef _OPENMP
/*
 * Shared processors. After a pause, or a burst of another program, Linux may wake a team's thread on the processor of
 * the caller and leave it there for many milliseconds, while another processor idles: two threads, then, are slower
 * than one. A thread that finds itself there moves away: for a moment it allows itself all its processors but this
 * one, and then all of them again.
 */
#ifdef __linux__
static int this_processor(void) { return sched_getcpu(); }

static void leave_processor(int callers) {
    cpu_set_t all, others;
    if (callers < 0 || callers >= CPU_SETSIZE || sched_getcpu() != callers ||
        sched_getaffinity(0, sizeof all, &all) != 0) {
        return;
    }
    others = all;
    CPU_CLR((size_t)callers, &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0) {
        (void)sched_setaffinity(0, sizeof all, &all);
    }
}
#else
static int this_processor(void) { return -1; }
static void leave_processor(int callers) { (void)callers; }
#endif
#endif

#if defined(_OPENMP) && HAVE_FORK
typedef struct {
    size_t tasks;
    dtd_task task;
    void *context;
    atomic_size_t next;
    atomic_int workers;
} child_team;

static void *child_work(void *argument) {
    child_team *const team = argument;
    const int worker = atomic_fetch_add(&team->workers, 1);
    for (size_t i; (i = atomic_fetch_add(&team->next, 1)) < team->tasks;) {
        team->task(team->context, i, worker);
    }
    return NULL;
}

/* Threads of our own for one call. Those that cannot be had are done without: the caller's thread does all tasks. */
static void parallel_in_child(size_t tasks, dtd_task task, void *context, int threads) {
    child_team team = {tasks, task, context, 0, 0};
    pthread_t others[MOST_CHILD_THREADS];
    int started = 0;
    while (started < threads - 1 && started < MOST_CHILD_THREADS &&
           pthread_create(&others[started], NULL, child_work, &team) == 0) {
        started++;
    }
    child_work(&team);
    for (int i = 0; i < started; i++) {
        pthread_join(others[i], NULL);
    }
}
#endif

void dtd_parallel(size_t tasks, dtd_task task, void *context, int threads) {
    if (threads > 1 && tasks > 1) {
#ifdef _OPENMP
#if HAVE_FORK
        if (atomic_load(&forked)) {
            parallel_in_child(tasks, task, context, threads);
            return;
        }
        watch_forks();
#endif
        const long long count = (long long)tasks;
        const int team = tasks < (size_t)threads ? (int)tasks : threads;
        const double begun = omp_get_wtime();
        double started = begun, done = begun;
        const int callers = this_processor();
#pragma omp parallel num_threads(team)
        {
            const int worker = omp_get_thread_num();
            if (worker == 0) {
                started = omp_get_wtime();
            } else {
                leave_processor(callers);
            }
#pragma omp for schedule(dynamic, 1) nowait
            for (long long i = 0; i < count; i++) {
                task(context, (size_t)i, worker);
            }
            if (worker == 0) {
                done = omp_get_wtime();
            }
        }
        judge_team(done - started, started - begun + (omp_get_wtime() - done));
        return;
#endif
    }
    for (size_t i = 0; i < tasks; i++) {
        task(context, i, 0);
    }
}
