/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Waits for a request, whether it completes inline or pends.
 *
 *     struct waiter w;
 *     waiter_init(&w);
 *     status = waiter_end(&w, mr->Dispatch->NdkDeregisterMr(mr, on_request, &w));
 *
 * A real consumer in a kernel would go on with its work in the completion routine instead.
 */
#ifndef WAITER_H
#define WAITER_H

#include "ndkpi.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int calls; /* Of the completion routine: one after PENDING, else none. */
    NTSTATUS status;
    NDK_OBJECT_HEADER *object;
};

static inline void waiter_init(struct waiter *w)
{
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->calls = 0;
    w->status = STATUS_SUCCESS;
    w->object = NULL;
}

static inline void waiter_complete(struct waiter *w, NTSTATUS status, NDK_OBJECT_HEADER *object)
{
    pthread_mutex_lock(&w->lock);
    w->calls++;
    w->status = status;
    w->object = object;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock); /* From here on the waiter may be gone. */
}

/* The completion routines, for each kind of request; the context is the waiter. */
static inline void NTAPI on_request(PVOID context, NTSTATUS status)
{
    waiter_complete(context, status, NULL);
}

static inline void NTAPI on_close(PVOID context)
{
    waiter_complete(context, STATUS_SUCCESS, NULL);
}

static inline void NTAPI on_create(PVOID context, NTSTATUS status, NDK_OBJECT_HEADER *object)
{
    waiter_complete(context, status, object);
}

/* Gives the final status of a request, from what the entry returned. The waiter is not used after. */
static inline NTSTATUS waiter_end(struct waiter *w, NTSTATUS returned)
{
    const int pends = returned == STATUS_PENDING;
    struct timespec limit;
    int calls;

    timespec_get(&limit, TIME_UTC);
    limit.tv_sec += 60;
    pthread_mutex_lock(&w->lock);
    while (pends && w->calls == 0) {
        if (pthread_cond_timedwait(&w->changed, &w->lock, &limit) != 0) {
            fprintf(stderr, "a pending request did not complete within a minute [B2]\n");
            exit(EXIT_FAILURE);
        }
    }
    if (pends)
        returned = w->status;
    calls = w->calls;
    pthread_mutex_unlock(&w->lock);
    if (calls != pends) {
        fprintf(stderr, "a completion routine was called %d times instead of %d [B1, B2]\n", calls,
                pends);
        exit(EXIT_FAILURE);
    }
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    return returned;
}

#endif /* WAITER_H */
