/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Which levels were compiled, which this processor runs, and the table in use. */
#include <stdatomic.h>
#include <string.h>

#include "dtd_internal.h"

typedef struct {
    const char *name;
    const dtd_kernels *kernels;
    int (*supported)(void);
} level;

/* DTD_LEVEL_V3, DTD_LEVEL_V4 come from the build: the conditions that cover the flags of that level's objects. */
#ifdef DTD_LEVEL_V4
static int supports_v4(void) { return DTD_LEVEL_V4; }
#endif
#ifdef DTD_LEVEL_V3
static int supports_v3(void) { return DTD_LEVEL_V3; }
#endif
static int supports_base(void) { return 1; }

static const level levels[] = {
#ifdef DTD_LEVEL_V4
    {"x86-64-v4", &dtd_kernels_v4, supports_v4},
#endif
#ifdef DTD_LEVEL_V3
    {"x86-64-v3", &dtd_kernels_v3, supports_v3},
#endif
    {"base", &dtd_kernels_base, supports_base},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

/* NULL until a level has been chosen. */
static _Atomic(const level *) chosen;

static const level *best_level(void) {
    const level *best = levels;
    while (!best->supported()) {
        best++; /* ends at base */
    }
    return best;
}

static const level *current_level(void) {
    const level *current = atomic_load_explicit(&chosen, memory_order_acquire);
    if (current == NULL) {
        const level *const best = best_level();
        if (atomic_compare_exchange_strong(&chosen, &current, best)) {
            current = best;
        }
    }
    return current;
}

const dtd_kernels *dtd_kernel_table(void) { return current_level()->kernels; }

const char *dtd_isa_name(void) { return current_level()->name; }

const char *dtd_isa_level(size_t index, int *supported) {
    if (index >= LEVELS) {
        return NULL;
    }
    if (supported) {
        *supported = levels[index].supported();
    }
    return levels[index].name;
}

int dtd_select_isa(const char *name) {
    if (name == NULL) {
        atomic_store(&chosen, best_level());
        return DTD_OK;
    }
    for (size_t i = 0; i < LEVELS; i++) {
        if (strcmp(name, levels[i].name) == 0) {
            if (!levels[i].supported()) {
                return DTD_ERROR_UNSUPPORTED_ISA;
            }
            atomic_store(&chosen, &levels[i]);
            return DTD_OK;
        }
    }
    return DTD_ERROR_UNKNOWN_ISA;
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *dtd_compiler(void) {
#if defined(__clang__)
    return "clang " TEXT(__clang_major__) "." TEXT(__clang_minor__);
#elif defined(__GNUC__)
    return "gcc " TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__);
#else
    return "unknown";
#endif
}
