/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of pooling over groups of consecutive neurons. All sums over a group are in double precision. */
#include <math.h>

#include "dtd_internal.h"

#define REAL float
#define SUFFIX f32
#define ABS fabsf
#include "pool_impl.h"
#undef REAL
#undef SUFFIX
#undef ABS

#define REAL double
#define SUFFIX f64
#define ABS fabs
#include "pool_impl.h"
#undef REAL
#undef SUFFIX
#undef ABS
