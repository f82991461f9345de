/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * ndk_conformance.h: what a provider gives the conformance kit beside its tables.
 *
 * The kit calls the entries of the tables, and nothing of its own is between. Open and Close are
 * needed. The hooks after them may be null: a case that needs one that is not there is left out, and
 * counted with that reason. New hooks are added at the end, so that a provider's source, which names
 * its members, stays as it is. A program around the kit is three lines of Rust, see ndk_core's
 * conformance::Kit::table and examples/c_provider.
 */
#ifndef NDK_CONFORMANCE_H
#define NDK_CONFORMANCE_H

#include "ndkpi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The operations: a number for Fail, a bit (1 << number) for Hold. */
#define NDK_CONFORMANCE_CREATE_PD 0
#define NDK_CONFORMANCE_CLOSE_PD 1
#define NDK_CONFORMANCE_CREATE_MR 2
#define NDK_CONFORMANCE_CLOSE_MR 3
#define NDK_CONFORMANCE_REGISTER 4
#define NDK_CONFORMANCE_DEREGISTER 5
#define NDK_CONFORMANCE_INITIALIZE 6
#define NDK_CONFORMANCE_BUILD_LAM 7
#define NDK_CONFORMANCE_OPERATIONS 8

/* How requests complete: */
#define NDK_CONFORMANCE_BY_ITSELF 0 /* inline or not, as the provider does by itself; the start */
#define NDK_CONFORMANCE_PENDING 1   /* every one pends, and completes inside a call of Run */
#define NDK_CONFORMANCE_EARLY 2     /* every one pends, its callback before the entry has returned; where
                                     * it has to wait for something else, inside a call of Run */

/* Accesses to the memory of a domain. A peer's, by a remote token: */
#define NDK_CONFORMANCE_READ 0
#define NDK_CONFORMANCE_WRITE 1
#define NDK_CONFORMANCE_INVALIDATE 2 /* Its send ends what the token is of (G9). No bytes, no address. */
/* The domain's own, by a local token, or at a logical address by the privileged one: */
#define NDK_CONFORMANCE_SOURCE 3       /* A send or a write takes the bytes. */
#define NDK_CONFORMANCE_READ_SINK 4    /* A read brings them. */
#define NDK_CONFORMANCE_RECEIVE_SINK 5 /* A message of the peer's brings them. */

typedef struct NDK_CONFORMANCE_PROVIDER {
    /* Opens an adapter for this version (contract A8), as the provider's OpenNDKAdapterHandler. Several may
     * be open at a time, on several threads. */
    NTSTATUS(NTAPI *Open)(NDK_VERSION version, NDK_ADAPTER **adapter /* out */);
    /* Closes it, as the CloseNDKAdapterHandler, and blocks until nothing of it is left (H5). Inside a
     * completion of this adapter's: STATUS_INVALID_DEVICE_STATE, and it stays open. */
    NTSTATUS(NTAPI *Close)(NDK_ADAPTER *adapter);

    /* Sets how requests complete from now on: creations, closes and mappings too. With Run only. */
    void(NTAPI *Pace)(NDK_ADAPTER *adapter, ULONG pace);
    /* Finishes what pends by Pace or Hold and need not wait any longer, what becomes due by that, too,
     * on whatever thread; returns when all those completions have returned and what they freed is
     * gone. Counts as an entry for Close, which waits until it has left. Called of open adapters only:
     * while one is being closed, only as long as something of it is open, or pends by Pace or Hold. */
    void(NTAPI *Run)(NDK_ADAPTER *adapter);
    /* From now on these operations wait before they begin, and those that wait for a bit that is
     * missing now may go on, at the next Run. What waits pends, or goes on pending, whatever the pace.
     * A close of its region ends a waiting request with STATUS_CANCELLED, unless cancellable is
     * FALSE: then it goes on waiting, as what a device cannot stop. With Run only. */
    void(NTAPI *Hold)(NDK_ADAPTER *adapter, ULONG operations, BOOLEAN cancellable);
    /* Lets the next request of this operation fail with this status, and change nothing. */
    void(NTAPI *Fail)(NDK_ADAPTER *adapter, ULONG operation, NTSTATUS status);
    /* Takes the device away (H8). What waits by Hold ends with STATUS_DEVICE_REMOVED. */
    void(NTAPI *Lose)(NDK_ADAPTER *adapter);
    /* Sets the most regions that the adapter has room for (C14). */
    void(NTAPI *LimitRegions)(NDK_ADAPTER *adapter, ULONG regions);
    /* How many domains and regions there are that are not freed. With Run only. */
    ULONG(NTAPI *Objects)(NDK_ADAPTER *adapter);

    /* Carries out one access and returns when it is over, with what its work request comes to:
     * STATUS_SUCCESS once the bytes are where they go to, STATUS_ACCESS_VIOLATION where it is refused (F);
     * where it cannot even be posted, STATUS_INVALID_PARAMETER (L2) or STATUS_DEVICE_REMOVED (H8). What is
     * read comes into `bytes`, which nothing else changes; what is written is there. Several at a time, on
     * several threads, also while the registration ends (D3). How is the provider's affair: by two queue
     * pairs of its own, connected anew after a refusal, or by what its device is made of in software. */
    NTSTATUS(NTAPI *Access)(NDK_PD *domain, ULONG access, UINT32 token, UINT64 address, ULONG length,
                            PVOID bytes);
    /* NdkFastRegister on a connected queue pair of that domain, and its completion: gives the status of
     * whichever refuses it. The memory is what a mapping of BuildLAM has. With Access only, as the next. */
    NTSTATUS(NTAPI *FastRegister)(NDK_PD *domain, NDK_MR *mr, ULONG pages,
                                  const NDK_LOGICAL_ADDRESS *addresses, ULONG fbo, SIZE_T length,
                                  PVOID base, ULONG flags);
    /* NdkInvalidate, likewise: of a region, or a window. */
    NTSTATUS(NTAPI *Invalidate)(NDK_PD *domain, NDK_OBJECT_HEADER *object);
    /* NdkBind, likewise; with Invalidate only. STATUS_ACCESS_VIOLATION is a completion (F6). */
    NTSTATUS(NTAPI *Bind)(NDK_PD *domain, NDK_MR *mr, NDK_MW *window, PVOID address, SIZE_T length,
                          ULONG flags);
} NDK_CONFORMANCE_PROVIDER;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* NDK_CONFORMANCE_H */
