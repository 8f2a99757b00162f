/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers of the quotient of relevance and z, of sums of rows and, without a micro-kernel, of the search for strange
 * inputs. Long rows are cut into chunks of a fixed length, whose sums are added in order. */
#include "dtd_internal.h"

enum { QUOTIENT_CHUNK = 4096, SUM_CHUNK = 1 << 14, ROW_CHUNK = 1 << 16 };

void dtd_add_accounts(size_t rows, size_t chunks, const double *totals, double *account) {
    for (size_t row = 0; row < rows; row++, account += DTD_ACCOUNT_ENTRIES) {
        for (size_t chunk = 0; chunk < chunks; chunk++) {
            for (size_t entry = 0; entry < DTD_ACCOUNT_ENTRIES; entry++) {
                account[entry] += *totals++;
            }
        }
    }
}

#define TEMPLATE "elementwise_impl.h"
#include "reals.h"
