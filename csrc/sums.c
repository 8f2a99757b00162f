/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of sums of values, and of the relevance of their summands. */
#include <float.h>

#include "dtd_internal.h"

/* Numbers of a task: part of the contract, for the accounts of the pieces of a row are added up in their order. */
enum { ADD_CHUNK = 32768, SHARE_CHUNK = 4096 };

#define REAL float
#define SUFFIX f32
#define LARGEST FLT_MAX
#include "sums_impl.h"
#undef REAL
#undef SUFFIX
#undef LARGEST

#define REAL double
#define SUFFIX f64
#define LARGEST DBL_MAX
#include "sums_impl.h"
#undef REAL
#undef SUFFIX
#undef LARGEST
