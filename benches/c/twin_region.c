/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The region and its seven entries. */
#include "twin.h"

#include <sched.h>
#include <stdlib.h>

static struct twin_region *region_of(NDK_OBJECT_HEADER *object)
{
    return object && object->ObjectType == NdkObjectTypeMr ? (struct twin_region *)object : NULL;
}

/* From one state to BUSY: what only one thread can do. */
static bool claim(struct twin_region *region, ULONG from)
{
    return atomic_compare_exchange_strong_explicit(&region->state, &from, TWIN_BUSY, memory_order_acquire,
                                                   memory_order_relaxed);
}

static void settle(struct twin_region *region, ULONG state)
{
    atomic_store_explicit(&region->state, state, memory_order_release);
}

static NTSTATUS make_room(struct twin_region *region, ULONG pages)
{
    if (pages <= region->room)
        return STATUS_SUCCESS;
    uintptr_t *larger = malloc(pages * sizeof(uintptr_t));
    if (!larger)
        return STATUS_INSUFFICIENT_RESOURCES;
    if (region->pages != region->own)
        free(region->pages);
    region->pages = larger;
    region->room = pages;
    return STATUS_SUCCESS;
}

static NTSTATUS enter_slot(struct twin_region *region, uint64_t base, SIZE_T length, ULONG flags)
{
    struct twin_adapter *adapter = region->domain->adapter;
    UINT32 token, index = take_slot(adapter, &token);
    if (!index)
        return STATUS_INSUFFICIENT_RESOURCES;
    struct twin_slot *slot = &adapter->slots[index];
    slot->base = base;
    slot->length = length;
    slot->pages = region->pages;
    slot->flags = flags;
    slot->domain = region->domain->number;
    atomic_store_explicit(&slot->token, token, memory_order_release);
    region->slot = index;
    region->flags = flags;
    region->token = token;
    return STATUS_SUCCESS;
}

static void leave_slot(struct twin_region *region)
{
    struct twin_adapter *adapter = region->domain->adapter;
    atomic_store_explicit(&adapter->slots[region->slot].token, 0, memory_order_release);
    region->token = 0;
    give_slot(adapter, region->slot);
}

static NTSTATUS enter_memory(struct twin_region *region, const MDL *mdl, SIZE_T length, ULONG flags)
{
    if ((flags & ~0xFu) || ((flags & 0x4) && !(flags & 0x1)))
        return STATUS_INVALID_PARAMETER;
    ULONG pages;
    NTSTATUS status = check_chain(mdl, length, &pages);
    if (status == STATUS_SUCCESS)
        status = make_room(region, pages);
    if (status != STATUS_SUCCESS)
        return status;
    copy_pages(mdl, length, region->pages);
    return enter_slot(region, (uintptr_t)mdl->StartVa + mdl->ByteOffset, length, flags);
}

static NTSTATUS NTAPI register_mr(NDK_MR *mr, MDL *mdl, SIZE_T length, ULONG flags, NDK_FN_REQUEST_COMPLETION done,
                                  PVOID context)
{
    struct twin_region *region = region_of((NDK_OBJECT_HEADER *)mr);
    (void)context; /* Nothing pends. */
    if (!region || !done)
        return STATUS_INVALID_PARAMETER;
    if (region->fast || !claim(region, TWIN_CREATED))
        return STATUS_INVALID_DEVICE_STATE;
    NTSTATUS status = enter_memory(region, mdl, length, flags);
    settle(region, status == STATUS_SUCCESS ? TWIN_REGISTERED : TWIN_CREATED);
    return status;
}

static NTSTATUS NTAPI deregister_mr(NDK_MR *mr, NDK_FN_REQUEST_COMPLETION done, PVOID context)
{
    struct twin_region *region = region_of((NDK_OBJECT_HEADER *)mr);
    (void)context;
    if (!region || !done)
        return STATUS_INVALID_PARAMETER;
    if (!claim(region, TWIN_REGISTERED))
        return STATUS_INVALID_DEVICE_STATE;
    leave_slot(region);
    settle(region, TWIN_CREATED);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI initialize_mr(NDK_MR *mr, ULONG pages, BOOLEAN remote, NDK_FN_REQUEST_COMPLETION done,
                                    PVOID context)
{
    struct twin_region *region = region_of((NDK_OBJECT_HEADER *)mr);
    ULONG before = TWIN_CREATED, flags = NDK_MR_FLAG_ALLOW_LOCAL_WRITE;
    (void)context;
    if (!region || !done)
        return STATUS_INVALID_PARAMETER;
    if (!region->fast)
        return STATUS_INVALID_DEVICE_STATE;
    if (!claim(region, before) && !claim(region, before = TWIN_INITIALIZED))
        return STATUS_INVALID_DEVICE_STATE;
    NTSTATUS status = pages == 0                ? STATUS_INVALID_PARAMETER
                      : pages > TWIN_FAST_PAGES ? STATUS_IMPLEMENTATION_LIMIT
                                                : make_room(region, pages);
    if (remote)
        flags |= NDK_MR_FLAG_ALLOW_REMOTE_WRITE | NDK_MR_FLAG_ALLOW_REMOTE_READ;
    if (status == STATUS_SUCCESS && before == TWIN_INITIALIZED)
        leave_slot(region);
    if (status == STATUS_SUCCESS)
        status = enter_slot(region, 0, 0, flags);
    settle(region, status == STATUS_SUCCESS ? TWIN_INITIALIZED : before);
    return status;
}

static bool has_token(struct twin_region *region)
{
    ULONG state = atomic_load_explicit(&region->state, memory_order_acquire);
    return state == TWIN_REGISTERED || state == TWIN_INITIALIZED;
}

static UINT32 NTAPI local_token(NDK_MR *mr)
{
    struct twin_region *region = region_of((NDK_OBJECT_HEADER *)mr);
    return region && has_token(region) ? region->token : 0;
}

static UINT32 NTAPI remote_token(NDK_MR *mr)
{
    struct twin_region *region = region_of((NDK_OBJECT_HEADER *)mr);
    return region && has_token(region) && (region->flags & 0x6) ? region->token : 0;
}

UINT32 NTAPI twin_bare_token(NDK_MR *mr)
{
    return ((struct twin_region *)mr)->token;
}

static NTSTATUS NTAPI region_extension(NDK_OBJECT_HEADER *object, GUID *id, NDK_VERSION version,
                                      NDK_EXTENSION_INTERFACE *out)
{
    (void)version;
    return region_of(object) && id && out ? STATUS_NOT_SUPPORTED : STATUS_INVALID_PARAMETER;
}

/* The last call for the region. Entries take no time worth speaking of, so that one at work on another thread is
   waited for. */
static NTSTATUS NTAPI close_mr(NDK_OBJECT_HEADER *object, NDK_FN_CLOSE_COMPLETION done, PVOID context)
{
    struct twin_region *region = region_of(object);
    (void)context;
    if (!region || !done)
        return STATUS_INVALID_PARAMETER;
    ULONG state = atomic_load_explicit(&region->state, memory_order_relaxed);
    do {
        if (state == TWIN_CLOSING)
            return STATUS_INVALID_DEVICE_STATE;
        while (state == TWIN_BUSY) {
            sched_yield();
            state = atomic_load_explicit(&region->state, memory_order_relaxed);
        }
    } while (!atomic_compare_exchange_weak_explicit(&region->state, &state, TWIN_CLOSING, memory_order_acquire,
                                                    memory_order_relaxed));
    if (state != TWIN_CREATED)
        leave_slot(region);
    if (region->pages != region->own)
        free(region->pages);
    struct twin_domain *domain = region->domain;
    free(region);
    region_ended(domain);
    return STATUS_SUCCESS;
}

static const NDK_MR_DISPATCH region_table = {
    .NdkCloseMr = close_mr,
    .NdkQueryExtension = region_extension,
    .NdkRegisterMr = register_mr,
    .NdkDeregisterMr = deregister_mr,
    .NdkInitializeFastRegisterMr = initialize_mr,
    .NdkGetRemoteTokenFromMr = remote_token,
    .NdkGetLocalTokenFromMr = local_token,
};

static NTSTATUS create_region(struct twin_domain *domain, bool fast, NDK_MR **out)
{
    struct twin_region *region = calloc(1, sizeof *region);
    if (!region)
        return STATUS_INSUFFICIENT_RESOURCES;
    region->ndk.Header.Version = domain->ndk.Header.Version;
    region->ndk.Header.ObjectType = NdkObjectTypeMr;
    region->ndk.Dispatch = &region_table;
    region->domain = domain;
    region->fast = fast;
    region->pages = region->own;
    region->room = TWIN_OWN_PAGES;
    *out = &region->ndk;
    return STATUS_SUCCESS;
}
