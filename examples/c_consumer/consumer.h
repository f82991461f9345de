/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the parts of the consumer share.
 */
#ifndef CONSUMER_H
#define CONSUMER_H

#include "ndk_mr.h"
#include "waiter.h"

/* Prints a line, and ends the program where it is not as expected. */
void expect(const char *what, NTSTATUS status, NTSTATUS expected);
void expect_that(const char *what, int holds);

NDK_MR *create_mr(NDK_PD *pd);
void close_mr(const char *what, const NDK_MR_DISPATCH *entries, NDK_MR *mr);
void register_mr(const char *what, NDK_MR *mr, MDL *mdl, SIZE_T length, ULONG flags);
void deregister_mr(NDK_MR *mr);

/* Calls what must be refused, on a region that is not registered and stays so. */
void refusals(NDK_ADAPTER *adapter, NDK_PD *pd, NDK_MR *mr, MDL *mdl, SIZE_T length);

#endif /* CONSUMER_H */
