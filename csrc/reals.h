/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* No include guard: each inclusion includes the file that TEMPLATE names twice, for float and for double, and forgets
 * TEMPLATE. SUFFIX ends the names of what is defined there (NAME of dtd_internal.h). <float.h> and
 * <math.h> come from the file around. */

#define REAL float
#define SUFFIX f32
#define LARGEST FLT_MAX
#define SMALLEST FLT_MIN
#define STEP FLT_EPSILON
#define ABS fabsf
#define POWER powf
#include TEMPLATE
#undef REAL
#undef SUFFIX
#undef LARGEST
#undef SMALLEST
#undef STEP
#undef ABS
#undef POWER

#define REAL double
#define SUFFIX f64
#define LARGEST DBL_MAX
#define SMALLEST DBL_MIN
#define STEP DBL_EPSILON
#define ABS fabs
#define POWER pow
#include TEMPLATE
#undef REAL
#undef SUFFIX
#undef LARGEST
#undef SMALLEST
#undef STEP
#undef ABS
#undef POWER

#undef TEMPLATE
