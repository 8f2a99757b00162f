/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of status.c and cpu.c: codes, sizes, scratch memory, levels. */
#include "support.h"

static void test_texts(void) {
    CHECK_AT("texts");
    for (int a = DTD_ERROR_UNSUPPORTED_ISA - 1; a <= DTD_OK; a++) {
        CHECK(dtd_strerror(a) != NULL && strlen(dtd_strerror(a)) > 0);
        for (int b = a + 1; b <= DTD_OK; b++) {
            CHECK(strcmp(dtd_strerror(a), dtd_strerror(b)) != 0);
        }
    }
    CHECK(strcmp(dtd_strerror(1), dtd_strerror(-1000)) == 0);
    CHECK(strlen(dtd_compiler()) > 0);
}

static void test_sizes(void) {
    const size_t half = SIZE_MAX / 2, most = PTRDIFF_MAX;
    size_t product = 5;
    CHECK_AT("sizes");
    CHECK(dtd_multiply(3, 7, &product) == DTD_OK && product == 21);
    CHECK(dtd_multiply(0, SIZE_MAX, &product) == DTD_OK && product == 0);
    CHECK(dtd_multiply(SIZE_MAX, 0, &product) == DTD_OK && product == 0);
    CHECK(dtd_multiply(half, 2, &product) == DTD_OK && product == SIZE_MAX - 1);
    CHECK(dtd_multiply(half + 1, 2, &product) == DTD_ERROR_SIZE);
    CHECK(dtd_multiply(2, half + 1, &product) == DTD_ERROR_SIZE);
    CHECK(dtd_check_size(most / 8, 1, 8) == DTD_OK);
    CHECK(dtd_check_size(most / 8 + 1, 1, 8) == DTD_ERROR_SIZE);
    CHECK(dtd_check_size(half, half, 0) == DTD_ERROR_SIZE);
    CHECK(dtd_check_size(0, SIZE_MAX, 8) == DTD_OK);
    CHECK(dtd_ceil_div(0, 4) == 0 && dtd_ceil_div(8, 4) == 2 && dtd_ceil_div(9, 4) == 3);
    CHECK(dtd_ceil_div(SIZE_MAX, 2) == half + 1);
    CHECK(dtd_min(2, 3) == 2 && dtd_min(3, 2) == 2 && dtd_max(2, 3) == 3 && dtd_max(3, 2) == 3);
}

static void test_memory(void) {
    CHECK_AT("memory");
    for (size_t bytes = 0; bytes < 200; bytes += 13) {
        unsigned char *const memory = dtd_alloc(bytes);
        if (CHECK(memory != NULL)) {
            CHECK((uintptr_t)memory % 64 == 0);
            memset(memory, 1, bytes); /* all of it may be written */
        }
        dtd_free(memory);
    }
    dtd_free(NULL);
    CHECK(dtd_alloc(SIZE_MAX) == NULL);
    CHECK(dtd_alloc(SIZE_MAX - 64) == NULL);

    dtd_test_fail_allocation(2);
    void *const first = dtd_alloc(1), *const second = dtd_alloc(1), *const third = dtd_alloc(1);
    CHECK(first != NULL && second == NULL && third != NULL);
    dtd_free(first);
    dtd_free(third);
    dtd_test_fail_allocation(1);
    dtd_test_fail_allocation(0);
    void *const fourth = dtd_alloc(1);
    CHECK(fourth != NULL);
    dtd_free(fourth);
}

static void test_levels(void) {
    const char *name, *best = NULL, *last = NULL;
    size_t count = 0;
    int supported = -1;
    CHECK_AT("levels");
    CHECK(dtd_isa_name() != NULL);
    for (; (name = dtd_isa_level(count, &supported)) != NULL; count++) {
        CHECK(supported == 0 || supported != -1);
        CHECK(dtd_isa_level(count, NULL) == name);
        best = best == NULL && supported ? name : best;
        last = name;
        if (supported) {
            CHECK(dtd_select_isa(name) == DTD_OK && strcmp(dtd_isa_name(), name) == 0);
        } else {
            CHECK(dtd_select_isa(name) == DTD_ERROR_UNSUPPORTED_ISA);
        }
    }
    CHECK(count > 0 && last != NULL && strcmp(last, "base") == 0);
    CHECK(dtd_isa_level(SIZE_MAX, &supported) == NULL);
    CHECK(dtd_select_isa("base") == DTD_OK);
    CHECK(dtd_kernel_table() == &dtd_kernels_base);
    CHECK(dtd_select_isa("") == DTD_ERROR_UNKNOWN_ISA);
    CHECK(dtd_select_isa("x86-64-v9") == DTD_ERROR_UNKNOWN_ISA);
    CHECK(strcmp(dtd_isa_name(), "base") == 0); /* a wrong name changes nothing */
    CHECK(dtd_select_isa(NULL) == DTD_OK);
    CHECK(best != NULL && strcmp(dtd_isa_name(), best) == 0);
}

int main(void) {
    test_texts();
    test_sizes();
    test_memory();
    test_levels();
    return check_report("status");
}
