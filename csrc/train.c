/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver of training: the loop of stochastic gradient descent over the drivers of dense layers and pools. */
#include <stdint.h>
#include <string.h>

#include "dtd_internal.h"

/* Parts of the scratch memory begin at multiples of so many bytes. */
enum { PART_ALIGNMENT = 64 };

/* More scratch memory than any call may want; sums of two such sizes do not overflow. */
#define MOST_SCRATCH ((size_t)(PTRDIFF_MAX / 4))

#define TEMPLATE "train_impl.h"
#include "reals.h"
