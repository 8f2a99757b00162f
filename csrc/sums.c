/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of sums of values, and of the relevance of their summands. */
#include "dtd_internal.h"

/* Numbers of a task: part of the contract, for the accounts of the pieces of a row are added up in their order. */
enum { ADD_CHUNK = 32768, SHARE_CHUNK = 4096 };

#define TEMPLATE "sums_impl.h"
#include "reals.h"
