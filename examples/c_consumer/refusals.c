/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What a provider must refuse, and a consumer should not do.
 */
#include "consumer.h"

#include <string.h>

/* The completion of what is refused inline: it must not be called [B1]. */
static void NTAPI never(PVOID context, NTSTATUS status)
{
    fprintf(stderr, "the completion of %s was called with %#x\n", (const char *)context,
            (unsigned)status);
    exit(EXIT_FAILURE);
}

static void refuse_registration(const char *what, NDK_MR *mr, MDL *mdl, SIZE_T length, ULONG flags,
                                NTSTATUS expected)
{
    const NDK_MR_DISPATCH *entries = mr->Dispatch;

    expect(what, entries->NdkRegisterMr(mr, mdl, length, flags, never, (PVOID)what), expected);
    expect_that("  no token", entries->NdkGetLocalTokenFromMr(mr) == 0);
}

static void bad_objects(NDK_PD *pd, NDK_MR *mr, MDL *mdl)
{
    const NDK_MR_DISPATCH *entries = mr->Dispatch;
    NDK_MR *wrong = (NDK_MR *)pd;

    expect("register null [A6]", entries->NdkRegisterMr(NULL, mdl, 1, 0, never, "null"),
           STATUS_INVALID_PARAMETER);
    expect("deregister null", entries->NdkDeregisterMr(NULL, never, "null"),
           STATUS_INVALID_PARAMETER);
    expect("close null", entries->NdkCloseMr(NULL, on_close, NULL), STATUS_INVALID_PARAMETER);
    expect_that("tokens of null are 0", entries->NdkGetLocalTokenFromMr(NULL) == 0 &&
                                            entries->NdkGetRemoteTokenFromMr(NULL) == 0);
    expect("register a domain [A6]", entries->NdkRegisterMr(wrong, mdl, 1, 0, never, "a domain"),
           STATUS_INVALID_PARAMETER);
    expect("close a domain as a region", entries->NdkCloseMr(&pd->Header, on_close, NULL),
           STATUS_INVALID_PARAMETER);
    expect_that("the token of a domain is 0", entries->NdkGetLocalTokenFromMr(wrong) == 0);
}

static void bad_arguments(NDK_MR *mr, MDL *mdl, SIZE_T length)
{
    const NDK_MR_DISPATCH *entries = mr->Dispatch;
    MDL *unlocked = malloc((size_t)mdl->Size);

    if (unlocked == NULL)
        exit(EXIT_FAILURE);
    memcpy(unlocked, mdl, (size_t)mdl->Size); /* With the page-frame numbers behind it. */
    unlocked->MdlFlags = 0;
    refuse_registration("flags 0x4 alone [C1]", mr, mdl, length, 0x4, STATUS_INVALID_PARAMETER);
    refuse_registration("an unknown flag", mr, mdl, length, 0x10, STATUS_INVALID_PARAMETER);
    refuse_registration("all flags", mr, mdl, length, 0xFFFFFFFFu, STATUS_INVALID_PARAMETER);
    refuse_registration("length 0 [C6]", mr, mdl, 0, 0, STATUS_INVALID_PARAMETER);
    refuse_registration("beyond the MDL [C5]", mr, mdl, length + 1, 0, STATUS_INVALID_PARAMETER);
    refuse_registration("a length that wraps [C7]", mr, mdl, (SIZE_T)-1, 0,
                        STATUS_INVALID_PARAMETER);
    refuse_registration("no MDL", mr, NULL, length, 0, STATUS_INVALID_PARAMETER);
    refuse_registration("an MDL that is not locked [C15]", mr, unlocked, length, 0,
                        STATUS_INVALID_PARAMETER);
    free(unlocked);
    expect("register without a completion [A7]",
           entries->NdkRegisterMr(mr, mdl, length, 0, NULL, NULL), STATUS_INVALID_PARAMETER);
    expect("close without a completion [A7]", entries->NdkCloseMr(&mr->Header, NULL, NULL),
           STATUS_INVALID_PARAMETER);
}

static void wrong_time(NDK_MR *mr, MDL *mdl, SIZE_T length)
{
    const NDK_MR_DISPATCH *entries = mr->Dispatch;
    UINT32 token;

    expect("deregister what is not registered [D1]", entries->NdkDeregisterMr(mr, never, "it"),
           STATUS_INVALID_DEVICE_STATE);
    expect("initialise for fast registration [G1]",
           entries->NdkInitializeFastRegisterMr(mr, 1, FALSE, never, "it"),
           STATUS_INVALID_DEVICE_STATE);
    register_mr("register", mr, mdl, length, 0);
    token = entries->NdkGetLocalTokenFromMr(mr);
    expect("register what is registered [C12]",
           entries->NdkRegisterMr(mr, mdl, length, 0, never, "it"), STATUS_INVALID_DEVICE_STATE);
    expect_that("  the token stays", entries->NdkGetLocalTokenFromMr(mr) == token);
    deregister_mr(mr);
}

static void unknown_names(NDK_MR *mr)
{
    const NDK_VERSION version = {2, 0}, future = {3, 0};
    NDK_EXTENSION_INTERFACE extension = {NULL};
    NDK_ADAPTER *adapter = NULL;
    GUID id;
    char why[1024];

    memset(&id, 0xEE, sizeof id);
    expect("an unknown extension [A5]",
           mr->Dispatch->NdkQueryExtension(&mr->Header, &id, version, &extension),
           STATUS_NOT_SUPPORTED);
    expect("an unknown backend", ndkmr_open("hardware", version, NULL, &adapter),
           STATUS_NOT_SUPPORTED);
    ndkmr_last_error(why, sizeof why);
    puts(why);
    expect_that("  the error names those that there are", strstr(why, "sim: ") != NULL);
    expect("an unknown option", ndkmr_open("sim?sede=7", version, NULL, &adapter),
           STATUS_INVALID_PARAMETER);
    ndkmr_last_error(why, sizeof why);
    puts(why);
    expect_that("  the error names those that there are", strstr(why, "seed: ") != NULL);
    expect("a version of the future [A8]", ndkmr_open("sim", future, NULL, &adapter),
           NDIS_STATUS_BAD_VERSION);
    expect_that("  nothing was written", adapter == NULL && extension.Dispatch == NULL);
}

void refusals(NDK_ADAPTER *adapter, NDK_PD *pd, NDK_MR *mr, MDL *mdl, SIZE_T length)
{
    NDK_CQ *cq = NULL;
    int on_the_stack = 0;

    bad_objects(pd, mr, mdl);
    bad_arguments(mr, mdl, length);
    wrong_time(mr, mdl, length);
    unknown_names(mr);
    expect("a completion queue, which is not built yet",
           adapter->Dispatch->NdkCreateCq(adapter, 16, NULL, NULL, NULL, on_create, NULL, &cq),
           STATUS_NOT_SUPPORTED);
    expect("close no adapter", ndkmr_close(NULL), STATUS_INVALID_PARAMETER);
    expect("close what is none", ndkmr_close((NDK_ADAPTER *)(void *)&on_the_stack),
           STATUS_INVALID_PARAMETER);
    expect("free no MDL", ndkmr_mdl_free(NULL), STATUS_INVALID_PARAMETER);
    expect("free what is none", ndkmr_mdl_free((MDL *)(void *)&on_the_stack),
           STATUS_INVALID_PARAMETER);
}
