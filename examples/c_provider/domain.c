/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The protection domain: what regions and windows are made in. There are no queue pairs. */
#include "soft.h"

#include <stdlib.h>

struct soft_domain *soft_domain_of(NDK_OBJECT_HEADER *object)
{
    bool is_domain = object && object->ObjectType == NdkObjectTypePd;

    return is_domain ? (struct soft_domain *)object : NULL;
}

/* ---- What a job does ------------------------------------------------------------------------- */

static NTSTATUS create(struct soft_job *job)
{
    struct soft_adapter *adapter = job->adapter;
    struct soft_domain *domain = calloc(1, sizeof *domain);

    if (!domain || !soft_draw_token(adapter, &domain->privileged)) {
        free(domain);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    domain->ndk.Header.Version = adapter->ndk.Header.Version;
    domain->ndk.Header.ObjectType = NdkObjectTypePd;
    domain->ndk.Dispatch = &soft_domain_table;
    domain->adapter = adapter;
    adapter->domains++;
    job->made = &domain->ndk.Header;
    return STATUS_SUCCESS;
}

NTSTATUS soft_domain_perform(struct soft_job *job)
{
    if (job->operation == NDK_CONFORMANCE_CREATE_PD)
        return job->status == STATUS_SUCCESS ? create(job) : job->status;
    job->adapter->domains--;
    free(job->domain);
    return STATUS_SUCCESS;
}

/* A close that becomes due is never completed on the stack of a child's Close [H4]. */
void soft_domain_rests(struct soft_domain *domain)
{
    if (domain->children == 0 && domain->is_waiting) {
        domain->is_waiting = false;
        soft_queue(&domain->close);
    }
}

/* ---- Entries --------------------------------------------------------------------------------- */

NTSTATUS soft_start_creation(struct soft_job *job, NDK_PD *pd, NDK_FN_CREATE_COMPLETION done,
                             PVOID context, const void *out)
{
    struct soft_domain *domain = soft_domain_of((NDK_OBJECT_HEADER *)pd);

    if (!domain || !done || !out)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&domain->adapter->lock);
    if (domain->is_closing)
        return soft_answer(domain->adapter, STATUS_INVALID_DEVICE_STATE);
    if (domain->adapter->is_lost)
        return soft_answer(domain->adapter, STATUS_DEVICE_REMOVED);
    job->adapter = domain->adapter;
    job->domain = domain;
    job->done.create = done;
    job->context = context;
    return soft_start(job, false);
}

static NTSTATUS NTAPI create_mr(NDK_PD *pd, BOOLEAN fast, NDK_FN_CREATE_COMPLETION done,
                                PVOID context, NDK_MR **out)
{
    struct soft_job job = {.operation = NDK_CONFORMANCE_CREATE_MR, .of.fast = fast != FALSE};
    NTSTATUS status = soft_start_creation(&job, pd, done, context, out);

    if (status == STATUS_SUCCESS)
        *out = (NDK_MR *)job.made; /* Only then [A1]. */
    return status;
}

static NTSTATUS NTAPI close_pd(NDK_OBJECT_HEADER *object, NDK_FN_CLOSE_COMPLETION done,
                               PVOID context)
{
    struct soft_domain *domain = soft_domain_of(object);
    struct soft_job job = {0};

    if (!domain || !done)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&domain->adapter->lock);
    if (domain->is_closing)
        return soft_answer(domain->adapter, STATUS_INVALID_DEVICE_STATE);
    domain->is_closing = true;
    job.operation = NDK_CONFORMANCE_CLOSE_PD;
    job.adapter = domain->adapter;
    job.domain = domain;
    job.done.close = done;
    job.context = context;
    if (domain->children == 0)
        return soft_start(&job, false);
    domain->close = job;
    domain->is_waiting = true;
    return soft_answer(domain->adapter, STATUS_PENDING);
}

/* For what there is not, and for the questions: the domain is there, and not being closed. */
static NTSTATUS is_open(NDK_OBJECT_HEADER *object)
{
    struct soft_domain *domain = soft_domain_of(object);

    if (!domain)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&domain->adapter->lock);
    return soft_answer(domain->adapter,
                       domain->is_closing ? STATUS_INVALID_DEVICE_STATE : STATUS_SUCCESS);
}

static void NTAPI privileged_token(NDK_PD *pd, UINT32 *token)
{
    if (token)
        *token = is_open((NDK_OBJECT_HEADER *)pd) == STATUS_SUCCESS
                     ? ((struct soft_domain *)pd)->privileged
                     : 0;
}

static NTSTATUS NTAPI query_extension(NDK_OBJECT_HEADER *object, GUID *id, NDK_VERSION version,
                                      NDK_EXTENSION_INTERFACE *out)
{
    NTSTATUS status = is_open(object);

    return status == STATUS_SUCCESS ? soft_no_extension(object, id, version, out) : status;
}

static NTSTATUS there_is_none(NDK_PD *pd)
{
    NTSTATUS status = is_open((NDK_OBJECT_HEADER *)pd);

    return status == STATUS_SUCCESS ? STATUS_NOT_SUPPORTED : status;
}

static NTSTATUS NTAPI create_srq(NDK_PD *pd, ULONG depth, ULONG elements, ULONG threshold,
                                 NDK_FN_SRQ_NOTIFICATION_CALLBACK notify, PVOID notify_context,
                                 GROUP_AFFINITY *affinity, NDK_FN_CREATE_COMPLETION done,
                                 PVOID context, NDK_SRQ **out)
{
    (void)depth, (void)elements, (void)threshold, (void)notify, (void)notify_context;
    (void)affinity, (void)done, (void)context, (void)out;
    return there_is_none(pd);
}

static NTSTATUS NTAPI create_qp(NDK_PD *pd, NDK_CQ *receives, NDK_CQ *requests, PVOID qp_context,
                                ULONG receive_depth, ULONG request_depth, ULONG receive_elements,
                                ULONG request_elements, ULONG inline_size,
                                NDK_FN_CREATE_COMPLETION done, PVOID context, NDK_QP **out)
{
    (void)receives, (void)requests, (void)qp_context, (void)receive_depth, (void)request_depth;
    (void)receive_elements, (void)request_elements, (void)inline_size, (void)done, (void)context;
    (void)out;
    return there_is_none(pd);
}

static NTSTATUS NTAPI create_qp_with_srq(NDK_PD *pd, NDK_CQ *receives, NDK_CQ *requests,
                                         NDK_SRQ *srq, PVOID qp_context, ULONG request_depth,
                                         ULONG request_elements, ULONG inline_size,
                                         NDK_FN_CREATE_COMPLETION done, PVOID context,
                                         NDK_QP **out)
{
    (void)receives, (void)requests, (void)srq, (void)qp_context, (void)request_depth;
    (void)request_elements, (void)inline_size, (void)done, (void)context, (void)out;
    return there_is_none(pd);
}

const NDK_PD_DISPATCH soft_domain_table = {
    .NdkClosePd = close_pd,
    .NdkQueryExtension = query_extension,
    .NdkCreateMr = create_mr,
    .NdkCreateMw = soft_create_mw,
    .NdkCreateSrq = create_srq,
    .NdkCreateQp = create_qp,
    .NdkCreateQpWithSrq = create_qp_with_srq,
    .NdkGetPrivilegedMemoryRegionToken = privileged_token,
};
