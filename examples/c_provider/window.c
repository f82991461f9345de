/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Memory windows: a part of a registered region, under a token of its own. */
#include "soft.h"

#include <stdlib.h>

static struct soft_window *window_of(NDK_OBJECT_HEADER *object)
{
    bool is_window = object && object->ObjectType == NdkObjectTypeMw;

    return is_window ? (struct soft_window *)object : NULL;
}

struct soft_window *soft_find_window(struct soft_domain *domain, UINT32 token)
{
    struct soft_window *window = domain->adapter->windows;

    while (window && !(window->region && window->remote == token))
        window = window->next;
    return window && window->domain == domain ? window : NULL; /* [F5] */
}

/* ---- Binding --------------------------------------------------------------------------------- */

/* The frames are those of the region from the window's first page on; page offsets are the same. */
static void bind(struct soft_window *window, struct soft_region *region, UINT64 address, UINT64 length)
{
    UINT64 first = (region->memory.base & (PAGE_SIZE - 1)) + (address - region->memory.base);

    window->memory.frames = region->memory.frames + (first >> PAGE_SHIFT);
    window->memory.base = address;
    window->memory.length = length;
    window->region = region;
    region->windows++;
}

/* Waits for accesses, as the end of a registration does. */
static void unbind(struct soft_window *window)
{
    struct soft_region *region = window->region;

    window->region = NULL;
    while (window->memory.accesses)
        pthread_cond_wait(&window->adapter->changed, &window->adapter->lock);
    region->windows--;
    soft_region_rests(region); /* Its close may be waiting [H3]. */
}

NTSTATUS NTAPI soft_bind(NDK_PD *pd, NDK_MR *mr, NDK_MW *mw, PVOID base, SIZE_T length, ULONG flags)
{
    struct soft_domain *domain = (struct soft_domain *)pd;
    struct soft_region *region = (struct soft_region *)mr;
    struct soft_window *window = (struct soft_window *)mw;
    UINT64 address = (uintptr_t)base;
    bool is_ready;
    NTSTATUS status = STATUS_SUCCESS;

    pthread_mutex_lock(&domain->adapter->lock);
    is_ready = !region->is_fast && region->is_reachable && !region->is_busy && !region->is_closing &&
               !window->region && !window->memory.accesses && !window->is_closing;
    if (region->domain != domain || window->domain != domain || !length || length > UINT64_MAX - address ||
        !soft_are_flags(flags))
        status = STATUS_INVALID_PARAMETER;
    else if (!is_ready)
        status = STATUS_INVALID_DEVICE_STATE;
    else if (domain->adapter->is_lost)
        status = STATUS_DEVICE_REMOVED;
    else if (!soft_is_inside(&region->memory, address, length))
        status = STATUS_ACCESS_VIOLATION;
    else if (!soft_draw_token(domain->adapter, &window->remote))
        status = STATUS_INSUFFICIENT_RESOURCES;
    if (status == STATUS_SUCCESS) {
        window->flags = flags;
        bind(window, region, address, length);
    }
    return soft_answer(domain->adapter, status);
}

NTSTATUS soft_unbind(struct soft_domain *domain, struct soft_window *window)
{
    if (window->domain != domain)
        return STATUS_INVALID_PARAMETER;
    if (!window->region || window->is_closing)
        return STATUS_INVALID_DEVICE_STATE; /* [G8] */
    if (domain->adapter->is_lost)
        return STATUS_DEVICE_REMOVED;
    unbind(window);
    return STATUS_SUCCESS;
}

/* ---- What a job does ------------------------------------------------------------------------- */

static NTSTATUS create(struct soft_job *job)
{
    struct soft_adapter *adapter = job->adapter;
    struct soft_window *window = calloc(1, sizeof *window);

    if (!window)
        return STATUS_INSUFFICIENT_RESOURCES;
    window->ndk.Header.Version = adapter->ndk.Header.Version;
    window->ndk.Header.ObjectType = NdkObjectTypeMw;
    window->ndk.Dispatch = &soft_window_table;
    window->adapter = adapter;
    window->domain = job->domain;
    window->next = adapter->windows;
    adapter->windows = window;
    job->made = &window->ndk.Header;
    return STATUS_SUCCESS;
}

NTSTATUS soft_window_perform(struct soft_job *job)
{
    struct soft_window *window = job->window, **link = &job->adapter->windows;

    if (job->operation == SOFT_CREATE_MW)
        return job->status == STATUS_SUCCESS ? create(job) : job->status;
    if (window->region)
        unbind(window);
    while (*link != window)
        link = &(*link)->next;
    *link = window->next;
    free(window);
    return STATUS_SUCCESS;
}

/* ---- Entries --------------------------------------------------------------------------------- */

NTSTATUS NTAPI soft_create_mw(NDK_PD *pd, NDK_FN_CREATE_COMPLETION done, PVOID context, NDK_MW **out)
{
    struct soft_job job = {.operation = SOFT_CREATE_MW};
    NTSTATUS status = soft_start_creation(&job, pd, done, context, out);

    if (status == STATUS_SUCCESS)
        *out = (NDK_MW *)job.made;
    return status;
}

static NTSTATUS NTAPI close_mw(NDK_OBJECT_HEADER *object, NDK_FN_CLOSE_COMPLETION done, PVOID context)
{
    struct soft_window *window = window_of(object);
    struct soft_job job = {0};

    if (!window || !done)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&window->adapter->lock);
    if (window->is_closing)
        return soft_answer(window->adapter, STATUS_INVALID_DEVICE_STATE);
    window->is_closing = true;
    job.operation = SOFT_CLOSE_MW;
    job.adapter = window->adapter;
    job.domain = window->domain;
    job.window = window;
    job.done.close = done;
    job.context = context;
    return soft_start(&job, window->adapter->pace == NDK_CONFORMANCE_BY_ITSELF &&
                                window->memory.accesses);
}

static UINT32 NTAPI remote_token(NDK_MW *mw)
{
    struct soft_window *window = window_of((NDK_OBJECT_HEADER *)mw);
    UINT32 token;

    if (!window)
        return 0;
    pthread_mutex_lock(&window->adapter->lock);
    token = window->region && !window->is_closing ? window->remote : 0;
    pthread_mutex_unlock(&window->adapter->lock);
    return token;
}

static NTSTATUS NTAPI query_extension(NDK_OBJECT_HEADER *object, GUID *id, NDK_VERSION version,
                                      NDK_EXTENSION_INTERFACE *out)
{
    struct soft_window *window = window_of(object);
    bool is_closing;

    if (!window)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&window->adapter->lock);
    is_closing = window->is_closing;
    pthread_mutex_unlock(&window->adapter->lock);
    return is_closing ? STATUS_INVALID_DEVICE_STATE : soft_no_extension(object, id, version, out);
}

const NDK_MW_DISPATCH soft_window_table = {
    .NdkCloseMw = close_mw,
    .NdkQueryExtension = query_extension,
    .NdkGetRemoteTokenFromMw = remote_token,
};
