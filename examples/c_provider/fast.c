/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Fast registrations, as a queue pair's requests make and end them. */
#include "soft.h"

#define PAGE_MASK ((UINT64)PAGE_SIZE - 1)

/* Whether a region is one that requests of this domain may name, and in the state for it: valid, or not. */
static NTSTATUS may_change(struct soft_domain *domain, struct soft_region *region, bool is_valid)
{
    bool is_ready = region->is_fast && region->is_live && !region->initialising && !region->is_closing &&
                    (is_valid ? region->is_reachable : !soft_is_in_use(region));

    if (region->domain != domain)
        return STATUS_INVALID_PARAMETER; /* [F5] */
    if (!is_ready)
        return STATUS_INVALID_DEVICE_STATE; /* [G3, G7, G8] */
    return domain->adapter->is_lost ? STATUS_DEVICE_REMOVED : STATUS_SUCCESS;
}

/* What can be said of the arguments alone [G4]. */
static bool fits(const struct soft_region *region, ULONG pages, ULONG fbo, UINT64 length, UINT64 base)
{
    return pages && pages <= region->pages && fbo <= PAGE_MASK && (base & PAGE_MASK) == fbo &&
           length && length <= ((UINT64)pages << PAGE_SHIFT) - fbo && length <= UINT64_MAX - base;
}

/* Takes the frames of pages, each wholly inside a live mapping [L2]. */
static bool take_frames(struct soft_region *region, ULONG pages, const NDK_LOGICAL_ADDRESS *addresses)
{
    ULONG page;

    for (page = 0; page < pages; page++) {
        UINT64 address = (UINT64)addresses[page].QuadPart;
        struct soft_memory *mapping = soft_find_mapping(region->adapter, address, PAGE_SIZE);

        if (!mapping || (address & PAGE_MASK))
            return false;
        region->memory.frames[page] = mapping->frames[(address - mapping->base) >> PAGE_SHIFT];
    }
    return true;
}

NTSTATUS NTAPI soft_fast_register(NDK_PD *pd, NDK_MR *mr, ULONG pages,
                                  const NDK_LOGICAL_ADDRESS *addresses, ULONG fbo, SIZE_T length,
                                  PVOID base, ULONG flags)
{
    struct soft_domain *domain = (struct soft_domain *)pd;
    struct soft_region *region = (struct soft_region *)mr;
    NTSTATUS status;

    pthread_mutex_lock(&domain->adapter->lock);
    status = may_change(domain, region, false);
    if (status == STATUS_SUCCESS && (!soft_are_flags(flags) ||
                                     !fits(region, pages, fbo, length, (uintptr_t)base)))
        status = STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS && !region->remote && soft_is_remote(flags))
        status = STATUS_ACCESS_VIOLATION; /* [G5] */
    if (status == STATUS_SUCCESS && !take_frames(region, pages, addresses))
        status = STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS) {
        region->memory.base = (uintptr_t)base;
        region->memory.length = length;
        region->flags = flags;
        region->is_reachable = true;
    }
    return soft_answer(domain->adapter, status);
}

static NTSTATUS end(struct soft_domain *domain, struct soft_region *region)
{
    NTSTATUS status = may_change(domain, region, true);

    if (status == STATUS_SUCCESS)
        soft_shut(region);
    return status;
}

NTSTATUS NTAPI soft_invalidate(NDK_PD *pd, NDK_OBJECT_HEADER *object)
{
    struct soft_domain *domain = (struct soft_domain *)pd;
    NTSTATUS status;

    pthread_mutex_lock(&domain->adapter->lock);
    status = object->ObjectType == NdkObjectTypeMw
                 ? soft_unbind(domain, (struct soft_window *)object)
                 : end(domain, (struct soft_region *)object);
    return soft_answer(domain->adapter, status);
}

NTSTATUS soft_invalidate_token(struct soft_domain *domain, UINT32 token)
{
    struct soft_region *region;
    struct soft_window *window;
    NTSTATUS status = STATUS_ACCESS_VIOLATION;

    pthread_mutex_lock(&domain->adapter->lock);
    region = soft_find_remote(domain, token);
    window = soft_find_window(domain, token);
    if (region)
        status = end(domain, region); /* Before the receive completes [G9]. */
    else if (window)
        status = soft_unbind(domain, window);
    return soft_answer(domain->adapter, status);
}
