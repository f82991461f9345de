/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Accesses: who may reach what by a token, and the way through the page frames to the bytes. */
#include "soft.h"

#include <string.h>

#define PAGE_MASK ((UINT64)PAGE_SIZE - 1)

/* Neither the end of the memory nor that of the address space is passed [F1, F2]. */
bool soft_is_inside(const struct soft_memory *memory, UINT64 address, UINT64 length)
{
    UINT64 before = address - memory->base; /* Huge, where the address is below. */

    return before <= memory->length && length <= memory->length - before;
}

struct soft_region *soft_find_remote(struct soft_domain *domain, UINT32 token)
{
    struct soft_region *region = domain->adapter->all;

    while (region && !(region->is_reachable && region->remote == token))
        region = region->next;
    return region && region->domain == domain ? region : NULL; /* [F5] */
}

static struct soft_region *find_local(struct soft_domain *domain, UINT32 token)
{
    struct soft_region *region = domain->adapter->all;

    while (region && !(region->is_reachable && region->local == token))
        region = region->next;
    return region && region->domain == domain ? region : NULL;
}

/* Whether a region's flags have all that an access needs [F4]. The flag for remote writing is two bits. */
static bool may(ULONG flags, ULONG access)
{
    switch (access) {
    case NDK_CONFORMANCE_READ:
        return flags & NDK_MR_FLAG_ALLOW_REMOTE_READ;
    case NDK_CONFORMANCE_WRITE:
        return (flags & NDK_MR_FLAG_ALLOW_REMOTE_WRITE) == NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
    case NDK_CONFORMANCE_READ_SINK:
        return flags & (NDK_MR_FLAG_ALLOW_LOCAL_WRITE | NDK_MR_FLAG_RDMA_READ_SINK);
    case NDK_CONFORMANCE_RECEIVE_SINK:
        return flags & NDK_MR_FLAG_ALLOW_LOCAL_WRITE;
    default:
        return true; /* The source of a send or a write takes any live token. */
    }
}

static bool is_peers(ULONG access)
{
    return access == NDK_CONFORMANCE_READ || access == NDK_CONFORMANCE_WRITE;
}

/* Gives the memory that an access goes to, or why it may not. The lock is held. */
static NTSTATUS admit(struct soft_domain *domain, ULONG access, UINT32 token, UINT64 address,
                      ULONG length, struct soft_memory **memory)
{
    struct soft_region *region;
    struct soft_window *window;
    ULONG flags;

    if (domain->adapter->is_lost)
        return STATUS_DEVICE_REMOVED;
    if (!is_peers(access) && token == domain->privileged) {
        *memory = soft_find_mapping(domain->adapter, address, length);
        return *memory ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER; /* [L2, L5] */
    }
    region = is_peers(access) ? soft_find_remote(domain, token) : find_local(domain, token);
    window = is_peers(access) ? soft_find_window(domain, token) : NULL;
    if (!region && !window)
        return STATUS_ACCESS_VIOLATION;
    *memory = region ? &region->memory : &window->memory;
    flags = region ? region->flags : window->flags;
    if (!may(flags, access) || (length && !soft_is_inside(*memory, address, length)))
        return STATUS_ACCESS_VIOLATION; /* Nothing is out of bounds of length 0 [F3]. */
    return STATUS_SUCCESS;
}

/* Page by page, since only the frames say where memory is [C2]. As with a device, who reads what is being
 * written finds old bytes or new ones. */
static void copy(const struct soft_memory *memory, UINT64 address, ULONG length, char *bytes,
                 bool is_read)
{
    UINT64 place = (memory->base & PAGE_MASK) + (address - memory->base);

    while (length) {
        ULONG offset = (ULONG)(place & PAGE_MASK), part = PAGE_SIZE - offset;
        char *at = (char *)(memory->frames[place >> PAGE_SHIFT] << PAGE_SHIFT) + offset;

        if (part > length)
            part = length;
        memcpy(is_read ? bytes : at, is_read ? at : bytes, part);
        place += part;
        bytes += part;
        length -= part;
    }
}

/* Whoever ends the registration waits until the access is over [D3]: it is counted, and the copy goes on
 * without the lock. */
NTSTATUS NTAPI soft_access(NDK_PD *pd, ULONG access, UINT32 token, UINT64 address, ULONG length,
                           PVOID bytes)
{
    struct soft_domain *domain = (struct soft_domain *)pd;
    struct soft_adapter *adapter = domain->adapter;
    struct soft_memory *memory;
    NTSTATUS status;

    if (access == NDK_CONFORMANCE_INVALIDATE)
        return soft_invalidate_token(domain, token);
    pthread_mutex_lock(&adapter->lock);
    status = admit(domain, access, token, address, length, &memory);
    if (status == STATUS_SUCCESS) {
        memory->accesses++;
        pthread_mutex_unlock(&adapter->lock);
        copy(memory, address, length, bytes,
             access == NDK_CONFORMANCE_READ || access == NDK_CONFORMANCE_SOURCE);
        pthread_mutex_lock(&adapter->lock);
        if (--memory->accesses == 0) {
            pthread_cond_broadcast(&adapter->changed);
            if (memory->is_released)
                soft_free_mapping(memory);
        }
    }
    return soft_answer(adapter, status);
}
