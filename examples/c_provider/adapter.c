/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The adapter: opening and closing it, its attributes, and its table. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "soft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long a close waits before it says what it waits for. */
#define PATIENCE 5

/* All that are open, so that a close of another pointer is refused without following it. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct soft_adapter *open_adapters;

struct soft_adapter *soft_adapter_of(NDK_ADAPTER *ndk)
{
    bool is_adapter = ndk && ndk->Header.ObjectType == NdkObjectTypeAdapter;

    return is_adapter ? (struct soft_adapter *)ndk : NULL;
}

NTSTATUS NTAPI soft_no_extension(NDK_OBJECT_HEADER *object, GUID *id, NDK_VERSION version,
                                 NDK_EXTENSION_INTERFACE *out)
{
    (void)version;
    return object && id && out ? STATUS_NOT_SUPPORTED : STATUS_INVALID_PARAMETER;
}

/* ---- The table ------------------------------------------------------------------------------- */

static NTSTATUS NTAPI create_pd(NDK_ADAPTER *ndk, NDK_FN_CREATE_COMPLETION done, PVOID context,
                                NDK_PD **out)
{
    struct soft_adapter *adapter = soft_adapter_of(ndk);
    struct soft_job job = {0};
    NTSTATUS status = STATUS_SUCCESS;

    if (!adapter || !done || !out)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&adapter->lock);
    if (adapter->is_closing)
        status = STATUS_INVALID_DEVICE_STATE;
    else if (adapter->is_lost)
        status = STATUS_DEVICE_REMOVED;
    if (status != STATUS_SUCCESS)
        return soft_answer(adapter, status);
    job.operation = NDK_CONFORMANCE_CREATE_PD;
    job.adapter = adapter;
    job.done.create = done;
    job.context = context;
    status = soft_start(&job, false);
    if (status == STATUS_SUCCESS)
        *out = (NDK_PD *)job.made;
    return status;
}

static NTSTATUS NTAPI query_info(NDK_ADAPTER *ndk, NDK_ADAPTER_INFO *info, ULONG *size)
{
    ULONG room;

    if (!soft_adapter_of(ndk) || !size)
        return STATUS_INVALID_PARAMETER;
    room = info ? *size : 0;
    *size = sizeof *info;
    if (room < sizeof *info)
        return STATUS_BUFFER_TOO_SMALL;
    memset(info, 0, sizeof *info);
    info->Version = ndk->Header.Version;
    info->MaxRegistrationSize = SOFT_MAX_LENGTH;
    info->FRMRPageCount = SOFT_FAST_PAGES;
    info->AdapterFlags = NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED;
    info->RdmaTechnology = NdkRoCE;
    return STATUS_SUCCESS;
}

static NTSTATUS there_is_none(NDK_ADAPTER *ndk)
{
    return soft_adapter_of(ndk) ? STATUS_NOT_SUPPORTED : STATUS_INVALID_PARAMETER;
}

static NTSTATUS NTAPI create_cq(NDK_ADAPTER *ndk, ULONG depth,
                                NDK_FN_CQ_NOTIFICATION_CALLBACK notify, PVOID notify_context,
                                GROUP_AFFINITY *affinity, NDK_FN_CREATE_COMPLETION done,
                                PVOID context, NDK_CQ **out)
{
    (void)depth, (void)notify, (void)notify_context, (void)affinity, (void)done, (void)context;
    (void)out;
    return there_is_none(ndk);
}

static NTSTATUS NTAPI create_endpoint(NDK_ADAPTER *ndk, const PSOCKADDR address, ULONG length,
                                      NDK_FN_CREATE_COMPLETION done, PVOID context,
                                      NDK_SHARED_ENDPOINT **out)
{
    (void)address, (void)length, (void)done, (void)context, (void)out;
    return there_is_none(ndk);
}

static NTSTATUS NTAPI create_connector(NDK_ADAPTER *ndk, NDK_FN_CREATE_COMPLETION done,
                                       PVOID context, NDK_CONNECTOR **out)
{
    (void)done, (void)context, (void)out;
    return there_is_none(ndk);
}

static NTSTATUS NTAPI create_listener(NDK_ADAPTER *ndk, NDK_FN_CONNECT_EVENT_CALLBACK connected,
                                      PVOID connect_context, NDK_FN_CREATE_COMPLETION done,
                                      PVOID context, NDK_LISTENER **out)
{
    (void)connected, (void)connect_context, (void)done, (void)context, (void)out;
    return there_is_none(ndk);
}

static const NDK_ADAPTER_DISPATCH adapter_table = {
    .NdkQueryExtension = soft_no_extension,
    .NdkQueryAdapterInfo = query_info,
    .NdkCreateCq = create_cq,
    .NdkCreatePd = create_pd,
    .NdkCreateSharedEndpoint = create_endpoint,
    .NdkCreateConnector = create_connector,
    .NdkCreateListener = create_listener,
    .NdkBuildLAM = soft_build_lam,
    .NdkReleaseLAM = soft_release_lam,
};

/* ---- Opening and closing --------------------------------------------------------------------- */

/* Versions 1.2 and 2.0 are served, and a lower minor number gives the highest [A8]. */
static bool serve(NDK_VERSION *version)
{
    USHORT highest = version->Major == 1 ? 2 : 0;

    if ((version->Major != 1 && version->Major != 2) || version->Minor > highest)
        return false;
    version->Minor = highest;
    return true;
}

NTSTATUS NTAPI soft_open(NDK_VERSION version, NDK_ADAPTER **out)
{
    struct soft_adapter *adapter;

    if (!out)
        return STATUS_INVALID_PARAMETER;
    if (!serve(&version))
        return NDIS_STATUS_BAD_VERSION;
    adapter = calloc(1, sizeof *adapter);
    if (!adapter || !soft_make_key(adapter)) {
        free(adapter);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    adapter->ndk.Header.Version = version;
    adapter->ndk.Header.ObjectType = NdkObjectTypeAdapter;
    adapter->ndk.Dispatch = &adapter_table;
    adapter->last = &adapter->first;
    adapter->limit = UINT32_MAX;
    adapter->next_page = 1;
    pthread_mutex_init(&adapter->lock, NULL);
    pthread_cond_init(&adapter->work, NULL);
    pthread_cond_init(&adapter->changed, NULL);
    if (pthread_create(&adapter->thread, NULL, soft_thread, adapter)) {
        free(adapter);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    pthread_mutex_lock(&open_lock);
    adapter->next = open_adapters;
    open_adapters = adapter;
    pthread_mutex_unlock(&open_lock);
    *out = &adapter->ndk;
    return STATUS_SUCCESS;
}

void soft_adapter_rests(struct soft_adapter *adapter)
{
    pthread_cond_broadcast(&adapter->changed);
}

static bool is_in_use(struct soft_adapter *adapter)
{
    return adapter->children || adapter->runs || !adapter->is_idle || soft_is_ready(adapter);
}

/* Waits until nothing is left, and says now and then what is [H5]. The lock is held. */
static void wait_for_all(struct soft_adapter *adapter)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE;
    while (is_in_use(adapter)) {
        if (pthread_cond_timedwait(&adapter->changed, &adapter->lock, &until) != ETIMEDOUT)
            continue;
        fprintf(stderr, "soft: the close of adapter %p waits for %u domains with %u regions [H5]\n",
                (void *)adapter, (unsigned)adapter->domains, (unsigned)adapter->regions);
        until.tv_sec += PATIENCE;
    }
}

static NTSTATUS begin_close(NDK_ADAPTER *ndk, struct soft_adapter **found)
{
    struct soft_adapter *adapter;
    NTSTATUS status = STATUS_SUCCESS;

    pthread_mutex_lock(&open_lock);
    for (adapter = open_adapters; adapter && &adapter->ndk != ndk;)
        adapter = adapter->next;
    if (!adapter) {
        status = STATUS_INVALID_PARAMETER;
    } else if (soft_inside() == adapter) {
        status = STATUS_INVALID_DEVICE_STATE; /* It would wait for itself. */
    } else {
        pthread_mutex_lock(&adapter->lock);
        if (adapter->is_closing)
            status = STATUS_INVALID_DEVICE_STATE;
        adapter->is_closing = true;
        pthread_mutex_unlock(&adapter->lock);
    }
    pthread_mutex_unlock(&open_lock);
    *found = adapter;
    return status;
}

NTSTATUS NTAPI soft_close(NDK_ADAPTER *ndk)
{
    struct soft_adapter *adapter, **link;
    NTSTATUS status = begin_close(ndk, &adapter);

    if (status != STATUS_SUCCESS)
        return status;
    pthread_mutex_lock(&adapter->lock);
    wait_for_all(adapter);
    adapter->is_ending = true;
    pthread_cond_signal(&adapter->work);
    pthread_mutex_unlock(&adapter->lock);
    pthread_join(adapter->thread, NULL);

    pthread_mutex_lock(&open_lock);
    for (link = &open_adapters; *link != adapter;)
        link = &(*link)->next;
    *link = adapter->next;
    pthread_mutex_unlock(&open_lock);
    soft_forget_mappings(adapter);
    pthread_cond_destroy(&adapter->work);
    pthread_cond_destroy(&adapter->changed);
    pthread_mutex_destroy(&adapter->lock);
    free(adapter);
    return STATUS_SUCCESS;
}
