/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of pooling over groups of consecutive neurons. All sums over a group are in double precision. */
#include "dtd_internal.h"

#define TEMPLATE "pool_impl.h"
#include "reals.h"
