/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of blocked images: reorders, local response normalisation. */
#include "dtd_internal.h"

/* Pixels of one block that a task takes. */
enum { PIXELS = 1024, LRN_PIXELS = 256 };

#define REAL float
#define SUFFIX f32
#include "image_impl.h"
#undef REAL
#undef SUFFIX

#define REAL double
#define SUFFIX f64
#include "image_impl.h"
#undef REAL
#undef SUFFIX
