/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers without a micro-kernel: the quotient of relevance and z, sums of rows, the search for strange inputs. */
#include <float.h>
#include <math.h>

#include "dtd_internal.h"

#define REAL float
#define SUFFIX f32
#define ABS fabsf
#define LARGEST FLT_MAX
#define SMALLEST FLT_MIN
#include "elementwise_impl.h"
#undef REAL
#undef SUFFIX
#undef ABS
#undef LARGEST
#undef SMALLEST

#define REAL double
#define SUFFIX f64
#define ABS fabs
#define LARGEST DBL_MAX
#define SMALLEST DBL_MIN
#include "elementwise_impl.h"
#undef REAL
#undef SUFFIX
#undef ABS
#undef LARGEST
#undef SMALLEST
