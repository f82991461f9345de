/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Logical addresses: what the privileged token reaches, and what fast registrations are made of. */
#include "soft.h"

#include <stdlib.h>

struct soft_memory *soft_find_mapping(struct soft_adapter *adapter, UINT64 address, UINT64 length)
{
    struct soft_mapping *mapping = adapter->mappings;

    while (mapping && !soft_is_inside(&mapping->memory, address, length))
        mapping = mapping->next;
    return mapping ? &mapping->memory : NULL;
}

void soft_free_mapping(struct soft_memory *memory)
{
    struct soft_mapping *mapping = (struct soft_mapping *)memory;

    free(memory->frames);
    free(mapping);
}

void soft_forget_mappings(struct soft_adapter *adapter)
{
    while (adapter->mappings) {
        struct soft_mapping *mapping = adapter->mappings;

        adapter->mappings = mapping->next;
        soft_free_mapping(&mapping->memory);
    }
}

/* The whole of each page is mapped [L3]. */
static struct soft_mapping *map(struct soft_job *job)
{
    struct soft_adapter *adapter = job->adapter;
    struct soft_mapping *mapping = calloc(1, sizeof *mapping);
    uintptr_t *frames = malloc(job->of.mapping.pages * sizeof *frames);

    if (!mapping || !frames) {
        free(mapping);
        free(frames);
        return NULL;
    }
    soft_copy_frames(job->of.mapping.mdl, job->of.mapping.length, frames);
    mapping->memory.frames = frames;
    mapping->memory.base = adapter->next_page << PAGE_SHIFT;
    mapping->memory.length = (UINT64)job->of.mapping.pages << PAGE_SHIFT;
    /* No address is used twice, and no two mappings are adjacent [L1, L2]. */
    adapter->next_page += job->of.mapping.pages + 1;
    mapping->next = adapter->mappings;
    adapter->mappings = mapping;
    return mapping;
}

NTSTATUS soft_mapping_perform(struct soft_job *job)
{
    NDK_LOGICAL_ADDRESS_MAPPING *lam = job->of.mapping.lam;
    struct soft_mapping *mapping;
    ULONG page;

    if (job->status != STATUS_SUCCESS)
        return job->status;
    mapping = map(job);
    if (!mapping)
        return STATUS_INSUFFICIENT_RESOURCES;
    lam->AdapterContext = mapping;
    lam->AdapterPageCount = job->of.mapping.pages;
    for (page = 0; page < job->of.mapping.pages; page++)
        lam->AdapterPageArray[page].QuadPart =
            (int64_t)(mapping->memory.base + ((UINT64)page << PAGE_SHIFT));
    *job->of.mapping.first = job->of.mapping.mdl->ByteOffset;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI soft_build_lam(NDK_ADAPTER *ndk, MDL *mdl, SIZE_T length,
                              NDK_FN_REQUEST_COMPLETION done, PVOID context,
                              NDK_LOGICAL_ADDRESS_MAPPING *lam, ULONG *size, ULONG *first)
{
    struct soft_adapter *adapter = soft_adapter_of(ndk);
    struct soft_job job = {0};
    SIZE_T needed;
    ULONG pages, room;
    NTSTATUS status;
    bool pends;

    if (!adapter || !size || !first)
        return STATUS_INVALID_PARAMETER;
    status = soft_check_chain(mdl, length, &pages);
    if (status != STATUS_SUCCESS)
        return status;
    needed = sizeof *lam + (pages - 1) * sizeof(NDK_LOGICAL_ADDRESS);
    room = lam ? *size : 0;
    if (room < needed) {
        *size = (ULONG)needed;
        return STATUS_BUFFER_TOO_SMALL;
    }
    pthread_mutex_lock(&adapter->lock);
    pends = adapter->pace != NDK_CONFORMANCE_BY_ITSELF ||
            (adapter->held >> NDK_CONFORMANCE_BUILD_LAM & 1);
    if (adapter->is_lost)
        status = STATUS_DEVICE_REMOVED;
    else if (pends && !done)
        status = STATUS_INVALID_PARAMETER; /* By itself it is inline, and needs none [L6]. */
    if (status != STATUS_SUCCESS)
        return soft_answer(adapter, status);
    job.operation = NDK_CONFORMANCE_BUILD_LAM;
    job.adapter = adapter;
    job.done.request = done;
    job.context = context;
    job.of.mapping.mdl = mdl;
    job.of.mapping.length = length;
    job.of.mapping.lam = lam;
    job.of.mapping.first = first;
    job.of.mapping.pages = pages;
    return soft_start(&job, false);
}

/* A mapping lives until the last access by it is over [L4]. Fast registrations have its frames. */
void NTAPI soft_release_lam(NDK_ADAPTER *ndk, NDK_LOGICAL_ADDRESS_MAPPING *lam)
{
    struct soft_adapter *adapter = soft_adapter_of(ndk);
    struct soft_mapping **link, *mapping;

    if (!adapter || !lam)
        return;
    pthread_mutex_lock(&adapter->lock);
    for (link = &adapter->mappings; *link && *link != lam->AdapterContext;)
        link = &(*link)->next;
    mapping = *link;
    if (mapping) {
        *link = mapping->next;
        if (mapping->memory.accesses)
            mapping->memory.is_released = true;
        else
            soft_free_mapping(&mapping->memory);
    }
    pthread_mutex_unlock(&adapter->lock);
}
