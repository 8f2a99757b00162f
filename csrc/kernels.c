/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The micro-kernels of one ISA level. This file is compiled once per level, with the level's flags and with DTD_LEVEL
 * set to its suffix; it gives nothing to the linker but the table dtd_kernels_<level>. Serial; no failure but asserts.
 */
#include <assert.h>

#include "dtd_internal.h"
#include "vec.h"
#include "window.h"

#define DTD_NOINLINE __attribute__((noinline))
#define VEC NAME(vec)
#define IVEC NAME(ivec)
#define LANES ((size_t)NAME(LANES))
#define FMA NAME(vec_fma)
/* In a step with the constant whole and the number count of lanes. */
#define LOAD(pointer) (whole ? NAME(vec_load)(pointer) : NAME(vec_load_part)((pointer), count))
#define STORE(pointer, v)                                                                          \
    do {                                                                                           \
        if (whole) {                                                                               \
            NAME(vec_store)((pointer), (v));                                                       \
        } else {                                                                                   \
            NAME(vec_store_part)((pointer), (v), count);                                           \
        }                                                                                          \
    } while (0)

/* Accumulators of a tile at most, a multiple of 4. */
enum { FORWARD_MOST = 24, SPREAD_MOST = 28 };

#define TEMPLATE "kernels_term.h"
#include "reals.h"
#define TEMPLATE "kernels_forward.h"
#include "reals.h"
#define TEMPLATE "kernels_spread.h"
#include "reals.h"
#define TEMPLATE "kernels_train.h"
#include "reals.h"
#define TEMPLATE "kernels_quotient.h"
#include "reals.h"
#define TEMPLATE "kernels_conv.h"
#include "reals.h"
#define TEMPLATE "kernels_narrow.h"
#include "reals.h"
#define TEMPLATE "kernels_image.h"
#include "reals.h"
#define TEMPLATE "kernels_sums.h"
#include "reals.h"
#define TEMPLATE "kernels_pool.h"
#include "reals.h"
#define TEMPLATE "kernels_lrn.h"
#include "reals.h"

const dtd_kernels DTD_JOIN(dtd_kernels, DTD_LEVEL) = {
#define KERNEL(name, arguments) .NAME(name) = NAME(name),
#define TEMPLATE "kernels.def"
#include "reals.h"
};
