/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A small provider in C: memory regions, and a data path in software in place of a device. It keeps the
 * whole contract of NDK's regions but for queue pairs, of which there are none; the letters and numbers
 * in brackets are its rules.
 *
 * - chain.c: what an MDL chain may look like, and its page-frame numbers.
 * - token.c: tokens that nobody can guess.
 * - region.c, window.c, domain.c, adapter.c: the objects and their tables.
 * - mapping.c: logical addresses.
 * - access.c, fast.c: what a queue pair would carry out: accesses, and fast registrations.
 * - job.c: requests that pend, and the thread that finishes them.
 * - hooks.c: what the conformance kit may ask for.
 *
 * One lock for each adapter guards everything below it. No completion is called under it, and no byte of
 * a consumer's is copied.
 */
#ifndef SOFT_H
#define SOFT_H

#include "ndk_conformance.h"

#include <pthread.h>
#include <stdbool.h>

/* The most bytes of a registration, and the most pages of a fast one. */
#define SOFT_MAX_LENGTH ((SIZE_T)16 << 20)
#define SOFT_FAST_PAGES 256u
/* Up to so many pages a registration is done at once; beyond, the adapter's thread does it. */
#define SOFT_AT_ONCE 4u

/* Operations that the kit has no number for. */
#define SOFT_CREATE_MW NDK_CONFORMANCE_OPERATIONS
#define SOFT_CLOSE_MW (NDK_CONFORMANCE_OPERATIONS + 1)
#define SOFT_OPERATIONS (NDK_CONFORMANCE_OPERATIONS + 2)

struct soft_adapter;
struct soft_domain;
struct soft_mapping;
struct soft_window;
struct soft_region;

/* A request, from its entry to the return of its completion. */
struct soft_job {
    struct soft_job *next;
    ULONG operation; /* NDK_CONFORMANCE_*, for want of other names, or SOFT_*. */
    struct soft_adapter *adapter;
    struct soft_domain *domain; /* Of what concerns one; likewise below. */
    struct soft_region *region;
    struct soft_window *window;
    bool waits_for_run; /* The kit decides when it goes on. */
    bool is_decided;    /* Cancelled, or its device is gone: it ends with `status`. */
    NTSTATUS status;    /* With what it ends; a failure that is planned. */
    union {
        NDK_FN_REQUEST_COMPLETION request;
        NDK_FN_CREATE_COMPLETION create;
        NDK_FN_CLOSE_COMPLETION close;
    } done;
    PVOID context;
    NDK_OBJECT_HEADER *made; /* By a creation. */
    union {
        bool fast; /* Creation of a region. */
        struct {
            MDL *mdl;
            SIZE_T length;
            ULONG flags;
            ULONG pages;
        } memory; /* Registration. */
        struct {
            ULONG pages;
            bool remote;
        } fast_memory; /* Initialisation. */
        struct {
            MDL *mdl;
            SIZE_T length;
            NDK_LOGICAL_ADDRESS_MAPPING *lam;
            ULONG *first;
            ULONG pages;
        } mapping;
    } of;
};

/* Memory as a device has it. */
struct soft_memory {
    uintptr_t *frames;
    UINT64 base, length; /* The address of the first byte, and how many there are. */
    ULONG accesses;      /* At work: none of all this may change. */
    bool is_released;    /* A mapping, that the last access frees. */
};

struct soft_mapping {
    struct soft_memory memory;
    struct soft_mapping *next;
};

struct soft_adapter {
    NDK_ADAPTER ndk;
    struct soft_adapter *next; /* Of all that are open. */
    pthread_mutex_t lock;
    pthread_cond_t work;    /* A job may go on, or the thread is to end. */
    pthread_cond_t changed; /* Something is over. */
    pthread_t thread;
    struct soft_job *first, **last; /* Jobs, in the order in which they came. */
    bool is_idle;                   /* The thread found nothing to do. */
    bool is_closing, is_ending;
    ULONG children;        /* Domains, and what is being created or mapped. */
    ULONG regions, domains; /* That are not freed. */
    ULONG limit;           /* Of the regions. */
    bool is_lost;
    struct soft_region *all;       /* The regions. */
    struct soft_window *windows;
    struct soft_mapping *mappings; /* That are not released. */
    UINT64 next_page;              /* Of the next mapping. */
    uint16_t key[22]; /* Of the tokens. */
    UINT32 tokens;    /* That were drawn. */
    /* By the kit's hooks. */
    ULONG pace, held, runs;
    bool is_cancellable;
    NTSTATUS fails[SOFT_OPERATIONS];
};

struct soft_domain {
    NDK_PD ndk;
    struct soft_adapter *adapter;
    UINT32 privileged;
    ULONG children; /* Regions and windows, and those that are being created. */
    bool is_closing, is_waiting; /* Waiting: for the last child, with `close`. */
    struct soft_job close;
};

struct soft_region {
    NDK_MR ndk;
    struct soft_adapter *adapter;
    struct soft_domain *domain;
    struct soft_region *next;
    bool is_fast, is_live; /* Live: registered or initialised. */
    bool is_reachable;     /* Accesses may begin: registered, conventionally or by a request. */
    bool is_busy;          /* Register or Deregister is in progress. */
    ULONG initialising;
    ULONG requests; /* In progress, until their completions have returned. */
    ULONG windows;  /* Bound to it. */
    bool is_closing, is_waiting;
    UINT32 local, remote;
    ULONG flags; /* Of the registration. */
    ULONG pages; /* For which there is room among the frames. */
    struct soft_memory memory;
    struct soft_job close;
};

struct soft_window {
    NDK_MW ndk;
    struct soft_adapter *adapter;
    struct soft_domain *domain;
    struct soft_window *next;
    struct soft_region *region; /* That it is bound to, or null. */
    bool is_closing;
    UINT32 remote;
    ULONG flags;
    struct soft_memory memory; /* A part of the region's; the frames are the region's. */
    struct soft_job close;
};

/* For the conformance kit, and for whoever opens adapters. */
extern const NDK_CONFORMANCE_PROVIDER soft_provider;
NTSTATUS NTAPI soft_open(NDK_VERSION version, NDK_ADAPTER **adapter);
NTSTATUS NTAPI soft_close(NDK_ADAPTER *adapter);

/* ---- chain.c --------------------------------------------------------------------------------- */

/* Checks the first `length` bytes of a chain [C3 to C8, C15], and counts the pages they span. */
NTSTATUS soft_check_chain(const MDL *mdl, SIZE_T length, ULONG *pages);
/* Copies the page-frame numbers of a chain that was checked. */
void soft_copy_frames(const MDL *mdl, SIZE_T length, uintptr_t *frames);

/* ---- token.c: the lock is held --------------------------------------------------------------- */

/* Makes the adapter's key; false where the system has no randomness. */
bool soft_make_key(struct soft_adapter *adapter);
/* Draws a token that this adapter has never had; false after 2^32 - 1 of them. */
bool soft_draw_token(struct soft_adapter *adapter, UINT32 *token);

/* ---- region.c -------------------------------------------------------------------------------- */

/* Whether these are flags at all [C1], and whether a peer's right is among them. */
bool soft_are_flags(ULONG flags);
bool soft_is_remote(ULONG flags);
/* Whether the region can be reached, or an access is still at work. The lock is held; likewise below. */
bool soft_is_in_use(const struct soft_region *region);
/* No access begins any more, and those at work are over when it returns [D3]. */
void soft_shut(struct soft_region *region);

/* ---- window.c -------------------------------------------------------------------------------- */

/* The bound window of the domain that a peer's token reaches, or null. The lock is held. */
struct soft_window *soft_find_window(struct soft_domain *domain, UINT32 token);
/* As NDK_CONFORMANCE_PROVIDER has it. */
NTSTATUS NTAPI soft_bind(NDK_PD *pd, NDK_MR *mr, NDK_MW *mw, PVOID base, SIZE_T length, ULONG flags);
/* Ends a binding, if there is one. The lock is held. */
NTSTATUS soft_unbind(struct soft_domain *domain, struct soft_window *window);
NTSTATUS NTAPI soft_create_mw(NDK_PD *pd, NDK_FN_CREATE_COMPLETION done, PVOID context, NDK_MW **out);

/* ---- mapping.c ------------------------------------------------------------------------------- */

/* The mapping that has all these bytes, or null. The lock is held; likewise for the next two. */
struct soft_memory *soft_find_mapping(struct soft_adapter *adapter, UINT64 address, UINT64 length);
void soft_free_mapping(struct soft_memory *memory);
/* Those that nobody released. */
void soft_forget_mappings(struct soft_adapter *adapter);
NTSTATUS NTAPI soft_build_lam(NDK_ADAPTER *ndk, MDL *mdl, SIZE_T length,
                              NDK_FN_REQUEST_COMPLETION done, PVOID context,
                              NDK_LOGICAL_ADDRESS_MAPPING *lam, ULONG *size, ULONG *first);
void NTAPI soft_release_lam(NDK_ADAPTER *ndk, NDK_LOGICAL_ADDRESS_MAPPING *lam);

/* ---- access.c -------------------------------------------------------------------------------- */

/* Whether all these bytes are the memory's [F1, F2]. */
bool soft_is_inside(const struct soft_memory *memory, UINT64 address, UINT64 length);
/* The region of the domain that a peer's token reaches, or null. The lock is held. */
struct soft_region *soft_find_remote(struct soft_domain *domain, UINT32 token);
/* One access, as NDK_CONFORMANCE_PROVIDER has it. */
NTSTATUS NTAPI soft_access(NDK_PD *pd, ULONG access, UINT32 token, UINT64 address, ULONG length,
                           PVOID bytes);

/* ---- fast.c: as NDK_CONFORMANCE_PROVIDER has them --------------------------------------------- */

NTSTATUS NTAPI soft_fast_register(NDK_PD *pd, NDK_MR *mr, ULONG pages,
                                  const NDK_LOGICAL_ADDRESS *addresses, ULONG fbo, SIZE_T length,
                                  PVOID base, ULONG flags);
NTSTATUS NTAPI soft_invalidate(NDK_PD *pd, NDK_OBJECT_HEADER *object);
/* By a peer's send. */
NTSTATUS soft_invalidate_token(struct soft_domain *domain, UINT32 token);

/* ---- job.c ----------------------------------------------------------------------------------- */

/* What an entry returns that has nothing more to do. The lock is held, and free afterwards. */
NTSTATUS soft_answer(struct soft_adapter *adapter, NTSTATUS status);
/* Does a request at once, or lets it pend, and gives what its entry returns. The lock is held, and
 * free afterwards. `waits`: it is the thread's, whatever the pace. */
NTSTATUS soft_start(struct soft_job *job, bool waits);
/* Hands a job to the thread. The lock is held; likewise below. */
void soft_queue(struct soft_job *job);
/* Ends the requests of a region that wait [H2]. */
void soft_cancel(struct soft_region *region);
/* Whether the thread has something to do. */
bool soft_is_ready(struct soft_adapter *adapter);
/* The adapter whose completion this thread is in, or null. */
struct soft_adapter *soft_inside(void);
void *soft_thread(void *adapter);

/* ---- What a job does, and undoes; the lock is held ------------------------------------------- */

/* Carries a job out, or ends it with the status that is decided, and brings its object into the state
 * that it has from then on. */
NTSTATUS soft_region_perform(struct soft_job *job);
NTSTATUS soft_domain_perform(struct soft_job *job);
NTSTATUS soft_window_perform(struct soft_job *job);
NTSTATUS soft_mapping_perform(struct soft_job *job);
/* The completion of a request has returned: whoever waits for that may go on. */
void soft_region_rests(struct soft_region *region);
void soft_domain_rests(struct soft_domain *domain);
void soft_adapter_rests(struct soft_adapter *adapter);

/* The object, or null for what is none [A6]. */
struct soft_adapter *soft_adapter_of(NDK_ADAPTER *ndk);
struct soft_domain *soft_domain_of(NDK_OBJECT_HEADER *object);
/* Starts a creation in a domain, of what the job says, as its entry is called. */
NTSTATUS soft_start_creation(struct soft_job *job, NDK_PD *pd, NDK_FN_CREATE_COMPLETION done,
                             PVOID context, const void *out);
/* The entry of an object's table that finds no extension [A5]. */
NTSTATUS NTAPI soft_no_extension(NDK_OBJECT_HEADER *object, GUID *id, NDK_VERSION version,
                                 NDK_EXTENSION_INTERFACE *out);

extern const NDK_MR_DISPATCH soft_region_table;
extern const NDK_MW_DISPATCH soft_window_table;
extern const NDK_PD_DISPATCH soft_domain_table;

#endif
