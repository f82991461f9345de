/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Requests that pend: the adapter's queue, and the thread that finishes them. */
#include "soft.h"

#include <stdlib.h>

static _Thread_local struct soft_adapter *inside;

struct soft_adapter *soft_inside(void)
{
    return inside;
}

static bool is_close(const struct soft_job *job)
{
    return job->operation == NDK_CONFORMANCE_CLOSE_PD || job->operation == NDK_CONFORMANCE_CLOSE_MR ||
           job->operation == SOFT_CLOSE_MW;
}

static bool is_held(const struct soft_job *job)
{
    return !job->is_decided && (job->adapter->held >> job->operation & 1);
}

static bool is_creation(const struct soft_job *job)
{
    return job->operation == NDK_CONFORMANCE_CREATE_PD || job->operation == NDK_CONFORMANCE_CREATE_MR ||
           job->operation == SOFT_CREATE_MW;
}

/* The number of what the object has to wait for when it is closed. */
static ULONG *count_of(struct soft_job *job)
{
    switch (job->operation) {
    case NDK_CONFORMANCE_REGISTER:
    case NDK_CONFORMANCE_DEREGISTER:
    case NDK_CONFORMANCE_INITIALIZE:
        return &job->region->requests;
    case NDK_CONFORMANCE_CREATE_MR:
    case NDK_CONFORMANCE_CLOSE_MR:
    case SOFT_CREATE_MW:
    case SOFT_CLOSE_MW:
        return &job->domain->children;
    default:
        return &job->adapter->children;
    }
}

/* Whether the object that counts the job has one child less after it: a creation leaves what it made. */
static bool leaves(const struct soft_job *job, NTSTATUS status)
{
    return !is_creation(job) || status != STATUS_SUCCESS;
}

static NTSTATUS perform(struct soft_job *job)
{
    switch (job->operation) {
    case NDK_CONFORMANCE_CREATE_PD:
    case NDK_CONFORMANCE_CLOSE_PD:
        return soft_domain_perform(job);
    case NDK_CONFORMANCE_BUILD_LAM:
        return soft_mapping_perform(job);
    case SOFT_CREATE_MW:
    case SOFT_CLOSE_MW:
        return soft_window_perform(job);
    default:
        return soft_region_perform(job);
    }
}

/* The job is over, its completion included. */
static void leave(struct soft_job *job, NTSTATUS status)
{
    struct soft_adapter *adapter = job->adapter;

    if (leaves(job, status)) {
        --*count_of(job);
        switch (job->operation) {
        case NDK_CONFORMANCE_REGISTER:
        case NDK_CONFORMANCE_DEREGISTER:
        case NDK_CONFORMANCE_INITIALIZE:
            soft_region_rests(job->region);
            break;
        case NDK_CONFORMANCE_CREATE_MR:
        case NDK_CONFORMANCE_CLOSE_MR:
        case SOFT_CREATE_MW:
        case SOFT_CLOSE_MW:
            soft_domain_rests(job->domain);
            break;
        default:
            soft_adapter_rests(adapter);
        }
    }
}

static void call(const struct soft_job *job, NTSTATUS status)
{
    struct soft_adapter *outer = inside;

    inside = job->adapter;
    if (is_close(job))
        job->done.close(job->context);
    else if (is_creation(job))
        job->done.create(job->context, status, status == STATUS_SUCCESS ? job->made : NULL);
    else
        job->done.request(job->context, status);
    inside = outer;
}

/* Carries a job out and calls its completion. The state is that of the end before the call, which may
 * close the object [B4]. A close has freed its object, and with it where the job was kept. */
static void finish(struct soft_job *kept)
{
    struct soft_adapter *adapter = kept->adapter;
    struct soft_job job = *kept;
    NTSTATUS status = perform(&job);

    if (!is_close(&job))
        free(kept);
    pthread_mutex_unlock(&adapter->lock);
    call(&job, status);
    pthread_mutex_lock(&adapter->lock);
    leave(&job, status);
}

/* Where a job is kept that pends: a close in its object, so that it never fails [H1]. */
static struct soft_job *keep(const struct soft_job *job)
{
    struct soft_job *kept;

    if (job->operation == NDK_CONFORMANCE_CLOSE_MR)
        kept = &job->region->close;
    else if (job->operation == NDK_CONFORMANCE_CLOSE_PD)
        kept = &job->domain->close;
    else if (job->operation == SOFT_CLOSE_MW)
        kept = &job->window->close;
    else
        kept = malloc(sizeof *kept);
    if (kept)
        *kept = *job;
    return kept;
}

NTSTATUS soft_answer(struct soft_adapter *adapter, NTSTATUS status)
{
    pthread_mutex_unlock(&adapter->lock);
    return status;
}

NTSTATUS soft_start(struct soft_job *job, bool waits)
{
    struct soft_adapter *adapter = job->adapter;
    NTSTATUS *fails = &adapter->fails[job->operation], status;
    struct soft_job *kept;

    job->status = *fails;
    *fails = STATUS_SUCCESS;
    if (!is_close(job))
        ++*count_of(job);
    if (waits || is_held(job) || adapter->pace != NDK_CONFORMANCE_BY_ITSELF) {
        kept = keep(job);
        if (kept && !waits && !is_held(kept) && adapter->pace == NDK_CONFORMANCE_EARLY) {
            finish(kept);
        } else if (kept) {
            soft_queue(kept);
        }
        if (kept) {
            pthread_mutex_unlock(&adapter->lock);
            return STATUS_PENDING;
        }
        job->is_decided = true;
        job->status = STATUS_INSUFFICIENT_RESOURCES;
    }
    status = perform(job);
    leave(job, status);
    pthread_mutex_unlock(&adapter->lock);
    return status;
}

void soft_queue(struct soft_job *job)
{
    struct soft_adapter *adapter = job->adapter;

    job->waits_for_run = is_held(job) || adapter->pace != NDK_CONFORMANCE_BY_ITSELF;
    job->next = NULL;
    *adapter->last = job;
    adapter->last = &job->next;
    pthread_cond_signal(&adapter->work);
}

void soft_cancel(struct soft_region *region)
{
    struct soft_adapter *adapter = region->adapter;
    struct soft_job *job;

    for (job = adapter->first; job; job = job->next) {
        bool is_stuck = is_held(job) && !adapter->is_cancellable;

        if (job->region == region && !is_close(job) && !job->is_decided && !is_stuck) {
            job->is_decided = true;
            job->status = STATUS_CANCELLED;
        }
    }
    pthread_cond_signal(&adapter->work);
}

/* The link to the first job that may go on, or null. */
static struct soft_job **ready(struct soft_adapter *adapter)
{
    struct soft_job **link;

    for (link = &adapter->first; *link; link = &(*link)->next)
        if (!is_held(*link) && (!(*link)->waits_for_run || adapter->runs))
            return link;
    return NULL;
}

bool soft_is_ready(struct soft_adapter *adapter)
{
    return ready(adapter) != NULL;
}

void *soft_thread(void *context)
{
    struct soft_adapter *adapter = context;

    pthread_mutex_lock(&adapter->lock);
    while (!adapter->is_ending) {
        struct soft_job **link = ready(adapter), *job;

        adapter->is_idle = link == NULL;
        if (!link) {
            pthread_cond_broadcast(&adapter->changed);
            pthread_cond_wait(&adapter->work, &adapter->lock);
            continue;
        }
        job = *link;
        *link = job->next;
        if (!job->next)
            adapter->last = link;
        finish(job);
    }
    pthread_mutex_unlock(&adapter->lock);
    return NULL;
}
