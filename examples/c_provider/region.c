/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The region and its seven entries. */
#include "soft.h"

#include <stdlib.h>

/* The region, or null for what is none [A6]. The table that the object carries is never read [A4]. */
static struct soft_region *region_of(NDK_OBJECT_HEADER *object)
{
    bool is_region = object && object->ObjectType == NdkObjectTypeMr;

    return is_region ? (struct soft_region *)object : NULL;
}

bool soft_are_flags(ULONG flags)
{
    return !(flags & ~0xFu) && (!(flags & 0x4) || (flags & 0x1));
}

bool soft_is_remote(ULONG flags)
{
    const ULONG remote = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;

    return flags & remote & ~NDK_MR_FLAG_ALLOW_LOCAL_WRITE;
}

bool soft_is_in_use(const struct soft_region *region)
{
    return region->is_reachable || region->memory.accesses;
}

static struct soft_job job_of(struct soft_region *region, ULONG operation, PVOID context)
{
    struct soft_job job = {0};

    job.operation = operation;
    job.adapter = region->adapter;
    job.domain = region->domain;
    job.region = region;
    job.context = context;
    return job;
}

/* ---- What a job does ------------------------------------------------------------------------- */

static NTSTATUS draw_tokens(struct soft_region *region, bool is_remote)
{
    UINT32 local, remote = 0;

    if (!soft_draw_token(region->adapter, &local) ||
        (is_remote && !soft_draw_token(region->adapter, &remote)))
        return STATUS_INSUFFICIENT_RESOURCES;
    region->local = local;
    region->remote = remote;
    return STATUS_SUCCESS;
}

void soft_shut(struct soft_region *region)
{
    region->is_reachable = false;
    while (region->memory.accesses)
        pthread_cond_wait(&region->adapter->changed, &region->adapter->lock);
}

static void end_registration(struct soft_region *region)
{
    region->is_live = false;
    region->local = region->remote = 0;
    soft_shut(region);
    free(region->memory.frames);
    region->memory.frames = NULL;
}

static NTSTATUS register_memory(struct soft_job *job)
{
    struct soft_region *region = job->region;
    const MDL *mdl = job->of.memory.mdl;
    uintptr_t *frames = malloc(job->of.memory.pages * sizeof *frames);
    NTSTATUS status;

    if (!frames)
        return STATUS_INSUFFICIENT_RESOURCES;
    status = draw_tokens(region, soft_is_remote(job->of.memory.flags));
    if (status != STATUS_SUCCESS) {
        free(frames);
        return status;
    }
    soft_copy_frames(mdl, job->of.memory.length, frames); /* The chain is not needed any more [C15]. */
    region->memory.frames = frames;
    region->memory.base = (uintptr_t)mdl->StartVa + mdl->ByteOffset;
    region->memory.length = job->of.memory.length;
    region->pages = job->of.memory.pages;
    region->flags = job->of.memory.flags;
    region->is_live = region->is_reachable = true;
    return STATUS_SUCCESS;
}

static NTSTATUS initialize(struct soft_job *job)
{
    struct soft_region *region = job->region;
    uintptr_t *frames = malloc(job->of.fast_memory.pages * sizeof *frames);
    NTSTATUS status;

    if (!frames)
        return STATUS_INSUFFICIENT_RESOURCES;
    status = draw_tokens(region, job->of.fast_memory.remote);
    if (status != STATUS_SUCCESS) {
        free(frames);
        return status;
    }
    free(region->memory.frames);
    region->memory.frames = frames;
    region->pages = job->of.fast_memory.pages;
    region->is_live = true;
    return STATUS_SUCCESS;
}

static NTSTATUS create(struct soft_job *job)
{
    struct soft_adapter *adapter = job->adapter;
    struct soft_region *region;

    if (adapter->regions >= adapter->limit)
        return STATUS_INSUFFICIENT_RESOURCES; /* [C14] */
    region = calloc(1, sizeof *region);
    if (!region)
        return STATUS_INSUFFICIENT_RESOURCES;
    region->ndk.Header.Version = adapter->ndk.Header.Version;
    region->ndk.Header.ObjectType = NdkObjectTypeMr;
    region->ndk.Dispatch = &soft_region_table;
    region->adapter = adapter;
    region->domain = job->domain;
    region->is_fast = job->of.fast;
    region->next = adapter->all;
    adapter->all = region;
    adapter->regions++;
    job->made = &region->ndk.Header;
    return STATUS_SUCCESS;
}

static void destroy(struct soft_region *region)
{
    struct soft_region **link = &region->adapter->all;

    while (*link != region)
        link = &(*link)->next;
    *link = region->next;
    region->adapter->regions--;
    free(region);
}

NTSTATUS soft_region_perform(struct soft_job *job)
{
    struct soft_region *region = job->region;
    NTSTATUS status = job->status; /* That which is decided or planned; else success. */

    switch (job->operation) {
    case NDK_CONFORMANCE_CREATE_MR:
        return status == STATUS_SUCCESS ? create(job) : status;
    case NDK_CONFORMANCE_CLOSE_MR:
        end_registration(region);
        destroy(region);
        return STATUS_SUCCESS;
    case NDK_CONFORMANCE_REGISTER:
        region->is_busy = false;
        return status == STATUS_SUCCESS ? register_memory(job) : status;
    case NDK_CONFORMANCE_DEREGISTER:
        if (status == STATUS_SUCCESS)
            end_registration(region);
        region->is_busy = false;
        return status;
    default: /* Initialisation; the last one that succeeds decides [G3]. */
        region->initialising--;
        return status == STATUS_SUCCESS ? initialize(job) : status;
    }
}

void soft_region_rests(struct soft_region *region)
{
    if (region->requests == 0 && region->windows == 0 && region->is_waiting) {
        region->is_waiting = false;
        soft_queue(&region->close);
    }
}

/* ---- Entries --------------------------------------------------------------------------------- */

/* Whether a request may start in the region's state. The lock is held. */
static NTSTATUS may_start(struct soft_region *region, ULONG operation)
{
    bool fits = !region->is_closing && !region->is_busy;

    switch (operation) {
    case NDK_CONFORMANCE_REGISTER:
        fits = fits && !region->is_fast && !region->is_live;
        break;
    case NDK_CONFORMANCE_DEREGISTER:
        fits = fits && !region->is_fast && region->is_live;
        break;
    default:
        fits = fits && region->is_fast && !soft_is_in_use(region);
    }
    if (!fits)
        return STATUS_INVALID_DEVICE_STATE;
    return region->adapter->is_lost ? STATUS_DEVICE_REMOVED : STATUS_SUCCESS;
}

/* Whether a request for so many pages takes the thread, where the provider decides: also one that would have
 * to wait for accesses, since no entry blocks [B5]. */
static bool is_slow(const struct soft_region *region, ULONG pages)
{
    return region->adapter->pace == NDK_CONFORMANCE_BY_ITSELF &&
           (pages > SOFT_AT_ONCE || region->memory.accesses);
}

static NTSTATUS NTAPI register_mr(NDK_MR *mr, MDL *mdl, SIZE_T length, ULONG flags,
                                  NDK_FN_REQUEST_COMPLETION done, PVOID context)
{
    struct soft_region *region = region_of((NDK_OBJECT_HEADER *)mr);
    struct soft_job job;
    NTSTATUS status;

    if (!region || !done)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&region->adapter->lock);
    job = job_of(region, NDK_CONFORMANCE_REGISTER, context);
    status = may_start(region, job.operation);
    if (status == STATUS_SUCCESS && !soft_are_flags(flags))
        status = STATUS_INVALID_PARAMETER; /* [C1] */
    if (status == STATUS_SUCCESS)
        status = soft_check_chain(mdl, length, &job.of.memory.pages);
    if (status != STATUS_SUCCESS)
        return soft_answer(region->adapter, status);
    job.done.request = done;
    job.of.memory.mdl = mdl;
    job.of.memory.length = length;
    job.of.memory.flags = flags;
    region->is_busy = true;
    return soft_start(&job, is_slow(region, job.of.memory.pages));
}

static NTSTATUS NTAPI deregister_mr(NDK_MR *mr, NDK_FN_REQUEST_COMPLETION done, PVOID context)
{
    struct soft_region *region = region_of((NDK_OBJECT_HEADER *)mr);
    struct soft_job job;
    NTSTATUS status;

    if (!region || !done)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&region->adapter->lock);
    job = job_of(region, NDK_CONFORMANCE_DEREGISTER, context);
    status = may_start(region, job.operation);
    if (status == STATUS_SUCCESS && region->windows)
        status = STATUS_DEVICE_BUSY; /* [D2] */
    if (status != STATUS_SUCCESS)
        return soft_answer(region->adapter, status);
    job.done.request = done;
    region->is_busy = true;
    return soft_start(&job, is_slow(region, region->pages));
}

static NTSTATUS NTAPI initialize_mr(NDK_MR *mr, ULONG pages, BOOLEAN remote,
                                    NDK_FN_REQUEST_COMPLETION done, PVOID context)
{
    struct soft_region *region = region_of((NDK_OBJECT_HEADER *)mr);
    struct soft_job job;
    NTSTATUS status;

    if (!region || !done)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&region->adapter->lock);
    job = job_of(region, NDK_CONFORMANCE_INITIALIZE, context);
    status = may_start(region, job.operation);
    if (status == STATUS_SUCCESS && pages == 0)
        status = STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS && pages > SOFT_FAST_PAGES)
        status = STATUS_IMPLEMENTATION_LIMIT;
    if (status != STATUS_SUCCESS)
        return soft_answer(region->adapter, status);
    job.done.request = done;
    job.of.fast_memory.pages = pages;
    job.of.fast_memory.remote = remote != FALSE;
    /* One after another, in the order of the calls [G3]. */
    return soft_start(&job, region->initialising++ > 0);
}

/* A token of a region that is live, and not being closed [E1, H7]. */
static UINT32 read_token(NDK_MR *mr, bool is_remote)
{
    struct soft_region *region = region_of((NDK_OBJECT_HEADER *)mr);
    UINT32 token;

    if (!region)
        return 0;
    pthread_mutex_lock(&region->adapter->lock);
    token = is_remote ? region->remote : region->local;
    if (region->is_closing)
        token = 0;
    pthread_mutex_unlock(&region->adapter->lock);
    return token;
}

static UINT32 NTAPI local_token(NDK_MR *mr)
{
    return read_token(mr, false);
}

static UINT32 NTAPI remote_token(NDK_MR *mr)
{
    return read_token(mr, true);
}

static NTSTATUS NTAPI query_extension(NDK_OBJECT_HEADER *object, GUID *id, NDK_VERSION version,
                                      NDK_EXTENSION_INTERFACE *out)
{
    struct soft_region *region = region_of(object);
    bool is_closing;

    if (!region)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&region->adapter->lock);
    is_closing = region->is_closing;
    pthread_mutex_unlock(&region->adapter->lock);
    return is_closing ? STATUS_INVALID_DEVICE_STATE : soft_no_extension(object, id, version, out);
}

/* Requests complete first, and windows are unbound; then the close, by the last of them [H2, H3]. */
static NTSTATUS NTAPI close_mr(NDK_OBJECT_HEADER *object, NDK_FN_CLOSE_COMPLETION done,
                               PVOID context)
{
    struct soft_region *region = region_of(object);
    struct soft_job job;

    if (!region || !done)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&region->adapter->lock);
    if (region->is_closing)
        return soft_answer(region->adapter, STATUS_INVALID_DEVICE_STATE); /* [H7] */
    region->is_closing = true;
    job = job_of(region, NDK_CONFORMANCE_CLOSE_MR, context);
    job.done.close = done;
    if (region->requests == 0 && region->windows == 0)
        return soft_start(&job, is_slow(region, 0));
    region->close = job;
    region->is_waiting = true;
    soft_cancel(region);
    return soft_answer(region->adapter, STATUS_PENDING);
}

const NDK_MR_DISPATCH soft_region_table = {
    .NdkCloseMr = close_mr,
    .NdkQueryExtension = query_extension,
    .NdkRegisterMr = register_mr,
    .NdkDeregisterMr = deregister_mr,
    .NdkInitializeFastRegisterMr = initialize_mr,
    .NdkGetRemoteTokenFromMr = remote_token,
    .NdkGetLocalTokenFromMr = local_token,
};
