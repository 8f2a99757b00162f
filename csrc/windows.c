/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of pools over windows of blocked images. */
#include "dtd_internal.h"

#define TEMPLATE "windows_impl.h"
#include "reals.h"
