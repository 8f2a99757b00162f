/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Codes, checked sizes, scratch memory. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "dtd_internal.h"

enum { ALIGNMENT = 64 };

const char *dtd_strerror(int status) {
    switch (status) {
    case DTD_OK:
        return "no error";
    case DTD_ERROR_ARGUMENT:
        return "an argument is out of its range or missing";
    case DTD_ERROR_SIZE:
        return "the sizes are too large for this machine";
    case DTD_ERROR_MEMORY:
        return "out of memory";
    case DTD_ERROR_UNKNOWN_ISA:
        return "unknown instruction set level";
    case DTD_ERROR_UNSUPPORTED_ISA:
        return "this processor does not support the instruction set level";
    default:
        return "unknown status code";
    }
}

int dtd_multiply(size_t a, size_t b, size_t *product) {
    if (b != 0 && a > SIZE_MAX / b) {
        return DTD_ERROR_SIZE;
    }
    *product = a * b;
    return DTD_OK;
}

int dtd_check_size(size_t a, size_t b, size_t element) {
    size_t count, bytes;
    if (dtd_multiply(a, b, &count) || dtd_multiply(count, element, &bytes) || bytes > PTRDIFF_MAX) {
        return DTD_ERROR_SIZE;
    }
    return DTD_OK;
}

/* Allocations until one fails on purpose; 0 = never. */
static atomic_long allocations_left;

void dtd_test_fail_allocation(long k) { atomic_store(&allocations_left, k); }

static int fails_on_purpose(void) {
    long left = atomic_load(&allocations_left);
    while (left > 0 && !atomic_compare_exchange_weak(&allocations_left, &left, left - 1)) {
    }
    return left == 1;
}

void *dtd_alloc(size_t bytes) {
    if (fails_on_purpose() || bytes > SIZE_MAX - ALIGNMENT - sizeof(void *)) {
        return NULL;
    }
    char *const memory = malloc(bytes + ALIGNMENT + sizeof(void *));
    if (memory == NULL) {
        return NULL;
    }
    /* the start of the block is kept in front of the aligned address */
    char *aligned = memory + sizeof(void *);
    aligned += (ALIGNMENT - (uintptr_t)aligned % ALIGNMENT) % ALIGNMENT;
    ((void **)(void *)aligned)[-1] = memory;
    return aligned;
}

void dtd_free(void *memory) {
    if (memory != NULL) {
        free(((void **)memory)[-1]);
    }
}
