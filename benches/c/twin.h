/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The hand-written table: what a driver's author writes without this project, as small as it can be and still keep the
 * contract. It is the reference that the framework's cost is measured against, so it is meant to be good.
 *
 * There is no device behind it: a registration checks its arguments and its MDL chain, copies the page-frame numbers,
 * and enters a slot of the adapter's table under a token. Everything completes inline.
 */
#ifndef TWIN_H
#define TWIN_H

#include "ndkpi.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The most bytes of a registration, the most pages of a fast one. */
#define TWIN_MAX_LENGTH ((SIZE_T)1 << 40)
#define TWIN_FAST_PAGES 511u
/* Page-frame numbers that fit into the region itself. */
#define TWIN_OWN_PAGES 16u

/* What a token leads to. */
struct twin_slot {
    uint64_t base;
    uint64_t length;
    const uintptr_t *pages;
    ULONG flags;
    ULONG domain;
    _Atomic UINT32 token; /* 0: free. */
    UINT32 next;          /* The next free slot. */
    UINT32 key;           /* Changes each time, so that a token is not used twice in a row. */
};

struct twin_adapter {
    NDK_ADAPTER ndk;
    pthread_mutex_t lock; /* Guards the free list and the counts. */
    struct twin_slot *slots;
    UINT32 free;   /* 0: none. */
    UINT32 unused; /* The first slot that was never used. */
    ULONG regions;
    ULONG limit;
    ULONG domains;
    UINT64 next_page; /* Logical addresses. */
};

struct twin_domain {
    NDK_PD ndk;
    struct twin_adapter *adapter;
    ULONG number;
    UINT32 privileged;
    ULONG regions; /* Guarded by the adapter's lock, as the close that waits for them. */
    bool closing;
    NDK_FN_CLOSE_COMPLETION closed;
    PVOID context;
};

enum twin_state {
    TWIN_CREATED,
    TWIN_REGISTERED,
    TWIN_INITIALIZED,
    TWIN_BUSY, /* An entry is at work on it. */
    TWIN_CLOSING,
};

struct twin_region {
    NDK_MR ndk;
    struct twin_domain *domain;
    _Atomic ULONG state;
    ULONG flags;
    UINT32 token;
    UINT32 slot;
    bool fast;
    ULONG room; /* In `pages`, which is `own` or allocated, and then kept. */
    uintptr_t *pages;
    uintptr_t own[TWIN_OWN_PAGES];
};

/* An adapter with room for so many regions; null where there is no memory. */
NDK_ADAPTER *twin_open(ULONG regions);
/* Everything made of it was closed. */
void twin_close(NDK_ADAPTER *adapter);

/* The least that a token getter can be: one load behind an indirect call. */
UINT32 NTAPI twin_bare_token(NDK_MR *region);

/* What the files of the one translation unit share. */
static NTSTATUS create_region(struct twin_domain *domain, bool fast, NDK_MR **out);
static void region_ended(struct twin_domain *domain);
/* Takes a slot; 0 where there is none. Gives its token; the slot is the caller's alone until the token is stored. */
static UINT32 take_slot(struct twin_adapter *adapter, UINT32 *token);
static void give_slot(struct twin_adapter *adapter, UINT32 slot);
/* Checks the first `length` bytes of a chain, and counts the pages they span. */
static NTSTATUS check_chain(const MDL *mdl, SIZE_T length, ULONG *pages);
/* Copies the page-frame numbers of a chain that was checked. */
static void copy_pages(const MDL *mdl, SIZE_T length, uintptr_t *pages);

#endif
