/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A provider of one region at a time that breaks the contract in one way, chosen when it is opened. Registrations pend
 * until provider_finish; everything else completes inline.
 */
#include "ndkpi.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum fault {
    FAULT_NONE,
    FAULT_COMPLETES_TWICE,
    FAULT_COMPLETES_AFTER_INLINE, /* The entry returned success; provider_finish calls the completion. */
    FAULT_COMPLETES_AND_INLINE,   /* In the entry, which returns success. */
    FAULT_CLOSES_EARLY,           /* Close succeeds while the registration pends. */
    FAULT_CLOSE_COMPLETES_TWICE,
    FAULT_WRITES_RESERVED,
    FAULT_FRESH_NOT_ZEROED,
    FAULT_CREATES_EARLY, /* No fault: the creation of a region pends, and has completed when the entry returns. */
    FAULT_CREATION_COMPLETES_TWICE,
    FAULT_CALLS_WITH_NO_CONTEXT, /* A completion with what no request was started with. */
    FAULT_CLOSE_FAILS,
};

struct object {
    union {
        NDK_OBJECT_HEADER header;
        NDK_ADAPTER adapter;
        NDK_PD pd;
        NDK_MR mr;
    } ndk;
};

static enum fault fault;
static UINT32 token;
static struct object adapter;

/* What provider_finish completes. */
static NDK_FN_REQUEST_COMPLETION pending;
static PVOID pending_context;
static NDK_FN_CLOSE_COMPLETION closing;
static PVOID closing_context;
static int is_registered;

static struct object *make(NDK_OBJECT_TYPE type, const void *table)
{
    struct object *made = calloc(1, sizeof *made);
    if (!made)
        abort();
    made->ndk.header.Version = adapter.ndk.header.Version;
    made->ndk.header.ObjectType = type;
    /* Every object has its table behind its header. */
    made->ndk.mr.Dispatch = table;
    if (fault == FAULT_FRESH_NOT_ZEROED)
        made->ndk.header.NdkReserved.rf[2] = made;
    return made;
}

static NTSTATUS NTAPI no_extension(NDK_OBJECT_HEADER *object, GUID *id, NDK_VERSION version,
                                   NDK_EXTENSION_INTERFACE *out)
{
    (void)object, (void)id, (void)version, (void)out;
    return STATUS_NOT_SUPPORTED;
}

static NTSTATUS NTAPI register_mr(NDK_MR *mr, MDL *mdl, SIZE_T length, ULONG flags, NDK_FN_REQUEST_COMPLETION done,
                                  PVOID context)
{
    (void)mdl, (void)length, (void)flags;
    token += 2;
    pending = done;
    pending_context = context;
    switch (fault) {
    case FAULT_COMPLETES_AND_INLINE:
        pending = NULL;
        is_registered = 1;
        done(context, STATUS_SUCCESS);
        return STATUS_SUCCESS;
    case FAULT_COMPLETES_AFTER_INLINE:
        is_registered = 1;
        return STATUS_SUCCESS;
    case FAULT_CALLS_WITH_NO_CONTEXT:
        done((char *)context + (1 << 20), STATUS_SUCCESS);
        return STATUS_PENDING;
    case FAULT_WRITES_RESERVED:
        mr->Header.NdkReserved.rf[1] = mr;
        return STATUS_PENDING;
    default:
        return STATUS_PENDING;
    }
}

static NTSTATUS NTAPI deregister_mr(NDK_MR *mr, NDK_FN_REQUEST_COMPLETION done, PVOID context)
{
    (void)mr, (void)done, (void)context;
    is_registered = 0;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI initialize_mr(NDK_MR *mr, ULONG pages, BOOLEAN remote, NDK_FN_REQUEST_COMPLETION done,
                                    PVOID context)
{
    (void)mr, (void)pages, (void)remote, (void)done, (void)context;
    return STATUS_NOT_SUPPORTED;
}

static UINT32 NTAPI mr_token(NDK_MR *mr)
{
    (void)mr;
    return is_registered ? token : 0;
}

static NTSTATUS NTAPI close_mr(NDK_OBJECT_HEADER *object, NDK_FN_CLOSE_COMPLETION done, PVOID context)
{
    is_registered = 0;
    if (fault == FAULT_CLOSE_FAILS)
        return STATUS_INVALID_DEVICE_STATE;
    free(object);
    if (fault == FAULT_CLOSES_EARLY)
        return STATUS_SUCCESS; /* And what pends is left to provider_finish. */
    if (pending && fault != FAULT_COMPLETES_TWICE && fault != FAULT_COMPLETES_AFTER_INLINE) {
        NDK_FN_REQUEST_COMPLETION request = pending;
        pending = NULL;
        request(pending_context, STATUS_CANCELLED);
    }
    if (fault != FAULT_CLOSE_COMPLETES_TWICE)
        return STATUS_SUCCESS;
    closing = done;
    closing_context = context;
    done(context);
    return STATUS_PENDING;
}

static const NDK_MR_DISPATCH mr_table = {
    .NdkCloseMr = close_mr,
    .NdkQueryExtension = no_extension,
    .NdkRegisterMr = register_mr,
    .NdkDeregisterMr = deregister_mr,
    .NdkInitializeFastRegisterMr = initialize_mr,
    .NdkGetRemoteTokenFromMr = mr_token,
    .NdkGetLocalTokenFromMr = mr_token,
};

static NTSTATUS NTAPI create_mr(NDK_PD *pd, BOOLEAN fast, NDK_FN_CREATE_COMPLETION done, PVOID context, NDK_MR **out)
{
    (void)pd, (void)fast;
    struct object *made = make(NdkObjectTypeMr, &mr_table);
    if (fault != FAULT_CREATES_EARLY && fault != FAULT_CREATION_COMPLETES_TWICE) {
        *out = &made->ndk.mr;
        return STATUS_SUCCESS;
    }
    done(context, STATUS_SUCCESS, &made->ndk.header);
    if (fault == FAULT_CREATION_COMPLETES_TWICE)
        done(context, STATUS_SUCCESS, &made->ndk.header);
    return STATUS_PENDING;
}

static NTSTATUS NTAPI close_pd(NDK_OBJECT_HEADER *object, NDK_FN_CLOSE_COMPLETION done, PVOID context)
{
    (void)done, (void)context;
    free(object);
    return STATUS_SUCCESS;
}

static const NDK_PD_DISPATCH pd_table = {
    .NdkClosePd = close_pd,
    .NdkQueryExtension = no_extension,
    .NdkCreateMr = create_mr,
};

static NTSTATUS NTAPI create_pd(NDK_ADAPTER *object, NDK_FN_CREATE_COMPLETION done, PVOID context, NDK_PD **out)
{
    (void)object, (void)done, (void)context;
    *out = &make(NdkObjectTypePd, &pd_table)->ndk.pd;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI query_info(NDK_ADAPTER *object, NDK_ADAPTER_INFO *info, ULONG *size)
{
    if (*size < sizeof *info)
        return STATUS_BUFFER_TOO_SMALL;
    memset(info, 0, sizeof *info);
    info->Version = object->Header.Version;
    info->MaxRegistrationSize = 1 << 20;
    return STATUS_SUCCESS;
}

static const NDK_ADAPTER_DISPATCH adapter_table = {
    .NdkQueryExtension = no_extension,
    .NdkQueryAdapterInfo = query_info,
    .NdkCreatePd = create_pd,
};

/* Opens the one adapter. */
NDK_ADAPTER *provider_open(int with)
{
    fault = (enum fault)with;
    token = 1;
    pending = NULL;
    closing = NULL;
    is_registered = 0;
    memset(&adapter, 0, sizeof adapter);
    adapter.ndk.header.Version.Major = 1;
    adapter.ndk.header.Version.Minor = 2;
    adapter.ndk.header.ObjectType = NdkObjectTypeAdapter;
    adapter.ndk.adapter.Dispatch = &adapter_table;
    return &adapter.ndk.adapter;
}

/* Completes what pends, be it too late. */
void provider_finish(void)
{
    if (pending) {
        NDK_FN_REQUEST_COMPLETION request = pending;
        pending = NULL;
        is_registered = 1;
        request(pending_context, STATUS_SUCCESS);
        if (fault == FAULT_COMPLETES_TWICE)
            request(pending_context, STATUS_SUCCESS);
    }
    if (closing)
        closing(closing_context);
    closing = NULL;
}
