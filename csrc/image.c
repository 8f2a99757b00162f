/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of blocked images: reorders, local response normalisation. */
#include "dtd_internal.h"

/* Pixels of one block that a task takes. */
enum { PIXELS = 1024, LRN_PIXELS = 256 };

#define TEMPLATE "image_impl.h"
#include "reals.h"
