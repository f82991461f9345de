/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the conformance kit may ask for. A real provider has this in its test build only. */
#include "soft.h"

static struct soft_adapter *locked(NDK_ADAPTER *ndk)
{
    struct soft_adapter *adapter = (struct soft_adapter *)ndk;

    pthread_mutex_lock(&adapter->lock);
    return adapter;
}

static void done(struct soft_adapter *adapter)
{
    pthread_mutex_unlock(&adapter->lock);
}

static void NTAPI pace(NDK_ADAPTER *ndk, ULONG pace)
{
    struct soft_adapter *adapter = locked(ndk);

    adapter->pace = pace;
    done(adapter);
}

static void NTAPI run(NDK_ADAPTER *ndk)
{
    struct soft_adapter *adapter = locked(ndk);

    adapter->runs++;
    pthread_cond_signal(&adapter->work);
    while (!adapter->is_idle || soft_is_ready(adapter))
        pthread_cond_wait(&adapter->changed, &adapter->lock);
    adapter->runs--;
    pthread_cond_broadcast(&adapter->changed);
    done(adapter);
}

static void NTAPI hold(NDK_ADAPTER *ndk, ULONG operations, BOOLEAN cancellable)
{
    struct soft_adapter *adapter = locked(ndk);

    adapter->held = operations;
    adapter->is_cancellable = cancellable != FALSE;
    done(adapter);
}

static void NTAPI fail(NDK_ADAPTER *ndk, ULONG operation, NTSTATUS status)
{
    struct soft_adapter *adapter = locked(ndk);

    adapter->fails[operation] = status;
    done(adapter);
}

static void NTAPI lose(NDK_ADAPTER *ndk)
{
    struct soft_adapter *adapter = locked(ndk);
    struct soft_job *job;

    adapter->is_lost = true;
    for (job = adapter->first; job; job = job->next)
        if (adapter->held >> job->operation & 1) {
            job->is_decided = true;
            job->status = STATUS_DEVICE_REMOVED;
        }
    done(adapter);
}

static void NTAPI limit_regions(NDK_ADAPTER *ndk, ULONG regions)
{
    struct soft_adapter *adapter = locked(ndk);

    adapter->limit = regions;
    done(adapter);
}

static ULONG NTAPI objects(NDK_ADAPTER *ndk)
{
    struct soft_adapter *adapter = locked(ndk);
    ULONG objects = adapter->domains + adapter->regions;

    done(adapter);
    return objects;
}

const NDK_CONFORMANCE_PROVIDER soft_provider = {
    .Open = soft_open,
    .Close = soft_close,
    .Pace = pace,
    .Run = run,
    .Hold = hold,
    .Fail = fail,
    .Lose = lose,
    .LimitRegions = limit_regions,
    .Objects = objects,
    .Access = soft_access,
    .FastRegister = soft_fast_register,
    .Invalidate = soft_invalidate,
    .Bind = soft_bind,
};
