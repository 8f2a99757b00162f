/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of pools over windows of blocked images. */
#include <float.h>
#include <math.h>

#include "dtd_internal.h"

#define REAL float
#define SUFFIX f32
#define LARGEST FLT_MAX
#include "windows_impl.h"
#undef REAL
#undef SUFFIX
#undef LARGEST

#define REAL double
#define SUFFIX f64
#define LARGEST DBL_MAX
#include "windows_impl.h"
#undef REAL
#undef SUFFIX
#undef LARGEST
