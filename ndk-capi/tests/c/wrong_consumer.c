/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A consumer that makes the mistake that its second argument names, on the backend that the first one does, and prints
 * what the verifier has found of it.
 */
#include "ndk_mr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(what)                                                                                                  \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static char memory[4 * PAGE_SIZE];
static NDK_ADAPTER *adapter;

/* Everything here completes inline, or is never waited for. */
static void NTAPI request_done(PVOID context, NTSTATUS status)
{
    (void)context, (void)status;
}

static void NTAPI close_done(PVOID context)
{
    (void)context;
}

static void NTAPI create_done(PVOID context, NTSTATUS status, NDK_OBJECT_HEADER *object)
{
    (void)context, (void)status, (void)object;
}

static NDK_MR *make_region(NDK_PD *pd)
{
    NDK_MR *mr = NULL;
    REQUIRE(pd->Dispatch->NdkCreateMr(pd, FALSE, create_done, NULL, &mr) == STATUS_SUCCESS);
    return mr;
}

static void close_region(NDK_MR *mr)
{
    REQUIRE(mr->Dispatch->NdkCloseMr(&mr->Header, close_done, NULL) >= 0);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 3);
    const char *mistake = argv[2];
    NDK_VERSION version = {1, 2};
    REQUIRE(ndkmr_open(argv[1], version, NULL, &adapter) == STATUS_SUCCESS);
    NDK_PD *pd = NULL;
    REQUIRE(adapter->Dispatch->NdkCreatePd(adapter, create_done, NULL, &pd) == STATUS_SUCCESS);
    MDL *mdl = NULL;
    REQUIRE(ndkmr_mdl_create(memory, sizeof memory, &mdl) == STATUS_SUCCESS);
    NDK_MR *mr = make_region(pd);
    const NDK_MR_DISPATCH *table = mr->Dispatch;
    int is_closed = 0;

    if (!strcmp(mistake, "none")) {
        REQUIRE(table->NdkRegisterMr(mr, mdl, sizeof memory, NDK_MR_FLAG_ALLOW_REMOTE_READ, request_done, memory) == STATUS_SUCCESS);
        REQUIRE(table->NdkGetLocalTokenFromMr(mr) != 0);
        REQUIRE(table->NdkDeregisterMr(mr, request_done, memory) == STATUS_SUCCESS);
    } else if (!strcmp(mistake, "V1")) {
        REQUIRE(table->NdkRegisterMr(mr, mdl, 1, 0, NULL, NULL) == STATUS_INVALID_PARAMETER);
    } else if (!strcmp(mistake, "V3")) {
        close_region(mr);
        is_closed = 1;
        REQUIRE(table->NdkRegisterMr(mr, mdl, 1, 0, request_done, NULL) == STATUS_INVALID_DEVICE_STATE);
    } else if (!strcmp(mistake, "V4")) {
        close_region(mr);
        is_closed = 1;
        REQUIRE(table->NdkCloseMr(&mr->Header, close_done, NULL) == STATUS_INVALID_DEVICE_STATE);
    } else if (!strcmp(mistake, "V6")) {
        /* The close gives up where mistakes fail, and the adapter is as open as before. */
        REQUIRE(ndkmr_close(adapter) == STATUS_DEVICE_BUSY);
    } else if (!strcmp(mistake, "V7")) {
        NDK_MR *other = make_region(pd);
        REQUIRE(table->NdkRegisterMr(mr, mdl, 1, 0, request_done, memory) == STATUS_PENDING);
        REQUIRE(table->NdkRegisterMr(other, mdl, 1, 0, request_done, memory) >= 0);
        close_region(other);
    } else if (!strcmp(mistake, "V8")) {
        REQUIRE(table->NdkRegisterMr(mr, mdl, 1, 0, request_done, memory) == STATUS_PENDING);
        REQUIRE(ndkmr_mdl_free(mdl) == STATUS_SUCCESS);
        mdl = NULL;
    } else if (!strcmp(mistake, "V9")) {
        REQUIRE(table->NdkRegisterMr(mr, mdl, 1, 0x20, request_done, NULL) == STATUS_INVALID_PARAMETER);
    } else if (!strcmp(mistake, "V10")) {
        NDK_ADAPTER_INFO info;
        ULONG size;
        memset(&size, 0xCC, sizeof size); /* As a compiler fills what was not initialised. */
        adapter->Dispatch->NdkQueryAdapterInfo(adapter, &info, &size);
    } else {
        REQUIRE(!strcmp(mistake, "V11"));
        REQUIRE(table->NdkGetRemoteTokenFromMr(mr) == 0);
    }

    SIZE_T consumer = 0, provider = 0;
    REQUIRE(ndkmr_count_findings(adapter, &consumer, &provider) == STATUS_SUCCESS);
    printf("%u of the consumer, %u of the provider\n", (unsigned)consumer, (unsigned)provider);
    for (SIZE_T number = 0; number < consumer + provider; number++) {
        char text[4096];
        REQUIRE(ndkmr_get_finding(adapter, number, text, sizeof text) > 0);
        printf("%s\n", text);
    }
    REQUIRE(ndkmr_get_finding(adapter, consumer + provider, NULL, 0) == 0);

    if (!is_closed)
        close_region(mr);
    REQUIRE(pd->Dispatch->NdkClosePd(&pd->Header, close_done, NULL) >= 0);
    REQUIRE(ndkmr_close(adapter) == STATUS_SUCCESS);
    if (mdl)
        REQUIRE(ndkmr_mdl_free(mdl) == STATUS_SUCCESS);
    puts("done");
    return 0;
}
