/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The life of a memory region, through NDK's tables, line by line; also what NDK allows and few
 * dare. Ends with a non-zero status at the first surprise. Letters and numbers in brackets are rules
 * of the contract. Requests may complete inline or pend, by the backend's name.
 *
 *     cargo build --release -p ndk-capi
 *     cc -std=c11 -Wall -Wextra -Indk-capi/include examples/c_consumer/consumer.c \
 *         examples/c_consumer/refusals.c -Ltarget/release -lndkmr -pthread -o consumer
 *     LD_LIBRARY_PATH=target/release ./consumer sim
 *
 * With the static library: target/release/libndkmr.a -lgcc_s -lutil -lrt -lpthread -lm -ldl in the
 * place of -Ltarget/release -lndkmr (on Linux).
 */
#include "consumer.h"

#include <string.h>

#define LENGTH 10000

void expect(const char *what, NTSTATUS status, NTSTATUS expected)
{
    printf("%s: %s\n", what, ndkmr_status_name(status));
    fflush(stdout);
    if (status != expected) {
        fprintf(stderr, "%s: %#x, but %s was expected\n", what, (unsigned)status,
                ndkmr_status_name(expected));
        exit(EXIT_FAILURE);
    }
}

void expect_that(const char *what, int holds)
{
    printf("%s: %s\n", what, holds ? "yes" : "no");
    fflush(stdout);
    if (!holds)
        exit(EXIT_FAILURE);
}

static void print_log(void *context, int level, const char *target, const char *message)
{
    (void)context;
    fprintf(stderr, "  log %d %s: %s\n", level, target, message);
}

static NDK_ADAPTER *open_adapter(const char *backend)
{
    const NDK_VERSION wanted = {1, 0};
    char why[1024];
    NDK_ADAPTER *adapter = NULL;
    NTSTATUS status = ndkmr_open(backend, wanted, NULL, &adapter);

    if (status != STATUS_SUCCESS) {
        ndkmr_last_error(why, sizeof why);
        fprintf(stderr, "%s\n", why);
    }
    expect("open an adapter for NDK 1.0", status, STATUS_SUCCESS);
    printf("  backend %s, NDK %u.%u\n", backend, (unsigned)adapter->Header.Version.Major,
           (unsigned)adapter->Header.Version.Minor);
    expect_that("  the object is an adapter", adapter->Header.ObjectType == NdkObjectTypeAdapter);
    return adapter;
}

static void query_info(NDK_ADAPTER *adapter)
{
    NDK_ADAPTER_INFO info;
    ULONG size = 0;

    expect("ask for the size of the adapter's attributes",
           adapter->Dispatch->NdkQueryAdapterInfo(adapter, NULL, &size), STATUS_BUFFER_TOO_SMALL);
    expect_that("  it is that of the structure", size == sizeof info);
    expect("read the attributes", adapter->Dispatch->NdkQueryAdapterInfo(adapter, &info, &size),
           STATUS_SUCCESS);
    printf("  vendor %#x, device %#x, %u pages in a fast registration\n", (unsigned)info.VendorId,
           (unsigned)info.DeviceId, (unsigned)info.FRMRPageCount);
}

static NDK_PD *create_pd(NDK_ADAPTER *adapter)
{
    struct waiter w;
    NDK_PD *pd = NULL;
    NTSTATUS status;

    waiter_init(&w);
    status = adapter->Dispatch->NdkCreatePd(adapter, on_create, &w, &pd);
    expect_that("create a domain", status == STATUS_SUCCESS || status == STATUS_PENDING);
    expect_that("  the out pointer is written inline, or not at all [A1]",
                (pd != NULL) == (status == STATUS_SUCCESS));
    expect("  at last", waiter_end(&w, status), STATUS_SUCCESS);
    return pd != NULL ? pd : (NDK_PD *)w.object;
}

NDK_MR *create_mr(NDK_PD *pd)
{
    struct waiter w;
    NDK_MR *mr = NULL;

    waiter_init(&w);
    expect("create a region",
           waiter_end(&w, pd->Dispatch->NdkCreateMr(pd, FALSE, on_create, &w, &mr)),
           STATUS_SUCCESS);
    if (mr == NULL)
        mr = (NDK_MR *)w.object;
    expect_that("  the object is a region [A2]", mr->Header.ObjectType == NdkObjectTypeMr);
    return mr;
}

void close_mr(const char *what, const NDK_MR_DISPATCH *entries, NDK_MR *mr)
{
    struct waiter w;

    waiter_init(&w);
    expect(what, waiter_end(&w, entries->NdkCloseMr(&mr->Header, on_close, &w)), STATUS_SUCCESS);
}

void register_mr(const char *what, NDK_MR *mr, MDL *mdl, SIZE_T length, ULONG flags)
{
    struct waiter w;
    NTSTATUS status;

    waiter_init(&w);
    status = mr->Dispatch->NdkRegisterMr(mr, mdl, length, flags, on_request, &w);
    printf("%s: %s\n", what, status == STATUS_PENDING ? "pending" : "inline");
    expect("  at last", waiter_end(&w, status), STATUS_SUCCESS);
}

void deregister_mr(NDK_MR *mr)
{
    struct waiter w;

    waiter_init(&w);
    expect("deregister", waiter_end(&w, mr->Dispatch->NdkDeregisterMr(mr, on_request, &w)),
           STATUS_SUCCESS);
}

static UINT32 local_token(NDK_MR *mr)
{
    return mr->Dispatch->NdkGetLocalTokenFromMr(mr);
}

static UINT32 remote_token(NDK_MR *mr)
{
    return mr->Dispatch->NdkGetRemoteTokenFromMr(mr);
}

static void life_of_a_region(NDK_MR *mr, MDL *mdl)
{
    expect_that("no tokens before the registration [E1]",
                local_token(mr) == 0 && remote_token(mr) == 0);
    register_mr("register for remote reads and writes", mr, mdl, LENGTH,
                NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE);
    printf("  local token %#x, remote token %#x\n", (unsigned)local_token(mr),
           (unsigned)remote_token(mr));
    expect_that("  both are there", local_token(mr) != 0 && remote_token(mr) != 0);
    deregister_mr(mr);
    expect_that("no tokens after it", local_token(mr) == 0 && remote_token(mr) == 0);
    register_mr("register again, for local writes", mr, mdl, LENGTH / 2,
                NDK_MR_FLAG_ALLOW_LOCAL_WRITE);
    printf("  local token %#x, remote token %#x\n", (unsigned)local_token(mr),
           (unsigned)remote_token(mr));
    expect_that("  a local token only [E3]", local_token(mr) != 0 && remote_token(mr) == 0);
    deregister_mr(mr);
}

/* ---- A layer of the consumer's own between it and the provider [A4] ---------------------------- */

static const NDK_MR_DISPATCH *below;
static int hooked_calls;

static NTSTATUS NTAPI hooked_register(NDK_MR *mr, MDL *mdl, SIZE_T length, ULONG flags,
                                      NDK_FN_REQUEST_COMPLETION completion, PVOID context)
{
    hooked_calls++;
    return below->NdkRegisterMr(mr, mdl, length, flags, completion, context);
}

static NTSTATUS NTAPI hooked_deregister(NDK_MR *mr, NDK_FN_REQUEST_COMPLETION completion,
                                        PVOID context)
{
    hooked_calls++;
    return below->NdkDeregisterMr(mr, completion, context);
}

static void replace_dispatch(NDK_PD *pd, MDL *mdl)
{
    NDK_MR *mr = create_mr(pd);
    NDK_MR_DISPATCH hooks = *mr->Dispatch;

    below = mr->Dispatch;
    hooks.NdkRegisterMr = hooked_register;
    hooks.NdkDeregisterMr = hooked_deregister;
    mr->Dispatch = &hooks;
    register_mr("register through a table of our own", mr, mdl, LENGTH, 0);
    expect_that("  tokens come through it", local_token(mr) != 0);
    deregister_mr(mr);
    expect_that("  two calls were counted", hooked_calls == 2);
    mr->Dispatch = NULL;
    close_mr("close through a saved entry, the member Dispatch being null", below, mr);
}

/* ---- Closing in awkward order ------------------------------------------------------------------ */

struct last_words {
    struct waiter waiter;
    NDK_ADAPTER *adapter;
    NTSTATUS status;
};

static void NTAPI close_adapter_inside(PVOID context)
{
    struct last_words *words = context;

    words->status = ndkmr_close(words->adapter);
    waiter_complete(&words->waiter, STATUS_SUCCESS, NULL);
}

static void NTAPI do_nothing(PVOID context)
{
    (void)context;
}

static void close_in_awkward_order(NDK_ADAPTER *adapter, NDK_PD *pd, MDL *mdl)
{
    struct last_words words;
    NDK_MR *forgotten = create_mr(pd);
    NDK_MR *last = create_mr(pd);
    NTSTATUS status;

    register_mr("register", forgotten, mdl, LENGTH, NDK_MR_FLAG_ALLOW_REMOTE_READ);
    status = forgotten->Dispatch->NdkCloseMr(&forgotten->Header, do_nothing, NULL);
    expect_that("close it, and never look whether it is done [H6]",
                status == STATUS_SUCCESS || status == STATUS_PENDING);

    waiter_init(&words.waiter);
    words.adapter = adapter;
    status = pd->Dispatch->NdkClosePd(&pd->Header, close_adapter_inside, &words);
    expect("close the domain while a region lives [H4]", status, STATUS_PENDING);
    close_mr("close the region", last->Dispatch, last);
    expect("  now the domain, too", waiter_end(&words.waiter, status), STATUS_SUCCESS);
    expect("  closing the adapter inside its completion [H5]", words.status,
           STATUS_INVALID_DEVICE_STATE);
}

int main(int argc, char **argv)
{
    unsigned char *memory = malloc(LENGTH);
    NDK_ADAPTER *adapter;
    NDK_PD *pd;
    NDK_MR *mr;
    MDL *mdl;
    size_t i;

    if (memory == NULL)
        return EXIT_FAILURE;
    memset(memory, 0x5A, LENGTH);
    expect("send the log to stderr", ndkmr_set_log(print_log, NULL, NDKMR_LOG_ERROR),
           STATUS_SUCCESS);
    adapter = open_adapter(argc > 1 ? argv[1] : "sim");
    query_info(adapter);
    pd = create_pd(adapter);
    expect("make an MDL", ndkmr_mdl_create(memory, LENGTH, &mdl), STATUS_SUCCESS);
    mr = create_mr(pd);
    life_of_a_region(mr, mdl);
    refusals(adapter, pd, mr, mdl, LENGTH);
    close_mr("close the region", mr->Dispatch, mr);
    replace_dispatch(pd, mdl);
    close_in_awkward_order(adapter, pd, mdl);
    expect("close the adapter", ndkmr_close(adapter), STATUS_SUCCESS);
    expect("close it again", ndkmr_close(adapter), STATUS_INVALID_PARAMETER);
    expect("free the MDL", ndkmr_mdl_free(mdl), STATUS_SUCCESS);
    for (i = 0; i < LENGTH && memory[i] == 0x5A; i++)
        ;
    expect_that("no byte of the memory has changed [D5]", i == LENGTH);
    free(memory);
    puts("all as expected");
    return EXIT_SUCCESS;
}
