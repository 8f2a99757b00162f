/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* A small harness: CHECK counts and reports, CHECK_AT tells where, check_report ends a test. */
#ifndef DTD_CHECK_H
#define DTD_CHECK_H

#include <stdio.h>

enum { CHECK_SHOWN = 20 }; /* failures printed at most */

static long check_count, check_failures;
static char check_where[200];

static inline int check_that(int holds, const char *text, const char *file, int line) {
    check_count++;
    if (!holds && check_failures++ < CHECK_SHOWN) {
        fprintf(stderr, "%s:%d: failed: %s [%s]\n", file, line, text, check_where);
    }
    return holds;
}

#define CHECK(condition) check_that((condition) != 0, #condition, __FILE__, __LINE__)
#define CHECK_AT(...) snprintf(check_where, sizeof check_where, __VA_ARGS__)

/* A program that checked nothing has failed. */
static inline int check_report(const char *name) {
    printf("%s: %ld checks, %ld failures\n", name, check_count, check_failures);
    return check_failures > 0 || check_count == 0;
}

#endif
