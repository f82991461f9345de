/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Adapter and domain: what regions are made in, and the table of slots that they share. */
#include "twin.h"

#include <stdlib.h>
#include <string.h>

static const NDK_VERSION VERSION = {1, 2};

static struct twin_adapter *adapter_of(NDK_ADAPTER *object)
{
    return object && object->Header.ObjectType == NdkObjectTypeAdapter ? (struct twin_adapter *)object : NULL;
}

static struct twin_domain *domain_of(NDK_OBJECT_HEADER *object)
{
    return object && object->ObjectType == NdkObjectTypePd ? (struct twin_domain *)object : NULL;
}

/* ---- Slots ----------------------------------------------------------------------------------- */

static UINT32 take_slot(struct twin_adapter *adapter, UINT32 *token)
{
    pthread_mutex_lock(&adapter->lock);
    UINT32 index = adapter->free;
    if (index)
        adapter->free = adapter->slots[index].next;
    else if (adapter->unused <= adapter->limit)
        index = adapter->unused++;
    pthread_mutex_unlock(&adapter->lock);
    if (index)
        *token = index << 8 | (++adapter->slots[index].key & 0xFF);
    return index;
}

static void give_slot(struct twin_adapter *adapter, UINT32 index)
{
    pthread_mutex_lock(&adapter->lock);
    adapter->slots[index].next = adapter->free;
    adapter->free = index;
    pthread_mutex_unlock(&adapter->lock);
}

/* ---- Domain ---------------------------------------------------------------------------------- */

static NTSTATUS NTAPI close_pd(NDK_OBJECT_HEADER *object, NDK_FN_CLOSE_COMPLETION done, PVOID context)
{
    struct twin_domain *domain = domain_of(object);
    if (!domain || !done)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&domain->adapter->lock);
    bool again = domain->closing, waits = domain->regions > 0;
    domain->closing = true;
    if (!again) {
        domain->closed = done;
        domain->context = context;
    }
    pthread_mutex_unlock(&domain->adapter->lock);
    if (again)
        return STATUS_INVALID_DEVICE_STATE;
    if (waits)
        return STATUS_PENDING;
    free(domain);
    return STATUS_SUCCESS;
}

/* A region of the domain is gone; the last one ends a close that waits. There is no thread but the caller's to
   complete it on. */
static void region_ended(struct twin_domain *domain)
{
    struct twin_adapter *adapter = domain->adapter;
    pthread_mutex_lock(&adapter->lock);
    adapter->regions--;
    bool due = --domain->regions == 0 && domain->closing;
    pthread_mutex_unlock(&adapter->lock);
    if (due) {
        NDK_FN_CLOSE_COMPLETION closed = domain->closed;
        PVOID context = domain->context;
        free(domain);
        closed(context);
    }
}

static NTSTATUS NTAPI create_mr(NDK_PD *pd, BOOLEAN fast, NDK_FN_CREATE_COMPLETION done, PVOID context, NDK_MR **out)
{
    struct twin_domain *domain = domain_of((NDK_OBJECT_HEADER *)pd);
    (void)context;
    if (!domain || !done || !out)
        return STATUS_INVALID_PARAMETER;
    struct twin_adapter *adapter = domain->adapter;
    pthread_mutex_lock(&adapter->lock);
    bool closing = domain->closing, full = adapter->regions == adapter->limit;
    if (!closing && !full) {
        adapter->regions++;
        domain->regions++;
    }
    pthread_mutex_unlock(&adapter->lock);
    if (closing)
        return STATUS_INVALID_DEVICE_STATE;
    if (full)
        return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = create_region(domain, fast != FALSE, out);
    if (status != STATUS_SUCCESS)
        region_ended(domain);
    return status;
}

static void NTAPI privileged_token(NDK_PD *pd, UINT32 *token)
{
    struct twin_domain *domain = domain_of((NDK_OBJECT_HEADER *)pd);
    if (token)
        *token = domain ? domain->privileged : 0;
}

static NTSTATUS NTAPI no_extension(NDK_OBJECT_HEADER *object, GUID *id, NDK_VERSION version,
                                   NDK_EXTENSION_INTERFACE *out)
{
    (void)version;
    return object && id && out ? STATUS_NOT_SUPPORTED : STATUS_INVALID_PARAMETER;
}

/* What comes after this one is null: no queue pairs, no windows. */
static const NDK_PD_DISPATCH domain_table = {
    .NdkClosePd = close_pd,
    .NdkQueryExtension = no_extension,
    .NdkCreateMr = create_mr,
    .NdkGetPrivilegedMemoryRegionToken = privileged_token,
};

/* ---- Adapter --------------------------------------------------------------------------------- */

static NTSTATUS NTAPI create_pd(NDK_ADAPTER *ndk, NDK_FN_CREATE_COMPLETION done, PVOID context, NDK_PD **out)
{
    struct twin_adapter *adapter = adapter_of(ndk);
    (void)context;
    if (!adapter || !done || !out)
        return STATUS_INVALID_PARAMETER;
    struct twin_domain *domain = calloc(1, sizeof *domain);
    if (!domain)
        return STATUS_INSUFFICIENT_RESOURCES;
    domain->ndk.Header.Version = VERSION;
    domain->ndk.Header.ObjectType = NdkObjectTypePd;
    domain->ndk.Dispatch = &domain_table;
    domain->adapter = adapter;
    pthread_mutex_lock(&adapter->lock);
    domain->number = ++adapter->domains;
    pthread_mutex_unlock(&adapter->lock);
    /* Above every token of a slot. */
    domain->privileged = 0xFF000000u | domain->number;
    *out = &domain->ndk;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI query_info(NDK_ADAPTER *ndk, NDK_ADAPTER_INFO *info, ULONG *size)
{
    if (!adapter_of(ndk) || !size)
        return STATUS_INVALID_PARAMETER;
    ULONG room = info ? *size : 0;
    *size = sizeof *info;
    if (room < sizeof *info)
        return STATUS_BUFFER_TOO_SMALL;
    memset(info, 0, sizeof *info);
    info->Version = VERSION;
    info->MaxRegistrationSize = TWIN_MAX_LENGTH;
    info->FRMRPageCount = TWIN_FAST_PAGES;
    /* Of queue pairs, which it does not have. */
    info->MaxReceiveQueueDepth = info->MaxInitiatorQueueDepth = 64;
    info->AdapterFlags = NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED;
    info->RdmaTechnology = NdkRoCE;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI build_lam(NDK_ADAPTER *ndk, MDL *mdl, SIZE_T length, NDK_FN_REQUEST_COMPLETION done,
                                PVOID context, NDK_LOGICAL_ADDRESS_MAPPING *lam, ULONG *size, ULONG *first)
{
    struct twin_adapter *adapter = adapter_of(ndk);
    ULONG pages;
    (void)done;
    (void)context;
    if (!adapter || !size || !first)
        return STATUS_INVALID_PARAMETER;
    NTSTATUS status = check_chain(mdl, length, &pages);
    if (status != STATUS_SUCCESS)
        return status;
    SIZE_T needed = offsetof(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray) + pages * sizeof(NDK_LOGICAL_ADDRESS);
    ULONG room = lam ? *size : 0;
    *size = (ULONG)needed;
    *first = mdl->ByteOffset;
    if (room < needed)
        return STATUS_BUFFER_TOO_SMALL;
    pthread_mutex_lock(&adapter->lock);
    UINT64 page = adapter->next_page;
    adapter->next_page += pages + 1;
    pthread_mutex_unlock(&adapter->lock);
    lam->AdapterContext = NULL;
    lam->AdapterPageCount = pages;
    NDK_LOGICAL_ADDRESS *addresses = lam->AdapterPageArray;
    for (ULONG index = 0; index < pages; index++)
        addresses[index].QuadPart = (int64_t)((page + index) << PAGE_SHIFT);
    return STATUS_SUCCESS;
}

static void NTAPI release_lam(NDK_ADAPTER *adapter, NDK_LOGICAL_ADDRESS_MAPPING *lam)
{
    (void)adapter;
    (void)lam;
}

/* What is not named is null: the kit and the benches have no use for it. */
static const NDK_ADAPTER_DISPATCH adapter_table = {
    .NdkQueryExtension = no_extension,
    .NdkQueryAdapterInfo = query_info,
    .NdkCreatePd = create_pd,
    .NdkBuildLAM = build_lam,
    .NdkReleaseLAM = release_lam,
};

NDK_ADAPTER *twin_open(ULONG regions)
{
    struct twin_adapter *adapter = calloc(1, sizeof *adapter);
    if (!adapter)
        return NULL;
    /* Slot 0 is none. Pages that no slot was used of cost nothing. */
    adapter->slots = calloc((SIZE_T)regions + 1, sizeof *adapter->slots);
    if (!adapter->slots || pthread_mutex_init(&adapter->lock, NULL)) {
        free(adapter->slots);
        free(adapter);
        return NULL;
    }
    adapter->ndk.Header.Version = VERSION;
    adapter->ndk.Header.ObjectType = NdkObjectTypeAdapter;
    adapter->ndk.Dispatch = &adapter_table;
    adapter->unused = 1;
    adapter->limit = regions;
    adapter->next_page = 1;
    return &adapter->ndk;
}

void twin_close(NDK_ADAPTER *ndk)
{
    struct twin_adapter *adapter = (struct twin_adapter *)ndk;
    pthread_mutex_destroy(&adapter->lock);
    free(adapter->slots);
    free(adapter);
}
